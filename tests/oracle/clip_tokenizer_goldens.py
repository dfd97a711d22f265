"""Writes the files that tests/agents/clip_tokenizer_test.cpp reads: a tokenizer with CLIP's first merges, in the two layouts
that transformers has written over time, and the ids that transformers gives prompts of every kind.

usage: clip_tokenizer_goldens.py OUT    (needs transformers 5.23 and, for the vocabulary, clip-anytorch 2.6; both only here)
"""
from __future__ import annotations

import gzip
import importlib.util
import json
import pathlib
import random
import shutil
import sys

GOLDENS = pathlib.Path(__file__).resolve().parents[1] / "agents" / "clip_tokenizer"
MERGES = 48894  # of CLIP's own
GOLDEN_MERGES, GOLDEN_PROMPTS = 1000, 300
BOS, EOS = "<|startoftext|>", "<|endoftext|>"

WORDS = """a photo of the cat dog astronaut riding horse on mars highly detailed digital painting artstation concept art smooth
sharp focus illustration by greg rutkowski 4k 8k trending unreal engine octane render cinematic lighting portrait don't it's
we're I've I'm you'll he'd WOMAN NASA McDonald's naïve café résumé Ünïcödé Straße GROẞE İstanbul ΑΣΣ ΟΔΥΣΣΕΥΣ σς ǅ Ǆ ﬁne Ⅷ""".split()
PIECES = [
    "\u0301", "\u0327\u0301", "\u0301\u0327", "e\u0301", "E\u0300\u0316", "\u1100\u1161\u11a8", "각", "가\u11a8", "\u212b", "\u2126", "\u0344", "\u0958",
    "😀", "👩‍👩‍👧‍👦", "🏳️‍🌈", "👍🏽", "🇩🇪", "☃", "❤️", "\u200d", "\u200b", "\ufeff", "\u00ad", "\u2060", "\ufffd", "\ufffe", "\ue000",
    "猫の写真", "一只猫", "고양이 사진", "صورة قطة", "لِلّٰهِ", "תמונה", "кошка", "Ёлка", "γάτα", "Άγιος", "हिन्दी", "ภาพแมว", "ქართული", "Ⴀ", "Ꭰ", "ꭰ",
    "0", "42", "3.14", "1,000", "٣٤٥", "०१२", "四", "½", "²", "Ⅻ", "①", "𝟘", "𐒠", "\U0001d400", "\U00010400", "\U0001f600",
    "\x00", "\x01", "\x07", "\x1b[2J", "\x1c", "\x1f", "\x7f", "\x80", "\x85", "\x9f",
    " ", "  ", "\t", "\n", "\r\n", "\v", "\f", "\u00a0", "\u1680", "\u180e", "\u2003", "\u2028", "\u2029", "\u202f", "\u205f", "\u3000",
    BOS, EOS, EOS.upper(), "<|StartOfText|>", "<|endoftext", "|>", "<|", EOS + EOS, "!" + EOS, EOS.upper() + "!!", "<|pad|>", "<|é", "<|ᠡ", "<|\u180e\x00",
    "'s", "'T", "'RE", "'ve", "'m", "'LL", "'d", "'", "''", "'ſ", "’s", "'sé", "!'s", "'s's", "'x",
    "!", "!!!", "...", "—", "«»", "\"", "()", "[]", "(word:1.2)", "((x))", "_", "a_b", "$", "€", "#tag", "@user", "http://x.y/z?q=1&r=%20", "&amp;", "+", "=", "~", "`", "^", "\\",
    "ˈ", "ʰ", "ª", "º", "ſ", "ﷺ", "ŉ", "ΐ", "K", "Ω", "İ", "i̇", "ß", "ẞ", "Σ", "ς", "ǰ", "Ⱥ", "Ɐ", "Ꟁ", "Ᲊ", "\ua7cb", "\ua7dc", "\U00010d50", "\U00016ea0", "\U0001e5f1",
    "\u1df6\u0301", "e\u1df6\u0301", "\u0301\u1abf", "\U00011935\U00011930", "\U00011938", "\u09c7\u09be", "\u0b95\u0bca", "\u0915\u093c",
]  # fmt: skip


