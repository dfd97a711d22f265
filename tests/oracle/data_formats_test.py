"""Files of C++ opened by h5py and minari, and files of h5py and minari opened by C++.

usage: data_formats_test.py PATH_OF_data_probe
"""

import json
import os
import pathlib
import subprocess
import sys
import tempfile

import numpy as np

PROBE = sys.argv[1]
FOLDER = tempfile.TemporaryDirectory()
ROOT = pathlib.Path(FOLDER.name)
os.environ["MINARI_DATASETS_PATH"] = str(ROOT / "minari")

import gymnasium as gym  # noqa: E402
import h5py  # noqa: E402
import minari  # noqa: E402
from minari.data_collector import EpisodeBuffer  # noqa: E402


def probe(*arguments: object) -> str:
    return subprocess.run([PROBE, *map(str, arguments)], check=True, capture_output=True, text=True).stdout


def read(path: pathlib.Path) -> dict:
    """What C++ sees, with columns as arrays."""
    seen = json.loads(probe("read", path))
    for name, width in (("observations", "observation_dim"), ("next_observations", "observation_dim"),
                        ("actions", "action_dim")):
        seen[name] = np.array(seen[name], np.float32).reshape(-1, seen[width])
    for name in ("rewards", "terminals", "timeouts"):
        seen[name] = np.array(seen[name], np.float32)
    for name, info in seen["infos"].items():
        shape = (-1,) if info["size"] == 1 else (-1, info["size"])
        seen["infos"][name] = np.array(info["values"], np.float32).reshape(shape)
    return seen


def equal(found, expected, what: str) -> None:
    np.testing.assert_array_equal(np.asarray(found), np.asarray(expected), err_msg=what)


def h5py_opens_ours(path: pathlib.Path, seen: dict) -> None:
    with h5py.File(path) as file:
        assert set(file) == {"observations", "next_observations", "actions", "rewards", "terminals", "timeouts",
                             "infos", "metadata"}, set(file)
        for name in ("observations", "next_observations", "actions", "rewards"):
            assert file[name].dtype == np.float32 and file[name].chunks is None, file[name]
            equal(file[name], seen[name], name)
        for name in ("terminals", "timeouts"):
            assert file[name].dtype == np.uint8 and file[name].shape == (10,), file[name]
            equal(file[name], seen[name], name)
        assert set(file["infos"]) == {"goal", "goal_switched"}
        for name, values in seen["infos"].items():
            equal(file["infos"][name], values, name)
        # Fixed-length UTF-8 texts, which h5py hands out as bytes.
        attributes = {k: v.decode() if isinstance(v, bytes) else v for k, v in file["metadata"].attrs.items()}
        assert attributes["env"] == "Maze2D-UMaze-v0" and attributes["behaviour"] == 'a test\'s "hand"', attributes
        assert attributes["seed"] == 0xFEDCBA9876543210
        assert json.loads(attributes["env_options"]) == {"reward": "dense"}
        assert json.loads(attributes["extra"]) == {"controller": {"gain": 3}}


def minari_opens_ours(dataset_id: str, seen: dict) -> None:
    assert dataset_id in minari.list_local_datasets()
    data = minari.load_dataset(dataset_id)
    assert data.total_episodes == 3 and data.total_steps == 10
    assert data.observation_space.shape == (4,) and data.observation_space.dtype == np.float32
    assert data.action_space == gym.spaces.Box(-1, 1, (2,), np.float32), data.action_space
    for episode, (begin, end, terminated) in zip(data.iterate_episodes(), seen["episodes"]):
        rows = slice(begin, end)
        equal(episode.observations[:-1], seen["observations"][rows], "observations")
        equal(episode.observations[1:], seen["next_observations"][rows], "next observations")
        equal(episode.actions, seen["actions"][rows], "actions")
        equal(episode.rewards, seen["rewards"][rows], "rewards")
        assert episode.terminations.dtype == bool and episode.terminations[-1] == terminated
        equal(episode.terminations, seen["terminals"][rows] != 0, "terminations")
        equal(episode.truncations, seen["timeouts"][rows] != 0, "truncations")
        for name, values in seen["infos"].items():
            assert len(episode.infos[name]) == end - begin + 1
            equal(episode.infos[name][:-1], values[rows], name)
    assert len(data.sample_episodes(2)) == 2
    assert [len(e.rewards) for e in data.filter_episodes(lambda e: len(e.rewards) > 1).iterate_episodes()] == [5, 4]


