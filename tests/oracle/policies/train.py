"""Makes the policies that tests/oracle/locomotion_test.py plays: linear ones, found by the cross-entropy method.

usage: PYTHONPATH=build/release/python python tests/oracle/policies/train.py [ROBOT ...]

An episode counts until the robot falls, so that a policy must balance before it can gain by moving: episodes last and
reach states that random controls do not. They are no good controllers. Each reads the part of the observation that v4
and v5 share, positions and velocities. What is kept is the mean of the population whose mean did best, over a new
population's worth of episodes, of whose length the last line tells. Some minutes a robot on one core.

Hopper, Walker2d and Humanoid were made so. HalfCheetah and Swimmer, which cannot fall, and Ant are of the first form of
this script: 50 iterations (Ant 25) of 250 steps, an elite of 10, 0.02 added to the deviation, the last mean kept.
"""

import json
import pathlib
import sys

import gymnasium as gym
import numpy as np

import diffreward  # noqa: F401

INPUTS = {"HalfCheetah": 17, "Hopper": 11, "Walker2d": 17, "Swimmer": 8, "Ant": 27, "Humanoid": 45}
SETTINGS = {"iterations": 60, "population": 64, "steps": 500, "options": {}}
PARTICULAR = {
    "HalfCheetah": {"steps": 250},
    "Swimmer": {"steps": 250},
    "Ant": {"steps": 250, "options": {"terminate_when_unhealthy": False}},  # else an early end saves control costs
    "Humanoid": {"population": 100, "steps": 200},
}
ELITE, DEVIATION, NOISE = 0.15, 0.3, 0.1  # NOISE fades to nothing, and keeps the search from ending early


def episodes(envs: gym.vector.VectorEnv, weights: np.ndarray, seed: int, steps: int) -> tuple[np.ndarray, np.ndarray]:
    """Return and length [n] of one episode per policy; weights: [n, outputs, inputs + 1]."""
    high, inputs = envs.single_action_space.high.astype(np.float64), weights.shape[2] - 1
    obs, _ = envs.reset(seed=seed)
    total, length, alive = np.zeros(len(weights)), np.zeros(len(weights)), np.ones(len(weights), dtype=bool)
    for _ in range(steps):
        rows = np.concatenate([np.clip(obs[:, :inputs], -5, 5), np.ones((len(weights), 1))], axis=1)
        obs, reward, terminated, *_ = envs.step(high * np.tanh(np.einsum("noi,ni->no", weights, rows)))
        total += alive * reward
        length += alive
        alive &= ~terminated
        if not alive.any():
            break
    return total, length


def train(robot: str) -> None:
    iterations, population, steps, options = {**SETTINGS, **PARTICULAR.get(robot, {})}.values()
    envs = gym.make_vec(f"diffreward/{robot}-v5", num_envs=population, threads=1, **options)
    shape = (envs.single_action_space.shape[0], INPUTS[robot] + 1)
    rng, mean, deviation = np.random.default_rng(0), np.zeros(shape), np.full(shape, DEVIATION)
    best, best_return, best_length = mean, -np.inf, 0.0
    for iteration in range(iterations):
        weights = rng.normal(mean, deviation, (population, *shape))
        total, _ = episodes(envs, weights, iteration * population, steps)
        elite = weights[np.argsort(total)[-int(ELITE * population):]]
        mean, deviation = elite.mean(axis=0), elite.std(axis=0) + NOISE * (1 - iteration / iterations) ** 2
        if iteration % 10 == 9 or iteration == iterations - 1:
            total, length = episodes(envs, np.broadcast_to(mean, weights.shape), 10**6, steps)
            print(f"{robot} {iteration + 1}: return {total.mean():.0f}, length {length.mean():.0f}", flush=True)
            if total.mean() > best_return:
                best, best_return, best_length = mean, total.mean(), length.mean()
    print(f"{robot}: return {best_return:.0f}, length {best_length:.0f}, means of {population} episodes", flush=True)
    path = pathlib.Path(__file__).with_name(f"{robot}.json")
    path.write_text(json.dumps({"inputs": INPUTS[robot], "weights": best.round(4).tolist()}) + "\n")


for name in sys.argv[1:] or INPUTS:
    train(name)
