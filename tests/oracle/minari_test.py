"""Minari's own tools on data sets of C++, and C++ on what Minari records.

usage: minari_test.py PATH_OF_data_probe [FOLDER_OF_the_diffreward_package]
"""

import json
import os
import pathlib
import signal
import subprocess
import sys
import tempfile
import time

import numpy as np

PROBE = sys.argv[1]
sys.path[:0] = sys.argv[2:3]
FOLDER = tempfile.TemporaryDirectory()
ROOT = pathlib.Path(FOLDER.name) / "minari"
os.environ["MINARI_DATASETS_PATH"] = str(ROOT)

import gymnasium as gym  # noqa: E402
import h5py  # noqa: E402
import minari  # noqa: E402
from minari.data_collector import DataCollector, EpisodeBuffer  # noqa: E402


def probe(*arguments: object) -> subprocess.CompletedProcess:
    return subprocess.run([PROBE, *map(str, arguments)], capture_output=True, text=True, timeout=60)


def read(path: pathlib.Path) -> dict:
    done = probe("read", path)
    assert done.returncode == 0, done.stderr
    seen = json.loads(done.stdout)
    for name, width in (("observations", "observation_dim"), ("next_observations", "observation_dim"),
                        ("actions", "action_dim")):
        seen[name] = np.array(seen[name], np.float32).reshape(-1, seen[width])
    return seen


def record(env_id: str, steps: int = 50, **options: object) -> pathlib.Path:
    """A D4RL file that says it comes from an environment, without episodes' contents worth anything."""
    rng = np.random.default_rng(0)
    widths = {"Maze2D-UMaze-v0": (4, 2), "HalfCheetah-v5": (17, 6), "PointMaze_UMaze-v3": (8, 2)}[env_id]
    path = ROOT.parent / "source.hdf5"
    with h5py.File(path, "w") as file:
        file["observations"] = rng.normal(size=(steps, widths[0])).astype(np.float32)
        file["actions"] = rng.uniform(-1, 1, size=(steps, widths[1])).astype(np.float32)
        file["rewards"] = rng.normal(size=steps).astype(np.float32)
        file["terminals"] = np.zeros(steps, bool)
        file["timeouts"] = np.arange(steps) % 10 == 9
        file["infos/goal"] = np.ones((steps, 2), np.float32)
        attributes = file.create_group("metadata").attrs
        attributes["env"], attributes["behaviour"] = env_id, "a test"
        attributes["env_options"] = json.dumps(options)
    return path


def write(dataset_id: str, env_id: str, **options: object) -> minari.MinariDataset:
    done = probe("minari", record(env_id, **options), ROOT, dataset_id)
    assert done.returncode == 0, done.stderr
    return minari.load_dataset(dataset_id)


def minaris_tools_work_on_ours() -> None:
    base = write("diffreward/Maze2D-UMaze-v0/base-v0", "Maze2D-UMaze-v0", start_jitter=0.05)
    more = write("diffreward/Maze2D-UMaze-v0/more-v3", "Maze2D-UMaze-v0", start_jitter=0.05)
    cheetah = write("cheetah-v0", "HalfCheetah-v5")
    assert set(minari.list_local_datasets()) == {base.id, more.id, cheetah.id}
    assert set(minari.list_local_datasets(latest_version=True)) == {base.id, more.id, cheetah.id}
    assert set(minari.namespace.list_local_namespaces()) == {"diffreward", "diffreward/Maze2D-UMaze-v0"}

    spec = base.env_spec
    assert spec.id == "diffreward/Maze2D-UMaze-v0" and spec.max_episode_steps == 300, spec
    assert spec.kwargs == {"env_id": "Maze2D-UMaze-v0", "start_jitter": 0.05}, spec
    first, second = minari.split_dataset(base, sizes=[2, 3], seed=1)
    assert first.total_episodes == 2 and second.total_steps == 30
    assert len(base.sample_episodes(3)) == 3
    assert base.filter_episodes(lambda e: e.rewards.sum() > -1e9).total_episodes == 5
    both = minari.combine_datasets([base, more], "both-v0")
    assert both.total_episodes == 10 and both.env_spec.id == spec.id
    seen = read(ROOT / "both-v0")
    np.testing.assert_array_equal(seen["observations"][:50], read(ROOT / base.id)["observations"])
    assert len(seen["episodes"]) == 10 and seen["metadata"]["env"] == "Maze2D-UMaze-v0"
    assert seen["metadata"]["env_options"] == {"start_jitter": 0.05}

    try:
        minari.get_normalized_score(base, np.ones(1))
        raise AssertionError("a maze has no reference returns")
    except ValueError as error:
        assert "Reference score not provided" in str(error)
    returns = [episode.rewards.sum() for episode in cheetah.iterate_episodes()]
    scores = minari.get_normalized_score(cheetah, np.array(returns))
    low, high = cheetah.storage.metadata["ref_min_score"], cheetah.storage.metadata["ref_max_score"]
    np.testing.assert_allclose(scores, (np.array(returns) - low) / (high - low))
    with_scores = json.loads((ROOT / "cheetah-v0/data/metadata.json").read_text()) | {
        "ref_min_score": -280.0, "ref_max_score": 12135.0}
    (ROOT / "cheetah-v0/data/metadata.json").write_text(json.dumps(with_scores))
    assert probe("minari", ROOT / "cheetah-v0", ROOT, "again-v0").returncode == 0
    again = minari.load_dataset("again-v0")
    assert minari.get_normalized_score(again, np.array([12135.0, -280.0])).tolist() == [1, 0]

    # A maze's own option `reward` is none of Gymnasium's: no environment is better than another one.
    assert write("dense-v0", "Maze2D-UMaze-v0", reward="dense").env_spec is None
    assert write("sparse-v0", "Maze2D-UMaze-v0", reward="sparse").env_spec.kwargs == {"env_id": "Maze2D-UMaze-v0"}


