"""Record a data set with Minari's collector, and read it back with Minari and with us.

    python examples/python/record.py [episodes]
"""

import os
import sys
import tempfile

root = tempfile.mkdtemp()
os.environ["MINARI_DATASETS_PATH"] = root  # before minari is imported

import gymnasium as gym  # noqa: E402
import minari  # noqa: E402

import diffreward  # noqa: E402

env = minari.DataCollector(gym.make("diffreward/Hopper-v5"))
for episode in range(int(sys.argv[1]) if len(sys.argv) > 1 else 10):
    env.reset(seed=episode)
    ended = False
    while not ended:
        _, _, terminated, truncated, _ = env.step(env.action_space.sample())
        ended = terminated or truncated
recorded = env.create_dataset(dataset_id="hopper/random-v0", algorithm_name="random")
print(f"{recorded.total_episodes} episodes, {recorded.total_steps} steps in Minari's format")

data = diffreward.open_dataset(f"{root}/hopper/random-v0")
print(f"observations {data.observations.shape}, mean reward {data.rewards.mean():.3f}, terminals {data.terminals.sum()}")
