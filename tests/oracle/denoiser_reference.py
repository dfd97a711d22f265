"""Both denoisers against PyTorch: outputs and gradients, by parameter name.

usage: denoiser_reference.py PROBE

The modules below are written from the papers' description, in PyTorch's idiom; the Temporal U-Net's parameters carry the
names of Diffuser's public module, so that the weights saved here stand for a state dict of it.
"""
import json
import math
import pathlib
import subprocess
import sys
import tempfile

import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file
from torch import nn

TOLERANCE = 1e-5  # largest error, relative to the largest entry of each tensor


def sinusoid(t: torch.Tensor, size: int) -> torch.Tensor:
    frequency = torch.exp(torch.arange(size // 2) * -(math.log(10000) / (size // 2 - 1)))
    angle = t[:, None] * frequency
    return torch.cat([angle.sin(), angle.cos()], dim=1)


class Sinusoid(nn.Module):
    def __init__(self, size: int):
        super().__init__()
        self.size = size

    def forward(self, t):
        return sinusoid(t, self.size)


class ConvBlock(nn.Module):
    def __init__(self, inputs: int, outputs: int):
        super().__init__()
        # an Identity stands where the original reshapes, so that the norm is number 2
        self.block = nn.Sequential(
            nn.Conv1d(inputs, outputs, 5, padding=2), nn.Identity(), nn.GroupNorm(8, outputs), nn.Identity(), nn.Mish()
        )

    def forward(self, x):
        return self.block(x)


class TemporalBlock(nn.Module):
    def __init__(self, inputs: int, outputs: int, time: int):
        super().__init__()
        self.blocks = nn.ModuleList([ConvBlock(inputs, outputs), ConvBlock(outputs, outputs)])
        self.time_mlp = nn.Sequential(nn.Mish(), nn.Linear(time, outputs))
        self.residual_conv = nn.Conv1d(inputs, outputs, 1) if inputs != outputs else nn.Identity()

    def forward(self, x, e):
        return self.blocks[1](self.blocks[0](x) + self.time_mlp(e)[:, :, None]) + self.residual_conv(x)


class ChannelNorm(nn.Module):
    def __init__(self, channels: int):
        super().__init__()
        self.g = nn.Parameter(torch.ones(1, channels, 1))
        self.b = nn.Parameter(torch.zeros(1, channels, 1))

    def forward(self, x):
        variance, mean = torch.var_mean(x, dim=1, unbiased=False, keepdim=True)
        return (x - mean) / torch.sqrt(variance + 1e-5) * self.g + self.b


class Attention(nn.Module):
    heads, size = 4, 32

    def __init__(self, channels: int):
        super().__init__()
        inner = self.heads * self.size
        self.to_qkv = nn.Conv1d(channels, 3 * inner, 1, bias=False)
        self.to_out = nn.Conv1d(inner, channels, 1)

    def forward(self, x):
        n, _, rows = x.shape
        q, k, v = (part.reshape(n, self.heads, self.size, rows) for part in self.to_qkv(x).chunk(3, dim=1))
        context = torch.einsum("nhdr,nher->nhde", k.softmax(dim=-1), v)
        out = torch.einsum("nhde,nhdr->nher", context, q * self.size**-0.5)
        return self.to_out(out.reshape(n, -1, rows))


class ResidualAttention(nn.Module):  # residual( normalise, then attend )
    def __init__(self, channels: int):
        super().__init__()
        self.fn = nn.Module()
        self.fn.norm = ChannelNorm(channels)
        self.fn.fn = Attention(channels)

    def forward(self, x):
        return x + self.fn.fn(self.fn.norm(x))


class Resample(nn.Module):
    def __init__(self, conv: nn.Module):
        super().__init__()
        self.conv = conv

    def forward(self, x):
        return self.conv(x)


class TemporalUnet(nn.Module):
    def __init__(self, config: dict, width: int):
        super().__init__()
        dim = config["dim"]
        channels = [width] + [dim * m for m in config["dim_mults"]]
        attend = ResidualAttention if config["attention"] else lambda _: nn.Identity()
        self.time_mlp = nn.Sequential(Sinusoid(dim), nn.Linear(dim, 4 * dim), nn.Mish(), nn.Linear(4 * dim, dim))

        def level(inputs: int, outputs: int, resample: nn.Module) -> nn.ModuleList:
            return nn.ModuleList(
                [TemporalBlock(inputs, outputs, dim), TemporalBlock(outputs, outputs, dim), attend(outputs), resample]
            )

        self.downs, self.ups = nn.ModuleList(), nn.ModuleList()
        pairs = list(zip(channels, channels[1:]))
        for i, (a, b) in enumerate(pairs):
            last = i == len(pairs) - 1
            self.downs.append(level(a, b, nn.Identity() if last else Resample(nn.Conv1d(b, b, 3, 2, 1))))
        self.mid_block1 = TemporalBlock(channels[-1], channels[-1], dim)
        self.mid_attn = attend(channels[-1])
        self.mid_block2 = TemporalBlock(channels[-1], channels[-1], dim)
        for a, b in reversed(pairs[1:]):
            self.ups.append(level(2 * b, a, Resample(nn.ConvTranspose1d(a, a, 4, 2, 1))))
        self.final_conv = nn.Sequential(ConvBlock(dim, dim), nn.Conv1d(dim, width, 1))

    def forward(self, x, t):
        e, h, skips = self.time_mlp(t), x.transpose(1, 2), []
        for first, second, attention, down in self.downs:
            h = attention(second(first(h, e), e))
            skips.append(h)
            h = down(h)
        h = self.mid_block2(self.mid_attn(self.mid_block1(h, e)), e)
        for first, second, attention, up in self.ups:
            h = up(attention(second(first(torch.cat([h, skips.pop()], dim=1), e), e)))
        return self.final_conv(h).transpose(1, 2)


class MlpBlock(nn.Module):
    def __init__(self, dim: int):
        super().__init__()
        self.norm, self.first, self.second = nn.LayerNorm(dim), nn.Linear(dim, dim), nn.Linear(dim, dim)


class ResidualMlp(nn.Module):
    def __init__(self, config: dict, width: int):
        super().__init__()
        dim, size = config["dim"], config["horizon"] * width
        self.add_module("in", nn.Linear(size, dim))
        self.time, self.time_to_blocks = nn.Linear(64, dim), nn.Linear(dim, dim * config["layers"])
        self.blocks = nn.ModuleList(MlpBlock(dim) for _ in range(config["layers"]))
        self.norm, self.out = nn.LayerNorm(dim), nn.Linear(dim, size)

    def forward(self, x, t):
        mish = nn.functional.mish
        shifts = self.time_to_blocks(mish(self.time(sinusoid(t, 64)))).chunk(len(self.blocks), dim=1)
        h = self.get_submodule("in")(x.flatten(1))
        for block, shift in zip(self.blocks, shifts):
            h = h + block.second(mish(block.first(block.norm(h)) + shift))
        return self.out(mish(self.norm(h))).reshape(x.shape)


def cases():
    base = {"stride": 1, "actions": True, "layers": 3, "attention": False, "dim_mults": [1, 2, 4, 8]}
    yield base | {"net": "mlp", "horizon": 16, "dim": 256}, 6, 32
    yield base | {"net": "mlp", "horizon": 1, "dim": 24, "layers": 1}, 3, 5
    yield base | {"net": "unet", "horizon": 64, "dim": 32}, 6, 4
    yield base | {"net": "unet", "horizon": 8, "dim": 16, "dim_mults": [1, 4, 8]}, 11, 3
    yield base | {"net": "unet", "horizon": 32, "dim": 32, "dim_mults": [1, 4, 8], "attention": True}, 23, 4
    yield base | {"net": "unet", "horizon": 4, "dim": 16, "dim_mults": [1], "attention": True}, 2, 1


def worst_error(found: dict, expected: dict) -> tuple[float, str]:
    assert found.keys() == expected.keys(), sorted(found.keys() ^ expected.keys())
    errors = []
    for name, value in expected.items():
        assert found[name].shape == value.shape, (name, found[name].shape, value.shape)
        scale = max(value.abs().max().item(), 1e-3)
        errors.append(((found[name] - value).abs().max().item() / scale, name))
    return max(errors)


def check(probe: str, folder: pathlib.Path, number: int, config: dict, width: int, batch: int) -> float:
    torch.manual_seed(number)
    module = {"mlp": ResidualMlp, "unet": TemporalUnet}[config["net"]](config, width)
    with torch.no_grad():  # norms and biases too must differ from their initial values
        for parameter in module.parameters():
            parameter.add_(0.1 * torch.randn_like(parameter))
    x = torch.randn(batch, config["horizon"], width, requires_grad=True)
    t = torch.randint(0, 100, (batch,))
    weight = torch.randn(batch, config["horizon"], width)
    output = module(x, t)
    (output * weight).sum().backward()
    expected = {"output": output.detach(), "gradient.x": x.grad}
    expected |= {f"gradient.{name}": parameter.grad for name, parameter in module.named_parameters()}

    files = [folder / f"{name}.safetensors" for name in ("case", "weights", "result", "model")]
    save_file({"x": x.detach(), "t": t, "weight": weight}, files[0], {"config": json.dumps(config)})
    save_file(module.state_dict(), files[1])
    subprocess.run([probe, *map(str, files)], check=True)
    error, name = worst_error(load_file(files[2]), expected)
    parameters = sum(p.numel() for p in module.parameters())
    print(f"{config}: {parameters} parameters, worst error {error:.1e} in {name}")
    module.load_state_dict(load_file(files[3]), strict=True)  # our model files are state dicts
    with safe_open(files[3], "pt") as model:
        assert json.loads(model.metadata()["config"])["net"] == config["net"]
    return error


def main() -> None:
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as name:
        errors = [check(sys.argv[1], pathlib.Path(name), i, *case) for i, case in enumerate(cases())]
    assert max(errors) <= TOLERANCE, f"expected errors of at most {TOLERANCE}, found {max(errors)}"


if __name__ == "__main__":
    main()
