"""Many environments that do not wait for each other."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import gymnasium
import numpy as np

from diffreward import _envs, _native


class AsyncBatch(NamedTuple):
    """Results of m instances, in the order in which they finished. The arrays are the caller's own.

    Example:
        >>> envs = dr.AsyncEnv("Maze2D-UMaze-v0", num_envs=2, threads=1)
        >>> envs.reset(seed=0)
        >>> batch = envs.recv(min_results=2)
        >>> sorted(batch.env_id.tolist()), batch.obs.shape, batch.info["goal"].shape
        ([0, 1], (2, 4), (2, 2))
    """

    env_id: np.ndarray  # [m] int32, each instance at most once
    obs: Any  # [m, ...] what the next action answers to
    final_obs: Any  # [m, ...] what the step reached, before any automatic reset
    reward: np.ndarray  # [m]
    terminated: np.ndarray  # [m] bool
    truncated: np.ndarray  # [m] bool
    reset: np.ndarray  # [m] bool, obs is the first of an episode
    info: dict[str, np.ndarray]  # [m] or [m, size], what the environment tells of obs
    final_info: dict[str, np.ndarray]  # [m] or [m, size], and of final_obs


class AsyncEnv(_native.NotCopied):
    """Actions go out to some instances, results come back in the order in which they finish.

    What an instance returns depends on its own actions alone, bit for bit as in ``diffreward.VectorEnv``; the order
    among instances depends on the machine. Arguments are those of ``VectorEnv``; ``threads`` counts workers.

    Raises:
        ValueError: actions of another shape or not finite; an instance that is still in flight; a seed that is not
            an integer of at least 0.
        RuntimeError: from ``recv``, an instance failed (named): no other result is lost, reset that one.

    Example:
        >>> envs = dr.AsyncEnv("HalfCheetah-v5", num_envs=4, threads=2)
        >>> envs.reset(seed=0)
        >>> for _ in range(10):
        ...     batch = envs.recv()                             # whoever has finished
        ...     envs.send(np.zeros((len(batch.env_id), 6)), batch.env_id)
        >>> envs.in_flight
        4
    """

    def __init__(
        self,
        env_id: str,
        num_envs: int = 1,
        *,
        threads: int = 0,
        autoreset_mode: str | gymnasium.vector.AutoresetMode = "NextStep",
        max_episode_steps: int | None = None,
        instances: Sequence[Mapping[str, Any]] | None = None,
        **options: Any,
    ) -> None:
        config, each = _native.vector_config(num_envs, threads, autoreset_mode, max_episode_steps, instances, options)
        name = env_id.rpartition("/")[2]
        self._envs: _envs.Async | None = _envs.make_async(name, json.dumps(config), _native.options_json(name, each))
        self._spec = spec = json.loads(self._envs.spec)
        self.num_envs = num_envs
        self.single_observation_space = _native.observation_space(spec)
        self.single_action_space = _native.action_space(spec)
        self._parts, self._info = _native.part_slices(spec), _native.info_slices(spec)

    def reset(self, *, seed: int) -> None:
        """Sends all instances to a reset; instance i is seeded with seed + i."""
        self.send_reset(np.arange(self.num_envs), seed=_native.seeds_of(_native.seed_of(seed), self.num_envs))

    def send_reset(
        self, env_id: Sequence[int] | np.ndarray, *, seed: Sequence[int] = (), options: Mapping[str, Any] | None = None
    ) -> None:
        """Sends some instances to a reset, which ``recv`` returns as a result with reward 0."""
        seeds = [_native.native_seed(_native.seed_of(one, f"seed of instance {i}")) for i, one in zip(env_id, seed)]
        if len(seed) not in (0, len(env_id)):
            raise ValueError(f"seed: expected {len(env_id)} seeds, got {len(seed)}")
        self._open().send_reset(np.asarray(env_id), seeds, _native.reset_options(self._spec, options or {}, len(env_id)))

    def send(self, actions: np.ndarray, env_id: Sequence[int] | np.ndarray) -> None:
        """Sends instances ``env_id`` to a step; actions: [len(env_id), act_dim]."""
        shape = (len(env_id), *self.single_action_space.shape)
        self._open().send(np.asarray(env_id), _native.check_action(actions, shape))

    def recv(self, min_results: int = 1) -> AsyncBatch:
        """Waits until at least ``min_results`` have finished, and returns all that have."""
        ids, obs, final_obs, *rest, info, final_info = self._open().recv(min_results)
        told = (_native.infos(rows, self._info) for rows in (info, final_info))
        return AsyncBatch(ids, self._observation(obs), self._observation(final_obs), *rest, *told)

    @property
    def in_flight(self) -> int:
        """Results that ``recv`` has yet to deliver."""
        return self._open().in_flight

    def close(self) -> None:
        """Waits for steps that have begun. Closing twice does nothing."""
        self._envs = None

    def _open(self) -> _envs.Async:
        if self._envs is None:
            raise gymnasium.error.ClosedEnvironmentError("the environment has been closed")
        return self._envs

    def _observation(self, rows: np.ndarray) -> Any:
        return {name: rows[:, part] for name, part in self._parts.items()} if self._parts else rows
