"""The package itself: what importing it costs and touches, its stubs, its documentation."""

import pathlib
import subprocess
import sys

import diffreward

FOLDER = pathlib.Path(diffreward.__file__).parent
STUBS = pathlib.Path(__file__).parents[2] / "bindings" / "python" / "diffreward"


def test_importing_leaves_libtorch_out():
    code = "import sys, diffreward; sys.exit('torch' in sys.modules or 'diffreward._rewards' in sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True)
    maps = "import diffreward; print('libtorch' in open('/proc/self/maps').read())"
    assert subprocess.run([sys.executable, "-c", maps], check=True, capture_output=True, text=True).stdout == "False\n"


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
    for module in ("_envs", "_rewards"):
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
