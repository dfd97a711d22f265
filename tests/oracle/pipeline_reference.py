"""A pipeline that DiffReward trained and wrote, in Python's diffusers: it must load as it is and give the same text embedding,
latents after 10 steps of DDIM and image. Skipped (77) without diffusers and transformers:
pip install diffusers==0.42.1 transformers==5.23.0

usage: pipeline_reference.py PROBE | pipeline_reference.py --folder FOLDER

FOLDER holds what the probe wrote.
"""

import os
import pathlib
import subprocess
import sys
import tempfile
import warnings

os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
os.environ["HF_HUB_OFFLINE"] = "1"

PROMPT = "a red disc"
TOLERANCE = {"text": 1e-5, "latents": 1e-4, "image": 1e-4}


def compare(root: pathlib.Path) -> int:
    import diffusers
    import torch
    from safetensors.torch import load_file

    diffusers.utils.logging.set_verbosity_error()
    torch.set_num_threads(1)
    found = load_file(root / "result.safetensors")
    pipe = diffusers.StableDiffusionPipeline.from_pretrained(root / "pipeline", safety_checker=None)
    pipe.scheduler = diffusers.DDIMScheduler.from_config(pipe.scheduler.config)
    pipe.set_progress_bar_config(disable=True)
    with torch.no_grad():
        text, _ = pipe.encode_prompt(PROMPT, "cpu", 1, False)
        latents = pipe(PROMPT, latents=found["noise"], num_inference_steps=10, guidance_scale=7.5, output_type="latent").images
        image = (pipe.vae.decode(latents / pipe.vae.config.scaling_factor).sample / 2 + 0.5).clamp(0, 1)
    worst = 0
    for name, expected in {"text": text, "latents": latents, "image": image}.items():
        same = found[name].shape == expected.shape
        error = (found[name] - expected).abs().max().item() if same else float("inf")
        print(f"{name} {tuple(expected.shape)}: largest error {error:.2g}, at most {TOLERANCE[name]:g}")
        worst = max(worst, error / TOLERANCE[name])
    print(f"deviation of latents {latents.std().item():.3g}, of the image {image.std().item():.3g}")
    return 0 if worst <= 1 else 1


def main() -> int:
    try:
        import diffusers  # noqa: F401
        import transformers  # noqa: F401
    except ImportError:
        print("skipped: needs diffusers and transformers")
        return 77
    warnings.filterwarnings("ignore")
    if sys.argv[1] == "--folder":
        return compare(pathlib.Path(sys.argv[2]))
    with tempfile.TemporaryDirectory() as name:
        said = subprocess.run([sys.argv[1], name, PROMPT], capture_output=True, text=True)
        if said.returncode != 0:
            sys.exit(said.stderr)
        return compare(pathlib.Path(name))


if __name__ == "__main__":
    sys.exit(main())
