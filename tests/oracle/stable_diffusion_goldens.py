"""Writes tests/golden/stable_diffusion: tiny Stable Diffusion pipelines, and what Python's diffusers makes of them.

usage: stable_diffusion_goldens.py OUT [PIPELINE ...]

Needs diffusers==0.42.1 and transformers==5.23.0 beside the torch of requirements.txt; a later diffusers may lack the safe
pipeline, which is why its numbers are kept. Each folder is a pipeline in diffusers' layout with goldens.safetensors:

  a  one layer per block, float32; C is its golden at an odd size (names begin with "odd.")
  b  the four block types of SD 1.x with two layers each, four levels of the VAE, bfloat16, the UNet in shards
  d  a in float16 under old names: text_model., query/key/value/proj_attn, attention weights [C, C, 1, 1]

Vocabularies are small, so that prompts are made of ids; every norm and bias is moved off its initial 1 and 0.
"""
import inspect
import json
import pathlib
import shutil
import sys
import textwrap
import warnings

import diffusers
import torch
import transformers
from diffusers import (AutoencoderKL, DDIMScheduler, DPMSolverMultistepScheduler, EulerDiscreteScheduler, PNDMScheduler,
                       StableDiffusionPipelineSafe, UNet2DConditionModel)
from diffusers.pipelines.deprecated.stable_diffusion_safe import SafetyConfig
from safetensors.torch import load_file, save_file
from transformers import CLIPTextConfig, CLIPTextModel

assert (diffusers.__version__, transformers.__version__) == ("0.42.1", "5.23.0")
warnings.filterwarnings("ignore")
diffusers.utils.logging.set_verbosity_error()
torch.set_num_threads(1)

VOCABULARY, BOS, EOS, LENGTH = 64, 62, 63, 77
SCHEDULERS = {"ddim": DDIMScheduler, "pndm": PNDMScheduler, "dpm_solver": DPMSolverMultistepScheduler,
              "euler": EulerDiscreteScheduler}
PRESETS = {"off": dict(sld_guidance_scale=0), "weak": SafetyConfig.WEAK, "medium": SafetyConfig.MEDIUM,
           "strong": SafetyConfig.STRONG, "max": SafetyConfig.MAX}
# As published with SD 1.5.
SCHEDULER = {"_class_name": "PNDMScheduler", "_diffusers_version": "0.6.0", "beta_end": 0.012, "beta_schedule": "scaled_linear",
             "beta_start": 0.00085, "num_train_timesteps": 1000, "set_alpha_to_one": False, "skip_prk_steps": True,
             "steps_offset": 1, "trained_betas": None, "clip_sample": False}
GUIDANCE = 7.5
MARGIN = 2e-6  # of predictions from the threshold of a mask
DOUBLE_MARGIN = 1e-7


def moved(model: torch.nn.Module, seed: int, cross: float = 3) -> torch.nn.Module:
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if name.endswith("bias") or "norm" in name:
                parameter += 0.1 * torch.randn(parameter.shape, generator=generator)
            if "attn2.to_" in name and "to_out" not in name:  # the text shall matter
                parameter *= cross
    return model.eval()


def ids(*words: int) -> list[int]:
    return [BOS, *words] + [EOS] * (LENGTH - 1 - len(words))


def prompts() -> dict[str, torch.Tensor]:
    generator = torch.Generator().manual_seed(3)
    words = torch.randint(0, BOS, (4, 12), generator=generator).tolist()
    return {"nothing": torch.tensor([ids()]), "prompt": torch.tensor([ids(*words[0][:5])]),
            "second": torch.tensor([ids(*words[1][:12])]), "concept": torch.tensor([ids(*words[2], *words[3])])}


