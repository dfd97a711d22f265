"""Stable Diffusion from Python: arrays, callbacks, errors, the example."""

import os
import pathlib
import subprocess
import sys

import numpy as np
import pytest

import diffreward as dr

EXAMPLE = pathlib.Path(__file__).parents[2] / "examples" / "python" / "stable_diffusion.py"


@pytest.fixture(scope="module")
def model(pipeline):
    return dr.StableDiffusion.load(pipeline)


def test_samples_are_functions_of_their_settings(model):
    first, again = (model.sample(["a castle", "a sea"], steps=3, safety="medium", seed=4) for _ in range(2))
    np.testing.assert_array_equal(first.images, again.images)
    np.testing.assert_array_equal(first.latents, again.latents)
    assert first.images.shape == (2, 32, 32, 3) and first.images.dtype == np.uint8
    assert np.abs(model.sample("a castle", steps=3, seed=5).latents - first.latents[:1]).max() > 0.1


def test_noise_is_pytorchs(model):
    torch = pytest.importorskip("torch")
    expected = torch.randn((2, 4, 16, 16), generator=torch.Generator().manual_seed(11)).numpy()
    np.testing.assert_array_equal(model.noise(2, seed=11), expected)
    each = model.noise(2, seed=11, seed_each=True)
    np.testing.assert_array_equal(each[1:], model.noise(1, seed=12))


def test_a_callback_sees_every_step_and_cannot_change_it(model):
    steps = []
    latents = model.sample("a castle", steps=4, scheduler="ddim", safety="max", pair=True, callback=steps.append).latents
    assert [step.index for step in steps] == [0, 1, 2, 3] and steps[0].count == 4
    for before, after in zip(steps, steps[1:]):
        np.testing.assert_array_equal(before.after, after.before)
        np.testing.assert_array_equal(before.after, before.after_safe)
        assert np.abs(before.after_base - before.after_safe).max() > 0
    np.testing.assert_array_equal(steps[-1].after, latents)
    np.testing.assert_allclose(steps[0].eps_base,
                               steps[0].eps_nothing + 7.5 * (steps[0].eps_prompt - steps[0].eps_nothing), atol=1e-5)
    with pytest.raises(ValueError, match="read-only"):
        steps[0].before[:] = 0
    bare = []
    model.sample("a castle", steps=1, guidance_scale=1, callback=bare.append)
    assert bare[0].eps_nothing is None and bare[0].gamma is None and bare[0].after_base is None


def test_what_a_callback_raises_ends_sampling(model):
    calls = []

    def stop(step):
        calls.append(step.index)
        if step.index == 1:
            raise LookupError("enough")

    with pytest.raises(LookupError, match="enough"):
        model.sample("a castle", steps=10, callback=stop)
    assert calls == [0, 1]


def test_images_become_latents_and_back(model):
    images, latents = model.sample(["a castle", "a sea"], steps=2)
    np.testing.assert_array_equal(model.decode(latents), images)
    encoded = model.encode(images)
    assert encoded.shape == latents.shape
    np.testing.assert_allclose(model.encode(images / 255), encoded, atol=1e-5)


def test_tensors_come_back_as_tensors(model):
    torch = pytest.importorskip("torch")
    latents = torch.zeros(1, 4, 16, 16)
    images = model.decode(latents)
    assert isinstance(images, torch.Tensor) and images.dtype == torch.uint8
    assert isinstance(model.encode(images), torch.Tensor)


def test_errors_name_what_was_wrong(model, pipeline, tmp_path):
    with pytest.raises(ValueError, match="did you mean 'steps'"):
        model.sample("a castle", stepz=3)
    for settings in ({"steps": 0}, {"width": 33}, {"safety": "most"}, {"pair": True}):
        with pytest.raises(ValueError):
            model.sample("a castle", **settings)
    with pytest.raises(ValueError, match="prompts"):
        model.sample([])
    with pytest.raises(ValueError, match="multiples of 2"):
        model.encode(np.zeros((1, 31, 32, 3), np.uint8))
    with pytest.raises(ValueError, match="latents"):
        model.decode(np.zeros((4, 16, 16)))
    with pytest.raises(RuntimeError, match="model_index.json"):
        dr.StableDiffusion.load(tmp_path)


def test_the_commands_are_functions(pipeline):
    made = dr.sd_sample(model=pipeline, prompts="a castle", steps=2, samples=2, blur=False, progress=False)
    assert made.figures["pictures"] == 2 and made.figures["blurred"] is False
    decoded = dr.sd_decode(model=pipeline, latents=[made], blur=False, progress=False)
    for name in ("000000.png", "000001.png"):
        assert (decoded.folder / name).read_bytes() == (made.folder / name).read_bytes()


def test_the_example_runs(pipeline):
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    out = subprocess.run([sys.executable, EXAMPLE, pipeline, "a castle", "3"], check=True, env=environment, text=True,
                         capture_output=True).stdout
    assert out.count("step ") == 4 and "pictures differ" in out  # pndm calls the U-Net once more
