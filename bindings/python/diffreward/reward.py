"""Learned rewards."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Union

import numpy as np

from diffreward import _envs, _native
from diffreward._arrays import Array, like, native, timesteps
from diffreward.heatmap import Heatmap

RewardLike = Union[str, "os.PathLike[str]", "Reward", Callable[..., Any]]


class Reward:
    """A learned reward of any kind (`diffreward catalog rewards`), with a reading. Made by ``load_reward``.

    Calling it pays transitions with the signature of the imitation library,
    ``reward(obs, actions, next_obs, dones) -> [n]``, so that it fits ``imitation``'s ``RewardVecEnvWrapper``. A
    transition is one row: a reward of longer windows sees that row repeated, as at the start of an episode. Inside
    an environment (``reward=``) windows are filled from the episode's history instead.

    It never changes, so a copy of it is itself; it pickles as its file's path, device and reading, and whoever
    unpickles it loads the file.

    Example:
        >>> standing = np.zeros((2, reward.horizon, 6))         # rows [action, observation], here at (1, 1) and (3, 1)
        >>> standing[:, :, 2:4] = [[[1, 1]], [[3, 1]]]
        >>> reward.score(standing).shape
        (2,)
        >>> envs = gym.make_vec("diffreward/Maze2D-UMaze-v0", num_envs=2, reward=reward)
    """

    def __init__(self, file: str, device: str, reading: Mapping[str, Any]) -> None:
        from diffreward import _rewards  # brings LibTorch in, which takes a second

        self._made_of = os.path.abspath(file), device, dict(reading)
        self._model = _rewards.load_reward(file, json.dumps(reading), device)

    def __copy__(self) -> Reward:
        return self

    def __deepcopy__(self, memo: dict[int, Any]) -> Reward:
        return self

    def __reduce__(self) -> tuple[type[Reward], tuple[str, str, dict[str, Any]]]:
        return Reward, self._made_of

    @property
    def file(self) -> str:
        """The file that it was loaded from."""
        return self._made_of[0]

    @property
    def reading(self) -> dict[str, Any]:
        """How it is paid out, as ``load_reward`` was told; empty for the plain reading by default."""
        return dict(self._made_of[2])

    @property
    def horizon(self) -> int:
        """Rows of a window."""
        return self._model.horizon

    @property
    def stride(self) -> int:
        """Environment steps between the rows of a window."""
        return self._model.stride

    @property
    def reads(self) -> str:
        """What it depends on: the state "reached", "state_action", or the whole "transition"."""
        return self._model.reads

    def score(self, windows: Array) -> Any:
        """Scores [n] float32 of windows [n, horizon, action_dim + observation_dim], higher is preferred."""
        return like(self._model.score(native(windows, "windows")), windows)

    @property
    def guide(self) -> Any:
        """The reward as a function of noised windows, loaded at first use."""
        if not hasattr(self, "_guide"):
            from diffreward import _chain

            self._guide = _chain.Guide(self._made_of[0], self._made_of[1])
        return self._guide

    def value(self, x: Array, t: Array) -> Any:
        """rho(x, t) [n] of noised windows x [n, rows, width], those of the models, in model units; t: timesteps [n] or one."""
        return like(self.guide.value(native(x, "x"), timesteps(t)), x)

    def gradient(self, x: Array, t: Array) -> Any:
        """grad_x rho(x, t), shaped as x: what steers samples."""
        return like(self.guide.gradient(native(x, "x"), timesteps(t)), x)

    def support(self, windows: Array) -> Any:
        """Conformal p-values [n] of windows [n, horizon, width] in data units under the base data: near 0 where the base
        has no mass and the reward extrapolates.
        """
        return like(self.guide.support(native(windows, "windows")), windows)

    def heatmap(
        self,
        maze: str | os.PathLike[str] | Sequence[Sequence[Any]] = "umaze",
        goal: Sequence[float] | None = None,
        *,
        per_cell: int = 16,
        ball_radius: float = 0.1,
    ) -> Heatmap:
        """The reward of standing at each position of a maze: of windows whose rows all have that position, velocity 0
        and action 0. (In the reading "shaped" it is 0: who stands still gains nothing.)

        Args:
            maze: "open", "umaze", "medium" or "large", a map's text, its file, or Gymnasium-Robotics' lists.
            goal: position (x, y) that the peak and the ranks are compared with; the map's own where it has one.
            per_cell: positions per cell and axis, 1 to 256.
            ball_radius: cells; positions nearer to a wall count neither for the peak nor for the ranks.

        Raises:
            ValueError: an unknown or faulty map, a goal in a wall, a value out of range.
        """
        text = _native.map_text("maze", maze) if isinstance(maze, (list, tuple, np.ndarray)) else os.fspath(maze)
        if goal is not None and np.shape(goal) != (2,):
            raise ValueError(f"goal: expected a position (x, y), got {goal!r}")
        place = None if goal is None else (float(goal[0]), float(goal[1]))
        drawn = self.guide.heatmap(text, place, per_cell, ball_radius, json.dumps(self.reading))
        x, y = ((np.arange(size) + 0.5) / per_cell - 0.7 for size in drawn["values"].shape)
        right, bottom = len(y) / per_cell - 0.7, len(x) / per_cell - 0.7
        return Heatmap(x=x, y=y, extent=(-0.7, right, bottom, -0.7), **drawn)

    def __call__(self, obs: Array, actions: Array, next_obs: Array, dones: Array | None = None) -> Any:
        """Rewards [n] float32 of transitions: obs and next_obs [n, observation_dim], actions [n, action_dim]."""
        rows = (native(obs, "obs"), native(actions, "actions"), native(next_obs, "next_obs"))
        return like(self._model.score_transitions(*rows), obs, actions, next_obs)

    def pay(self, batch: _envs.Batch) -> _envs.Batch:
        """The native batch with its reward replaced by this one."""
        from diffreward import _rewards

        return _rewards.rewarded(batch, self._model)


def reward_file(path: str | os.PathLike[str]) -> str:
    """A reward's file: the path, or the one in that folder."""
    return os.path.join(path, "reward.safetensors") if os.path.isdir(path) else os.fspath(path)


def load_reward(path: str | os.PathLike[str], *, device: str = "cpu", **reading: Any) -> Reward:
    """Loads a reward that ``diffreward extract`` wrote.

    Args:
        path: the reward's file, or the folder that holds it.
        device: "cpu" or "cuda".
        **reading: ``reading`` ("plain", "shaped", "density_ratio" or "support"), ``beta``, ``alpha``, ``t``.

    Raises:
        RuntimeError: a file that is missing or damaged, naming it and what was found.
        ValueError: an unknown reading or a value out of range.

    Example:
        >>> ratio = dr.load_reward(reward.file, reading="density_ratio", beta=12)
        >>> ratio.reading
        {'reading': 'density_ratio', 'beta': 12}
    """
    return Reward(reward_file(path), device, reading)