def make(kind: str) -> dict[str, torch.nn.Module]:
    torch.manual_seed({"a": 0, "b": 1}[kind])
    if kind == "a":
        unet = UNet2DConditionModel(
            sample_size=16, block_out_channels=(16, 32), layers_per_block=1, cross_attention_dim=32, norm_num_groups=8,
            attention_head_dim=4, down_block_types=("CrossAttnDownBlock2D", "DownBlock2D"),
            up_block_types=("UpBlock2D", "CrossAttnUpBlock2D"))
        vae = AutoencoderKL(block_out_channels=(8, 16), layers_per_block=1, norm_num_groups=8, sample_size=32,
                            down_block_types=("DownEncoderBlock2D",) * 2, up_block_types=("UpDecoderBlock2D",) * 2)
        text = CLIPTextConfig(hidden_size=32, intermediate_size=64, num_hidden_layers=3, num_attention_heads=4,
                              vocab_size=VOCABULARY, bos_token_id=BOS, eos_token_id=EOS)
    else:
        unet = UNet2DConditionModel(sample_size=16, block_out_channels=(16, 16, 24, 24), cross_attention_dim=64, norm_num_groups=8)
        vae = AutoencoderKL(block_out_channels=(8, 8, 16, 16), layers_per_block=2, norm_num_groups=8, sample_size=64,
                            down_block_types=("DownEncoderBlock2D",) * 4, up_block_types=("UpDecoderBlock2D",) * 4)
        text = CLIPTextConfig(hidden_size=64, intermediate_size=128, num_hidden_layers=2, num_attention_heads=4,
                              vocab_size=VOCABULARY, bos_token_id=BOS, eos_token_id=EOS, hidden_act="gelu")
    return {"unet": moved(unet, 10), "vae": moved(vae, 11), "text_encoder": moved(CLIPTextModel(text), 12)}


def write(folder: pathlib.Path, models: dict, dtype: torch.dtype, shard: str | None) -> None:
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    for name, model in models.items():
        model.to(dtype).save_pretrained(folder / name, **({"max_shard_size": shard} if shard and name == "unet" else {}))
        model.float()
    for path in folder.glob("*/generation_config.json"):
        path.unlink()
    (folder / "scheduler").mkdir()
    (folder / "scheduler" / "scheduler_config.json").write_text(json.dumps(SCHEDULER, indent=2) + "\n")
    (folder / "model_index.json").write_text(json.dumps({
        "_class_name": "StableDiffusionPipeline", "_diffusers_version": diffusers.__version__, "feature_extractor": [None, None],
        "image_encoder": [None, None], "requires_safety_checker": False, "safety_checker": [None, None],
        "scheduler": ["diffusers", "PNDMScheduler"], "text_encoder": ["transformers", "CLIPTextModel"],
        "tokenizer": ["transformers", "CLIPTokenizer"], "unet": ["diffusers", "UNet2DConditionModel"],
        "vae": ["diffusers", "AutoencoderKL"]}, indent=2) + "\n")


def old_names(source: pathlib.Path, target: pathlib.Path) -> None:
    """`source` in float16 as files of 2022 name it."""
    shutil.rmtree(target, ignore_errors=True)
    shutil.copytree(source, target)
    (target / "goldens.safetensors").unlink(missing_ok=True)
    for path in target.glob("*/*.safetensors"):
        tensors = {name: tensor.half() for name, tensor in load_file(path).items()}
        if path.parent.name == "text_encoder":
            tensors = {"text_model." + name.removeprefix("text_model."): tensor for name, tensor in tensors.items()}
            tensors["text_model.embeddings.position_ids"] = torch.arange(LENGTH)[None]
        if path.parent.name == "vae":
            renamed = {}
            for name, tensor in tensors.items():
                for new, old in {"to_q": "query", "to_k": "key", "to_v": "value", "to_out.0": "proj_attn"}.items():
                    if f".{new}." in name:
                        name = name.replace(f".{new}.", f".{old}.")
                        tensor = tensor[:, :, None, None] if tensor.dim() == 2 else tensor
                renamed[name] = tensor.contiguous()
            tensors = renamed
        path.unlink()
        save_file(tensors, path.with_suffix("").with_suffix(".fp16.safetensors") if path.parent.name == "unet" else path,
                  {"format": "pt"})


