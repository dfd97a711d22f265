"""Env: Gymnasium's and Stable-Baselines3's checkers over every id, exact state, faults."""

import ctypes
import os
import subprocess
import sys

import gymnasium as gym
import numpy as np
import pytest
from gymnasium.utils.env_checker import check_env

import diffreward

ALL_IDS = diffreward.env_ids()


@pytest.mark.parametrize("env_id", ALL_IDS)
@pytest.mark.filterwarnings("error", "ignore:.*is out of date.*", "ignore:.*observation space.*infinity.*")
def test_passes_gymnasiums_checker(env_id):
    env = gym.make(env_id, render_mode="rgb_array", width=64, height=48)
    check_env(env.unwrapped)
    assert env.unwrapped.render().shape == (48, 64, 3)
    env.close()


@pytest.mark.parametrize("env_id", ALL_IDS)
def test_passes_stable_baselines_checker(env_id):
    from stable_baselines3.common.env_checker import check_env as check

    # Unwrapped: Gymnasium's wrappers hide compute_reward, which it asks of goal environments.
    check(gym.make(env_id, render_mode="rgb_array", width=64, height=48).unwrapped, warn=False)


@pytest.mark.parametrize("env_id", ALL_IDS)
def test_spec_survives_json(env_id):
    spec = gym.spec(env_id)
    again = type(spec).from_json(spec.to_json())
    assert again == spec
    gym.make(again).reset(seed=0)


def test_registered_under_the_module_prefix():
    assert gym.make("diffreward:diffreward/Hopper-v5").spec.max_episode_steps == 1000
    gym.register_envs(diffreward)


def test_unknown_id_names_the_nearest():
    with pytest.raises(gym.error.NameNotFound, match="Did you mean: `Hopper`"):
        gym.make("diffreward/Hoper-v5")


def test_unknown_option_names_the_nearest():
    with pytest.raises(TypeError, match="ctrl_cost_wieght.*did you mean 'ctrl_cost_weight'"):
        gym.make("diffreward/Hopper-v5", ctrl_cost_wieght=1)


def test_options_are_gymnasiums():
    env = gym.make("diffreward/Hopper-v5", healthy_z_range=(0.7, np.inf), terminate_when_unhealthy=False)
    env.reset(seed=0)
    for _ in range(200):
        assert not env.step(env.action_space.sample())[2]
    with pytest.raises(ValueError, match="healthy_z_range"):
        gym.make("diffreward/Hopper-v5", healthy_z_range=(2.0, 1.0))


def test_equals_gymnasiums_half_cheetah():
    ours, theirs = gym.make("diffreward/HalfCheetah-v5"), gym.make("HalfCheetah-v5")
    ours.reset(seed=1)
    theirs.reset(seed=1)
    obs = ours.unwrapped.step(np.zeros(6))[0]
    # x is not observed and does not matter for what follows
    theirs.unwrapped.set_state(np.r_[0, obs[:8]], obs[8:])
    ours.unwrapped.close()
    assert theirs.unwrapped._get_obs().tolist() == obs.tolist()


@pytest.mark.parametrize("env_id", ["diffreward/HalfCheetah-v5", "diffreward/Maze2D-UMaze-v0"])
def test_state_resumes_exactly(env_id):
    env = gym.make(env_id).unwrapped
    env.reset(seed=3)
    actions = [env.action_space.sample() for _ in range(40)]
    for action in actions[:20]:
        env.step(action)
    state = env.save_state()
    first = [env.step(action)[0] for action in actions[20:]]
    env.load_state(state)
    assert np.array_equal(first, [env.step(action)[0] for action in actions[20:]])


def test_first_reset_without_a_seed_is_random():
    env = gym.make("diffreward/Hopper-v5")
    other = gym.make("diffreward/Hopper-v5")
    assert not np.array_equal(env.reset()[0], other.reset()[0])


