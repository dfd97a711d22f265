"""The whole chain from Python: commands as functions, models, rewards and agents."""

import os
import pathlib
import signal
import subprocess
import sys
import threading
import time
import tomllib

import gymnasium as gym
import h5py
import numpy as np
import pytest

import diffreward as dr

ENV = "Maze2D-UMaze-v0"
SMALL = {"dim": 16, "layers": 1, "horizon": 4, "stride": 1, "timesteps": 20}


@pytest.fixture(scope="module")
def chain():
    base_data = dr.generate(env=ENV, steps=3200, count=16, progress=False)
    expert_data = dr.generate(env=ENV, goal_cell=(1, 1), steps=3200, count=16, progress=False)
    base = dr.train(data=base_data, model=SMALL, steps=30, batch=16, condition_probability=0.5, progress=False)
    expert = dr.train(data=expert_data, start=base, steps=30, batch=16, progress=False)
    reward = dr.extract(expert=expert, base=base, expert_data=expert_data, base_data=base_data, steps=20,
                        hidden=[16, 16], progress=False)
    return base_data, expert_data, base, expert, reward


def test_recordings_are_of_the_environment_and_its_options(chain):
    base_data, expert_data, *_ = chain
    assert base_data.figures["transitions"] == len(base_data.data) == 3200
    assert len({tuple(goal) for goal in np.asarray(base_data.data.info("goal"))}) > 1
    assert {tuple(goal) for goal in np.asarray(expert_data.data.info("goal"))} == {(1.0, 1.0)}
    assert not np.array_equal(base_data.data.observations[0], expert_data.data.observations[0])


def test_keywords_are_the_keys_of_the_config(tmp_path):
    made = dr.generate(env={"id": ENV, "options": {"goal_cell": [3, 1]}}, steps=400, count=2, waypoints={"gain": 5.0},
                       seed=7, out=tmp_path / "d", progress=False)
    written = (tmp_path / "d" / "config.toml").read_text()
    assert "gain = 5" in written and "seed = 7" in written and made.folder == tmp_path / "d"
    again = subprocess.run([os.environ["DIFFREWARD_PROGRAM"], "generate", "--config", str(tmp_path / "d/config.toml"),
                            "--out", str(tmp_path / "e"), "--quiet"])
    assert again.returncode == 0
    assert (tmp_path / "d/data.hdf5").read_bytes() == (tmp_path / "e/data.hdf5").read_bytes()


def test_wrong_keywords_are_named(tmp_path):
    with pytest.raises(ValueError, match="did you mean 'waypoints.reach'|did you mean 'reach'"):
        dr.generate(env=ENV, raech=3, progress=False)
    with pytest.raises(ValueError, match="steps: expected"):
        dr.generate(env=ENV, steps=-1, progress=False)
    with pytest.raises(ValueError, match="ppo.lr|lr"):
        dr.rl(env=ENV, ppo={"lr": "fast"}, progress=False)
    with pytest.raises(ValueError, match="did you mean"):
        dr.generate(env="Maze2D-UMase-v0", progress=False)
    with pytest.raises(RuntimeError, match="absent"):
        dr.train(data=tmp_path / "absent", progress=False)


def test_a_folder_without_a_name_goes_with_its_object():
    made = dr.generate(env=ENV, steps=400, count=2, progress=False)
    folder = made.folder
    assert folder.exists()
    del made
    assert not folder.exists()


