"""Stable Diffusion, ours and Python's diffusers', on a full-size 1.5 of random weights, which costs what the real one does.

Both sides have as many threads, work on equal shapes in rounds that alternate, each in a process of its own; ratios are
medians over the rounds. diffusers' U-Net is measured with its weights as they come and channels last; the faster one counts.
Memory and loading are measured in fresh processes, weights in the page cache; loading once with the start of the program and once
without. The training step is that of PipelineConfig's defaults: forward, mean square error, backward, the gradient's norm
cut to 1, AdamW, an average of the weights; PyTorch's side with the fused AdamW and foreach averages. bfloat16 is measured where
the processor has instructions for it. Tokenizers: tokenizer.py, with transformers 4 for the one in Python.

usage: python benchmarks/compare/stable_diffusion.py build/release [--slow PYTHON] [--rounds 5] [--threads 2] [--busy] [--only unet ...] [--readme README.md ...]
       (needs diffusers==0.42.1, transformers==5.23.0 and clip-anytorch==2.6.0; --slow: an interpreter with transformers 4)
"""

from __future__ import annotations

import argparse
import json
import os
import pathlib
import re
import statistics
import subprocess
import sys
import time

ROOT = pathlib.Path(__file__).resolve().parents[2]
VOCABULARY = 49408
PARTS = ("unet", "bfloat16", "decode", "load", "train", "tokenizer")
INSTRUCTIONS = {"avx512_bf16", "amx_bf16"}  # that make bfloat16 worth while


def write_folder(folder: pathlib.Path) -> None:
    """A Stable Diffusion 1.5 in single precision, of PyTorch's initial weights, without a tokenizer."""
    import diffusers
    import torch
    from transformers import CLIPTextConfig, CLIPTextModel

    torch.manual_seed(0)
    unfinished = folder.with_name(folder.name + ".unfinished")
    text = CLIPTextConfig(vocab_size=VOCABULARY, hidden_size=768, intermediate_size=3072, num_hidden_layers=12,
                          num_attention_heads=12, max_position_embeddings=77, hidden_act="quick_gelu")  # fmt: skip
    CLIPTextModel(text).save_pretrained(unfinished / "text_encoder")
    diffusers.UNet2DConditionModel(sample_size=64, cross_attention_dim=768).save_pretrained(unfinished / "unet", max_shard_size="50GB")
    diffusers.AutoencoderKL(
        block_out_channels=(128, 256, 512, 512), layers_per_block=2, sample_size=512,
        down_block_types=("DownEncoderBlock2D",) * 4, up_block_types=("UpDecoderBlock2D",) * 4,
    ).save_pretrained(unfinished / "vae")  # fmt: skip
    diffusers.PNDMScheduler(beta_start=0.00085, beta_end=0.012, beta_schedule="scaled_linear", skip_prk_steps=True, steps_offset=1,
                            set_alpha_to_one=False).save_pretrained(unfinished / "scheduler")  # fmt: skip
    index = {"_class_name": "StableDiffusionPipeline", "_diffusers_version": diffusers.__version__,
             "text_encoder": ["transformers", "CLIPTextModel"], "unet": ["diffusers", "UNet2DConditionModel"],
             "vae": ["diffusers", "AutoencoderKL"], "scheduler": ["diffusers", "PNDMScheduler"]}  # fmt: skip
    for part in ("tokenizer", "safety_checker", "feature_extractor", "image_encoder"):
        index[part] = [None, None]
    (unfinished / "model_index.json").write_text(json.dumps(index))
    unfinished.rename(folder)


def process_mb(name: str) -> float:
    return int(re.search(rf"{name}:\s+(\d+)", pathlib.Path("/proc/self/status").read_text())[1]) / 1024


