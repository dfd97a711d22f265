"""Gymnasium's registry: every native environment under ``diffreward/<id>``."""

from __future__ import annotations

import json
from typing import Any

import gymnasium

from diffreward import _envs
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
