"""The whole method from Python in about two minutes: data, two models, their reward, an agent paid by it.

    python examples/python/chain.py [share of the steps]
"""

import sys

import numpy as np

import diffreward as dr

ENV, GOAL = "Maze2D-UMaze-v0", (1, 1)
SHARE = float(sys.argv[1]) if len(sys.argv) > 1 else 1.0
jitter = {"start_jitter": 0.8}

base_data = dr.generate(env=ENV, random_goal=True, goal_jitter=0.8, **jitter, steps=int(SHARE * 200_000))
expert_data = dr.generate(env=ENV, goal_cell=GOAL, **jitter, steps=int(SHARE * 200_000))
base = dr.train(data=base_data, horizon=1, stride=1, batch=256, steps=int(SHARE * 1500))
expert = dr.train(data=expert_data, start=base, batch=256, steps=int(SHARE * 500))
reward = dr.extract(expert=expert, base=base, expert_data=expert_data, base_data=base_data, channels=[2, 3],
                    hidden=[128, 128], lr=1e-3, batch=256, steps=int(SHARE * 1000), read_t=0)

# What it says of standing at a point: rows are [action, observation].
points = np.zeros((3, 1, 6), dtype=np.float32)
points[:, 0, 2:4] = [GOAL, (1, 3), (3, 1)]
print("reward at the goal, half way, farthest:", reward.score(points).round(2))

agent = dr.rl(env={"id": ENV, "options": {"goal_cell": GOAL, "reward": "dense"}}, reward=reward,
              reading={"reading": "density_ratio", "beta": 12}, env_steps=int(SHARE * 400_000))
print("episodes that end at the goal:", agent.figures["judges"]["task"]["success"]["value"])
print("action at the far end:", agent.predict(np.array([3.0, 1.0, 0.0, 0.0]))[0])
