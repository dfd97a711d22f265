"""Models and rewards of your own, PyTorch's or any function, where the package's could stand."""

from __future__ import annotations

import json
import os
import tempfile
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from diffreward._arrays import Array, is_tensor, like, native, timesteps
from diffreward._plain import plain


class Denoiser:
    """A diffusion model of your own: E[x_0 | x_t], and its noise schedule.

    Rewards are extracted from two of them (``extract``), and ``sample``, ``score``, ``posterior_mean`` follow. A sample is
    [rows, width], in your model's units::

        expert = diffreward.Denoiser(expert_module, betas)
        base = diffreward.Denoiser(base_module, betas)
        reward = diffreward.extract(expert=expert, base=base, expert_data=x_expert, base_data=x_base)

    Args:
        predict_x0: a ``torch.nn.Module`` or a function of tensors x_t [n, rows, width] float32 and t [n] int64 that returns
            E[x_0 | x_t], shaped as x_t. It is called without gradients, and with them where a guide acts at x_0.
        betas: [timesteps] noise of each level, from least to most, each in (0, 1): x_t = sqrt(abar_t) x_0 + sqrt(1 - abar_t) eps
            with abar_t the product of 1 - beta_s over s <= t.
        device: where predict_x0 wants its tensors.

    Example:
        >>> betas = np.linspace(0.01, 0.3, 20)
        >>> abar = np.cumprod(1 - betas)
        >>> def normal(x, t):                                   # of data that are standard normal
        ...     return x.numpy() * np.sqrt(abar[t.numpy()])[:, None, None]
        >>> dr.Denoiser(normal, betas).score(np.ones((2, 1, 3)), 5).round(3)
        array([[[-1., -1., -1.]],
        <BLANKLINE>
               [[-1., -1., -1.]]], dtype=float32)
    """

    def __init__(self, predict_x0: Callable[[Any, Any], Any], betas: Array, *, device: str = "cpu") -> None:
        self._function = predict_x0
        self.betas = np.asarray(native(betas, "betas", np.float64)).reshape(-1)  #: [timesteps]
        self._device = device
        self._native: dict[tuple[int, ...], Any] = {}

    @property
    def timesteps(self) -> int:
        """Noise levels."""
        return len(self.betas)

    def predict_x0(self, x: Array, t: Array) -> Any:
        """E[x_0 | x_t] of samples x [n, rows, width] at timesteps t [n] or one for all."""
        return self._of("predict_x0", x, t)

    def posterior_mean(self, x: Array, t: Array) -> Any:
        """Mean of p(x_{t-1} | x_t), shaped as x."""
        return self._of("posterior_mean", x, t)

    def score(self, x: Array, t: Array) -> Any:
        """grad_x log p_t(x), shaped as x."""
        return self._of("score", x, t)

    def sample(self, n: int, shape: Sequence[int], *, guide: Any = None, **sampler: Any) -> np.ndarray:
        """n samples [n, rows, width] float32 of ``shape`` (rows, width), led by a guide; as ``DiffusionModel.sample``."""
        return self.native(tuple(shape)).sample(n, {}, json.dumps(plain(sampler)), native_guide(guide))

    def native(self, shape: tuple[int, ...]) -> Any:
        """The native model of samples [rows, width]."""
        from diffreward import _chain

        if len(shape) != 2:
            raise ValueError(f"expected samples [n, rows, width], got {len(shape) + 1} dimensions")
        if shape not in self._native:
            self._native[shape] = _chain.own_model(_Calls(self._function, self._device), list(self.betas), shape[0], 0,
                                                   shape[1])
        return self._native[shape]

    def _of(self, what: str, x: Array, t: Array) -> Any:
        array = native(x, "x")
        return like(getattr(self.native(array.shape[1:]), what)(array, timesteps(t)), x)


