"""Steps a second of Maze2D-UMaze-v0 against EnvPool's PointMaze_UMaze-v3, both sides in one run.

Rounds alternate between the sides, so that noise of the machine hits both; figures are medians over the rounds. Both
step 64 instances on 2 threads with random controls. EnvPool is driven from Python, the way it is installed: once as a
whole batch a call and once asynchronously by half batches, and the faster of the two counts. Run it with an interpreter
that has EnvPool:

  python3 -m venv .venv-bench && .venv-bench/bin/pip install envpool
  .venv-bench/bin/python benchmarks/compare/envpool_pointmaze.py build/benchmarks/env_benchmark --json out.json
"""

import argparse
import importlib.metadata
import json
import platform
import statistics
import subprocess
import sys
import time

import envpool
import numpy as np

INSTANCES, THREADS = 64, 2
EXPECTED = 8.0


def run_benchmark(program: str, name: str, seconds: float) -> dict:
    command = [program, f"--benchmark_filter={name}", "--benchmark_format=json", f"--benchmark_min_time={seconds}"]
    result = subprocess.run(command, check=True, capture_output=True, text=True)
    return json.loads(result.stdout)["benchmarks"][0]


def ours(program: str, engine: int, seconds: float) -> float:
    return run_benchmark(program, f"^VectorStep/{engine}/{INSTANCES}/{THREADS}/", seconds)["items_per_second"]


class EnvPoolSide:
    """One EnvPool, stepped by `batch` instances a call."""

    def __init__(self, batch: int):
        self.pool = envpool.make(
            "PointMaze_UMaze-v3", env_type="gymnasium", num_envs=INSTANCES, batch_size=batch, num_threads=THREADS
        )
        self.batch = batch
        space = self.pool.action_space
        self.actions = np.random.default_rng(1).uniform(-1, 1, (64, batch, *space.shape)).astype(space.dtype)
        self.pool.async_reset()

    def measure(self, seconds: float) -> float:
        steps, start = 0, time.perf_counter()
        while (elapsed := time.perf_counter() - start) < seconds:
            for actions in self.actions:
                ids = self.pool.recv()[-1]["env_id"]
                self.pool.send(actions, ids)
            steps += self.batch * len(self.actions)
        return steps / elapsed


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("program", help="the built env_benchmark")
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--seconds", type=float, default=1.0, help="a round and side")
    parser.add_argument("--json", help="file for the figures")
    args = parser.parse_args()

    pools = {"whole batch": EnvPoolSide(INSTANCES), "half batches": EnvPoolSide(INSTANCES // 2)}
    rates: dict[str, list[float]] = {"box2d": [], "mujoco": [], **{name: [] for name in pools}}
    for pool in pools.values():
        pool.measure(0.3)  # warm-up
    for _ in range(args.rounds):
        rates["box2d"].append(ours(args.program, 1, args.seconds))
        for name, pool in pools.items():
            rates[name].append(pool.measure(args.seconds))
        rates["mujoco"].append(ours(args.program, 5, args.seconds))
    paired = run_benchmark(args.program, f"^PairedStep/{THREADS}/", args.seconds)

    for name, values in rates.items():
        print(f"{name:12s} {statistics.median(values):12,.0f} steps/s   ({min(values):,.0f} to {max(values):,.0f})")
    # Paired by round; the way of driving EnvPool is chosen over all rounds, not in each, where noise would choose.
    ratio = min(statistics.median(a / b for a, b in zip(rates["box2d"], rates[name])) for name in pools)
    print(f"Maze2D-UMaze-v0 / EnvPool {importlib.metadata.version('envpool')}: {ratio:.1f} (at least {EXPECTED})")
    print(f"Maze2D-UMaze-v0 / bare Box2D: {paired['of_bare']:.2f} (at least 0.8); stock Box2D: {paired['of_stock']:.2f}")
    if args.json:
        command = "python " + " ".join(sys.argv)
        commit = subprocess.run(["git", "rev-parse", "--short", "HEAD"], capture_output=True, text=True).stdout.strip()
        machine = f"{platform.machine()}, {THREADS} threads"
        figures = [
            ("steps/s, Maze2D-UMaze-v0", statistics.median(rates["box2d"]), "steps/s", None),
            ("steps/s, Maze2DMuJoCo-UMaze-v0", statistics.median(rates["mujoco"]), "steps/s", None),
            ("steps/s, EnvPool PointMaze_UMaze-v3", max(statistics.median(rates[n]) for n in pools), "steps/s", None),
            ("Maze2D steps/s over EnvPool's PointMaze_UMaze-v3", ratio, "ratio", EXPECTED),
            ("Maze2D steps/s over a bare Box2D loop", paired["of_bare"], "ratio", 0.8),
        ]
        keys = ("name", "value", "unit", "bar", "command", "commit", "machine")
        with open(args.json, "w", encoding="utf-8") as file:
            json.dump([dict(zip(keys, (*figure, command, commit, machine))) for figure in figures], file, indent=2)
    return 0 if ratio >= EXPECTED else 1


if __name__ == "__main__":
    sys.exit(main())
