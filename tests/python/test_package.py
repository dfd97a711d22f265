"""The package itself: what importing it costs and touches, its stubs, its documentation."""

import os
import pathlib
import subprocess
import sys

import pytest

import diffreward

FOLDER = pathlib.Path(diffreward.__file__).parent
STUBS = pathlib.Path(__file__).parents[2] / "bindings" / "python" / "diffreward"


def test_importing_leaves_libtorch_out():
    code = "import sys, diffreward; sys.exit('torch' in sys.modules or 'diffreward._rewards' in sys.modules or 'diffreward._chain' in sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True)
    maps = "import diffreward; print('libtorch' in open('/proc/self/maps').read())"
    assert subprocess.run([sys.executable, "-c", maps], check=True, capture_output=True, text=True).stdout == "False\n"


@pytest.mark.parametrize(("given", "before", "expected"), [
    ({}, "", "1000"), ({"GOMP_SPINCOUNT": "7"}, "", "7"), ({"OMP_WAIT_POLICY": "active"}, "", "None"),
    ({}, "import torch", "None"),
])
def test_threads_wait_briefly_unless_somebody_else_decided(given, before, expected):
    environment = {name: value for name, value in os.environ.items() if name not in {"GOMP_SPINCOUNT", "OMP_WAIT_POLICY"}}
    code = f"{before}\nimport os, diffreward; print(os.environ.get('GOMP_SPINCOUNT'))"
    run = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True, env={**environment, **given})
    assert run.stdout == expected + "\n"


def test_nothing_is_written_where_one_works(tmp_path):
    code = """
import gymnasium as gym, numpy as np, diffreward
envs = gym.make_vec("diffreward/HalfCheetah-v5", num_envs=2).unwrapped
envs.reset(seed=0)
state = envs.instance_state(0)
state[10:28] = 1e9
try:
    envs.reset(options={"state": state})
    for _ in range(50):
        envs.step(np.ones((2, 6)))
except (RuntimeError, ValueError):
    pass
"""
    subprocess.run([sys.executable, "-c", code], check=True, cwd=tmp_path)
    assert not list(tmp_path.iterdir()), "MuJoCo's log"


def test_committed_stubs_are_what_the_modules_say(tmp_path):
    for module in ("_envs", "_rewards", "_pictures", "_chain"):
        subprocess.run(
            [sys.executable, "-m", "pybind11_stubgen", f"diffreward.{module}", "-o", str(tmp_path), "--exit-code"],
            check=True, capture_output=True,
        )
        written = (tmp_path / "diffreward" / f"{module}.pyi").read_text()
        assert written == (STUBS / f"{module}.pyi").read_text(), (
            f"{module}.pyi is stale: run `PYTHONPATH=build/release/python python -m pybind11_stubgen "
            f"diffreward.{module} -o bindings/python`"
        )


def test_everything_public_is_documented():
    for name in diffreward.__all__:
        assert (getattr(diffreward, name).__doc__ or "").strip(), name


def test_typed():
    assert (FOLDER / "py.typed").exists()


@pytest.mark.skipif("DIFFREWARD_EDITABLE_PYTHON" not in os.environ, reason="opt-in: an interpreter after pip install -e .")
def test_editable_installation(tmp_path):
    """Python files are the source's own, libraries those of the interpreter's wheels, found from where the modules are;
    the program stands beside the interpreter."""
    code = """
import pathlib, sys
import diffreward, gymnasium
from diffreward import _envs, _rewards
env = gymnasium.make("diffreward/HalfCheetah-v5")
env.reset(seed=0)
env.step(env.action_space.sample())
assert pathlib.Path(diffreward.__file__).parent.samefile(sys.argv[1]), diffreward.__file__
packages = pathlib.Path(_envs.__file__).parents[1]
maps = pathlib.Path("/proc/self/maps").read_text()
for library in ("libmujoco.so", "libtorch_cpu.so"):
    found = {line.split()[-1] for line in maps.splitlines() if library in line}
    assert len(found) == 1 and all(pathlib.Path(path).is_relative_to(packages) for path in found), found
"""
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    subprocess.run([os.environ["DIFFREWARD_EDITABLE_PYTHON"], "-c", code, str(STUBS)], check=True, cwd=tmp_path,
                   env=environment)
    program = pathlib.Path(os.environ["DIFFREWARD_EDITABLE_PYTHON"]).parent / "diffreward"
    listed = subprocess.run([program, "envs"], check=True, cwd=tmp_path, env=environment, capture_output=True, text=True)
    assert "HalfCheetah-v5" in listed.stdout


def test_libraries_are_found_and_not_copied():
    import mujoco
    import torch

    from diffreward import _rewards  # noqa: F401

    maps = pathlib.Path("/proc/self/maps").read_text()
    libraries = {line.split()[-1] for line in maps.splitlines() if ".so" in line}
    for name, owner in (("libmujoco.so", mujoco), ("libtorch_cpu.so", torch)):
        found = [path for path in libraries if name in path]
        assert len(found) == 1, found
        assert pathlib.Path(found[0]).is_relative_to(pathlib.Path(owner.__file__).resolve().parent), found
