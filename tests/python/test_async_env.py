"""AsyncEnv: what an instance returns is what VectorEnv returns for it, whatever the order."""

import gymnasium as gym
import numpy as np
import pytest

import diffreward

COUNT, STEPS = 5, 40


def _rows(obs):
    return np.concatenate(list(obs.values()), axis=1) if isinstance(obs, dict) else obs


def _with_final(info):
    """What each instance's step reached: `info`, but for episodes that ended its `final_info`."""
    final = {name: values.copy() for name, values in info.items() if not name.startswith(("_", "final_"))}
    for i in np.flatnonzero(info.get("_final_info", [])):
        for name in final:
            final[name][i] = info["final_info"][name][i]
    return final


@pytest.mark.parametrize("mode", ["NextStep", "SameStep"])
@pytest.mark.parametrize("env_id", ["diffreward/Hopper-v5", "diffreward/PointMaze_UMaze-v3"])
def test_equals_the_vector_env(env_id, mode):
    kwargs = {"num_envs": COUNT, "max_episode_steps": 15, "autoreset_mode": mode}
    envs = gym.make_vec(env_id, **kwargs)
    actions = np.random.default_rng(0).uniform(-1, 1, (STEPS, *envs.action_space.shape))
    obs, info = envs.reset(seed=3)
    expected = [(_rows(obs), np.zeros(COUNT), info, _with_final(info))]
    for action in actions:
        obs, reward, *_, info = envs.step(action)
        expected.append((_rows(obs), reward, info, _with_final(info)))

    asynchronous = diffreward.AsyncEnv(env_id, threads=2, **kwargs)
    asynchronous.reset(seed=3)
    done = np.zeros(COUNT, dtype=int)
    while asynchronous.in_flight:
        batch = asynchronous.recv(min(2, asynchronous.in_flight))
        for k, i in enumerate(batch.env_id):
            obs, reward, info, final = expected[done[i]]
            assert np.array_equal(_rows(batch.obs)[k], obs[i])
            assert batch.reward[k] == reward[i]
            assert set(batch.info) == set(batch.final_info) == set(final)
            for name in final:
                assert batch.info[name].dtype == info[name].dtype
                assert np.array_equal(batch.info[name][k], info[name][i]), name
                assert np.array_equal(batch.final_info[name][k], final[name][i]), name
        done[batch.env_id] += 1
        going = batch.env_id[done[batch.env_id] <= STEPS]
        asynchronous.send(actions[done[going] - 1, going], going)
    assert (done == STEPS + 1).all()


def test_nothing_received_has_the_shapes_of_something():
    envs = diffreward.AsyncEnv("diffreward/Hopper-v5", num_envs=2)
    batch = envs.recv(0)
    assert batch.obs.shape == (0, 11)
    assert batch.info["x_position"].shape == (0,)
