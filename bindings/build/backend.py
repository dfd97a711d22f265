"""scikit-build-core, asking for torch and mujoco only where the environment does not have them.

The extension modules are built with the headers and libraries of these two wheels. In an environment that has them the
build uses those, so that no second copy of LibTorch is downloaded and both sides are the same build of it.
"""

from __future__ import annotations

import pathlib
import sysconfig

from scikit_build_core import build as _build
from scikit_build_core.build import *  # noqa: F403

_WHEELS = {"torch": "torch==2.13.0", "mujoco": "mujoco==4.0.0"}


def _missing() -> list[str]:
    # Not importlib: an isolated build hides the environment's packages from it.
    installed = pathlib.Path(sysconfig.get_path("platlib"))
    return [pin for name, pin in _WHEELS.items() if not (installed / name).is_dir()]


def get_requires_for_build_wheel(config_settings: dict | None = None) -> list[str]:
    return _build.get_requires_for_build_wheel(config_settings) + _missing()


def get_requires_for_build_editable(config_settings: dict | None = None) -> list[str]:
    return _build.get_requires_for_build_editable(config_settings) + _missing()
