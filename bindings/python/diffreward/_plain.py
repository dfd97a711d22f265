"""What callers give, as JSON has it."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any

import numpy as np

from diffreward.reward import Reward


def plain(value: Any) -> Any:
    """As JSON has it; stages by their folders."""
    if isinstance(value, os.PathLike):
        return os.fspath(value)
    if isinstance(value, Reward):
        return value.file
    if isinstance(value, Mapping):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, np.ndarray):
        return value.tolist()
    if isinstance(value, np.generic):
        return value.item()
    if isinstance(value, (list, tuple)):
        return [plain(item) for item in value]
    return value
