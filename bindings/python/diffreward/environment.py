"""One environment behind ``gymnasium.Env``."""

from __future__ import annotations

import json
import math
from typing import Any

import gymnasium
import numpy as np

from diffreward import _envs, _native
from diffreward._batch import Rewarded, make_batch
from diffreward.reward import RewardLike


class Env(gymnasium.Env):
    """A native environment. ``gymnasium.make("diffreward/<id>", ...)`` makes it and adds the step limit.

    Args:
        env_id: the native id, "HalfCheetah-v5". Filled in by ``gymnasium.make``.
        render_mode: "rgb_array" or None. Gymnasium makes "human" and "rgb_array_list" from it.
        width, height: size of rendered frames, pixels.
        reward: what is paid in place of the task's reward (see ``diffreward.VectorEnv``).
        reading: how a learned reward is paid out (see ``diffreward.load_reward``).
        **options: the environment's own options (``diffreward.env_options(env_id)``).

    ``reset`` takes ``options`` with any of ``start_cell``, ``goal_cell`` (row, column), ``start``, ``goal``
    (cells; all four mazes only) and ``state`` (from ``get_state``).

    Raises:
        TypeError: an unknown option, naming the nearest.
        ValueError: a value out of range; an action of another shape, or one that is not finite.
        gymnasium.error.ResetNeeded: a step before the first reset, or after termination.
        gymnasium.error.ClosedEnvironmentError: use after close.
        RuntimeError: the simulation diverged; a reset mends it.
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
        _native.check_render_mode(render_mode)
        # Gymnasium's wrappers truncate; the batch of one does nothing by itself.
        config = {"count": 1, "threads": 1, "autoreset": "disabled", "max_steps": 0}
        self._batch: Rewarded | None = make_batch(env_id, config, options, reward, reading)
        spec = self._batch.spec
        self.render_mode, self._size = render_mode, (width, height)
        self.metadata = {**type(self).metadata, "render_fps": round(1 / spec["seconds_per_step"])}
        self.observation_space = _native.observation_space(spec)
        self.action_space = _native.action_space(spec)
        self._parts, self._info = _native.part_slices(spec), _native.info_slices(spec)
        self._running = False

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[Any, dict[str, Any]]:
        batch, first = self._open(), self._np_random is None
        super().reset(seed=seed)
        if seed is None and first:
            seed = int(self.np_random.integers(2**63))
        self._running = False
        batch.reset([], [] if seed is None else [seed], _native.reset_options(options or {}, 1))
        self._running = True
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
        return self._observation(batch.obs[0]), float(batch.reward[0]), terminated, False, self._infos(batch)

    def render(self) -> np.ndarray | None:
        batch = self._open()
        return None if self.render_mode is None else batch.render(0, *self._size)

    def close(self) -> None:
        self._batch = None

    def get_state(self) -> np.ndarray:
        """The exact state, random generator included; ``reset(options={"state": state})`` or ``set_state`` resumes."""
        return self._open().state()

    def set_state(self, state: np.ndarray) -> Any:
        """Resumes at a state of ``get_state`` to equal bits, and returns its observation."""
        batch = self._open()
        batch.set_state(state)
        self._running = not bool(batch.terminated[0])
        return self._observation(batch.obs[0])

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


class GoalEnv(Env):
    """An ``Env`` whose task's reward and end are functions of goals: Gymnasium-Robotics' ``GoalEnv``, for PointMaze.

    Goals are positions m, [2] or [..., 2]; ``info`` is not read. All three say what ``step`` says of the goal reached
    and the goal that was desired, whatever ``reward=`` pays instead.
    """

    def __init__(self, env_id: str, **kwargs: Any) -> None:
        super().__init__(env_id, **kwargs)
        options = {option["name"]: option["default"] for option in json.loads(_envs.env_options(env_id))} | kwargs
        self._dense, self._continuing = options["reward_type"] == "dense", options["continuing_task"]

    def compute_reward(self, achieved_goal: np.ndarray, desired_goal: np.ndarray, info: Any) -> np.float64 | np.ndarray:
        """What reaching ``achieved_goal`` pays; [...], a row a goal."""
        distance = self._distance(achieved_goal, desired_goal)
        if self._dense:
            return np.asarray(_exp(-distance), dtype=np.float64)[()]
        return (distance <= _envs.GOAL_RADIUS).astype(np.float64)

    def compute_terminated(self, achieved_goal: np.ndarray, desired_goal: np.ndarray, info: Any) -> bool | np.ndarray:
        """Whether reaching ``achieved_goal`` ends the episode; a row a goal, where Gymnasium-Robotics takes one only."""
        ended = np.logical_and(not self._continuing, self._distance(achieved_goal, desired_goal) <= _envs.GOAL_RADIUS)
        return ended if ended.ndim else bool(ended)

    def compute_truncated(self, achieved_goal: np.ndarray, desired_goal: np.ndarray, info: Any) -> bool:
        """Never: a step limit truncates."""
        return False

    @staticmethod
    def _distance(achieved_goal: np.ndarray, desired_goal: np.ndarray) -> np.floating | np.ndarray:
        return np.linalg.norm(np.subtract(achieved_goal, desired_goal), axis=-1)


_exp = np.frompyfunc(math.exp, 1, 1)  # the C library's, which pays in step; NumPy's may differ in the last bit
