"""Texts a second: ClipTokenizer, transformers' tokenizer in Python, and its present one in Rust, one text at a time and as a batch.

All sides encode the same texts with CLIP's own vocabulary, padded to 77 ids, on one thread, in rounds that alternate between them;
ratios are medians over the rounds. transformers 5 has no tokenizer in Python any more: --slow names an interpreter with
version 4, --fast one with version 5. Prints a JSON row for each figure.

usage: python benchmarks/compare/tokenizer.py build/release --slow PYTHON --fast PYTHON [--rounds 9] [--seconds 1]
       (needs clip-anytorch 2.6 for the vocabulary)
"""
from __future__ import annotations

import argparse
import json
import os
import pathlib
import statistics
import subprocess
import sys
import tempfile
import time

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tests" / "oracle"))

BAR = ">= 20"  # against the tokenizer in Python
TEXTS = 1000
SIDES = {"slow": "transformers 4, Python", "fast": "transformers 5, Rust", "batch": "transformers 5, Rust, one batch"}


def work(side: str, folder: str, texts_file: str) -> None:
    """transformers' side, in a process of its own: the same protocol as tokenizer_throughput."""
    if side == "slow":
        from transformers import CLIPTokenizer
    else:
        from transformers import CLIPTokenizerFast as CLIPTokenizer
    tokenizer, texts = CLIPTokenizer.from_pretrained(folder), json.loads(pathlib.Path(texts_file).read_text())
    if tokenizer.is_fast == (side == "slow"):
        sys.exit(f"--{side}: another tokenizer than expected")
    print("ready", flush=True)
    for line in sys.stdin:
        seconds, begin, done = float(line.split()[1]), time.perf_counter(), 0
        while time.perf_counter() - begin < seconds:
            if side == "batch":
                tokenizer(texts, padding="max_length", truncation=True)
            else:
                for text in texts:
                    tokenizer(text, padding="max_length", truncation=True)
            done += len(texts)
        print(done / (time.perf_counter() - begin), flush=True)


class Side:
    def __init__(self, command: list) -> None:
        environment = {**os.environ, "OMP_NUM_THREADS": "1", "RAYON_NUM_THREADS": "1", "TOKENIZERS_PARALLELISM": "false", "HF_HUB_OFFLINE": "1"}
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment)
        if self.process.stdout.readline().strip() != "ready":
            sys.exit(f"cannot run {command}")

    def ask(self, seconds: float) -> float:
        self.process.stdin.write(f"encode {seconds}\n")
        self.process.stdin.flush()
        return float(self.process.stdout.readline())

    def close(self) -> None:
        self.process.stdin.close()
        self.process.wait()


def main() -> int:
    import clip_tokenizer_goldens as goldens

    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("build", type=pathlib.Path, help="build folder")
    parser.add_argument("--slow", type=pathlib.Path, help="interpreter with transformers 4")
    parser.add_argument("--fast", type=pathlib.Path, help="interpreter with transformers 5")
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--seconds", type=float, default=1.0, help="a round and side")
    args = parser.parse_args()
    if goldens.vocabulary_file() is None:
        sys.exit("expected clip-anytorch, found none")
    cases = {"prompts": goldens.word_prompts(TEXTS, seed=0), "texts of every kind": goldens.prompts(TEXTS, seed=0)}
    with tempfile.TemporaryDirectory() as name:
        root = pathlib.Path(name)
        goldens.write_classic(root / "tokenizer")
        (root / "tokenizer" / "tokenizer_config.json").write_text(json.dumps({"model_max_length": 77, "tokenizer_class": "CLIPTokenizer"}))
        for case, texts in cases.items():
            (root / "texts.json").write_text(json.dumps(texts))
            given = [root / "tokenizer", root / "texts.json"]
            sides = {"ours": Side([args.build / "benchmarks" / "tokenizer_throughput", *given])}
            for side, python in (("slow", args.slow), ("fast", args.fast), ("batch", args.fast)):
                if python:
                    sides[side] = Side([python, __file__, "--side", side, *given])
            rounds = [{side: process.ask(args.seconds) for side, process in sides.items()} for _ in range(args.rounds + 1)][1:]
            for process in sides.values():
                process.close()
            for side in sides:
                label = SIDES.get(side, "ours")
                speed = statistics.median(r[side] for r in rounds)
                print(json.dumps({"name": f"tokenizer, {case}: {label}", "value": speed, "unit": "texts/s", "bar": ""}), flush=True)
                if side != "ours":
                    ratio = statistics.median(r["ours"] / r[side] for r in rounds)
                    print(json.dumps({"name": f"tokenizer, {case}: ours / {label}", "value": ratio, "unit": "", "bar": BAR if side == "slow" else ""}), flush=True)
    return 0


if __name__ == "__main__":
    if "--side" in sys.argv:
        work(*sys.argv[2:5])
    else:
        sys.exit(main())
