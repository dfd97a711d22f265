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


@pytest.fixture(scope="session")
def image_reward(tmp_path_factory, pipeline) -> pathlib.Path:
    import diffreward as dr

    folder = tmp_path_factory.mktemp("image_reward")
    prompts = folder / "prompts.txt"
    prompts.write_text("a cat\na dog\na sea\n")
    stage = dr.sd_extract(model=pipeline, prompts=prompts, steps=2, dim=8, dim_mults=[1, 2], held_out=0.4, read_noises=1,
                          chains={"steps": 2, "unsafe": "a fox"}, out=folder / "reward", progress=False)
    return stage.folder / "reward.safetensors"