class Peer:
    """diffusers' and transformers' side of stable_diffusion_throughput."""

    def __init__(self, folder: pathlib.Path, threads: int, dtype: str, channels_last: bool) -> None:
        import torch

        torch.set_num_threads(threads)
        self.torch, self.folder, self.channels_last = torch, folder, channels_last
        self.dtype, self.pipe, self.trained = getattr(torch, dtype), None, None

    def measure(self, what: str, seconds: float) -> float:
        if what in ("train", "train_weights"):
            if self.trained is None:
                self.trained = Training(self.torch)
            return self.trained.weights() if what == "train_weights" else median_ms(self.trained.step, seconds)
        if what == "resident":
            return process_mb("VmRSS")
        with self.torch.no_grad():
            if what == "load":
                begin = time.perf_counter()
                self.unet(1, 8)
                return 1e3 * (time.perf_counter() - begin)
            if what == "weights":
                parts = (self.loaded().unet, self.loaded().vae, self.loaded().text_encoder)
                return sum(parameter.numel() for part in parts for parameter in part.parameters())
            if what == "decode_memory":
                self.decode(8)
                pathlib.Path("/proc/self/clear_refs").write_text("5")
                before = process_mb("VmRSS")
                self.decode(64)
                return process_mb("VmHWM") - before
            calls = {"unet1": lambda: self.unet(1, 64), "unet3": lambda: self.unet(3, 64), "decode": lambda: self.decode(64)}
            return median_ms(calls[what], seconds)

    def loaded(self):
        if self.pipe is None:
            import diffusers

            absent = dict.fromkeys(("tokenizer", "safety_checker", "feature_extractor", "image_encoder"))
            self.pipe = diffusers.StableDiffusionPipeline.from_pretrained(self.folder, dtype=self.dtype, **absent)
            if self.channels_last:
                self.pipe.unet.to(memory_format=self.torch.channels_last)
        return self.pipe

    def numbers(self, *shape: int):
        return self.torch.randn(shape).to(self.dtype)

    def unet(self, n: int, side: int) -> None:
        self.loaded().unet(self.numbers(n, 4, side, side), self.torch.tensor(481.0), self.numbers(n, 77, 768))

    def decode(self, side: int) -> None:
        vae = self.loaded().vae
        image = vae.decode(self.numbers(1, 4, side, side) / vae.config.scaling_factor, return_dict=False)[0]
        (image / 2 + 0.5).clamp(0, 1)


class Training:
    """The step of the small pipeline, eager."""

    def __init__(self, torch, batch: int = 64) -> None:
        from diffusers import UNet2DConditionModel
        from transformers import CLIPTextConfig, CLIPTextModel

        torch.manual_seed(1)
        self.torch = torch
        self.unet = UNet2DConditionModel(
            sample_size=16, block_out_channels=(32, 64, 96), layers_per_block=1, cross_attention_dim=96, norm_num_groups=8,
            attention_head_dim=4, down_block_types=("DownBlock2D", "CrossAttnDownBlock2D", "CrossAttnDownBlock2D"),
            up_block_types=("CrossAttnUpBlock2D", "CrossAttnUpBlock2D", "UpBlock2D"))  # fmt: skip
        self.text = CLIPTextModel(CLIPTextConfig(
            hidden_size=96, intermediate_size=384, num_hidden_layers=2, num_attention_heads=4, vocab_size=VOCABULARY,
            max_position_embeddings=16))  # fmt: skip
        self.parameters = [*self.text.parameters(), *self.unet.parameters()]
        self.average = [parameter.detach().clone() for parameter in self.parameters]
        self.optimizer = torch.optim.AdamW(self.parameters, lr=5e-4, weight_decay=1e-4, fused=True)
        self.x, self.noise = torch.randn(batch, 4, 16, 16), torch.randn(batch, 4, 16, 16)
        self.t, self.ids = torch.randint(0, 1000, (batch,)), torch.randint(0, VOCABULARY, (batch, 16))

    def weights(self) -> int:
        return sum(parameter.numel() for parameter in self.unet.parameters())

    def step(self) -> None:
        torch = self.torch
        text = self.text(self.ids).last_hidden_state
        loss = torch.nn.functional.mse_loss(self.unet(self.x, self.t, text).sample, self.noise)
        self.optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(self.parameters, 1)
        self.optimizer.step()
        with torch.no_grad():
            torch._foreach_lerp_(self.average, self.parameters, 0.005)


def median_ms(call, seconds: float) -> float:
    times, begin = [], time.perf_counter()
    while not times or time.perf_counter() - begin < seconds:
        before = time.perf_counter()
        call()
        times.append(time.perf_counter() - before)
    return 1e3 * statistics.median(times)


def work(folder: str, threads: str, dtype: str, order: str) -> None:
    peer = Peer(pathlib.Path(folder), int(threads), dtype, order == "channels_last")
    print("ready", flush=True)
    for line in sys.stdin:
        what, seconds = line.split()
        print(peer.measure(what, float(seconds)), flush=True)