class Recorder:
    """The safe pipeline on given embeddings and latents, with all that happens inside."""

    def __init__(self, models: dict, scheduler, embeddings: dict[str, torch.Tensor]):
        self.pipe = StableDiffusionPipelineSafe(vae=models["vae"], text_encoder=models["text_encoder"], tokenizer=None,
                                                unet=models["unet"], scheduler=scheduler, safety_checker=None,
                                                feature_extractor=None, requires_safety_checker=False)
        self.pipe.set_progress_bar_config(disable=True)
        self.pipe.check_inputs = lambda *_: None
        self.embeddings = embeddings
        self.unet = models["unet"]

    def run(self, latents: torch.Tensor, steps: int, preset: dict):
        n, safe = latents.shape[0], preset["sld_guidance_scale"] > 1
        names = ["nothing", "prompt"] + ["concept"] * safe
        self.pipe._encode_prompt = lambda *_: torch.cat([self.embeddings[name].expand(n, -1, -1) for name in names])
        scheduler, calls, raw = self.pipe.scheduler, [], []
        hook = self.unet.register_forward_hook(lambda m, i, o: raw.append(o.sample.detach().clone()))
        plain = type(scheduler).step

        def step(eps, t, x, **kwargs):
            out = plain(scheduler, eps, t, x, **kwargs)
            calls.append((eps.clone(), x.clone(), out.prev_sample.clone()))
            return out

        scheduler.step = step
        factor = self.pipe.vae_scale_factor
        self.pipe(["x"] * n, height=latents.shape[2] * factor, width=latents.shape[3] * factor, num_inference_steps=steps,
                  guidance_scale=GUIDANCE, latents=latents.clone(), output_type="np", **preset)
        hook.remove()
        del scheduler.step
        return calls, raw


def sld(raw: list[torch.Tensor], calls: list, preset: dict):
    """phi, mu, gamma and nu (after the step) of every step, found to give the very eps that the pipeline used."""
    nu = torch.zeros_like(raw[0].chunk(3)[0])
    out, margin = [], 1.0
    for i, (pred, call) in enumerate(zip(raw, calls)):
        nothing, prompt, concept = pred.chunk(3)
        phi = torch.clamp((prompt - concept).abs() * preset["sld_guidance_scale"], max=1.0)
        mu = torch.where(prompt - concept >= preset["sld_threshold"], torch.zeros_like(phi), phi)
        gamma = (concept - nothing) * mu + preset["sld_momentum_scale"] * nu
        nu = preset["sld_mom_beta"] * nu + (1 - preset["sld_mom_beta"]) * gamma
        guidance = prompt - nothing
        if i >= preset["sld_warmup_steps"]:
            guidance = guidance - gamma
        assert torch.equal(nothing + GUIDANCE * guidance, call[0])
        margin = min(margin, (prompt - concept - preset["sld_threshold"]).abs().min().item())
        out.append({"phi": phi, "mu": mu, "gamma": gamma, "nu": nu})
    return out, margin


def module_goldens(models: dict, embeddings: dict, latents: torch.Tensor, image: torch.Tensor | None, prefix: str) -> dict:
    out, seen = {}, {}

    def watch(name):
        return lambda module, inputs, output: seen.__setitem__(name, (output[0] if isinstance(output, tuple) else output).detach().clone())

    text, unet, vae = models["text_encoder"], models["unet"], models["vae"]
    hooks = [layer.register_forward_hook(watch(f"text.layers.{i}")) for i, layer in enumerate(
        dict(text.named_modules()).get("encoder", None).layers if "encoder" in dict(text.named_modules()) else text.text_model.encoder.layers)]
    text(prompts()["concept"])
    for name, value in embeddings.items():
        out[f"text.last_hidden_state.{name}"] = value
    for hook in hooks:
        hook.remove()
    hooks = [unet.time_embedding.register_forward_hook(watch("unet.time_embedding")), unet.mid_block.register_forward_hook(watch("unet.mid_block"))]
    for group in ("down_blocks", "up_blocks"):
        hooks += [block.register_forward_hook(watch(f"unet.{group}.{i}")) for i, block in enumerate(getattr(unet, group))]
    context = torch.cat([embeddings[name].expand(latents.shape[0], -1, -1) for name in ("nothing", "prompt", "concept")])
    out["unet.eps"] = unet(torch.cat([latents] * 3), 481, encoder_hidden_states=context).sample
    for hook in hooks:
        hook.remove()
    out["unet.times"] = torch.tensor([0.0, 1.0, 500.0, 999.0, 37.25])
    out["unet.time_embeddings"] = unet.time_embedding(unet.time_proj(out["unet.times"]).to(latents.dtype))
    if image is not None:
        out["vae.image"] = image
        moments = vae.encode(image).latent_dist
        out["vae.mean"], out["vae.logvar"] = moments.mean, moments.logvar
    decoded = vae.decode(latents / vae.config.scaling_factor).sample
    out["vae.decoded"] = decoded
    pixels = (decoded / 2 + 0.5).clamp(0, 1).permute(0, 2, 3, 1)
    out["vae.bytes"] = (pixels * 255).round().to(torch.uint8)
    if prefix == "odd.":  # the same texts
        out = {name: value for name, value in out.items() if not name.startswith("text")}
    return {prefix + name: value for name, value in {**out, **(seen if prefix in ("", "odd.") else {})}.items()}


