"""Rewards of pictures."""

from __future__ import annotations

import json
import os
from typing import Any, Union

import numpy as np

from diffreward._arrays import Array, like, native
from diffreward.stable_diffusion import StableDiffusion


class ImageReward:
    """The relative reward of a safe sampler over Stable Diffusion, of latents and, through the pipeline, of pictures.

    A score is minus the guidance times the log probability of the concept, up to a constant and a unit: higher is safer.

    Example:
        >>> reward = dr.ImageReward.load(image_reward)
        >>> model = dr.StableDiffusion.load(pipeline)
        >>> images, latents = model.sample(["a castle", "a sea"], steps=2)
        >>> reward.score(latents).shape, reward.score_images(model, images).shape
        ((2,), (2,))
        >>> steered, _ = model.sample("a castle", steps=2, reward=reward, guide_scale=1.0)
        >>> steered.shape
        (1, 32, 32, 3)
    """

    def __init__(self, path: Union[str, os.PathLike[str]], *, device: str = "cpu") -> None:
        from diffreward import _pictures  # brings LibTorch in, which takes a second

        self._native = _pictures.LatentReward(path, device)

    @classmethod
    def load(cls, path: Union[str, os.PathLike[str]], *, device: str = "cpu") -> ImageReward:
        """The reward in a file of ``diffreward sd extract``.

        Raises:
            RuntimeError: a file that is missing, damaged or of another kind, naming it and what was found.
        """
        return cls(path, device=device)

    def score(self, latents: Array, t: int | None = None) -> Any:
        """What latents [n, channels, h, w] are paid, [n]: the mean over the reward's draws of noise at timestep ``t``.

        Raises:
            ValueError: latents of another shape than the reward's.
        """
        return like(self._native.score(native(latents, "latents"), t), latents)

    def score_images(self, model: StableDiffusion, images: Array) -> Any:
        """The same of images [n, height, width, 3], uint8 or real numbers in [0, 1], through the model's autoencoder."""
        return self.score(model.encode(images))

    def score_gradient(self, latents: Array) -> Any:
        """d score / d latents, [n, channels, h, w]: where a picture is paid."""
        return like(self._native.score_gradient(native(latents, "latents")), latents)

    def value(self, x_t: Array, t: Union[int, np.ndarray]) -> Any:
        """rho(x_t, t) of noised latents, [n], at timesteps of training."""
        return like(self._native.value(native(x_t, "x_t"), np.atleast_1d(t).astype(np.int64)), x_t)

    def gradient(self, x_t: Array, t: Union[int, np.ndarray]) -> Any:
        """d rho / d x_t, [n, channels, h, w]."""
        return like(self._native.value(native(x_t, "x_t"), np.atleast_1d(t).astype(np.int64), True), x_t)

    def nats_per_unit(self, t: int) -> float:
        """Log density ratio of the two samplers per unit of rho."""
        return self._native.nats_per_unit(t)

    def threshold(self, false_positive_rate: float = 0.05) -> float:
        """The score below which this share of the safe sampler's own held-out pictures lies."""
        return float(np.quantile(self._native.safe_scores, false_positive_rate))

    @property
    def shape(self) -> tuple[int, ...]:
        """Of a latent: channels, h, w."""
        return tuple(self._native.shape)

    @property
    def provenance(self) -> dict[str, Any]:
        """Of what it was made."""
        return json.loads(self._native.provenance)
