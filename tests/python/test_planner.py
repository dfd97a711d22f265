"""A diffusion model that acts: plans that are kept, begun anew, and followed to the goal."""

import gymnasium as gym
import numpy as np
import pytest
import torch

import diffreward as dr

ENV = "Maze2D-UMaze-v0"
GOAL = np.array([1.0, 1.0])
DDIM = {"sampler": "ddim", "steps": 5}
WALK = {"follow": "states", "replan_every": 8, **DDIM}


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    data = dr.generate(env=ENV, goal_cell=(1, 1), start_jitter=0.8, steps=40_000, count=64, progress=False)
    return dr.train(data=data, model={"dim": 64, "layers": 1, "horizon": 16, "stride": 8, "timesteps": 10}, batch=64,
                    condition_probability=1, steps=150, progress=False, out=tmp_path_factory.mktemp("planner") / "model")


@pytest.fixture
def obs():
    return np.random.default_rng(0).uniform([1, 1, 0, 0], [1.2, 3, 0, 0], (5, 4))


def test_it_reaches_the_goal_as_walks_to_it_do_and_random_actions_do_not(model):
    envs = gym.make_vec(f"diffreward/{ENV}", num_envs=32, goal_cell=(1, 1), max_episode_steps=200)

    def success(act):
        obs, info = envs.reset(seed=0)
        for step in range(199):
            obs, _, _, _, info = envs.step(act(obs, step == 0))
        return info["success"].mean()

    planner = dr.Planner(model, **WALK)
    random = np.random.default_rng(0)
    assert success(lambda obs, first: planner.predict(obs, episode_start=np.full(32, first))[0]) > 0.9
    assert success(lambda obs, first: random.uniform(-1, 1, (32, 2))) < 0.3


def test_the_first_action_is_the_plans(model, obs):
    planner = dr.Planner(model, **DDIM, seed=3)
    assert planner.plan.shape == (0, 16, 6)
    actions, state = planner.predict(obs)
    assert actions.shape == (5, 2) and actions.dtype == np.float32 and state is None
    assert planner.plan.shape == (5, 16, 6) and planner.plan.dtype == np.float32
    np.testing.assert_array_equal(actions, planner.plan[:, 0, :2])
    np.testing.assert_allclose(planner.plan[:, 0, 2:], obs, atol=1e-5)


def test_following_states_is_the_pd_controller(model, obs):
    planner = dr.Planner(model, follow="states", gain=3, damping=0.5, **DDIM)
    actions, _ = planner.predict(obs)
    target = (7 * planner.plan[:, 0, 2:] + planner.plan[:, 1, 2:]) / 8  # one step of a stride of 8
    pull = 3 * (target[:, :2] - obs[:, :2]) + 0.5 * (target[:, 2:] - obs[:, 2:])
    np.testing.assert_allclose(actions, np.clip(pull, -1, 1), atol=1e-5)


def test_an_instance_acts_the_same_alone_and_in_a_batch(model, obs):
    alone, batch = dr.Planner(model, **WALK, seed=5), dr.Planner(model, **WALK, seed=5)
    for step in range(20):
        one, _ = alone.predict(obs[0] + 0.001 * step)
        many, _ = batch.predict(obs + 0.001 * step)
        assert one.shape == (2,)
        np.testing.assert_allclose(one, many[0], atol=1e-4)
    np.testing.assert_allclose(alone.plan[0], batch.plan[0], atol=1e-4)
    assert np.abs(batch.plan[1] - batch.plan[0]).max() > 0.01


def test_seeds_name_plans(model, obs):
    first = dr.Planner(model, **WALK, seed=5).predict(obs)[0]
    assert np.array_equal(first, dr.Planner(model.folder, **WALK, seed=5).predict(obs)[0])
    assert not np.array_equal(first, dr.Planner(model, **WALK, seed=6).predict(obs)[0])


