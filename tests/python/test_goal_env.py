"""GoalEnv: Gymnasium-Robotics' functions of goals, and what uses them."""

import gymnasium as gym
import gymnasium_robotics
import numpy as np
import pytest

import diffreward  # noqa: F401

gym.register_envs(gymnasium_robotics)

OPTIONS = [("PointMaze_UMaze-v3", {}), ("PointMaze_UMaze-v3", {"continuing_task": False}),
           ("PointMaze_MediumDense-v3", {}), ("PointMaze_Large-v3", {"reward_type": "dense", "continuing_task": False})]


def _pair(name, options):
    return (gym.make(f"diffreward/{name}", **options).unwrapped,
            gym.make(name, disable_env_checker=True, **options).unwrapped)


@pytest.mark.parametrize(("name", "options"), OPTIONS)
@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_equals_gymnasium_robotics_on_random_goals(name, options, dtype):
    ours, theirs = _pair(name, options)
    rng = np.random.default_rng(0)
    achieved, desired = rng.uniform(-1, 1, (2, 50, 40, 2)).astype(dtype)
    for a, b in ((achieved, desired), (achieved, desired[0, 0]), (achieved[0], desired[0])):
        found, expected = ours.compute_reward(a, b, [{}]), theirs.compute_reward(a, b, [{}])
        assert found.shape == expected.shape
        assert found.dtype == np.float64
        # Dense: our exp() is the C library's, and theirs that of the goals' type.
        dense = options.get("reward_type") == "dense" or "Dense" in name
        np.testing.assert_allclose(found, expected, rtol=2 * np.finfo(dtype).eps if dense else 0)
        ended = np.broadcast_to(ours.compute_terminated(a, b, [{}]), expected.shape)
        b = np.broadcast_to(b, a.shape)
        for at in np.ndindex(expected.shape):
            assert ended[at] == theirs.compute_terminated(a[at], b[at], {})
    for a, b in zip(achieved[0], desired[0], strict=True):
        for function in ("compute_terminated", "compute_truncated"):
            found, expected = (getattr(env, function)(a, b, {}) for env in (ours, theirs))
            assert type(found) is bool
            assert found == expected
        assert type(ours.compute_reward(a, b, {})) is np.float64
    assert ended.any() != options.get("continuing_task", True)


@pytest.mark.parametrize(("name", "options"), OPTIONS)
def test_says_what_step_says(name, options):
    env, theirs = _pair(name, options)
    assert type(theirs.reset(seed=0)[1]["success"]) is bool
    seen = set()
    for episode in range(30):
        info = env.reset(seed=episode, options={"start_cell": (1, 1), "goal_cell": (1, 1)})[1]
        assert type(info["success"]) is bool
        for _ in range(5):
            obs, reward, terminated, _, info = env.step(env.action_space.sample())
            goals = obs["achieved_goal"], obs["desired_goal"], info
            assert reward == env.compute_reward(*goals)
            assert terminated == env.compute_terminated(*goals)
            assert type(info["success"]) is bool
            seen.add(info["success"])
            if terminated:
                break
    assert seen == {True, False}


def test_success_of_a_batch_is_bool():
    envs = gym.make_vec("diffreward/PointMaze_UMaze-v3", num_envs=2, max_episode_steps=1, autoreset_mode="SameStep")
    assert envs.reset(seed=0)[1]["success"].dtype == np.bool_
    info = envs.step(envs.action_space.sample())[4]
    assert info["success"].dtype == info["final_info"]["success"].dtype == np.bool_


def test_other_tasks_have_no_such_functions():
    assert not hasattr(gym.make("diffreward/Maze2D-UMaze-v0").unwrapped, "compute_reward")


def test_hindsight_replay_trains():
    from stable_baselines3 import SAC, HerReplayBuffer

    env = gym.make("diffreward/PointMaze_UMaze-v3", max_episode_steps=50)
    agent = SAC("MultiInputPolicy", env, replay_buffer_class=HerReplayBuffer, learning_starts=100, batch_size=64,
                policy_kwargs={"net_arch": [16]}, seed=0, device="cpu")
    agent.learn(150)
    assert (agent.replay_buffer.sample(200).rewards == 1).any(), "no goal was relabelled"
