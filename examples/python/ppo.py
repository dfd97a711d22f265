"""PPO in one file on `gymnasium.make_vec`: nothing here knows DiffReward but the id.

    python examples/python/ppo.py [iterations] [id]

About 500 iterations (2 M steps) of HalfCheetah make it run.
"""

import sys

import gymnasium as gym
import numpy as np
import torch
from torch import nn

import diffreward  # noqa: F401

ITERATIONS = int(sys.argv[1]) if len(sys.argv) > 1 else 500
ENV_ID = sys.argv[2] if len(sys.argv) > 2 else "diffreward/HalfCheetah-v5"
COUNT, STEPS, EPOCHS, MINIBATCHES = 32, 128, 5, 8
GAMMA, LAMBDA, CLIP, LEARNING_RATE = 0.99, 0.95, 0.2, 3e-4

torch.manual_seed(0)
torch.set_num_threads(1)
envs = gym.make_vec(ENV_ID, num_envs=COUNT, autoreset_mode="SameStep")
envs = gym.wrappers.vector.RecordEpisodeStatistics(envs)
obs_dim, act_dim = envs.single_observation_space.shape[0], envs.single_action_space.shape[0]


def mlp(out: int, scale: float) -> nn.Sequential:
    layers = [nn.Linear(obs_dim, 64), nn.Tanh(), nn.Linear(64, 64), nn.Tanh(), nn.Linear(64, out)]
    for layer in layers[::2]:
        nn.init.orthogonal_(layer.weight, 2**0.5 if layer is not layers[-1] else scale)
        nn.init.zeros_(layer.bias)
    return nn.Sequential(*layers)


actor, critic = mlp(act_dim, 0.01), mlp(1, 1.0)
log_std = nn.Parameter(torch.full((act_dim,), -0.5))
optimizer = torch.optim.Adam([*actor.parameters(), *critic.parameters(), log_std], LEARNING_RATE, eps=1e-5)
mean, var, seen = np.zeros(obs_dim), np.ones(obs_dim), 1e-4


def normalise(rows: np.ndarray, learn: bool = True) -> torch.Tensor:
    """Observations in units of their running deviation."""
    global mean, var, seen
    if learn:
        delta, total = rows.mean(0) - mean, seen + len(rows)
        var = (var * seen + rows.var(0) * len(rows) + delta**2 * seen * len(rows) / total) / total
        mean, seen = mean + delta * len(rows) / total, total
    return torch.as_tensor((rows - mean) / np.sqrt(var + 1e-8), dtype=torch.float32).clamp(-10, 10)


obs = normalise(envs.reset(seed=0)[0])
returns: list[float] = []
for iteration in range(ITERATIONS):
    buffer = {name: [] for name in ("obs", "action", "log_prob", "reward", "value", "done")}
    for _ in range(STEPS):
        with torch.no_grad():
            policy = torch.distributions.Normal(actor(obs), log_std.exp())
            action = policy.sample()
            value = critic(obs).squeeze(-1)
        raw, reward, terminated, truncated, info = envs.step(action.clamp(-1, 1).numpy())
        reward = torch.as_tensor(reward, dtype=torch.float32)
        done = np.logical_or(terminated, truncated)
        if truncated.any():  # the limit ended the episode, not the task: what would have followed still counts
            last = normalise(np.stack(info["final_obs"][truncated]), learn=False)
            with torch.no_grad():
                reward[torch.as_tensor(truncated)] += GAMMA * critic(last).squeeze(-1)
        if done.any():
            returns += info["final_info"]["episode"]["r"][done].tolist() if "final_info" in info and "episode" in info[
                "final_info"
            ] else info["episode"]["r"][done].tolist()
        row = (obs, action, policy.log_prob(action).sum(-1), reward, value, torch.as_tensor(done, dtype=torch.float32))
        for name, entry in zip(buffer, row, strict=True):
            buffer[name].append(entry)
        obs = normalise(raw)
    batch = {name: torch.stack(rows) for name, rows in buffer.items()}
    with torch.no_grad():
        following, advantage = critic(obs).squeeze(-1), torch.zeros(COUNT)
        advantages = torch.zeros_like(batch["reward"])
        for t in reversed(range(STEPS)):
            alive = 1 - batch["done"][t]
            error = batch["reward"][t] + GAMMA * following * alive - batch["value"][t]
            advantage = error + GAMMA * LAMBDA * alive * advantage
            advantages[t], following = advantage, batch["value"][t]
    targets = (advantages + batch["value"]).flatten()
    flat = {name: rows.flatten(0, 1) for name, rows in batch.items()}
    for _ in range(EPOCHS):
        for rows in torch.randperm(COUNT * STEPS).chunk(MINIBATCHES):
            policy = torch.distributions.Normal(actor(flat["obs"][rows]), log_std.exp())
            ratio = (policy.log_prob(flat["action"][rows]).sum(-1) - flat["log_prob"][rows]).exp()
            gain = advantages.flatten()[rows]
            gain = (gain - gain.mean()) / (gain.std() + 1e-8)
            loss = -torch.min(gain * ratio, gain * ratio.clamp(1 - CLIP, 1 + CLIP)).mean()
            loss = loss + 0.5 * (critic(flat["obs"][rows]).squeeze(-1) - targets[rows]).pow(2).mean()
            optimizer.zero_grad()
            loss.backward()
            nn.utils.clip_grad_norm_([*actor.parameters(), *critic.parameters(), log_std], 0.5)
            optimizer.step()
    if returns and (iteration + 1) % 10 == 0:
        print(f"step {(iteration + 1) * COUNT * STEPS}: mean return {np.mean(returns[-COUNT:]):.0f}")
print("done")
