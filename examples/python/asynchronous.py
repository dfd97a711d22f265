"""Step instances as they finish: a policy works on some while others are stepped.

    python examples/python/asynchronous.py
"""

import numpy as np

import diffreward

envs = diffreward.AsyncEnv("diffreward/Hopper-v5", num_envs=32, threads=2)
envs.reset(seed=0)
rng, steps = np.random.default_rng(0), np.zeros(32, dtype=int)
while steps.sum() < 4000:
    batch = envs.recv(8)  # at least 8 results, in the order in which they finished
    steps[batch.env_id] += 1
    envs.send(rng.uniform(-1, 1, (len(batch.env_id), 3)), batch.env_id)
print(f"{steps.sum()} steps, between {steps.min()} and {steps.max()} an instance")
