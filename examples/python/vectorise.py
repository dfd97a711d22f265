"""Step many environments as one: threads, resets by mask, instances that differ, saving and resuming.

    python examples/python/vectorise.py
"""

import time

import gymnasium as gym
import numpy as np

import diffreward  # noqa: F401

envs = gym.make_vec("diffreward/HalfCheetah-v5", num_envs=64, threads=0)
envs.reset(seed=0)
actions = [envs.action_space.sample() for _ in range(50)]
begin = time.perf_counter()
for action in actions:
    obs, rewards, terminated, truncated, info = envs.step(action)
print(f"{64 * len(actions) / (time.perf_counter() - begin):,.0f} steps/s, mean speed {info['x_velocity'].mean():.2f} m/s")

# Two instances go back to a start of their own choosing; the others go on.
mask = np.zeros(64, dtype=bool)
mask[[3, 5]] = True
envs.reset(seed=7, options={"reset_mask": mask})

# The whole batch resumes exactly where it was.
state = envs.unwrapped.save_state()
first = envs.step(actions[0])[0]
envs.unwrapped.load_state(state)
assert np.array_equal(first, envs.step(actions[0])[0])

# Parameters may differ per instance: a cheetah on the Earth beside one on the Moon.
moon = gym.make_vec("diffreward/HalfCheetah-v5", num_envs=2, instances=[{}, {"physics": {"gravity": -1.62}}])
moon.reset(seed=0)
for action in actions:
    obs, *_ = moon.step(action[:2])
print("height on the Earth and on the Moon:", obs[:, 0].round(2))
