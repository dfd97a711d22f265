"""Recorded experience as NumPy arrays."""

from __future__ import annotations

from diffreward._envs import Dataset, open_dataset

__all__ = ["Dataset", "open_dataset"]
