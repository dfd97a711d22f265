"""The native batch, and the reward that is paid for its steps."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from diffreward import _envs, _native
from diffreward.reward import Reward, RewardLike, load_reward


class Rewarded:
    """A native batch that pays the task's reward, a native one, or what a Python function says.

    The arrays are read-only views; see ``diffreward.VectorEnv``.
    """

    def __init__(self, batch: _envs.Batch, rewarded: bool, function: Callable[..., Any] | None, next_step: bool) -> None:
        self._batch, self.rewarded, self._function, self._next_step = batch, rewarded, function, next_step
        self.spec = _native.spec_of(batch)
        self._paid = np.zeros(batch.size)
        self.reset, self.render, self.state = batch.reset, batch.render, batch.state
        self.instance_state, self.set_state = batch.instance_state, batch.set_state
        self.place, self.frame_skip = batch.place, batch.frame_skip
        self.mujoco_model, self.copy_mujoco_data = batch.mujoco_model, batch.copy_mujoco_data
        if function is None:
            self.step = batch.step

    obs = property(lambda self: self._batch.obs)
    final_obs = property(lambda self: self._batch.final_obs)
    info = property(lambda self: self._batch.info)
    final_info = property(lambda self: self._batch.final_info)
    task_reward = property(lambda self: self._batch.task_reward)
    terminated = property(lambda self: self._batch.terminated)
    truncated = property(lambda self: self._batch.truncated)

    @property
    def reward(self) -> np.ndarray:
        return self._batch.reward if self._function is None else self._paid

    def step(self, actions: np.ndarray) -> None:
        """Steps and pays by the function. An instance that only reset in this step is paid 0."""
        before = self._batch.obs.copy()
        ended = np.logical_or(self._batch.terminated, self._batch.truncated)
        self._batch.step(actions)
        done = np.logical_or(self._batch.terminated, self._batch.truncated)
        paid = np.asarray(self._function(before, actions, self._batch.final_obs, done), dtype=np.float64)
        if paid.shape != self._paid.shape:
            raise ValueError(f"reward: expected {self._paid.shape[0]} rewards, got shape {paid.shape}")
        if self._next_step:
            paid = np.where(ended, 0.0, paid)
        if not np.isfinite(paid).all():
            i = int(np.flatnonzero(~np.isfinite(paid))[0])
            raise ValueError(f"reward: instance {i}: expected a finite number, got {paid[i]}")
        self._paid = paid


def make_batch(
    env_id: str,
    config: Mapping[str, Any],
    options: Mapping[str, Any] | Sequence[Mapping[str, Any]],
    reward: RewardLike | None,
    reading: Mapping[str, Any] | None,
) -> Rewarded:
    next_step = config["autoreset"] == "next_step"
    batch = _envs.make_batch(env_id, json.dumps(config), _native.options_json(env_id, options))
    if reward is None:
        if reading is not None:
            raise TypeError("reading: expected a reward with it")
        return Rewarded(batch, False, None, next_step)
    if not isinstance(reward, Reward) and not callable(reward):
        reward = load_reward(reward, **(reading or {}))
    elif reading is not None:
        raise TypeError("reading: belongs to a reward's file; a Reward object has its own")
    if isinstance(reward, Reward):
        return Rewarded(reward.pay(batch), True, None, next_step)
    return Rewarded(batch, True, reward, next_step)
