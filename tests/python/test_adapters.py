"""Other people's code on our environments: Stable-Baselines3, Minari, imitation's signature, plain PPO."""

import os
import pathlib
import subprocess
import sys

import gymnasium as gym
import numpy as np
import pytest

import diffreward
from diffreward.sb3 import Sb3VecEnv, make_vec_env

CHEETAH = "diffreward/HalfCheetah-v5"


def test_sb3_vec_env_tells_ends_as_sb3_does():
    envs = make_vec_env("diffreward/Hopper-v5", 4, max_episode_steps=30)
    envs.seed(3)
    obs = envs.reset()
    assert obs.shape == (4, 11)
    expected, _ = gym.make_vec("diffreward/Hopper-v5", num_envs=4).reset(seed=[3, 4, 5, 6])
    assert np.array_equal(obs, expected)
    assert set(envs.reset_infos[0]) >= {"x_position"}
    limits = ends = 0
    for _ in range(100):
        obs, rewards, dones, infos = envs.step(np.stack([envs.action_space.sample() for _ in range(4)]))
        assert rewards.dtype == np.float32
        for i in range(4):
            assert ("terminal_observation" in infos[i]) == dones[i]
            if dones[i]:
                ends += 1
                limits += infos[i]["TimeLimit.truncated"]
                assert not np.array_equal(infos[i]["terminal_observation"], obs[i])
    assert ends > limits, "Hopper falls"
    with pytest.raises(ValueError, match="SameStep"):
        Sb3VecEnv(gym.make_vec(CHEETAH, num_envs=2))


def test_sb3_options_reach_the_mazes():
    envs = make_vec_env("diffreward/Maze2D-UMaze-v0", 2)
    envs.set_options([{"goal_cell": (1, 1)}, {"goal_cell": (3, 1)}])
    envs.reset()
    assert [info["goal"].tolist() for info in envs.reset_infos] == [[1, 1], [3, 1]]


def test_sb3_reaches_single_instances_of_a_goal_task():
    dense = [{}, {"reward_type": "dense"}, {"continuing_task": False}]
    envs = make_vec_env("diffreward/PointMaze_UMaze-v3", 3, instances=dense)
    goals = np.zeros((2, 2)), np.full((2, 2), 0.1)
    paid = envs.env_method("compute_reward", *goals, [{}, {}])
    assert [one.shape for one in paid] == [(2,)] * 3
    assert paid[0].tolist() == paid[2].tolist() == [1, 1]
    assert paid[1] == pytest.approx(np.exp(-np.sqrt(0.02)))
    ends = envs.env_method("compute_terminated", np.zeros(2), np.zeros(2), {}, indices=[2, 0])
    assert ends == [True, False]
    for indices, expected in ((None, [1, 1, 1]), (1, [1]), (-1, [1]), (np.int64(2), [1]), ([0, 2], [1, 1]),
                              (np.array([0, 1]), [1, 1]), (range(2), [1, 1]), ([], [])):
        assert len(envs.env_method("compute_truncated", None, None, None, indices=indices)) == len(expected)
        assert envs.env_is_wrapped(gym.Wrapper, indices=indices) == [False] * len(expected)
        assert len(envs.get_attr("render_mode", indices=indices)) == len(expected)
    for indices in (3, -4, [0, 3]):
        with pytest.raises(IndexError, match=r"indices: expected instances in \[0, 3\), got"):
            envs.get_attr("render_mode", indices=indices)
    with pytest.raises(AttributeError, match="no attribute 'compute'"):
        envs.env_method("compute")


def test_sb3_attributes_belong_to_an_instance():
    envs = make_vec_env("diffreward/Hopper-v5", 3, instances=[{}, {"physics": {"mass_scale": 2}}, {"frame_skip": 2}])
    assert envs.has_attr("action_space")
    assert not envs.has_attr("level")
    envs.set_attr("level", 1)
    envs.set_attr("level", 5, indices=[0, 2])
    assert envs.get_attr("level") == [5, 1, 5]
    assert envs.get_attr("frame_skip") == [4, 4, 2]
    masses = [model.body_mass.sum() for model in envs.get_attr("model")]
    assert masses[1] == pytest.approx(2 * masses[0])
    envs.seed(0)
    obs = envs.reset()
    data = envs.get_attr("data")
    for _ in range(3):
        assert [one.qpos[1:].tolist() for one in data] == [row[:5].tolist() for row in obs]
        obs = envs.step(np.zeros((3, 3)))[0]
    pose = envs.get_attr("init_qpos", indices=1)[0] + 0.01
    envs.env_method("set_state", pose, np.zeros(6), indices=1)
    assert np.array_equal(envs.get_attr("state_vector", indices=1)[0](), [*pose, *np.zeros(6)])
    assert [one.qpos[1:].tolist() for one in data][::2] == [row[:5].tolist() for row in obs][::2], "the others went on"
    with pytest.raises(AttributeError):
        envs.set_attr("frame_skip", 3)


def test_sb3_renders():
    envs = make_vec_env("diffreward/Maze2D-UMaze-v0", 2, render_mode="rgb_array", width=32, height=24)
    envs.reset()
    assert envs.render_mode == "rgb_array"
    frames = envs.get_images()
    assert [frame.shape for frame in frames] == [(24, 32, 3)] * 2
    assert all(np.array_equal(a, b) for a, b in zip(envs.env_method("render"), frames, strict=True))
    assert envs.render().shape == (24 * 2, 32, 3)
    plain = make_vec_env("diffreward/Maze2D-UMaze-v0", 2)
    assert plain.get_images() == plain.env_method("render") == [None, None]


