"""Arrays in and out: what is copied and what is not, tensors for tensors, what is refused."""

import subprocess
import sys

import numpy as np
import pytest
import torch

import diffreward as dr
from diffreward import _arrays


class Exporter:
    """An array that speaks DLPack and nothing else."""

    def __init__(self, array):
        self._array = array

    def __dlpack__(self, **options):
        return self._array.__dlpack__(**options)

    def __dlpack_device__(self):
        return self._array.__dlpack_device__()


class Spy:
    """A native object whose calls are kept: arguments and results."""

    def __init__(self, target):
        self._target, self.calls = target, []

    def __getattr__(self, name):
        found = getattr(self._target, name)
        if not callable(found):
            return found

        def call(*arguments):
            result = found(*arguments)
            self.calls.append((arguments, result))
            return result

        return call


@pytest.fixture(scope="module")
def model(reward_folder):
    return dr.DiffusionModel.load(reward_folder.parent / "base_path_model")


@pytest.fixture(scope="module")
def reward(reward_folder):
    return dr.load_reward(reward_folder)


@pytest.fixture(scope="module")
def agent(reward_folder):
    return dr.Agent.load(reward_folder.parent / "rl_true")


def windows(n, rows):
    """Numbers that bfloat16 holds exactly, and beside 2 too."""
    return (np.random.default_rng(0).integers(-16, 16, (n, rows, 6)) / 16).astype(np.float32)


FORMS = {
    "list": lambda x: x.tolist(),
    "float64": lambda x: x.astype(np.float64),
    "float16": lambda x: x.astype(np.float16),
    "big endian": lambda x: x.astype(">f4"),
    "fortran": np.asfortranarray,
    "every other": lambda x: np.repeat(x, 2, axis=0)[::2],
    "read-only": lambda x: np.broadcast_to(x, x.shape),
    "dlpack": Exporter,
    "dlpack of bfloat16": lambda x: Exporter(torch.tensor(x, dtype=torch.bfloat16)),
    "tensor": torch.tensor,
    "double tensor": lambda x: torch.tensor(x, dtype=torch.float64),
    "half tensor": lambda x: torch.tensor(x, dtype=torch.float16),
    "bfloat16 tensor": lambda x: torch.tensor(x, dtype=torch.bfloat16),
    "tensor with gradients": lambda x: torch.tensor(x, requires_grad=True),
    "transposed tensor": lambda x: torch.tensor(x.T.copy()).permute(*range(x.ndim - 1, -1, -1)),
}


@pytest.mark.parametrize("form", FORMS)
def test_every_kind_of_array_means_the_same(model, reward, agent, form):
    x, made, obs = windows(5, model.horizon), FORMS[form], windows(3, 1)[:, 0, :4] + 2
    is_tensor = form.endswith("tensor") or form == "tensor with gradients"
    states = windows(5, reward.horizon)
    for given, function in (
        (x, lambda x: model.predict_x0(x, 3)),
        (x, lambda x: model.posterior_mean(x, [1, 2, 3, 4, 5])),
        (x, lambda x: model.score(x, torch.tensor(3))),
        (x, lambda x: reward.value(x, np.int32(3))),
        (x, lambda x: reward.gradient(x, 3)),
        (states, reward.score),
        (states, reward.support),
        (obs, lambda obs: reward(obs, np.zeros((3, 2)), obs)),
        (obs, lambda obs: agent.predict(obs)[0]),
        (obs[0], lambda obs: agent.predict(obs)[0]),
        (obs, lambda obs: model.sample(3, {0: obs}, sampler="ddim", steps=2)),
    ):
        expected, found = function(given), function(made(given))
        assert isinstance(expected, np.ndarray) and expected.dtype == np.float32
        if is_tensor:
            assert found.dtype == torch.float32 and not found.requires_grad
            found = found.numpy()
        assert isinstance(found, np.ndarray)
        np.testing.assert_array_equal(expected, found)


def test_what_fits_is_read_where_it_lies():
    tensor = torch.zeros(5, 4, 6)
    for given, address in ((tensor, tensor.data_ptr()), (tensor[1:], tensor[1:].data_ptr()),
                           (tensor.requires_grad_(), tensor.data_ptr()), (tensor.detach().numpy(), tensor.data_ptr())):
        assert _arrays.native(given, "x").ctypes.data == address
    array = np.zeros((5, 4, 6), dtype=np.float32)
    assert _arrays.native(Exporter(array), "x").ctypes.data == array.ctypes.data
    assert _arrays.native(array.astype(np.float64), "x", np.float64).dtype == np.float64
    t = torch.arange(5)
    assert _arrays.timesteps(t).ctypes.data == t.data_ptr()
    for copied in (tensor.detach().permute(0, 2, 1), tensor.double(), array[:, ::2], array.astype(np.float16)):
        found = _arrays.native(copied, "x")
        assert found.dtype == np.float32 and found.flags.c_contiguous


