"""A cluster that makes shards, simulated: tasks of an array on slots that straggle, fail and are preempted, and storage that all
of them share. Events are discrete and seeded; scale.py compares what it says with runs on this machine.

A task takes a contiguous share of the shards, one after the other, as `shard run --task T --tasks N`. A slot takes the first task
that waits. Who is killed loses the shard in work; the task waits again, behind the others, and goes on with that shard.

Storage is a fluid: a shard is written while it is computed, and where all together ask for more than the bandwidth, all go slower by
one factor, f = bandwidth / demand. Work that is done at speed f advances a common clock by f dt, on which the end of each shard is
known when it begins (processor sharing in virtual time, Parekh and Gallager 1993), so that an event costs a logarithm.
"""

from __future__ import annotations

import collections
import dataclasses
import heapq
import math
import random

HOUR = 3600.0


@dataclasses.dataclass(frozen=True)
class Work:
    shards: int
    seconds: float  # of a core, a shard
    bytes: float  # a shard
    spread: float = 0.0  # standard deviation of a shard's time, relative
    killed: float = 0.0  # probability that an attempt at a task is killed, at a uniform time of what it would take alone


@dataclasses.dataclass(frozen=True)
class Cluster:
    slots: int
    bandwidth: float = math.inf  # bytes/s that storage takes from all
    stragglers: float = 0.0  # standard deviation of the logarithm of a slot's speed
    failures: float = 0.0  # of a slot, an hour: it is gone for `repair`
    preemptions: float = 0.0  # of a task, an hour
    repair: float = 600.0  # s
    hold: float = 0.0  # s until a task that was killed may run again
    start: float = 0.0  # s of a task before its first shard, each time


@dataclasses.dataclass(frozen=True)
class Outcome:
    makespan: float  # s
    attempts: int  # at shards
    wasted: float  # share of core-seconds that made nothing: lost shards
    storage: float  # share of the bandwidth that was used until all was there
    busy: float  # share of the slots' time in which they worked