def command(*arguments: str) -> str:
    done = subprocess.run([sys.executable, "-m", "minari.cli", *arguments], capture_output=True, text=True, timeout=120,
                          env={**os.environ, "COLUMNS": "250"})
    assert done.returncode == 0, done.stderr[-2000:] + done.stdout[-2000:]
    return done.stdout


def minaris_command_shows_ours() -> None:
    listed = command("list", "local", "--all")
    assert "base-v0" in listed and "more-v3" in listed and "a test" not in listed.split("base-v0")[0], listed
    assert "base-v0" in command("show", "diffreward/Maze2D-UMaze-v0/base-v0")


def the_environment_comes_back() -> None:
    import diffreward  # noqa: F401
    env = minari.load_dataset("diffreward/Maze2D-UMaze-v0/base-v0").recover_environment()
    assert env.spec.id == "diffreward/Maze2D-UMaze-v0" and env.spec.max_episode_steps == 300
    assert env.observation_space.shape == (4,)
    env.reset(seed=0)
    assert minari.load_dataset("cheetah-v0").env_spec == gym.spec("diffreward/HalfCheetah-v5")
    env = minari.load_dataset("cheetah-v0").recover_environment()
    assert env.observation_space.shape == (17,)


def buffer(observations: object, actions: object, rows: int = 4) -> EpisodeBuffer:
    ends = np.arange(rows) == rows - 1
    return EpisodeBuffer(observations=observations, actions=actions, rewards=list(np.ones(rows)),
                         terminations=list(ends), truncations=list(ends & False), infos={})


def create(name: str, observations: object, actions: object, observation_space: gym.Space,
           action_space: gym.Space) -> pathlib.Path:
    minari.create_dataset_from_buffers(
        name, [buffer(observations, actions)], observation_space=observation_space, action_space=action_space,
        algorithm_name="a", author="a", author_email="a@b.c", code_permalink="none", description="test")
    return ROOT / name


def other_spaces_are_refused_by_name() -> None:
    box = gym.spaces.Box(-1, 1, (2,), np.float32)
    flat, image = np.zeros((5, 2), np.float32), np.zeros((5, 40, 40, 3), np.uint8)
    actions, choices = list(np.zeros((4, 2), np.float32)), list(np.zeros(4, np.int64))
    nested = {"inner": {"deep": list(flat)}}
    cases = {
        "discrete-v0": (list(flat), choices, box, gym.spaces.Discrete(3), "action_space: expected a Box, found Discrete"),
        "states-v0": (list(np.zeros(5, np.int64)), actions, gym.spaces.Discrete(3), box,
                      "observation_space: expected a Box or a Dict of them, found Discrete"),
        "image-v0": (list(image), actions, gym.spaces.Box(0, 255, (40, 40, 3), np.uint8), box,
                     "observation_space: expected a Box of one dimension, found one of shape [40,40,3]"),
        "nested-v0": (nested, actions, gym.spaces.Dict({"inner": gym.spaces.Dict({"deep": box})}), box,
                      "observation_space/inner: expected a Box, found Dict"),
        "tuple-v0": ((list(flat), list(flat)), actions, gym.spaces.Tuple((box, box)), box,
                     "observation_space: expected a Box or a Dict of them, found Tuple"),
    }
    for name, (observations, acts, space, action_space, message) in cases.items():
        done = probe("read", create(name, observations, acts, space, action_space))
        assert done.returncode == 1 and message in done.stderr, (name, done.stderr)
        # Beside no metadata.json the columns themselves tell, where they can.
        if name == "nested-v0":
            os.remove(ROOT / name / "data/metadata.json")
            done = probe("read", ROOT / name)
            assert done.returncode == 1 and "episode_0/observations" in done.stderr, done.stderr