def test_native_code_sees_the_tensors_memory_and_returns_its_own(reward_folder):
    """The arrays that cross over to C++ are views of the caller's; results are not copied either."""
    model, reward = dr.DiffusionModel.load(reward_folder.parent / "base_path_model"), dr.load_reward(reward_folder)
    model._model, reward._model, reward._guide = Spy(model._model), Spy(reward._model), Spy(reward.guide)
    x, states = torch.tensor(windows(5, model.horizon)), torch.tensor(windows(5, reward.horizon))
    before = x.clone()
    for spy, function, given in (
        (model._model, lambda: model.predict_x0(x, 3), x),
        (model._model, lambda: model.posterior_mean(x, 3), x),
        (model._model, lambda: model.score(x, 3), x),
        (reward._guide, lambda: reward.value(x, 3), x),
        (reward._guide, lambda: reward.gradient(x, 3), x),
        (reward._guide, lambda: reward.support(states), states),
        (reward._model, lambda: reward.score(states), states),
    ):
        returned = function()
        (first, *_), result = spy.calls[-1]
        assert first.ctypes.data == given.data_ptr()
        assert returned.data_ptr() == result.ctypes.data
    assert torch.equal(x, before)


def test_results_outlive_the_next_call_and_the_model(reward_folder):
    model = dr.DiffusionModel.load(reward_folder.parent / "base_path_model")
    x = torch.tensor(windows(5, model.horizon))
    first = model.predict_x0(x, 3)
    kept = first.clone()
    second = model.predict_x0(-x, 50)
    second += 1
    del model
    assert torch.equal(first, kept) and first.data_ptr() != second.data_ptr()


def test_a_tensor_of_observations_rolls_out(agent):
    """Actions for tensors are tensors, a row each."""
    obs = torch.ones(3, 4, dtype=torch.float64)
    actions, state = agent.predict(obs)
    assert isinstance(actions, torch.Tensor) and actions.shape == (3, 2) and state is None
    assert agent.predict(obs[0])[0].shape == (2,)


@pytest.mark.parametrize("made", [np.array, torch.tensor])
def test_what_is_refused(model, reward, agent, made):
    x = windows(5, model.horizon)
    for bad in (x > 0, x * 1j):
        with pytest.raises(TypeError, match="x: expected real numbers, got dtype"):
            model.score(made(bad), 3)
        with pytest.raises(TypeError, match="windows: expected real numbers"):
            reward.score(made(bad))
        with pytest.raises(TypeError, match="obs: expected real numbers"):
            agent.predict(made(bad))
        with pytest.raises(TypeError, match="conditions: expected real numbers"):
            model.sample(1, {0: made(bad)})
    for bad in (x[0], x[:, 1:], x[:, :, 1:]):
        with pytest.raises(ValueError, match="x: expected windows"):
            model.predict_x0(made(bad), 3)
    with pytest.raises(ValueError, match="expected windows"):
        reward.score(made(x[:, :, 1:]))
    with pytest.raises(ValueError, match="observations"):
        agent.predict(made(x[:, 0]))
    with pytest.raises(TypeError, match="t: expected integers, got dtype float"):
        model.score(x, made(np.array(3.0)))
    with pytest.raises(ValueError, match="t: expected one timestep or"):
        model.score(x, made(np.array([1, 2])))


def test_texts_are_refused(model):
    with pytest.raises(TypeError, match="x: expected real numbers, got dtype <U"):
        model.score("windows", 3)


def test_pytorch_is_imported_by_nobody_who_does_not_use_it(reward_folder):
    code = """
import sys, numpy as np, diffreward as dr
folder = sys.argv[1]
model, reward = dr.DiffusionModel.load(folder + "/base_path_model"), dr.load_reward(folder + "/reward")
model.sample(2, {0: np.ones(4)}, sampler="ddim", steps=2, guide=reward)
reward.score(np.zeros((3, reward.horizon, 6)))
dr.Agent.load(folder + "/rl_true").predict(np.ones(4))
sys.exit("torch" in sys.modules)
"""
    subprocess.run([sys.executable, "-c", code, reward_folder.parent], check=True)
