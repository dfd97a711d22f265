"""Acting with a diffusion model."""

from __future__ import annotations

import json
import os
from typing import Any, Union

import numpy as np

from diffreward._arrays import Array, flags, like, native
from diffreward._plain import plain
from diffreward.chain import DiffusionModel
from diffreward.own import native_guide
from diffreward.reward import Reward

Path = Union[str, "os.PathLike[str]"]


class Planner:
    """A diffusion model as an agent, by itself or led by a reward: receding-horizon control (Janner et al. 2022).

    From what an instance observes a window of behaviour is sampled, its first actions are carried out, and
    ``replan_every`` steps later it is sampled anew; all instances are planned as one batch. Plans are kept from one call
    of ``predict`` to the next. Their noise is named by the seed, the instance and its episodes so far: an instance acts
    the same whatever is planned beside it.

    Args:
        model: a model with actions that takes its first observation as a condition (``train(condition_probability=1)``),
            or its path.
        guide: a reward, or its path, that leads the plans with strength ``scale`` (1 where there is a guide).
        **settings: ``replan_every`` (environment steps that a plan is followed for), ``warm_level`` (noise level from
            which a plan starts out of the one before; -1: pure noise), ``follow`` ("actions", or "states" by a PD
            controller of ``gain``, action per distance, and ``damping``, action per difference in velocity), and those
            of ``DiffusionModel.sample``: ``sampler``, ``steps``, ``scale``, ``seed`` ... (``diffreward plan --help``).

    Raises:
        ValueError: a setting that does not exist, naming the nearest, is out of range, or that the model cannot follow.
        RuntimeError: a file that is missing or damaged.

    Example:
        >>> planner = dr.Planner(model, reward, sampler="ddim", steps=5, replan_every=8)
        >>> actions, _ = planner.predict(np.ones((3, 4)), episode_start=np.array([True, False, False]))
        >>> actions.shape, planner.plan.shape
        ((3, 2), (3, 24, 6))
    """

    def __init__(self, model: Union[DiffusionModel, Path], guide: Union[Reward, Path, None] = None,
                 **settings: Any) -> None:
        from diffreward import _chain

        self.model = model if isinstance(model, DiffusionModel) else DiffusionModel.load(model)  #: what plans
        leader = native_guide(guide)
        self._planner = _chain.Planner(self.model._model, leader, json.dumps(plain(settings)))

    def predict(self, obs: Array, state: Any = None, episode_start: Array | None = None,
                deterministic: bool = True) -> tuple[Any, None]:
        """Actions for observations [observation_dim] or [n, observation_dim], as Stable-Baselines3's ``predict``.

        Args:
            obs: what the instances observe, in the environment's units.
            state: not read, the planner keeps its plans.
            episode_start: [n] flags: these instances forget their plans. Without it, or in a first call, none has to; a
                call with another number of instances than the last plans anew for all.
            deterministic: not read, the seed names the noise of every plan.

        Returns:
            actions [action_dim] or [n, action_dim] float32, and no state.

        Raises:
            TypeError: not numbers, or flags that are not bool.
            ValueError: another shape.
        """
        rows = native(obs, "obs", np.float64)
        starts = [] if episode_start is None else np.atleast_1d(flags(episode_start, "episode_start"))
        if np.ndim(starts) != 1:
            raise ValueError(f"episode_start: expected [n] flags, got {list(starts.shape)}")
        actions = self._planner.act(np.atleast_2d(rows), starts).astype(np.float32)
        return like(actions[0] if rows.ndim == 1 else actions, obs), None

    @property
    def plan(self) -> np.ndarray:
        """The present plans [n, horizon, action_dim + observation_dim] float32, data units; of no instance at first.

        Row 0 is where a plan was made, up to ``replan_every`` steps ago; rows are ``model.stride`` steps apart.
        """
        return self._planner.plan()
