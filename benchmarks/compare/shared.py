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
import statistics
import subprocess
import sys
import tempfile

import results

ROOT = pathlib.Path(__file__).resolve().parents[2]
GOAL = ("--goal-cell", "1,1")
WORKLOADS = {  # the stage's arguments, without --out
    "environments": ("generate", "--steps", "6000000"),
    "training": ("train", "--data", "base", "--horizon", "24", "--stride", "8", "--batch", "128", "--steps", "600"),
    "extraction": ("extract", "--base", "model", "--expert", "expert_model", "--base-data", "base", "--expert-data", "expert",
                   "--channels", "2,3", "--steps", "3000"),
    "planning": ("plan", "--model", "planner", *GOAL, "--episodes", "64", "--episode-steps", "160", "--replan-every", "8",
                 "--follow", "states"),
    "PPO": ("rl", *GOAL, "--env-steps", "600000"),
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


class Runner:
    def __init__(self, build: pathlib.Path, folder: pathlib.Path) -> None:
        self.program, self.folder = (build / "cli" / "diffreward").resolve(), folder

    def start(self, out: str, arguments: tuple[str, ...], **environment: str) -> subprocess.Popen:
        clean = {name: value for name, value in os.environ.items() if name not in {"GOMP_SPINCOUNT", "OMP_WAIT_POLICY", "OMP_NUM_THREADS"}}
        return subprocess.Popen(
            [self.program, *arguments, "--out", out], cwd=self.folder, env={**clean, **environment},
            stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True,
        )  # fmt: skip

    def seconds(self, out: str, process: subprocess.Popen) -> float:
        _, error = process.communicate()
        if process.returncode:
            raise RuntimeError(f"{out}: {error.strip()}")
        return json.loads((self.folder / out / "stage.json").read_text())["seconds"]

    def run(self, out: str, arguments: tuple[str, ...], **environment: str) -> float:
        return self.seconds(out, self.start(out, arguments, **environment))


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
    runner.run("a", arguments)  # not counted: files are read for the first time
    for _ in range(rounds):
        times["alone"].append(runner.run("a", arguments))
        times["OpenMP's default"].append(runner.run("a", arguments, GOMP_SPINCOUNT="300000"))
        with busy_core():
            times["beside a busy program"].append(runner.run("a", arguments))
        both = [(out, runner.start(out, arguments)) for out in ("a", "b")]
        times["two at once"].append(max([runner.seconds(out, process) for out, process in both]))
    return times


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("build", type=pathlib.Path, help="build folder")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--only", nargs="*", default=list(WORKLOADS), choices=list(WORKLOADS))
    parser.add_argument("--file", type=pathlib.Path, default=ROOT / "benchmarks" / "results" / "shared.json")
    args = parser.parse_args()
    figures: list[results.Figure] = []
    with tempfile.TemporaryDirectory() as name:
        runner = Runner(args.build, pathlib.Path(name))
        for out, arguments in PREPARED.items():
            runner.run(out, arguments)
        for workload in args.only:
            times = measure(runner, WORKLOADS[workload], args.rounds)

            def ratio(way: str, to: str = "alone", times: dict[str, list[float]] = times) -> float:
                return statistics.median(a / b for a, b in zip(times[way], times[to], strict=True))

            note = ", ".join(f"{way} {statistics.median(values):.3g} s" for way, values in times.items())
            for label, value, bar in (
                ("beside a program that keeps one core busy / alone", ratio("beside a busy program"), "<= 2.2"),
                ("two at once / one", ratio("two at once"), "<= 2.3"),
                ("alone / alone with OpenMP's default wait", ratio("alone", "OpenMP's default"), "<= 1.03"),
            ):
                figures.append((f"{workload}: {label}", value, "", bar, note))
                print(f"{workload}: {label}: {value:.3g}  {bar}  ({note})", flush=True)
            results.save(args.file, figures, "make bench-shared", (), args.build)
    return 0


if __name__ == "__main__":
    sys.exit(main())
