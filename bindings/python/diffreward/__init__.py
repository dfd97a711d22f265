"""Environments, rewards and data of DiffReward behind Gymnasium's interface.

Importing this package registers every environment as ``diffreward/<id>``::

    import gymnasium as gym
    import diffreward

    env = gym.make("diffreward/HalfCheetah-v5")
    envs = gym.make_vec("diffreward/HalfCheetah-v5", num_envs=64, threads=0)

The whole chain, each command a function whose keywords are its config's keys::

    base = diffreward.train(data=diffreward.generate(env="Maze2D-UMaze-v0"), steps=3000)

A learned reward takes the place of the task's own with ``reward=``; the latter stays in ``info["env_reward"]``::

    envs = gym.make_vec("diffreward/Maze2D-UMaze-v0", num_envs=64, reward="results/demo/reward")

Examples below are written with ``import diffreward as dr``, ``numpy as np`` and ``gymnasium as gym``.
"""

from diffreward._waiting import wait_briefly
from diffreward.board import Board
from diffreward.chain import Agent, DiffusionModel, ExtractedReward, Recording, Stage
from diffreward.commands import (evaluate, extract, film, generate, image_evaluate, image_judge, image_report, join, plan, rl,
                                 run, sd_decode, sd_encode, sd_extract, sd_sample, sd_train, steer, train)
from diffreward.asynchronous import AsyncBatch, AsyncEnv
from diffreward.data import Dataset, open_dataset
from diffreward.environment import Env
from diffreward.exports import export_parquet, export_webdataset
from diffreward.heatmap import Heatmap
from diffreward.own import Denoiser, Guide
from diffreward.image_reward import ImageReward
from diffreward.planner import Planner
from diffreward.registration import env_ids, env_options, reference_returns, register_envs, score
from diffreward.reward import Reward, load_reward
from diffreward.stable_diffusion import ImageSamples, StableDiffusion
from diffreward.vector_environment import VectorEnv

__all__ = [
    "Agent",
    "AsyncBatch",
    "AsyncEnv",
    "Board",
    "Dataset",
    "Denoiser",
    "DiffusionModel",
    "Env",
    "ExtractedReward",
    "Guide",
    "Heatmap",
    "ImageReward",
    "ImageSamples",
    "Planner",
    "Recording",
    "Reward",
    "StableDiffusion",
    "Stage",
    "VectorEnv",
    "env_ids",
    "env_options",
    "evaluate",
    "export_parquet",
    "export_webdataset",
    "extract",
    "film",
    "generate",
    "image_evaluate",
    "image_judge",
    "image_report",
    "join",
    "load_reward",
    "open_dataset",
    "plan",
    "reference_returns",
    "rl",
    "run",
    "score",
    "sd_decode",
    "sd_encode",
    "sd_extract",
    "sd_sample",
    "sd_train",
    "steer",
    "train",
]

wait_briefly()
register_envs()
