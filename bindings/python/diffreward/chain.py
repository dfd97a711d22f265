"""What the commands make: stages in folders, with their models, rewards and agents."""

from __future__ import annotations

import json
import os
import pathlib
import sys
import tempfile
from collections.abc import Mapping
from typing import Any

import numpy as np

from diffreward._arrays import Array, like, native, timesteps
from diffreward._plain import plain
from diffreward.data import Dataset, open_dataset
from diffreward.own import Denoiser, extract_own, native_guide
from diffreward.registration import env_options
from diffreward.reward import Reward, reward_file


class Stage(os.PathLike):
    """A finished stage: its folder, and the figures it came to. Stands wherever a path of its product does.

    Made without ``out``, it lives in a temporary folder, which goes with the last object that knows it.

    Example:
        >>> stage = dr.generate(env="Maze2D-UMaze-v0", steps=400, count=2, progress=False)
        >>> stage.figures["transitions"], (stage.folder / "data.hdf5").exists()
        (400, True)
    """

    def __init__(self, folder: str, figures: dict[str, Any] | None = None, temporary: Any = None) -> None:
        self.folder = pathlib.Path(folder)  #: where the products are
        self.figures = figures or {}  #: the command's result: numbers, texts, lists and tables
        self._temporary = temporary

    def __fspath__(self) -> str:
        return str(self.folder)

    def __repr__(self) -> str:
        return f"{type(self).__name__}({str(self.folder)!r})"


class Recording(Stage):
    """Recorded behaviour, made by ``generate``.

    Example:
        >>> recording = dr.generate(env="Maze2D-UMaze-v0", steps=400, count=2, progress=False)
        >>> recording.data.observations.shape
        (400, 4)
    """

    @property
    def data(self) -> Dataset:
        """The transitions, as NumPy views of the file."""
        return open_dataset(self.folder)


class DiffusionModel(Stage):
    """A denoising diffusion model of windows of behaviour, made by ``train`` or loaded.

    A window is ``horizon`` rows of [action, observation], ``stride`` environment steps apart. Samples are in data units;
    ``x`` of the other methods is in model units [-1, 1], ``t`` counts noise levels from 0.

    Example:
        >>> model = dr.train(data=base_data, horizon=4, dim=16, condition_probability=1, steps=2, progress=False)
        >>> windows = model.sample(3, {0: np.array([1.0, 2.0, 0.0, 0.0])}, sampler="ddim", steps=5)
        >>> windows.shape                                       # 2 actions, 4 observations a row
        (3, 4, 6)
        >>> model.score(np.zeros((5, 4, 6)), 10).shape          # of noised windows at noise level 10
        (5, 4, 6)
    """

    def __init__(self, folder: str, figures: dict[str, Any] | None = None, temporary: Any = None,
                 device: str = "cpu") -> None:
        super().__init__(folder, figures, temporary)
        from diffreward import _chain  # brings LibTorch in, which takes a second

        file = self.folder / "model.safetensors" if self.folder.is_dir() else self.folder
        self._model = _chain.Model(file, device)

    @classmethod
    def load(cls, path: str | os.PathLike[str], *, device: str = "cpu") -> DiffusionModel:
        """The model in a file, or in the folder that ``train`` wrote.

        Raises:
            RuntimeError: a file that is missing or damaged, naming it and what was found.
        """
        return cls(os.fspath(path), device=device)

    @property
    def horizon(self) -> int:
        """Rows of a window."""
        return self._model.horizon

    @property
    def stride(self) -> int:
        """Environment steps between rows."""
        return self._model.stride

    @property
    def timesteps(self) -> int:
        """Noise levels."""
        return self._model.timesteps

    @property
    def parameters(self) -> int:
        """Number of weights."""
        return self._model.parameters

    @property
    def config(self) -> dict[str, Any]:
        """Settings of the model."""
        return json.loads(self._model.config)

    def sample(self, n: int, conditions: Mapping[int, Any] | None = None, *, guide: Any = None,
               **sampler: Any) -> Any:
        """n windows [n, horizon, action_dim + observation_dim] float32 in data units.

        Args:
            n: how many.
            conditions: observations, [observation_dim] or [n, observation_dim], to hold fixed at rows.
            guide: a reward that leads the samples, with strength ``scale``.
            **sampler: ``sampler`` ("ddpm", "ddim" or "dpm_solver"), ``steps``, ``scale``, ``seed`` and what else
                ``diffreward steer --help`` lists as ``--sample``.

        Raises:
            ValueError: settings or conditions that do not fit.
        """
        fixed = {}
        for row, observation in (conditions or {}).items():
            observation = native(observation, "conditions")
            if observation.shape not in {(self._model.observation_dim,), (1, self._model.observation_dim),
                                         (n, self._model.observation_dim)}:
                raise ValueError(f"conditions: expected [{self._model.observation_dim}] or [{n}, "
                                 f"{self._model.observation_dim}] at row {row}, got {list(observation.shape)}")
            fixed[row] = observation
        windows = self._model.sample(n, fixed, json.dumps(plain(sampler)), native_guide(guide))
        return like(windows, *(conditions or {}).values())

    def predict_x0(self, x: Array, t: Array) -> Any:
        """E[x_0 | x_t] of windows x [n, horizon, width] at timesteps t [n] or one for all."""
        return like(self._model.predict_x0(native(x, "x"), timesteps(t)), x)

    def posterior_mean(self, x: Array, t: Array) -> Any:
        """Mean of p(x_{t-1} | x_t), shaped as x."""
        return like(self._model.posterior_mean(native(x, "x"), timesteps(t)), x)

    def score(self, x: Array, t: Array) -> Any:
        """grad_x log p_t(x), shaped as x."""
        return like(self._model.score(native(x, "x"), timesteps(t)), x)


