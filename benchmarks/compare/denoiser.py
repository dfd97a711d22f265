"""Training and planning with the Temporal U-Net: ours, eager PyTorch as public Diffuser code has it, torch.compile.

All sides of a case do the same work with nets of the same shape, in rounds that alternate between them; ratios are
medians over the rounds. PyTorch's side is the module of tests/oracle/denoiser_reference.py, whose outputs and gradients
ours reproduce; an optimiser step there is Diffuser's: two accumulated batches of 32, Adam, and an average of the weights
at every tenth step (ours: one batch of 64, and the same in two passes of 32; AdamW, an average at every step). The sgemm limit is the time that the
step's multiply-adds would take at the speed of a 1024 x 1024 matrix product.

A step of gradient matching is, on PyTorch's side, what the paper's code does: the reward's gradient in its input by
autograd with a graph, the loss, and a pass back through that graph.

usage: python benchmarks/compare/denoiser.py build/release [--rounds 9] [--seconds 1] [--threads 2] [--cases CASE ...]
"""

from __future__ import annotations

import argparse
import copy

import pathlib
import resource
import statistics
import subprocess
import sys
import time

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tests" / "oracle"))

import results  # noqa: E402

# horizon, timesteps, width, actions, channel multipliers, attention
CASES = {
    "hopper": (32, 20, 14, 3, [1, 2, 4, 8], False),
    "halfcheetah": (4, 20, 23, 6, [1, 4, 8], True),
    "umaze": (128, 64, 6, 2, [1, 4, 8], False),
    "large": (384, 256, 6, 2, [1, 4, 8], False),
}
BATCH, DIM = 64, 32
GROWTH = {"horizon": (16, 32, 64, 128), "batch": (16, 32, 64, 128), "dim": (16, 32, 64)}  # of hopper
BARS = {  # against eager PyTorch
    ("train", "hopper"): 3, ("train", "halfcheetah"): 5, ("train", "umaze"): 1.5, ("train", "large"): 1.3,
    ("plan", "hopper"): 8, ("plan", "halfcheetah"): 8, ("guided", "hopper"): 2.5, ("guided", "halfcheetah"): 5,
    ("ddim", "hopper"): 30,
    ("rho_mlp", "hopper"): 4, ("rho_unet", "hopper"): 4, ("rho_mlp", "halfcheetah"): 4, ("rho_unet", "halfcheetah"): 4,
}  # fmt: skip
LIMIT_BARS = {"hopper": 0.6, "halfcheetah": 0.3, "umaze": 0.8, "large": 0.8}
NAMES = {
    "forward": "forward of one window",
    "train": "optimiser step",
    "accumulate": "optimiser step in two passes",
    "plan": "plan from one state, all steps",
    "ddim": "plan by DDIM in a quarter of the steps / PyTorch's by all steps",
    "guided": "64 guided plans, 2 guide steps",
    "rho_mlp": "step of gradient matching, MLP",
    "rho_unet": "step of gradient matching, half U-Net",
}
MEMORY = {"train": "peak memory of training", "accumulate": "peak memory of training in two passes"}
SKIPPED = {  # what is measured once is not measured on every shape
    "ddim": ("halfcheetah", "umaze", "large"), "guided": ("umaze", "large"),
    "rho_mlp": ("umaze", "large"), "rho_unet": ("umaze", "large"),
}  # fmt: skip


# --- PyTorch's side, in a process of its own: the same protocol as denoiser_throughput.


