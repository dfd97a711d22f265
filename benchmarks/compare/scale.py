"""What shards cost: over one run, to ask a million of them, to open a thousand as one data set; what it costs to train on two
processes of one thread in place of one of two; and, simulated with these rates (cluster.py), what a thousand cores make of shards. What the
simulation says is compared with processes on this machine that are killed. Its rates and tables are what docs/scale.md counts with.

Sharded and whole recordings alternate; both sides' time is processor time, since machines are shared, and wall time stands in the
notes. Files lie in TMPDIR.

usage: python benchmarks/compare/scale.py build/release [--rounds 5] [--only overhead status open ranks cluster]
"""

from __future__ import annotations

import argparse
import collections
import json
import os
import pathlib
import random
import re
import resource
import shutil
import socket
import statistics
import subprocess
import tempfile
import time

import cluster
import results

ROOT = pathlib.Path(__file__).resolve().parents[2]
FIGURES = ROOT / "benchmarks" / "results" / "scale.json"
WORKLOADS = {  # shards of 120 MiB and of 30 MiB, a quarter of what a plan chooses: of larger ones the cost is a smaller share
    "Maze2D": ("--steps", "3276800", "--count", "1024"),
    "HalfCheetah": ("--env", "HalfCheetah-v4", "--policy", "random", "--steps", "128000", "--count", "128", "--episode-steps", "0"),
}
SHARDS = 2
TRAININGS = {  # the maze job's models of whole walks, and those of its Temporal U-Net (jobs/maze2d.toml, maze2d-unet.toml): steps, config
    "MLP": (300, ("--horizon", "24", "--stride", "8", "--batch", "128")),
    "Temporal U-Net": (24, ("--net", "unet", "--horizon", "64", "--stride", "1", "--dim", "32", "--dim-mults", "1,4,8", "--batch", "32")),
}
PAGE = ROOT / "docs" / "scale.md"
PICTURE = ROOT / "docs" / "pictures" / "cluster.png"


class Timer:
    """Runs a command; its wall and processor seconds."""

    def __init__(self, program: pathlib.Path) -> None:
        self.program = program

    def __call__(self, *args: str) -> tuple[float, float, dict]:
        before, start = resource.getrusage(resource.RUSAGE_CHILDREN), time.monotonic()
        out = subprocess.run([self.program, *args, "--json", "--quiet"], check=True, capture_output=True, text=True).stdout
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        return (time.monotonic() - start, after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime, json.loads(out))


def overhead(run: Timer, folder: pathlib.Path, rounds: int) -> list[results.Figure]:
    figures: list[results.Figure] = []
    for name, size in WORKLOADS.items():
        ratios, walls, ours, merges, rate, size_of = [], [], [], [], [], 0
        for number in range(rounds):
            whole, plan, merged = folder / "whole", folder / "plan", folder / "merged"
            sides = {
                "whole": lambda: run("generate", "--out", str(whole), "--threads", "1", *size),
                "shards": lambda: run("shard", "run", str(plan), "--threads", "1"),
            }
            run("shard", "plan", "--out", str(plan), "--shards", str(SHARDS), *size)
            times = {side: sides[side]() for side in (sides if number % 2 else reversed(sides))}
            ratios.append(times["shards"][1] / times["whole"][1])
            walls.append(times["shards"][0] / times["whole"][0])
            ours.append(times["shards"][1])
            rate.append(times["shards"][2]["rows"] / times["shards"][1])
            merges.append(run("shard", "merge", str(plan), "--out", str(merged))[1])
            size_of = (whole / "data.hdf5").stat().st_size / times["shards"][2]["rows"]
            for path in (whole, plan, merged):
                shutil.rmtree(path)
        note = (f"processor time, {rounds} rounds: ratios {min(ratios):.3f} to {max(ratios):.3f}, of wall time {statistics.median(walls):.3f}; "
                f"{SHARDS} shards in {statistics.median(ours):.2f} s, merging {statistics.median(merges):.2f} s more; {size_of:.0f} bytes a row")
        figures.append((f"{name}: shards / one run", statistics.median(ratios), "", "<= 1.05", note))
        figures.append((f"{name}: rows of shards a core-second", statistics.median(rate), "rows/s", "", f"{size_of:.0f} bytes a row"))
    return figures