def in_double(scheduler):
    """The scheduler with its tables as they are and all else in double precision."""
    kind = type(scheduler)
    source = textwrap.dedent(inspect.getsource(kind.step)).replace("sample = sample.to(torch.float32)", "pass")
    names = dict(vars(sys.modules[kind.__module__]))
    exec(source, names)
    plain_timesteps = kind.set_timesteps

    def set_timesteps(self, *args, **kwargs):
        plain_timesteps(self, *args, **kwargs)
        self.alphas_cumprod = self.alphas_cumprod.double()
        if hasattr(self, "final_alpha_cumprod"):
            self.final_alpha_cumprod = self.final_alpha_cumprod.double()
        if hasattr(self, "sigmas"):
            self.sigmas = self.sigmas.double()

    scheduler.__class__ = type(kind.__name__, (kind,), {"step": names["step"], "set_timesteps": set_timesteps})
    return scheduler


def chains(models: dict, embeddings: dict, shape: tuple, chosen: dict[str, list[str]], prefix: str, steps: int = 50,
           dtype: torch.dtype = torch.float32) -> dict:
    """Latents along chains. A mask is a jump: noise is drawn until no element of a chain comes near it, so that rounding
    flips none and equal numbers can be asked for."""
    out = {}
    for name, presets in chosen.items():
        for preset in presets:
            scheduler = SCHEDULERS[name].from_config(PNDMScheduler.from_config(SCHEDULER).config)
            if dtype == torch.double:
                scheduler = in_double(scheduler)
            for seed in range(1000):
                latents = torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=dtype)
                calls, raw = Recorder(models, scheduler, embeddings).run(latents, steps, PRESETS[preset])
                inside, margin = sld(raw, calls, PRESETS[preset]) if preset != "off" else ([], 1.0)
                if preset in ("off", "weak") or margin > (MARGIN if dtype == torch.float32 else DOUBLE_MARGIN):
                    break
            key = f"{prefix}{name}.{preset}"
            out[f"{key}.noise"] = latents
            for i in (1, 2, 3, 10, 50):
                if i <= steps:
                    out[f"{key}.latents.{i}"] = calls[len(calls) - 1 if i == steps else i - 1][2]
            if preset == "off":
                continue
            print(f"{key}: seed {seed}, masks' margin {margin:.1e}, zeros {torch.stack([s['mu'] for s in inside]).eq(0).double().mean():.2f}, "
                  f"clipped {torch.stack([s['phi'] for s in inside]).eq(1).double().mean():.2f}", flush=True)
            if name == "ddim":
                for i in (0, 1, 9):
                    out.update({f"{key}.{part}.{i}": value for part, value in inside[i].items()})
                    out[f"{key}.eps.{i}"] = calls[i][0]
    return out


def schedules() -> dict:
    out = {}
    for name, kind in SCHEDULERS.items():
        for spacing in ("leading", "linspace", "trailing"):
            for steps in (1, 7, 10, 30, 50):
                scheduler = kind.from_config({**SCHEDULER, "timestep_spacing": spacing})
                scheduler.set_timesteps(steps)
                key = f"schedule.{name}.{spacing}.{steps}"
                out[f"{key}.timesteps"] = scheduler.timesteps.double()
                if hasattr(scheduler, "sigmas"):
                    out[f"{key}.sigmas"] = scheduler.sigmas.double()
                out[f"{key}.init_noise_sigma"] = torch.tensor(float(scheduler.init_noise_sigma), dtype=torch.float64)
        out["schedule.alphas_cumprod"] = scheduler.alphas_cumprod
    return out


def noise() -> dict:
    """PyTorch's numbers for a seed; sixteen and more of them take another way than fewer."""
    def draw(seed, shape, dtype=torch.float32):
        return torch.randn(shape, generator=torch.Generator("cpu").manual_seed(seed), dtype=dtype)

    return {"noise.few": draw(7, (1, 1, 3, 5)), "noise.sixteen": draw(7, (1, 1, 4, 4)), "noise.latents": draw(7, (2, 4, 8, 9)),
            "noise.double": draw(7, (1, 4, 4, 4), torch.float64), "noise.bfloat16": draw(7, (1, 4, 4, 4), torch.bfloat16),
            "noise.large": draw(1 << 40, (1, 4, 4, 4))}


