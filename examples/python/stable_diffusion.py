"""Where Safe Latent Diffusion leads away from what a prompt asks for: both branches of every step, from the same latents.

    python examples/python/stable_diffusion.py FOLDER [PROMPT [STEPS]]

FOLDER holds Stable Diffusion 1.x in the layout of Python's diffusers. Prints how far the two branches part at every step,
and how much the pictures of the two chains, from equal noise, differ.
"""

import sys

import numpy as np

import diffreward as dr

folder = sys.argv[1]
prompt = sys.argv[2] if len(sys.argv) > 2 else "a knight before a castle"
steps = int(sys.argv[3]) if len(sys.argv) > 3 else 25


def show(step):
    apart = np.sqrt(np.mean((step.after_safe - step.after_base) ** 2))
    print(f"step {step.index + 1}/{step.count}  t {step.timestep:4.0f}  branches {apart:.2e} apart")


model = dr.StableDiffusion.load(folder)
safe = model.sample(prompt, steps=steps, safety="max", pair=True, seed=0, callback=show)
base = model.sample(prompt, steps=steps, seed=0)
difference = np.abs(safe.images.astype(int) - base.images.astype(int)).mean()
print(f"the pictures differ by {difference:.1f} of 255 a pixel")
