"""Stable-Baselines3's interface around a native batch."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import gymnasium
import numpy as np
from gymnasium.vector import AutoresetMode
from stable_baselines3.common.vec_env.base_vec_env import VecEnv, VecEnvIndices, VecEnvObs, VecEnvStepReturn

from diffreward.vector_environment import Instance, VectorEnv


def make_vec_env(env_id: str, n_envs: int = 1, **kwargs: Any) -> Sb3VecEnv:
    """``gymnasium.make_vec`` for Stable-Baselines3: ``PPO("MlpPolicy", make_vec_env("diffreward/Hopper-v5", 16))``."""
    envs = gymnasium.make_vec(env_id, num_envs=n_envs, autoreset_mode=AutoresetMode.SAME_STEP, **kwargs)
    return Sb3VecEnv(envs)


class Sb3VecEnv(VecEnv):
    """A ``diffreward.VectorEnv`` with same-step autoreset as Stable-Baselines3's ``VecEnv``.

    ``infos[i]`` holds instance i's entries; at an end also ``terminal_observation`` and ``TimeLimit.truncated``.
    ``get_attr``, ``set_attr`` and ``env_method`` reach what an instance offers beside ``reset`` and ``step``: functions of
    goals, a robot's simulation, ``render``, its spaces. No instance is wrapped.
    """

    def __init__(self, envs: VectorEnv) -> None:
        if envs.metadata["autoreset_mode"] != AutoresetMode.SAME_STEP:
            raise ValueError("Sb3VecEnv: expected autoreset_mode='SameStep', as Stable-Baselines3 resets")
        self.envs, self._instances = envs, envs.unwrapped._each()
        super().__init__(envs.num_envs, envs.single_observation_space, envs.single_action_space)

    def reset(self) -> VecEnvObs:
        seeds = None if all(seed is None for seed in self._seeds) else list(self._seeds)
        options: dict[str, Any] = {}
        for i, one in enumerate(self._options):
            for name, value in one.items():
                options.setdefault(name, [None] * self.num_envs)[i] = value
        for name, values in options.items():
            if any(value is None for value in values):
                raise ValueError(f"Sb3VecEnv: option {name!r} must be given for all instances or for none")
        obs, infos = self.envs.reset(seed=seeds, options={k: np.array(v) for k, v in options.items()})
        self.reset_infos = [self._info(infos, i) for i in range(self.num_envs)]
        self._reset_seeds()
        self._reset_options()
        return obs

    def step_async(self, actions: np.ndarray) -> None:
        self._actions = actions

    def step_wait(self) -> VecEnvStepReturn:
        obs, rewards, terminated, truncated, infos = self.envs.step(self._actions)
        dones = np.logical_or(terminated, truncated)
        final_obs, final_info = infos.pop("final_obs", None), infos.pop("final_info", None)
        told = []
        for i in range(self.num_envs):
            info = self._info(final_info if dones[i] else infos, i)
            info["TimeLimit.truncated"] = bool(truncated[i])
            if dones[i]:
                info["terminal_observation"] = final_obs[i]
            told.append(info)
        return obs, rewards.astype(np.float32), dones, told

    def close(self) -> None:
        self.envs.close()

    def get_images(self) -> Sequence[np.ndarray | None]:
        return list(self.envs.render()) if self.render_mode == "rgb_array" else [None] * self.num_envs

    def get_attr(self, attr_name: str, indices: VecEnvIndices = None) -> list[Any]:
        return [getattr(instance, attr_name) for instance in self._chosen(indices)]

    def set_attr(self, attr_name: str, value: Any, indices: VecEnvIndices = None) -> None:
        for instance in self._chosen(indices):
            setattr(instance, attr_name, value)

    def env_method(self, method_name: str, *args: Any, indices: VecEnvIndices = None, **kwargs: Any) -> list[Any]:
        return [getattr(instance, method_name)(*args, **kwargs) for instance in self._chosen(indices)]

    def env_is_wrapped(self, wrapper_class: type, indices: VecEnvIndices = None) -> list[bool]:
        return [False for _ in self._chosen(indices)]

    def _chosen(self, indices: VecEnvIndices) -> list[Instance]:
        """All instances, or those of one number or several; negative numbers count from the end."""
        chosen = range(self.num_envs) if indices is None else np.atleast_1d(np.asarray(indices, dtype=int)).tolist()
        for i in chosen:
            if not -self.num_envs <= i < self.num_envs:
                raise IndexError(f"indices: expected instances in [0, {self.num_envs}), got {i}")
        return [self._instances[i] for i in chosen]

    @staticmethod
    def _info(infos: dict[str, Any], i: int) -> dict[str, Any]:
        return {name: values[i] for name, values in infos.items() if not name.startswith("_")}
