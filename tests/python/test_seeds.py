"""Seeds: integers of any size and type start generators, whatever else is refused by name and changes nothing."""

import gymnasium as gym
import numpy as np
import pytest

import diffreward

MAZE, HOPPER = "diffreward/Maze2D-UMaze-v0", "diffreward/Hopper-v5"
HUGE = 10**40


def _first(seed, env_id=HOPPER):
    return gym.make(env_id).reset(seed=seed)[0]


@pytest.mark.parametrize("kind", [np.int8, np.int32, np.uint64, np.int64, np.array])
def test_numpys_integers_are_numbers(kind):
    assert np.array_equal(_first(kind(7)), _first(7))
    envs = gym.make_vec(HOPPER, num_envs=2)
    assert np.array_equal(envs.reset(seed=kind(7))[0], [_first(7), _first(8)])
    assert np.array_equal(envs.reset(seed=[kind(7), None])[0][0], _first(7))
    assert np.array_equal(envs.reset(seed=np.array([9, 7]))[0], [_first(9), _first(7)])
    env = gym.make(HOPPER).unwrapped
    env.reset(seed=kind(7))
    assert env.np_random_seed == 7


@pytest.mark.parametrize("seed", [2**63, 2**64 - 1, 2**64, HUGE])
def test_huge_seeds_count_up_and_differ(seed):
    assert np.array_equal(_first(seed), _first(seed))
    assert not np.array_equal(_first(seed), _first(seed % 2**32))
    rows = gym.make_vec(HOPPER, num_envs=3).reset(seed=seed)[0]
    assert np.array_equal(rows, [_first(seed + i) for i in range(3)])
    assert len({row.tobytes() for row in rows}) == 3
    envs = diffreward.AsyncEnv(HOPPER, num_envs=3)
    envs.reset(seed=seed)
    batch = envs.recv(3)
    assert np.array_equal(batch.obs[np.argsort(batch.env_id)], rows)


def test_numbers_below_2_to_the_64_are_the_native_generators_own():
    """One more than fits is not one that wraps to 0."""
    assert not np.array_equal(_first(2**64), _first(0))


BAD = [-1, -HUGE, 1.0, np.float64(3), "7", [7, 8, 9, 10], np.array([1.5])]


@pytest.mark.parametrize("seed", BAD, ids=repr)
def test_refused_by_a_single_environment(seed):
    env = gym.make(HOPPER)
    env.reset(seed=0)
    state = env.unwrapped.save_state()
    with pytest.raises(ValueError, match="seed: expected an integer of at least 0, got"):
        env.reset(seed=seed)
    assert np.array_equal(env.unwrapped.save_state(), state)
    env.step(env.action_space.sample())


@pytest.mark.parametrize("seed", [*BAD[:5], [0, 1, -1], [0, 1, 2.5], [0, 1, "2"]], ids=repr)
@pytest.mark.parametrize("mask", [None, np.array([True, False, False])])
def test_refused_by_a_batch(seed, mask):
    envs = gym.make_vec(MAZE, num_envs=3)
    envs.reset(seed=0)
    state = envs.unwrapped.save_state()
    bad = seed[2] if isinstance(seed, list) else seed
    whose = "seed of instance 2" if isinstance(seed, list) else "seed"
    with pytest.raises(ValueError, match=f"^{whose}: expected an integer of at least 0, got .*{bad}"):
        envs.reset(seed=seed, options={} if mask is None else {"reset_mask": mask})
    assert np.array_equal(envs.unwrapped.save_state(), state)
    with pytest.raises(ValueError, match="seed: expected 3 seeds, got 2"):
        envs.reset(seed=[1, 2])


def test_refused_by_an_asynchronous_batch():
    envs = diffreward.AsyncEnv(MAZE, num_envs=3)
    for seed in BAD:
        with pytest.raises(ValueError, match="seed: expected an integer of at least 0, got"):
            envs.reset(seed=seed)
    with pytest.raises(ValueError, match="seed of instance 2: expected an integer of at least 0, got -5"):
        envs.send_reset([0, 2], seed=[1, -5])
    with pytest.raises(ValueError, match="expected 2 seeds, got 1"):
        envs.send_reset([0, 2], seed=[1])
    assert envs.in_flight == 0


def test_gymnasiums_own_batches_refuse_too():
    for mode in ("sync", "async"):
        envs = gym.make_vec(MAZE, num_envs=2, vectorization_mode=mode)
        with pytest.raises(ValueError, match="seed: expected an integer of at least 0, got -[12]"):
            envs.reset(seed=-2)
        envs.close()
