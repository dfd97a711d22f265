"""The notebook: without outputs, and its cells run from top to bottom."""

import json
import pathlib

import pytest

NOTEBOOK = pathlib.Path(__file__).parents[2] / "examples" / "python" / "chain.ipynb"
TINY = {"DATA_STEPS": 3200, "BASE_STEPS": 10, "EXPERT_STEPS": 10, "REWARD_STEPS": 10, "PLANNER_STEPS": 10, "RL_STEPS": 2048,
        "WALK_STEPS": 20}


@pytest.fixture(scope="module")
def cells():
    book = json.loads(NOTEBOOK.read_text())
    assert (book["nbformat"], book["nbformat_minor"]) == (4, 5)
    return book["cells"]


def code(cells):
    return [(cell["id"], "".join(cell["source"])) for cell in cells if cell["cell_type"] == "code"]


def test_it_holds_no_outputs(cells):
    assert len({cell["id"] for cell in cells}) == len(cells)
    for cell in cells:
        if cell["cell_type"] == "code":
            assert cell["outputs"] == [] and cell["execution_count"] is None


def test_its_cells_run(cells, capsys):
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    plt.close("all")
    (sizes, source), *rest = code(cells)
    names = {}
    exec(compile(source, sizes, "exec"), names)
    assert names.keys() - {"__builtins__"} == TINY.keys(), "the first cell holds the sizes, and all of them"
    names.update(TINY)
    for cell, source in rest:
        exec(compile(source, cell, "exec"), names)
    assert "cells from the goal" in capsys.readouterr().out
    titles = [[ax.get_title() for ax in plt.figure(number).axes if ax.get_title()] for number in plt.get_fignums()]
    assert [len(one) for one in titles] == [2] * 6
    assert all("end at the goal" in title for one in titles[3:5] for title in one)
    assert names["h"].values.shape == names["h"].support.shape == (80, 80)
    assert names["walked"].shape == (32, 21, 4)
    assert names["planner"].plan.shape == (48, 16, 6)
    plt.close("all")
