"""What Env, VectorEnv and AsyncEnv share: spaces from a spec, arguments in the native form, what cannot be copied."""

from __future__ import annotations

import json
import operator
import sys
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from gymnasium import spaces
from gymnasium.vector import AutoresetMode

from diffreward import _envs

_FLAGS = {"success"}  # entries of `info` that are bool, as Gymnasium-Robotics has them
_LARGEST = sys.float_info.max  # stands for infinity in options, which JSON does not have


def spec_of(batch: _envs.Batch) -> dict[str, Any]:
    return json.loads(batch.spec)


def _bounds(values: list[float | str]) -> np.ndarray:
    return np.array([float(value) for value in values])


def observation_space(spec: dict[str, Any]) -> spaces.Space:
    """A float64 Box, or a Dict of them for observations with named parts."""
    low, high = _bounds(spec["observation"]["low"]), _bounds(spec["observation"]["high"])
    if not spec["parts"]:
        return spaces.Box(low, high, dtype=np.float64)
    return spaces.Dict(
        {name: spaces.Box(low[part], high[part], dtype=np.float64) for name, part in part_slices(spec).items()}
    )


def action_space(spec: dict[str, Any]) -> spaces.Box:
    low, high = _bounds(spec["action"]["low"]), _bounds(spec["action"]["high"])
    return spaces.Box(low.astype(np.float32), high.astype(np.float32), dtype=np.float32)


def part_slices(spec: dict[str, Any]) -> dict[str, slice]:
    return _slices(spec["parts"])


def info_slices(spec: dict[str, Any]) -> dict[str, slice | int]:
    """Where each entry of `info` stands in a row; a single number is told by its index."""
    return {name: part.start if part.stop - part.start == 1 else part for name, part in _slices(spec["info"]).items()}


def infos(rows: np.ndarray, slices: dict[str, slice | int]) -> dict[str, Any]:
    """The entries of `info` in a row [info_size], or in rows [n, info_size]: views of these, and flags as bool."""
    columns = rows.T
    told = {name: columns[part].T for name, part in slices.items()}
    for name in _FLAGS & told.keys():
        told[name] = told[name] != 0 if rows.ndim == 2 else bool(told[name])
    return told


def _slices(fields: list[dict[str, Any]]) -> dict[str, slice]:
    found, begin = {}, 0
    for field in fields:
        found[field["name"]] = slice(begin, begin + field["size"])
        begin += field["size"]
    return found


def options_json(env_id: str, options: Mapping[str, Any] | Sequence[Mapping[str, Any]]) -> str:
    """The environment's options (or a list of them) as JSON text.

    Raises:
        TypeError: an option that the environment does not have, naming the nearest.
    """
    for one in [options] if isinstance(options, Mapping) else options:
        known = sorted({option["name"].split(".")[0] for option in json.loads(_envs.env_options(env_id))})
        for name in one:
            if name not in known:
                near = _envs.nearest_name(name, known)
                hint = f"did you mean {near!r}?" if near else f"it has {', '.join(known)}"
                raise TypeError(f"{env_id} got an unexpected keyword argument {name!r}; {hint}")
    return json.dumps(_plain(_with_map_texts(options)))


_MAPS = {"map", "maze_map"}  # options that take a maze
_CELLS = {"0": "O", "1": "#", "r": "R", "g": "G", "c": "C"}  # Gymnasium-Robotics' cells as letters of a map's text


def _with_map_texts(options: Mapping[str, Any] | Sequence[Mapping[str, Any]]) -> Any:
    if not isinstance(options, Mapping):
        return [_with_map_texts(one) for one in options]
    return {
        name: map_text(name, value) if name in _MAPS and isinstance(value, (list, tuple, np.ndarray)) else value
        for name, value in options.items()
    }