def test_a_model_samples_and_denoises(chain):
    base = chain[2]
    assert (base.horizon, base.stride, base.timesteps) == (4, 1, 20) and base.config["dim"] == 16
    start = np.array([1.0, 1.0, 0.0, 0.0])
    windows = base.sample(5, {0: start}, sampler="ddim", steps=5, seed=3)
    assert windows.shape == (5, 4, 6) and np.allclose(windows[:, 0, 2:], start, atol=1e-5)
    assert np.array_equal(windows, base.sample(5, {0: start}, sampler="ddim", steps=5, seed=3))
    assert not np.array_equal(windows, base.sample(5, {0: start}, sampler="ddim", steps=5, seed=4))
    with pytest.raises(ValueError, match="conditions"):
        base.sample(5, {0: np.zeros(3)})
    with pytest.raises(ValueError, match="sampler"):
        base.sample(5, sampler="ddmi")
    loaded = dr.DiffusionModel.load(base.folder)
    assert np.array_equal(windows, loaded.sample(5, {0: start}, sampler="ddim", steps=5, seed=3))


def test_score_and_posterior_mean_follow_from_x0(chain):
    """Ho et al. 2020, equation 7; Vincent 2011."""
    base = chain[2]
    x = np.random.default_rng(0).standard_normal((3, 4, 6)).astype(np.float32)
    cosine = np.cos((np.arange(21) / 20 + 0.008) / 1.008 * np.pi / 2) ** 2
    betas = np.minimum(1 - cosine[1:] / cosine[:-1], 0.999)
    bars = np.cumprod(1 - betas)
    for t in (1, 7, 19):
        x0 = base.predict_x0(x, t)
        assert np.allclose(base.score(x, t), (np.sqrt(bars[t]) * x0 - x) / (1 - bars[t]), atol=2e-4)
        mean = (np.sqrt(bars[t - 1]) * betas[t] * x0 + np.sqrt(1 - betas[t]) * (1 - bars[t - 1]) * x) / (1 - bars[t])
        assert np.allclose(base.posterior_mean(x, [t] * 3), mean, atol=1e-4)
    for bad in (20, -1, [1, 2]):
        with pytest.raises(ValueError, match="^t: expected"):
            base.score(x, bad)
    with pytest.raises(ValueError, match="windows"):
        base.score(x[:, :3], 1)


def test_a_reward_has_values_and_their_gradient(chain):
    reward = chain[4]
    x = np.random.default_rng(1).uniform(-0.5, 0.5, (2, 4, 6)).astype(np.float32)
    gradient = reward.gradient(x, 2)
    assert gradient.shape == x.shape and np.abs(gradient).max() > 0
    row, channel = 1, 2
    step = np.zeros_like(x)
    step[:, row, channel] = 1e-2
    numeric = (reward.value(x + step, 2) - reward.value(x - step, 2)) / 2e-2
    assert np.allclose(numeric, gradient[:, row, channel], atol=2e-3 + 0.02 * np.abs(gradient).max())
    support = reward.support(np.zeros((3, reward.horizon, 6), dtype=np.float32))
    assert support.shape == (3,) and np.all((support >= 0) & (support <= 1))


def test_a_guide_moves_samples_the_way_it_prefers(chain):
    base, reward = chain[2], chain[4]
    def value(windows):
        return reward.score(windows.reshape(-1, 1, 6)).mean()
    plain = base.sample(64, sampler="ddim", steps=10, seed=1)
    led = base.sample(64, sampler="ddim", steps=10, seed=1, guide=reward, scale=2.0)
    assert value(led) > value(plain)


def test_an_agent_predicts_as_stable_baselines_has_it(chain, tmp_path):
    agent = dr.rl(env={"id": ENV, "options": {"reward": "dense"}}, count=2, env_steps=512, episodes=2, episode_steps=20,
                  ppo={"decisions": 16}, out=tmp_path / "a", progress=False)
    obs = np.array([1.0, 1.0, 0.0, 0.0])
    action, state = agent.predict(obs)
    assert action.shape == (2,) and action.dtype == np.float32 and state is None
    many, _ = agent.predict(np.stack([obs, obs + 0.1, obs]))
    assert many.shape == (3, 2) and np.allclose(many[0], many[2]) and np.allclose(many[0], action, atol=1e-6)
    assert np.allclose(dr.Agent.load(tmp_path / "a").predict(obs)[0], action)
    with pytest.raises(ValueError, match="observations"):
        agent.predict(np.zeros(3))
    assert "task" in agent.figures["judges"]


