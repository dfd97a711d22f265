"""Arrays in and out of native code: NumPy's, PyTorch's, and those of whoever speaks DLPack.

What comes in is copied where its dtype, layout or device demands it, and else read where it lies. PyTorch is never
imported for those who do not use it.
"""

from __future__ import annotations

import sys
from typing import Any, Union

import numpy as np
from numpy.typing import ArrayLike

Array = Union[ArrayLike, Any]  # an ArrayLike, a PyTorch tensor, or what has __dlpack__


def is_tensor(x: Any) -> bool:
    """Whether x is a PyTorch tensor: nothing is, as long as nobody has imported PyTorch."""
    return isinstance(x, getattr(sys.modules.get("torch"), "Tensor", ()))


def native(x: Any, name: str, dtype: Any = np.float32) -> np.ndarray:
    """Real numbers as a C-contiguous array of ``dtype``; a view of x where that is what x holds.

    Raises:
        TypeError: not real numbers, naming ``name`` and what was found.
    """
    return _converted(_as_numpy(x), name, dtype, "fiu", "real numbers")


def timesteps(t: Any) -> np.ndarray:
    """Noise levels as int64, [] or [n].

    Raises:
        TypeError: not integers, naming what was found.
    """
    return _converted(_as_numpy(t), "t", np.int64, "iu", "integers")


def flags(x: Any, name: str) -> np.ndarray:
    """Flags as bool.

    Raises:
        TypeError: not bool, naming ``name`` and what was found.
    """
    return _converted(_as_numpy(x), name, np.bool_, "b", "flags")


def like(result: np.ndarray, *given: Any) -> Any:
    """The result as the caller has arrays: a tensor where one of ``given`` is, on its device, which shares memory on a CPU."""
    for one in given:
        if is_tensor(one):
            return sys.modules["torch"].from_numpy(result).to(one.device)
    return result


def _as_numpy(x: Any) -> np.ndarray:
    if is_tensor(x):
        narrow = x.is_floating_point() and x.element_size() < 4  # bfloat16 and narrower, which NumPy lacks
        return (x.float() if narrow else x).numpy(force=True)
    if isinstance(x, np.ndarray) or not hasattr(x, "__dlpack__"):
        return np.asarray(x)
    try:
        return np.from_dlpack(x)
    except (BufferError, RuntimeError):  # another device, or a dtype that NumPy lacks
        import torch

        return _as_numpy(torch.from_dlpack(x))


def _converted(array: np.ndarray, name: str, dtype: Any, kinds: str, expected: str) -> np.ndarray:
    if array.dtype.kind not in kinds:
        raise TypeError(f"{name}: expected {expected}, got dtype {array.dtype}")
    return np.require(array, dtype, ["C_CONTIGUOUS", "ALIGNED", "ENSUREARRAY"])
