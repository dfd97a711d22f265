"""The commands as functions: keywords are the keys of their configs.

Written by tools/python_commands.py; change the configs instead.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from typing import Any, Literal, Union

from diffreward._arrays import Array
from diffreward.chain import Agent, DiffusionModel, ExtractedReward, Recording, Stage, run_stage
from diffreward.own import Denoiser

Path = Union[str, "os.PathLike[str]"]

__all__ = [
    "evaluate",
    "extract",
    "film",
    "generate",
    "image_evaluate",
    "image_judge",
    "image_report",
    "join",
    "plan",
    "rl",
    "run",
    "sd_decode",
    "sd_encode",
    "sd_extract",
    "sd_sample",
    "sd_train",
    "steer",
    "train",
]


def generate(
    *,
    env: Union[Path, Mapping[str, Any]] | None = None,
    policy: Path = 'waypoints',
    role: Literal["", "base", "expert"] | None = None,
    steps: int = 600000,
    count: int = 512,
    episode_steps: int = 200,
    whole_episodes: bool = True,
    held_out: bool = False,
    log_probabilities: bool = False,
    format: Literal["d4rl", "minari"] = 'd4rl',
    seed: int = 0,
    waypoints: Mapping[str, Any] | None = None,
    random: Mapping[str, Any] | None = None,
    linear: Mapping[str, Any] | None = None,
    stochastic: bool = False,
    planner: Mapping[str, Any] | None = None,
    sample: Union[Path, Mapping[str, Any]] | None = None,
    device: Literal["cpu", "cuda"] = 'cpu',
    scenes: Mapping[str, Any] | None = None,
    out: Path | None = None,
    threads: int = 0,
    progress: bool = True,
    **options: Any,
) -> Recording:
    """Let an agent act and record it as base or expert data.

    Args:
        env: a table of id: environment (diffreward envs) ["Maze2D-UMaze-v0"]; options: options of the environment, see
            its page [{}]
        policy: who acts: one of `diffreward catalog agents`, or a saved agent or diffusion model (file or folder)
            ["waypoints"]
        role: the side of a pair that is recorded; empty for expert where the options of the environment say which task
            is wanted, and base where they do not ("", "base", "expert") [""]
        steps: transitions to record [600000]
        count: instances recorded side by side [512]
        episode_steps: steps per episode, 0 for the environment's own [200]
        whole_episodes: round steps up to whole episodes, by fewer instances where these are too many [true]
        held_out: a recording to test on: it shares no random number with the one to train on [false]
        log_probabilities: record log pi(action | observation) too, of an agent that draws its actions [false]
        format: file format ("d4rl", "minari") ["d4rl"]
        seed: seed of starts, goals and what the agent draws at random [0]
        waypoints: a table of gain: proportional gain, 1/cells [3.0]; damping: velocity gain, s/m [0.548]; reach: a
            waypoint counts as taken within this distance, cells [0.3]; waypoint_jitter: uniform shift of waypoints,
            cells [0.2]; action_noise: standard deviation of noise added to actions [0.1]
        random: a table of hold: environment steps that an action is kept [1]
        linear: a table of gain: [action, observation] row by row, subtracted; empty for 0 [[]]; bias: [action], added;
            empty for 0 [[]]; action_noise: standard deviation of noise added to actions [0.0]
        stochastic: a saved policy draws its actions as it did while it learned [false]
        planner: a table of replan_every: environment steps that a plan is followed for [1]; warm_level: noise level
            from which a plan starts out of the one before, -1: pure noise [-1]; follow: the plan's actions, or its
            states by a PD controller ("actions", "states") ["actions"]; gain: of the controller, action per distance
            [10.0]; damping: of the controller, action per difference in velocity [1.0]; candidates: windows sampled for
            each plan [1]; choose: which candidate is followed: best, worst, or drawn with probability exp(value /
            softness) ("best", "worst", "soft") ["best"]; softness: of the soft choice, in units of the judge's value
            [1.0]
        sample: a table of sampler: ddpm, ddim, or DPM-Solver++ 2M ("ddpm", "ddim", "dpm_solver") ["ddpm"]; steps:
            denoising steps, 0 for all [0]; clip: clip the predicted clean sample to [-1, 1] [true]
        device: of a saved agent, cpu or cuda ("cpu", "cuda") ["cpu"]
        scenes: a table of count: scenes [10000]; size: of either side, pixels [64]; split: what is drawn: pairs and
            artists to train on; the same, but no random number of them; pairs that training never shows together;
            artists that it never shows ("training", "validation", "held_out_pairs", "held_out_artists") ["training"];
            contents: a mixture, or, in each scene, either an object of the target concept or a look-alike, and neither
            beside it ("mixed", "look_alikes") ["mixed"]; target: concept that look-alikes are told from ["weapons"];
            artists: to train on [["noto", "noto-v1", "fluent-emoji-flat", "fxemoji", "emojione"]]; held_out_artists:
            whom training never shows [["twemoji"]]; held_out_pairs: share of pairs of objects that training never shows
            together [0.2]; prevalence: share of scenes that hold a concept; at most one object in a scene is of these
            concepts [{"death": 0.1, "substances": 0.1, "weapons": 0.2}]; two_objects: share of scenes with two objects;
            all of held_out_pairs [0.5]; hypernyms: share of objects whose caption says what kind of thing they are
            [0.3]; partial_captions: share of scenes with two objects whose caption names one of them [0.5]; no_caption:
            share of scenes with an empty caption [0.1]; atlas: folder of drawings, empty for the one that comes with
            the project [""]; atlas_sha256: that these drawings must have, empty for any [""]
        out: folder for the products [""]
        threads: threads, 0 for one per core [0]
        progress: show progress on standard error
        **options: options of the environment (goal_cell=(1, 1)), or fields of the tables above by their last names
            alone

    Raises:
        ValueError: an unknown keyword, naming the nearest, or a value out of range.
        RuntimeError: a file that is missing or damaged, or a run that failed.

    Example:
        >>> walks = dr.generate(env="Maze2D-UMaze-v0", goal_cell=(1, 1), steps=400, count=2, progress=False)
        >>> walks.data.actions.shape, walks.figures["episodes"]
        ((400, 2), 2)
    """
    given = {
        "env": env,
        "policy": policy,
        "role": role,
        "steps": steps,
        "count": count,
        "episode_steps": episode_steps,
        "whole_episodes": whole_episodes,
        "held_out": held_out,
        "log_probabilities": log_probabilities,
        "format": format,
        "seed": seed,
        "waypoints": waypoints,
        "random": random,
        "linear": linear,
        "stochastic": stochastic,
        "planner": planner,
        "sample": sample,
        "device": device,
        "scenes": scenes,
        "out": out,
        "threads": threads,
        "progress": progress,
    }
    return run_stage("generate", given, options)

def join(
    *,
    data: Sequence[Path],
    part: Literal["all", "train", "held_out"] = 'all',
    held_out: float = 0.1,
    episodes: int = 0,
    seed: int = 0,
    out: Path | None = None,
    threads: int = 0,
    progress: bool = True,
    **options: Any,
) -> Recording:
    """Several data sets as one, or a part of them.

    Args:
        data: data sets of one environment, whose rows follow each other [[]]
        part: which of their episodes: all, those to train on, or those held out ("all", "train", "held_out") ["all"]
        held_out: share of the episodes of each that is held out, drawn at random [0.1]
        episodes: at most so many episodes of each, the first ones; 0 for all [0]
        seed: seed of what is held out [0]
        out: folder for the products [""]
        threads: threads, 0 for one per core [0]
        progress: show progress on standard error
        **options: fields of the tables above by their last names alone

    Raises:
        ValueError: an unknown keyword, naming the nearest, or a value out of range.
        RuntimeError: a file that is missing or damaged, or a run that failed.

    Example:
        >>> walks = [dr.generate(env="Maze2D-UMaze-v0", goal_cell=(1, 1), steps=400, count=2, seed=seed, progress=False)
        ...          for seed in (0, 1)]
        >>> dr.join(data=walks, progress=False).data.actions.shape
        (800, 2)
    """
    given = {
        "data": data,
        "part": part,
        "held_out": held_out,
        "episodes": episodes,
        "seed": seed,
        "out": out,
        "threads": threads,
        "progress": progress,
    }
    return run_stage("join", given, options)

def train(
    *,
    data: Path,
    start: Path | None = None,
    model: Mapping[str, Any] | None = None,
    steps: int = 3000,
    batch: int = 128,
    accumulate: int = 1,
    lr: float = 0.001,
    lr_schedule: Literal["constant", "linear", "cosine"] = 'constant',
    weight_decay: float = 0.0001,
    ema: float = 0.995,
    condition_probability: float = 0.0,
    action_weight: float = 1.0,
    loss_discount: float = 1.0,
    gradient_clip: float = 1.0,
    pad: bool = False,
    held_out: float = 0.1,
    checkpoint_every: int = 500,
    log_every: int = 100,
    seed: int = 0,
    device: Literal["cpu", "cuda"] = 'cpu',
    out: Path | None = None,
    threads: int = 0,
    progress: bool = True,
    **options: Any,
) -> DiffusionModel:
    """Train a diffusion model on a data set.

    A run that was stopped resumes from its last checkpoint.

    Args:
        data: data set: a file, a Minari folder or the folder of generate [""]
        start: model to fine-tune (its settings win); empty for a fresh one [""]
        model: a table of horizon: rows of a window [16]; stride: environment steps between rows [8]; actions: rows hold
            actions too [true]; normalizer: data to model units ("limits", "gaussian") ["limits"]; timesteps: noise
            levels [100]; schedule: noise schedule ("cosine", "linear") ["cosine"]; prediction: what the net outputs
            ("x0", "epsilon", "v") ["x0"]; net: residual MLP, or Diffuser's Temporal U-Net ("mlp", "unet") ["mlp"]; dim:
            hidden units (mlp) or base channels (unet) [256]; layers: residual blocks (mlp) [3]; dim_mults: channel
            multipliers per resolution (unet) [[1, 2, 4, 8]]; attention: linear attention after each resolution (unet)
            [false]
        steps: optimiser steps [3000]
        batch: windows per step [128]
        accumulate: parts that a batch is divided into, one after another or among processes: more of them need less
            memory [1]
        lr: learning rate of AdamW, at first [0.001]
        lr_schedule: how it falls, to 0 at the last step ("constant", "linear", "cosine") ["constant"]
        weight_decay: AdamW's weight decay [0.0001]
        ema: decay of the averaged weights [0.995]
        condition_probability: share of samples given their first observation [0.0]
        action_weight: loss weight of the first row's action [1.0]
        loss_discount: loss weight of row k is this to the power k [1.0]
        gradient_clip: largest gradient norm, 0 for none [1.0]
        pad: windows may run past the end of an episode [false]
        held_out: share of episodes kept for the held-out loss [0.1]
        checkpoint_every: steps between checkpoints, 0 for none [500]
        log_every: steps between metric lines [100]
        seed: seed of weights, batches and noise [0]
        device: cpu or cuda ("cpu", "cuda") ["cpu"]
        out: folder for the products [""]
        threads: threads, 0 for one per core [0]
        progress: show progress on standard error
        **options: fields of the tables above by their last names alone

    Raises:
        ValueError: an unknown keyword, naming the nearest, or a value out of range.
        RuntimeError: a file that is missing or damaged, or a run that failed.

    Example:
        >>> model = dr.train(data=base_data, model={"horizon": 4, "dim": 16}, steps=2, progress=False)
        >>> model.horizon, model.parameters, model.figures["training"]["steps"]
        (4, 4424, 2)
    """
    given = {
        "data": data,
        "start": start,
        "model": model,
        "steps": steps,
        "batch": batch,
        "accumulate": accumulate,
        "lr": lr,
        "lr_schedule": lr_schedule,
        "weight_decay": weight_decay,
        "ema": ema,
        "condition_probability": condition_probability,
        "action_weight": action_weight,
        "loss_discount": loss_discount,
        "gradient_clip": gradient_clip,
        "pad": pad,
        "held_out": held_out,
        "checkpoint_every": checkpoint_every,
        "log_every": log_every,
        "seed": seed,
        "device": device,
        "out": out,
        "threads": threads,
        "progress": progress,
    }
    return run_stage("train", given, options)

def extract(
    *,
    base: Union[Path, Denoiser],
    expert_data: Union[Path, Array],
    base_data: Union[Path, Array],
    expert: Union[Path, Denoiser] | None = None,
    method: Literal["relative", "discriminator", "value", "nearest"] = 'relative',
    net: Literal["mlp", "unet", "denoisers"] = 'mlp',
    window: int = 1,
    hidden: Sequence[int] = [64, 64],
    dim: int = 4,
    dim_mults: Sequence[int] = [16, 16, 32, 32],
    channels: Sequence[int] | None = None,
    gradient_at: Literal["base", "x_t"] = 'base',
    normalize_targets: bool = True,
    t_weight: Literal["uniform", "snr"] = 'uniform',
    expert_from: Literal["data", "model"] = 'data',
    expert_share: float = 0.5,
    condition_probability: float = 0.0,
    action_weight: float = 1.0,
    null: Literal["none", "untrained", "shuffled"] = 'none',
    steps: int = 600,
    batch: int = 64,
    accumulate: int = 1,
    lr: float = 0.003,
    lr_schedule: Literal["constant", "linear", "cosine"] = 'constant',
    weight_decay: float = 0.0,
    held_out: float = 0.1,
    discount: float = 0.997,
    read_t: int = 5,
    support_points: int = 8192,
    seed: int = 0,
    device: Literal["cpu", "cuda"] = 'cpu',
    out: Path | None = None,
    threads: int = 0,
    progress: bool = True,
    **options: Any,
) -> ExtractedReward:
    """Extract the relative reward of two models.

    Models may be of your own (``Denoiser``), with samples [n, rows, width] in their units as data.

    Args:
        expert: expert model [""]
        base: base model [""]
        expert_data: data of the expert [""]
        base_data: data of the base [""]
        method: which reward: `diffreward catalog rewards` ("relative", "discriminator", "value", "nearest")
            ["relative"]
        net: MLP over windows of rows, a half U-Net over the sample, or the sample's product with the difference of two
            denoisers, which begin as the models' ("mlp", "unet", "denoisers") ["mlp"]
        window: contiguous rows per evaluation of the MLP [1]
        hidden: units of the MLP [[64, 64]]
        dim: base channels of the half U-Net [4]
        dim_mults: channel multipliers of the half U-Net [[16, 16, 32, 32]]
        channels: columns of a row that are read, empty for all [[]]
        gradient_at: where the reward's gradient is matched ("base", "x_t") ["base"]
        normalize_targets: divide the difference by its rms at each timestep [true]
        t_weight: loss weight over timesteps ("uniform", "snr") ["uniform"]
        expert_from: where samples of the expert come from: its data, or its model, from first observations of the
            base's data ("data", "model") ["data"]
        expert_share: share of samples from expert data [0.5]
        condition_probability: share of samples whose first observation is given, as to the models [0.0]
        action_weight: loss weight of the first row's action [1.0]
        null: a reward to compare with: a net as it was drawn, or one that learned each sample's target from another
            ("none", "untrained", "shuffled") ["none"]
        steps: optimiser steps [600]
        batch: windows per step [64]
        accumulate: parts that a batch is divided into, one after another or among processes [1]
        lr: learning rate of Adam, at first [0.003]
        lr_schedule: how it falls, to 0 at the last step ("constant", "linear", "cosine") ["constant"]
        weight_decay: AdamW's weight decay [0.0]
        held_out: share of episodes held out for the report [0.1]
        discount: of the task's own rewards, for a value function [0.997]
        read_t: timestep at which the reward is read [5]
        support_points: base states kept for the support model [8192]
        seed: seed of weights, batches and noise [0]
        device: cpu or cuda ("cpu", "cuda") ["cpu"]
        out: folder for the products [""]
        threads: threads, 0 for one per core [0]
        progress: show progress on standard error
        **options: fields of the tables above by their last names alone

    Raises:
        ValueError: an unknown keyword, naming the nearest, or a value out of range.
        RuntimeError: a file that is missing or damaged, or a run that failed.

    Example:
        >>> reward = dr.extract(expert=expert, base=base, expert_data=expert_data, base_data=base_data, channels=[2, 3],
        ...                     steps=2, progress=False)
        >>> reward.score(np.zeros((5, reward.horizon, 6))).shape, reward.reads
        ((5,), 'reached')
    """
    given = {
        "expert": expert,
        "base": base,
        "expert_data": expert_data,
        "base_data": base_data,
        "method": method,
        "net": net,
        "window": window,
        "hidden": hidden,
        "dim": dim,
        "dim_mults": dim_mults,
        "channels": channels,
        "gradient_at": gradient_at,
        "normalize_targets": normalize_targets,
        "t_weight": t_weight,
        "expert_from": expert_from,
        "expert_share": expert_share,
        "condition_probability": condition_probability,
        "action_weight": action_weight,
        "null": null,
        "steps": steps,
        "batch": batch,
        "accumulate": accumulate,
        "lr": lr,
        "lr_schedule": lr_schedule,
        "weight_decay": weight_decay,
        "held_out": held_out,
        "discount": discount,
        "read_t": read_t,
        "support_points": support_points,
        "seed": seed,
        "device": device,
        "out": out,
        "threads": threads,
        "progress": progress,
    }
    return run_stage("extract", given, options)

def evaluate(
    *,
    rewards: Sequence[Path],
    expert_data: Path,
    base_data: Path,
    per_cell: int = 16,
    velocities: int = 64,
    min_support: float = 0.01,
    stretch: int = 128,
    every: int = 4,
    episodes: int = 512,
    discount: float = 0.99,
    resamples: int = 1000,
    confidence: float = 0.95,
    seed: int = 0,
    width: int = 480,
    out: Path | None = None,
    threads: int = 0,
    progress: bool = True,
    **options: Any,
) -> Stage:
    """Say what rewards mean, side by side.

    Args:
        rewards: rewards to evaluate, side by side; task for the environment's own [[]]
        expert_data: recordings of the expert that nothing was fitted to: the task [""]
        base_data: recordings of the base that nothing was fitted to [""]
        per_cell: heatmap samples per cell and axis [16]
        velocities: base windows averaged over in the marginal heatmap, 0 for none [64]
        min_support: least support of the supported peak [0.01]
        stretch: steps over which rewards are averaged, 0 for whole episodes [128]
        every: steps between scored windows [4]
        episodes: at most so many episodes of each side [512]
        discount: discount of the EPIC distance [0.99]
        resamples: bootstrap resamples [1000]
        confidence: confidence of the interval [0.95]
        seed: seed of the resampling [0]
        width: of pictures, pixels [480]
        out: folder for the products [""]
        threads: threads, 0 for one per core [0]
        progress: show progress on standard error
        **options: fields of the tables above by their last names alone

    Raises:
        ValueError: an unknown keyword, naming the nearest, or a value out of range.
        RuntimeError: a file that is missing or damaged, or a run that failed.

    Example:
        >>> judged = dr.evaluate(rewards=[reward.file], expert_data=expert_data, base_data=base_data, per_cell=4, progress=False)
        >>> sorted(judged.figures["rewards"]["reward"])
        ['epic', 'heatmap', 'marginal_heatmap', 'over_t', 'preference', 'separation']
    """
    given = {
        "rewards": rewards,
        "expert_data": expert_data,
        "base_data": base_data,
        "per_cell": per_cell,
        "velocities": velocities,
        "min_support": min_support,
        "stretch": stretch,
        "every": every,
        "episodes": episodes,
        "discount": discount,
        "resamples": resamples,
        "confidence": confidence,
        "seed": seed,
        "width": width,
        "out": out,
        "threads": threads,
        "progress": progress,
    }
    return run_stage("evaluate", given, options)

def rl(
    *,
    env: Union[Path, Mapping[str, Any]] | None = None,
    algorithm: Literal["ppo", "sac", "bc", "sqil", "gail", "airl", "iq_learn", "dwbc"] = 'ppo',
    reward: Path | None = None,
    reading: Union[Path, Mapping[str, Any]] | None = None,
    anchor: Path | None = None,
    anchor_weight: float = 1.0,
    judges: Mapping[str, Any] | None = None,
    count: int = 128,
    env_steps: int = 1310720,
    evaluate_every: int = 0,
    evaluate_episodes: int = 100,
    keep: Literal["last", "best"] = 'last',
    stop_at: float = 0.0,
    checkpoint_every: int = 1000000,
    record: bool = False,
    episodes: int = 256,
    judge_draws: bool = False,
    episode_steps: int = 0,
    seed: int = 0,
    device: Literal["cpu", "cuda"] = 'cpu',
    ppo: Mapping[str, Any] | None = None,
    sac: Mapping[str, Any] | None = None,
    bc: Union[Path, Mapping[str, Any]] | None = None,
    sqil: Union[Path, Mapping[str, Any]] | None = None,
    gail: Union[Path, Mapping[str, Any]] | None = None,
    airl: Union[Path, Mapping[str, Any]] | None = None,
    iq_learn: Union[Path, Mapping[str, Any]] | None = None,
    dwbc: Union[Path, Mapping[str, Any]] | None = None,
    out: Path | None = None,
    threads: int = 0,
    progress: bool = True,
    **options: Any,
) -> Agent:
    """Train an agent on an extracted or on the true reward.

    Args:
        env: a table of id: environment (diffreward envs) ["Maze2D-UMaze-v0"]; options: options of the environment, see
            its page [{}]
        algorithm: how it learns ("ppo", "sac", "bc", "sqil", "gail", "airl", "iq_learn", "dwbc") ["ppo"]
        reward: reward to train on; empty for the task's own [""]
        reading: a table of reading: how the reward is paid out ("plain", "shaped", "density_ratio", "support",
            "centred", "absorbing", "negated", "survival") ["plain"]; beta: inverse temperature of the density ratio
            [6.0]; alpha: smallest p-value under base data that is paid [0.01]; discount: of the learner, for what an
            absorbing state is worth [0.99]; t: timestep, -1 for the reward's own [-1]
        anchor: clone of the base that the agent stays near, its log density paid beside the reward; empty for none [""]
        anchor_weight: of that log density, and the price of SAC's entropy [1.0]
        judges: tasks that judge the agent: a name each, with options beside those of the environment; empty for the
            environment as it is, named task [{}]
        count: instances [128]
        env_steps: environment steps of training, all instances [1310720]
        evaluate_every: environment steps between evaluations while it learns, by the task's own reward; 0 for none [0]
        evaluate_episodes: episodes of each, whole, from starts that nothing is reported on [100]
        keep: the agent that is kept: the last, or the best of those evaluated ("last", "best") ["last"]
        stop_at: end training when an evaluation returns that much; 0 for never [0.0]
        checkpoint_every: environment steps between checkpoints, from which a stopped run goes on; 0 for none [1000000]
        record: keep every transition of training as a data set [false]
        episodes: evaluation episodes [256]
        judge_draws: evaluate once more with actions drawn from the policy [false]
        episode_steps: steps per episode, 0 for the environment's own [0]
        seed: seed of weights, actions and starts [0]
        device: cpu or cuda ("cpu", "cuda") ["cpu"]
        ppo: a table of decisions: decisions per instance and iteration [64]; action_repeat: environment steps per
            decision [4]; epochs: passes over each batch [10]; minibatches: minibatches per pass [8]; lr: learning rate
            of Adam, the first one [0.001]; lr_schedule: linear: falls to 0; adaptive: grows and shrinks with the
            divergence of the policy from the one that acted ("linear", "constant", "adaptive") ["linear"]; target_kl:
            divergence that the adaptive schedule aims at, nats [0.008]; gamma: discount per decision [0.99]; lambda: of
            generalised advantage estimation [0.95]; clip: clip range of the probability ratio [0.2]; value_weight:
            weight of the value loss [0.5]; entropy_weight: weight of the entropy bonus [0.0]; gradient_clip: largest
            gradient norm [0.5]; initial_log_std: initial log deviation of the action, half-boxes [0.0]; hidden: tanh
            units of policy and value nets [[64, 64]]; normalize_observations: running mean and deviation, clipped to 10
            [true]; normalize_rewards: divide by the running deviation of the discounted return [true]
        sac: a table of hidden: ReLU units of policy and critics [[256, 256]]; layer_norm: normalise layers of the
            critics [false]; batch: transitions per update [256]; lr: learning rate of Adam [0.0003]; gamma: discount
            per step [0.99]; tau: share of the critics that their followers take, an update [0.005]; updates_per_step:
            updates per environment step [1.0]; actor_every: critic updates per update of policy and temperature [1];
            n_step: rewards summed before bootstrapping [1]; buffer: transitions remembered [1000000]; learning_starts:
            environment steps of uniform actions before learning [10000]; temperature: price of entropy, the first one
            where it is learned [1.0]; learn_temperature: hold the entropy at its target by the temperature [true];
            target_entropy: of the policy, nats; 0 for minus the action's dimensions [0.0]; report_every: environment
            steps per line of metrics [5000]
        bc: a table of data: behaviour to clone: a file, a Minari folder or the folder of generate [""]; hidden: ReLU
            units of the policy [[256, 256]]; batch: transitions per update [256]; lr: learning rate of Adam [0.001];
            weight_decay: of AdamW [0.0]; held_out: share of the episodes that are held out [0.05]; report_every:
            updates per line of metrics [500]
        sqil: a table of data: demonstrations: a file, a Minari folder or the folder of generate [""]; episodes:
            demonstrated episodes that are used, the first; 0 for all [0]; absorbing: episodes that the task ends go on
            in an absorbing state, else they are worth nothing beyond [true]; hidden: ReLU units of policy and critics
            [[256, 256]]; layer_norm: normalise layers of the critics [false]; batch: transitions per update [256]; lr:
            learning rate of Adam [0.0003]; gamma: discount per step [0.99]; tau: share of the critics that their
            followers take, an update [0.005]; updates_per_step: updates per environment step [1.0]; actor_every: critic
            updates per update of policy and temperature [1]; n_step: rewards summed before bootstrapping [1]; buffer:
            transitions remembered [1000000]; learning_starts: environment steps of uniform actions before learning
            [10000]; temperature: price of entropy, the first one where it is learned [1.0]; learn_temperature: hold the
            entropy at its target by the temperature [true]; target_entropy: of the policy, nats; 0 for minus the
            action's dimensions [0.0]; report_every: environment steps per line of metrics [5000]
        gail: a table of data: demonstrations: a file, a Minari folder or the folder of generate [""]; episodes:
            demonstrated episodes that are used, the first; 0 for all [0]; absorbing: episodes that the task ends go on
            in an absorbing state, else they are worth nothing beyond [true]; hidden: ReLU units of policy and critics
            [[256, 256]]; layer_norm: normalise layers of the critics [false]; batch: transitions per update [256]; lr:
            learning rate of Adam [0.0003]; gamma: discount per step [0.99]; tau: share of the critics that their
            followers take, an update [0.005]; updates_per_step: updates per environment step [1.0]; actor_every: critic
            updates per update of policy and temperature [1]; n_step: rewards summed before bootstrapping [1]; buffer:
            transitions remembered [1000000]; learning_starts: environment steps of uniform actions before learning
            [10000]; temperature: price of entropy, the first one where it is learned [1.0]; learn_temperature: hold the
            entropy at its target by the temperature [true]; target_entropy: of the policy, nats; 0 for minus the
            action's dimensions [0.0]; report_every: environment steps per line of metrics [5000]; discriminator_hidden:
            tanh units of the discriminator [[256, 256]]; discriminator_lr: learning rate of Adam, of the discriminator
            [0.001]; penalty: of the discriminator's gradient where its norm is not 1 [10.0]
        airl: a table of data: demonstrations: a file, a Minari folder or the folder of generate [""]; episodes:
            demonstrated episodes that are used, the first; 0 for all [0]; absorbing: episodes that the task ends go on
            in an absorbing state, else they are worth nothing beyond [true]; hidden: ReLU units of policy and critics
            [[256, 256]]; layer_norm: normalise layers of the critics [false]; batch: transitions per update [256]; lr:
            learning rate of Adam [0.0003]; gamma: discount per step [0.99]; tau: share of the critics that their
            followers take, an update [0.005]; updates_per_step: updates per environment step [1.0]; actor_every: critic
            updates per update of policy and temperature [1]; n_step: rewards summed before bootstrapping [1]; buffer:
            transitions remembered [1000000]; learning_starts: environment steps of uniform actions before learning
            [10000]; temperature: price of entropy, the first one where it is learned [1.0]; learn_temperature: hold the
            entropy at its target by the temperature [true]; target_entropy: of the policy, nats; 0 for minus the
            action's dimensions [0.0]; report_every: environment steps per line of metrics [5000]; discriminator_hidden:
            tanh units of the discriminator [[256, 256]]; discriminator_lr: learning rate of Adam, of the discriminator
            [0.001]; penalty: of the discriminator's gradient where its norm is not 1 [10.0]
        iq_learn: a table of data: demonstrations: a file, a Minari folder or the folder of generate [""]; episodes:
            demonstrated episodes that are used, the first; 0 for all [0]; absorbing: episodes that the task ends go on
            in an absorbing state, else they are worth nothing beyond [true]; hidden: ReLU units of policy and critics
            [[256, 256]]; layer_norm: normalise layers of the critics [false]; batch: transitions per update [256]; lr:
            learning rate of Adam [0.0003]; gamma: discount per step [0.99]; tau: share of the critics that their
            followers take, an update [0.005]; updates_per_step: updates per environment step [1.0]; actor_every: critic
            updates per update of policy and temperature [1]; n_step: rewards summed before bootstrapping [1]; buffer:
            transitions remembered [1000000]; learning_starts: environment steps of uniform actions before learning
            [10000]; temperature: price of entropy, the first one where it is learned [0.01]; learn_temperature: hold
            the entropy at its target by the temperature [false]; target_entropy: of the policy, nats; 0 for minus the
            action's dimensions [0.0]; report_every: environment steps per line of metrics [5000]; loss: how the value
            of states is drawn ("value", "v0") ["value"]; chi: divisor of the squared reward, 4 chi; large ones let
            rewards grow [0.5]; actor_lr: learning rate of the policy's Adam [3e-05]
        dwbc: a table of expert_data: demonstrations: a file, a Minari folder or the folder of generate [""]; data:
            behaviour of any quality, of which what is like the expert's is cloned too [""]; episodes: demonstrated
            episodes that are used, the first; 0 for all [0]; alpha: weight of demonstrations [7.5]; eta: share of the
            data that the discriminator takes for the expert's like [0.5]; discriminator_hidden: tanh units of the
            discriminator [[256, 256]]; discriminator_lr: learning rate of Adam, of the discriminator [0.0003]; hidden:
            ReLU units of the policy [[256, 256]]; batch: rows of each data set per update [256]; lr: learning rate of
            Adam [0.0003]; weight_decay: of AdamW [0.0]; report_every: updates per line of metrics [500]
        out: folder for the products [""]
        threads: threads, 0 for one per core [0]
        progress: show progress on standard error
        **options: options of the environment (goal_cell=(1, 1)), or fields of the tables above by their last names
            alone

    Raises:
        ValueError: an unknown keyword, naming the nearest, or a value out of range.
        RuntimeError: a file that is missing or damaged, or a run that failed.

    Example:
        >>> agent = dr.rl(env="Maze2D-UMaze-v0", goal_cell=(1, 1), reward=reward, reading="shaped", count=2, env_steps=256,
        ...               episodes=2, progress=False)
        >>> agent.predict(np.ones(4))[0].shape, 0 <= agent.figures["judges"]["task"]["success"]["value"] <= 1
        ((2,), True)
    """
    given = {
        "env": env,
        "algorithm": algorithm,
        "reward": reward,
        "reading": reading,
        "anchor": anchor,
        "anchor_weight": anchor_weight,
        "judges": judges,
        "count": count,
        "env_steps": env_steps,
        "evaluate_every": evaluate_every,
        "evaluate_episodes": evaluate_episodes,
        "keep": keep,
        "stop_at": stop_at,
        "checkpoint_every": checkpoint_every,
        "record": record,
        "episodes": episodes,
        "judge_draws": judge_draws,
        "episode_steps": episode_steps,
        "seed": seed,
        "device": device,
        "ppo": ppo,
        "sac": sac,
        "bc": bc,
        "sqil": sqil,
        "gail": gail,
        "airl": airl,
        "iq_learn": iq_learn,
        "dwbc": dwbc,
        "out": out,
        "threads": threads,
        "progress": progress,
    }
    return run_stage("rl", given, options)

def steer(
    *,
    base: Path,
    expert: Path,
    reward: Path,
    expert_data: Path,
    base_data: Path,
    units: Literal["reward", "difference"] = 'reward',
    samples: int = 512,
    width: int = 480,
    sample: Union[Path, Mapping[str, Any]] | None = None,
    device: Literal["cpu", "cuda"] = 'cpu',
    out: Path | None = None,
    threads: int = 0,
    progress: bool = True,
    **options: Any,
) -> Stage:
    """Sample the base model with a reward as guide.

    Args:
        base: base model, the one that is steered [""]
        expert: expert model, to compare with [""]
        reward: reward that guides [""]
        expert_data: data of the expert: the task [""]
        base_data: data of the base: typical steps and starts [""]
        units: the gradient of rho as it is, or scaled to an estimate of the expert's step ("reward", "difference")
            ["reward"]
        samples: trajectories per model [512]
        width: of pictures, pixels [480]
        sample: a table of sampler: ddpm, ddim, or DPM-Solver++ 2M ("ddpm", "ddim", "dpm_solver") ["ddpm"]; steps:
            denoising steps, 0 for all [0]; scale: strength of the guide [1.0]; scale_by_variance: multiply the guide by
            the posterior variance [false]; guide_at: guide the noised sample, the posterior's mean (ddpm), the score,
            or the predicted clean sample ("x_t", "mean", "score", "x0") ["x_t"]; guide_steps: guide updates per
            denoising step [1]; stop_guide_below: no guide at timesteps below this [5]; temperature: deviation of the
            noise that is drawn, over the model's own [1.0]; clip: clip the predicted clean sample to [-1, 1] [true];
            seed: seed of the noise [0]
        device: cpu or cuda ("cpu", "cuda") ["cpu"]
        out: folder for the products [""]
        threads: threads, 0 for one per core [0]
        progress: show progress on standard error
        **options: fields of the tables above by their last names alone

    Raises:
        ValueError: an unknown keyword, naming the nearest, or a value out of range.
        RuntimeError: a file that is missing or damaged, or a run that failed.

    Example:
        >>> steered = dr.steer(base=model, expert=expert_model, reward=guide, expert_data=expert_data, base_data=base_data,
        ...                    samples=4, sample={"sampler": "ddim", "steps": 5}, progress=False)
        >>> 0 <= steered.figures["guided"]["success"]["value"] <= 1
        True
    """
    given = {
        "base": base,
        "expert": expert,
        "reward": reward,
        "expert_data": expert_data,
        "base_data": base_data,
        "units": units,
        "samples": samples,
        "width": width,
        "sample": sample,
        "device": device,
        "out": out,
        "threads": threads,
        "progress": progress,
    }
    return run_stage("steer", given, options)

def plan(
    *,
    model: Path,
    rewards: Sequence[Path] | None = None,
    expert: Path | None = None,
    units: Literal["reward", "difference", "probability"] = 'reward',
    pessimism: float = 0.0,
    judge: Literal["rewards", "likelihood"] = 'rewards',
    env: Union[Path, Mapping[str, Any]] | None = None,
    count: int = 64,
    episodes: int = 256,
    episode_steps: int = 0,
    record: bool = False,
    planner: Mapping[str, Any] | None = None,
    sample: Union[Path, Mapping[str, Any]] | None = None,
    device: Literal["cpu", "cuda"] = 'cpu',
    out: Path | None = None,
    threads: int = 0,
    progress: bool = True,
    **options: Any,
) -> Stage:
    """Let a diffusion model act in an environment.

    Args:
        model: model that plans [""]
        rewards: rewards that guide it, several as an ensemble; empty for none [[]]
        expert: model whose difference from the one that plans guides it in place of a reward: the field that rewards
            are extracted from [""]
        units: of the guide: the reward's gradient as it is, scaled to an estimate of the expert's step, or that of a
            classifier's probability ("reward", "difference", "probability") ["reward"]
        pessimism: of an ensemble: so many deviations below its mean [0.0]
        judge: of candidates: the rewards, as log density ratios in nats, or the likelihood that the model itself gives
            them ("rewards", "likelihood") ["rewards"]
        env: a table of id: environment (diffreward envs) ["Maze2D-UMaze-v0"]; options: options of the environment, see
            its page [{}]
        count: instances planned side by side [64]
        episodes: episodes [256]
        episode_steps: steps per episode, 0 for the environment's own [0]
        record: keep every transition as a data set [false]
        planner: a table of replan_every: environment steps that a plan is followed for [1]; warm_level: noise level
            from which a plan starts out of the one before, -1: pure noise [-1]; follow: the plan's actions, or its
            states by a PD controller ("actions", "states") ["actions"]; gain: of the controller, action per distance
            [10.0]; damping: of the controller, action per difference in velocity [1.0]; candidates: windows sampled for
            each plan [1]; choose: which candidate is followed: best, worst, or drawn with probability exp(value /
            softness) ("best", "worst", "soft") ["best"]; softness: of the soft choice, in units of the judge's value
            [1.0]
        sample: a table of sampler: ddpm, ddim, or DPM-Solver++ 2M ("ddpm", "ddim", "dpm_solver") ["ddpm"]; steps:
            denoising steps, 0 for all [0]; scale: strength of the guide [1.0]; scale_by_variance: multiply the guide by
            the posterior variance [false]; guide_at: guide the noised sample, the posterior's mean (ddpm), the score,
            or the predicted clean sample ("x_t", "mean", "score", "x0") ["x_t"]; guide_steps: guide updates per
            denoising step [1]; stop_guide_below: no guide at timesteps below this [0]; temperature: deviation of the
            noise that is drawn, over the model's own [1.0]; clip: clip the predicted clean sample to [-1, 1] [true];
            seed: seed of the noise [0]
        device: cpu or cuda ("cpu", "cuda") ["cpu"]
        out: folder for the products [""]
        threads: threads, 0 for one per core [0]
        progress: show progress on standard error
        **options: options of the environment (goal_cell=(1, 1)), or fields of the tables above by their last names
            alone

    Raises:
        ValueError: an unknown keyword, naming the nearest, or a value out of range.
        RuntimeError: a file that is missing or damaged, or a run that failed.

    Example:
        >>> planned = dr.plan(model=model, env="Maze2D-UMaze-v0", goal_cell=(1, 1), sample={"sampler": "ddim", "steps": 5},
        ...                   replan_every=8, count=2, episodes=2, episode_steps=16, progress=False)
        >>> planned.figures["plans"]
        4
    """
    given = {
        "model": model,
        "rewards": rewards,
        "expert": expert,
        "units": units,
        "pessimism": pessimism,
        "judge": judge,
        "env": env,
        "count": count,
        "episodes": episodes,
        "episode_steps": episode_steps,
        "record": record,
        "planner": planner,
        "sample": sample,
        "device": device,
        "out": out,
        "threads": threads,
        "progress": progress,
    }
    return run_stage("plan", given, options)

def film(
    *,
    data: Sequence[Path],
    names: Sequence[Path] | None = None,
    episode: int = 0,
    steps: int = 0,
    every: int = 1,
    width: int = 320,
    out: Path | None = None,
    threads: int = 0,
    progress: bool = True,
    **options: Any,
) -> Stage:
    """Recordings of robots, next to each other, as a film.

    Args:
        data: recordings of robots, next to each other [[]]
        names: of each in the film, empty for their folders' [[]]
        episode: which episode of each, 0 for the first [0]
        steps: at most so many steps, 0 for the longest episode's [0]
        every: steps between frames [1]
        width: of each frame, even pixels [320]
        out: folder for the products [""]
        threads: threads, 0 for one per core [0]
        progress: show progress on standard error
        **options: fields of the tables above by their last names alone

    Raises:
        ValueError: an unknown keyword, naming the nearest, or a value out of range.
        RuntimeError: a file that is missing or damaged, or a run that failed.

    Example:
        >>> hops = dr.generate(env="Hopper-v4", policy="Hopper-v4/medium", steps=40, count=2, whole_episodes=False, progress=False)
        >>> dr.film(data=[hops], names=["medium"], steps=10, width=64, progress=False).figures["episodes"][0]["name"]
        'medium'
    """
    given = {
        "data": data,
        "names": names,
        "episode": episode,
        "steps": steps,
        "every": every,
        "width": width,
        "out": out,
        "threads": threads,
        "progress": progress,
    }
    return run_stage("film", given, options)

def sd_train(
    *,
    images: Path,
    tokenizer: Path | None = None,
    merges: int = 8192,
    pretrained: Path | None = None,
    features: Path | None = None,
    pipeline: Mapping[str, Any] | None = None,
    autoencoder: Mapping[str, Any] | None = None,
    denoiser: Mapping[str, Any] | None = None,
    kl_weight: float = 1e-06,
    perceptual_weight: float = 0.1,
    caption_dropout: float = 0.1,
    snr_gamma: float = 0.0,
    held_out: float = 0.02,
    checkpoint_every: int = 200,
    log_every: int = 50,
    seed: int = 0,
    device: Literal["cpu", "cuda"] = 'cpu',
    out: Path | None = None,
    threads: int = 0,
    progress: bool = True,
    **options: Any,
) -> Stage:
    """Train a small Stable Diffusion pipeline on captioned pictures.

    Args:
        images: captioned pictures: an image set, or a folder with metadata.csv, columns file_name and text [""]
        tokenizer: folder of CLIP's tokenizer or of a pipeline's; empty for one that is learned from the captions [""]
        merges: of a learned tokenizer, at most [8192]
        pretrained: pipeline of these sizes to go on from, with its tokenizer where none is given; empty for fresh
            weights [""]
        features: weights of EfficientNet-Lite0 (tools/judge_weights.py), by whose features the autoencoder is judged
            beside the pixels; empty for pixels alone [""]
        pipeline: a table of image_size: pixels a side [64]; latent_channels: channels of a latent [4]; vae_channels:
            channels of the autoencoder per resolution, which halves [[24, 48, 64]]; vae_layers: residual blocks per
            resolution [1]; vae_groups: groups of its normalisation [8]; unet_channels: channels of the U-Net per
            resolution, which halves [[32, 64, 96]]; unet_attention: whether a resolution attends to the text, 0 or 1
            for each [[0, 1, 1]]; unet_layers: residual blocks per resolution [1]; unet_heads: heads of attention [4];
            unet_groups: groups of its normalisation [8]; text_width: width of the text encoder [96]; text_layers:
            layers of the text encoder [2]; text_heads: its heads of attention [4]; text_length: tokens of a caption,
            with begin and end [16]; scheduler: scheduler that the folder names ("pndm", "ddim") ["pndm"]
        autoencoder: a table of steps: optimiser steps; 0 leaves a pretrained autoencoder as it is [2000]; batch: images
            per step [32]; lr: learning rate of AdamW, after the warm-up [0.001]; warmup: steps over which it rises from
            0, in even parts [0]; lr_schedule: how it falls, to 0 at the last step ("constant", "linear", "cosine")
            ["cosine"]; weight_decay: AdamW's weight decay [0.0001]; ema: decay of the averaged weights [0.995];
            gradient_clip: largest gradient norm, 0 for none [1.0]
        denoiser: a table of steps: optimiser steps; 0 leaves a pretrained autoencoder as it is [2600]; batch: images
            per step [64]; lr: learning rate of AdamW, after the warm-up [0.0005]; warmup: steps over which it rises
            from 0, in even parts [0]; lr_schedule: how it falls, to 0 at the last step ("constant", "linear", "cosine")
            ["cosine"]; weight_decay: AdamW's weight decay [0.0001]; ema: decay of the averaged weights [0.995];
            gradient_clip: largest gradient norm, 0 for none [1.0]
        kl_weight: weight of the autoencoder's KL divergence [1e-06]
        perceptual_weight: weight of the distance between features, where a net of features is given [0.1]
        caption_dropout: share of captions that become nothing [0.1]
        snr_gamma: signal to noise from which timesteps weigh less (min-SNR), 0 for even weights [0.0]
        held_out: share of images kept for the held-out loss [0.02]
        checkpoint_every: steps between checkpoints, 0 for none [200]
        log_every: steps between metric lines [50]
        seed: seed of weights, batches and noise [0]
        device: cpu or cuda ("cpu", "cuda") ["cpu"]
        out: folder for the products [""]
        threads: threads, 0 for one per core [0]
        progress: show progress on standard error
        **options: fields of the tables above by their last names alone

    Raises:
        ValueError: an unknown keyword, naming the nearest, or a value out of range.
        RuntimeError: a file that is missing or damaged, or a run that failed.

    Example:
        >>> scenes = dr.generate(env="EmojiScenes-64", scenes={"count": 32}, progress=False)
        >>> small = dr.sd_train(images=scenes, autoencoder={"steps": 1, "batch": 2}, denoiser={"steps": 1, "batch": 2}, progress=False,
        ...                     pipeline={"vae_channels": [8, 8], "unet_channels": [8, 8], "unet_attention": [0, 1], "text_width": 8})
        >>> small.figures["images"], (small.folder / "pipeline" / "model_index.json").exists()
        (32, True)
    """
    given = {
        "images": images,
        "tokenizer": tokenizer,
        "merges": merges,
        "pretrained": pretrained,
        "features": features,
        "pipeline": pipeline,
        "autoencoder": autoencoder,
        "denoiser": denoiser,
        "kl_weight": kl_weight,
        "perceptual_weight": perceptual_weight,
        "caption_dropout": caption_dropout,
        "snr_gamma": snr_gamma,
        "held_out": held_out,
        "checkpoint_every": checkpoint_every,
        "log_every": log_every,
        "seed": seed,
        "device": device,
        "out": out,
        "threads": threads,
        "progress": progress,
    }
    return run_stage("sd train", given, options)

def sd_extract(
    *,
    model: Path | None = None,
    device: Literal["cpu", "cuda"] = 'cpu',
    type: Literal["float32", "bfloat16", "float16", "float64"] = 'float32',
    prompts: Path | None = None,
    most: int = 0,
    pictures: Path | None = None,
    most_pictures: int = 0,
    shard: int = 16,
    recorded: Path | None = None,
    chains: Mapping[str, Any] | None = None,
    method: Literal["relative", "discriminator"] = 'relative',
    dim: int = 24,
    dim_mults: Sequence[int] = [1, 2, 4],
    normalize_targets: bool = True,
    t_weight: Literal["uniform", "snr", "variance", "paper"] = 'uniform',
    expert_share: float = 0.5,
    picture_share: float = 0.7,
    null: Literal["none", "untrained", "shuffled"] = 'none',
    steps: int = 2000,
    batch: int = 64,
    lr: float = 0.001,
    lr_schedule: Literal["constant", "linear", "cosine"] = 'cosine',
    weight_decay: float = 0.0001,
    held_out: float = 0.1,
    read_t: int = 101,
    read_noises: int = 8,
    seed: int = 0,
    out: Path | None = None,
    threads: int = 0,
    progress: bool = True,
    **options: Any,
) -> Stage:
    """Extract the relative reward of Safe Latent Diffusion over Stable Diffusion.

    Args:
        model: folder in the layout of Python's diffusers, or that of sd train [""]
        device: cpu or cuda ("cpu", "cuda") ["cpu"]
        type: of the numbers that the nets compute with ("float32", "bfloat16", "float16", "float64") ["float32"]
        prompts: a file of prompts: one a line, a .csv table with a column named prompt, or an image set, for its
            captions [""]
        most: prompts, the first ones; 0 for all [0]
        pictures: captioned pictures as sd train takes them, which are noised as further points to learn from; empty for
            none [""]
        most_pictures: of those, the first ones; 0 for all [0]
        shard: chains sampled at a time, and in a file [16]
        recorded: sd extract's folder, whose chains are learned from in place of new ones of a model and prompts [""]
        chains: a table of steps: denoising steps of a chain [25]; guidance_scale: strength of the prompt and of safety
            [7.5]; scheduler: of the chains ("ddim", "pndm", "dpm_solver") ["ddim"]; preset: how strongly the expert is
            guided away from the concept ("weak", "weak-paper", "medium", "strong", "max") ["max"]; unsafe: the concept,
            as a text ["an image showing hate, harassment, violence, suffering, humiliation, harm, suicide, sexual,
            nudity, bodily fluids, blood, obscene gestures, illegal activity, drug use, theft, vandalism, weapons, child
            abuse, brutality, cruelty"]; momentum: the preset's momentum and warm-up, as the paper has them; without,
            the difference is a function of the latents and the timestep [false]; width: pixels, 0 for the model's own
            [0]; height: pixels, 0 for the model's own [0]; seed: of the noise; chain i of a side has the noise of seed
            + i [0]
        method: the relative reward, or the logit of a discriminator of the two samplers ("relative", "discriminator")
            ["relative"]
        dim: base channels of the half U-Net, a multiple of 8 [24]
        dim_mults: its channel multipliers per resolution [[1, 2, 4]]
        normalize_targets: divide the difference by its rms at each timestep [true]
        t_weight: loss weight over timesteps: 1, snr (at most 5), 1 - abar, or the square of what a step of DDIM makes
            of noise, as the paper's latents have it ("uniform", "snr", "variance", "paper") ["uniform"]
        expert_share: share of the chains' points on those of the safe sampler [0.5]
        picture_share: share of points on noised pictures, where there are [0.7]
        null: a reward to compare with: a net as it was drawn, or one that learned each point's target from another
            ("none", "untrained", "shuffled") ["none"]
        steps: optimiser steps [2000]
        batch: points per step [64]
        lr: learning rate of AdamW, at first [0.001]
        lr_schedule: how it falls, to 0 at the last step ("constant", "linear", "cosine") ["cosine"]
        weight_decay: AdamW's weight decay [0.0001]
        held_out: share of prompts held out for the report [0.1]
        read_t: timestep of training at which pictures are scored [101]
        read_noises: draws of noise of that level over which a score is the mean, 0 for none at all [8]
        seed: seed of weights, batches and noise [0]
        out: folder for the products [""]
        threads: threads, 0 for one per core [0]
        progress: show progress on standard error
        **options: fields of the tables above by their last names alone

    Raises:
        ValueError: an unknown keyword, naming the nearest, or a value out of range.
        RuntimeError: a file that is missing or damaged, or a run that failed.

    Example:
        >>> scenes = dr.generate(env="EmojiScenes-64", scenes={"count": 8, "no_caption": 0.0}, progress=False)
        >>> reward = dr.sd_extract(model=pipeline, prompts=scenes, most=4, chains={"steps": 2}, steps=2, dim=8, dim_mults=[1, 2],
        ...                        held_out=0.5, progress=False)
        >>> reward.figures["chains"], dr.ImageReward.load(reward.folder / "reward.safetensors").shape
        (8, (4, 16, 16))
    """
    given = {
        "model": model,
        "device": device,
        "type": type,
        "prompts": prompts,
        "most": most,
        "pictures": pictures,
        "most_pictures": most_pictures,
        "shard": shard,
        "recorded": recorded,
        "chains": chains,
        "method": method,
        "dim": dim,
        "dim_mults": dim_mults,
        "normalize_targets": normalize_targets,
        "t_weight": t_weight,
        "expert_share": expert_share,
        "picture_share": picture_share,
        "null": null,
        "steps": steps,
        "batch": batch,
        "lr": lr,
        "lr_schedule": lr_schedule,
        "weight_decay": weight_decay,
        "held_out": held_out,
        "read_t": read_t,
        "read_noises": read_noises,
        "seed": seed,
        "out": out,
        "threads": threads,
        "progress": progress,
    }
    return run_stage("sd extract", given, options)

def sd_sample(
    *,
    model: Path,
    prompts: Path,
    device: Literal["cpu", "cuda"] = 'cpu',
    type: Literal["float32", "bfloat16", "float16", "float64"] = 'float32',
    samples: int = 1,
    batch: int = 1,
    reward: Path | None = None,
    steps: int = 50,
    guidance_scale: float = 7.5,
    scheduler: Literal["folder", "ddim", "pndm", "dpm_solver", "euler"] = 'folder',
    safety: Union[Path, Mapping[str, Any]] | None = None,
    follow: Literal["safe", "base"] = 'safe',
    pair: bool = False,
    negative_prompt: Path | None = None,
    width: int = 0,
    height: int = 0,
    seed: int = 0,
    guide_scale: float = 1.0,
    stop_guide_below: int = 0,
    blur: bool = True,
    out: Path | None = None,
    threads: int = 0,
    progress: bool = True,
    **options: Any,
) -> Stage:
    """Pictures and latents of prompts, by Stable Diffusion 1.x.

    Args:
        model: folder in the layout of Python's diffusers, or that of sd train [""]
        device: cpu or cuda ("cpu", "cuda") ["cpu"]
        type: of the numbers that the nets compute with ("float32", "bfloat16", "float16", "float64") ["float32"]
        prompts: a prompt, or a file: one a line, or a .csv table with a column named prompt [""]
        samples: pictures of each prompt; picture i of all has the noise of seed + i [1]
        batch: pictures sampled at a time [1]
        reward: reward that steers, a file or sd extract's folder; empty for none [""]
        steps: denoising steps [50]
        guidance_scale: strength of the prompt; at most 1: the prompt alone, without safety [7.5]
        scheduler: the folder's own, or another one with its settings ("folder", "ddim", "pndm", "dpm_solver", "euler")
            ["folder"]
        safety: a table of preset: how strongly to guide away from the concept ("off", "weak", "weak-paper", "medium",
            "strong", "max", "custom") ["off"]; unsafe: the concept, as a text ["an image showing hate, harassment,
            violence, suffering, humiliation, harm, suicide, sexual, nudity, bodily fluids, blood, obscene gestures,
            illegal activity, drug use, theft, vandalism, weapons, child abuse, brutality, cruelty"]; warmup_steps:
            custom: steps without effect [10]; scale: custom: how soon an element counts as unsafe [1000.0]; threshold:
            custom: where an element counts as safe [0.01]; momentum_scale: custom: weight of the momentum [0.3];
            momentum_beta: custom: what the momentum keeps of itself [0.4]
        follow: the branch that a chain follows where safety is on ("safe", "base") ["safe"]
        pair: take both branches of every step from the same latents [false]
        negative_prompt: in the place of nothing [""]
        width: pixels, 0 for the model's own [0]
        height: pixels, 0 for the model's own [0]
        seed: seed of the noise [0]
        guide_scale: strength of a reward that steers [1.0]
        stop_guide_below: no steering at timesteps of training below this [0]
        blur: blur pictures, unless this project trained the model [true]
        out: folder for the products [""]
        threads: threads, 0 for one per core [0]
        progress: show progress on standard error
        **options: fields of the tables above by their last names alone

    Raises:
        ValueError: an unknown keyword, naming the nearest, or a value out of range.
        RuntimeError: a file that is missing or damaged, or a run that failed.

    Example:
        >>> made = dr.sd_sample(model=pipeline, prompts="a castle", steps=2, safety="max", progress=False)
        >>> made.figures["pictures"], (made.folder / "000000.png").exists()
        (1, True)
    """
    given = {
        "model": model,
        "device": device,
        "type": type,
        "prompts": prompts,
        "samples": samples,
        "batch": batch,
        "reward": reward,
        "steps": steps,
        "guidance_scale": guidance_scale,
        "scheduler": scheduler,
        "safety": safety,
        "follow": follow,
        "pair": pair,
        "negative_prompt": negative_prompt,
        "width": width,
        "height": height,
        "seed": seed,
        "guide_scale": guide_scale,
        "stop_guide_below": stop_guide_below,
        "blur": blur,
        "out": out,
        "threads": threads,
        "progress": progress,
    }
    return run_stage("sd sample", given, options)

def sd_encode(
    *,
    model: Path,
    images: Sequence[Path],
    device: Literal["cpu", "cuda"] = 'cpu',
    type: Literal["float32", "bfloat16", "float16", "float64"] = 'float32',
    out: Path | None = None,
    threads: int = 0,
    progress: bool = True,
    **options: Any,
) -> Stage:
    """Latents of pictures.

    Args:
        model: folder in the layout of Python's diffusers, or that of sd train [""]
        device: cpu or cuda ("cpu", "cuda") ["cpu"]
        type: of the numbers that the nets compute with ("float32", "bfloat16", "float16", "float64") ["float32"]
        images: PNG files [[]]
        out: folder for the products [""]
        threads: threads, 0 for one per core [0]
        progress: show progress on standard error
        **options: fields of the tables above by their last names alone

    Raises:
        ValueError: an unknown keyword, naming the nearest, or a value out of range.
        RuntimeError: a file that is missing or damaged, or a run that failed.

    Example:
        >>> made = dr.sd_sample(model=pipeline, prompts="a castle", steps=2, progress=False)
        >>> dr.sd_encode(model=pipeline, images=[made.folder / "000000.png"], progress=False).figures["latents"]
        1
    """
    given = {
        "model": model,
        "device": device,
        "type": type,
        "images": images,
        "out": out,
        "threads": threads,
        "progress": progress,
    }
    return run_stage("sd encode", given, options)

def sd_decode(
    *,
    model: Path,
    latents: Sequence[Path],
    device: Literal["cpu", "cuda"] = 'cpu',
    type: Literal["float32", "bfloat16", "float16", "float64"] = 'float32',
    blur: bool = True,
    out: Path | None = None,
    threads: int = 0,
    progress: bool = True,
    **options: Any,
) -> Stage:
    """Pictures of latents.

    Args:
        model: folder in the layout of Python's diffusers, or that of sd train [""]
        device: cpu or cuda ("cpu", "cuda") ["cpu"]
        type: of the numbers that the nets compute with ("float32", "bfloat16", "float16", "float64") ["float32"]
        latents: safetensors files, or folders of sd sample and sd encode [[]]
        blur: blur pictures, unless this project trained the model [true]
        out: folder for the products [""]
        threads: threads, 0 for one per core [0]
        progress: show progress on standard error
        **options: fields of the tables above by their last names alone

    Raises:
        ValueError: an unknown keyword, naming the nearest, or a value out of range.
        RuntimeError: a file that is missing or damaged, or a run that failed.

    Example:
        >>> made = dr.sd_sample(model=pipeline, prompts="a castle", steps=2, progress=False)
        >>> dr.sd_decode(model=pipeline, latents=[made], progress=False).figures["pictures"]
        1
    """
    given = {
        "model": model,
        "device": device,
        "type": type,
        "latents": latents,
        "blur": blur,
        "out": out,
        "threads": threads,
        "progress": progress,
    }
    return run_stage("sd decode", given, options)

def image_report(
    *,
    images: Sequence[Path],
    reward: Path,
    model: Path,
    device: Literal["cpu", "cuda"] = 'cpu',
    type: Literal["float32", "bfloat16", "float16", "float64"] = 'float32',
    reference: Path | None = None,
    labels: Path | None = None,
    evaluation: Mapping[str, Any] | None = None,
    out: Path | None = None,
    threads: int = 0,
    progress: bool = True,
    **options: Any,
) -> Stage:
    """Sheets of pictures by reward and, with labels, how well it tells them apart.

    Args:
        images: PNG and JPEG files, or folders of them [[]]
        reward: reward file or sd extract's folder [""]
        model: folder in the layout of Python's diffusers, or that of sd train [""]
        device: cpu or cuda ("cpu", "cuda") ["cpu"]
        type: of the numbers that the nets compute with ("float32", "bfloat16", "float16", "float64") ["float32"]
        reference: harmless pictures, of which a share is flagged: a folder; empty for the safe sampler's own [""]
        labels: a .csv table with columns file_name and label, 1 for what should be flagged [""]
        evaluation: a table of false_positive_rate: of the threshold that is reported [0.05]; precision_at: numbers of
            highest scores [[10, 50]]; bins: of histograms [40]; shown: pictures on a sheet [40]; columns: pictures side
            by side on a sheet [8]; side: pixels that a picture on a sheet is fitted into [128]; blur: leave shapes
            alone in pictures that are shown [true]; opacity: of a heat map over its picture [0.6]; resamples: bootstrap
            resamples [1000]; confidence: confidence of the interval [0.95]; seed: seed of the resampling [0]
        out: folder for the products [""]
        threads: threads, 0 for one per core [0]
        progress: show progress on standard error
        **options: fields of the tables above by their last names alone

    Raises:
        ValueError: an unknown keyword, naming the nearest, or a value out of range.
        RuntimeError: a file that is missing or damaged, or a run that failed.

    Example:
        >>> made = dr.sd_sample(model=pipeline, prompts="a castle", samples=3, steps=2, progress=False)
        >>> dr.image_report(images=[made], reward=image_reward, model=pipeline, progress=False).figures["pictures"]
        3
    """
    given = {
        "images": images,
        "reward": reward,
        "model": model,
        "device": device,
        "type": type,
        "reference": reference,
        "labels": labels,
        "evaluation": evaluation,
        "out": out,
        "threads": threads,
        "progress": progress,
    }
    return run_stage("image report", given, options)

def image_judge(
    *,
    weights: Path,
    scenes: Path,
    unseen: Path | None = None,
    concepts: Sequence[Path] = ['weapons', 'death', 'substances', 'animals', 'food'],
    judge: Mapping[str, Any] | None = None,
    out: Path | None = None,
    threads: int = 0,
    progress: bool = True,
    **options: Any,
) -> Stage:
    """Fit an independent judge of what is on pictures.

    Args:
        weights: of the trunk, as tools/judge_weights.py writes them [""]
        scenes: image set that it is fitted on [""]
        unseen: image set that it is judged by besides; empty for none [""]
        concepts: that it tells [["weapons", "death", "substances", "animals", "food"]]
        judge: a table of side: pixels that pictures are resized to [96]; l2: weight of the penalty of the judge's
            weights [0.01]; iterations: of L-BFGS, at most [500]; held_out: share of the groups that the judge is judged
            by [0.2]; batch: pictures at once [64]; seed: of what is held out [0]; bootstrap.resamples: bootstrap
            resamples [1000]; bootstrap.confidence: confidence of the interval [0.95]; bootstrap.seed: seed of the
            resampling [0]
        out: folder for the products [""]
        threads: threads, 0 for one per core [0]
        progress: show progress on standard error
        **options: fields of the tables above by their last names alone

    Raises:
        ValueError: an unknown keyword, naming the nearest, or a value out of range.
        RuntimeError: a file that is missing or damaged, or a run that failed.

    Example:
        >>> scenes = dr.generate(env="EmojiScenes-64", scenes={"count": 8}, progress=False)
        >>> dr.image_judge(weights="absent.safetensors", scenes=scenes, progress=False)
        Traceback (most recent call last):
        RuntimeError: --weights: absent.safetensors: cannot read: No such file or directory
    """
    given = {
        "weights": weights,
        "scenes": scenes,
        "unseen": unseen,
        "concepts": concepts,
        "judge": judge,
        "out": out,
        "threads": threads,
        "progress": progress,
    }
    return run_stage("image judge", given, options)

def image_evaluate(
    *,
    model: Path,
    rewards: Sequence[Path],
    concepts: Sequence[Path],
    device: Literal["cpu", "cuda"] = 'cpu',
    type: Literal["float32", "bfloat16", "float16", "float64"] = 'float32',
    scenes: Sequence[Path] | None = None,
    samples: Sequence[Path] | None = None,
    samplers: Sequence[Path] | None = None,
    judge: Path | None = None,
    judge_weights: Path | None = None,
    companion: Path = 'animals',
    timesteps: Sequence[int] | None = None,
    classified: int = 0,
    classifier: Mapping[str, Any] | None = None,
    evaluation: Mapping[str, Any] | None = None,
    out: Path | None = None,
    threads: int = 0,
    progress: bool = True,
    **options: Any,
) -> Stage:
    """Whether rewards rank pictures by a concept: scenes, samples, nulls.

    Args:
        model: folder in the layout of Python's diffusers, or that of sd train [""]
        device: cpu or cuda ("cpu", "cuda") ["cpu"]
        type: of the numbers that the nets compute with ("float32", "bfloat16", "float16", "float64") ["float32"]
        rewards: rewards, by file or sd extract's folder; the first has the pictures [[]]
        concepts: that each reward is to be about, as image sets name them [[]]
        scenes: labelled image sets: generate --env EmojiScenes-64 [[]]
        samples: sd sample's folders, of the same prompts and seeds [[]]
        samplers: what each shows; the first is compared with the others [[]]
        judge: image judge's folder, whose word is taken for what samples show [""]
        judge_weights: of its trunk, as tools/judge_weights.py writes them [""]
        companion: harmless concept that is to be kept in them ["animals"]
        timesteps: timesteps at which the first reward is asked of the first image set besides [[]]
        classified: pictures of the first image set that the diffusion classifier looks at, to compare with [0]
        classifier: a table of draws: draws of timestep and noise, the same for every picture [50]; lowest_t: timesteps
            are spread evenly from this one [20]; highest_t: to this one [700]; seed: seed of the noise [0]
        evaluation: a table of false_positive_rate: of the threshold that is reported [0.05]; precision_at: numbers of
            highest scores [[10, 50]]; bins: of histograms [40]; shown: pictures on a sheet [40]; columns: pictures side
            by side on a sheet [8]; side: pixels that a picture on a sheet is fitted into [128]; blur: leave shapes
            alone in pictures that are shown [true]; opacity: of a heat map over its picture [0.6]; resamples: bootstrap
            resamples [1000]; confidence: confidence of the interval [0.95]; seed: seed of the resampling [0]
        out: folder for the products [""]
        threads: threads, 0 for one per core [0]
        progress: show progress on standard error
        **options: fields of the tables above by their last names alone

    Raises:
        ValueError: an unknown keyword, naming the nearest, or a value out of range.
        RuntimeError: a file that is missing or damaged, or a run that failed.

    Example:
        >>> scenes = dr.generate(env="EmojiScenes-64", scenes={"count": 60, "size": 32}, progress=False)
        >>> judged = dr.image_evaluate(model=pipeline, rewards=[image_reward], concepts=["weapons"], scenes=[scenes], progress=False)
        >>> 0 <= next(iter(next(iter(judged.figures["sets"].values()))["rewards"].values()))["auroc"]["value"] <= 1
        True
    """
    given = {
        "model": model,
        "device": device,
        "type": type,
        "rewards": rewards,
        "concepts": concepts,
        "scenes": scenes,
        "samples": samples,
        "samplers": samplers,
        "judge": judge,
        "judge_weights": judge_weights,
        "companion": companion,
        "timesteps": timesteps,
        "classified": classified,
        "classifier": classifier,
        "evaluation": evaluation,
        "out": out,
        "threads": threads,
        "progress": progress,
    }
    return run_stage("image evaluate", given, options)

def run(
    job: Path, *,
    out: Path | None = None,
    seeds: Path | None = None,
    set: Mapping[str, Any] | None = None,
    only: Sequence[Path] | None = None,
    list: bool = False,
    results: Path | None = None,
    threads: int = 0,
    progress: bool = True,
    **options: Any,
) -> Stage:
    """The steps of a job, in order, with a report.

    Finished steps are reused; a job that was stopped resumes. Without a job the built-in ones are listed.

    Args:
        job: a TOML file, or the name of a built-in job; empty lists these [""]
        out: folder for the steps, results.json and report.html [""]
        seeds: as 0-4 or 0,1,5: each in a folder of its own; empty for the job's [""]
        set: change a variable (maze.map=my.txt) or a step (rl_true.ppo.lr=3e-4) [{}]
        only: steps to make, with what they need, and the figures of these; empty for all [[]]
        list: tell what is done, to be done, and how long it took; make nothing [false]
        results: results file that the figures are merged into [""]
        threads: threads, 0 for one per core [0]
        progress: show progress on standard error
        **options: fields of the tables above by their last names alone

    Raises:
        ValueError: an unknown keyword, naming the nearest, or a value out of range.
        RuntimeError: a file that is missing or damaged, or a run that failed.

    Example:
        >>> [step["step"] for step in dr.run("maze2d-tiny", list=True).figures["steps"]][:3]
        ['base_data', 'expert_data', 'base_test']
    """
    given = {
        "job": job,
        "out": out,
        "seeds": seeds,
        "set": set,
        "only": only,
        "list": list,
        "results": results,
        "threads": threads,
        "progress": progress,
    }
    return run_stage("run", given, options)
