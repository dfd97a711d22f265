"""Writes bindings/python/diffreward/commands.py: every command as a typed function, from the fields of its config.

usage: PYTHONPATH=build/release/python python tools/python_commands.py [--check]
"""

import importlib.machinery
import importlib.util
import json
import pathlib
import sys
import textwrap

TARGET = pathlib.Path(__file__).parents[1] / "bindings" / "python" / "diffreward" / "commands.py"
RETURNS = {"generate": "Recording", "join": "Recording", "train": "DiffusionModel", "extract": "ExtractedReward", "rl": "Agent"}
TYPES = {"int": "int", "float": "float", "bool": "bool"}
WIDTH = 120
# What a function takes beside paths (diffreward/own.py).
ALSO = {
    ("extract", "expert"): "Denoiser", ("extract", "base"): "Denoiser",
    ("extract", "expert_data"): "Array", ("extract", "base_data"): "Array",
}
NOTES = {"extract": "Models may be of your own (``Denoiser``), with samples [n, rows, width] in their units as data."}

EXAMPLES = {
    "generate": """
>>> walks = dr.generate(env="Maze2D-UMaze-v0", goal_cell=(1, 1), steps=400, count=2, progress=False)
>>> walks.data.actions.shape, walks.figures["episodes"]
((400, 2), 2)""",
    "join": """
>>> walks = [dr.generate(env="Maze2D-UMaze-v0", goal_cell=(1, 1), steps=400, count=2, seed=seed, progress=False)
...          for seed in (0, 1)]
>>> dr.join(data=walks, progress=False).data.actions.shape
(800, 2)""",
    "train": """
>>> model = dr.train(data=base_data, model={"horizon": 4, "dim": 16}, steps=2, progress=False)
>>> model.horizon, model.parameters, model.figures["training"]["steps"]
(4, 4424, 2)""",
    "extract": """
>>> reward = dr.extract(expert=expert, base=base, expert_data=expert_data, base_data=base_data, channels=[2, 3],
...                     steps=2, progress=False)
>>> reward.score(np.zeros((5, reward.horizon, 6))).shape, reward.reads
((5,), 'reached')""",
    "evaluate": """
>>> judged = dr.evaluate(rewards=[reward.file], expert_data=expert_data, base_data=base_data, per_cell=4, progress=False)
>>> sorted(judged.figures["rewards"]["reward"])
['epic', 'heatmap', 'marginal_heatmap', 'over_t', 'preference', 'separation']""",
    "rl": """
>>> agent = dr.rl(env="Maze2D-UMaze-v0", goal_cell=(1, 1), reward=reward, reading="shaped", count=2, env_steps=256,
...               episodes=2, progress=False)
>>> agent.predict(np.ones(4))[0].shape, 0 <= agent.figures["judges"]["task"]["success"]["value"] <= 1
((2,), True)""",
    "steer": """
>>> steered = dr.steer(base=model, expert=expert_model, reward=guide, expert_data=expert_data, base_data=base_data,
...                    samples=4, sample={"sampler": "ddim", "steps": 5}, progress=False)
>>> 0 <= steered.figures["guided"]["success"]["value"] <= 1
True""",
    "plan": """
>>> planned = dr.plan(model=model, env="Maze2D-UMaze-v0", goal_cell=(1, 1), sample={"sampler": "ddim", "steps": 5},
...                   replan_every=8, count=2, episodes=2, episode_steps=16, progress=False)
>>> planned.figures["plans"]
4""",
    "film": """
>>> hops = dr.generate(env="Hopper-v4", policy="Hopper-v4/medium", steps=40, count=2, whole_episodes=False, progress=False)
>>> dr.film(data=[hops], names=["medium"], steps=10, width=64, progress=False).figures["episodes"][0]["name"]
'medium'""",
    "sd train": """
>>> scenes = dr.generate(env="EmojiScenes-64", scenes={"count": 32}, progress=False)
>>> small = dr.sd_train(images=scenes, autoencoder={"steps": 1, "batch": 2}, denoiser={"steps": 1, "batch": 2}, progress=False,
...                     pipeline={"vae_channels": [8, 8], "unet_channels": [8, 8], "unet_attention": [0, 1], "text_width": 8})
>>> small.figures["images"], (small.folder / "pipeline" / "model_index.json").exists()
(32, True)""",
    "sd extract": """
>>> scenes = dr.generate(env="EmojiScenes-64", scenes={"count": 8, "no_caption": 0.0}, progress=False)
>>> reward = dr.sd_extract(model=pipeline, prompts=scenes, most=4, chains={"steps": 2}, steps=2, dim=8, dim_mults=[1, 2],
...                        held_out=0.5, progress=False)
>>> reward.figures["chains"], dr.ImageReward.load(reward.folder / "reward.safetensors").shape
(8, (4, 16, 16))""",
    "image report": """
>>> made = dr.sd_sample(model=pipeline, prompts="a castle", samples=3, steps=2, progress=False)
>>> dr.image_report(images=[made], reward=image_reward, model=pipeline, progress=False).figures["pictures"]
3""",
    "image judge": """
>>> scenes = dr.generate(env="EmojiScenes-64", scenes={"count": 8}, progress=False)
>>> dr.image_judge(weights="absent.safetensors", scenes=scenes, progress=False)
Traceback (most recent call last):
RuntimeError: absent.safetensors: no such file""",
    "image evaluate": """
>>> scenes = dr.generate(env="EmojiScenes-64", scenes={"count": 60, "size": 32}, progress=False)
>>> judged = dr.image_evaluate(model=pipeline, rewards=[image_reward], concepts=["weapons"], scenes=[scenes], progress=False)
>>> 0 <= next(iter(next(iter(judged.figures["sets"].values()))["rewards"].values()))["auroc"]["value"] <= 1
True""",
    "sd sample": """
>>> made = dr.sd_sample(model=pipeline, prompts="a castle", steps=2, safety="max", progress=False)
>>> made.figures["pictures"], (made.folder / "000000.png").exists()
(1, True)""",
    "sd encode": """
>>> made = dr.sd_sample(model=pipeline, prompts="a castle", steps=2, progress=False)
>>> dr.sd_encode(model=pipeline, images=[made.folder / "000000.png"], progress=False).figures["latents"]
1""",
    "sd decode": """
>>> made = dr.sd_sample(model=pipeline, prompts="a castle", steps=2, progress=False)
>>> dr.sd_decode(model=pipeline, latents=[made], progress=False).figures["pictures"]
1""",
    "run": """
>>> [step["step"] for step in dr.run("maze2d-tiny", list=True).figures["steps"]][:3]
['base_data', 'expert_data', 'base_test']""",
}