@pytest.mark.parametrize("algorithm", ["sac", "ppo", "bc", "sqil", "dwbc"])
def test_every_learner_draws_its_actions_and_takes_its_mode(algorithm, tmp_path):
    env = "LinearQuadratic-v0"
    more = {"env_steps": 300, "count": 2}
    if algorithm == "sac":
        more["sac"] = {"hidden": [8], "learning_starts": 100, "batch": 8, "updates_per_step": 0.1}
    elif algorithm != "ppo":
        more["data"] = dr.generate(env=env, policy="linear", role="base", steps=400, count=2, episode_steps=100, progress=False)
        more[algorithm] = {"hidden": [8]}
        if algorithm == "sqil":
            more["sqil"].update(learning_starts=100, batch=8, updates_per_step=0.1)
        if algorithm == "dwbc":
            more["expert_data"] = more["data"]
    agent = dr.rl(env=env, algorithm=algorithm, episodes=2, out=tmp_path / "a", progress=False, **more)
    obs = np.zeros((3, 4))
    mode = agent.predict(obs)[0]
    assert np.array_equal(mode, agent.predict(obs)[0]) and np.allclose(mode[0], mode[2], atol=1e-6)
    drawn = [agent.predict(obs, deterministic=False)[0] for _ in range(2)]
    assert not np.array_equal(*drawn) and not np.array_equal(drawn[0][0], drawn[0][1])
    assert np.abs(drawn[0]).max() <= 1
    assert np.array_equal(mode, agent.predict(obs)[0])  # and back


def test_a_policy_is_recorded_with_its_density_and_a_card(tmp_path):
    env = "LinearQuadratic-v0"
    agent = dr.rl(env=env, algorithm="sac", env_steps=200, count=2, episodes=2, progress=False,
                  sac={"hidden": [8], "learning_starts": 100, "batch": 8})
    data = dr.generate(env=env, policy=agent, role="base", steps=400, count=2, episode_steps=100, stochastic=True,
                       log_probabilities=True, out=tmp_path / "d", progress=False)
    with h5py.File(data.folder / "data.hdf5") as file:
        density = file["infos/action_log_probs"][:]
        actions = file["actions"][:]
    assert density.shape == (400,) and np.isfinite(density).all() and np.ptp(density) > 0
    assert np.ptp(actions, axis=0).min() > 0.1
    card = (data.folder / "card.md").read_text()
    assert "| agent: stochastic | true |" in card and "| faults found | none |" in card and "sac" in card
    with pytest.raises(ValueError, match="log_probabilities: expected an agent that draws"):
        dr.generate(env=env, policy=agent, role="base", steps=200, count=2, log_probabilities=True, progress=False)



def test_an_agent_of_a_map_of_ones_own_is_loaded(tmp_path):
    (tmp_path / "ring.txt").write_text("#######\n#OOOOO#\n#O###O#\n#O#O#O#\n#OOOOO#\n#######\n")
    agent = dr.rl(map=str(tmp_path / "ring.txt"), goal_cell=(3, 5), count=2, env_steps=256, episodes=2, episode_steps=20,
                  out=tmp_path / "a", progress=False)
    (tmp_path / "ring.txt").unlink()
    assert np.allclose(dr.Agent.load(agent).predict(np.ones(4))[0], agent.predict(np.ones(4))[0])


def test_the_learned_reward_trains_an_agent(chain):
    agent = dr.rl(env=ENV, goal_cell=(1, 1), reward=chain[4], reading="shaped", count=2, env_steps=512, episodes=2,
                  episode_steps=20, progress=False)
    assert agent.figures["judges"]["task"]["success"]["value"] >= 0


