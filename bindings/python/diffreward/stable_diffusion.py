"""Stable Diffusion 1.x."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple, Union

import numpy as np

from diffreward._arrays import Array, like, native
from diffreward._plain import plain

if TYPE_CHECKING:
    from diffreward.image_reward import ImageReward


class ImageSamples(NamedTuple):
    """What ``StableDiffusion.sample`` made.

    Example:
        >>> samples = dr.StableDiffusion.load(pipeline).sample("a castle", steps=2)
        >>> samples.images.dtype, samples.latents.dtype
        (dtype('uint8'), dtype('float32'))
    """

    images: np.ndarray  #: [n, height, width, 3] uint8
    latents: np.ndarray  #: [n, channels, h, w]


class StableDiffusion:
    """Stable Diffusion 1.x from a folder in the layout of Python's diffusers, computed natively.

    Pictures are as the model makes them: the blur of ``diffreward sd`` is not applied.

    Example:
        >>> model = dr.StableDiffusion.load(pipeline)
        >>> images, latents = model.sample(["a castle", "a sea"], steps=2, safety="max", seed=7)
        >>> images.shape, latents.shape
        ((2, 32, 32, 3), (2, 4, 16, 16))
        >>> gaps = []
        >>> _ = model.sample("a castle", steps=2, scheduler="ddim", safety="max", pair=True,
        ...                  callback=lambda step: gaps.append(np.abs(step.after_base - step.after_safe).max()))
        >>> len(gaps), model.decode(model.encode(images)).shape
        (2, (2, 32, 32, 3))
    """

    def __init__(self, folder: Union[str, os.PathLike[str]], *, device: str = "cpu", type: str = "float32") -> None:
        from diffreward import _pictures  # brings LibTorch in, which takes a second

        self._native = _pictures.ImagePipeline(folder, device, type)

    @classmethod
    def load(cls, folder: Union[str, os.PathLike[str]], *, device: str = "cpu", type: str = "float32") -> StableDiffusion:
        """The pipeline in a folder.

        Args:
            folder: with model_index.json, unet, vae, text_encoder, tokenizer and scheduler.
            device: "cpu" or "cuda".
            type: what the nets compute with: "float32", "bfloat16", "float16" or "float64".

        Raises:
            RuntimeError: a file that is missing, damaged or not supported, naming it and what was found.
        """
        return cls(folder, device=device, type=type)

    def sample(self, prompts: Union[str, Sequence[str]], *, callback: Callable[[Any], Any] | None = None,
               reward: ImageReward | None = None, **settings: Any) -> ImageSamples:
        """Pictures of prompts.

        Args:
            prompts: a text, or several.
            callback: is called after every step of the scheduler with what happened: ``index``, ``count``, ``timestep``,
                and views, which cannot be written to, of the tensors ``eps_nothing``, ``eps_prompt``, ``eps_unsafe``,
                ``gamma``, ``nu``, ``eps_base``, ``eps_safe``, ``before``, ``after``, ``after_base`` and ``after_safe``, None
                where not computed. What it raises ends sampling.
            reward: steers, with ``guide_scale`` and ``stop_guide_below`` among the settings.
            **settings: ``steps``, ``guidance_scale``, ``scheduler``, ``safety``, ``pair``, ``negative_prompt``, ``width``,
                ``height``, ``seed`` ... (``diffreward sd sample --help``); ``seed_each=True``: sample i has the noise of
                seed + i, whatever it is sampled with.

        Raises:
            ValueError: a setting that does not exist, naming the nearest, or is out of range; a text that is no UTF-8.
        """
        texts = [prompts] if isinstance(prompts, str) else list(prompts)
        latents = self._native.sample(texts, json.dumps(plain(settings)), callback,
                                      None if reward is None else reward._native)
        return ImageSamples(self._native.decode(latents), latents)

    def noise(self, n: int = 1, **settings: Any) -> np.ndarray:
        """The latents that ``sample`` begins with, PyTorch's numbers of the seed on the CPU."""
        return self._native.noise(n, json.dumps(plain(settings)))

    def encode(self, images: Array) -> Any:
        """Latents [n, channels, h, w] of images [n, height, width, 3]: uint8, or real numbers in [0, 1].

        Raises:
            ValueError: another shape, or sides that are no multiples of ``factor``.
        """
        values = native(images, "images")
        if getattr(images, "dtype", None) is not None and str(images.dtype).endswith("uint8"):
            values = values / np.float32(255)
        return like(self._native.encode(values), images)

    def decode(self, latents: Array) -> Any:
        """Images [n, height, width, 3] uint8 of latents [n, channels, h, w].

        Raises:
            ValueError: another shape.
        """
        return like(self._native.decode(native(latents, "latents")), latents)

    @property
    def factor(self) -> int:
        """Pixels per position of a latent, along each side."""
        return self._native.factor

    @property
    def parameters(self) -> int:
        """Number of weights, of all nets."""
        return self._native.parameters

    @property
    def warnings(self) -> list[str]:
        """Keys of the folder's configs that are not known, a line each."""
        return self._native.warnings
