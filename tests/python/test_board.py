"""The board from Python: rows, comparisons, records for tables."""

import json
import pathlib

import numpy as np
import pytest

import diffreward as dr

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


def test_hostile_names_come_back(board):
    board.import_scores({name: [[0.1 * i], [0.2], [0.3]] for i, name in enumerate(HOSTILE)}, suite="s")
    assert [row["name"] for row in json.loads(board.export("json"))["entries"]] == sorted(HOSTILE)
    assert {record["name"] for record in board.records()} == set(HOSTILE)
    for form in ("csv", "markdown", "page"):
        assert board.export(form)
