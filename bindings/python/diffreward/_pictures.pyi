"""
Stable Diffusion 1.x of DiffReward.
"""
from __future__ import annotations
import collections.abc
import numpy
import numpy.typing
import os
import typing
__all__: list[str] = ['ImagePipeline', 'ImageStep', 'LatentReward']
class ImageStep:
    """
    One call of the scheduler. Arrays [n, channels, h, w] cannot be written to; None: not computed.
    """
    @property
    def after(self) -> typing.Any:
        """
        Latents of the chain after the step.
        """
    @property
    def after_base(self) -> typing.Any:
        """
        Of the base branch, with pair.
        """
    @property
    def after_safe(self) -> typing.Any:
        """
        Of the safe branch, with pair.
        """
    @property
    def before(self) -> typing.Any:
        """
        Latents of the chain before the step.
        """
    @property
    def count(self) -> int:
        """
        Calls in all; pndm has one more than steps.
        """
    @property
    def eps_base(self) -> typing.Any:
        """
        Guided, without safety.
        """
    @property
    def eps_nothing(self) -> typing.Any:
        """
        The U-Net's prediction for nothing.
        """
    @property
    def eps_prompt(self) -> typing.Any:
        """
        The U-Net's prediction for the prompt.
        """
    @property
    def eps_safe(self) -> typing.Any:
        """
        Guided, with safety.
        """
    @property
    def eps_unsafe(self) -> typing.Any:
        """
        The U-Net's prediction for the unsafe concept.
        """
    @property
    def gamma(self) -> typing.Any:
        """
        Safe Latent Diffusion's guidance.
        """
    @property
    def index(self) -> int:
        """
        0 ... count - 1.
        """
    @property
    def nu(self) -> typing.Any:
        """
        Its momentum, after the step.
        """
    @property
    def timestep(self) -> float:
        """
        Noise level.
        """
class LatentReward:
    """
    A reward of latents from a file.
    """
    def __init__(self, path: os.PathLike | str | bytes, device: str = 'cpu') -> None:
        ...
    def nats_per_unit(self, t: typing.SupportsInt | typing.SupportsIndex) -> float:
        """
        Log density ratio per unit of rho.
        """
    def score(self, latents: typing.Annotated[numpy.typing.ArrayLike, numpy.float32], t: typing.SupportsInt | typing.SupportsIndex | None = None) -> numpy.ndarray:
        """
        What latents [n, channels, h, w] are paid, [n].
        """
    def score_gradient(self, latents: typing.Annotated[numpy.typing.ArrayLike, numpy.float32]) -> numpy.ndarray:
        """
        d score / d latents, [n, channels, h, w].
        """
    def value(self, x_t: typing.Annotated[numpy.typing.ArrayLike, numpy.float32], t: typing.Annotated[numpy.typing.ArrayLike, numpy.int64], gradient: bool = False) -> numpy.ndarray:
        """
        rho(x_t, t), [n], or its gradient, [n, channels, h, w].
        """
    @property
    def base_scores(self) -> list[float]:
        ...
    @property
    def provenance(self) -> str:
        ...
    @property
    def read_t(self) -> int:
        ...
    @property
    def safe_scores(self) -> list[float]:
        ...
    @property
    def shape(self) -> list[int]:
        ...
class ImagePipeline:
    """
    Stable Diffusion 1.x from a folder.
    """
    def __init__(self, folder: os.PathLike | str | bytes, device: str = 'cpu', type: str = 'float32') -> None:
        ...
    def decode(self, latents: typing.Annotated[numpy.typing.ArrayLike, numpy.float32]) -> numpy.typing.NDArray[numpy.uint8]:
        """
        Images [n, height, width, 3].
        """
    def encode(self, images: typing.Annotated[numpy.typing.ArrayLike, numpy.float32]) -> numpy.ndarray:
        """
        Latents of images [n, height, width, 3] in [0, 1].
        """
    def noise(self, n: typing.SupportsInt | typing.SupportsIndex, config: str) -> numpy.ndarray:
        """
        The initial noise of a seed.
        """
    def sample(self, prompts: collections.abc.Sequence[str], config: str, callback: collections.abc.Callable | None = None, reward: LatentReward = None) -> numpy.ndarray:
        """
        Latents [n, channels, h, w] of prompts, with an ImageSampleConfig as JSON text.
        """
    @property
    def factor(self) -> int:
        ...
    @property
    def parameters(self) -> int:
        ...
    @property
    def warnings(self) -> list[str]:
        ...
