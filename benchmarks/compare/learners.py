"""Learning on a robot: SAC's updates, SAC and PPO as a whole, ours and Stable-Baselines3's, in rounds that alternate.

Both sides have equal nets, batches, epochs and minibatches, and may use as many threads. SAC: batch 256, two hidden layers of 256,
an update an environment step, one environment. PPO: nets of 64 x 64, 10 epochs, minibatches of 512; ours with 64
environments, Stable-Baselines3's with 8 in one process, as is its default. The sgemm limit is the time that an update's
products would take at the speed of products of two 256 x 256 matrices. Recording: a policy of SAC's size that draws actions in 64
environments, to disk and without.

usage: python benchmarks/compare/learners.py build/release [--rounds 7] [--seconds 2] [--threads 2] [--env HalfCheetah-v5]
"""

from __future__ import annotations

import argparse
import pathlib
import statistics
import subprocess
import sys
import time

import results

ROOT = pathlib.Path(__file__).resolve().parents[2]
OURS = ("sgemm", "update", "sac", "ppo")
RECORDING = ("physics", "record")


class Program:
    """learner_throughput, asked line by line."""

    def __init__(self, build: pathlib.Path, env: str, threads: int) -> None:
        self.process = subprocess.Popen(
            [build / "benchmarks" / "learner_throughput", env, str(threads)], stdin=subprocess.PIPE,
            stdout=subprocess.PIPE, text=True,
        )  # fmt: skip
        if self.process.stdout.readline() != "ready\n":
            raise RuntimeError("learner_throughput did not start")

    def ask(self, what: str, seconds: float) -> float:
        self.process.stdin.write(f"{what} {seconds}\n")
        self.process.stdin.flush()
        return float(self.process.stdout.readline())


class Peer:
    """Stable-Baselines3's agents; rates a second."""

    def __init__(self, env: str, threads: int) -> None:
        import stable_baselines3
        import torch

        torch.set_num_threads(threads)
        self.sac = stable_baselines3.SAC("MlpPolicy", env, learning_starts=1000, batch_size=256, buffer_size=100_000)
        self.sac.learn(1100)
        envs = stable_baselines3.common.env_util.make_vec_env(env, 8)
        self.ppo = stable_baselines3.PPO("MlpPolicy", envs, n_steps=512, batch_size=512, n_epochs=10)
        self.ppo.learn(1)

    def rate(self, what: str, seconds: float) -> float:
        done, begin = 0, time.perf_counter()
        while time.perf_counter() - begin < seconds:
            if what == "update":
                self.sac.train(gradient_steps=25, batch_size=256)
                done += 25
            elif what == "sac":
                self.sac.learn(25, reset_num_timesteps=False)
                done += 25
            else:
                before = self.ppo.num_timesteps
                self.ppo.learn(1, reset_num_timesteps=False)
                done += self.ppo.num_timesteps - before
        return done / (time.perf_counter() - begin)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("build", type=pathlib.Path, help="build folder")
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--seconds", type=float, default=2, help="of each measurement")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--env", default="HalfCheetah-v5")
    parser.add_argument("--file", type=pathlib.Path, default=ROOT / "benchmarks" / "results" / "behaviours.json")
    args = parser.parse_args()
    commit = results.program_commit(args.build)
    ours, peer = Program(args.build, args.env, args.threads), Peer(args.env, args.threads)
    gflop = ours.ask("update_gflop", 0)
    rates: dict[str, list[float]] = {}
    for _ in range(args.rounds):
        for what in OURS:
            rates.setdefault(what, []).append(ours.ask(what, args.seconds))
            if what != "sgemm":
                rates.setdefault("SB3 " + what, []).append(peer.rate(what, args.seconds))
        for what in RECORDING:
            rates.setdefault(what, []).append(ours.ask(what, args.seconds))

    def note(*names: str) -> str:
        return ", ".join(f"{name} {statistics.median(rates[name]):,.4g}/s" for name in names)

    def ratio(above: str, below: str, factor: float = 1) -> float:
        return statistics.median(a * factor / b for a, b in zip(rates[above], rates[below], strict=True))

    figures: list[results.Figure] = [
        ("SAC update / Stable-Baselines3's", ratio("update", "SB3 update"), "", ">= 4", note("update", "SB3 update")),
        ("SAC update, share of the sgemm limit", ratio("update", "sgemm", gflop), "", ">= 0.6",
         f"{gflop:.3g} GFLOP, {note('sgemm')} GFLOP"),
        ("SAC, environment and updates / Stable-Baselines3's", ratio("sac", "SB3 sac"), "", ">= 4", note("sac", "SB3 sac")),
        ("PPO, 64 environments / Stable-Baselines3's on 8", ratio("ppo", "SB3 ppo"), "", ">= 5", note("ppo", "SB3 ppo")),
        ("recording with a policy / policy and physics alone", ratio("record", "physics"), "", ">= 0.8", note("record", "physics")),
        ("recording with a policy, transitions", statistics.median(rates["record"]), "1/s", ">= 15000", note("record")),
    ]  # fmt: skip
    for name, value, _, bar, text in figures:
        print(f"{args.env}: {name}: {value:.3g}  {bar}  ({text})", flush=True)
    named = [(f"{args.env}: {name}", *rest) for name, *rest in figures]
    results.save(args.file, named, "make bench-learners", ("stable_baselines3", "torch"), commit)
    return 0


if __name__ == "__main__":
    sys.exit(main())