def status(run: Timer, folder: pathlib.Path) -> list[results.Figure]:
    count = 1_000_000
    plan = folder / "plan"
    run("shard", "plan", "--out", str(plan), "--steps", str(count), "--count", str(count), "--episode-steps", "1", "--shards", str(count))
    for block in range(count // 1000):
        names = plan / "shards" / str(block)
        names.mkdir(parents=True)
        for index in range(block * 1000, block * 1000 + 1000):
            if index % 100_000 != 7:  # ten are missing
                os.close(os.open(names / f"shard-{index}.json", os.O_CREAT | os.O_WRONLY))
                os.close(os.open(names / f"{index}.h5", os.O_CREAT | os.O_WRONLY))
    times, walls, memory = [], [], 0.0
    for _ in range(3):
        start = time.monotonic()
        process = subprocess.Popen([run.program, "shard", "status", str(plan), "--json"], stdout=subprocess.PIPE, text=True)
        assert process.stdout is not None
        with process.stdout:
            found = json.loads(process.stdout.read())
        _, code, used = os.wait4(process.pid, 0)
        process.returncode = code
        walls.append(time.monotonic() - start)
        times.append(used.ru_utime + used.ru_stime)
        memory = max(memory, used.ru_maxrss / 1024)
        assert code == 0 and found["missing"] == 10 and found["done"] == count - 10, found
    empty = subprocess.Popen([run.program, "--version"], stdout=subprocess.DEVNULL)
    _, _, used = os.wait4(empty.pid, 0)
    note = (f"processor time, of a million simulated shards, ten of which are missing; three times, {min(times):.2f} to {max(times):.2f} s, "
            f"by the clock {min(walls):.2f} to {max(walls):.2f} s")
    return [
        ("status of a million shards", statistics.median(times), "s", "<= 5", note),
        ("status of a million shards, memory", memory, "MB", "<= 200", f"the program without work: {used.ru_maxrss / 1024:.0f} MB"),
    ]


def opening(run: Timer, probe: pathlib.Path, folder: pathlib.Path) -> list[results.Figure]:
    plan = folder / "plan"
    run("shard", "plan", "--out", str(plan), "--steps", "4096000", "--count", "16000", "--episode-steps", "256", "--shards", "1000")
    made = run("shard", "run", str(plan), "--threads", "1")[0]
    found = [json.loads(subprocess.run([probe, plan], check=True, capture_output=True, text=True).stdout) for _ in range(5)]
    assert all(one["rows"] == 4_096_000 for one in found)
    times = [one["seconds"] for one in found]
    note = (f"4,096 rows each, mapped where they lie; five times, {min(times):.2f} to {max(times):.2f} s; made in {made:.0f} s, "
            f"that is {made:.0f} ms a shard")
    return [
        ("opening 1,000 shards", statistics.median(times), "s", "<= 1", note),
        ("opening 1,000 shards, memory", max(one["resident_mb"] for one in found), "MB", "", "resident, of 4.1 M rows in 320 MB"),
    ]


def train(run: Timer, folder: pathlib.Path, world: int, threads: int, steps: int, args: tuple[str, ...]) -> tuple[float, float]:
    """Steps a second, the median over the run but its start, and processor seconds; by `world` processes of so many threads each."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    command = [run.program, "train", "--data", str(folder / "data"), "--out", str(folder / "model"), "--threads", str(threads),
               "--accumulate", str(world), "--checkpoint-every", "0", "--held-out", "0", "--quiet", "--steps", str(steps),
               "--log-every", str(max(1, steps // 10)), *args]
    told = {"WORLD_SIZE": str(world), "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port), "OMP_NUM_THREADS": str(threads)}
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    processes = [subprocess.Popen(command, env={**os.environ, **told, "RANK": str(rank)}, stdout=subprocess.DEVNULL) for rank in range(world)]
    assert [process.wait() for process in processes] == [0] * world
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    lines = [json.loads(line) for line in (folder / "model/metrics.jsonl").read_text().splitlines()]
    shutil.rmtree(folder / "model")
    return (statistics.median(line["steps_per_second"] for line in lines[min(1, len(lines) - 1):]),
            after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime)


def ranks(run: Timer, folder: pathlib.Path, rounds: int) -> list[results.Figure]:
    run("generate", "--out", str(folder / "data"), "--steps", "100000", "--count", "100")
    figures: list[results.Figure] = []
    for name, (steps, args) in TRAININGS.items():
        rates: dict[int, list[float]] = {1: [], 2: []}
        times: dict[int, list[float]] = {1: [], 2: []}  # processor seconds of the steps alone
        for number in range(rounds):
            for world in (1, 2) if number % 2 else (2, 1):
                start = train(run, folder, world, 3 - world, 1, args)[1]
                rate, time_of_all = train(run, folder, world, 3 - world, steps, args)
                rates[world].append(rate)
                times[world].append((time_of_all - start) / (steps - 1))
        batch = int(args[args.index("--batch") + 1])
        for what, ratios, bar, sides in (
            ("windows a second", [two / one for one, two in zip(rates[1], rates[2], strict=True)], ">= 0.9",
             [f"{results.number(batch * statistics.median(rates[world]))}" for world in (2, 1)]),
            ("windows a processor second", [one / two for one, two in zip(times[1], times[2], strict=True)], "",
             [f"{results.number(batch / statistics.median(times[world]))}" for world in (2, 1)]),
        ):
            note = (f"{rounds} rounds that alternate: {sides[0]} against {sides[1]}, ratios {min(ratios):.2f} to {max(ratios):.2f}; "
                    f"Gloo over TCP on one machine; load {os.getloadavg()[0]:.1f}")
            figures.append((f"{name}: two processes of a thread / one of two, {what}", statistics.median(ratios), "", bar, note))
    return figures


def killed_processes(program: pathlib.Path, plan: pathlib.Path, processes: int, shards: int, killed: float,
                     seed: int) -> tuple[float, int, float, list[float]]:
    """Makes shards by so many processes at once. A share of the attempts is killed, at a uniform time of what shards took so far; of
    the first ones none. Returns seconds in all, attempts, the share of their time that was lost, and what each shard took."""
    draw = random.Random(seed)
    size = ("--steps", str(shards * 102_400), "--count", str(shards * 16))
    subprocess.run([program, "shard", "plan", "--out", plan, "--shards", str(shards), *size, "--quiet", "--json"], check=True, capture_output=True)
    waiting, running = collections.deque(range(shards)), {}
    attempts, lost, made = 0, 0.0, []
    begin = time.monotonic()
    while waiting or running:
        while waiting and len(running) < processes:
            index = waiting.popleft()
            process = subprocess.Popen([program, "shard", "run", plan, "--index", str(index), "--threads", "1", "--quiet", "--json"],
                                       stdout=subprocess.DEVNULL)
            start, doom = time.monotonic(), float("inf")
            if made and draw.random() < killed:
                doom = start + draw.random() * statistics.mean(made)
            running[process] = (index, start, doom)
            attempts += 1
        time.sleep(0.002)
        for process, (index, start, doom) in list(running.items()):
            if process.poll() is None and time.monotonic() < doom:
                continue
            took = time.monotonic() - start
            if process.poll() is None:
                process.kill()
                process.wait()
                lost += took
                waiting.append(index)
            else:
                assert process.returncode == 0, index
                made.append(took)
            del running[process]
    makespan = time.monotonic() - begin
    found = json.loads(subprocess.run([program, "shard", "verify", plan, "--quiet", "--json"], check=True, capture_output=True, text=True).stdout)
    assert found["whole"] == shards, found
    shutil.rmtree(plan)
    return makespan, attempts, lost / (lost + sum(made)), made


def prediction(program: pathlib.Path, folder: pathlib.Path) -> list[results.Figure]:
    """What the simulation says of processes that are killed, beside what they do. It is told what a shard takes, mean and spread, by
    the same run, since the speed of a machine that others use is not what is to be predicted."""
    shards, killed, worlds = 48, 0.3, 400
    figures: list[results.Figure] = []
    for processes in (2, 3, 4):
        makespan, attempts, wasted, times = killed_processes(program, folder / "plan", processes, shards, killed, processes)
        work = cluster.Work(shards, statistics.mean(times), 0.0, statistics.stdev(times) / statistics.mean(times), killed)
        said = [cluster.simulate(cluster.Cluster(processes), work, shards, seed) for seed in range(worlds)]
        measured = {"makespan": makespan, "attempts": attempts, "share of time lost": wasted}
        predicted = {"makespan": [one.makespan for one in said], "attempts": [one.attempts for one in said],
                     "share of time lost": [one.wasted for one in said]}
        name = f"{shards} shards by {processes} processes, killed with probability {killed}"
        for what, values in predicted.items():
            values.sort()
            low, middle, high = values[worlds // 40], statistics.median(values), values[-worlds // 40]
            note = (f"measured {measured[what]:.3g}{' s' if what == 'makespan' else ''}, predicted {middle:.3g} (95 % of {worlds} simulations in "
                    f"[{low:.3g}, {high:.3g}]); {work.seconds:.2f} s a shard")
            bar = "" if what == "share of time lost" else "<= 0.15"
            figures.append((f"{name}: {what}, measured / predicted - 1", abs(measured[what] / middle - 1), "", bar, note))
    return figures


def work_of(task: str, rows: float) -> cluster.Work:
    """Shards of 512 MiB, at the rates of the results file."""
    rate = results.load(FIGURES)[f"{task}: rows of shards a core-second"]
    row = float(re.match(r"([0-9.]+) bytes a row", rate["note"]).group(1))
    size = 512 * 2**20
    return cluster.Work(round(rows * row / size), size / row / rate["value"] + 0.04, size)


def thousand(worlds: int = 5) -> tuple[list[results.Figure], list[list[str]]]:
    """10^11 rows on a thousand slots, as a table."""
    figures: list[results.Figure] = []
    table = [["", "tasks", "hours", "over no trouble", "attempts a shard", "time lost", "slots at work", "storage"]]
    robots, mazes = work_of("HalfCheetah", 1e11), work_of("Maze2D", 1e11)
    calm = cluster.Cluster(1000, start=1.0)
    uneven = cluster.Cluster(1000, start=1.0, stragglers=0.15)
    troubled = {"start": 1.0, "stragglers": 0.15, "failures": 0.02, "preemptions": 0.5, "hold": 120.0}
    cases = [
        ("nothing goes wrong", robots, calm, 1000),
        ("slots of uneven speed", robots, uneven, 1000),
        ("slots of uneven speed", robots, uneven, 10_000),
        ("... and failures and preemption", robots, cluster.Cluster(1000, **troubled), 1000),
        ("... and failures and preemption", robots, cluster.Cluster(1000, **troubled), 10_000),
        ("... and failures and preemption", robots, cluster.Cluster(1000, **troubled), robots.shards),
        ("... and storage of 10 GB/s", robots, cluster.Cluster(1000, bandwidth=10e9, **troubled), 10_000),
        ("... and storage of 2 GB/s", robots, cluster.Cluster(1000, bandwidth=2e9, **troubled), 10_000),
        ("mazes, the same, storage of 10 GB/s", mazes, cluster.Cluster(1000, bandwidth=10e9, **troubled), 10_000),
    ]
    for name, work, machine, tasks in cases:
        found = [cluster.simulate(machine, work, tasks, seed) for seed in range(worlds)]
        mean = {field: statistics.mean(getattr(one, field) for one in found) for field in ("makespan", "attempts", "wasted", "storage", "busy")}
        ideal = work.shards * work.seconds / machine.slots
        used = "" if mean["storage"] != mean["storage"] else f"{mean['storage']:.0%}"
        table.append([name, f"{tasks:,}", f"{mean['makespan'] / 3600:.2f}", f"{mean['makespan'] / ideal:.2f}", f"{mean['attempts'] / work.shards:.3f}",
                      f"{mean['wasted']:.1%}", f"{mean['busy']:.0%}", used])
        note = (f"simulated, {worlds} seeds; {work.shards:,} shards of {work.seconds:.1f} s; attempts a shard {mean['attempts'] / work.shards:.3f}, "
                f"time lost {mean['wasted']:.2%}, slots at work {mean['busy']:.1%}{', storage ' + used if used else ''}")
        label = f"1,000 slots, {tasks:,} tasks, {name.removeprefix('... and ')}"
        figures.append((f"{label}: makespan over that of no trouble", mean["makespan"] / ideal, "", "", note))
    return figures, table


def draw(picture: pathlib.Path) -> None:
    """How long 10^11 rows take: by slots and storage, and by the number of tasks."""
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    work = work_of("HalfCheetah", 1e11)
    troubled = {"start": 1.0, "stragglers": 0.15, "failures": 0.02, "preemptions": 0.5, "hold": 120.0}
    fig, (left, right) = plt.subplots(1, 2, figsize=(9, 3.4), dpi=110)
    slots = [25, 50, 100, 200, 400, 700, 1000, 2000, 4000]
    for bandwidth, name in ((2e9, "2 GB/s"), (10e9, "10 GB/s"), (float("inf"), "no limit")):
        hours = [cluster.simulate(cluster.Cluster(n, bandwidth=bandwidth, **troubled), work, 10 * n, 1).makespan / 3600 for n in slots]
        left.loglog(slots, hours, marker="o", markersize=3, label=name)
    left.set_xlabel("slots (ten tasks each)")
    left.set_ylabel("hours")
    left.set_title("$10^{11}$ rows of HalfCheetah by slots and storage", fontsize=9)
    left.legend(fontsize=8)
    tasks = [1000, 1500, 2000, 3000, 5000, 10_000, 20_000, 40_000, work.shards]
    ideal = work.shards * work.seconds / 1000
    for name, machine in (
        ("uneven speed", cluster.Cluster(1000, start=1.0, stragglers=0.15)),
        ("... failures and preemption", cluster.Cluster(1000, **troubled)),
        ("... 20 s to start a task", cluster.Cluster(1000, **{**troubled, "start": 20.0})),
    ):
        right.semilogx(tasks, [cluster.simulate(machine, work, n, 1).makespan / ideal for n in tasks], marker="o", markersize=3, label=name)
    right.set_xlabel("tasks of the array (1,000 at once)")
    right.set_ylabel("time over that of no trouble")
    right.set_ylim(bottom=1)
    right.set_title("by the number of tasks", fontsize=9)
    right.legend(fontsize=8)
    for axis in (left, right):
        axis.grid(alpha=0.3, which="both")
        axis.tick_params(labelsize=8)
    fig.tight_layout()
    fig.savefig(picture, metadata={"Software": None})


def simulated(program: pathlib.Path, folder: pathlib.Path) -> list[results.Figure]:
    cluster.check()
    figures = prediction(program, folder)
    more, table = thousand()
    results.replace_table(PAGE, "cluster", table)
    draw(PICTURE)
    return figures + more


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("build", type=pathlib.Path)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--only", nargs="+", default=["overhead", "status", "open", "ranks", "cluster"])
    args = parser.parse_args()
    run = Timer((args.build / "cli" / "diffreward").resolve())
    commit = results.program_commit(args.build)
    parts = {
        "overhead": lambda folder: overhead(run, folder, args.rounds),
        "status": lambda folder: status(run, folder),
        "open": lambda folder: opening(run, (args.build / "benchmarks" / "open_data").resolve(), folder),
        "ranks": lambda folder: ranks(run, folder, args.rounds),
        "cluster": lambda folder: simulated(run.program, folder),
    }
    for name in args.only:
        with tempfile.TemporaryDirectory() as folder:
            figures = parts[name](pathlib.Path(folder))
        results.save(FIGURES, figures, "make bench-scale", (), commit)
        for figure, value, unit, bar, note in figures:
            print(f"{figure}: {results.number(value)} {unit} {f'(bar {bar})' if bar else ''} {note}")


if __name__ == "__main__":
    main()
