"""
Environments and data sets of DiffReward.
"""
from __future__ import annotations
import collections.abc
import numpy
import numpy.typing
import os
import pathlib
import typing
__all__: list[str] = ['Async', 'Batch', 'Dataset', 'GOAL_RADIUS', 'ImageSet', 'ResetOptions', 'check_picture_size', 'env_catalog', 'env_options', 'env_spec', 'env_summary', 'is_image_set', 'make_async', 'make_batch', 'nearest_name', 'open_dataset', 'open_pictures']
class ResetOptions:
    """
    What a caller may fix about one reset.
    """
    def __init__(self, fixed: collections.abc.Mapping[str, collections.abc.Sequence[typing.SupportsFloat | typing.SupportsIndex]], state: collections.abc.Sequence[typing.SupportsFloat | typing.SupportsIndex]) -> None:
        """
        `fixed`: values by name, which the spec's reset_options list; `state`: exact state of one instance, empty for none.
        """
class Batch:
    """
    Many environments stepped as one on a pool of threads.
    """
    def copy_mujoco_data(self, i: typing.SupportsInt | typing.SupportsIndex, address: typing.SupportsInt | typing.SupportsIndex) -> None:
        """
        Robots: copies instance i into the mjData at `address`, made for an equal model.
        """
    def frame_skip(self, i: typing.SupportsInt | typing.SupportsIndex) -> int:
        """
        Robots: MuJoCo's steps in one of instance i.
        """
    def instance_state(self, i: typing.SupportsInt | typing.SupportsIndex) -> numpy.typing.NDArray[numpy.float64]:
        """
        Exact state of one instance, as reset options take it.
        """
    def mujoco_model(self, i: typing.SupportsInt | typing.SupportsIndex) -> bytes:
        """
        Robots: the model of instance i as an MJB file's bytes.
        """
    def place(self, i: typing.SupportsInt | typing.SupportsIndex, qpos: typing.Annotated[numpy.typing.ArrayLike, numpy.float64], qvel: typing.Annotated[numpy.typing.ArrayLike, numpy.float64]) -> None:
        """
        Robots: begins an episode of instance i at these positions and velocities.
        """
    def render(self, i: typing.SupportsInt | typing.SupportsIndex, width: typing.SupportsInt | typing.SupportsIndex, height: typing.SupportsInt | typing.SupportsIndex) -> numpy.ndarray:
        """
        Instance i as a picture [height, width, 3].
        """
    def reset(self, mask: collections.abc.Sequence[typing.SupportsInt | typing.SupportsIndex], seeds: collections.abc.Sequence[typing.SupportsInt | typing.SupportsIndex], options: collections.abc.Sequence[ResetOptions]) -> None:
        """
        Resets all instances, or those in `mask`.
        """
    def set_state(self, state: typing.Annotated[numpy.typing.ArrayLike, numpy.float64]) -> None:
        """
        Resumes to equal bits.
        """
    def state(self) -> numpy.typing.NDArray[numpy.float64]:
        """
        Exact state of the whole batch.
        """
    def step(self, actions: numpy.typing.NDArray[numpy.float64]) -> None:
        """
        Steps all instances; actions: [size, act_dim].
        """
    @property
    def final_info(self) -> numpy.ndarray:
        """
        [size, info_size] of the states of final_obs.
        """
    @property
    def final_obs(self) -> numpy.ndarray:
        """
        [size, obs_dim] what the step reached, before any automatic reset.
        """
    @property
    def info(self) -> numpy.ndarray:
        """
        [size, info_size] of the states of obs.
        """
    @property
    def obs(self) -> numpy.ndarray:
        """
        [size, obs_dim] what the next action answers to.
        """
    @property
    def reward(self) -> numpy.ndarray:
        """
        [size]
        """
    @property
    def size(self) -> int:
        ...
    @property
    def spec(self) -> str:
        """
        EnvSpec as JSON text.
        """
    @property
    def task_reward(self) -> numpy.ndarray:
        """
        [size] the environment's own.
        """
    @property
    def terminated(self) -> numpy.ndarray:
        """
        [size]
        """
    @property
    def truncated(self) -> numpy.ndarray:
        """
        [size]
        """
class Async:
    """
    Many environments that do not wait for each other.
    """
    def recv(self, min: typing.SupportsInt | typing.SupportsIndex) -> tuple[numpy.ndarray, numpy.ndarray, numpy.ndarray, numpy.ndarray, numpy.ndarray, numpy.ndarray, numpy.ndarray, numpy.ndarray, numpy.ndarray]:
        """
        Waits for at least `min` results: ids, obs, final_obs, reward, terminated, truncated, reset, info, final_info.
        """
    def send(self, ids: typing.Annotated[numpy.typing.ArrayLike, numpy.int32], actions: numpy.typing.NDArray[numpy.float64]) -> None:
        """
        Sends instances to a step; actions: [ids, act_dim].
        """
    def send_reset(self, ids: typing.Annotated[numpy.typing.ArrayLike, numpy.int32], seeds: collections.abc.Sequence[typing.SupportsInt | typing.SupportsIndex], options: collections.abc.Sequence[ResetOptions]) -> None:
        """
        Sends instances to a reset.
        """
    @property
    def in_flight(self) -> int:
        """
        Results that recv has yet to deliver.
        """
    @property
    def size(self) -> int:
        ...
    @property
    def spec(self) -> str:
        """
        EnvSpec as JSON text.
        """
