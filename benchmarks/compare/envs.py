"""Steps a second of vectorised environments: ours from C++ and from Python, bare MuJoCo, EnvPool, Gymnasium.

All sides of an id step 64 instances (2 threads) with random actions, in rounds that alternate between them, so that
noise of the machine hits all; ratios are medians over the rounds. Automatic resets are Gymnasium's next-step rule on
all sides; the bare loop, in C++, calls mj_step alone with the same frame skip.

usage: python benchmarks/compare/envs.py build/release [--peers PYTHON] [--rounds 9] [--seconds 1] [--ids ID ...] [--readme README.md]

PYTHON is an interpreter that has EnvPool, which wants other versions of its packages than this project; `make bench`
makes one. Without it EnvPool's rows are left out.
"""

from __future__ import annotations

import argparse
import os
import pathlib
import resource
import statistics
import subprocess
import sys
import time

import results

INSTANCES, THREADS = 64, 2
PACKAGES = ("mujoco", "gymnasium", "numpy")
LOCOMOTION = [
    f"{robot}-v5" for robot in ("HalfCheetah", "Hopper", "Walker2d", "Ant", "Swimmer", "Humanoid")
]
POINT_MAZE = "PointMaze_UMaze-v3"


# --- One side of the comparison, in a process of its own: reads seconds, answers with steps a second.


def make_side(side: str, env_id: str, threads: int):
    """A function that steps everything once, and the number of instances."""
    import numpy as np

    rng = np.random.default_rng(0)
    if side == "envpool":
        import envpool

        envs = envpool.make(env_id, env_type="gymnasium", num_envs=INSTANCES, num_threads=threads)
    else:
        import gymnasium as gym

        if side == "diffreward":
            import diffreward  # noqa: F401  registers the ids

            envs = gym.make_vec(f"diffreward/{env_id}", num_envs=INSTANCES, threads=threads)
        else:
            if env_id.startswith("PointMaze"):
                import gymnasium_robotics

                gym.register_envs(gymnasium_robotics)
            envs = gym.make_vec(env_id, num_envs=INSTANCES, vectorization_mode="sync")
    space = envs.action_space if side != "envpool" else None
    shape = space.shape if space is not None else (INSTANCES, *envs.action_space.shape)
    actions = rng.uniform(-1, 1, (32, *shape)).astype(np.float32 if side != "envpool" else envs.action_space.dtype)
    envs.reset(seed=0) if side != "envpool" else envs.reset()
    count = 0

    def step() -> None:
        nonlocal count
        envs.step(actions[count % len(actions)])
        count += 1

    return step


def work(side: str, env_id: str, threads: int) -> None:
    step = make_side(side, env_id, threads)
    print("ready", flush=True)
    for line in sys.stdin:
        limit, steps, begin = float(line), 0, time.perf_counter()
        while (elapsed := time.perf_counter() - begin) < limit:
            step()
            steps += INSTANCES
        print(steps / elapsed, flush=True)


class Worker:
    def __init__(self, python: str, side: str, env_id: str, threads: int, environment: dict[str, str]) -> None:
        command = [python, __file__, "--worker", side, env_id, str(threads)]
        self.process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, env=environment
        )
        if self.process.stdout.readline().strip() != "ready":
            sys.exit(f"{side} cannot make {env_id} with {python}")

    def rate(self, seconds: float) -> float:
        self.process.stdin.write(f"{seconds}\n")
        self.process.stdin.flush()
        return float(self.process.stdout.readline())

    def close(self) -> None:
        self.process.stdin.close()
        self.process.wait()


# --- Start-up and memory, each in a fresh process.


def start_up(env_id: str) -> None:
    begin = time.perf_counter()
    make_side("diffreward", env_id, THREADS)()
    print(time.perf_counter() - begin)


def memory(env_id: str, count: int) -> None:
    import gymnasium as gym
    import numpy as np

    import diffreward  # noqa: F401

    envs = gym.make_vec(f"diffreward/{env_id}", num_envs=count, threads=1)
    envs.reset(seed=0)
    envs.step(np.zeros(envs.action_space.shape))
    print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)


