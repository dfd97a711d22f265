"""Heatmaps: values are the reward's own scores, axes are the maze's."""

import dataclasses

import numpy as np
import pytest

import diffreward as dr

MAP = "#######\n#OO#OO#\n#OOOO##\n#######\n"


@pytest.fixture(scope="module")
def reward(reward_folder):
    return dr.load_reward(reward_folder)


def windows(reward, *positions):
    found = np.zeros((len(positions), reward.horizon, 6), dtype=np.float32)
    found[:, :, 2:4] = np.array(positions)[:, None]
    return found


def free(text, per_cell):
    cells = np.array([[letter != "#" for letter in line] for line in text.split()])
    return cells.repeat(per_cell, axis=0).repeat(per_cell, axis=1)


@pytest.mark.parametrize("reading", [{}, {"reading": "density_ratio", "beta": 3}, {"reading": "support", "alpha": 0.3}])
def test_values_are_the_scores_of_single_positions(reward_folder, reading):
    reward = dr.load_reward(reward_folder, **reading)
    h = reward.heatmap(MAP, per_cell=5)
    inside = free(MAP, 5)
    np.testing.assert_array_equal(np.isfinite(h.values), inside)
    np.testing.assert_array_equal(np.isfinite(h.support), inside)
    for i, j in zip(*np.nonzero(inside)):
        one = windows(reward, (h.x[i], h.y[j]))
        assert h.values[i, j] == pytest.approx(reward.score(one)[0], rel=1e-4, abs=1e-5)
        assert h.support[i, j] == reward.support(one)[0]
    assert np.ptp(h.values[inside]) > 0


def test_who_stands_still_gains_nothing(reward_folder):
    h = dr.load_reward(reward_folder, reading="shaped").heatmap(MAP, per_cell=3)
    assert set(h.values[np.isfinite(h.values)]) == {0.0}


def test_axes_are_imshows(reward):
    h = reward.heatmap(MAP, per_cell=4)
    assert h.values.shape == h.support.shape == (16, 28) and h.x.shape == (16,) and h.y.shape == (28,)
    left, right, bottom, top = h.extent
    np.testing.assert_allclose(h.y, left + (np.arange(28) + 0.5) * (right - left) / 28)
    np.testing.assert_allclose(h.x, top + (np.arange(16) + 0.5) * (bottom - top) / 16)
    assert (left, top) == (-0.7, -0.7) and (right, bottom) == pytest.approx((6.3, 3.3))


def test_the_peak_is_the_greatest_value_clear_of_walls(reward):
    h = reward.heatmap("open", per_cell=8, ball_radius=0.1)
    x, y = np.meshgrid(h.x, h.y, indexing="ij")
    low, high_x, high_y = 0.3 + 0.1, len(h.x) / 8 - 1.7 - 0.1, len(h.y) / 8 - 1.7 - 0.1
    clear = (x > low) & (x < high_x) & (y > low) & (y < high_y)
    i, j = np.unravel_index(np.argmax(np.where(clear, h.values, -np.inf)), h.values.shape)
    assert h.peak == (h.x[i], h.y[j])
    narrow = reward.heatmap("open", per_cell=8, ball_radius=0.3).peak
    assert min(narrow) > 0.3 + 0.3


def test_figures_compare_with_the_goal(reward):
    """In a maze without inner walls the shortest path is the straight line."""
    h = reward.heatmap("open", goal=(2, 3.1), per_cell=4, ball_radius=0)
    assert h.goal == (2.0, 3.1)
    assert h.peak_to_goal == pytest.approx(np.hypot(h.peak[0] - 2, h.peak[1] - 3.1))
    x, y = np.meshgrid(h.x, h.y, indexing="ij")
    inside = np.isfinite(h.values)
    ranks = [np.argsort(np.argsort(v[inside])) for v in (h.values, -np.round(np.hypot(x - 2, y - 3.1), 12))]
    assert h.rank_correlation == pytest.approx(np.corrcoef(ranks)[0, 1], abs=0.01)
    assert reward.heatmap("umaze").goal == (1.0, 1.0)
    without = reward.heatmap(MAP)
    assert (without.goal, without.peak_to_goal, without.rank_correlation) == (None, None, None)


def test_maps_by_name_text_file_and_lists(reward, tmp_path):
    (tmp_path / "map.txt").write_text(MAP)
    lists = [[0 if letter == "O" else 1 for letter in line] for line in MAP.split()]
    expected = reward.heatmap(MAP, per_cell=2).values
    for maze in (tmp_path / "map.txt", str(tmp_path / "map.txt"), lists):
        np.testing.assert_array_equal(reward.heatmap(maze, per_cell=2).values, expected)
    assert reward.heatmap("large", per_cell=1).values.shape == (9, 12)


def test_a_discriminator_has_no_support(reward_folder):
    h = dr.load_reward(reward_folder.parent / "discriminator").heatmap(per_cell=2)
    assert h.support is None and np.isfinite(h.values).sum() == 7 * 4


def test_what_is_refused(reward):
    for faulty, message in (({"maze": "umase"}, "did you mean 'umaze'"), ({"maze": "###\n#O#\n"}, "row 1, column 1"),
                            ({"goal": (0, 0)}, "goal: expected a position in a free cell"),
                            ({"goal": 3}, "goal: expected a position"), ({"per_cell": 0}, "1 to 256 samples per cell"),
                            ({"ball_radius": 0.6}, "ball touches no wall")):
        with pytest.raises(ValueError, match=message):
            reward.heatmap(**faulty)
    with pytest.raises(dataclasses.FrozenInstanceError):
        reward.heatmap(per_cell=1).peak = (0, 0)
