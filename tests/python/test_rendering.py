"""Rendering: sizes are checked at once, and a context that is gone is replaced or missed, never mistaken."""

import ctypes
import multiprocessing
import os
import subprocess
import sys
import textwrap

import gymnasium as gym
import numpy as np
import pytest

import diffreward  # noqa: F401

HOPPER, MAZE = "diffreward/Hopper-v5", "diffreward/Maze2D-UMaze-v0"
SIZE = {"width": 64, "height": 48}


@pytest.mark.parametrize("env_id", [HOPPER, MAZE, "diffreward/PointMaze_UMaze-v3"])
@pytest.mark.parametrize("make", [gym.make, gym.make_vec])
def test_sizes_are_checked_when_made(env_id, make):
    for name in ("width", "height"):
        for side in (-1, 0, 15, 4097, 10**12):
            with pytest.raises(ValueError, match=f"{name}: expected 16 to 4096 pixels, got "):
                make(env_id, **{name: side})
        with pytest.raises(TypeError, match=f"{name}: expected an integer, got 64.0"):
            make(env_id, **{name: 64.0})
    env = make(env_id, render_mode="rgb_array", width=np.int64(16), height=17)
    env.reset(seed=0)
    assert np.asarray(env.render()).shape[-3:] == (17, 16, 3)


@pytest.mark.parametrize("mode", ["NextStep", "SameStep", "Disabled"])
def test_lists_of_frames_are_gymnasiums(mode):
    """The frames of SyncVectorEnv over RenderCollection, through ends, masked resets and calls of render."""
    kwargs = {"num_envs": 2, "render_mode": "rgb_array_list", "max_episode_steps": 4, **SIZE}
    ours = gym.make_vec(MAZE, autoreset_mode=mode, **kwargs)
    theirs = gym.make_vec(MAZE, vectorization_mode="sync",
                          vector_kwargs={"autoreset_mode": gym.vector.AutoresetMode(mode)}, **kwargs)
    assert ours.render_mode == theirs.render_mode == "rgb_array_list"
    ours.reset(seed=0)
    theirs.reset(seed=0)
    rng, seen = np.random.default_rng(0), set()
    for step in range(15):
        if mode == "Disabled" and step and step % 4 == 0:
            ours.reset(options={"reset_mask": np.array([True, True])})
            theirs.reset(options={"reset_mask": np.array([True, True])})
        if step == 6:
            mask = np.array([False, True])
            ours.reset(seed=[None, 3], options={"reset_mask": mask.copy()})
            theirs.reset(seed=[None, 3], options={"reset_mask": mask.copy()})
            if mode == "Disabled":
                break
        action = rng.uniform(-1, 1, (2, 2))
        ours.step(action)
        theirs.step(action)
        if step in (2, 3, 9, 14):
            frames, expected = ours.render(), theirs.render()
            assert [len(one) for one in frames] == [len(one) for one in expected]
            for a, b in zip(frames, expected, strict=True):
                assert np.array_equal(a, b)
            seen.update(len(one) for one in frames)
    assert len(seen) > 1
    assert sum(map(len, ours.render())) == sum(map(len, theirs.render()))


def test_human_rendering_is_a_wrappers():
    with pytest.raises(ValueError, match="HumanRendering"):
        gym.make_vec(HOPPER, num_envs=2, render_mode="human")


def _has_egl():
    try:
        ctypes.CDLL("libEGL.so.1")
    except OSError:
        return False
    return True


def _prints(code, **environment):
    code = f"""
import gymnasium as gym, numpy as np, os, sys
import diffreward
def frame():
    env = gym.make("{HOPPER}", render_mode="rgb_array", width=64, height=48)
    env.reset(seed=0)
    return env.render()
{textwrap.dedent(code)}
"""
    ran = subprocess.run([sys.executable, "-c", code], env={**os.environ, "MUJOCO_GL": "egl", **environment},
                         capture_output=True, text=True, timeout=120)
    assert ran.returncode == 0, ran.stderr
    return ran.stdout.split("\n")


needs_egl = pytest.mark.skipif(not _has_egl(), reason="no EGL on this machine")
IN_A_CHILD = """
def in_a_child():
    sys.stdout.flush()
    child = os.fork()
    if child == 0:
        import signal
        signal.alarm(30)
        try:
            print("same" if np.array_equal(frame(), kept) else "another picture", flush=True)
        except RuntimeError as error:
            print(error, flush=True)
        os._exit(0)
    assert os.waitpid(child, 0)[1] == 0
"""