def test_sb3_step_limits():
    for limit in (0, -2):
        with pytest.raises(ValueError, match="max_episode_steps"):
            make_vec_env("diffreward/Maze2D-UMaze-v0", 2, max_episode_steps=limit)
    envs = make_vec_env("diffreward/Maze2D-UMaze-v0", 2, max_episode_steps=-1)
    envs.reset()
    assert not any(envs.step(np.zeros((2, 2)))[2].any() for _ in range(350))


def test_sb3_ppo_trains_20k_steps():
    from stable_baselines3 import PPO
    from stable_baselines3.common.vec_env import VecMonitor

    envs = VecMonitor(make_vec_env(CHEETAH, 16))
    agent = PPO("MlpPolicy", envs, n_steps=125, batch_size=500, n_epochs=4, seed=0, device="cpu")
    agent.learn(20_000)
    assert agent.num_timesteps >= 20_000
    assert np.isfinite([episode["r"] for episode in agent.ep_info_buffer]).all()
    assert len(agent.ep_info_buffer) == 16


def test_minari_collects_and_we_read_it(tmp_path):
    code = pathlib.Path(__file__).parents[2] / "examples" / "python" / "record.py"
    printed = subprocess.run([sys.executable, code, "3"], check=True, capture_output=True, text=True, cwd=tmp_path)
    assert "3 episodes" in printed.stdout
    assert "terminals 3" in printed.stdout


def test_imitations_signature(reward_folder):
    """What imitation's RewardVecEnvWrapper does with a reward function, without imitation (it pins old packages)."""
    reward = diffreward.load_reward(reward_folder)
    envs = make_vec_env("diffreward/Maze2D-UMaze-v0", 4)
    old = envs.reset()
    actions = np.zeros((4, 2), dtype=np.float32)
    obs, _, dones, infos = envs.step(actions)
    obs_fixed = np.stack([info.get("terminal_observation", row) for info, row in zip(infos, obs, strict=True)])
    paid = reward(old, actions, obs_fixed, dones)
    assert paid.shape == (4,)
    assert np.isfinite(paid).all()


@pytest.mark.skipif("DIFFREWARD_IMITATION_PYTHON" not in os.environ, reason="opt-in: names an interpreter with imitation")
def test_imitation_itself(reward_folder):
    """imitation's own wrapper pays what the reward says, in an environment made as docs/python.md tells."""
    code = """
import sys
import numpy as np
from imitation.rewards.reward_wrapper import RewardVecEnvWrapper
import diffreward
from diffreward.sb3 import make_vec_env
reward = diffreward.load_reward(sys.argv[1])
kwargs = {"n_envs": 3, "max_episode_steps": 4}
plain = make_vec_env("diffreward/Maze2D-UMaze-v0", **kwargs)
envs = RewardVecEnvWrapper(make_vec_env("diffreward/Maze2D-UMaze-v0", **kwargs), reward)
plain.seed(1)
envs.seed(1)
old, ends, rng = plain.reset(), 0, np.random.default_rng(0)
assert np.array_equal(envs.reset(), old)
for _ in range(10):
    actions = rng.uniform(-1, 1, (3, 2)).astype(np.float32)
    obs, task, dones, infos = plain.step(actions)
    reached = np.stack([info.get("terminal_observation", row) for info, row in zip(infos, obs)])
    _, paid, _, infos = envs.step(actions)
    assert np.array_equal(paid, reward(old, actions, reached, dones)) and paid.any()
    assert [info["original_env_rew"] for info in infos] == task.tolist()
    old, ends = obs, ends + dones.sum()
assert ends == 6, ends
"""
    subprocess.run([os.environ["DIFFREWARD_IMITATION_PYTHON"], "-c", code, str(reward_folder)], check=True)


def test_single_file_ppo_runs():
    code = pathlib.Path(__file__).parents[2] / "examples" / "python" / "ppo.py"
    printed = subprocess.run([sys.executable, code, "2"], check=True, capture_output=True, text=True)
    assert printed.stdout.rstrip().endswith("done")


def test_open_dataset(tmp_path):
    program = os.environ.get("DIFFREWARD_PROGRAM")
    if not program:
        pytest.skip("DIFFREWARD_PROGRAM names no diffreward program")
    import h5py

    subprocess.run([program, "generate", "--env", "Maze2D-UMaze-v0", "--steps", "2000", "--quiet", "--out",
                    str(tmp_path / "data")], check=True, stdout=subprocess.DEVNULL)
    data = diffreward.open_dataset(tmp_path / "data" / "data.hdf5")
    with h5py.File(tmp_path / "data" / "data.hdf5") as file:
        for ours, theirs in (("observations", "observations"), ("actions", "actions"), ("rewards", "rewards"),
                             ("terminals", "terminals"), ("timeouts", "timeouts")):
            assert np.array_equal(getattr(data, ours), file[theirs][:]), ours
        assert np.array_equal(data.info("goal"), file["infos/goal"][:])
    assert data.episodes[0][0] == 0
    assert data.episodes[-1][1] == len(data)
    rows = data.observations
    with pytest.raises(ValueError, match="read-only"):
        rows[0] = 0
    kept = rows.copy()
    del data
    assert np.array_equal(rows, kept), "an array keeps its file open"
    with pytest.raises(RuntimeError, match="nothing.hdf5"):
        diffreward.open_dataset(tmp_path / "nothing.hdf5")
