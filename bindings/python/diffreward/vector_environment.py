"""Many environments stepped as one, behind ``gymnasium.vector.VectorEnv``."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any
from weakref import WeakSet

import gymnasium
import numpy as np
from gymnasium.vector import AutoresetMode
from gymnasium.vector.utils import batch_space

from diffreward import _envs, _native
from diffreward._batch import Rewarded, make_batch
from diffreward._instance import Goals, Part, Robot, part_of
from diffreward.reward import RewardLike


class VectorEnv(_native.NotCopied, gymnasium.vector.VectorEnv):
    """Native environments on a pool of threads. ``gymnasium.make_vec("diffreward/<id>", num_envs=n, ...)`` makes it.

    Args:
        env_id: the native id, "HalfCheetah-v5". Filled in by ``gymnasium.make_vec``.
        num_envs: number of instances.
        threads: threads that step them; 0 means one per core. Results do not depend on it.
        autoreset_mode: what follows the end of an episode, as Gymnasium defines it: "NextStep" (default),
            "SameStep" or "Disabled".
        max_episode_steps: steps until truncation, as ``gymnasium.make`` takes it: None for the environment's own, -1
            for no limit. Filled in by ``gymnasium.make_vec``.
        copy: whether arrays that ``reset`` and ``step`` return are the caller's own. Without, observations, rewards
            and flags are read-only views of the batch's memory: they show the latest step, change with the next one,
            and stay valid as long as anyone holds them, after ``close`` too.
        render_mode: "rgb_array", "rgb_array_list" or None. With the second ``render`` returns a list an instance: its
            frames since the latest reset or the latest ``render``, whichever was later.
        width, height: size of rendered frames, pixels.
        reward: what is paid in place of the task's reward, which ``info["env_reward"]`` keeps: a reward's file or
            folder, a ``diffreward.Reward``, or a function ``(obs, actions, next_obs, dones) -> rewards`` of arrays
            with a row an instance.
        reading: how a learned reward is paid out (see ``diffreward.load_reward``).
        instances: options that differ, one mapping an instance: ``[{"physics": {"gravity": -1.6}}, {}, ...]``.
        **options: the environment's own options (``diffreward.env_options(env_id)``), for all instances.

    Seeds are integers of any size: one, which counts up over the instances, or a list. ``reset`` takes ``options`` with
    ``reset_mask`` (bool, [num_envs]), what the environment's page lists (mazes: ``start_cell``, ``goal_cell``, ``start``,
    ``goal``; two numbers, or [num_envs, 2]) and ``state`` ([num_envs, size], rows from ``instance_state``).

    Raises:
        TypeError: an unknown option, naming the nearest; actions that are not numbers.
        ValueError: a value out of range; actions of another shape, or one that is not finite, naming the instance; a
            seed that is not an integer of at least 0.
        gymnasium.error.ResetNeeded: a step before the first reset.
        gymnasium.error.ClosedEnvironmentError: use after close.
        RuntimeError: an instance failed (named); the others have finished their step, and all can be used after
            a reset whose mask covers the failed one.

    Example:
        >>> envs = gym.make_vec("diffreward/Hopper-v5", num_envs=3, threads=1)
        >>> obs, info = envs.reset(seed=[0, 7, 2**80])
        >>> obs, rewards, terminated, truncated, info = envs.step(envs.action_space.sample())
        >>> obs.shape, rewards.shape
        ((3, 11), (3,))
    """

    metadata = {"render_modes": ["rgb_array", "rgb_array_list"], "autoreset_mode": AutoresetMode.NEXT_STEP}

    def __init__(
        self,
        env_id: str,
        num_envs: int = 1,
        *,
        threads: int = 0,
        autoreset_mode: str | AutoresetMode = AutoresetMode.NEXT_STEP,
        max_episode_steps: int | None = None,
        copy: bool = True,
        render_mode: str | None = None,
        width: int = 480,
        height: int = 480,
        reward: RewardLike | None = None,
        reading: dict[str, Any] | None = None,
        instances: Sequence[Mapping[str, Any]] | None = None,
        **options: Any,
    ) -> None:
        _native.check_render_mode(render_mode, self.metadata["render_modes"])
        self._size = _native.picture_size(width, height)
        mode = AutoresetMode(autoreset_mode)
        config, each = _native.vector_config(num_envs, threads, mode, max_episode_steps, instances, options)
        self._batch: Rewarded | None = make_batch(env_id, config, each, reward, reading)
        spec = self._batch.spec
        self.num_envs, self.render_mode, self._copy = num_envs, render_mode, copy
        self._frames = [[] for _ in range(num_envs)] if render_mode == "rgb_array_list" else None
        self._env_id, self._options = env_id, [each] * num_envs if isinstance(each, Mapping) else each
        self._watched: WeakSet[Instance] = WeakSet()
        seconds = spec["seconds_per_step"]
        if seconds is None:  # instances differ
            first = _envs.env_spec(env_id, _native.options_json(env_id, self._options[0]))
            seconds = json.loads(first)["seconds_per_step"]
        self.metadata = {
            **type(self).metadata,
            "render_fps": round(1 / seconds),
            "autoreset_mode": mode,
        }
        self.single_observation_space = _native.observation_space(spec)
        self.single_action_space = _native.action_space(spec)
        self.observation_space = batch_space(self.single_observation_space, num_envs)
        self.action_space = batch_space(self.single_action_space, num_envs)
        self._parts, self._info = _native.part_slices(spec), _native.info_slices(spec)
        self._same_step, self._next_step = mode == AutoresetMode.SAME_STEP, mode == AutoresetMode.NEXT_STEP
        self._everyone = np.ones(num_envs, dtype=bool)
        self._seeded = np.zeros(num_envs, dtype=bool)  # instances whose generators have started

    def reset(
        self, *, seed: int | Sequence[int | None] | None = None, options: dict[str, Any] | None = None
    ) -> tuple[Any, dict[str, Any]]:
        batch, options = self._open(), dict(options or {})
        mask = self._check_mask(options.pop("reset_mask", self._everyone))
        given = self._seeds(seed)
        has_seed = np.array([one is not None for one in given])
        native = _native.reset_options(batch.spec, options, self.num_envs)
        for part, seeds in ((mask & has_seed, [one or 0 for one in given]), (mask & ~has_seed, [])):
            if part.any():
                batch.reset(part.tolist(), [_native.native_seed(one) for one in seeds], native)
        self._seeded |= mask
        self._reached(batch, mask, mask)
        return self._observation(batch.obs), self._infos(batch, batch.info, mask)

    def step(
        self, actions: np.ndarray
    ) -> tuple[Any, np.ndarray, np.ndarray, np.ndarray, dict[str, Any]]:
        batch = self._open()
        if not self._seeded.all():
            raise gymnasium.error.ResetNeeded("Cannot call env.step() before calling env.reset()")
        began = np.logical_or(batch.terminated, batch.truncated) if self._next_step else None
        batch.step(_native.check_action(actions, self.action_space.shape))
        terminated, truncated = batch.terminated, batch.truncated
        infos = self._infos(batch, batch.info, self._everyone)
        if self._same_step:
            began = np.logical_or(terminated, truncated)
            self._add_final(infos, batch, began)
        self._reached(batch, self._everyone, began)
        if not self._copy:
            return self._observation(batch.obs), batch.reward, terminated, truncated, infos
        return self._observation(batch.obs), batch.reward.copy(), terminated.copy(), truncated.copy(), infos

    def render(self) -> tuple[np.ndarray, ...] | tuple[list[np.ndarray], ...] | None:
        batch = self._open()
        if self.render_mode is None:
            return None
        if self._frames is None:
            return tuple(batch.render(i, *self._size) for i in range(self.num_envs))
        frames, self._frames = self._frames, [[] for _ in range(self.num_envs)]
        return tuple(frames)

    def close_extras(self, **kwargs: Any) -> None:
        self._batch = None

    def save_state(self) -> np.ndarray:
        """The exact state of the whole batch: simulators, generators, step counts, the latest outcome."""
        return self._open().state()

    def load_state(self, state: np.ndarray) -> Any:
        """Resumes at a state of ``save_state`` to equal bits, and returns its observations."""
        batch = self._open()
        batch.set_state(np.ascontiguousarray(state, dtype=np.float64))
        self._seeded[:] = True
        self._reached(batch, self._everyone, self._everyone)
        return self._observation(batch.obs)

    def instance_state(self, i: int) -> np.ndarray:
        """The exact state of instance ``i``, as ``reset(options={"state": ...})`` takes it."""
        return self._open().instance_state(i)

    def _each(self) -> list[Instance]:
        """The instances as environments of their own, for libraries that ask each of them."""
        kind = {Part: Instance, Goals: GoalInstance, Robot: RobotInstance}[part_of(self._env_id)]
        found = [kind(self, i) for i in range(self.num_envs)]
        self._watched.update(found)
        return found

    def _reached(self, batch: Rewarded, mask: np.ndarray, began: np.ndarray | None) -> None:
        """Notes the states of instances in `mask`; `began` tells of which a new episode shows."""
        for one in self._watched:
            one._changed()
        if self._frames is None:
            return
        for i in np.flatnonzero(mask):
            if began is not None and began[i]:
                self._frames[i].clear()
            self._frames[i].append(batch.render(int(i), *self._size))

    def _open(self) -> Rewarded:
        if self._batch is None:
            raise gymnasium.error.ClosedEnvironmentError("the vector environment has been closed")
        return self._batch

    def _seeds(self, seed: int | Sequence[int | None] | None) -> list[int | None]:
        """A seed an instance; None lets its generator go on, and starts one that never started at random."""
        seeds = _native.seeds_of(seed, self.num_envs)
        if np.ndim(seed) == 0 and seed is not None:
            self._np_random, self._np_random_seed = gymnasium.utils.seeding.np_random(seeds[0])
        return [
            int(self.np_random.integers(2**62)) if one is None and not seeded else one
            for one, seeded in zip(seeds, self._seeded, strict=True)
        ]

    def _check_mask(self, mask: Any) -> np.ndarray:
        if not isinstance(mask, np.ndarray) or mask.dtype != np.bool_:
            raise TypeError("`options['reset_mask']` must be a NumPy array of dtype bool")
        if mask.shape != (self.num_envs,):
            raise ValueError(f"`options['reset_mask']` must have shape ({self.num_envs},), got {mask.shape}")
        if not mask.any():
            raise ValueError("`options['reset_mask']` must hold at least one True")
        return mask

    def _observation(self, rows: np.ndarray) -> Any:
        if not self._parts:
            return rows.copy() if self._copy else rows
        return {name: rows[:, part].copy() if self._copy else rows[:, part] for name, part in self._parts.items()}

    def _infos(self, batch: Rewarded, rows: np.ndarray, mask: np.ndarray) -> dict[str, Any]:
        infos = {}
        for name, values in _native.infos(rows.copy(), self._info).items():
            infos[name], infos[f"_{name}"] = values, mask.copy()
        if batch.rewarded:
            infos["env_reward"], infos["_env_reward"] = batch.task_reward.copy(), mask.copy()
        return infos

    def _add_final(self, infos: dict[str, Any], batch: Rewarded, ended: np.ndarray) -> None:
        if not ended.any():
            return
        final_obs = np.full(self.num_envs, None, dtype=object)
        for i in np.flatnonzero(ended):
            row = batch.final_obs[i]
            final_obs[i] = {name: row[part].copy() for name, part in self._parts.items()} if self._parts else row.copy()
        infos["final_obs"], infos["_final_obs"] = final_obs, ended
        infos["final_info"], infos["_final_info"] = self._infos(batch, batch.final_info, ended), ended.copy()


class Instance(Part):
    """One instance of a ``VectorEnv`` with what it offers beside ``reset`` and ``step``."""

    def __init__(self, envs: VectorEnv, i: int) -> None:
        self._envs, self._i = envs, i
        self.observation_space, self.action_space = envs.single_observation_space, envs.single_action_space
        self.metadata, self.render_mode, self.spec, self.unwrapped = envs.metadata, envs.render_mode, envs.spec, self
        self._describe(envs._env_id, envs._options[i])

    def render(self) -> np.ndarray | None:
        return None if self.render_mode is None else self._envs._open().render(self._i, *self._envs._size)

    def _instance(self) -> tuple[Rewarded, int]:
        return self._envs._open(), self._i


class GoalInstance(Goals, Instance):
    """An ``Instance`` with functions of goals."""


class RobotInstance(Robot, Instance):
    """An ``Instance`` with a robot's simulation."""