def test_reset_options():
    env = gym.make("diffreward/Maze2D-UMaze-v0")
    obs, info = env.reset(seed=0, options={"start_cell": (1, 1), "goal_cell": np.array([3, 1])})
    assert np.abs(obs[:2] - 1).max() <= 0.5
    assert np.allclose(info["goal"], [3, 1])
    with pytest.raises(ValueError, match="goal_cel'; did you mean 'goal_cell'"):
        env.reset(options={"goal_cel": (1, 1)})
    with pytest.raises(ValueError, match="wall"):
        env.reset(options={"goal_cell": (0, 0)})
    with pytest.raises(ValueError, match="expected 2 numbers"):
        env.reset(options={"goal_cell": 3})
    with pytest.raises(ValueError, match=r"goal_cell: expected a row and a column, got \(1.5, 1\)"):
        env.reset(options={"goal_cell": (1.5, 1)})
    robot = gym.make("diffreward/Hopper-v5")
    for name in ("goal_cell", "reset_cell"):
        with pytest.raises(ValueError, match=f"unknown option '{name}'; it takes state"):
            robot.reset(options={name: (1, 1)})


def test_success_and_distance_of_a_maze():
    env = gym.make("diffreward/Maze2D-UMaze-v0")
    for place, success in (((1, 1.4), True), ((1, 1.6), False)):
        _, info = env.reset(seed=0, options={"start": place, "goal_cell": (1, 1)})
        assert info["success"] is success
        assert info["goal_distance"] == pytest.approx(place[1] - 1, abs=1e-6)


def test_wrong_actions_leave_the_episode_as_it_was():
    env = gym.make("diffreward/HalfCheetah-v5", disable_env_checker=True).unwrapped
    env.reset(seed=0)
    state = env.save_state()
    with pytest.raises(ValueError, match=r"shape \(6,\), got \(5,\)"):
        env.step(np.zeros(5))
    with pytest.raises(TypeError, match="dtype"):
        env.step(np.array(["a"] * 6))
    with pytest.raises(ValueError, match="action 2 of instance 0.*nan"):
        env.step(np.array([0, 0, np.nan, 0, 0, 0]))
    assert np.array_equal(env.save_state(), state)
    env.step(np.zeros(6))


def test_order_and_closing():
    env = gym.make("diffreward/HalfCheetah-v5", disable_env_checker=True).unwrapped
    with pytest.raises(gym.error.ResetNeeded):
        env.step(np.zeros(6))
    env.reset(seed=0)
    env.close()
    env.close()
    with pytest.raises(gym.error.ClosedEnvironmentError):
        env.step(np.zeros(6))
    with pytest.raises(gym.error.ClosedEnvironmentError):
        env.reset()


def _drawn_by(choice):
    code = """
import gymnasium as gym, diffreward
env = gym.make("diffreward/Hopper-v5", render_mode="rgb_array", width=80, height=60)
env.reset(seed=0)
print(env.render().sum())
"""
    environment = {**os.environ, "MUJOCO_GL": choice}
    return subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True)


@pytest.mark.parametrize(("choice", "library"), [("egl", "libEGL.so.1"), ("osmesa", "libOSMesa.so.8")])
def test_mujoco_gl_insists_on_a_library(choice, library):
    """A robot is drawn by it, and where it is missing the error names it; the plain drawing is another picture."""
    plain, drawn = _drawn_by("disable"), _drawn_by(choice)
    assert plain.returncode == 0, plain.stderr
    try:
        ctypes.CDLL(library)
    except OSError:
        assert f"RuntimeError: MuJoCo's renderer: MUJOCO_GL={choice}: cannot make an OpenGL context (Debian: lib" in drawn.stderr
    else:
        assert drawn.returncode == 0, drawn.stderr
        assert drawn.stdout != plain.stdout


def test_record_video_frames():
    env = gym.make("diffreward/Maze2D-UMaze-v0", render_mode="rgb_array_list")
    env.reset(seed=0)
    for _ in range(3):
        env.step(env.action_space.sample())
    frames = env.render()
    assert len(frames) == 4
    assert frames[0].shape == (480, 480, 3)


def test_scores_are_returns_between_the_references():
    random, expert = diffreward.reference_returns("diffreward/Ant-v5")
    assert random < expert
    assert diffreward.score("Ant-v5", [[random, expert]]).tolist() == [[0, 100]]
    assert diffreward.reference_returns("Ant-v5", healthy_reward=2.0) is None
    with pytest.raises(ValueError, match="Ant-v5: expected a task with reference returns, got {'healthy_reward': 2.0}"):
        diffreward.score("Ant-v5", 1.0, healthy_reward=2.0)
    with pytest.raises(TypeError, match="did you mean 'healthy_reward'"):
        diffreward.score("Ant-v5", 1.0, healthy_rewards=2.0)
