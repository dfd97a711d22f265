"""VectorEnv: Gymnasium's rules of every mode over every id, threads, views, state, faults."""

import multiprocessing
import os

import gymnasium as gym
import numpy as np
import pytest
import torch
from gymnasium.vector import AutoresetMode

import diffreward
from vector_checker import check_vector_env

ALL_IDS = diffreward.env_ids()
CHEETAH = "diffreward/HalfCheetah-v5"


@pytest.mark.parametrize("mode", list(AutoresetMode))
@pytest.mark.parametrize("env_id", ALL_IDS)
def test_follows_gymnasiums_rules(env_id, mode):
    check_vector_env(env_id, mode)


LIMITED = "diffreward/Maze2D-UMaze-v0"  # 300 steps
MODES = ["sync", "async", "vector_entry_point"]


def _steps_until_truncation(envs, most):
    envs.reset(seed=0)
    action = np.zeros(envs.action_space.shape)
    found = next((step for step in range(1, most + 1) if np.any(envs.step(action)[3])), None)
    envs.close()
    return found


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize(("limit", "expected"), [(-1, None), (None, 300), (7, 7), (True, 1)])
def test_step_limits_are_gymnasiums(mode, limit, expected):
    envs = gym.make_vec(LIMITED, num_envs=2, vectorization_mode=mode, max_episode_steps=limit)
    assert _steps_until_truncation(envs, 310) == expected
    single = gym.make(LIMITED, max_episode_steps=limit)
    assert _steps_until_truncation(single, 310) == expected


@pytest.mark.parametrize("limit", [0, -2, 2.5, "7"])
def test_refused_step_limits_are_gymnasiums(limit):
    """Gymnasium's own and ours: the same kind of error, naming the argument and what was given."""
    kind = ValueError if isinstance(limit, int) else TypeError
    for mode in MODES:
        with pytest.raises(kind, match="max_episode_steps.*(positive|integer)"):
            gym.make_vec(LIMITED, num_envs=2, vectorization_mode=mode, max_episode_steps=limit)
    for make in (diffreward.AsyncEnv, diffreward.VectorEnv):
        with pytest.raises(kind, match=f"max_episode_steps: expected .* got {limit!r}"):
            make("Maze2D-UMaze-v0", max_episode_steps=limit)
    with pytest.raises(ValueError, match="max_episode_steps: expected a positive integer up to 1000000000"):
        gym.make_vec(LIMITED, num_envs=2, max_episode_steps=10**12)


def test_without_a_limit_nothing_is_truncated_later():
    envs = diffreward.AsyncEnv("Maze2D-UMaze-v0", max_episode_steps=-1)
    envs.reset(seed=0)
    for _ in range(310):
        batch = envs.recv()
        assert not batch.truncated.any()
        envs.send(np.zeros((1, 2)), [0])


def test_equals_single_environments():
    envs = gym.make_vec(CHEETAH, num_envs=3)
    rng = np.random.default_rng(0)
    obs, _ = envs.reset(seed=7)
    singles = [gym.make(CHEETAH) for _ in range(3)]
    assert np.array_equal(obs, [env.reset(seed=7 + i)[0] for i, env in enumerate(singles)])
    for _ in range(50):
        actions = rng.uniform(-1, 1, (3, 6))
        obs, reward, *_, info = envs.step(actions)
        rows = [env.step(action) for env, action in zip(singles, actions, strict=True)]
        assert np.array_equal(obs, [row[0] for row in rows])
        assert np.array_equal(reward, [row[1] for row in rows])
        assert np.array_equal(info["x_velocity"], [row[4]["x_velocity"] for row in rows])


def test_threads_do_not_change_results():
    found = []
    for threads in (1, 2, 5):
        envs = gym.make_vec("diffreward/Hopper-v5", num_envs=7, threads=threads)
        rng = np.random.default_rng(1)
        envs.reset(seed=0)
        found.append([envs.step(rng.uniform(-1, 1, (7, 3)))[0] for _ in range(200)])
    assert np.array_equal(found[0], found[1])
    assert np.array_equal(found[0], found[2])


def test_copies_are_the_callers_own():
    envs = gym.make_vec(CHEETAH, num_envs=2)
    first, _ = envs.reset(seed=0)
    kept = first.copy()
    envs.step(envs.action_space.sample())
    assert np.array_equal(first, kept)
    first[:] = 0


def test_views_follow_the_batch_and_outlive_it():
    envs = gym.make_vec(CHEETAH, num_envs=2, copy=False)
    first, _ = envs.reset(seed=0)
    second, reward, *_ = envs.step(np.zeros((2, 6)))
    assert np.shares_memory(first, second)
    with pytest.raises(ValueError, match="read-only"):
        second[:] = 0
    kept = second.copy()
    envs.close()
    del envs
    assert np.array_equal(second, kept)
    assert np.isfinite(reward).all()


def test_torch_reads_a_view_without_copying():
    envs = gym.make_vec(CHEETAH, num_envs=2, copy=False)
    obs, _ = envs.reset(seed=0)
    seen = torch.from_dlpack(obs)
    assert seen.data_ptr() == obs.ctypes.data
    envs.step(np.zeros((2, 6)))
    assert np.array_equal(seen.numpy(), obs)


