"""Renders the atlas of EmojiScenes: every object of labels.csv as each artist drew it, 64x64 RGBA.

usage: python tools/emoji_atlas.py PACKAGES [--out datasets/scenes/atlas] [--artists noto,twemoji] [--sheet sheet.png]

PACKAGES is a folder of npm packages @iconify-json/<artist>, each fetched into it where it is missing (`npm pack`). Needs
PyPI's resvg-py, pillow and numpy. The drawing fills a square of 60 pixels by its longer side, so that artists cannot be
told apart by their margins. --artists also takes emojione-v1, whose ShareAlike licence keeps it out of the project:
render it to a folder of your own, with --out, beside copies of labels.csv and artists.csv.

--sheet draws what is there, a row for each object and a column for each artist. Labels are by the drawing: look at it.
"""

from __future__ import annotations

import argparse
import csv
import io
import json
import pathlib
import subprocess
import tarfile

import numpy as np
import resvg_py
from PIL import Image, ImageDraw

SIDE, FILLED, DRAWN = 64, 60, 512  # pixels: of a picture, of the drawing in it, as rendered at first
ARTISTS = ["noto", "noto-v1", "fluent-emoji-flat", "fxemoji", "emojione", "twemoji"]

# An object's icon is named as the object is, in fxemoji without the hyphens; but these:
ICONS = {
    "fxemoji": {
        "dagger": "daggerknife",
        "skull-and-crossbones": "blackskullcrossbones",
        "sake": "sakebottleandcup",
        "pen": "lowerleftpen",
        "fountain-pen": "lowerleftfountainpen",
        "paintbrush": "lowerleftpaintbrush",
        "scissors": "blackscissors",
        "closed-umbrella": "umbrella",
        "magnifying-glass-tilted-left": "leftmagnifyingglass",
        "fishing-pole": "fishingpoleandfish",
        "basketball": "basketballandhoop",
        "tennis": "tennisball",
        "panda": "pandaface",
        "wolf": "wolfface",
        "mouse-face": "mouse",
        "hot-pepper": "chilipepper",
        "pizza": "sliceofpizza",
        "locomotive": "steamlocomotive",
        "house": "housebuilding",
        "telephone": "blacktelephone",
        "ear-of-corn": "earofmaize",
        "cat-face": "cat",
        "dog-face": "dog",
        "tiger-face": "tiger",
        "pig-face": "pig",
        "gem-stone": "gem",
        "t-shirt": "mansshirt",
        "evergreen-tree": "evergreen",
    },
    "fluent-emoji-flat": {"hourglass": "hourglass-done"},
}
# Icons of that name which show something else, or nothing.
DROPPED = {
    "noto": {"pistol"},  # a water pistol, which has a name of its own
    "twemoji": {"pistol"},
    "fxemoji": {"umbrella", "syringe", "sailboat", "tent"},  # closed; drops of blood; a scene that fills a square
    "emojione": {"syringe", "baguette-bread", "tent", "funeral-urn"},  # blood; a loaf; a scene; an urn with a cross
}


def package(folder: pathlib.Path, artist: str) -> dict:
    """The icons of one artist's npm package."""
    found = sorted(folder.glob(f"iconify-json-{artist}-[0-9]*.tgz"))
    if not found:
        subprocess.run(["npm", "pack", "--silent", f"@iconify-json/{artist}"], cwd=folder, check=True)
        found = sorted(folder.glob(f"iconify-json-{artist}-[0-9]*.tgz"))
    with tarfile.open(found[-1]) as archive:
        return json.load(archive.extractfile("package/icons.json"))


def svg_of(icons: dict, name: str) -> str | None:
    while name in icons.get("aliases", {}):
        name = icons["aliases"][name]["parent"]
    icon = icons["icons"].get(name)
    if icon is None:
        return None
    left, top, width, height = (icon.get(key, icons.get(key, default))
                                for key, default in [("left", 0), ("top", 0), ("width", 16), ("height", 16)])
    return (f'<svg xmlns="http://www.w3.org/2000/svg" xmlns:xlink="http://www.w3.org/1999/xlink" width="{DRAWN}" '
            f'height="{DRAWN}" viewBox="{left} {top} {width} {height}">{icon["body"]}</svg>')


def drawing(svg: str) -> Image.Image | None:
    """The drawing, cut to what is seen of it and centred; None for an empty one."""
    image = Image.open(io.BytesIO(bytes(resvg_py.svg_to_bytes(svg_string=svg)))).convert("RGBA")
    seen = np.asarray(image)[..., 3] > 16
    if seen.sum() < DRAWN:
        return None
    rows, columns = np.flatnonzero(seen.any(1)), np.flatnonzero(seen.any(0))
    image = image.crop((columns[0], rows[0], columns[-1] + 1, rows[-1] + 1))
    scale = FILLED / max(image.size)
    size = tuple(max(1, round(side * scale)) for side in image.size)
    # Colours under transparency must not bleed into edges.
    image = image.convert("RGBa").resize(size, Image.Resampling.BOX).convert("RGBA")
    square = Image.new("RGBA", (SIDE, SIDE))
    square.paste(image, ((SIDE - size[0]) // 2, (SIDE - size[1]) // 2))
    return square


def names_in(atlas: pathlib.Path) -> list[str]:
    with open(atlas / "labels.csv", newline="") as file:
        return list(dict.fromkeys(row["name"] for row in csv.DictReader(file)))


def render(packages: pathlib.Path, atlas: pathlib.Path, artists: list[str]) -> None:
    for artist in artists:
        icons, folder, made = package(packages, artist), atlas / artist, 0
        folder.mkdir(exist_ok=True)
        for old in folder.glob("*.png"):
            old.unlink()
        for name in names_in(atlas):
            icon = ICONS.get(artist, {}).get(name, name.replace("-", "") if artist == "fxemoji" else name)
            svg = None if name in DROPPED.get(artist, set()) else svg_of(icons, icon)
            image = drawing(svg) if svg else None
            if image:
                image.save(folder / f"{name}.png", optimize=True)
                made += 1
        print(f"{artist}: {made} drawings")


def sheet(atlas: pathlib.Path, artists: list[str], path: pathlib.Path, columns: int = 2) -> None:
    names = names_in(atlas)
    rows = -(-len(names) // columns)
    width = 150 + 68 * len(artists)
    page = Image.new("RGB", (columns * width, rows * 68), "white")
    draw = ImageDraw.Draw(page)
    for index, name in enumerate(names):
        x, y = index // rows * width, index % rows * 68
        draw.text((x + 2, y + 26), name, fill="black")
        for column, artist in enumerate(artists):
            file = atlas / artist / f"{name}.png"
            if file.exists():
                image = Image.open(file)
                page.paste(image, (x + 150 + 68 * column, y + 2), image)
    page.save(path)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("packages", type=pathlib.Path)
    parser.add_argument("--out", type=pathlib.Path,
                        default=pathlib.Path(__file__).resolve().parent.parent / "datasets" / "scenes" / "atlas")
    parser.add_argument("--artists", default=",".join(ARTISTS))
    parser.add_argument("--sheet", type=pathlib.Path)
    options = parser.parse_args()
    artists = options.artists.split(",")
    options.packages.mkdir(parents=True, exist_ok=True)
    render(options.packages, options.out, artists)
    if options.sheet:
        sheet(options.out, artists, options.sheet)


if __name__ == "__main__":
    main()
