"""Gymnasium's registry: every native environment under ``diffreward/<id>``."""

from __future__ import annotations

import json
from typing import Any

import gymnasium
import numpy as np
from numpy.typing import ArrayLike

from diffreward import _envs, _native
from diffreward._instance import Goals, Part, Robot, part_of

NAMESPACE = "diffreward"
_CLASSES = {Part: "Env", Goals: "GoalEnv", Robot: "RobotEnv"}


def env_ids() -> list[str]:
    """The ids of all environments, as ``gymnasium.make`` takes them.

    Example:
        >>> "diffreward/HalfCheetah-v5" in dr.env_ids()
        True
    """
    return [f"{NAMESPACE}/{name}" for name, _ in _envs.env_catalog()]


def env_options(env_id: str) -> dict[str, dict[str, Any]]:
    """The keyword arguments of an environment: name -> kind, help, default and choices.

    Example:
        >>> dr.env_options("Maze2D-UMaze-v0")["goal_cell"]
        {'kind': 'int[]', 'help': "goal as row, column; empty for the map's own", 'default': [], 'choices': []}
    """
    listed = json.loads(_envs.env_options(env_id.removeprefix(f"{NAMESPACE}/")))
    return {option.pop("name"): option for option in listed}


def reference_returns(env_id: str, **options: Any) -> tuple[float, float] | None:
    """The returns that count as 0 and as 100: a random policy's and an expert's (docs/envs/README.md says whose).

    Args:
        env_id: an environment's id, with or without ``diffreward/``.
        **options: the environment's own options. Most change the task, which then has no references.

    Returns:
        Random and expert, or None where there are none.

    Example:
        >>> dr.reference_returns("Walker2d-v4")
        (1.629008, 4592.3)
    """
    name = env_id.removeprefix(f"{NAMESPACE}/")
    spec = json.loads(_envs.env_spec(name, _native.options_json(name, options)))
    if spec["random_return"] is None:
        return None
    return spec["random_return"], spec["expert_return"]


def score(env_id: str, returns: ArrayLike, **options: Any) -> np.ndarray:
    """Normalised returns, 100 (R - random) / (expert - random) (D4RL, Fu et al. 2020).

    Args:
        env_id: an environment's id, with or without ``diffreward/``.
        returns: undiscounted returns of whole episodes, of any shape.
        **options: the environment's own options.

    Returns:
        float64 of the shape of ``returns``.

    Raises:
        ValueError: a task without reference returns.

    Example:
        >>> dr.score("Walker2d-v4", [1.629008, 4592.3])
        array([  0., 100.])
    """
    references = reference_returns(env_id, **options)
    if references is None:
        raise ValueError(f"{env_id}: expected a task with reference returns, got {options or 'one that has none'}")
    random, expert = references
    return 100 * (np.asarray(returns, dtype=np.float64) - random) / (expert - random)


def register_envs() -> None:
    """Called by ``import diffreward``; calling it again changes nothing."""
    for name, max_steps in _envs.env_catalog():
        env_id = f"{NAMESPACE}/{name}"
        if env_id in gymnasium.registry:
            continue
        gymnasium.register(
            env_id,
            entry_point=f"diffreward.environment:{_CLASSES[part_of(name)]}",
            vector_entry_point="diffreward.vector_environment:VectorEnv",
            max_episode_steps=max_steps or None,
            kwargs={"env_id": name},
        )
