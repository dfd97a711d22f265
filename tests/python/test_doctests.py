"""Examples in the documentation of what is public, run as they stand.

They begin where these imports end, with stages of a tiny job at hand.
"""

import doctest
import inspect

import gymnasium as gym
import numpy as np
import pytest

import diffreward as dr


@pytest.fixture(scope="module")
def names(reward_folder, pipeline, image_reward):
    folder = reward_folder.parent
    return {
        "dr": dr, "np": np, "gym": gym,
        "base_data": dr.Recording(folder / "base_data"), "expert_data": dr.Recording(folder / "expert_data"),
        "base": dr.DiffusionModel.load(folder / "base_model"), "expert": dr.DiffusionModel.load(folder / "expert_model"),
        "model": dr.DiffusionModel.load(folder / "base_steered_model"), "reward": dr.load_reward(reward_folder),
        "expert_model": dr.DiffusionModel.load(folder / "expert_steered_model"), "guide": folder / "guide",
        "pipeline": pipeline, "image_reward": image_reward,
    }


@pytest.mark.parametrize("name", dr.__all__)
def test_examples(name, names):
    text = inspect.getdoc(getattr(dr, name))
    test = doctest.DocTestParser().get_doctest(text, dict(names), name, None, 0)
    assert any(example.want for example in test.examples), "an example that says what comes"
    printed = []
    result = doctest.DocTestRunner(verbose=False).run(test, out=printed.append)
    assert result.failed == 0, "".join(printed)