def prompts(count: int, seed: int) -> list[str]:
    """Texts of every kind: prompts, pieces strung together, random characters, long ones; the first are empty or of one piece."""
    draw = random.Random(seed)
    found = ["", *PIECES, *WORDS]

    def character() -> str:
        ranges = [(0, 0x80), (0x80, 0x300), (0x300, 0x370), (0x370, 0x600), (0x600, 0x3000), (0x3000, 0xD800), (0xE000, 0x10000), (0x10000, 0x20000), (0x1F300, 0x1FB00)]
        return chr(draw.randrange(*draw.choice(ranges)))

    def word() -> str:
        text = draw.choice(WORDS)
        return draw.choice([text, text, text.upper(), text.capitalize(), text[: draw.randrange(len(text)) + 1]])

    while len(found) < count:
        kind, length = draw.randrange(8), draw.choice([1, 2, 5, 10, 20])
        if kind <= 1:
            text = " ".join(word() for _ in range(length))
        elif kind == 2:
            text = "".join(draw.choice(PIECES) for _ in range(length))
        elif kind == 3:
            text = "".join(draw.choice([word(), draw.choice(PIECES), draw.choice([" ", ", "])]) for _ in range(length))
        elif kind == 4:
            text = "".join(character() for _ in range(length))
        elif kind == 5:
            text = "".join(draw.choice([character(), draw.choice("aeoAEOuc"), chr(draw.randrange(0x300, 0x370))]) for _ in range(length))
        elif kind == 6:
            text = draw.choice(["", " "]).join(word() for _ in range(length * 8))
        else:
            text = "".join(draw.choice("abcdefghijklmnopqrstuvwxyzABC0123 '") for _ in range(length * 4))
        found.append(text)
    return found[:count]


def word_prompts(count: int, seed: int) -> list[str]:
    """Texts like those that people write."""
    draw = random.Random(seed)
    words = [word for word in WORDS if word.isascii()]
    return [", ".join(" ".join(draw.choices(words, k=draw.randrange(2, 7))) for _ in range(draw.randrange(1, 6))) for _ in range(count)]


def byte_characters() -> list[str]:
    seen = [*range(33, 127), *range(161, 173), *range(174, 256)]
    unseen = [b for b in range(256) if b not in seen]
    return [chr(b) for b in seen] + [chr(256 + i) for i in range(len(unseen))]


def vocabulary_file() -> pathlib.Path | None:
    """CLIP's merges as clip-anytorch installs them, without importing it (and PyTorch)."""
    spec = importlib.util.find_spec("clip")
    found = [pathlib.Path(folder) / "bpe_simple_vocab_16e6.txt.gz" for folder in (spec.submodule_search_locations if spec else [])]
    return next((path for path in found if path.exists()), None)


def write_classic(folder: pathlib.Path, merges: int = MERGES) -> None:
    """vocab.json and merges.txt with the first of CLIP's merges; those that were written before where CLIP's are not there."""
    folder.mkdir(parents=True, exist_ok=True)
    if vocabulary_file() is None:
        for name in ("vocab.json", "merges.txt"):
            shutil.copy(GOLDENS / "classic" / name, folder / name)
        return
    lines = gzip.decompress(vocabulary_file().read_bytes()).decode().split("\n")[1 : merges + 1]
    characters = byte_characters()
    entries = characters + [c + "</w>" for c in characters] + [line.replace(" ", "") for line in lines] + [BOS, EOS]
    (folder / "vocab.json").write_text(json.dumps({text: i for i, text in enumerate(entries)}, ensure_ascii=False))
    (folder / "merges.txt").write_text("#version: 0.2\n" + "\n".join(lines) + "\n")


def main() -> None:
    from transformers import CLIPTokenizer
    from transformers import __version__ as version

    out = pathlib.Path(sys.argv[1])
    write_classic(out / "classic", GOLDEN_MERGES)
    tokenizer = CLIPTokenizer.from_pretrained(out / "classic", model_max_length=77)
    tokenizer.save_pretrained(out / "whole")
    for name in ("tokenizer.json", "tokenizer_config.json"):
        path = out / "whole" / name
        read = json.loads(path.read_text())
        for key in ("is_local", "local_files_only", "name_or_path"):
            read.pop(key, None)
        path.write_text(json.dumps(read, ensure_ascii=False) + "\n")
    lines = []
    for text in prompts(GOLDEN_PROMPTS + len(PIECES) + len(WORDS), seed=1):
        encoded = tokenizer(text, padding="max_length", truncation=True)["input_ids"]
        padding = next((i for i in range(len(encoded), 0, -1) if encoded[i - 1] != tokenizer.pad_token_id), 0)
        case = {"text": text, "encoded": encoded[: min(padding + 1, len(encoded))]}
        whole = tokenizer(text, add_special_tokens=False)["input_ids"]
        if len(whole) > tokenizer.model_max_length - 2:
            case["ids"] = whole
        lines.append(json.dumps(case, separators=(",", ":")))
    source = f"transformers {version}; the first {GOLDEN_MERGES} merges of CLIP's vocabulary (OpenAI, MIT licence)"
    (out / "prompts.json").write_text(f'{{"source": {json.dumps(source)}, "cases": [\n' + ",\n".join(lines) + "\n]}\n")


if __name__ == "__main__":
    main()
