"""
Commands, models and agents of DiffReward.
"""
from __future__ import annotations
import collections.abc
import numpy
import numpy.typing
import os
import typing
__all__: list[str] = ['Agent', 'AnyGuide', 'Guide', 'Model', 'Planner', 'describe_commands', 'extract_models', 'own_guide', 'own_model', 'run_cli', 'run_command']
class AnyGuide:
    """
    What leads samples.
    """
class Guide(AnyGuide):
    """
    A reward of noised windows, in model units.
    """
    def __init__(self, path: os.PathLike | str | bytes, device: str = 'cpu') -> None:
        ...
    def gradient(self, x: typing.Annotated[numpy.typing.ArrayLike, numpy.float32], t: typing.Annotated[numpy.typing.ArrayLike, numpy.int64]) -> numpy.typing.NDArray[numpy.float32]:
        """
        grad_x rho(x, t) [n, rows, width].
        """
    def heatmap(self, maze: str, goal: typing.Annotated[collections.abc.Sequence[typing.SupportsFloat | typing.SupportsIndex], "FixedSize(2)"] | None, per_cell: typing.SupportsInt | typing.SupportsIndex, ball_radius: typing.SupportsFloat | typing.SupportsIndex, reading: str) -> dict:
        """
        The reward, read as JSON text says, of standing at positions of a maze.
        """
    def support(self, windows: typing.Annotated[numpy.typing.ArrayLike, numpy.float32]) -> numpy.typing.NDArray[numpy.float32]:
        """
        p-values [n] of windows in data units under the base data.
        """
    def value(self, x: typing.Annotated[numpy.typing.ArrayLike, numpy.float32], t: typing.Annotated[numpy.typing.ArrayLike, numpy.int64]) -> numpy.typing.NDArray[numpy.float32]:
        """
        rho(x, t) [n] of windows [n, rows, width] at timesteps [n].
        """
class Model:
    """
    A denoising diffusion model of windows of behaviour.
    """
    def __init__(self, path: os.PathLike | str | bytes, device: str = 'cpu') -> None:
        ...
    def posterior_mean(self, x: typing.Annotated[numpy.typing.ArrayLike, numpy.float32], t: typing.Annotated[numpy.typing.ArrayLike, numpy.int64]) -> numpy.typing.NDArray[numpy.float32]:
        ...
    def predict_x0(self, x: typing.Annotated[numpy.typing.ArrayLike, numpy.float32], t: typing.Annotated[numpy.typing.ArrayLike, numpy.int64]) -> numpy.typing.NDArray[numpy.float32]:
        ...
    def sample(self, n: typing.SupportsInt | typing.SupportsIndex, conditions: collections.abc.Mapping[typing.SupportsInt | typing.SupportsIndex, typing.Annotated[numpy.typing.ArrayLike, numpy.float32]], config: str, guide: AnyGuide = None) -> numpy.typing.NDArray[numpy.float32]:
        ...
    def score(self, x: typing.Annotated[numpy.typing.ArrayLike, numpy.float32], t: typing.Annotated[numpy.typing.ArrayLike, numpy.int64]) -> numpy.typing.NDArray[numpy.float32]:
        ...
    @property
    def action_dim(self) -> int:
        ...
    @property
    def config(self) -> str:
        ...
    @property
    def horizon(self) -> int:
        ...
    @property
    def observation_dim(self) -> int:
        ...
    @property
    def parameters(self) -> int:
        ...
    @property
    def stride(self) -> int:
        ...
    @property
    def timesteps(self) -> int:
        ...
class Planner:
    """
    A model that acts, by itself or led by a reward.
    """
    def __init__(self, model: Model, guide: AnyGuide = None, config: str = '{}') -> None:
        ...
    def act(self, obs: typing.Annotated[numpy.typing.ArrayLike, numpy.float64], episode_start: collections.abc.Sequence[typing.SupportsInt | typing.SupportsIndex]) -> numpy.typing.NDArray[numpy.float64]:
        """
        Actions [n, action_dim] for observations [n, observation_dim]; plans of instances whose flag is set are made anew.
        """
    def plan(self) -> numpy.typing.NDArray[numpy.float32]:
        """
        The present plans [n, horizon, width], data units.
        """
class Agent:
    """
    A trained agent, from the folder of rl.
    """
    def __init__(self, folder: os.PathLike | str | bytes) -> None:
        ...
    def act(self, obs: typing.Annotated[numpy.typing.ArrayLike, numpy.float64], stochastic: bool) -> numpy.typing.NDArray[numpy.float64]:
        """
        Actions [n, action_dim] for observations [n, observation_dim].
        """
def describe_commands() -> str:
    """
    Every command with its fields, as JSON text.
    """
def extract_models(expert: Model, base: Model, expert_windows: typing.Annotated[numpy.typing.ArrayLike, numpy.float32], base_windows: typing.Annotated[numpy.typing.ArrayLike, numpy.float32], method: str, config: str, folder: os.PathLike | str | bytes, threads: typing.SupportsInt | typing.SupportsIndex, progress: bool) -> str:
    """
    Extracts a reward from models and windows [n, horizon, width] into a folder; returns its report as JSON.
    """
def own_guide(object: typing.Any) -> AnyGuide:
    """
    A guide written in Python: object.value(x, t) and object.gradient(x, t).
    """
def own_model(object: typing.Any, betas: collections.abc.Sequence[typing.SupportsFloat | typing.SupportsIndex], horizon: typing.SupportsInt | typing.SupportsIndex, action_dim: typing.SupportsInt | typing.SupportsIndex, observation_dim: typing.SupportsInt | typing.SupportsIndex) -> Model:
    """
    A model written in Python: object.predict(x, t) and object.pull(x, t, gradient).
    """
def run_cli(args: collections.abc.Sequence[str]) -> int:
    """
    Runs `diffreward <args>` and returns its exit code. Takes over the signals of the process: for programs.
    """
def run_command(name: str, config: str, progress: bool) -> str:
    """
    Runs a command with a config as JSON text; returns its result as JSON text.
    """
