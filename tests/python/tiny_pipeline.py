"""The smallest of the pipelines that Python's diffusers wrote for the tests, with a tokenizer of letters beside it, as
tests/cli/tiny_pipeline.h makes it.
"""

import json
import pathlib
import shutil
import string

GOLDENS = pathlib.Path(__file__).parents[1] / "golden" / "stable_diffusion"


def make_tiny_pipeline(folder: pathlib.Path) -> pathlib.Path:
    shutil.copytree(GOLDENS / "a", folder, ignore=shutil.ignore_patterns("goldens.safetensors", ".*"))
    words = [letter + end for letter in string.ascii_lowercase for end in ("", "</w>")]
    words += [f"unused{i}" for i in range(62 - len(words))] + ["<|startoftext|>", "<|endoftext|>"]
    tokenizer = folder / "tokenizer"
    tokenizer.mkdir()
    (tokenizer / "vocab.json").write_text(json.dumps({word: i for i, word in enumerate(words)}))
    (tokenizer / "merges.txt").write_text("#version: 0.2\n")
    (tokenizer / "tokenizer_config.json").write_text(json.dumps({
        "bos_token": words[62], "eos_token": words[63], "unk_token": words[63], "pad_token": words[63],
        "model_max_length": 77, "tokenizer_class": "CLIPTokenizer"}))
    return folder