def dictionaries_are_read_as_their_parts() -> None:
    """PointMaze, recorded by Minari's own collector: the parts in the order of their names."""
    import gymnasium_robotics
    gym.register_envs(gymnasium_robotics)
    env = DataCollector(gym.make("PointMaze_UMaze-v3", max_episode_steps=20), record_infos=True)
    env.action_space.seed(0)
    for seed in range(3):
        env.reset(seed=seed)
        ended = False
        while not ended:
            *_, terminated, truncated, _ = env.step(env.action_space.sample())
            ended = terminated or truncated
    data = env.create_dataset("point/maze-v0", algorithm_name="random", author="a", author_email="a@b.c",
                              code_permalink="none", description="test")
    seen = read(ROOT / "point/maze-v0")
    assert seen["observation_dim"] == 8 and seen["metadata"]["env"] == "PointMaze_UMaze-v3", seen["metadata"]
    for episode, (begin, end, _) in zip(data.iterate_episodes(), seen["episodes"], strict=True):
        parts = [np.float32(episode.observations[name]) for name in ("achieved_goal", "desired_goal", "observation")]
        rows = np.concatenate(parts, axis=1)
        np.testing.assert_array_equal(seen["observations"][begin:end], rows[:-1])
        np.testing.assert_array_equal(seen["next_observations"][begin:end], rows[1:])
    assert "success" in seen["infos"], set(seen["infos"])
    # Written again, it is still of the environment that it came from.
    assert probe("minari", ROOT / "point/maze-v0", ROOT, "point/again-v0").returncode == 0
    assert minari.load_dataset("point/again-v0").env_spec == data.env_spec
    assert probe("check", ROOT / "point/maze-v0").returncode == 0


def large_sets_take_no_memory_and_obey_ctrl_c() -> None:
    """Their rows are mapped from a temporary file."""
    rows, episodes = 200_000, 5
    folder = ROOT / "large-v0/data"
    folder.mkdir(parents=True)
    with h5py.File(folder / "main_data.hdf5", "w") as file:
        for i in range(episodes):
            group = file.create_group(f"episode_{i}")
            group["observations"] = np.zeros((rows + 1, 17))
            group["actions"] = np.zeros((rows, 6), np.float32)
            group["rewards"] = np.zeros(rows)
            group["terminations"] = group["truncations"] = np.arange(rows) == rows - 1
    done = probe("walk", ROOT / "large-v0")
    seen, kilobytes, _ = done.stdout.split()
    # Each column is released when it was read, so the widest counts: 65 MB.
    assert int(seen) == rows * episodes and int(kilobytes) < 130_000, done.stdout
    # Interrupted while it is read, and while it is written once it has been read.
    start = time.monotonic()
    probe("minari", ROOT / "large-v0", ROOT / "copy", "copy-v0")
    whole = time.monotonic() - start
    interrupted = 0
    for attempt in range(30):  # on a busy machine many come too early or too late
        share = (0.3, 0.5, 0.7, 0.1, 0.9)[attempt % 5]
        root = ROOT / f"again_{attempt}"
        running = subprocess.Popen([PROBE, "minari", ROOT / "large-v0", root, "copy-v0"], stderr=subprocess.PIPE,
                                   text=True)
        time.sleep(share * whole)
        running.send_signal(signal.SIGINT)
        start = time.monotonic()
        _, told = running.communicate()
        assert time.monotonic() - start < 2.5
        if running.returncode in (0, -signal.SIGINT):
            continue  # this time it was faster, or not yet there
        interrupted += 1
        assert running.returncode == 1 and "interrupted" in told, (share, running.returncode, told)
        assert not list(root.rglob("*.tmp")) and not list(root.rglob("*.hdf5"))
        if interrupted == 3:
            return
    assert interrupted > 0


def main() -> None:
    minaris_tools_work_on_ours()
    minaris_command_shows_ours()
    other_spaces_are_refused_by_name()
    dictionaries_are_read_as_their_parts()
    large_sets_take_no_memory_and_obey_ctrl_c()
    if len(sys.argv) > 2:
        the_environment_comes_back()
    print("Minari and C++ agree")


if __name__ == "__main__":
    main()
