"""Makes the policies that tests/oracle/locomotion_test.py plays: linear ones, found by the cross-entropy method.

usage: PYTHONPATH=build/release/python python tests/oracle/policies/train.py [ROBOT ...]

They move and balance better than random controls, so that episodes last and reach other states; they are no good
controllers. Each reads the part of the observation that v4 and v5 share, positions and velocities.
"""

import json
import pathlib
import sys

import gymnasium as gym
import numpy as np

import diffreward  # noqa: F401

INPUTS = {"HalfCheetah": 17, "Hopper": 11, "Walker2d": 17, "Swimmer": 8, "Ant": 27, "Humanoid": 45}
ITERATIONS = {"Ant": 25, "Humanoid": 8}
POPULATION, ELITE, STEPS = 64, 10, 250


def train(robot: str) -> None:
    envs = gym.make_vec(f"diffreward/{robot}-v5", num_envs=POPULATION, threads=1, autoreset_mode="Disabled",
                        terminate_when_unhealthy=False) if robot not in ("HalfCheetah", "Swimmer") else gym.make_vec(
        f"diffreward/{robot}-v5", num_envs=POPULATION, threads=1, autoreset_mode="Disabled")
    rng, inputs, outputs = np.random.default_rng(0), INPUTS[robot], envs.single_action_space.shape[0]
    high = envs.single_action_space.high.astype(np.float64)
    mean, deviation = np.zeros((outputs, inputs + 1)), np.full((outputs, inputs + 1), 0.3)
    for iteration in range(ITERATIONS.get(robot, 50)):
        weights = rng.normal(mean, deviation, (POPULATION, outputs, inputs + 1))
        obs, _ = envs.reset(seed=iteration)
        total = np.zeros(POPULATION)
        for _ in range(STEPS):
            rows = np.concatenate([np.clip(obs[:, :inputs], -5, 5), np.ones((POPULATION, 1))], axis=1)
            obs, reward, *_ = envs.step(high * np.tanh(np.einsum("noi,ni->no", weights, rows)))
            total += reward
        best = weights[np.argsort(total)[-ELITE:]]
        mean, deviation = best.mean(axis=0), best.std(axis=0) + 0.02
    print(f"{robot}: mean return of the last population {total.mean():.0f}, of its best {total.max():.0f}", flush=True)
    path = pathlib.Path(__file__).with_name(f"{robot}.json")
    path.write_text(json.dumps({"inputs": inputs, "weights": mean.round(4).tolist()}) + "\n")


for name in sys.argv[1:] or INPUTS:
    train(name)
