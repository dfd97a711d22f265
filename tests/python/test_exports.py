"""Parquet tables and WebDataset's archives, read back by the libraries that they are for."""

import io
import json
import os
import pathlib
import subprocess
import sys
import tarfile

import numpy as np
import pytest

import diffreward as dr
from diffreward import exports


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> pathlib.Path:
    """A robot's data, whose episodes have many lengths and ends of both kinds."""
    out = tmp_path_factory.mktemp("data") / "hopper"
    dr.generate(env="Hopper-v4", policy="random", steps=3000, count=3, episode_steps=0, whole_episodes=False, out=out, progress=False)
    return out


@pytest.fixture(scope="module")
def pictures(tmp_path_factory) -> pathlib.Path:
    out = tmp_path_factory.mktemp("pictures") / "scenes"
    dr.generate(env="EmojiScenes-64", scenes={"count": 20}, out=out, progress=False)
    return out


def same_bits(found, expected) -> None:
    np.testing.assert_array_equal(np.asarray(found), expected, strict=True)


@pytest.mark.parametrize("names", ["lerobot", "minari"])
def test_parquet_holds_the_same_numbers(folder, tmp_path, names, monkeypatch):
    pyarrow = pytest.importorskip("pyarrow")
    pq = pytest.importorskip("pyarrow.parquet")
    monkeypatch.setattr(exports, "_MIB", 1 << 14)  # several shards of several groups
    data = dr.open_dataset(folder)
    files = dr.export_parquet(folder, tmp_path / "out", names=names, shard_mib=8, group_mib=2)
    assert len(files) > 2
    expected = {"lerobot": ("observation.state", "action", "next.observation.state", "next.reward", "next.terminated", "next.truncated",
                            "info."),
                "minari": ("observations", "actions", "next_observations", "rewards", "terminations", "truncations", "infos/")}[names]
    table = pq.read_table(files)
    for name, values in zip(expected, (data.observations, data.actions, data.next_observations), strict=False):
        column = table[name].combine_chunks()
        assert column.type == pyarrow.list_(pyarrow.float32(), values.shape[1])
        same_bits(column.flatten().to_numpy().reshape(values.shape), values)
    for name, values in zip(expected[3:6], (data.rewards, data.terminals, data.timeouts), strict=True):
        same_bits(table[name].to_numpy(), values)
    for info in data.info_names:
        values = data.info(info)
        column = table[expected[6] + info].combine_chunks()
        flat = column if column.type == pyarrow.float32() else column.flatten()
        same_bits(flat.to_numpy().reshape(values.shape), values)
    same_bits(table["index"].to_numpy(), np.arange(len(data)))
    episode, frame = table["episode_index"].to_numpy(), table["frame_index"].to_numpy()
    same_bits(data.episodes[episode, 0] + frame, np.arange(len(data)))

    whole = 0
    for file in files:
        opened = pq.ParquetFile(file)
        card = json.loads(opened.schema_arrow.metadata[b"diffreward"])
        assert card["env"] == "Hopper-v4"
        for group in range(opened.num_row_groups):
            rows = opened.read_row_group(group, columns=["episode_index", "frame_index"]).to_pydict()
            assert rows["frame_index"][0] == 0, "a group begins with an episode"
            begin, end = data.episodes[rows["episode_index"][-1]]
            assert rows["frame_index"][-1] == end - begin - 1, "and ends with one"
            whole += 1
    assert whole > len(files), "shards have several groups"


def test_webdataset_reads_the_episodes(folder, tmp_path, monkeypatch):
    wds = pytest.importorskip("webdataset")
    monkeypatch.setattr(exports, "_MIB", 1 << 14)
    data = dr.open_dataset(folder)
    files = dr.export_webdataset(folder, tmp_path / "out", shard_mib=8)
    assert len(files) > 2
    samples = list(wds.WebDataset([str(file) for file in files], shardshuffle=False).decode())
    assert [sample["__key__"] for sample in samples] == [f"{index:06d}" for index in range(len(data.episodes))]
    for sample, (begin, end) in zip(samples, data.episodes, strict=True):
        for name, values in (("obs", data.observations), ("next_obs", data.next_observations), ("act", data.actions), ("rew", data.rewards),
                             ("terminal", data.terminals), ("timeout", data.timeouts), ("info.qpos", data.info("qpos"))):
            same_bits(sample[f"{name}.npy"], values[begin:end])
        assert sample["json"]["steps"] == end - begin and sample["json"]["terminated"] == data.terminals[end - 1]
    assert json.loads((tmp_path / "out/card.json").read_text())["env"] == "Hopper-v4"


