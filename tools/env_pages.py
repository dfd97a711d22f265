"""Writes docs/envs: a page per environment, from its header, its spec and a rendered frame.

usage: PYTHONPATH=build/release/python python tools/env_pages.py [--check]

With --check nothing is written, and a page that is not what would be written fails. Frames are not compared: they may
differ by a pixel between drawing libraries.
"""

from __future__ import annotations

import pathlib
import re
import sys

import gymnasium as gym
import numpy as np
from PIL import Image

import diffreward

ROOT = pathlib.Path(__file__).resolve().parent.parent
# A family of environments is described by the header that opens with its name: "// Hopper: one leg ...".
HEADERS = {
    opening.group(1): str(header.relative_to(ROOT))
    for header in sorted((ROOT / "envs").rglob("*.h"))
    if (opening := re.match(r"// ([A-Z]\w+): ", header.read_text()))
}

# Half widths of 95 % intervals of the means of whole episodes of random actions:
# diffreward generate --env ID --policy random --episode-steps 0 --count 50 --seed 1 --steps 200000 (Swimmer 1000000, Ant 400000).
RANDOM_INTERVALS = {"Hopper-v5": 0.3, "Walker2d-v5": 0.1, "Swimmer-v5": 0.6, "Swimmer-v4": 0.6, "Humanoid-v5": 0.7, "Humanoid-v4": 0.8,
                    "Ant-v5": 3.3, "Ant-v4": 3.3}
REFERENCES = """## Reference returns

What counts as 0 and as 100 in a score: `diffreward.score(env_id, returns)`, `EnvSpec::score`. D4RL's for its mazes, and for HalfCheetah, Hopper-v4
and Walker2d-v4, whose rules are those of its data. For the others, with an interval of 95 %, the mean of whole episodes of random actions in this
engine, and a yardstick: D4RL's expert of the same robot (Hopper-v5, Walker2d-v5), Gymnasium's `reward_threshold` (Swimmer, Ant), the return of RL
Baselines3 Zoo's TQC (Humanoid). An environment made with other options is another task, without references."""


def family_of(env_id: str) -> str:
    """The page that an id belongs on: the longest name that it begins with."""
    name = env_id.split("/")[1]
    return max((family for family in HEADERS if name.startswith(family)), key=len)


def opening_comment(header: str) -> str:
    lines = []
    for line in (ROOT / header).read_text().splitlines():
        if not line.startswith("//"):
            break
        lines.append(line[2:].removeprefix(" "))
    return "\n".join(lines)


def describe(space: gym.Space) -> str:
    if isinstance(space, gym.spaces.Dict):
        return ", ".join(f"{name} {describe(part)}" for name, part in space.items())
    return f"[{space.shape[0]}] {space.dtype}"


def cell(value: object) -> str:
    if value == sys.float_info.max:
        return "inf"
    return str(value).replace("|", "\\|") or "(empty)"


def page(family: str, ids: list[str]) -> str:
    title, rest = opening_comment(HEADERS[family]).split("\n", 1)
    lines = [f"# {family}", "", f"![{family}](../pictures/envs/{family}.png)", ""]
    lines += ["```text", title, rest.rstrip("\n"), "```", "", f"From `{HEADERS[family]}`.", ""]
    lines += ["| id | step limit | observation | action |", "|---|---|---|---|"]
    for env_id in ids:
        env = gym.make(env_id)
        limit = gym.spec(env_id).max_episode_steps or "none"
        lines.append(
            f"| `{env_id}` | {limit} | {describe(env.observation_space)} | {describe(env.action_space)} |"
        )
    lines += ["", f"Keyword arguments of `gymnasium.make(\"{ids[0]}\", ...)`, which are keys of a config file too:", ""]
    lines += ["| option | default | meaning |", "|---|---|---|"]
    for name, option in diffreward.env_options(ids[0]).items():
        choices = f" ({', '.join(option['choices'])})" if option["choices"] else ""
        default = option["default"]
        shown = [cell(x) for x in default] if isinstance(default, list) else cell(default)
        shown = f"[{', '.join(shown)}]" if isinstance(shown, list) else shown
        lines.append(f"| `{name}` | {shown} | {option['help']}{choices} |")
    return "\n".join(lines) + "\n"


def frame(env_id: str) -> np.ndarray:
    env = gym.make(env_id, render_mode="rgb_array", width=360, height=270)
    env.reset(seed=1)
    env.action_space.seed(1)
    for _ in range(8):
        env.step(env.action_space.sample())
    return env.render()


def index(families: dict[str, list[str]]) -> str:
    lines = ["# Environments", "", "Made by `tools/env_pages.py` from the headers.", ""]
    lines += [f"- [{family}]({family}.md): {', '.join(f'`{i}`' for i in ids)}" for family, ids in families.items()]
    lines += ["", *REFERENCES.splitlines(), "", "| id | random | expert |", "|---|---|---|"]
    for env_id in (env_id for ids in families.values() for env_id in ids):
        if references := diffreward.reference_returns(env_id):
            random, expert = (f"{value:,.1f}" for value in references)
            interval = f" ± {RANDOM_INTERVALS[name]}" if (name := env_id.split("/")[1]) in RANDOM_INTERVALS else ""
            lines.append(f"| `{env_id}` | {random}{interval} | {expert} |")
    return "\n".join(lines) + "\n"


def main() -> int:
    check = sys.argv[1:] == ["--check"]
    gym.logger.min_level = gym.logger.ERROR
    families: dict[str, list[str]] = {}
    for env_id in diffreward.env_ids():
        families.setdefault(family_of(env_id), []).append(env_id)
    pages = {f"{family}.md": page(family, ids) for family, ids in families.items()}
    pages["README.md"] = index(families)
    folder, stale = ROOT / "docs" / "envs", []
    for name, text in pages.items():
        path = folder / name
        if check:
            if not path.exists() or path.read_text() != text:
                stale.append(str(path.relative_to(ROOT)))
            continue
        folder.mkdir(exist_ok=True)
        path.write_text(text)
    if not check:
        pictures = ROOT / "docs" / "pictures" / "envs"
        pictures.mkdir(parents=True, exist_ok=True)
        for family, ids in families.items():
            Image.fromarray(frame(ids[1] if family == "Maze2D" else ids[0])).save(pictures / f"{family}.png", optimize=True)
    if stale:
        print(f"not what tools/env_pages.py writes: {', '.join(stale)}; run it")
    return 1 if stale else 0


if __name__ == "__main__":
    sys.exit(main())