def test_an_agent_is_paid_as_its_reward_was_loaded(chain, tmp_path):
    few = {"env": ENV, "goal_cell": (1, 1), "count": 2, "env_steps": 512, "episodes": 2, "episode_steps": 20,
           "progress": False}

    def paid(out, reward, **given):
        dr.rl(reward=reward, out=tmp_path / out, **few, **given)
        return tomllib.loads((tmp_path / out / "config.toml").read_text())["reading"]

    ratio = dr.load_reward(chain[4], reading="density_ratio", beta=12)
    expected = paid("by_path", chain[4].folder, reading={"reading": "density_ratio", "beta": 12})
    assert (expected["reading"], expected["beta"]) == ("density_ratio", 12)
    assert paid("by_reward", ratio) == expected
    assert (tmp_path / "by_path/agent.safetensors").read_bytes() == (tmp_path / "by_reward/agent.safetensors").read_bytes()
    assert paid("said_twice", ratio, reading={"reading": "density_ratio", "beta": 12.0}) == expected
    assert paid("said_in_part", ratio, reading="density_ratio", t=-1) == expected
    assert paid("not_loaded_with_one", dr.load_reward(chain[4]), reading="shaped")["reading"] == "shaped"
    for given in ({"reading": "shaped"}, {"reading": {"beta": 3}}, {"beta": 3}, {"alpha": 0.5}, {"reading.beta": 3}):
        with pytest.raises(ValueError, match="reading: expected the reward's own"):
            paid("refused", ratio, **given)
    with pytest.raises(ValueError, match="reading: expected the reward's own, reading = 'plain'"):
        paid("refused", dr.load_reward(chain[4], reading="plain"), reading="shaped")
    with pytest.raises(ValueError, match="did you mean 'reading.beta'"):
        paid("refused", ratio, reading={"betta": 3})


def test_a_job_runs(tmp_path):
    job = tmp_path / "job.toml"
    job.write_text('[[steps]]\nname = "d"\ncommand = "generate"\nsteps = 400\ncount = 2\n'
                   '[[figures]]\nname = "f"\nvalue = "d.transitions"\n')
    made = dr.run(job, out=tmp_path / "out", set={"d.steps": 800}, progress=False)
    assert made.figures["figures"] == {"f": 800.0} and (tmp_path / "out/report.html").exists()


def test_ctrl_c_stops_a_command_and_nothing_else(tmp_path):
    def interrupt():
        while not (tmp_path / "d").exists():
            time.sleep(0.05)
        time.sleep(0.5)
        os.kill(os.getpid(), signal.SIGINT)

    thread = threading.Thread(target=interrupt)
    thread.start()
    begin = time.monotonic()
    with pytest.raises(KeyboardInterrupt):
        dr.generate(env=ENV, steps=100_000_000, out=tmp_path / "d", progress=False)
    assert time.monotonic() - begin < 20
    thread.join()
    assert not (tmp_path / "d" / "data.hdf5").exists()
    assert dr.generate(env=ENV, steps=400, count=2, progress=False).figures["transitions"] == 400


def test_the_example_runs():
    code = pathlib.Path(__file__).parents[2] / "examples" / "python" / "chain.py"
    done = subprocess.run([sys.executable, code, "0.01"], check=True, capture_output=True, text=True)
    assert "episodes that end at the goal:" in done.stdout


def test_functions_are_what_the_commands_say():
    tool = pathlib.Path(__file__).parents[2] / "tools" / "python_commands.py"
    done = subprocess.run([sys.executable, str(tool), "--check"], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_agents_of_the_project_are_loaded_by_name():
    agent = dr.Agent.load("Hopper-v4/expert")
    env = gym.make("diffreward/Hopper-v4")
    obs, _ = env.reset(seed=3)
    total, over = 0.0, False
    while not over:
        obs, reward, terminated, truncated, _ = env.step(agent.predict(obs)[0])
        total += reward
        over = terminated or truncated
    assert total > 2500
    with pytest.raises(RuntimeError, match="Hopper-v4/exprt"):
        dr.Agent.load("Hopper-v4/exprt")
