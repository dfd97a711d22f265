"""A reward made by the program itself, with settings that prove the wiring and no more; a tiny Stable Diffusion."""

import os
import pathlib
import subprocess

import pytest
from tiny_pipeline import make_tiny_pipeline


@pytest.fixture(scope="session")
def reward_folder(tmp_path_factory) -> pathlib.Path:
    program = os.environ.get("DIFFREWARD_PROGRAM")
    if not program:
        pytest.skip("DIFFREWARD_PROGRAM names no diffreward program")
    folder = tmp_path_factory.mktemp("demo")
    subprocess.run([program, "run", "maze2d-tiny", "--quiet", "--out", str(folder)], check=True, stdout=subprocess.DEVNULL)
    return folder / "reward"


@pytest.fixture(scope="session")
def pipeline(tmp_path_factory) -> pathlib.Path:
    return make_tiny_pipeline(tmp_path_factory.mktemp("pipeline") / "model")
