"""What one instance of a batch offers beside ``reset`` and ``step``: functions of goals, a robot's simulation."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from diffreward import _envs
from diffreward._batch import Rewarded

if TYPE_CHECKING:
    import mujoco


class Part:
    """What the classes below are mixed into: an instance of a batch."""

    def _instance(self) -> tuple[Rewarded, int]:
        """The batch and the instance's number in it, or raises ``gymnasium.error.ClosedEnvironmentError``."""
        raise NotImplementedError

    def _describe(self, env_id: str, options: Mapping[str, Any]) -> None:
        """Called once, with the options of this instance."""

    def _changed(self) -> None:
        """Called after a step and a state that was loaded."""

    def _began(self) -> None:
        """Called after a reset, and where an episode began by other means."""
        self._changed()


class Goals(Part):
    """A task whose reward and end are functions of goals: Gymnasium-Robotics' ``GoalEnv``, for PointMaze.

    Goals are positions m, [2] or [..., 2]; ``info`` is not read. All three say what ``step`` says of the goal reached
    and the goal that was desired, whatever ``reward=`` pays instead.
    """

    def _describe(self, env_id: str, options: Mapping[str, Any]) -> None:
        all_options = {option["name"]: option["default"] for option in json.loads(_envs.env_options(env_id))} | options
        self._dense, self._continuing = all_options["reward_type"] == "dense", all_options["continuing_task"]

    def compute_reward(self, achieved_goal: np.ndarray, desired_goal: np.ndarray, info: Any) -> np.float64 | np.ndarray:
        """What reaching ``achieved_goal`` pays; [...], a row a goal."""
        distance = self._distance(achieved_goal, desired_goal)
        if self._dense:
            return np.asarray(_exp(-distance), dtype=np.float64)[()]
        return (distance <= _envs.GOAL_RADIUS).astype(np.float64)

    def compute_terminated(self, achieved_goal: np.ndarray, desired_goal: np.ndarray, info: Any) -> bool | np.ndarray:
        """Whether reaching ``achieved_goal`` ends the episode; a row a goal, where Gymnasium-Robotics takes one only."""
        ended = np.logical_and(not self._continuing, self._distance(achieved_goal, desired_goal) <= _envs.GOAL_RADIUS)
        return ended if ended.ndim else bool(ended)

    def compute_truncated(self, achieved_goal: np.ndarray, desired_goal: np.ndarray, info: Any) -> bool:
        """Never: a step limit truncates."""
        return False

    @staticmethod
    def _distance(achieved_goal: np.ndarray, desired_goal: np.ndarray) -> np.floating | np.ndarray:
        return np.linalg.norm(np.subtract(achieved_goal, desired_goal), axis=-1)


_exp = np.frompyfunc(math.exp, 1, 1)  # the C library's, which pays in step; NumPy's may differ in the last bit


class Robot(Part):
    """A robot's simulation under the names of Gymnasium's ``MujocoEnv``.

    ``model`` and ``data`` are copies: every MuJoCo function reads them, none changes the simulation through them.
    Their arrays refuse to be written. To change a robot use ``set_state``, or the option ``physics``.
    """

    _simulation: tuple[mujoco.MjModel, mujoco.MjData] | None = None

    @property
    def frame_skip(self) -> int:
        """MuJoCo's steps in one of the environment."""
        batch, i = self._instance()
        return batch.frame_skip(i)

    @property
    def dt(self) -> float:
        """Seconds that a step simulates."""
        return self.model.opt.timestep * self.frame_skip

    @property
    def model(self) -> mujoco.MjModel:
        """A copy of the model."""
        return self._simulated()[0]

    @property
    def data(self) -> mujoco.MjData:
        """A copy of the simulation; always the same object, which each reset, step and change of state renews."""
        return self._simulated()[1]

    @property
    def init_qpos(self) -> np.ndarray:
        """[nq] what resets vary; read-only."""
        return self.model.qpos0

    @property
    def init_qvel(self) -> np.ndarray:
        """[nv] what resets vary; read-only."""
        return _read_only(np.zeros(self.model.nv))

    def set_state(self, qpos: np.ndarray, qvel: np.ndarray) -> None:
        """Places the robot: positions [nq] and velocities [nv]. Begins an episode; a batch counts its steps from here."""
        batch, i = self._instance()
        batch.place(i, qpos, qvel)
        self._began()

    def state_vector(self) -> np.ndarray:
        """Positions and velocities, [nq + nv]."""
        data = self.data
        return np.concatenate([data.qpos, data.qvel])

    def get_body_com(self, body_name: str) -> np.ndarray:
        """Where the frame of a body is, [3] m; as in Gymnasium, not its centre of mass."""
        return self.data.body(body_name).xpos.copy()

    def _simulated(self) -> tuple[mujoco.MjModel, mujoco.MjData]:
        if self._simulation is None:
            import mujoco

            batch, i = self._instance()
            model = mujoco.MjModel.from_binary_path("model.mjb", {"model.mjb": batch.mujoco_model(i)})
            self._simulation = model, mujoco.MjData(model)
            self._changed()
            for struct in (model, model.opt, self._simulation[1]):
                for name in dir(struct):
                    value = getattr(struct, name, None)
                    if isinstance(value, np.ndarray):
                        _read_only(value)
        return self._simulation

    def _changed(self) -> None:
        if self._simulation is not None:
            batch, i = self._instance()
            batch.copy_mujoco_data(i, self._simulation[1]._address)


def _read_only(array: np.ndarray) -> np.ndarray:
    array.flags.writeable = False
    return array


def part_of(env_id: str) -> type[Part]:
    """What the instances of a native id offer."""
    return Part if env_id.startswith("Maze2D") else Goals if env_id.startswith("PointMaze_") else Robot
