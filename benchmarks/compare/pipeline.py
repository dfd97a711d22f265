"""One training step of a small latent-diffusion pipeline: ours, and diffusers' and transformers' modules in eager PyTorch.

Both sides train text encoder and U-Net of PipelineConfig's defaults together on made latents: forward, mean square error,
backward, the gradient's norm cut to 1, AdamW, an average of the weights at every step; PyTorch's side with the fused AdamW
and foreach averages. Rounds alternate between the sides; the ratio is a median over the rounds. Needs
diffusers==0.42.1 and transformers==5.23.0.

usage: python benchmarks/compare/pipeline.py build/release [--rounds 9] [--seconds 3] [--threads 2] [--batch 64]
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
VOCABULARY = 49408
BAR = 0.8  # of PyTorch's time


class Eager:
    def __init__(self, batch: int, threads: int) -> None:
        import torch
        from diffusers import UNet2DConditionModel
        from transformers import CLIPTextConfig, CLIPTextModel

        torch.set_num_threads(threads)
        torch.manual_seed(1)
        self.torch = torch
        self.unet = UNet2DConditionModel(
            sample_size=16, block_out_channels=(32, 64, 96), layers_per_block=1, cross_attention_dim=96, norm_num_groups=8, attention_head_dim=4,
            down_block_types=("DownBlock2D", "CrossAttnDownBlock2D", "CrossAttnDownBlock2D"),
            up_block_types=("CrossAttnUpBlock2D", "CrossAttnUpBlock2D", "UpBlock2D"))  # fmt: skip
        self.text = CLIPTextModel(CLIPTextConfig(
            hidden_size=96, intermediate_size=384, num_hidden_layers=2, num_attention_heads=4, vocab_size=VOCABULARY,
            max_position_embeddings=16))  # fmt: skip
        self.parameters = [*self.text.parameters(), *self.unet.parameters()]
        self.average = [parameter.detach().clone() for parameter in self.parameters]
        self.optimizer = torch.optim.AdamW(self.parameters, lr=5e-4, weight_decay=1e-4, fused=True)
        self.x, self.noise = torch.randn(batch, 4, 16, 16), torch.randn(batch, 4, 16, 16)
        self.t, self.ids = torch.randint(0, 1000, (batch,)), torch.randint(0, VOCABULARY, (batch, 16))

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


def work(batch: int, threads: int) -> None:
    eager = Eager(batch, threads)
    print("ready", flush=True)
    for line in sys.stdin:
        what, seconds = line.split()
        if what == "weights":
            print(sum(parameter.numel() for parameter in eager.unet.parameters()), flush=True)
            continue
        times, begin = [], time.perf_counter()
        while not times or time.perf_counter() - begin < float(seconds):
            before = time.perf_counter()
            eager.step()
            times.append(time.perf_counter() - before)
        print(1e3 * statistics.median(times), flush=True)


class Side:
    def __init__(self, command: list[str]) -> None:
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        if self.process.stdout.readline().strip() != "ready":
            sys.exit(f"cannot run {' '.join(command)}")

    def ask(self, what: str, seconds: float = 0) -> float:
        self.process.stdin.write(f"{what} {seconds}\n")
        self.process.stdin.flush()
        return float(self.process.stdout.readline())


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("build", type=pathlib.Path, help="build folder")
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--seconds", type=float, default=3.0, help="a round and side")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--batch", type=int, default=64)
    parser.add_argument("--file", type=pathlib.Path, default=ROOT / "benchmarks" / "results" / "pipeline.json")
    args = parser.parse_args()
    commit = results.program_commit(args.build)
    sides = {
        "ours": Side([str(args.build / "benchmarks" / "pipeline_throughput"), str(VOCABULARY), str(args.batch), str(args.threads)]),
        "eager": Side([sys.executable, __file__, "--worker", str(args.batch), str(args.threads)]),
    }
    weights = {name: int(side.ask("weights")) for name, side in sides.items()}
    if weights["ours"] != weights["eager"]:
        sys.exit(f"U-Net: expected as many weights as diffusers', {weights['eager']}, found {weights['ours']}")
    times: dict[str, list[float]] = {name: [] for name in sides}
    for side in sides.values():
        side.ask("train")  # warm-up
    for _ in range(args.rounds):
        for name, side in sides.items():
            times[name].append(side.ask("train", args.seconds))
    ratio = statistics.median(a / b for a, b in zip(times["ours"], times["eager"], strict=True))
    note = ", ".join(f"{name} {statistics.median(values):.4g} ms" for name, values in times.items())
    print(f"training step of {weights['ours']:,} weights, batch {args.batch}: ours / PyTorch {ratio:.3f}, bar <= {BAR}  ({note})")
    figures = [(f"training step of a small pipeline, batch {args.batch}: ours / PyTorch", ratio, "", f"<= {BAR}", note)]
    results.save(args.file, figures, "python benchmarks/compare/pipeline.py build/release", ("torch", "diffusers", "transformers"), commit)
    return 0


if __name__ == "__main__":
    if sys.argv[1:2] == ["--worker"]:
        work(int(sys.argv[2]), int(sys.argv[3]))
    else:
        sys.exit(main())
