"""
Learned rewards of DiffReward.
"""
from __future__ import annotations
import diffreward._envs
import numpy
import numpy.typing
import os
import typing
__all__: list[str] = ['RewardModel', 'load_reward', 'rewarded']
class RewardModel:
    """
    Scores windows of behaviour.
    """
    def score(self, windows: typing.Annotated[numpy.typing.ArrayLike, numpy.float32]) -> numpy.typing.NDArray[numpy.float32]:
        """
        Scores [n] of windows [n, horizon, action_dim + observation_dim], higher is preferred.
        """
    def score_transitions(self, obs: typing.Annotated[numpy.typing.ArrayLike, numpy.float32], actions: typing.Annotated[numpy.typing.ArrayLike, numpy.float32], next_obs: typing.Annotated[numpy.typing.ArrayLike, numpy.float32]) -> numpy.typing.NDArray[numpy.float32]:
        """
        Scores [n] of transitions [n, ...], each alone: all rows of a longer window are the transition's.
        """
    @property
    def action_dim(self) -> int:
        ...
    @property
    def horizon(self) -> int:
        """
        Rows of a window.
        """
    @property
    def observation_dim(self) -> int:
        ...
    @property
    def reads(self) -> str:
        """
        What of a transition a row holds: the state "reached", "state_action", or the whole "transition".
        """
    @property
    def stride(self) -> int:
        """
        Environment steps between rows.
        """
def load_reward(path: os.PathLike | str | bytes, reading: str, device: str = 'cpu') -> RewardModel:
    """
    Loads a learned reward; `reading` is a ReadingConfig as JSON text.
    """
def rewarded(batch: diffreward._envs.Batch, reward: RewardModel) -> diffreward._envs.Batch:
    """
    The batch with its reward replaced; `batch` cannot be used any more.
    """
