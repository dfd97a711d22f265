"""How SAC learns a robot: ours and Stable-Baselines3's with equal settings, some seeds each, by the same evaluations.

Both sides: one environment, an update a step, batch 256, nets of 256 x 256, rate 3e-4, tau 0.005, 1,000 steps of uniform actions
first; every 10,000 steps the mean return of 10 whole episodes with deterministic actions. A run takes some minutes of one core and is kept
when it ends, so that it can be stopped and started. Prints both curves, means over seeds with Student's
95 % intervals, and keeps the last point of each, and the share of points whose intervals overlap. The curves themselves are part of the
repository (benchmarks/results/curves), a run each with its commit and versions: more seeds are added to them, `--again` makes all of them anew.

usage: python benchmarks/compare/learning_curves.py build/release [--env HalfCheetah-v5] [--steps 100000] [--seeds 5] [--jobs 2] [--again]
"""

from __future__ import annotations

import argparse
import concurrent.futures
import importlib.metadata
import json
import math
import multiprocessing
import pathlib
import statistics
import subprocess
import sys

import results

ROOT = pathlib.Path(__file__).resolve().parents[2]
EVERY, EPISODES, STARTS = 10_000, 10, 1_000
SIDES = ("ours", "SB3")
PACKAGES = ("stable_baselines3", "torch", "gymnasium")
Curve = list[tuple[int, float]]  # environment steps, mean return


def ours(build: pathlib.Path, env: str, steps: int, seed: int, folder: pathlib.Path) -> Curve:
    out = folder / f"ours-{env}-{steps}-{seed}"
    subprocess.run(
        [build / "cli" / "diffreward", "rl", "--env", env, "--algorithm", "sac", "--count", "1", "--env-steps", str(steps),
         "--learning-starts", str(STARTS), "--evaluate-every", str(EVERY), "--evaluate-episodes", str(EPISODES), "--episodes", "1",
         "--report-every", str(EVERY), "--seed", str(seed), "--threads", "1", "--quiet", "--reuse", "--out", out],
        check=True, stdout=subprocess.DEVNULL,
    )  # fmt: skip
    lines = [json.loads(line) for line in (out / "metrics.jsonl").read_text().splitlines()]
    return [(line["env_steps"], line["evaluation_return"]) for line in lines if "evaluation_return" in line]


def peer(env: str, steps: int, seed: int) -> Curve:
    import gymnasium
    import stable_baselines3
    import torch
    from stable_baselines3.common.evaluation import evaluate_policy

    torch.set_num_threads(1)
    judge = stable_baselines3.common.monitor.Monitor(gymnasium.make(env))
    judge.reset(seed=seed + 1_000_000)
    agent = stable_baselines3.SAC("MlpPolicy", env, learning_starts=STARTS, seed=seed, device="cpu")
    curve: Curve = []
    while agent.num_timesteps < steps:
        agent.learn(EVERY, reset_num_timesteps=False)
        curve.append((agent.num_timesteps, float(evaluate_policy(agent, judge, EPISODES)[0])))
    return curve


def run(side: str, build: pathlib.Path, env: str, steps: int, seed: int, folder: pathlib.Path) -> Curve:
    return ours(build, env, steps, seed, folder) if side == "ours" else peer(env, steps, seed)


class Curves:
    """The file of finished runs, in the order of sides and seeds."""

    def __init__(self, path: pathlib.Path, again: bool) -> None:
        self.path = path
        runs = json.loads(path.read_text()) if path.exists() and not again else []
        self.runs = {(run["side"], run["seed"]): run for run in runs}

    def add(self, side: str, seed: int, curve: Curve, **facts: object) -> None:
        self.runs[side, seed] = {"side": side, "seed": seed, **facts, "curve": curve}
        self.path.parent.mkdir(parents=True, exist_ok=True)
        temporary = self.path.with_suffix(".tmp")
        lines = ",\n".join(json.dumps(self.runs[key]) for key in sorted(self.runs))
        temporary.write_text(f"[\n{lines}\n]\n")
        temporary.replace(self.path)

    def __getitem__(self, key: tuple[str, int]) -> Curve:
        return self.runs[key]["curve"]


def interval(values: list[float]) -> tuple[float, float, float]:
    """Mean and Student's 95 % interval."""
    from scipy.stats import t

    mean = statistics.mean(values)
    half = t.ppf(0.975, len(values) - 1) * statistics.stdev(values) / math.sqrt(len(values))
    return mean, mean - half, mean + half


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("build", type=pathlib.Path, help="build folder")
    parser.add_argument("--env", default="HalfCheetah-v5")
    parser.add_argument("--steps", type=int, default=100_000)
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--jobs", type=int, default=2, help="runs side by side, a core each")
    parser.add_argument("--folder", type=pathlib.Path, default=ROOT / "build" / "learning-curves", help="of runs of ours")
    parser.add_argument("--curves", type=pathlib.Path, default=ROOT / "benchmarks" / "results" / "curves", help="folder of finished runs")
    parser.add_argument("--again", action="store_true", help="make finished runs again")
    parser.add_argument("--file", type=pathlib.Path, default=ROOT / "benchmarks" / "results" / "behaviours.json")
    args = parser.parse_args()
    commit = results.program_commit(args.build)
    args.folder.mkdir(parents=True, exist_ok=True)
    curves = Curves(args.curves / f"sac-{args.env}-{args.steps}.json", args.again)
    wanted = [(side, seed) for seed in range(args.seeds) for side in SIDES if (side, seed) not in curves.runs]
    with concurrent.futures.ProcessPoolExecutor(args.jobs, multiprocessing.get_context("spawn")) as pool:
        runs = {pool.submit(run, side, args.build.resolve(), args.env, args.steps, seed, args.folder): (side, seed) for side, seed in wanted}
        for done in concurrent.futures.as_completed(runs):
            side, seed = runs[done]
            made_by = {"commit": commit} if side == "ours" else {name: importlib.metadata.version(name) for name in PACKAGES}
            curves.add(side, seed, done.result(), **made_by)

    points = len(curves["ours", 0])
    overlaps, last = 0, {}
    print(f"{'steps':>8}  " + "  ".join(f"{side:>28}" for side in SIDES))
    for k in range(points):
        estimates = {side: interval([curves[side, seed][k][1] for seed in range(args.seeds)]) for side in SIDES}
        texts = [f"{mean:8.0f} [{low:8.0f}, {high:8.0f}]" for mean, low, high in estimates.values()]
        print(f"{curves['ours', 0][k][0]:8d}  " + "  ".join(f"{text:>28}" for text in texts), flush=True)
        overlaps += estimates["ours"][1] <= estimates["SB3"][2] and estimates["SB3"][1] <= estimates["ours"][2]
        last = estimates
    label = f"{args.env}: SAC at {args.steps} steps"
    figures: list[results.Figure] = [
        (f"{label}, {side}", last[side][0], "return", "", f"95 % interval {last[side][1]:.0f} to {last[side][2]:.0f}, {args.seeds} seeds")
        for side in SIDES
    ]
    figures.append((f"{label}, points of both curves whose intervals overlap", overlaps / points, "", ">= 1", f"{points} points"))
    results.save(args.file, figures, "make bench-learning-curves", PACKAGES, commit)
    return 0


if __name__ == "__main__":
    sys.exit(main())
