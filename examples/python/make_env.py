"""Make an environment, step it, look at it. Prints the return of a random policy and writes a frame.

    python examples/python/make_env.py [frame.png]
"""

import sys

import gymnasium as gym
from PIL import Image

import diffreward  # noqa: F401  registers diffreward/...

env = gym.make("diffreward/Maze2D-UMaze-v0", render_mode="rgb_array")
obs, info = env.reset(seed=0, options={"goal_cell": (1, 1)})
print("observation", obs.round(2), "goal", info["goal"])

total, ended = 0.0, False
while not ended:
    obs, reward, terminated, truncated, info = env.step(env.action_space.sample())
    total += reward
    ended = terminated or truncated
print("return of a random policy:", total)
Image.fromarray(env.render()).save(sys.argv[1] if len(sys.argv) > 1 else "frame.png")