class Side:
    def __init__(self, command: list) -> None:
        self.begun = time.perf_counter()
        environment = {**os.environ, "HF_HUB_OFFLINE": "1", "TRANSFORMERS_VERBOSITY": "error", "DIFFUSERS_VERBOSITY": "error", "TQDM_DISABLE": "1"}
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment)
        if self.process.stdout.readline().strip() != "ready":
            sys.exit(f"cannot run {command}")

    def ask(self, what: str, seconds: float = 0) -> float:
        self.process.stdin.write(f"{what} {seconds}\n")
        self.process.stdin.flush()
        return float(self.process.stdout.readline())

    def ask_processor_ms(self, what: str) -> float:
        """Processor time of one call, in whatever ticks the system counts."""
        before = self.processor_ms()
        self.ask(what)
        return self.processor_ms() - before

    def processor_ms(self) -> float:
        fields = pathlib.Path(f"/proc/{self.process.pid}/stat").read_text().rsplit(")", 1)[1].split()
        return 1e3 * (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def since_start(self) -> float:
        return time.perf_counter() - self.begun

    def close(self) -> None:
        self.process.stdin.close()
        self.process.wait()


class Comparison:
    def __init__(self, args) -> None:
        self.args, self.figures = args, []

    def side(self, who: str, dtype: str = "float32") -> Side:
        given = [str(self.args.folder), str(self.args.threads), dtype]
        if who == "ours":
            return Side([self.args.build / "benchmarks" / "stable_diffusion_throughput", *given])
        return Side([sys.executable, __file__, "--worker", *given, "channels_last" if who == "channels last" else "contiguous"])

    def add(self, name: str, value: float, bar: str = "", note: str = "", unit: str = "") -> None:
        self.figures.append((name, value, unit, bar, note))
        print(f"{name}: {value:,.3g} {unit}  {bar}  ({note})", flush=True)

    def rounds(self, sides: dict[str, Side], what: tuple[str, ...], seconds: float = 0) -> dict[tuple[str, str], list[float]]:
        """Of each side that has it, by (side, what), in rounds that alternate; the first of each is for warming up."""
        times: dict[tuple[str, str], list[float]] = {}
        if self.args.busy:  # where calls take long, one of them warms up for all
            for side in sides.values():
                side.ask(what[0], seconds)
        for _ in range(self.args.rounds + (not self.args.busy)):
            for each in what:
                for who, side in sides.items():
                    if each != "sld" or who.startswith("ours"):
                        taken = side.ask_processor_ms(each) if self.args.busy else side.ask(each, seconds)
                        times.setdefault((who, each), []).append(taken)
        return {key: values[-self.args.rounds :] for key, values in times.items()}

    def ratio(self, name: str, above: list[float], below: list[float], bar: str) -> None:
        a, b = statistics.median(above), statistics.median(below)
        name += ", processor time on one thread" if self.args.busy else ""
        self.add(name, statistics.median(x / y for x, y in zip(above, below, strict=True)), bar, f"{a:.4g} ms, {b:.4g} ms")

    def unet(self) -> None:
        peers = ("as they come",) if self.args.busy else ("as they come", "channels last")
        sides = {who: self.side(who) for who in ("ours", *peers)}
        weights = {who: side.ask("weights") for who, side in sides.items()}
        if len(set(weights.values())) != 1:
            sys.exit(f"expected as many weights on each side, found {weights}")
        times = self.rounds(sides, ("unet1", "unet3", "sld"))
        for each, batch in (("unet1", 1), ("unet3", 3)):
            peer = min(peers, key=lambda who: statistics.median(times[who, each]))
            self.ratio(f"U-Net, 512 x 512, batch {batch}: ours / diffusers", times["ours", each], times[peer, each], "<= 1")
            self.figures[-1] = (*self.figures[-1][:4], f"{self.figures[-1][4]}, diffusers' weights {peer}")
        self.ratio("a step of Safe Latent Diffusion / one call of the U-Net on 3", times["ours", "sld"], times["ours", "unet3"], "<= 1.03")
        for side in sides.values():
            side.close()

    def bfloat16(self) -> None:
        flags = set(re.search(r"flags\s*:(.*)", pathlib.Path("/proc/cpuinfo").read_text())[1].split())
        if not flags & INSTRUCTIONS:
            print("bfloat16: not measured, the processor has neither AVX512-BF16 nor AMX")
            return
        sides = {"ours": self.side("ours", "bfloat16"), "theirs": self.side("as they come", "bfloat16"), "ours float32": self.side("ours")}
        times = self.rounds(sides, ("unet1",))
        for side in sides.values():
            side.close()
        self.ratio("U-Net, 512 x 512, bfloat16: ours / diffusers", times["ours", "unet1"], times["theirs", "unet1"], "<= 1")
        self.ratio("U-Net, 512 x 512: bfloat16 / float32", times["ours", "unet1"], times["ours float32", "unet1"], "<= 0.65")

    def decode(self) -> None:
        sides = {who: self.side(who) for who in ("ours", "as they come")}
        times = self.rounds(sides, ("decode",))
        for side in sides.values():
            side.close()
        self.ratio("decoding to 512 x 512: ours / diffusers", times["ours", "decode"], times["as they come", "decode"], "<= 1")
        peaks = {}
        for who in sides:
            side = self.side(who)
            peaks[who] = side.ask("decode_memory")
            side.close()
        self.add("decoding to 512 x 512, memory: ours / diffusers", peaks["ours"] / peaks["as they come"], "<= 0.7",
                 f"{peaks['ours']:.0f} MB, {peaks['as they come']:.0f} MB")  # fmt: skip

    def load(self) -> None:
        """Fresh processes; the folder's files are in memory after the first round, which does not count."""
        started: dict[str, list[float]] = {"ours": [], "as they come": []}
        inside: dict[str, list[float]] = {"ours": [], "as they come": []}
        resident = 0.0
        for _ in range(self.args.rounds + 1):
            for who in started:
                side = self.side(who)
                before = side.ask("resident")
                inside[who].append(side.ask("load"))
                started[who].append(1e3 * side.since_start())
                if who == "ours":
                    resident = side.ask("resident") - before
                    weights = 4 * side.ask("weights") / 2**20
                side.close()
        self.ratio("from the program's start to a first step, 64 x 64: ours / diffusers", started["ours"][1:], started["as they come"][1:], "<= 0.5")
        self.ratio("the same without starting the program and importing: ours / diffusers", inside["ours"][1:], inside["as they come"][1:], "")
        self.add("resident after the first step / weights", resident / weights, "<= 1.15", f"{resident:.0f} MB, {weights:.0f} MB")

    def train(self) -> None:
        sides = {who: self.side(who) for who in ("ours", "as they come")}
        weights = {who: side.ask("train_weights") for who, side in sides.items()}
        if len(set(weights.values())) != 1:
            sys.exit(f"expected as many weights on both sides, found {weights}")
        times = self.rounds(sides, ("train",), self.args.seconds)
        for side in sides.values():
            side.close()
        name = f"training step, {weights['ours'] / 1e6:.2f} M weights in the U-Net, batch 64: ours / PyTorch"
        self.ratio(name, times["ours", "train"], times["as they come", "train"], "<= 0.8")

    def tokenizer(self) -> None:
        command = [sys.executable, ROOT / "benchmarks" / "compare" / "tokenizer.py", self.args.build, "--fast", sys.executable]
        if self.args.slow:
            command += ["--slow", self.args.slow]
        for line in subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True).stdout.splitlines():
            row = json.loads(line)
            self.add(row["name"], row["value"], row["bar"], "", row["unit"])


