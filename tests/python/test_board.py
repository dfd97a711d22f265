"""The board from Python: rows, comparisons, records for tables, and its page in a real browser."""

import contextlib
import json
import os
import re
import shutil
import subprocess

import numpy as np
import pytest

import diffreward as dr

HOSTILE = ["</script><script>document.title = 'changed'</script>", "<img src=x onerror=\"document.title = 'changed'\">",
           "a\u2028b", "\u202eevil", "nul\0nul", "=cmd|' /C calc'!A0", "![x](http://example.org/y.png)", "x" * 10_000,
           "\" onmouseover=\"document.title = 'changed'", "'; DROP TABLE entry; --"]
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
    lab = dr.Board.create(tmp_path / "lab.sqlite", tasks="none")
    key = subprocess.run([os.environ["DIFFREWARD_PROGRAM"], "board", "keys", lab.path, "--add", "anna"], capture_output=True,
                         text=True, check=True).stdout
    with served(lab) as url:
        assert sum(receipt["new_runs"] for receipt in board.push(url, key)) == 33
        assert sum(receipt["known_runs"] for receipt in board.push(url, key)) == 33
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
    assert "1 of 10 rows" in done.stdout, "the filter of the link was applied"
    assert "CONSOLE" not in done.stderr, [line for line in done.stderr.splitlines() if "CONSOLE" in line]


@pytest.mark.skipif(not shutil.which("chromium"), reason="there is no chromium")
def test_the_page_in_a_browser(board, tmp_path):
    """Nothing of a name is run or fetched, and the page's own script works under its policy."""
    board.import_scores({name: [[0.1 * i], [0.2], [0.3]] for i, name in enumerate(HOSTILE)}, suite="s")
    board.export("page", tmp_path / "board.html")
    in_chromium(f"file://{tmp_path / 'board.html'}#filter?q=evil", tmp_path)


@pytest.mark.skipif(not shutil.which("chromium"), reason="there is no chromium")
def test_the_served_page_in_a_browser(board, tmp_path):
    """Neither under the server's policy, which lets the page's own script run."""
    board.import_scores({name: [[0.1 * i], [0.2], [0.3]] for i, name in enumerate(HOSTILE)}, suite="s")
    with served(board) as url:
        in_chromium(f"{url}/#filter?q=evil", tmp_path)
