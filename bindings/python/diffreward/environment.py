"""One environment behind ``gymnasium.Env``."""

from __future__ import annotations

from typing import Any

import gymnasium
import numpy as np

from diffreward import _native
from diffreward._batch import Rewarded, make_batch
from diffreward._instance import Goals, Part, Robot
from diffreward.reward import RewardLike


class Env(_native.NotCopied, Part, gymnasium.Env):
    """A native environment. ``gymnasium.make("diffreward/<id>", ...)`` makes it and adds the step limit.

    Args:
        env_id: the native id, "HalfCheetah-v5". Filled in by ``gymnasium.make``.
        render_mode: "rgb_array" or None. Gymnasium makes "human" and "rgb_array_list" from it.
        width, height: size of rendered frames, pixels.
        reward: what is paid in place of the task's reward (see ``diffreward.VectorEnv``).
        reading: how a learned reward is paid out (see ``diffreward.load_reward``).
        **options: the environment's own options (``diffreward.env_options(env_id)``).

    ``reset`` takes ``options``: what the environment's page lists (mazes: ``start_cell``, ``goal_cell`` (row, column),
    ``start``, ``goal`` (positions)) and ``state`` (from ``save_state``). Seeds are integers of any size.

    Raises:
        TypeError: an unknown option, naming the nearest.
        ValueError: a value out of range; an action of another shape, or one that is not finite; a seed that is not an
            integer of at least 0.
        gymnasium.error.ResetNeeded: a step before the first reset, or after termination.
        gymnasium.error.ClosedEnvironmentError: use after close.
        RuntimeError: the simulation diverged; a reset mends it.

    Example:
        >>> env = gym.make("diffreward/Maze2D-UMaze-v0", goal_cell=(1, 1))
        >>> obs, info = env.reset(seed=0, options={"start_cell": (3, 3)})
        >>> obs, reward, terminated, truncated, info = env.step(np.array([0.0, -1.0]))
        >>> obs.shape, info["goal"].tolist(), info["success"]
        ((4,), [1.0, 1.0], False)
    """

    metadata = {"render_modes": ["rgb_array"]}

    def __init__(
        self,
        env_id: str,
        *,
        render_mode: str | None = None,
        width: int = 480,
        height: int = 480,
        reward: RewardLike | None = None,
        reading: dict[str, Any] | None = None,
        **options: Any,
    ) -> None:
        _native.check_render_mode(render_mode, self.metadata["render_modes"])
        self._size = _native.picture_size(width, height)
        # Gymnasium's wrappers truncate; the batch of one does nothing by itself.
        config = {"count": 1, "threads": 1, "autoreset": "disabled", "max_steps": 0}
        self._batch: Rewarded | None = make_batch(env_id, config, options, reward, reading)
        spec = self._batch.spec
        self.render_mode = render_mode
        self.metadata = {**type(self).metadata, "render_fps": round(1 / spec["seconds_per_step"])}
        self.observation_space = _native.observation_space(spec)
        self.action_space = _native.action_space(spec)
        self._parts, self._info = _native.part_slices(spec), _native.info_slices(spec)
        self._running = False
        self._describe(env_id, options)

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[Any, dict[str, Any]]:
        batch, first = self._open(), self._np_random is None
        if seed is not None:
            seed = _native.seed_of(seed)
        super().reset(seed=seed)
        if seed is None and first:
            seed = int(self.np_random.integers(2**63))
        self._running = False
        seeds = [] if seed is None else [_native.native_seed(seed)]
        batch.reset([], seeds, _native.reset_options(batch.spec, options or {}, 1))
        self._began()
        return self._observation(batch.obs[0]), self._infos(batch)

    def step(self, action: np.ndarray) -> tuple[Any, float, bool, bool, dict[str, Any]]:
        batch = self._open()
        if not self._running:
            raise gymnasium.error.ResetNeeded("Cannot call env.step() before calling env.reset()")
        self._running = False  # until the step has succeeded
        try:
            batch.step(_native.check_action(action, self.action_space.shape)[None])
        except (TypeError, ValueError):
            self._running = True  # nothing was stepped
            raise
        terminated = bool(batch.terminated[0])
        self._running = not terminated
        self._changed()
        return self._observation(batch.obs[0]), float(batch.reward[0]), terminated, False, self._infos(batch)

    def render(self) -> np.ndarray | None:
        batch = self._open()
        return None if self.render_mode is None else batch.render(0, *self._size)

    def close(self) -> None:
        self._batch = None

    def save_state(self) -> np.ndarray:
        """The exact state, random generator included; ``load_state`` and ``reset(options={"state": state})`` resume."""
        return self._open().state()

    def load_state(self, state: np.ndarray) -> Any:
        """Resumes at a state of ``save_state`` to equal bits, and returns its observation."""
        batch = self._open()
        batch.set_state(np.ascontiguousarray(state, dtype=np.float64))
        self._running = not bool(batch.terminated[0])
        self._changed()
        return self._observation(batch.obs[0])

    def _instance(self) -> tuple[Rewarded, int]:
        return self._open(), 0

    def _began(self) -> None:
        self._running = True
        self._changed()

    def _open(self) -> Rewarded:
        if self._batch is None:
            raise gymnasium.error.ClosedEnvironmentError("the environment has been closed")
        return self._batch

    def _observation(self, row: np.ndarray) -> Any:
        if not self._parts:
            return row.copy()
        return {name: row[part].copy() for name, part in self._parts.items()}

    def _infos(self, batch: Rewarded) -> dict[str, Any]:
        infos = _native.infos(batch.info[0].copy(), self._info)
        if batch.rewarded:
            infos["env_reward"] = float(batch.task_reward[0])
        return infos


class GoalEnv(Goals, Env):
    """An ``Env`` that is a Gymnasium-Robotics ``GoalEnv``."""


class RobotEnv(Robot, Env):
    """An ``Env`` that code for Gymnasium's ``MujocoEnv`` reads."""
