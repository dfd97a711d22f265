"""Gymnasium's documentation of vector environments as a checker, by comparison with its own SyncVectorEnv.

Both sides are stepped from equal seeds with equal actions through several ends of episodes. Observations, rewards,
flags and every entry of `info`, masks included, must be equal.
"""

from __future__ import annotations

from typing import Any

import gymnasium as gym
import numpy as np
from gymnasium.vector import AutoresetMode, SyncVectorEnv

COUNT, LIMIT, STEPS = 3, 12, 40


def check_vector_env(env_id: str, mode: AutoresetMode) -> None:
    envs = gym.make_vec(env_id, num_envs=COUNT, autoreset_mode=mode, max_episode_steps=LIMIT)
    reference = SyncVectorEnv(
        [lambda i=i: gym.make(env_id, max_episode_steps=LIMIT) for i in range(COUNT)], autoreset_mode=mode
    )
    assert isinstance(envs, gym.vector.VectorEnv)
    assert envs.num_envs == COUNT
    assert envs.metadata["autoreset_mode"] is mode
    assert envs.spec.id == env_id
    for name in ("observation_space", "action_space", "single_observation_space", "single_action_space"):
        assert getattr(envs, name) == getattr(reference, name), name
    rng = np.random.default_rng(0)
    _equal("reset", envs.reset(seed=11), reference.reset(seed=11))
    ended = np.zeros(COUNT, dtype=bool)
    ends = 0
    for step in range(STEPS):
        if mode is AutoresetMode.DISABLED and ended.any():
            ours = envs.reset(options={"reset_mask": ended.copy()})
            theirs = reference.reset(options={"reset_mask": ended.copy()})
            _equal(f"masked reset before step {step}", ours, theirs)
        actions = rng.uniform(-1, 1, envs.action_space.shape)
        ours, theirs = envs.step(actions), reference.step(actions)
        _equal(f"step {step}", ours, theirs)
        _types(envs, ours)
        ended = np.logical_or(ours[2], ours[3])
        ends += ended.sum()
        if step == 15:  # one instance out of turn
            mask = np.array([False, True, False])
            _equal("masked reset", envs.reset(seed=[None, 5, None], options={"reset_mask": mask.copy()}),
                   reference.reset(seed=[None, 5, None], options={"reset_mask": mask.copy()}))
            ended[1] = False
    assert ends >= 2 * COUNT, "the checker saw too few ends"
    envs.close()
    reference.close()


def _types(envs: gym.vector.VectorEnv, outcome: tuple[Any, ...]) -> None:
    obs, reward, terminated, truncated, info = outcome
    assert envs.observation_space.contains(obs)
    assert reward.dtype == np.float64
    assert terminated.dtype == truncated.dtype == np.bool_
    for name, value in info.items():
        assert isinstance(name, str)
        assert isinstance(value, (np.ndarray, dict)), name


def _equal(where: str, ours: Any, theirs: Any) -> None:
    if isinstance(theirs, dict):
        assert isinstance(ours, dict), where
        assert set(ours) == set(theirs), (where, set(ours) ^ set(theirs))
        for name in theirs:
            mask = theirs.get(f"_{name}")
            if mask is None or isinstance(theirs[name], dict):
                _equal(f"{where}: {name}", ours[name], theirs[name])
            else:  # entries outside the mask mean nothing
                _equal(f"{where}: {name}", ours[name][mask], theirs[name][mask])
    elif isinstance(theirs, tuple):
        assert len(ours) == len(theirs), where
        for k, (a, b) in enumerate(zip(ours, theirs, strict=True)):
            _equal(f"{where}[{k}]", a, b)
    elif isinstance(theirs, np.ndarray) and theirs.dtype == object:
        for a, b in zip(ours, theirs, strict=True):
            _equal(where, a, b)
    else:
        np.testing.assert_array_equal(ours, theirs, err_msg=where)
