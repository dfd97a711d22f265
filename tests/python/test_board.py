"""The board from Python: rows, comparisons, records for tables."""

import contextlib
import json
import os
import pathlib
import re
import shutil
import subprocess
import zipfile

import numpy as np
import pytest

import diffreward as dr
from diffreward.board import _read_npz

HOSTILE = json.loads((pathlib.Path(__file__).parents[1] / "leaderboard" / "hostile_names.json").read_text())
TASK = {"name": "maze/one", "env": "Maze2D-UMaze-v0", "options": {"goal_cell": [1, 1]}, "norm_low": 0, "norm_high": 10,
        "stream_pool": {"seed": 11, "episodes": 3, "instances": 3, "episode_steps": 20}}


@pytest.fixture
def board(tmp_path):
    board = dr.Board.create(tmp_path / "board.sqlite", tasks="none")
    assert board.add_task(TASK) and not board.add_task(TASK)
    return board


def test_rows_are_scored_listed_compared_and_verified(board):
    for seed in range(3):
        for agent in ("waypoints", "random"):
            receipt, = board.submit(agent, tasks="maze", train_seed=seed, threads=1)
            assert receipt["new_runs"] == 1
    assert board.submit("random", tasks="maze", threads=1)[0]["known_runs"] == 1
    rows = board.list(resamples=200)
    assert {row["name"] for row in rows} == {"waypoints", "random"} and all(row["runs"] == 3 for row in rows)
    told = board.compare("waypoints", "random", resamples=200)
    assert "waypoints" in told["sentence"] and set(told["difference"]) >= {"value", "low", "high"}
    assert board.verify("random", threads=1)["verified"] == 3
    assert board.show("random")["checked"] == "verified"
    runs, episodes = board.records(), board.records(episodes=True)
    assert len(runs) == 6 and len(episodes) == 18
    of_run = [episode["score"] for episode in episodes if episode["run"] == runs[0]["run"]]
    assert np.mean(of_run) == runs[0]["score"]
    board.retract("random", "a test")
    assert [row["name"] for row in board.list(resamples=200)] == ["waypoints"]
    checked = board.check()
    assert checked["faults"] == [] and board.check(head=checked["head"])["faults"] == []


def test_errors_are_pythons(board, tmp_path):
    with pytest.raises(ValueError, match="tasks never change"):
        board.add_task(TASK | {"norm_high": 20})
    with pytest.raises(ValueError, match="unknown entry 'rendom'"):
        board.show("rendom")
    with pytest.raises(RuntimeError, match="found no file"):
        dr.Board(tmp_path / "absent.sqlite")
    with pytest.raises(RuntimeError, match="expected no file, found one"):
        dr.Board.create(board.path)
    (tmp_path / "cut.sqlite").write_bytes(board.path.read_bytes()[:5000])
    with pytest.raises(RuntimeError, match="expected a"):
        dr.Board(tmp_path / "cut.sqlite")


def test_score_matrices_are_imported(board):
    receipts = board.import_scores({"DQN": np.array([[0.1, 0.2], [0.3, np.nan]]), "IQN": [[0.5, 0.6], [0.7, 0.8]]},
                                   suite="atari", tasks=["Pong", "Breakout"])
    assert [receipt["new_runs"] for receipt in receipts] == [4, 4]
    rows = {row["name"]: row for row in board.list("atari", resamples=200)}
    assert rows["IQN"]["value"] == pytest.approx(0.65) and rows["DQN"]["value"] is None
    assert rows["IQN"]["checked"] == "not verifiable here"
    with pytest.raises(RuntimeError, match="not verifiable here"):
        board.verify("IQN")
    with pytest.raises(ValueError, match="expected \\[runs, tasks\\]"):
        board.import_scores({"a": [1, 2]}, suite="x")
    with pytest.raises(ValueError, match="expected numbers of 'a'"):
        board.import_scores({"a": [["1", "2"]]}, suite="x")
    with pytest.raises(ValueError, match="suite: expected a name"):
        board.import_scores({"a": [[1, 2]]})


