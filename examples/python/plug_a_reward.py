"""Put a learned reward, or a function, in the place of the task's own.

    python examples/python/plug_a_reward.py results/demo/reward
"""

import sys

import gymnasium as gym
import numpy as np

import diffreward

# A reward that `diffreward extract` or `make demo` wrote, paid out as a density ratio.
envs = gym.make_vec(
    "diffreward/Maze2D-UMaze-v0",
    num_envs=16,
    reward=sys.argv[1],
    reading={"reading": "density_ratio", "beta": 12},
)
envs.reset(seed=0)
for _ in range(100):
    obs, rewards, _, _, info = envs.step(envs.action_space.sample())
print(f"learned reward {rewards.mean():.3f}, the task's own {info['env_reward'].mean():.3f}")

# The same reward as a function of transitions, with the signature of the imitation library.
reward = diffreward.load_reward(sys.argv[1])
spots = np.array([[1.0, 1.0, 0.0, 0.0], [3.0, 3.0, 0.0, 0.0]])
print("at the goal and far from it:", reward(spots, np.zeros((2, 2)), spots, np.zeros(2, dtype=bool)))


# Any function of a batch of transitions will do.
def stay_still(obs, actions, next_obs, dones):
    return -np.abs(next_obs[:, 2:]).sum(axis=1)


envs = gym.make_vec("diffreward/Maze2D-UMaze-v0", num_envs=16, reward=stay_still)
envs.reset(seed=0)
print("paid for standing still:", envs.step(np.zeros((16, 2)))[1].mean())