@pytest.mark.parametrize("env_id", [CHEETAH, "diffreward/Maze2D-UMaze-v0"])
def test_whole_batch_resumes_exactly(env_id):
    envs = gym.make_vec(env_id, num_envs=3, max_episode_steps=25).unwrapped
    envs.reset(seed=0)
    rng = np.random.default_rng(0)
    actions = rng.uniform(-1, 1, (60, *envs.action_space.shape))
    for action in actions[:20]:
        envs.step(action)
    state = envs.save_state()
    first = [envs.step(action)[:2] for action in actions[20:]]
    envs.load_state(state)
    for action, (obs, reward) in zip(actions[20:], first, strict=True):
        again = envs.step(action)
        assert np.array_equal(again[0], obs)
        assert np.array_equal(again[1], reward)


def test_one_instance_continues_from_anothers_state():
    envs = gym.make_vec(CHEETAH, num_envs=2).unwrapped
    envs.reset(seed=0)
    envs.step(envs.action_space.sample())
    obs, _ = envs.reset(options={"state": envs.instance_state(0), "reset_mask": np.array([False, True])})
    assert np.array_equal(obs[0], obs[1])


def test_instances_may_differ():
    heavy = {"physics": {"mass_scale": 3.0}}
    envs = gym.make_vec(CHEETAH, num_envs=3, instances=[{}, heavy, {}])
    same = gym.make(CHEETAH, **heavy)
    envs.reset(seed=0)
    same.reset(seed=1)
    plain = gym.make_vec(CHEETAH, num_envs=3)
    plain.reset(seed=0)
    for _ in range(5):
        actions = np.full((3, 6), 0.5)
        obs, usual = envs.step(actions)[0], plain.step(actions)[0]
        assert np.array_equal(obs[1], same.step(actions[1])[0])
        assert np.array_equal(obs[[0, 2]], usual[[0, 2]])
        assert not np.array_equal(obs[1], usual[1])


def test_goals_per_instance():
    envs = gym.make_vec("diffreward/Maze2D-UMaze-v0", num_envs=2)
    goals = np.array([[1, 1], [3, 1]])
    _, info = envs.reset(seed=0, options={"goal_cell": goals})
    assert np.array_equal(info["goal"], goals)
    with pytest.raises(ValueError, match="expected 2 rows, got 3"):
        envs.reset(options={"goal_cell": np.ones((3, 2), dtype=int)})


def test_faults_name_the_instance():
    envs = gym.make_vec(CHEETAH, num_envs=3)
    with pytest.raises(gym.error.ResetNeeded):
        envs.step(envs.action_space.sample())
    envs.reset(seed=0)
    with pytest.raises(ValueError, match=r"shape \(3, 6\), got \(2, 6\)"):
        envs.step(np.zeros((2, 6)))
    bad = np.zeros((3, 6))
    bad[1, 4] = np.inf
    with pytest.raises(ValueError, match="action 4 of instance 1"):
        envs.step(bad)
    with pytest.raises(TypeError, match="dtype"):
        envs.step(np.zeros((3, 6), dtype=complex))
    envs.step(np.zeros((3, 6)))
    envs.close()
    with pytest.raises(gym.error.ClosedEnvironmentError):
        envs.step(np.zeros((3, 6)))


def test_a_diverging_instance_leaves_the_others_usable():
    envs = gym.make_vec(CHEETAH, num_envs=3).unwrapped
    envs.reset(seed=0)
    state = envs.instance_state(1)
    state[10:28] = 1e9  # far from anything a simulation could go on from
    with pytest.raises((RuntimeError, ValueError), match="instance 1"):
        envs.reset(options={"state": state, "reset_mask": np.array([False, True, False])})
        for _ in range(50):
            envs.step(np.ones((3, 6)))
    envs.reset(seed=5, options={"reset_mask": np.array([False, True, False])})
    assert np.isfinite(envs.step(np.zeros((3, 6)))[0]).all()


def _child(connection, envs):
    try:
        envs.step(np.zeros((2, 6)))
        connection.send("stepped")
    except Exception as error:  # the parent looks at it
        connection.send(str(error))


def test_a_forked_child_is_told_to_make_its_own():
    envs = gym.make_vec(CHEETAH, num_envs=2, threads=2)
    envs.reset(seed=0)
    ours, theirs = multiprocessing.Pipe()
    child = multiprocessing.get_context("fork").Process(target=_child, args=(theirs, envs))
    child.start()
    assert ours.poll(30), "the child hangs"
    assert "made before the process forked" in ours.recv()
    child.join(30)
    assert child.exitcode == 0
    envs.step(np.zeros((2, 6)))


def test_gymnasiums_async_vector_env_forks_after_the_import():
    envs = gym.make_vec(CHEETAH, num_envs=2, vectorization_mode="async", vector_kwargs={"context": "fork"})
    envs.reset(seed=0)
    assert envs.step(envs.action_space.sample())[0].shape == (2, 17)
    envs.close()


class _Steps(torch.utils.data.IterableDataset):
    def __iter__(self):
        env = gym.make(CHEETAH)
        env.reset(seed=os.getpid())
        for _ in range(3):
            yield env.step(env.action_space.sample())[0]


def test_data_loader_workers_make_environments():
    rows = list(torch.utils.data.DataLoader(_Steps(), num_workers=2, batch_size=None))
    assert len(rows) == 6


def test_render_and_metadata():
    envs = gym.make_vec("diffreward/Maze2D-UMaze-v0", num_envs=2, render_mode="rgb_array", width=32, height=32)
    envs.reset(seed=0)
    frames = envs.render()
    assert len(frames) == 2
    assert frames[0].shape == (32, 32, 3)
    assert envs.metadata["render_fps"] == 100
    with pytest.raises(ValueError, match="render_mode"):
        gym.make_vec("diffreward/Maze2D-UMaze-v0", num_envs=2, render_mode="depth")
