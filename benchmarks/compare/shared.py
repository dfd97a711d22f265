"""A machine that is not ours alone: what the command costs beside another busy program, and beside itself.

Each workload is a stage of the command with its default threads; its time is the one in its record, without loading the
program. Rounds alternate between: alone; alone with OpenMP's own way of waiting (GOMP_SPINCOUNT=300000, its default);
beside a program that keeps one core busy; two at once. Ratios are medians over the rounds.

usage: python benchmarks/compare/shared.py build/release [--rounds 5] [--only training ...]
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import pathlib
import shutil
import statistics
import subprocess
import sys
import tempfile

import results

ROOT = pathlib.Path(__file__).resolve().parents[2]
GOAL = ("--env-option", "goal_cell=1,1")
WORKLOADS = {  # the stage's arguments, without --out
    "environments": ("generate", "--steps", "3000000"),
    "training": ("train", "--data", "base", "--horizon", "24", "--stride", "8", "--batch", "128", "--steps", "300"),
    "extraction": ("extract", "--base", "model", "--expert", "expert_model", "--base-data", "base", "--expert-data", "expert",
                   "--channels", "2,3", "--steps", "1500"),
    "planning": ("plan", "--model", "planner", *GOAL, "--episodes", "64", "--episode-steps", "160", "--replan-every", "8",
                 "--follow", "states", "--sampler", "ddim", "--steps", "10"),
    "PPO": ("rl", *GOAL, "--env-steps", "400000"),
}  # fmt: skip
PREPARED = {
    "base": ("generate", "--steps", "600000"),
    "expert": ("generate", "--steps", "200000", *GOAL),
    "model": ("train", "--data", "base", "--horizon", "8", "--stride", "8", "--steps", "100"),
    "expert_model": ("train", "--data", "expert", "--start", "model", "--horizon", "8", "--stride", "8", "--steps", "50"),
    "planner": ("train", "--data", "expert", "--horizon", "32", "--stride", "4", "--condition-probability", "1", "--net",
                "unet", "--dim", "32", "--steps", "100"),
}  # fmt: skip
WAYS = ("alone", "OpenMP's default", "beside a busy program", "two at once")
OPENMP = ("training", "extraction", "planning")  # the others have threads of their own


class Runner:
    def __init__(self, build: pathlib.Path, folder: pathlib.Path) -> None:
        self.program, self.folder, self.runs = (build / "cli" / "diffreward").resolve(), folder, 0

    def run(self, arguments: tuple[str, ...], copies: int = 1, out: str = "", **environment: str) -> float:
        """Seconds of the slowest of some equal stages that run side by side, each in a fresh folder."""
        ours = {"GOMP_SPINCOUNT", "OMP_WAIT_POLICY", "OMP_NUM_THREADS"}
        clean = {name: value for name, value in os.environ.items() if name not in ours}
        processes: dict[str, subprocess.Popen] = {}
        try:
            for _ in range(copies):
                self.runs += 1
                name = out or f"run{self.runs}"
                processes[name] = subprocess.Popen(
                    [self.program, *arguments, "--out", name], cwd=self.folder, env={**clean, **environment},
                    stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True,
                )  # fmt: skip
            for name, process in processes.items():
                _, error = process.communicate()
                if process.returncode:
                    raise RuntimeError(f"diffreward {' '.join(arguments)}: {error.strip()}")
        finally:
            for process in processes.values():
                process.kill()
                process.wait()
        seconds = max(json.loads((self.folder / name / "stage.json").read_text())["seconds"] for name in processes)
        if not out:
            for name in processes:
                shutil.rmtree(self.folder / name)
        return seconds


@contextlib.contextmanager
def busy_core():
    process = subprocess.Popen([sys.executable, "-c", "while True: pass"])
    try:
        yield
    finally:
        process.kill()
        process.wait()


def measure(runner: Runner, arguments: tuple[str, ...], rounds: int) -> dict[str, list[float]]:
    """Seconds of each way, round by round."""
    times: dict[str, list[float]] = {way: [] for way in WAYS}
    runner.run(arguments)  # not counted: files are read for the first time
    for _ in range(rounds):
        times["alone"].append(runner.run(arguments))
        times["OpenMP's default"].append(runner.run(arguments, GOMP_SPINCOUNT="300000"))
        with busy_core():
            times["beside a busy program"].append(runner.run(arguments))
        times["two at once"].append(runner.run(arguments, copies=2))
    return times


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("build", type=pathlib.Path, help="build folder")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--only", nargs="*", default=list(WORKLOADS), choices=list(WORKLOADS))
    parser.add_argument("--file", type=pathlib.Path, default=ROOT / "benchmarks" / "results" / "shared.json")
    args = parser.parse_args()
    commit = results.program_commit(args.build)
    figures: list[results.Figure] = []
    with tempfile.TemporaryDirectory() as name:
        runner = Runner(args.build, pathlib.Path(name))
        for out, arguments in PREPARED.items():
            runner.run(arguments, out=out)
        for workload in args.only:
            times = measure(runner, WORKLOADS[workload], args.rounds)
            note = ", ".join(f"{way} {statistics.median(values):.3g} s" for way, values in times.items())
            comparisons = [
                ("beside a program that keeps one core busy / alone", "beside a busy program", "alone", "<= 2.2"),
                ("two at once / one", "two at once", "alone", "<= 2.3"),
            ]
            if workload in OPENMP:
                comparisons.append(("alone / alone with OpenMP's default wait", "alone", "OpenMP's default", "<= 1.03"))
            for label, way, to, bar in comparisons:
                value = statistics.median(a / b for a, b in zip(times[way], times[to], strict=True))
                figures.append((f"{workload}: {label}", value, "", bar, note))
                print(f"{workload}: {label}: {value:.3g}  {bar}  ({note})", flush=True)
            results.save(args.file, figures, "make bench-shared", (), commit)
    return 0


if __name__ == "__main__":
    sys.exit(main())