def test_webdataset_reads_the_pictures(pictures, tmp_path):
    wds = pytest.importorskip("webdataset")
    data = dr.exports.open_pictures(pictures)
    files = dr.export_webdataset(pictures, tmp_path / "out")
    samples = list(wds.WebDataset([str(file) for file in files], shardshuffle=False))
    assert len(samples) == len(data) == 20
    for index, sample in enumerate(samples):
        assert sample["txt"].decode() == data.caption(index)
        assert [thing["name"] for thing in json.loads(sample["json"])["objects"]]
        assert sample["png"] == data.png(index) and sample["png"].startswith(b"\x89PNG")
    image = pytest.importorskip("PIL.Image")
    same_bits(np.asarray(image.open(io.BytesIO(samples[3]["png"]))), data.images[3])


@pytest.mark.parametrize("kind", ["parquet", "webdataset"])
def test_a_killed_export_goes_on_to_the_same_bytes(folder, tmp_path, monkeypatch, kind):
    if kind == "parquet":
        pytest.importorskip("pyarrow")
    export = getattr(dr, f"export_{kind}")
    monkeypatch.setattr(exports, "_MIB", 1 << 14)
    whole = [file.read_bytes() for file in export(folder, tmp_path / "whole", shard_mib=8)]

    class Killed(BaseException):
        pass

    replace, calls = os.replace, 0

    def dies(source, target):
        nonlocal calls
        calls += 1
        if calls == 4:
            raise Killed
        replace(source, target)

    monkeypatch.setattr(os, "replace", dies)
    with pytest.raises(Killed):
        export(folder, tmp_path / "killed", shard_mib=8)
    monkeypatch.setattr(os, "replace", replace)
    names = sorted(path.name for path in (tmp_path / "killed").iterdir())
    there = [name for name in names if name.startswith("data-")]
    assert 0 < len(there) < len(whole) and not any(name.startswith(".") for name in names)
    (tmp_path / "killed/.data-000009.left.partial").write_bytes(b"of a process that was killed")
    before = (tmp_path / "killed" / there[0]).stat().st_mtime_ns
    files = export(folder, tmp_path / "killed", shard_mib=8)
    assert [file.read_bytes() for file in files] == whole
    assert files[0].stat().st_mtime_ns == before
    assert not list((tmp_path / "killed").glob(".*"))
    with pytest.raises(RuntimeError, match="expected the record of the same export, found another one"):
        export(folder, tmp_path / "killed", shard_mib=9)


def test_a_plan_exports_as_its_merge(tmp_path):
    program = os.environ.get("DIFFREWARD_PROGRAM")
    if not program:
        pytest.skip("DIFFREWARD_PROGRAM names no diffreward program")
    size = ["--steps", "1600", "--count", "8", "--quiet"]
    for command in (["generate", "--out", tmp_path / "data", *size], ["shard", "plan", "--shards", "3", "--out", tmp_path / "plan", *size],
                    ["shard", "run", tmp_path / "plan", "--quiet"]):
        subprocess.run([program, *command], check=True, stdout=subprocess.DEVNULL)
    archives = [dr.export_webdataset(tmp_path / name, tmp_path / f"{name}-tar") for name in ("data", "plan")]
    assert [[file.read_bytes() for file in files] for files in archives][0] == [file.read_bytes() for file in archives[1]]


def test_bad_input_is_one_line(folder, pictures, tmp_path):
    def failed(*arguments) -> str:
        ended = subprocess.run([sys.executable, "-m", "diffreward.export", *map(str, arguments)], capture_output=True, text=True)
        assert ended.returncode == 1 and len(ended.stderr.splitlines()) == 1, ended
        return ended.stderr

    assert "absent" in failed("webdataset", tmp_path / "absent", tmp_path / "out")
    assert not (tmp_path / "out").exists()
    assert "shard_mib: expected a size in [1, 1048576] MiB, got 0" in failed("webdataset", folder, tmp_path / "out", "--shard-mib", 0)
    assert not (tmp_path / "out").exists()
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine/notes.txt").write_text("mine")
    assert "expected an empty folder, found notes.txt" in failed("webdataset", folder, tmp_path / "mine")
    assert [path.name for path in (tmp_path / "mine").iterdir()] == ["notes.txt"]
    pytest.importorskip("pyarrow")
    assert "expected transitions, found pictures" in failed("parquet", pictures, tmp_path / "out")
    with pytest.raises(ValueError, match="names: expected one of lerobot, minari, got 'd4rl'"):
        dr.export_parquet(folder, tmp_path / "out", names="d4rl")


def test_archives_are_equal_for_equal_data(folder, tmp_path):
    first, second = ([file.read_bytes() for file in dr.export_webdataset(folder, tmp_path / name)] for name in "ab")
    assert first == second
    with tarfile.open(tmp_path / "a/data-000000.tar") as archive:
        member = archive.next()
        assert (member.mtime, member.uid, member.uname) == (0, 0, "")
