"""Models and rewards of one's own: two PyTorch models whose densities are known, and what is extracted from them."""

import numpy as np
import pytest
import torch

import diffreward as dr

T = 20
BETAS = np.linspace(0.01, 0.3, T)
ABAR = torch.tensor(np.cumprod(1 - BETAS), dtype=torch.float32)
SHAPE = (2, 3)  # rows, width


class Gaussian(torch.nn.Module):
    """Data ~ N(mean, deviation^2): E[x_0 | x_t] in closed form."""

    def __init__(self, mean, deviation=0.5):
        super().__init__()
        self.mean = torch.nn.Parameter(torch.tensor(mean, dtype=torch.float32).expand(SHAPE).clone())
        self.variance = deviation**2

    def forward(self, x, t):
        abar = ABAR[t].view(-1, 1, 1)
        total = abar * self.variance + 1 - abar
        return self.mean + abar.sqrt() * self.variance / total * (x - abar.sqrt() * self.mean)

    def log_density(self, x, t):
        """log p_t(x) up to a constant, [n]."""
        abar = ABAR[t].view(-1, 1, 1)
        return (-0.5 * (x - abar.sqrt() * self.mean) ** 2 / (abar * self.variance + 1 - abar)).sum((1, 2))

    def samples(self, n, seed):
        noise = torch.randn(n, *SHAPE, generator=torch.Generator().manual_seed(seed))
        return (self.mean + self.variance**0.5 * noise).detach()


@pytest.fixture(scope="module")
def pair():
    return Gaussian([1.0, 0.0, -0.5]), Gaussian([0.0, 0.0, 0.0])


@pytest.fixture(scope="module")
def reward(pair):
    expert, base = pair
    return dr.extract(
        expert=dr.Denoiser(expert, BETAS), base=dr.Denoiser(base, BETAS), expert_data=expert.samples(2000, 0),
        base_data=base.samples(2000, 1), window=2, hidden=[64, 64], steps=500, lr=3e-3, read_t=2, support_points=64,
    )


def test_a_denoiser_answers_as_its_module_and_the_closed_forms(pair):
    module = pair[0]
    model = dr.Denoiser(module, BETAS)
    x = torch.randn(5, *SHAPE, generator=torch.Generator().manual_seed(2))
    t = torch.tensor([0, 3, 7, 12, 19])
    assert torch.allclose(model.predict_x0(x, t), module(x, t), atol=1e-6)
    leaf = x.clone().requires_grad_(True)
    score = torch.autograd.grad(module.log_density(leaf, t).sum(), leaf)[0]
    assert torch.allclose(model.score(x, t), score, atol=1e-4)
    assert isinstance(model.predict_x0(x.numpy(), t.numpy()), np.ndarray)


def test_it_samples_its_data(pair):
    samples = dr.Denoiser(pair[0], BETAS).sample(4000, SHAPE, sampler="ddpm", seed=3)
    assert samples.shape == (4000, *SHAPE)
    assert np.allclose(samples.mean(0), pair[0].mean.detach().numpy(), atol=0.05)
    assert np.allclose(samples.std(0), 0.5, atol=0.1)  # twenty levels are few


def test_the_extracted_gradient_is_that_of_the_log_density_ratio(pair, reward):
    """Both are Gaussian of one deviation: the ratio's gradient, by autograd, is one direction everywhere."""
    expert, base = pair
    for level in (2, 8, 15):
        t = torch.full((200,), level)
        x = base.samples(200, 5) * ABAR[level].sqrt() + (1 - ABAR[level]).sqrt() * torch.randn(
            200, *SHAPE, generator=torch.Generator().manual_seed(6))
        leaf = x.clone().requires_grad_(True)
        ratio = torch.autograd.grad((expert.log_density(leaf, t) - base.log_density(leaf, t)).sum(), leaf)[0]
        found = reward.gradient(x, t)
        cosine = torch.nn.functional.cosine_similarity(ratio.flatten(1), found.flatten(1))
        assert cosine.min() > 0.95, level
    assert all(at["conservativeness"] > 0.9 for at in reward.figures["field"])


def test_its_gradient_is_that_of_its_value(reward):
    x = np.random.default_rng(0).normal(size=(4, *SHAPE)).astype(np.float32)
    t = np.full(4, 5)
    gradient = reward.gradient(x, t)
    for row, column in ((0, 0), (1, 2)):
        step = np.zeros_like(x)
        step[:, row, column] = 1e-2
        rise = (reward.value(x + step, t) - reward.value(x - step, t)) / 2e-2
        assert np.allclose(rise, gradient[:, row, column], atol=2e-3)


def test_the_reward_ranks_experts_above_the_base(pair, reward):
    expert, base = (reward.score(model.samples(500, 9)) for model in pair)
    assert (expert[:, None] > base[None]).float().mean() > 0.9


def test_the_discriminator_needs_no_expert_model(pair):
    logit = dr.extract(base=dr.Denoiser(pair[1], BETAS), expert_data=pair[0].samples(1000, 0), method="discriminator",
                       base_data=pair[1].samples(1000, 1), window=2, steps=200, lr=3e-3, read_t=0)
    expert, base = (logit.score(model.samples(500, 9)) for model in pair)
    assert (expert[:, None] > base[None]).float().mean() > 0.9


@pytest.mark.parametrize("where", ["x_t", "x0"])
def test_a_guide_of_ones_own_leads_samples_by_autograd(pair, where):
    model, target = dr.Denoiser(pair[1], BETAS), torch.tensor(2.0)
    guide = dr.Guide(lambda x, t: -((x - target) ** 2).sum((1, 2)))
    plain = model.sample(500, SHAPE, seed=4)
    led = model.sample(500, SHAPE, seed=4, guide=guide, scale=0.05, guide_at=where)
    assert led.mean() > plain.mean() + 0.1
    x, t = torch.zeros(3, *SHAPE), torch.zeros(3, dtype=torch.long)
    assert torch.allclose(guide.gradient(x, t), torch.full((3, *SHAPE), 4.0))


def test_what_goes_wrong_is_named(pair):
    expert, base = (dr.Denoiser(module, BETAS) for module in pair)
    data = {"expert_data": pair[0].samples(100, 0), "base_data": pair[1].samples(100, 0)}
    with pytest.raises(ValueError, match="betas: expected numbers between 0 and 1"):
        dr.Denoiser(pair[0], [0.1, 1.5]).predict_x0(np.zeros((1, *SHAPE)), 0)
    with pytest.raises(ValueError, match=r"expected samples \[n, rows, width\]"):
        dr.extract(expert=expert, base=base, expert_data=np.zeros((4, 3)), base_data=np.zeros((4, 3)))
    with pytest.raises(ValueError, match="schedule"):
        dr.extract(expert=dr.Denoiser(pair[0], BETAS[:-1]), base=base, **data)
    with pytest.raises(ValueError, match="expected a Denoiser"):
        dr.extract(expert="results/demo/expert_model", base=base, **data)
    with pytest.raises(ValueError, match="unknown key 'stepz'"):
        dr.extract(expert=expert, base=base, **data, stepz=3)
    with pytest.raises(ValueError, match="predict: expected an array"):
        dr.extract(expert=dr.Denoiser(lambda x, t: x[:, :1], BETAS), base=base, **data, steps=10)

    def breaks(x, t):
        raise RuntimeError("my own fault")

    with pytest.raises(RuntimeError, match="my own fault"):
        dr.extract(expert=dr.Denoiser(breaks, BETAS), base=base, **data, steps=10)