def ours_opens_minari() -> None:
    """Float64 observations and rewards, infos of several kinds, growing chunks: what minari itself writes."""
    rng = np.random.default_rng(0)
    buffers = []
    for length, terminated in ((7, False), (3, True), (1, False)):
        ends = np.zeros(length, bool)
        ends[-1] = True
        buffers.append(EpisodeBuffer(
            seed=1, observations=list(rng.normal(size=(length + 1, 3))),
            actions=list(rng.normal(size=(length, 2)).astype(np.float32)), rewards=list(rng.normal(size=length)),
            terminations=list(ends & terminated), truncations=list(ends & (not terminated)),
            infos={"goal": list(rng.normal(size=(length + 1, 2))), "count": list(range(length + 1)),
                   "note": ["text"] * (length + 1), "nested": {"inner": list(rng.normal(size=length + 1))}}))
    minari.create_dataset_from_buffers(
        "maze/python-v0", buffers, algorithm_name="dice",
        observation_space=gym.spaces.Box(-np.inf, np.inf, (3,), np.float64),
        action_space=gym.spaces.Box(-10, 10, (2,), np.float32), author="a", author_email="a@b.c",
        code_permalink="none", description="test")
    seen = read(ROOT / "minari/maze/python-v0")
    assert seen["episodes"] == [[0, 7, False], [7, 10, True], [10, 11, False]], seen["episodes"]
    assert set(seen["infos"]) == {"goal", "count"}, set(seen["infos"])
    assert seen["metadata"]["behaviour"] == "dice"
    for buffer, (begin, end, _) in zip(buffers, seen["episodes"]):
        rows = slice(begin, end)
        equal(seen["observations"][rows], np.float32(buffer.observations[:-1]), "observations")
        equal(seen["next_observations"][rows], np.float32(buffer.observations[1:]), "next observations")
        equal(seen["actions"][rows], buffer.actions, "actions")
        equal(seen["rewards"][rows], np.float32(buffer.rewards), "rewards")
        equal(seen["infos"]["goal"][rows], np.float32(buffer.infos["goal"][:-1]), "goal")
        equal(seen["infos"]["count"][rows], buffer.infos["count"][:-1], "count")


def ours_opens_compressed_d4rl(path: pathlib.Path) -> None:
    """As D4RL's own files: compressed chunks, booleans, here also float64; no next_observations."""
    rng = np.random.default_rng(1)
    n = 5000
    columns = {"observations": rng.normal(size=(n, 4)), "actions": rng.normal(size=(n, 2)),
               "rewards": rng.normal(size=n), "terminals": rng.random(n) < 0.01, "timeouts": rng.random(n) < 0.01,
               "infos/goal": rng.normal(size=(n, 2)).astype(np.float32), "infos/qpos": rng.normal(size=(n, 2))}
    with h5py.File(path, "w") as file:
        for name, values in columns.items():
            file.create_dataset(name, data=values, compression="gzip", chunks=True)
        file["metadata/algorithm"] = np.bytes_("SAC")
    seen = read(path)
    for name in ("observations", "actions", "rewards", "terminals", "timeouts"):
        equal(seen[name], np.float32(columns[name]), name)
    for name in ("goal", "qpos"):
        equal(seen["infos"][name], np.float32(columns[f"infos/{name}"]), name)
    ends = np.flatnonzero(columns["terminals"] | columns["timeouts"]) + 1
    assert [e[1] for e in seen["episodes"]] == sorted({*ends, n})
    following = np.float32(columns["observations"])
    following[:-1] = following[1:]
    for end in (*ends, n):
        following[end - 1] = np.float32(columns["observations"][end - 1])
    equal(seen["next_observations"], following, "next_observations")


def d4rls_faults_are_named(path: pathlib.Path) -> None:
    """The loop of D4RL's maze2d generator around a point mass: every fault of it is found, and no other."""
    rng = np.random.default_rng(2)
    rows = []
    state, shown, goal, terminal = np.array([1.0, 1.0, 0.0, 0.0]), None, np.array([3.0, 1.0]), False
    shown = state
    for t in range(4000):
        done = np.linalg.norm(state[:2] - goal) < 0.1
        action = np.clip(10 * (goal - state[:2]) - state[2:], -1, 1)
        rows.append((shown, action, 0.0, done, goal.copy(), state[:2].copy()))
        velocity = np.clip(state[2:] + 0.2 * action - 0.01 * state[2:], -5, 5)
        state = np.concatenate([state[:2] + 0.01 * velocity, velocity])
        if done:
            goal = rng.integers(1, 4, 2).astype(float)  # the goal moves, and the state is not read again
        else:
            shown = state
    names = ("observations", "actions", "rewards", "terminals", "infos/goal", "infos/qpos")
    with h5py.File(path, "w") as file:
        for name, values in zip(names, zip(*rows)):
            values = np.array(values)
            file.create_dataset(name, data=values if values.dtype == bool else np.float32(values), compression="gzip")
    found = set(probe("check", path).split())
    assert found == {"missing-timeouts", "terminal-inside-episode", "stale-observation", "reward-all-zero"}, found


def main() -> None:
    ours = ROOT / "ours.hdf5"
    probe("write", ours, ROOT / "minari", "diffreward/umaze/sample-v0")
    seen = read(ours)
    h5py_opens_ours(ours, seen)
    minari_opens_ours("diffreward/umaze/sample-v0", seen)
    ours_opens_minari()
    ours_opens_compressed_d4rl(ROOT / "compressed.hdf5")
    d4rls_faults_are_named(ROOT / "d4rl.hdf5")
    print("h5py, minari and C++ agree")


if __name__ == "__main__":
    main()