def map_text(name: str, rows: Sequence[Sequence[Any]]) -> str:
    """The text of a map that Gymnasium-Robotics writes as rows of 0, 1, "r", "g" and "c"."""
    lines = []
    for r, row in enumerate(rows):
        if not isinstance(row, (list, tuple, np.ndarray)):
            raise ValueError(f"{name}: row {r}: expected a list of cells, got {row!r}")
        lines.append("")
        for c, cell in enumerate(row):
            letter = _CELLS.get(cell if isinstance(cell, str) else f"{cell:g}" if np.isscalar(cell) else "")
            if letter is None:
                raise ValueError(f"{name}: row {r}, column {c}: expected 0, 1, 'r', 'g' or 'c', got {cell!r}")
            lines[-1] += letter
    return "".join(f"{line}\n" for line in lines)


def _plain(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {key: _plain(entry) for key, entry in value.items()}
    if isinstance(value, (list, tuple, np.ndarray)):
        return [_plain(entry) for entry in value]
    if isinstance(value, np.generic):
        value = value.item()
    if isinstance(value, float):
        return max(-_LARGEST, min(_LARGEST, value))
    if isinstance(value, (bool, int, str)):
        return value
    raise TypeError(f"an option must be a number, a text or a list of them, got {type(value).__name__}")


_ALIASES = {"reset_cell": "start_cell"}  # Gymnasium-Robotics' names


def reset_options(spec: Mapping[str, Any], options: Mapping[str, Any], count: int) -> list[_envs.ResetOptions]:
    """One entry for all instances, or one each when any value has a row an instance ([count, size])."""
    sizes = {field["name"]: field["size"] for field in spec["reset_options"]} | {"state": spec["state_size"]}
    aliases = {alias: name for alias, name in _ALIASES.items() if name in sizes}
    names = [*sizes, *aliases]
    options = {name: value for name, value in options.items() if name not in names or value is not None}
    for alias, name in aliases.items():
        if alias in options:
            if name in options:
                raise ValueError(f"reset: options {alias!r} and {name!r} are one: expected one of them, got both")
            options[name] = options.pop(alias)
    per_instance = {name: np.ndim(value) == 2 for name, value in options.items()}
    found: list[dict[str, list[float]]] = [{} for _ in range(count if any(per_instance.values()) else 1)]
    for name, value in options.items():
        if name not in sizes:
            near = _envs.nearest_name(name, names)
            hint = f"did you mean {near!r}?" if near else f"it takes {', '.join(names)}"
            raise ValueError(f"reset: unknown option {name!r}; {hint}")
        array = np.asarray(value)
        if array.dtype.kind not in "iuf":
            raise ValueError(f"reset: option {name!r}: expected numbers, got {value!r}")
        rows = array if per_instance[name] else np.broadcast_to(array, (len(found), *array.shape))
        if len(rows) != len(found):
            raise ValueError(f"reset: option {name!r}: expected {count} rows, got {len(rows)}")
        if rows.shape[1:] != (sizes[name],):
            raise ValueError(f"reset: option {name!r}: expected {sizes[name]} numbers, got shape {array.shape}")
        for entry, row in zip(found, rows, strict=True):
            entry[name] = row.tolist()
    return [_envs.ResetOptions(state=entry.pop("state", []), fixed=entry) for entry in found]


def seed_of(seed: Any, whose: str = "seed") -> int:
    """The seed as a Python number of any size.

    Raises:
        ValueError: not an integer of at least 0, naming it.
    """
    try:
        number = operator.index(seed)
    except TypeError:
        number = -1
    if number < 0:
        raise ValueError(f"{whose}: expected an integer of at least 0, got {seed!r}")
    return number


def native_seed(seed: int) -> int:
    """The 64 bits that a native generator starts from: the seed itself, or of a larger one NumPy's hash."""
    return seed if seed < 2**64 else int(np.random.SeedSequence(seed).generate_state(1, np.uint64)[0])


def seeds_of(seed: Any, count: int) -> list[int | None]:
    """A seed an instance, from Gymnasium's three ways to say it: one number, which counts up, a list, or None."""
    if seed is None:
        return [None] * count
    if isinstance(seed, str) or not isinstance(seed, (Sequence, np.ndarray)) or np.ndim(seed) == 0:
        first = seed_of(seed)
        return [first + i for i in range(count)]
    if len(seed) != count:
        raise ValueError(f"seed: expected {count} seeds, got {len(seed)}")
    return [None if one is None else seed_of(one, f"seed of instance {i}") for i, one in enumerate(seed)]


def check_action(actions: Any, shape: tuple[int, ...]) -> np.ndarray:
    """The actions as contiguous float64.

    Raises:
        TypeError: not real numbers.
        ValueError: another shape.
    """
    array = np.asarray(actions)
    if array.dtype.kind not in "fiu":
        raise TypeError(f"expected actions of real numbers, got dtype {array.dtype}")
    if array.shape != shape:
        raise ValueError(f"expected actions of shape {shape}, got {array.shape}")
    return np.ascontiguousarray(array, dtype=np.float64)


def check_render_mode(render_mode: str | None, modes: Sequence[str]) -> None:
    if render_mode is not None and render_mode not in modes:
        hint = "; wrap in gymnasium.wrappers.vector.HumanRendering" if render_mode == "human" else ""
        raise ValueError(f"render_mode: expected {', '.join(map(repr, modes))} or None, got {render_mode!r}{hint}")


def picture_size(width: Any, height: Any) -> tuple[int, int]:
    """Checked.

    Raises:
        TypeError: not integers.
        ValueError: a side that is not drawn.
    """
    for name, side in (("width", width), ("height", height)):
        if not hasattr(side, "__index__"):
            raise TypeError(f"{name}: expected an integer, got {side!r}")
    size = operator.index(width), operator.index(height)
    _envs.check_picture_size(*(max(-(2**31), min(side, 2**31 - 1)) for side in size))
    return size


class NotCopied:
    """Holds native simulators and threads, which no copy and no pickle takes along."""

    def __reduce_ex__(self, protocol: Any) -> Any:
        carry = " and carry the state over with save_state and load_state" if hasattr(self, "save_state") else ""
        raise TypeError(f"{type(self).__name__} can be neither copied nor pickled: make another one{carry}")


_MODES = {
    AutoresetMode.NEXT_STEP: "next_step",
    AutoresetMode.SAME_STEP: "same_step",
    AutoresetMode.DISABLED: "disabled",
}


def _max_steps(max_episode_steps: int | None) -> int:
    """VectorConfig's number for what ``gymnasium.make`` means: None is the environment's own limit, -1 is none."""
    if max_episode_steps is None:
        return -1
    if not isinstance(max_episode_steps, int):
        raise TypeError(f"max_episode_steps: expected an integer, got {max_episode_steps!r}")
    if max_episode_steps == -1:
        return 0
    if not 0 < max_episode_steps <= _MOST_STEPS:
        raise ValueError(
            f"max_episode_steps: expected a positive integer up to {_MOST_STEPS}, or -1 for no limit, "
            f"got {max_episode_steps}"
        )
    return int(max_episode_steps)


_MOST_STEPS = 10**9


def vector_config(
    num_envs: int,
    threads: int,
    autoreset_mode: str | AutoresetMode,
    max_episode_steps: int | None,
    instances: Sequence[Mapping[str, Any]] | None,
    options: Mapping[str, Any],
) -> tuple[dict[str, Any], Mapping[str, Any] | Sequence[Mapping[str, Any]]]:
    """A VectorConfig, and the options: one mapping for all instances, or one each."""
    config = {
        "count": int(num_envs),
        "threads": threads,
        "autoreset": _MODES[AutoresetMode(autoreset_mode)],
        "max_steps": _max_steps(max_episode_steps),
    }
    if instances is None:
        return config, options
    if len(instances) != num_envs:
        raise ValueError(f"instances: expected {num_envs} mappings, got {len(instances)}")
    return config, [{**options, **instance} for instance in instances]