@needs_egl
def test_a_forked_child_draws_if_its_parent_has_not():
    expected = _prints("np.save(sys.stdout.buffer, frame()) if False else print(frame().sum())")
    printed = _prints("kept = None\n" + IN_A_CHILD.replace(
        'print("same" if np.array_equal(frame(), kept) else "another picture", flush=True)',
        "print(frame().sum(), flush=True)") + "in_a_child()")
    assert printed == expected


@needs_egl
def test_a_forked_child_of_one_that_drew_gets_the_error():
    printed = _prints("kept = frame()\n" + IN_A_CHILD + "in_a_child()\nprint(np.array_equal(frame(), kept))")
    assert "OpenGL stayed with the parent process" in printed[0]
    assert "'spawn' or 'forkserver'" in printed[0]
    assert printed[1] == "True", "the parent draws on"


@needs_egl
def test_so_does_one_whose_parent_drew_with_another_library():
    """Mesa would wait for ever for threads that stayed behind."""
    printed = _prints("""
import mujoco
model = mujoco.MjModel.from_xml_string("<mujoco><worldbody><geom size='.1'/></worldbody></mujoco>")
data = mujoco.MjData(model)
renderer = mujoco.Renderer(model, 48, 64)
renderer.update_scene(data)
renderer.render()
kept = None
""" + IN_A_CHILD + "in_a_child()")
    assert "OpenGL stayed with the parent process" in printed[0]


ANOTHER = """
import mujoco
import mujoco.egl
model = mujoco.MjModel.from_xml_string(
    "<mujoco><worldbody><light pos='0 0 3'/><geom size='.1' rgba='1 0 0 1'/></worldbody></mujoco>")
data = mujoco.MjData(model)
mujoco.mj_forward(model, data)
def another(renderer):
    renderer.update_scene(data)
    return renderer.render()
"""


@needs_egl
def test_two_libraries_draw_in_turn():
    printed = _prints(ANOTHER + """
kept = frame()
renderer = mujoco.Renderer(model, 48, 64)
theirs = another(renderer)
from mujoco.egl import egl_ext as EGL
current = EGL.eglGetCurrentContext()
for _ in range(3):
    assert np.array_equal(frame(), kept)
    assert EGL.eglGetCurrentContext().address == current.address, "theirs stays current"
    assert np.array_equal(another(renderer), theirs)
print("ok")
""")
    assert printed[0] == "ok"


@needs_egl
@pytest.mark.parametrize("others", [0, 1, 8])
def test_a_context_that_another_library_destroyed_is_replaced(others):
    """Closing the display destroys all contexts; those that are made next may get the handle of ours."""
    printed = _prints(ANOTHER + f"""
env = gym.make("{HOPPER}", render_mode="rgb_array", width=64, height=48)
env.reset(seed=0)
kept = env.render()
from mujoco.egl import egl_ext as EGL
for _ in range(3):
    EGL.eglTerminate(mujoco.egl.create_initialized_egl_device_display())
    mujoco.egl.EGL_DISPLAY = mujoco.egl.create_initialized_egl_device_display()
    renderers = [mujoco.Renderer(model, 48, 64) for _ in range({others})]
    theirs = [another(renderer) for renderer in renderers]
    assert np.array_equal(env.render(), kept)
    assert np.array_equal(frame(), kept)
    for renderer, expected in zip(renderers, theirs):
        assert np.array_equal(another(renderer), expected)
        renderer.close()
print("ok")
""")
    assert printed[0] == "ok"


def _child(connection):
    env = gym.make(HOPPER, render_mode="rgb_array", **SIZE)
    env.reset(seed=0)
    connection.send(env.render())


def test_a_spawned_child_draws_what_its_parent_drew():
    env = gym.make(HOPPER, render_mode="rgb_array", **SIZE)
    env.reset(seed=0)
    kept = env.render()
    ours, theirs = multiprocessing.Pipe()
    child = multiprocessing.get_context("spawn").Process(target=_child, args=(theirs,))
    child.start()
    assert ours.poll(60), "the child hangs"
    assert np.array_equal(ours.recv(), kept)
    child.join(30)