HEAD = '''"""The commands as functions: keywords are the keys of their configs.

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
'''


def native_module():
    """diffreward._chain without the package around it, whose commands may be stale or missing."""
    folders = [str(pathlib.Path(path) / "diffreward") for path in sys.path]
    spec = importlib.machinery.PathFinder.find_spec("_chain", folders)
    if spec is None:
        sys.exit("diffreward/_chain is not on PYTHONPATH: build it first")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def type_of(field: dict) -> str:
    kind = field["kind"]
    if kind == "table":
        return "Mapping[str, Any]"
    if kind.endswith("[]"):
        item = TYPES.get(kind[:-2], "Path")
        return f"Sequence[{item}]"
    if field["choices"]:
        return "Literal[" + ", ".join(json.dumps(choice) for choice in field["choices"]) + "]"
    return TYPES.get(kind, "Path")


def wrapped(text: str, indent: int, hang: int = 4) -> str:
    return textwrap.fill(text, WIDTH, initial_indent=" " * indent, subsequent_indent=" " * (indent + hang),
                         break_on_hyphens=False, break_long_words=False)


def described(field: dict, name: str) -> str:
    choices = f" ({', '.join(json.dumps(c) for c in field['choices'])})" if field["choices"] else ""
    return f"{name}: {field['help']}{choices} [{json.dumps(field['default'])}]"


def python_name(command: dict) -> str:
    return command["name"].replace(" ", "_")