def main() -> int:
    import results

    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("build", type=pathlib.Path, help="build folder")
    parser.add_argument("--slow", type=pathlib.Path, help="interpreter with transformers 4, for its tokenizer in Python")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=3.0, help="a round and side of training")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--only", nargs="*", default=list(PARTS), choices=list(PARTS))
    parser.add_argument("--folder", type=pathlib.Path, default=ROOT / "build" / "stable-diffusion-random", help="of random weights, 4.3 GB, is made where it is missing")
    parser.add_argument("--file", type=pathlib.Path, default=ROOT / "benchmarks" / "results" / "stable_diffusion.json")
    parser.add_argument("--readme", type=pathlib.Path, nargs="*", default=[], help="pages whose table is replaced")
    parser.add_argument("--busy", action="store_true", help="processor time on one thread, for a machine that others use; diffusers' weights as they come; not for memory and load")
    args = parser.parse_args()
    if args.busy:
        args.threads, args.only = 1, [part for part in args.only if part in ("unet", "bfloat16", "train")]
    commit = results.program_commit(args.build)
    if not args.folder.exists():
        subprocess.run([sys.executable, __file__, "--write", args.folder], check=True)
    comparison = Comparison(args)
    for part in args.only:
        getattr(comparison, part)()
        results.save(args.file, comparison.figures, "make bench-sd" + (" ARGS=--busy" if args.busy else ""), ("torch", "diffusers", "transformers"), commit)
    found = results.load(args.file)
    for page in args.readme:
        results.replace_table(page, "stable-diffusion", [["", "measured", "bar"]] + [[name, results.cell(found, name), found[name]["bar"]] for name in found if not found[name]["unit"]])
    return 0


if __name__ == "__main__":
    if sys.argv[1:2] == ["--worker"]:
        work(*sys.argv[2:])
    elif sys.argv[1:2] == ["--write"]:
        write_folder(pathlib.Path(sys.argv[2]))
    else:
        sys.exit(main())
