"""Throughput of Maze2D: steps a second against EnvPool's PointMaze_UMaze-v3 and a bare Box2D loop, rows a second to disk.

Rounds alternate between the sides, so that noise of the machine hits both; figures are medians over the rounds. Both
step 64 instances on 2 threads with random controls. EnvPool is driven from Python, the way it is installed: once as a
whole batch a call and once asynchronously by half batches, and the faster of the two counts. Run it with an interpreter
that has EnvPool; the figures go into the results file that the README's table is made from:

  make build/peers/.stamp
  build/peers/bin/python benchmarks/compare/envpool_pointmaze.py build/release
"""

import argparse
import json
import pathlib
import statistics
import subprocess
import sys
import time

import envpool
import numpy as np

import results

INSTANCES, THREADS = 64, 2


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
    parser.add_argument("build", type=pathlib.Path, help="build folder")
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--seconds", type=float, default=1.0, help="a round and side")
    parser.add_argument("--file", type=pathlib.Path, default=pathlib.Path("benchmarks/results/maze2d.json"))
    args = parser.parse_args()
    commit = results.program_commit(args.build)
    program = str(args.build / "benchmarks" / "env_benchmark")

    pools = {"whole batch": EnvPoolSide(INSTANCES), "half batches": EnvPoolSide(INSTANCES // 2)}
    rates: dict[str, list[float]] = {"box2d": [], "mujoco": [], **{name: [] for name in pools}}
    for pool in pools.values():
        pool.measure(0.3)  # warm-up
    for _ in range(args.rounds):
        rates["box2d"].append(ours(program, 1, args.seconds))
        for name, pool in pools.items():
            rates[name].append(pool.measure(args.seconds))
        rates["mujoco"].append(ours(program, 5, args.seconds))
    paired = run_benchmark(program, f"^PairedStep/{THREADS}/", args.seconds)

    for name, values in rates.items():
        print(f"{name:12s} {statistics.median(values):12,.0f} steps/s   ({min(values):,.0f} to {max(values):,.0f})")
    # Paired by round; the way of driving EnvPool is chosen over all rounds, not in each, where noise would choose.
    ratio = min(statistics.median(a / b for a, b in zip(rates["box2d"], rates[name])) for name in pools)
    generated = run_benchmark(str(args.build / "benchmarks" / "generate_benchmark"), "^Generate/thousands:1000/instances:64/threads:2/", 1)["transitions_per_s"]
    envpool_rate = max(statistics.median(rates[name]) for name in pools)
    figures = [
        ("steps/s, Maze2D-UMaze-v0 on Box2D", statistics.median(rates["box2d"]), "steps/s", ""),
        ("steps/s, Maze2DMuJoCo-UMaze-v0", statistics.median(rates["mujoco"]), "steps/s", ""),
        ("steps/s, EnvPool's PointMaze_UMaze-v3", envpool_rate, "steps/s", ""),
        ("steps/s, Maze2D-UMaze-v0 on Box2D / EnvPool's PointMaze_UMaze-v3", ratio, "", ">= 8"),
        ("steps/s, Maze2D-UMaze-v0 on Box2D / a bare Box2D loop", paired["of_bare"], "", ">= 0.8"),
        ("steps/s, Maze2D-UMaze-v0 on Box2D / a bare loop with Box2D's own defaults", paired["of_stock"], "", ""),
        ("transitions/s recorded to disk", generated, "transitions/s", ">= 300000"),
    ]
    for name, value, unit, bar in figures:
        print(f"{name}: {value:,.3g} {unit} {bar}")
    note = f"{INSTANCES} instances, {THREADS} threads"
    figures = [(*figure, note) for figure in figures]
    results.save(args.file, figures, "python " + " ".join(sys.argv), ("envpool",), commit)
    return 0


if __name__ == "__main__":
    sys.exit(main())