def simulate(cluster: Cluster, work: Work, tasks: int, seed: int) -> Outcome:
    draw = random.Random(seed)
    bounds = [task * work.shards // tasks for task in range(tasks + 1)]
    following = bounds[:-1]  # the next shard of each task
    waiting = collections.deque(range(tasks))
    idle = list(range(cluster.slots))
    speed = [math.exp(draw.gauss(0, cluster.stragglers)) if cluster.stragglers else 1.0 for _ in range(cluster.slots)]
    running: dict[int, list] = {}  # slot: [task, number of the attempt, demand (none between shards), clock at the shard's begin, its length on it]
    now = clock = demand = useful = lost = 0.0
    ends: list[tuple] = []  # (clock, slot, attempt): a shard ends
    alarms: list[tuple] = []  # (time, order, kind, slot or task, attempt)
    attempts = number = order = done = 0

    def alarm(delay: float, kind: str, whom: int, attempt: int = 0) -> None:
        nonlocal order
        order += 1
        heapq.heappush(alarms, (now + delay, order, kind, whom, attempt))

    def begin_task() -> None:
        nonlocal number
        while idle and waiting:
            slot, task = idle.pop(), waiting.popleft()
            number += 1
            running[slot] = [task, number, None, 0.0, 0.0]
            alarm(cluster.start, "ready", slot, number)
            if work.killed and draw.random() < work.killed:
                left = (bounds[task + 1] - following[task]) * work.seconds / speed[slot] + cluster.start
                alarm(draw.random() * left, "killed", slot, number)
            for rate, kind in ((cluster.failures, "failed"), (cluster.preemptions, "killed")):
                if rate:
                    alarm(draw.expovariate(rate / HOUR), kind, slot, number)

    def begin_shard(slot: int) -> None:
        nonlocal demand, attempts
        one = running[slot]
        length = work.seconds / speed[slot] * max(0.05, draw.gauss(1, work.spread) if work.spread else 1.0)
        one[2], one[3], one[4] = work.bytes / length, clock, length
        demand += one[2]
        attempts += 1
        heapq.heappush(ends, (clock + length, slot, one[1]))

    def end_shard(slot: int) -> None:
        nonlocal demand
        demand -= running[slot][2]
        running[slot][2] = None

    begin_task()
    while done < work.shards:
        factor = min(1.0, cluster.bandwidth / demand) if demand > 0 else 1.0
        while ends and (ends[0][1] not in running or running[ends[0][1]][1] != ends[0][2]):
            heapq.heappop(ends)  # of an attempt that was killed
        at = now + (ends[0][0] - clock) / factor if ends else math.inf
        if alarms and alarms[0][0] < at:
            at, _, kind, whom, attempt = heapq.heappop(alarms)
            clock, now = clock + (at - now) * factor, at
            if kind == "waits":
                waiting.append(whom)
            elif kind == "repaired":
                idle.append(whom)
            elif whom in running and running[whom][1] == attempt:
                if kind == "ready":
                    begin_shard(whom)
                    continue
                task, _, asked, since, _ = running[whom]
                if asked is not None:
                    lost += clock - since
                    end_shard(whom)
                del running[whom]
                alarm(cluster.hold, "waits", task)
                if kind == "failed":
                    alarm(cluster.repair, "repaired", whom)
                else:
                    idle.append(whom)
            begin_task()
            continue
        clock, slot, _ = heapq.heappop(ends)
        now = at
        one = running[slot]
        useful += one[4]
        end_shard(slot)
        done += 1
        following[one[0]] += 1
        if following[one[0]] < bounds[one[0] + 1]:
            begin_shard(slot)
        else:
            del running[slot]
            idle.append(slot)
            begin_task()
    return Outcome(
        makespan=now,
        attempts=attempts,
        wasted=lost / (lost + useful),
        storage=work.shards * work.bytes / (cluster.bandwidth * now) if math.isfinite(cluster.bandwidth) else math.nan,
        busy=(lost + useful) / (cluster.slots * now),
    )


def check() -> None:
    """What is known in closed form; raises AssertionError."""
    alone = simulate(Cluster(1), Work(7, 2.0, 0.0), 3, 0)
    assert math.isclose(alone.makespan, 14.0) and alone.attempts == 7 and alone.wasted == 0 and math.isclose(alone.busy, 1)
    even = simulate(Cluster(4, start=1.0), Work(16, 2.0, 0.0), 4, 0)
    assert math.isclose(even.makespan, 1 + 4 * 2)
    # Storage that takes half of what is asked for: twice as long, and it is never idle.
    half = simulate(Cluster(10, bandwidth=50.0), Work(100, 1.0, 10.0), 10, 0)
    assert math.isclose(half.makespan, 20.0) and math.isclose(half.storage, 1.0)
    # One shard a task, killed with probability p at a uniform time: 1 / (1 - p) attempts each, half of a lost one for nothing.
    p, many = 0.3, 40_000
    killed = simulate(Cluster(8), Work(many, 1.0, 0.0, killed=p), many, 1)
    assert abs(killed.attempts / many - 1 / (1 - p)) < 0.02, killed
    lost = 0.5 * p / (1 - p)
    assert abs(killed.wasted - lost / (1 + lost)) < 0.01, killed
    # Failures of rate r of shards of length s: (e^rs - 1) / r of a slot's time each, start included in none.
    r, s = 1.0, 1800.0
    failing = simulate(Cluster(50, preemptions=r), Work(20_000, s, 0.0), 20_000, 2)
    expected = (math.exp(r * s / HOUR) - 1) / r * HOUR
    assert abs(failing.makespan * 50 / 20_000 / expected - 1) < 0.02, (failing, expected)
    assert simulate(Cluster(9, 1e3, 0.2, 2.0, 1.0), Work(300, 60.0, 1e4, 0.1), 30, 5) == simulate(
        Cluster(9, 1e3, 0.2, 2.0, 1.0), Work(300, 60.0, 1e4, 0.1), 30, 5
    ), "seeded"


if __name__ == "__main__":
    check()