def function(command: dict) -> str:
    required, parameters, documented, names = [], [], [], []
    groups: dict[str, list[dict]] = {}
    for field in command["fields"]:
        group, dot, _ = field["name"].partition(".")
        if dot:
            first = group not in groups
            groups.setdefault(group, []).append(field)
            if not first:
                continue
            # A text stands for the first field of a group: env="Maze2D-UMaze-v0".
            text = "Path, " if field["kind"] == "text" else ""
            kind = f"Union[{text}Mapping[str, Any]]" if text else "Mapping[str, Any]"
            parameters.append(f"{group}: {kind} | None = None")
            names.append(group)
            documented.append(group)
            continue
        name = field["name"]
        if name == "reuse":
            continue
        names.append(name)
        documented.append(field)
        also = ALSO.get((command["name"], name))
        of_field = f"Union[{type_of(field)}, {also}]" if also else type_of(field)
        if name in command["required"] and name != "out":
            required.append(f"{name}: {of_field}")
        else:
            default = field["default"]
            shown = "None" if default in ("", [], {}) else repr(default)
            kind = of_field + (" | None" if shown == "None" else "")
            parameters.append(f"{name}: {kind} = {shown}")
    parameters.append("progress: bool = True")
    first = "job: Path, *" if command["name"] == "run" else "*"
    if command["name"] == "run":
        parameters = [p for p in parameters if not p.startswith("job:")]
    has_env = "env" in groups
    more = "**options: Any"
    signature = ",\n".join("    " + p for p in [first, *required, *parameters, more])
    returns = RETURNS.get(command["name"], "Stage")
    out = [f"\n\ndef {python_name(command)}(\n{signature},\n) -> {returns}:"]
    out.append(f'    """{command["summary"][0].upper()}{command["summary"][1:]}.\n')
    if command["details"] and "--" not in command["details"]:
        out.append(wrapped(command["details"], 4, 0) + "\n")
    if command["name"] in NOTES:
        out.append(wrapped(NOTES[command["name"]], 4, 0) + "\n")
    out.append("    Args:")
    for entry in documented:
        if isinstance(entry, str):
            parts = [described(f, f["name"].partition(".")[2]) for f in groups[entry]]
            out.append(wrapped(f"{entry}: a table of " + "; ".join(parts), 8))
        else:
            out.append(wrapped(described(entry, entry["name"]), 8))
    out.append(wrapped("progress: show progress on standard error", 8))
    what = "options of the environment (goal_cell=(1, 1)), or " if has_env else ""
    out.append(wrapped(f"**options: {what}fields of the tables above by their last names alone", 8))
    out.append("")
    out.append("    Raises:")
    out.append("        ValueError: an unknown keyword, naming the nearest, or a value out of range.")
    out.append("        RuntimeError: a file that is missing or damaged, or a run that failed.")
    out.append("\n    Example:" + textwrap.indent(EXAMPLES[command["name"]], 8 * " "))
    out.append('    """')
    given = ", ".join(f'"{name}": {name}' for name in [*names, "progress"])
    call = f"    return run_stage({json.dumps(command['name'])}, {{{given}}}, options)"
    if len(call) > WIDTH:
        given = ",\n".join(f'        "{name}": {name}' for name in [*names, "progress"])
        call = f"    given = {{\n{given},\n    }}\n    return run_stage({json.dumps(command['name'])}, given, options)"
    out.append(call)
    return "\n".join(out)


def module() -> str:
    commands = [c for c in json.loads(native_module().describe_commands()) if c["stage"] or c["name"] == "run"]
    names = sorted(python_name(command) for command in commands)
    exported = "\n__all__ = [\n" + "".join(f'    "{name}",\n' for name in names) + "]\n"
    return HEAD + exported + "".join(function(command) for command in commands) + "\n"


if __name__ == "__main__":
    text = module()
    if "--check" in sys.argv[1:]:
        if TARGET.read_text() != text:
            sys.exit(f"{TARGET.name} is stale: run tools/python_commands.py")
    else:
        TARGET.write_text(text)