def test_npz_files_are_imported(board, tmp_path):
    file = tmp_path / "atari.npz"
    curves = np.arange(12.0).reshape(2, 2, 3)
    curves[1, 1, 2] = np.nan
    np.savez_compressed(file, DQN=[[0.1, 0.2], [0.3, 0.4]], IQN=curves)
    receipts = board.import_scores(file, tasks=["Pong", "Breakout"], last=2, data=["mujoco/hopper/expert-v0"])
    assert [receipt["new_runs"] for receipt in receipts] == [4, 4]
    assert {record["task"] for record in board.records()} == {"atari/Pong", "atari/Breakout"}
    shown = board.show("IQN")
    assert shown["imported_from"] == "atari.npz" and shown["config"] == {"data": ["mujoco/hopper/expert-v0"]}
    assert [run["score"] for run in shown["runs"]] == [1.5, 4.5, 7.5, None]
    with pytest.raises(ValueError, match="such as maze/umaze"):
        board.import_scores(file, data=["no id"])

    for name, write in {"absent.npz": None, "one.npy": lambda f: np.save(f, [[1.0]]), "text.npz": lambda f: f.write(b"x" * 99),
                        "pickled.npz": lambda f: np.savez(f, a=np.array([{}], dtype=object))}.items():
        if write:
            with open(tmp_path / name, "wb") as stream:
                write(stream)
        with pytest.raises(RuntimeError, match=f"{name}: expected an .npz file"):
            board.import_scores(tmp_path / name)
    # A member that claims more than it holds, and one that swells.
    with zipfile.ZipFile(tmp_path / "claims.npz", "w") as archive:
        head = b"{'descr': '<f8', 'fortran_order': False, 'shape': (1000000, 1000000), }\n"
        archive.writestr("a.npy", b"\x93NUMPY\x01\x00" + len(head).to_bytes(2, "little") + head)
    with zipfile.ZipFile(tmp_path / "swells.npz", "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive:
        with archive.open("a.npy", "w", force_zip64=True) as member:
            for _ in range(1025):
                member.write(bytes(1 << 20))
    for name in ("claims.npz", "swells.npz"):
        with pytest.raises(RuntimeError, match=f"{name}: expected an .npz file"):
            board.import_scores(tmp_path / name)


def test_damaged_npz_files_are_refused_in_one_line(board, tmp_path):
    np.savez_compressed(tmp_path / "whole.npz", a=[[0.1, 0.2]], b=[[0.3, 0.4]])
    whole, file = (tmp_path / "whole.npz").read_bytes(), tmp_path / "damaged.npz"
    read = 0
    for at in range(len(whole)):
        for damaged in (whole[:at], whole[:at] + bytes([whole[at] ^ 0xFF]) + whole[at + 1:]):
            file.write_bytes(damaged)
            try:
                _read_npz(file)
                read += 1  # a byte that nobody reads
            except RuntimeError as error:
                assert "\n" not in str(error)
    assert read < len(whole)


def test_hostile_names_come_back(board):
    board.import_scores({name: [[0.1 * i], [0.2], [0.3]] for i, name in enumerate(HOSTILE)}, suite="s")
    assert [row["name"] for row in json.loads(board.export("json"))["entries"]] == sorted(HOSTILE)
    assert {record["name"] for record in board.records()} == set(HOSTILE)
    for form in ("csv", "markdown", "page"):
        assert board.export(form)


@contextlib.contextmanager
def served(board):
    """The address of a server, which ends well."""
    command = [os.environ["DIFFREWARD_PROGRAM"], "board", "serve", board.path, "--port", "0"]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as server:
        try:
            yield re.search(r"http://[0-9.:]+", server.stderr.readline())[0]
        finally:
            server.terminate()
        assert server.wait(timeout=30) == 0


def test_rows_are_pushed_to_a_served_board(board, tmp_path):
    board.import_scores({name: [[0.1], [0.2], [0.3]] for name in ("DQN", *HOSTILE)}, suite="s")
    runs = 3 * (1 + len(HOSTILE))
    lab = dr.Board.create(tmp_path / "lab.sqlite", tasks="none")
    key = subprocess.run([os.environ["DIFFREWARD_PROGRAM"], "board", "keys", lab.path, "--add", "lab-1"], capture_output=True,
                         text=True, check=True).stdout
    with served(lab) as url:
        assert sum(receipt["new_runs"] for receipt in board.push(url, key)) == runs
        assert sum(receipt["known_runs"] for receipt in board.push(url, key)) == runs
        assert {row["name"] for row in lab.list(resamples=200)} == {"DQN", *HOSTILE}
        with pytest.raises(RuntimeError, match="refused \\(401\\): expected a key"):
            board.push(url, "drk_0")
    with pytest.raises(RuntimeError, match="expected the answer of a board"):
        board.push(url, key)
    assert lab.check()["faults"] == []


def in_chromium(url, tmp_path):
    done = subprocess.run(["chromium", "--headless", "--no-sandbox", "--disable-gpu", f"--user-data-dir={tmp_path / 'profile'}",
                           "--enable-logging=stderr", "--v=0", "--virtual-time-budget=2000", "--dump-dom", url],
                          capture_output=True, timeout=120, text=True)
    assert done.returncode == 0, done.stderr
    assert "<title>Leaderboard</title>" in done.stdout
    assert f"1 of {len(HOSTILE)} rows" in done.stdout, "the filter of the link was applied"
    assert "CONSOLE" not in done.stderr, [line for line in done.stderr.splitlines() if "CONSOLE" in line]


@pytest.mark.skipif(not shutil.which("chromium"), reason="there is no chromium")
def test_the_served_page_in_a_browser(board, tmp_path):
    """Nothing of a name is run or fetched under the server's policy, which lets the page's own script run."""
    board.import_scores({name: [[0.1 * i], [0.2], [0.3]] for i, name in enumerate(HOSTILE)}, suite="s")
    with served(board) as url:
        in_chromium(f"{url}/#filter?q=evil", tmp_path)
