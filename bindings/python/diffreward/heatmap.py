"""Where in a maze a reward is high."""

from __future__ import annotations

import dataclasses

import numpy as np


@dataclasses.dataclass(frozen=True, eq=False)
class Heatmap:
    """The reward of standing at each position of a maze, made by ``Reward.heatmap``; positions are in cells (= m).

    ``plt.imshow(h.values, extent=h.extent)`` draws it as ``render`` draws the maze: rows go down, columns right, and a
    position (x, y) of an observation is ``plt.plot(y, x)``.

    Example:
        >>> h = reward.heatmap("umaze", per_cell=16)
        >>> h.values.shape, h.extent, h.goal                    # 5 by 5 cells
        ((80, 80), (-0.7, 4.3, 4.3, -0.7), (1.0, 1.0))
    """

    values: np.ndarray  #: [X, Y] float64, the reward at (x[i], y[j]), not-a-number in walls
    x: np.ndarray  #: [X] row positions, the first number of an observation
    y: np.ndarray  #: [Y] column positions, the second one
    extent: tuple[float, float, float, float]  #: what ``imshow`` takes: left, right, bottom, top
    support: np.ndarray | None  #: [X, Y] p-values under the base data (``Reward.support``); None where the reward has none
    peak: tuple[float, float]  #: (x, y) of the greatest value where the ball touches no wall
    goal: tuple[float, float] | None  #: (x, y) that the two figures below compare with
    peak_to_goal: float | None  #: Euclidean distance, cells
    rank_correlation: float | None  #: Spearman's, of the values with minus the shortest path to the goal
