"""Extracts a reward from two diffusion models of one's own, written in PyTorch: points on a ring, and the half of it
that an expert prefers.

    python examples/python/own_models.py [training steps]

prints, in about 20 seconds, how far the reward tells the expert's side from the other, and its gradient beside autograd's
of nothing but the two models' scores.
"""

import sys

import numpy as np
import torch

import diffreward as dr

T = 50
betas = np.linspace(1e-3, 0.2, T)
abar = torch.tensor(np.cumprod(1 - betas), dtype=torch.float32)


class Net(torch.nn.Module):
    """E[x_0 | x_t] of points in the plane: samples [n, 1 row, 2]."""

    def __init__(self):
        super().__init__()
        self.layers = torch.nn.Sequential(torch.nn.Linear(3, 128), torch.nn.SiLU(), torch.nn.Linear(128, 128),
                                          torch.nn.SiLU(), torch.nn.Linear(128, 2))

    def forward(self, x, t):
        level = (t / T).view(-1, 1, 1)
        return self.layers(torch.cat([x, level], -1))


def train(net, data, steps):
    optimizer = torch.optim.Adam(net.parameters(), 2e-3)
    for _ in range(steps):
        x_0 = data[torch.randint(len(data), (256,))]
        t = torch.randint(T, (256,))
        signal = abar[t].view(-1, 1, 1)
        x_t = signal.sqrt() * x_0 + (1 - signal).sqrt() * torch.randn_like(x_0)
        loss = ((net(x_t, t) - x_0) ** 2).mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    return net


steps = int(sys.argv[1]) if len(sys.argv) > 1 else 3000
torch.manual_seed(0)
angle = 2 * torch.pi * torch.rand(4000)
ring = torch.stack([angle.cos(), angle.sin()], -1)[:, None] + 0.05 * torch.randn(4000, 1, 2)
right = ring[ring[:, 0, 0] > 0]
base_net = train(Net(), ring, steps)
expert_net = train(Net(), right, steps)

expert, base = dr.Denoiser(expert_net, betas), dr.Denoiser(base_net, betas)
reward = dr.extract(expert=expert, base=base, expert_data=right, base_data=ring, hidden=[64, 64], steps=steps // 2, lr=2e-3,
                    read_t=5)

score = reward.score(ring).numpy()
side = ring[:, 0, 0].numpy() > 0
print(f"the right side is paid more than the left with probability "
      f"{(score[side][:, None] > score[~side][None]).mean():.3f}")
t = torch.full((1000,), 10)
x_t = abar[10].sqrt() * ring[:1000] + (1 - abar[10]).sqrt() * torch.randn(1000, 1, 2)
difference = expert.score(x_t, t) - base.score(x_t, t)
cosine = torch.nn.functional.cosine_similarity(reward.gradient(x_t, t).flatten(1), difference.flatten(1))
print(f"its gradient lies along the difference of the scores: cosine {cosine.median():.3f}")
steered = base.sample(1000, (1, 2), guide=reward, scale=0.3, seed=1)
print(f"samples of the base on the right side: {(base.sample(1000, (1, 2), seed=1)[:, 0, 0] > 0).mean():.2f}, "
      f"led by the reward {(steered[:, 0, 0] > 0).mean():.2f}")