def test_plans_are_kept_until_they_are_old_or_an_episode_starts(model, obs):
    planner = dr.Planner(model, replan_every=np.int64(4), **DDIM)
    planner.predict(obs, episode_start=np.ones(5, bool))
    first = planner.plan
    for _ in range(2):
        planner.predict(obs)
        np.testing.assert_array_equal(planner.plan, first)
    marked = np.array([False, True, False, True, False])
    planner.predict(obs, episode_start=marked)
    changed = (planner.plan != first).any(axis=(1, 2))
    np.testing.assert_array_equal(changed, marked)
    planner.predict(obs, episode_start=np.zeros(5, bool))
    changed = (planner.plan != first).any(axis=(1, 2))
    assert changed.all(), "four steps old, or begun anew"
    second = planner.plan
    planner.predict(obs[:3])
    assert planner.plan.shape == (3, 16, 6) and (planner.plan != second[:3]).any(axis=(1, 2)).all()


def test_one_instance_takes_one_flag(model, obs):
    planner = dr.Planner(model, replan_every=100, **DDIM)
    planner.predict(obs[0], episode_start=True)
    first = planner.plan
    planner.predict(obs[0], episode_start=[False])
    assert np.array_equal(planner.plan, first)
    planner.predict(obs[0], episode_start=True)
    assert not np.array_equal(planner.plan, first)


def test_tensors_for_tensors(model, obs):
    expected, _ = dr.Planner(model, **WALK).predict(obs)
    found, _ = dr.Planner(model, **WALK).predict(torch.tensor(obs), episode_start=torch.ones(5, dtype=torch.bool))
    assert isinstance(found, torch.Tensor)
    np.testing.assert_array_equal(expected, found.numpy())


def test_a_reward_leads_the_plans(model, obs, reward_folder):
    reward = dr.load_reward(reward_folder)

    def score(planner):
        planner.predict(np.repeat(obs, 20, axis=0))
        return reward.score(planner.plan.reshape(-1, 1, 6)).mean()

    assert score(dr.Planner(model, reward, **DDIM, scale=5)) > score(dr.Planner(model, **DDIM))
    assert score(dr.Planner(model, reward_folder, **DDIM)) != score(dr.Planner(model, **DDIM)), "a scale of 1"


def test_what_is_refused(model, obs, reward_folder):
    planner = dr.Planner(model, **DDIM)
    for bad in (obs[:, :3], obs[None], obs[:0], 1.0):
        with pytest.raises(ValueError, match="obs: expected observations"):
            planner.predict(bad)
    with pytest.raises(TypeError, match="obs: expected real numbers"):
        planner.predict(obs > 0)
    for bad in (np.ones(4, bool), True, np.ones((5, 1), bool)):
        with pytest.raises(ValueError, match="episode_start: expected"):
            planner.predict(obs, episode_start=bad)
    with pytest.raises(TypeError, match="episode_start: expected flags"):
        planner.predict(obs, episode_start=np.ones(5))
    with pytest.raises(ValueError, match="did you mean 'replan_every'"):
        dr.Planner(model, replan_evry=2)
    with pytest.raises(ValueError, match="warm_level: expected"):
        dr.Planner(model, warm_level=10)
    with pytest.raises(ValueError, match="steps: expected"):
        dr.Planner(model, steps=-1)
    with pytest.raises(RuntimeError, match="absent"):
        dr.Planner(model.folder / "absent.safetensors")


def test_stable_baselines_evaluates_it(model):
    from stable_baselines3.common.evaluation import evaluate_policy

    from diffreward.sb3 import make_vec_env

    envs = make_vec_env(f"diffreward/{ENV}", 8, goal_cell=(1, 1), max_episode_steps=150)
    returns, lengths = evaluate_policy(dr.Planner(model, **WALK), envs, n_eval_episodes=8, return_episode_rewards=True,
                                       warn=False)
    assert lengths == [150] * 8 and np.mean(returns) > 20


def test_a_guide_may_look_at_no_plan_that_is_being_made_and_others_wait(model):
    import threading

    planner = None

    def looks(x, t):
        planner.plan
        return x.sum((1, 2))

    planner = dr.Planner(model, dr.Guide(looks), sampler="ddim", steps=2)
    with pytest.raises(RuntimeError, match="leave it alone"):
        planner.predict(np.ones((2, 4)))

    calm = dr.Planner(model, dr.Guide(lambda x, t: x.sum((1, 2))), sampler="ddim", steps=2)
    reader = threading.Thread(target=lambda: [calm.plan for _ in range(50)])
    reader.start()
    for _ in range(5):
        calm.predict(np.ones((2, 4)), episode_start=np.ones(2, dtype=bool))
    reader.join(timeout=30)
    assert not reader.is_alive()