class Guide:
    """A preference of your own that leads samples: wherever ``guide=`` takes a reward.

    Args:
        value: a ``torch.nn.Module`` or a function of tensors x [n, rows, width] (model units) and t [n] that returns how much
            each sample is preferred, [n]. Its gradient is PyTorch's.
        device: where it wants its tensors.

    Example:
        >>> guide = dr.Guide(lambda x, t: -(x**2).sum((1, 2)))
        >>> guide.gradient(np.ones((1, 1, 2)), 0)
        array([[[-2., -2.]]], dtype=float32)
        >>> led = model.sample(4, guide=guide, scale=0.1)
    """

    def __init__(self, value: Callable[[Any, Any], Any], *, device: str = "cpu") -> None:
        self._calls = _Calls(value, device)

    def value(self, x: Array, t: Array) -> Any:
        """How much samples x [n, rows, width] are preferred at timesteps t [n] or one for all, [n]."""
        array, levels = native(x, "x"), timesteps(t)
        return like(self._calls.value(array, np.broadcast_to(levels, array.shape[:1])), x)

    def gradient(self, x: Array, t: Array) -> Any:
        """Its gradient, shaped as x."""
        array, levels = native(x, "x"), timesteps(t)
        return like(self._calls.gradient(array, np.broadcast_to(levels, array.shape[:1])), x)

    @property
    def guide(self) -> Any:
        """The native guide."""
        from diffreward import _chain

        return _chain.own_guide(self._calls)


class _Calls:
    """A function of tensors, called with arrays."""

    def __init__(self, function: Callable[[Any, Any], Any], device: str) -> None:
        self._function, self._device = function, device

    def _tensors(self, x: np.ndarray, t: np.ndarray) -> tuple[Any, Any]:
        import torch

        return torch.tensor(x, device=self._device), torch.tensor(t, device=self._device)

    @staticmethod
    def _array(result: Any) -> np.ndarray:
        return native(result.detach() if is_tensor(result) else result, "result")

    def predict(self, x: np.ndarray, t: np.ndarray) -> np.ndarray:
        import torch

        with torch.no_grad():
            return self._array(self._function(*self._tensors(x, t)))

    def pull(self, x: np.ndarray, t: np.ndarray, gradient: np.ndarray) -> np.ndarray:
        import torch

        with torch.enable_grad():
            at, level = self._tensors(x, t)
            out = self._function(at.requires_grad_(True), level)
            return self._array(torch.autograd.grad(out, at, torch.tensor(gradient, device=self._device))[0])

    value = predict

    def gradient(self, x: np.ndarray, t: np.ndarray) -> np.ndarray:
        import torch

        with torch.enable_grad():
            at, level = self._tensors(x, t)
            return self._array(torch.autograd.grad(self._function(at.requires_grad_(True), level).sum(), at)[0])


def native_guide(guide: Any) -> Any:
    """The native guide of a reward, of its path, or of one of your own; None for None."""
    from diffreward import _chain
    from diffreward.reward import reward_file

    if guide is None:
        return None
    return guide.guide if hasattr(guide, "guide") else _chain.Guide(reward_file(guide))


def extract_own(given: Mapping[str, Any]) -> tuple[str, dict[str, Any], Any]:
    """``extract`` for models of your own: folder, figures, and what keeps a temporary folder."""
    from diffreward import _chain

    config = {name: value for name, value in given.items() if value is not None}
    if config.pop("reuse", False):
        raise ValueError("reuse: expected models in files, got models of your own, whose making is unknown")
    expert, base = config.pop("expert", None), config.pop("base", None)
    windows = {}
    for side in ("expert_data", "base_data"):
        windows[side] = native(config.pop(side, None), side)
        if windows[side].ndim != 3:
            raise ValueError(f"{side}: expected samples [n, rows, width], got {windows[side].ndim} dimensions")
    shape = windows["base_data"].shape[1:]
    method, threads, progress = (config.pop(name, default) for name, default in
                                 (("method", "relative"), ("threads", 0), ("progress", True)))
    models = {}
    for name, model in (("expert", expert), ("base", base)):
        if model is not None and not isinstance(model, Denoiser):
            raise ValueError(f"{name}: expected a Denoiser as the other model is, got {type(model).__name__}")
        models[name] = None if model is None else model.native(shape)
    if models["base"] is None:
        raise ValueError("base: expected a Denoiser, got none")
    out, temporary = config.pop("out", None), None
    if not out:
        temporary = tempfile.TemporaryDirectory(prefix="diffreward_extract_")
        out = temporary.name
    figures = json.loads(_chain.extract_models(models["expert"], models["base"], windows["expert_data"],
                                               windows["base_data"], method, json.dumps(plain(config)), os.fspath(out), threads,
                                               progress))
    return os.fspath(out), figures, temporary