def make_half_unet(rows: int, channels: int, timesteps: int):
    """The value net of guided planning, in the shape of ours (rewards/relative/reward_net_torch.h)."""
    import math

    import torch
    from torch import nn

    table = torch.cos(torch.arange(timesteps)[:, None] * (math.pi / (timesteps - 1)) * torch.arange(8.0))

    class Block(nn.Module):
        def __init__(self, inputs, outputs):
            super().__init__()
            self.first, self.second = nn.Conv1d(inputs, outputs, 5, 2, 2, bias=False), nn.Conv1d(outputs, outputs, 5, 1, 2, bias=False)
            self.skip = nn.Conv1d(inputs, outputs, 1, 2, bias=False)
            self.norms = nn.ModuleList([nn.GroupNorm(8, outputs), nn.GroupNorm(8, outputs)])
            self.time, self.act = nn.Linear(32, outputs), nn.SiLU()

        def forward(self, h, e):
            first = self.act(self.norms[0](self.first(h))) + self.time(e)[:, :, None]
            return self.act(self.norms[1](self.second(first))) + self.skip(h)

    class HalfUnet(nn.Module):
        def __init__(self):
            super().__init__()
            sizes = [channels, 64, 64, 128, 128]
            self.time = nn.Linear(8, 32)
            self.blocks = nn.ModuleList([Block(a, b) for a, b in zip(sizes, sizes[1:])])
            self.head = nn.Sequential(nn.Linear(128 + 32, 128), nn.SiLU(), nn.Linear(128, 1))

        def forward(self, x, t):
            e, h = nn.functional.silu(self.time(table[t])), x.transpose(1, 2)
            for block in self.blocks:
                h = block(h, e)
            return self.head(torch.cat([h.mean(2), e.expand(len(x), -1)], 1))[:, 0] * rows

    return HalfUnet()


def make_reward_mlp(rows: int, channels: int, timesteps: int):
    """The reward MLP that reads each row, in the shape of ours."""
    import math

    import torch
    from torch import nn

    table = torch.cos(torch.arange(timesteps)[:, None] * (math.pi / (timesteps - 1)) * torch.arange(8.0))

    class RewardMlp(nn.Module):
        def __init__(self):
            super().__init__()
            self.time, self.input = nn.Linear(8, 64), nn.Linear(channels, 64, bias=False)
            self.rest = nn.Sequential(nn.SiLU(), nn.Linear(64, 64), nn.SiLU(), nn.Linear(64, 1))

        def forward(self, x, t):
            return self.rest(self.input(x) + self.time(table[t])[:, None]).mean((1, 2)) * rows

    return RewardMlp()


