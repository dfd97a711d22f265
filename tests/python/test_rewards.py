"""Rewards from Python: files, readings, functions, the task's own reward beside them."""

import gymnasium as gym
import numpy as np
import pytest

import diffreward

MAZE = "diffreward/Maze2D-UMaze-v0"


def test_a_file_pays_and_keeps_the_tasks_reward(reward_folder):
    envs = gym.make_vec(MAZE, num_envs=4, reward=reward_folder)
    plain = gym.make_vec(MAZE, num_envs=4)
    envs.reset(seed=0)
    plain.reset(seed=0)
    rng = np.random.default_rng(0)
    for _ in range(20):
        actions = rng.uniform(-1, 1, (4, 2))
        obs, paid, *_, info = envs.step(actions)
        expected_obs, own, *_ = plain.step(actions)
        assert np.array_equal(obs, expected_obs)
        assert np.array_equal(info["env_reward"], own)
        assert np.isfinite(paid).all()
        assert not np.array_equal(paid, own)


def test_single_and_vector_are_paid_alike(reward_folder):
    env = gym.make(MAZE, reward=str(reward_folder))
    envs = gym.make_vec(MAZE, num_envs=2, reward=str(reward_folder))
    env.reset(seed=1)
    envs.reset(seed=0)
    for _ in range(20):
        action = np.array([0.3, -0.7])
        _, paid, _, _, info = env.step(action)
        _, all_paid, *_, all_info = envs.step(np.stack([action, action]))
        assert paid == pytest.approx(all_paid[1], rel=1e-6)
        assert info["env_reward"] == all_info["env_reward"][1]


def test_called_on_transitions_equals_scoring_windows(reward_folder):
    reward = diffreward.load_reward(reward_folder)
    rng = np.random.default_rng(0)
    obs = rng.uniform(1, 3, (5, 4)).astype(np.float32)
    actions = rng.uniform(-1, 1, (5, 2)).astype(np.float32)
    rows = np.concatenate([actions, obs], axis=1)
    windows = np.repeat(rows[:, None], reward.horizon, axis=1)
    np.testing.assert_array_equal(reward(obs, actions, obs, np.zeros(5, bool)), reward.score(windows))
    with pytest.raises(ValueError, match="expected windows"):
        reward.score(np.zeros((3, reward.horizon + 1, 6)))


def test_readings(reward_folder):
    plain = diffreward.load_reward(reward_folder)
    ratio = diffreward.load_reward(reward_folder, reading="density_ratio", beta=3)
    spots = np.random.default_rng(0).uniform(1, 3, (50, 4))
    actions = np.zeros((50, 2))
    a, b = plain(spots, actions, spots), ratio(spots, actions, spots)
    assert (b > 0).all()
    assert np.array_equal(np.argsort(a), np.argsort(b)), "a density ratio keeps the order"
    with pytest.raises(ValueError, match="reading"):
        diffreward.load_reward(reward_folder, reading="density")
    with pytest.raises(TypeError, match="with it"):
        gym.make_vec(MAZE, num_envs=2, reading={"reading": "plain"})


def test_another_environments_reward_is_refused(reward_folder):
    with pytest.raises(ValueError, match="observation"):
        gym.make_vec("diffreward/Hopper-v5", num_envs=2, reward=reward_folder)


def test_missing_and_damaged_files(reward_folder, tmp_path):
    with pytest.raises(RuntimeError, match="nothing.safetensors"):
        diffreward.load_reward(tmp_path / "nothing.safetensors")
    file = next(reward_folder.glob("reward*.safetensors"))
    cut = tmp_path / "cut.safetensors"
    cut.write_bytes(file.read_bytes()[:-100])
    with pytest.raises(RuntimeError, match="cut.safetensors"):
        diffreward.load_reward(cut)


def test_a_function_pays():
    def slowness(obs, actions, next_obs, dones):
        assert obs.shape == next_obs.shape == (3, 4)
        assert actions.shape == (3, 2)
        assert dones.dtype == bool
        return -np.abs(next_obs[:, 2:]).sum(axis=1)

    envs = gym.make_vec(MAZE, num_envs=3, reward=slowness, max_episode_steps=5)
    envs.reset(seed=0)
    for step in range(1, 13):
        obs, paid, _, truncated, info = envs.step(envs.action_space.sample())
        if step % 6 == 0:
            assert (paid == 0).all(), "the step that resets pays nothing"
        else:
            np.testing.assert_allclose(paid, -np.abs(obs[:, 2:]).sum(axis=1))
        assert truncated.all() == (step % 6 == 5)
        assert "env_reward" in info


def test_a_functions_faults():
    envs = gym.make_vec(MAZE, num_envs=3, reward=lambda *_: np.array([0, np.nan, 1]))
    envs.reset(seed=0)
    with pytest.raises(ValueError, match="instance 1.*nan"):
        envs.step(np.zeros((3, 2)))
    envs.reset(seed=0)

    envs = gym.make_vec(MAZE, num_envs=3, reward=lambda *_: np.zeros(2))
    envs.reset(seed=0)
    with pytest.raises(ValueError, match="expected 3 rewards"):
        envs.step(np.zeros((3, 2)))

    def raises(*_):
        raise ZeroDivisionError("mine")

    envs = gym.make_vec(MAZE, num_envs=3, reward=raises)
    envs.reset(seed=0)
    with pytest.raises(ZeroDivisionError, match="mine"):
        envs.step(np.zeros((3, 2)))
    envs.reset(seed=0)


def test_the_example_runs(reward_folder):
    import pathlib
    import subprocess
    import sys

    code = pathlib.Path(__file__).parents[2] / "examples" / "python" / "plug_a_reward.py"
    printed = subprocess.run([sys.executable, code, reward_folder], check=True, capture_output=True, text=True)
    assert "the task's own" in printed.stdout
