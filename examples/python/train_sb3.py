"""Train Stable-Baselines3's PPO on a native batch.

    python examples/python/train_sb3.py [steps]
"""

import sys

from stable_baselines3 import PPO
from stable_baselines3.common.vec_env import VecMonitor

from diffreward.sb3 import make_vec_env

envs = VecMonitor(make_vec_env("diffreward/HalfCheetah-v5", n_envs=16))
agent = PPO("MlpPolicy", envs, n_steps=128, batch_size=256, n_epochs=4, seed=0, device="cpu", verbose=0)
agent.learn(int(sys.argv[1]) if len(sys.argv) > 1 else 200_000)

envs.seed(1)
obs, total = envs.reset(), 0.0
for _ in range(1000):
    obs, rewards, _, _ = envs.step(agent.predict(obs, deterministic=True)[0])
    total += rewards.mean()
print(f"mean return of the trained agent: {total:.0f}")
