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


MAP = [[1, 1, 1, 1, 1, 1], [1, "r", 0, "g", "c", 1], [1, 1, 1, 0, 0, 1], [1, "g", 0, 0, "r", 1], [1, 1, 1, 1, 1, 1]]


@pytest.mark.parametrize("maze_map", [MAP, tuple(map(tuple, MAP)), np.array(MAP), np.array(MAP, dtype=object)],
                         ids=["list", "tuple", "array of texts", "array of objects"])
def test_maps_are_gymnasium_robotics_lists(maze_map):
    """Starts, goals and walls where Gymnasium-Robotics has them."""
    ours, theirs = _pair("PointMaze_UMaze-v3", {"maze_map": MAP})
    ours = gym.make("diffreward/PointMaze_UMaze-v3", maze_map=maze_map, position_noise_range=0).unwrapped
    starts, goals = set(), set()
    for seed in range(200):
        obs, info = ours.reset(seed=seed)
        starts.add(tuple(obs["achieved_goal"]))
        goals.add(tuple(obs["desired_goal"]))
    assert starts == {tuple(place) for place in theirs.maze.unique_reset_locations}
    assert goals == {tuple(place) for place in theirs.maze.unique_goal_locations}
    for row, column in np.argwhere(np.array(MAP) == "1"):
        with pytest.raises(ValueError, match="wall"):
            ours.reset(options={"reset_cell": (row, column)})


@pytest.mark.parametrize("name", ["U_MAZE", "OPEN", "OPEN_DIVERSE_G", "OPEN_DIVERSE_GR", "MEDIUM_MAZE", "MEDIUM_MAZE_DIVERSE_G",
                                  "MEDIUM_MAZE_DIVERSE_GR", "LARGE_MAZE", "LARGE_MAZE_DIVERSE_G", "LARGE_MAZE_DIVERSE_GR"])
def test_gymnasium_robotics_own_maps_are_our_named_ones(name):
    from gymnasium_robotics.envs.maze import maps

    ours = name.lower().replace("_maze", "").replace("u", "umaze", 1) if name == "U_MAZE" else name.lower().replace("_maze", "")
    listed = gym.make("diffreward/PointMaze_UMaze-v3", maze_map=getattr(maps, name)).unwrapped
    named = gym.make("diffreward/PointMaze_UMaze-v3", maze_map=ours).unwrapped
    for seed in range(30):
        a, b = listed.reset(seed=seed)[0], named.reset(seed=seed)[0]
        assert all(np.array_equal(a[part], b[part]) for part in a)


def test_wrong_cells_of_a_map_are_named():
    for cell in (2, "x", None, 0.5, [0]):
        with pytest.raises(ValueError, match="maze_map: row 1, column 2: expected 0, 1, 'r', 'g' or 'c', got"):
            gym.make("diffreward/PointMaze_UMaze-v3", maze_map=[[1, 1, 1, 1], [1, 0, cell, 1], [1, 1, 1, 1]])
    with pytest.raises(ValueError, match="maze_map: row 1: expected a list of cells, got 1"):
        gym.make("diffreward/PointMaze_UMaze-v3", maze_map=[[1, 1, 1], 1])
    with pytest.raises(ValueError, match="row 1: expected 3 columns"):
        gym.make("diffreward/PointMaze_UMaze-v3", maze_map=[[1, 1, 1], [1, 1]])


@pytest.mark.parametrize("make", [lambda **k: gym.make(**k), lambda **k: gym.make_vec(num_envs=3, **k)], ids=["one", "batch"])
@pytest.mark.parametrize("env_id", ["diffreward/PointMaze_Medium-v3", "diffreward/Maze2D-Medium-v0"])
def test_both_names_of_a_start_mean_the_same(make, env_id):
    env, found = make(id=env_id), []
    for name in ("reset_cell", "start_cell"):
        obs, _ = env.reset(seed=0, options={name: np.array([5, 6]), "goal_cell": (1, 1)})
        found.append(np.concatenate([np.ravel(part) for part in (obs.values() if isinstance(obs, dict) else [obs])]))
    assert np.array_equal(*found)
    obs, _ = env.reset(seed=0, options={"reset_cell": None, "goal_cell": None})
    assert not np.array_equal(obs["observation"] if isinstance(obs, dict) else obs, found[0])
    with pytest.raises(ValueError, match="'reset_cell' and 'start_cell' are one"):
        env.reset(options={"reset_cell": (1, 1), "start_cell": (1, 1)})
    with pytest.raises(ValueError, match="did you mean 'reset_cell'"):
        env.reset(options={"reset_cel": (1, 1)})


def test_options_of_a_reset_are_gymnasium_robotics():
    """From equal cells without noise: equal observations. And `reset_target` moves a goal that was reached."""
    options = {"continuing_task": True, "reset_target": True}
    ours, theirs = _pair("PointMaze_Medium_Diverse_GR-v3", options)
    ours = gym.make("diffreward/PointMaze_Medium_Diverse_GR-v3", position_noise_range=0, **options).unwrapped
    theirs.position_noise_range = 0.0
    cells = {"reset_cell": np.array([1, 2]), "goal_cell": np.array([5, 1])}
    a, b = ours.reset(seed=0, options=cells)[0], theirs.reset(seed=0, options=cells)[0]
    assert all(np.array_equal(a[part], b[part]) for part in b)
    here = {"reset_cell": np.array([1, 2]), "goal_cell": np.array([1, 2])}
    for one in (ours, theirs):
        goal = one.reset(seed=0, options=here)[0]["desired_goal"]
        one.step(np.zeros(2))
        assert not np.array_equal(one.step(np.zeros(2))[0]["desired_goal"], goal)
    ours, theirs = _pair("PointMaze_Medium_Diverse_GR-v3", {**options, "continuing_task": False})
    ours = gym.make("diffreward/PointMaze_Medium_Diverse_GR-v3", position_noise_range=0, continuing_task=False).unwrapped
    theirs.position_noise_range = 0.0
    for one in (ours, theirs):
        one.reset(seed=0, options=here)
        assert one.step(np.zeros(2))[2], "ends at the goal"


def test_other_tasks_have_no_such_functions():
    assert not hasattr(gym.make("diffreward/Maze2D-UMaze-v0").unwrapped, "compute_reward")


@pytest.mark.parametrize("batched", [False, True])
def test_hindsight_replay_trains(batched):
    from stable_baselines3 import SAC, HerReplayBuffer

    from diffreward.sb3 import make_vec_env

    kwargs = {"max_episode_steps": 50, "reset_target": False}
    env = (make_vec_env("diffreward/PointMaze_UMaze-v3", 4, **kwargs) if batched
           else gym.make("diffreward/PointMaze_UMaze-v3", **kwargs))
    agent = SAC("MultiInputPolicy", env, replay_buffer_class=HerReplayBuffer, learning_starts=300, batch_size=64,
                policy_kwargs={"net_arch": [16]}, seed=0, device="cpu")
    agent.learn(1_000)
    assert agent.num_timesteps >= 1_000
    sample = agent.replay_buffer.sample(500)
    assert (sample.rewards == 1).any(), "no goal was relabelled"
    reached, desired = (sample.next_observations["achieved_goal"], sample.observations["desired_goal"])
    expected = gym.make("diffreward/PointMaze_UMaze-v3").unwrapped.compute_reward(reached.numpy(), desired.numpy(), None)
    assert np.array_equal(sample.rewards.numpy()[:, 0], expected)