class Dataset:
    """
    Recorded experience: rows are transitions in time order, episodes one after the other.
    
    The arrays are read-only views of the memory-mapped file and keep it open.
    
    Example:
        >>> data = dr.open_dataset(base_data.folder)
        >>> begin, end = data.episodes[0]
        >>> data.observations[begin:end].shape, data.actions[begin:end].shape
        ((200, 4), (200, 2))
        >>> data.info("goal")[begin].shape
        (2,)
    """
    def __len__(self) -> int:
        ...
    def __reduce__(self) -> tuple:
        """
        Pickles as its path: whoever unpickles it opens the file.
        """
    def info(self, name: str) -> numpy.ndarray:
        """
        [rows, dim] float32 of an extra column.
        """
    def write_d4rl(self, path: os.PathLike | str | bytes) -> None:
        """
        Writes a D4RL HDF5 file.
        """
    def write_minari(self, root: os.PathLike | str | bytes, id: str) -> pathlib.Path:
        """
        Writes a Minari data set below `root` and returns its folder.
        """
    @property
    def actions(self) -> numpy.ndarray:
        """
        [rows, action_dim] float32.
        """
    @property
    def episodes(self) -> numpy.typing.NDArray[numpy.int64]:
        """
        [episodes, 2] int64: first row of each episode, and the row after its last.
        """
    @property
    def ignored(self) -> list[str]:
        """
        What the file holds and is left out, with the reason.
        """
    @property
    def info_names(self) -> list[str]:
        """
        Names of the extra columns.
        """
    @property
    def next_observations(self) -> numpy.ndarray:
        """
        [rows, observation_dim] float32, reached by the action, also at ends.
        """
    @property
    def observations(self) -> numpy.ndarray:
        """
        [rows, observation_dim] float32, before the action.
        """
    @property
    def path(self) -> pathlib.Path:
        """
        The file.
        """
    @property
    def provenance(self) -> str:
        """
        Where the data comes from, as JSON text.
        """
    @property
    def rewards(self) -> numpy.ndarray:
        """
        [rows] float32, for the state reached.
        """
    @property
    def terminals(self) -> numpy.ndarray:
        """
        [rows] bool, the task ended with this row.
        """
    @property
    def timeouts(self) -> numpy.ndarray:
        """
        [rows] bool, the episode was cut after this row.
        """
class ImageSet:
    """
    Pictures with captions and masks (EmojiScenes).
    
    The arrays are read-only views of the memory-mapped file and keep it open.
    """
    def __len__(self) -> int:
        ...
    def caption(self, index: typing.SupportsInt | typing.SupportsIndex) -> str:
        """
        The caption of a picture, empty for none.
        """
    def description(self, index: typing.SupportsInt | typing.SupportsIndex) -> str:
        """
        What is in a picture, as JSON text: index, caption, and of objects name, artist and box (left, top, width, height in pixels).
        """
    def png(self, index: typing.SupportsInt | typing.SupportsIndex) -> bytes:
        """
        A picture as the bytes of a PNG file.
        """
    @property
    def images(self) -> numpy.ndarray:
        """
        [pictures, side, side, 3] uint8, RGB.
        """
    @property
    def masks(self) -> numpy.ndarray:
        """
        [pictures, side, side] uint8, 0 for the ground and k for the k-th object.
        """
    @property
    def path(self) -> pathlib.Path:
        """
        The file.
        """
    @property
    def provenance(self) -> str:
        """
        Where the pictures come from, as JSON text.
        """
    @property
    def side(self) -> int:
        """
        Of each picture, pixels.
        """
def check_picture_size(width: typing.SupportsInt | typing.SupportsIndex, height: typing.SupportsInt | typing.SupportsIndex) -> None:
    """
    Refuses (ValueError) sizes that are not drawn.
    """
def env_catalog() -> list[tuple[str, int]]:
    """
    The id and the step limit (0 for none) of every environment.
    """
def env_options(id: str) -> str:
    """
    The options of an environment, as JSON text.
    """
def env_spec(id: str, options: str = '{}') -> str:
    """
    EnvSpec of an environment made with these options, as JSON text.
    """
def env_summary(id: str) -> str:
    """
    One line about an environment.
    """
def is_image_set(path: os.PathLike | str | bytes) -> bool:
    """
    Whether a path stands for a file of pictures.
    """
def make_async(id: str, config: str, options: str) -> Async:
    """
    As make_batch.
    """
def make_batch(id: str, config: str, options: str) -> Batch:
    """
    Makes a batch; `config` (VectorConfig) and `options` (the environment's, or a list of them, one an instance) are JSON texts.
    """
def nearest_name(name: str, candidates: collections.abc.Sequence[str]) -> str:
    """
    The candidate most like `name`, or ''.
    """
def open_dataset(path: os.PathLike | str | bytes) -> Dataset:
    """
    Opens a D4RL HDF5 file, a Minari data set, or the folder that holds one of them.
    
    Raises:
        RuntimeError: a file that is missing or damaged, naming it and what was found.
    
    Example:
        >>> len(dr.open_dataset(base_data.folder))
        3200
    """
def open_pictures(path: os.PathLike | str | bytes) -> ImageSet:
    """
    Opens a file of pictures, or the folder that holds it.
    
    Raises:
        RuntimeError: a file that is missing, damaged or of another kind, naming it and what was found.
    """
GOAL_RADIUS: float = 0.45