# --- The comparison.


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("build", type=pathlib.Path, help="build folder")
    parser.add_argument("--peers", help="Python interpreter that has EnvPool")
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--seconds", type=float, default=1.0, help="a round and side")
    parser.add_argument("--soak-steps", type=int, default=10_000_000)
    parser.add_argument("--ids", nargs="*", default=[*LOCOMOTION, POINT_MAZE])
    parser.add_argument("--file", type=pathlib.Path, default=pathlib.Path("benchmarks/results/envs.json"))
    parser.add_argument("--readme", type=pathlib.Path, help="write the table of speeds into this file")
    args = parser.parse_args()
    commit = results.program_commit(args.build)
    environment = {**os.environ, "PYTHONPATH": str(args.build / "python"), "OMP_NUM_THREADS": "1"}
    program = str(args.build / "benchmarks" / "env_throughput")

    def alone(*arguments: str) -> float:
        command = [sys.executable, __file__, *arguments]
        return float(subprocess.run(command, check=True, capture_output=True, text=True, env=environment).stdout)

    def native(what: str, env_id: str, threads: int) -> float:
        command = [program, what, env_id, str(INSTANCES), str(threads), str(args.seconds)]
        return float(subprocess.run(command, check=True, capture_output=True, text=True).stdout)

    figures: list[tuple] = []

    def add(name: str, value: float, unit: str = "", bar: str = "", note: str = "") -> None:
        figures.append((name, value, unit, bar, note))
        print(f"{name}: {value:,.4g} {unit}  {bar}  {note}", flush=True)

    for env_id in args.ids:
        measure_id(env_id, args, environment, native, add)
        results.save(args.file, figures, "make bench", PACKAGES, commit)
    if "HalfCheetah-v5" in args.ids:
        seconds = [alone("--start-up", "HalfCheetah-v5") for _ in range(5)]
        add("import, make and first step of 64 instances, HalfCheetah-v5", statistics.median(seconds), "s", "<= 2")
        few, many = alone("--memory", "HalfCheetah-v5", "64"), alone("--memory", "HalfCheetah-v5", "2112")
        add("memory per instance, HalfCheetah-v5", (many - few) / 2048, "kB")
        if args.soak_steps > 0:
            soak = [str(args.build / "tests" / "soak" / "soak"), "HalfCheetah-v5", str(args.soak_steps)]
            last = subprocess.run(soak, check=True, capture_output=True, text=True).stdout.splitlines()[-1]
            growth = float(last.split("(")[1].split("%")[0])
            add(f"growth of resident memory over {args.soak_steps:,} steps, HalfCheetah-v5", growth, "%", "<= 3")
    results.save(args.file, figures, "make bench", PACKAGES, commit)
    if args.readme:
        write_table(args.readme, args.file)
    return 0


def measure_id(env_id: str, args, environment: dict[str, str], native, add) -> None:
    python = {
        "python": Worker(sys.executable, "diffreward", env_id, THREADS, environment),
        "gymnasium": Worker(sys.executable, "gymnasium", env_id, 1, environment),
    }
    if args.peers:
        plain = {key: value for key, value in os.environ.items() if key != "PYTHONPATH"}
        python["envpool"] = Worker(args.peers, "envpool", env_id, THREADS, plain)
    for worker in python.values():
        worker.rate(0.3)  # warm-up
    rates: dict[str, list[float]] = {}
    for _ in range(args.rounds):
        if env_id != POINT_MAZE:
            rates.setdefault("bare", []).append(native("bare", env_id, THREADS))
        rates.setdefault("native", []).append(native("vector", env_id, THREADS))
        for name, worker in python.items():
            rates.setdefault(name, []).append(worker.rate(args.seconds))
        rates.setdefault("one thread", []).append(native("vector", env_id, 1))
    for worker in python.values():
        worker.close()

    def ratio(above: str, below: str) -> float:
        return statistics.median(a / b for a, b in zip(rates[above], rates[below], strict=True))

    for name, values in rates.items():
        print(f"  {env_id} {name:10s} {statistics.median(values):12,.0f} steps/s ({min(values):,.0f} to {max(values):,.0f})")
    maze = env_id == POINT_MAZE
    add(f"steps/s, {env_id}", statistics.median(rates["native"]), "steps/s")
    if "bare" in rates:
        add(f"steps/s from C++ / a bare mj_step loop, {env_id}", ratio("native", "bare"), "", ">= 0.9")
        add(f"steps/s from Python / a bare mj_step loop, {env_id}", ratio("python", "bare"), "", ">= 0.85")
    if "envpool" in rates:
        bar = ">= 2" if env_id == "HalfCheetah-v5" else ">= 1.5" if maze else ">= 1.2"
        add(f"steps/s from Python / EnvPool's, {env_id}", ratio("python", "envpool"), "", bar,
            f"EnvPool {statistics.median(rates['envpool']):,.0f} steps/s")
    add(f"steps/s from Python / Gymnasium's SyncVectorEnv, {env_id}", ratio("python", "gymnasium"), "", ">= 4")
    add(f"steps/s on 2 threads / on 1, {env_id}", ratio("native", "one thread"), "", "" if maze else ">= 1.8")


def write_table(path: pathlib.Path, file: pathlib.Path) -> None:
    """The README's table of speeds, one row an environment."""
    found = results.load(file)
    columns = {
        "steps/s": "steps/s, {}",
        "C++ / bare `mj_step`": "steps/s from C++ / a bare mj_step loop, {}",
        "Python / bare `mj_step`": "steps/s from Python / a bare mj_step loop, {}",
        "Python / EnvPool": "steps/s from Python / EnvPool's, {}",
        "Python / `SyncVectorEnv`": "steps/s from Python / Gymnasium's SyncVectorEnv, {}",
        "2 threads / 1": "steps/s on 2 threads / on 1, {}",
    }
    bars = ["bar", "", "0.9", "0.85", "1.2; HalfCheetah 2; maze 1.5", "4", "1.8"]
    rows = [[env_id, *(results.cell(found, name.format(env_id)) for name in columns.values())] for env_id in [*LOCOMOTION, POINT_MAZE]]
    results.replace_table(path, "environments", [["", *columns], *rows, bars])


if __name__ == "__main__":
    if sys.argv[1:2] == ["--worker"]:
        work(sys.argv[2], sys.argv[3], int(sys.argv[4]))
    elif sys.argv[1:2] == ["--start-up"]:
        start_up(sys.argv[2])
    elif sys.argv[1:2] == ["--memory"]:
        memory(sys.argv[2], int(sys.argv[3]))
    else:
        sys.exit(main())