class TorchJob:
    def __init__(self, case: str, threads: int, compiled: bool) -> None:
        import torch
        from denoiser_reference import TemporalUnet

        torch.set_num_threads(threads)
        torch.manual_seed(0)
        self.torch = torch
        name, *settings = case.split(":")
        self.horizon, self.timesteps, self.width, self.actions, mults, attention = CASES[name]
        given = {key: int(value) for key, value in (setting.split("=") for setting in settings)}
        self.horizon, self.batch = given.get("horizon", self.horizon), given.get("batch", BATCH)
        net = TemporalUnet({"dim": given.get("dim", DIM), "dim_mults": mults, "attention": attention}, self.width)
        self.ema = copy.deepcopy(net)
        self.parameters, self.averages = list(net.parameters()), list(self.ema.parameters())
        self.optimizer = torch.optim.Adam(net.parameters(), lr=2e-4)
        self.value = make_half_unet(self.horizon, self.width, self.timesteps)
        self.rewards = {"mlp": make_reward_mlp(self.horizon, self.width, self.timesteps),
                        "unet": make_half_unet(self.horizon, self.width, self.timesteps)}  # fmt: skip
        self.reward_optimizers = {key: torch.optim.Adam(net.parameters(), lr=3e-3) for key, net in self.rewards.items()}
        self.net, self.planner = net, self.ema
        if compiled:
            self.net, self.planner, self.value = torch.compile(net), torch.compile(self.ema), torch.compile(self.value)
        phase = torch.arange(self.timesteps + 1, dtype=torch.float64) / self.timesteps
        level = torch.cos((phase + 0.008) / 1.008 * torch.pi / 2) ** 2
        beta = torch.clip(1 - level[1:] / level[:-1], 0, 0.999)
        bar = torch.cumprod(1 - beta, 0)
        before = torch.cat([torch.ones(1, dtype=torch.float64), bar[:-1]])
        self.signal, self.noise = bar.sqrt().float(), (1 - bar).sqrt().float()
        self.from_x0 = (beta * before.sqrt() / (1 - bar)).float()
        self.from_xt = ((1 - before) * (1 - beta).sqrt() / (1 - bar)).float()
        self.deviation = (beta * (1 - before) / (1 - bar)).sqrt().float()
        self.data = torch.randn(20000 // self.horizon, self.horizon, self.width)
        self.steps = 0

    def forward(self) -> None:
        with self.torch.no_grad():
            self.net(self.data[:1], self.torch.ones(1, dtype=self.torch.long))

    def train(self) -> None:
        torch = self.torch
        for _ in range(2):
            x0 = self.data[torch.randint(0, len(self.data), (self.batch // 2,))]
            t = torch.randint(0, self.timesteps, (self.batch // 2,))
            x = self.signal[t][:, None, None] * x0 + self.noise[t][:, None, None] * torch.randn_like(x0)
            x[:, 0, self.actions :] = x0[:, 0, self.actions :]
            (torch.nn.functional.mse_loss(self.net(x, t), x0) / 2).backward()
        self.optimizer.step()
        self.optimizer.zero_grad()
        self.steps += 1
        if self.steps % 10 == 0:
            for average, parameter in zip(self.averages, self.parameters):
                average.data = average.data * 0.995 + 0.005 * parameter.data

    def accumulate(self) -> None:
        self.train()  # it always does

    def plan(self, n: int = 1, guide_steps: int = 0) -> None:
        torch = self.torch
        with torch.no_grad():
            x = torch.randn(n, self.horizon, self.width)
            x[:, 0, self.actions :] = 0.5
            for step in reversed(range(self.timesteps)):
                t = torch.full((n,), step, dtype=torch.long)
                for _ in range(guide_steps):
                    with torch.enable_grad():
                        x = x.detach().requires_grad_()
                        gradient = torch.autograd.grad(self.value(x, t).sum(), x)[0]
                    x = x.detach() + 0.1 * gradient
                    x[:, 0, self.actions :] = 0.5
                x0 = self.planner(x, t).clamp(-1, 1)
                x = self.from_x0[step] * x0 + self.from_xt[step] * x
                if step > 0:
                    x = x + self.deviation[step] * torch.randn_like(x)
                x[:, 0, self.actions :] = 0.5

    def ddim(self) -> None:
        self.plan()  # the bar is against all steps

    def guided(self) -> None:
        self.plan(self.batch, 2)

    def match(self, name: str) -> None:
        torch, net = self.torch, self.rewards[name]
        if not hasattr(self, "points"):
            shape = (self.batch, self.horizon, self.width)
            self.points, self.targets = torch.randn(shape), torch.randn(shape)
            self.levels = torch.randint(0, self.timesteps, (self.batch,))
        x = self.points.detach().requires_grad_()
        gradient = torch.autograd.grad(net(x, self.levels).sum(), x, create_graph=True)[0]
        loss = (gradient - self.targets).square().mean()
        self.reward_optimizers[name].zero_grad()
        loss.backward()
        self.reward_optimizers[name].step()

    def rho_mlp(self) -> None:
        self.match("mlp")

    def rho_unet(self) -> None:
        self.match("unet")


def work(side: str, case: str, threads: int) -> None:
    job = TorchJob(case, threads, side == "compiled")
    print("ready", flush=True)
    for line in sys.stdin:
        what, seconds = line.split()
        if what == "memory":
            print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024, flush=True)
        elif what == "mflop":
            from torch.utils.flop_counter import FlopCounterMode

            with FlopCounterMode(display=False) as counter:
                job.forward()
            print(counter.get_total_flops() / 1e6, flush=True)
        elif what == "gflops":
            a, b = job.torch.randn(1024, 1024), job.torch.randn(1024, 1024)
            print(2 * 1.024**3 / median_seconds(lambda: a @ b, float(seconds)), flush=True)
        else:
            print(1e3 * median_seconds(getattr(job, what), float(seconds)), flush=True)


def median_seconds(call, seconds: float) -> float:
    times, begin = [], time.perf_counter()
    while not times or time.perf_counter() - begin < seconds:
        before = time.perf_counter()
        call()
        times.append(time.perf_counter() - before)
    return statistics.median(times)


class Side:
    def __init__(self, command: list[str]) -> None:
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        if self.process.stdout.readline().strip() != "ready":
            sys.exit(f"cannot run {' '.join(command)}")

    def ask(self, what: str, seconds: float = 0) -> float:
        self.process.stdin.write(f"{what} {seconds}\n")
        self.process.stdin.flush()
        return float(self.process.stdout.readline())

    def close(self) -> None:
        self.process.stdin.close()
        self.process.wait()


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("build", type=pathlib.Path, help="build folder")
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--seconds", type=float, default=1.0, help="a round, side and quantity")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--cases", nargs="*", default=list(CASES), choices=list(CASES))
    parser.add_argument("--what", nargs="*", default=list(NAMES), choices=list(NAMES))
    parser.add_argument("--growth", action="store_true", help="also measure hopper at other horizons, batches and widths")
    parser.add_argument("--compiled", action="store_true", help="measure torch.compile, too (minutes of compiling)")
    parser.add_argument("--file", type=pathlib.Path, default=ROOT / "benchmarks" / "results" / "denoiser.json")
    parser.add_argument("--readme", type=pathlib.Path, help="README whose table is replaced")
    args = parser.parse_args()
    commit = results.program_commit(args.build)
    figures: list[tuple] = []

    def add(name: str, value: float, unit: str = "", bar: str = "", note: str = "") -> None:
        figures.append((name, value, unit, bar, note))
        print(f"{name}: {value:,.4g} {unit}  {bar}  {note}", flush=True)

    for case in args.cases if args.what else []:
        measure(case, args, add)
        results.save(args.file, figures, "make bench-denoiser", ("torch", "numpy"), commit)
    if args.growth:
        grow(args, add)
        results.save(args.file, figures, "make bench-denoiser", ("torch", "numpy"), commit)
    if args.readme:
        write_table(args.readme, args.file)
    return 0


def write_table(readme: pathlib.Path, results_file: pathlib.Path) -> None:
    """The README's table: a column per case, a row per quantity."""
    rows = [(NAMES[what], f"{NAMES[what]}, {{}}: {{}}") for what in NAMES]
    found = results.load(results_file)
    table = [["PyTorch / ours", *CASES]]
    for label, name in rows:
        table.append([label] + [results.cell(found, name.format(case, "PyTorch / ours")) for case in CASES])
    for label, name in rows:
        cells = [results.cell(found, name.format(case, "torch.compile / ours")) for case in CASES]
        if any(cells):
            table.append([f"{label}, `torch.compile` / ours", *cells])
    share = "share of the sgemm limit"
    table.append([f"optimiser step: {share}"] + [results.cell(found, f"optimiser step, {case}: {share}") for case in CASES])
    for name in MEMORY.values():
        table.append([f"{name}, ours / PyTorch"] + [results.cell(found, f"{name}, {case}: ours / PyTorch") for case in CASES])
    results.replace_table(readme, "denoiser", table)


def torch_side(side: str, case: str, args) -> Side:
    return Side([sys.executable, __file__, "--worker", side, case, str(args.threads)])


def our_side(case: str, args) -> Side:
    return Side([str(args.build / "benchmarks" / "denoiser_throughput"), case, str(args.threads)])


def grow(args, add) -> None:
    """Time of an optimiser step and of a forward pass as one size of hopper's changes."""
    for size, values in GROWTH.items():
        for value in values:
            case = f"hopper:{size}={value}"
            sides = {"ours": our_side(case, args), "eager": torch_side("eager", case, args)}
            for what in ("train", "forward"):
                times: dict[str, list[float]] = {name: [] for name in sides}
                for side in sides.values():
                    side.ask(what)  # warm-up
                for _ in range(3):
                    for name, side in sides.items():
                        times[name].append(side.ask(what, args.seconds / 2))
                ours, eager = statistics.median(times["ours"]), statistics.median(times["eager"])
                note = f"{eager:.3g} ms in PyTorch, {eager / ours:.3g} times"
                add(f"growth, {NAMES[what]}, hopper with {size} {value}", ours, "ms", "", note)
            for side in sides.values():
                side.close()


def measure(case: str, args, add) -> None:
    sides = {"ours": our_side(case, args), "eager": torch_side("eager", case, args)}
    if args.compiled:
        sides["compiled"] = torch_side("compiled", case, args)
    mflop = sides["eager"].ask("mflop")
    add(f"multiply-adds of a forward pass of one window, {case}", mflop, "MFLOP")
    for what in args.what:
        if case in SKIPPED.get(what, ()):
            continue
        # torch.compile has no double backward, and its optimiser step is in two passes anyway.
        eager_only = what.startswith("rho") or what == "accumulate"
        active = {name: side for name, side in sides.items() if name != "compiled" or not eager_only}
        for side in active.values():
            side.ask(what)  # warm-up, and what is compiled
        times: dict[str, list[float]] = {name: [] for name in active}
        speeds = []
        for _ in range(args.rounds):
            for name, side in active.items():
                times[name].append(side.ask(what, args.seconds))
            if what == "train":
                speeds.append(sides["eager"].ask("gflops", 0.3))
        for name, values in times.items():
            print(f"  {case} {what:8s} {name:9s} {statistics.median(values):10.2f} ms ({min(values):.2f} to {max(values):.2f})")

        def ratio(name: str) -> float:
            return statistics.median(a / b for a, b in zip(times[name], times["ours"], strict=True))

        bar = f">= {BARS[what, case]}" if (what, case) in BARS else ""
        medians = ", ".join(f"{name} {statistics.median(values):.3g} ms" for name, values in times.items())
        add(f"{NAMES[what]}, {case}: PyTorch / ours", ratio("eager"), "", bar, medians)
        if "compiled" in active:
            add(f"{NAMES[what]}, {case}: torch.compile / ours", ratio("compiled"))
        if what == "train":
            share = statistics.median(
                3 * BATCH * mflop / 1e3 / speed / (ms / 1e3) for speed, ms in zip(speeds, times["ours"], strict=True)
            )
            note = f"sgemm {statistics.median(speeds):.0f} GFLOP/s"
            add(f"{NAMES[what]}, {case}: share of the sgemm limit", share, "", f">= {LIMIT_BARS[case]}", note)
    for side in sides.values():
        side.close()
    for what in (what for what in args.what if what in MEMORY):  # each in a fresh process
        peaks = {}
        for name, side in (("ours", our_side(case, args)), ("eager", torch_side("eager", case, args))):
            before = side.ask("memory")
            side.ask(what, 2)
            peaks[name] = side.ask("memory") - before
            side.close()
        add(f"{MEMORY[what]}, {case}: ours / PyTorch", peaks["ours"] / peaks["eager"], "", "<= 1",
            ", ".join(f"{name} {value:.0f} MB" for name, value in peaks.items()))


if __name__ == "__main__":
    if sys.argv[1:2] == ["--worker"]:
        work(sys.argv[2], sys.argv[3], int(sys.argv[4]))
    else:
        sys.exit(main())