class ExtractedReward(Stage, Reward):
    """A reward, made by ``extract``: what ``load_reward`` gives, and its stage.

    Example:
        >>> reward = dr.extract(expert=expert, base=base, expert_data=expert_data, base_data=base_data, steps=2,
        ...                     progress=False)
        >>> isinstance(reward, dr.Reward), reward.horizon, (reward.folder / "reward.safetensors").exists()
        (True, 1, True)
    """

    def __init__(self, folder: str, figures: dict[str, Any] | None = None, temporary: Any = None) -> None:
        Stage.__init__(self, folder, figures, temporary)
        Reward.__init__(self, reward_file(folder), "cpu", {})


class Agent(Stage):
    """A trained agent, made by ``rl``.

    Example:
        >>> agent = dr.rl(env="Maze2D-UMaze-v0", count=2, env_steps=256, episodes=2, progress=False)
        >>> actions, _ = agent.predict(np.ones((3, 4)))
        >>> actions.shape
        (3, 2)
    """

    def __init__(self, folder: str, figures: dict[str, Any] | None = None, temporary: Any = None) -> None:
        super().__init__(folder, figures, temporary)
        from diffreward import _chain

        self._agent = _chain.Agent(self.folder)

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> Agent:
        """The agent in the folder that ``rl`` wrote, or one that comes with the project, by name: "Hopper-v4/expert".

        Raises:
            RuntimeError: a folder without a finished stage of ``rl``, or a damaged file.
        """
        return cls(os.fspath(path))

    def predict(self, obs: Array, state: Any = None, episode_start: Any = None,
                deterministic: bool = True) -> tuple[Any, None]:
        """Actions for observations [observation_dim] or [n, observation_dim], as Stable-Baselines3's ``predict``.

        Args:
            deterministic: the policy's mode; else a draw from the policy, as it acted while it learned.

        Returns:
            actions [action_dim] or [n, action_dim] float32, and no state: an action depends on its observation alone.
        """
        rows = native(obs, "obs", np.float64)
        actions = self._agent.act(np.atleast_2d(rows), not deterministic).astype(np.float32)
        return like(actions[0] if rows.ndim == 1 else actions, obs), None


_PRODUCTS = {"generate": Recording, "join": Recording, "train": DiffusionModel, "extract": ExtractedReward, "rl": Agent}


def _with_reading(command: str, reward: Reward, config: dict[str, Any], extra: dict[str, Any]) -> None:
    """Has a command pay a reward as it was loaded; what is given beside, in ``config`` or by short names, must agree.

    Raises:
        ValueError: it does not.
    """
    from diffreward import _chain

    fields = next(one for one in json.loads(_chain.describe_commands()) if one["name"] == command)["fields"]
    loaded = {field["name"].removeprefix("reading."): field["default"] for field in fields
              if field["name"].startswith("reading.")} | reward.reading
    given = config.get("reading", {})
    given = dict(given) if isinstance(given, Mapping) else {"reading": given}
    for key in list(extra):
        if (name := key.removeprefix("reading.")) in loaded:
            given[name] = extra.pop(key)
    for name, value in given.items():
        if value != loaded.get(name, value):
            raise ValueError(f"reading: expected the reward's own, {name} = {loaded[name]!r}, got {value!r}")
    config["reading"] = reward.reading | given


def run_stage(command: str, given: Mapping[str, Any], more: Mapping[str, Any]) -> Any:
    """Runs a command with the keywords that were given; ``more`` are options of its environment, or short names."""
    from diffreward import _chain

    if command == "extract" and any(isinstance(given.get(model), Denoiser) for model in ("expert", "base")):
        return ExtractedReward(*extract_own({**given, **more}))
    config = {name: plain(value) for name, value in given.items() if value is not None}
    progress = config.pop("progress", True)
    extra = {name: plain(value) for name, value in more.items()}
    env = config.get("env")
    if "env" in given and (env is not None or extra):
        env = {} if env is None else env
        env = dict(env) if isinstance(env, Mapping) else {"id": env}
        known = env_options(env.get("id", "Maze2D-UMaze-v0")) if extra else {}
        options = {name: extra.pop(name) for name in list(extra) if name in known}
        if options:
            env["options"] = {**env.get("options", {}), **options}
        config["env"] = env
    reward = given.get("reward")
    if "reading" in given and isinstance(reward, Reward) and reward.reading:
        _with_reading(command, reward, config, extra)
    config.update(extra)
    temporary = None
    if not config.get("out"):
        temporary = tempfile.TemporaryDirectory(prefix=f"diffreward_{command}_")
        config["out"] = temporary.name
    sys.stdout.flush()
    figures = json.loads(_chain.run_command(command, json.dumps(config), progress))
    if figures is None:  # of several processes that train together the first one has the stage
        return None
    return _PRODUCTS.get(command, Stage)(config["out"], figures, temporary)