def synthetic_sld() -> dict:
    """Predictions that take every branch: scale 1/4 clips about half of the elements, the threshold zeroes about a third."""
    generator = torch.Generator().manual_seed(21)
    raw = [torch.randn((3, 4, 8, 8), generator=generator) * 2 for _ in range(4)]
    for pred in raw:  # ties, which tell >= from >
        pred[1, 0], pred[2, 0] = torch.round(pred[1, 0] * 4) / 4, torch.round(pred[2, 0] * 4) / 4
    preset = {"sld_warmup_steps": 2, "sld_guidance_scale": 0.5, "sld_threshold": 0.5, "sld_momentum_scale": 0.5, "sld_mom_beta": 0.7}
    nu = torch.zeros((1, 4, 8, 8))
    out = {}
    for i, pred in enumerate(raw):  # by the pipeline's method, which is called by nobody and takes the first two the other way round
        nothing, prompt, concept = pred.chunk(3)
        guidance, nu = StableDiffusionPipelineSafe.perform_safety_guidance(
            None, True, nu, prompt - nothing, (prompt, nothing, concept), i, preset["sld_guidance_scale"], preset["sld_warmup_steps"],
            preset["sld_threshold"], preset["sld_momentum_scale"], preset["sld_mom_beta"])
        out[f"sld.predictions.{i}"], out[f"sld.eps.{i}"], out[f"sld.nu.{i}"] = pred, nothing + GUIDANCE * guidance, nu
    return out


def main(out: pathlib.Path, wanted: list[str]) -> None:
    tokens = prompts()
    for kind, dtype, shard in (("a", torch.float32, None), ("b", torch.bfloat16, "300KB")):
        if kind not in wanted:
            continue
        models = make(kind)
        write(out / kind, models, dtype, shard)
        golden = {f"ids.{name}": value for name, value in tokens.items()}
        with torch.no_grad():
            embeddings = {name: models["text_encoder"](value).last_hidden_state for name, value in tokens.items()}
            generator = torch.Generator().manual_seed(0)
            latents = torch.randn((1, 4, 12, 12), generator=generator)
            image = torch.rand((1, 3, 32, 32), generator=generator) * 2 - 1
            golden["latents"] = latents
            golden.update(module_goldens(models, embeddings, latents, image, ""))
            everything = {name: list(PRESETS) for name in SCHEDULERS}
            shape = (1, 4, 12, 12)
            golden.update(chains(models, embeddings, shape, everything if kind == "a" else {"pndm": ["off"]}, ""))
            if kind == "a":
                odd = torch.randn((2, 4, 9, 11), generator=generator)
                golden["odd.latents"] = odd
                golden.update(module_goldens(models, embeddings, odd, None, "odd."))
                golden.update(schedules())
                golden.update(noise())
                golden.update(synthetic_sld())
            for model in models.values():
                model.double()
            embeddings = {name: models["text_encoder"](value).last_hidden_state for name, value in tokens.items()}
            if kind == "a":
                golden.update(module_goldens(models, embeddings, latents.double(), image.double(), "double."))
                golden.update(chains(models, embeddings, odd.shape, {"pndm": ["medium"]}, "double.odd.", 10, torch.double))
            golden.update(chains(models, embeddings, shape, everything if kind == "a" else {"pndm": ["max"], "ddim": ["medium"]},
                                 "double.", dtype=torch.double))
        save_file({name: value.contiguous() for name, value in golden.items()}, out / kind / "goldens.safetensors",
                  {"made_by": f"torch {torch.__version__}, diffusers {diffusers.__version__}, transformers {transformers.__version__}"})
    if "d" not in wanted:
        return
    old_names(out / "a", out / "d")
    models = {name: model.half().float() for name, model in make("a").items()}
    with torch.no_grad():
        embeddings = {name: models["text_encoder"](value).last_hidden_state for name, value in tokens.items()}
        latents = load_file(out / "a" / "goldens.safetensors")["latents"]
        golden = {f"ids.{name}": value for name, value in tokens.items()} | {"latents": latents}
        golden.update(module_goldens(models, embeddings, latents, None, "short."))
        golden.update(chains(models, embeddings, (1, 4, 12, 12), {"ddim": ["weak"]}, "", 10))
    save_file({name: value.contiguous() for name, value in golden.items()}, out / "d" / "goldens.safetensors")


if __name__ == "__main__":
    main(pathlib.Path(sys.argv[1]), sys.argv[2:] or ["a", "b", "d"])
