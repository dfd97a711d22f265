"""What is copied and pickled: rewards and data sets as their paths, environments not at all."""

import copy
import os
import pickle
import subprocess

import gymnasium as gym
import numpy as np
import pytest

import diffreward

MAZE = "diffreward/Maze2D-UMaze-v0"


@pytest.fixture(scope="module")
def reward(reward_folder):
    return diffreward.load_reward(reward_folder, reading="density_ratio", beta=3)


def _paid(envs, steps=5):
    envs.reset(seed=0)
    rng = np.random.default_rng(0)
    return np.array([envs.step(rng.uniform(-1, 1, envs.action_space.shape))[1] for _ in range(steps)])


def test_a_reward_pickles_as_its_path_and_reading(reward, reward_folder, tmp_path, monkeypatch):
    windows = np.random.default_rng(0).uniform(0, 3, (4, reward.horizon, 6)).astype(np.float32)
    text = pickle.dumps(reward)
    assert len(text) < 500
    assert os.fsencode(reward_folder) in text
    assert np.array_equal(pickle.loads(text).score(windows), reward.score(windows))
    assert not np.array_equal(diffreward.load_reward(reward_folder).score(windows), reward.score(windows))
    assert copy.copy(reward) is copy.deepcopy({"reward": reward})["reward"] is reward

    monkeypatch.chdir(reward_folder)
    text = pickle.dumps(diffreward.load_reward("reward.safetensors"))
    monkeypatch.chdir(tmp_path)
    pickle.loads(text)
    with pytest.raises(RuntimeError, match="gone.safetensors"):
        pickle.loads(text.replace(b"reward.safetensors", b"a-gone.safetensors"))


@pytest.mark.filterwarnings("error:.*copying the environment spec.*")
def test_gym_make_keeps_the_spec(reward):
    env = gym.make(MAZE, reward=reward, max_episode_steps=7)
    assert env.spec is not None
    assert env.spec.kwargs["reward"] is reward
    assert env.spec.max_episode_steps == 7
    again = gym.make(env.spec)
    paid = [_paid(one).tolist() for one in (env, again, gym.make(pickle.loads(pickle.dumps(env.spec))))]
    assert paid[0] == paid[1] == paid[2]
    envs = gym.make_vec(MAZE, num_envs=2, reward=reward)
    assert envs.spec.kwargs["reward"] is reward


@pytest.mark.parametrize("context", ["spawn", "forkserver", "fork"])
def test_workers_make_rewarded_environments(reward, context):
    expected = _paid(gym.make_vec(MAZE, num_envs=2, reward=reward))
    envs = gym.make_vec(MAZE, num_envs=2, reward=reward, vectorization_mode="async",
                        vector_kwargs={"context": context})
    try:
        np.testing.assert_allclose(_paid(envs), expected, rtol=1e-4)  # float32, in batches of another size
    finally:
        envs.close(terminate=True)


def test_a_data_set_pickles_as_its_path(tmp_path, monkeypatch):
    program = os.environ.get("DIFFREWARD_PROGRAM")
    if not program:
        pytest.skip("DIFFREWARD_PROGRAM names no diffreward program")
    subprocess.run([program, "generate", "--env", "Maze2D-UMaze-v0", "--steps", "2000", "--quiet", "--out",
                    str(tmp_path / "data")], check=True, stdout=subprocess.DEVNULL)
    monkeypatch.chdir(tmp_path / "data")
    data = diffreward.open_dataset("data.hdf5")
    root = data.write_minari(tmp_path / "minari", "maze/test-v0")
    monkeypatch.chdir(tmp_path)
    for one in (data, diffreward.open_dataset(root)):
        text = pickle.dumps(one)
        assert len(text) < 500
        for again in (pickle.loads(text), copy.copy(one), copy.deepcopy(one)):
            assert np.array_equal(again.observations, one.observations)
            assert again.path == one.path


@pytest.mark.parametrize("take", [copy.copy, copy.deepcopy, pickle.dumps])
def test_environments_say_that_they_cannot_be_copied(take):
    from diffreward.sb3 import make_vec_env

    carry = "can be neither copied nor pickled: make another one and carry the state over with save_state and load_state$"
    for env in (gym.make(MAZE).unwrapped, gym.make("diffreward/Hopper-v5").unwrapped,
                gym.make("diffreward/PointMaze_UMaze-v3").unwrapped, gym.make_vec(MAZE, num_envs=2)):
        env.reset(seed=0)
        with pytest.raises(TypeError, match=f"^{type(env).__name__} {carry}"):
            take(env)
        env.close()
        with pytest.raises(TypeError, match="neither copied nor pickled"):
            take(env)
    with pytest.raises(TypeError, match="AsyncEnv can be neither copied nor pickled: make another one$"):
        take(diffreward.AsyncEnv(MAZE))
    if take is not copy.copy:  # which takes wrappers by reference
        for env in (gym.make(MAZE), make_vec_env(MAZE, 2)):
            with pytest.raises(TypeError, match=carry):
                take(env)


def test_the_state_is_what_is_carried_over():
    """What the message advises."""
    for make in (lambda: gym.make(MAZE).unwrapped, lambda: gym.make_vec(MAZE, num_envs=2)):
        one, other = make(), make()
        one.reset(seed=0)
        for _ in range(10):
            one.step(one.action_space.sample())
        other.reset(seed=1)
        other.load_state(one.save_state())
        action = one.action_space.sample()
        assert np.array_equal(one.step(action)[0], other.step(action)[0])
