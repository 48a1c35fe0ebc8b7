"""Renders the drawings of `sets/`: `python -m tests.strangers.atlases PACKAGES`.

PACKAGES is a folder that holds the unpacked npm packages `@iconify-json/fluent-emoji-flat` 1.2.6 and
`@iconify-json/fxemoji` 1.2.2 as `fluent-emoji-flat/` and `fxemoji/`, each with `icons.json` and `chars.json`.
Takes the Python package `resvg-py` and the Debian package `fonts-noto-color-emoji`; the tests need none of
them. A sheet holds what its set has of the taught objects, then of `emoji.toml`; of Noto only the latter.
"""

from __future__ import annotations

import io
import json
import sys
import unicodedata
from collections.abc import Container
from pathlib import Path
from typing import Any

from PIL import Image, ImageDraw, ImageFont

from jurat.pictograms.objects import CODE_POINTS
from tests.strangers.sprites import CELL, COLUMNS, FOLDER, untaught

FONT = "/usr/share/fonts/truetype/noto/NotoColorEmoji.ttf"
COLOURS = 255
OTHERWISE = (0x1F52B, 0x1F4BB, 0x1F426)
"""What sets of that time drew otherwise: a pistol, a computer that is no laptop, a chick."""
LARGEST = 400 * 1024


def noto() -> dict[int, Image.Image]:
    font = ImageFont.truetype(FONT, 109)
    found: dict[int, Image.Image] = {}
    for code in untaught():
        canvas = Image.new("RGBA", (160, 160), (0, 0, 0, 0))
        ImageDraw.Draw(canvas).text((8, 12), chr(code), font=font, embedded_color=True)
        found[code] = canvas
    return found


def iconify(folder: Path) -> dict[int, Image.Image]:
    import resvg_py

    icons: Any = json.loads((folder / "icons.json").read_text())
    names: dict[str, str] = json.loads((folder / "chars.json").read_text())
    found: dict[int, Image.Image] = {}
    for code in (*CODE_POINTS, *untaught()):
        name = names.get(f"{code:x}") or names.get(f"{code:x}-fe0f") or by_name(code, icons["icons"])
        if name is None:
            continue
        icon = icons["icons"].get(name) or icons["icons"][icons["aliases"][name]["parent"]]
        width, height = (icon.get(side, icons.get(side, 16)) for side in ("width", "height"))
        spaces = 'xmlns="http://www.w3.org/2000/svg" xmlns:xlink="http://www.w3.org/1999/xlink"'
        drawing = f'<svg {spaces} viewBox="0 0 {width} {height}">{icon["body"]}</svg>'
        found[code] = Image.open(io.BytesIO(resvg_py.svg_to_bytes(svg_string=drawing, width=288)))
    return found


def by_name(code: int, names: Container[str]) -> str | None:
    """What a set calls a character, where it says so in Unicode's words and no code points."""
    if code in OTHERWISE:
        return None
    words = unicodedata.name(chr(code), "").lower().replace("-", " ").split()
    some = ([w for w in words if w not in out] for out in ((), ("sign", "symbol"), ("face", "with")))
    return next((name for said in some if (name := "".join(said)) in names), None)


def square(picture: Image.Image) -> Image.Image:
    drawn = picture.convert("RGBA").crop(picture.convert("RGBA").getchannel("A").getbbox())
    side = max(drawn.size)
    canvas = Image.new("RGBA", (side, side), (0, 0, 0, 0))
    canvas.paste(drawn, ((side - drawn.width) // 2, (side - drawn.height) // 2))
    return canvas.convert("RGBa").resize((CELL, CELL), Image.Resampling.LANCZOS).convert("RGBA")


def write(name: str, drawings: dict[int, Image.Image]) -> None:
    rows = -(-len(drawings) // COLUMNS)
    sheet = Image.new("RGBA", (CELL * COLUMNS, CELL * rows), (0, 0, 0, 0))
    for i, picture in enumerate(drawings.values()):
        sheet.paste(square(picture), (CELL * (i % COLUMNS), CELL * (i // COLUMNS)))
    few = sheet.quantize(COLOURS, Image.Quantize.FASTOCTREE)
    few.save(FOLDER / f"{name}.png", optimize=True)
    (FOLDER / f"{name}.json").write_text(json.dumps([f"U+{code:X}" for code in drawings]) + "\n")
    size = (FOLDER / f"{name}.png").stat().st_size
    print(f"{name}: {len(drawings)} drawings, {size / 1024:.0f} KB")
    assert size <= LARGEST, "too large to be kept in the repository"


if __name__ == "__main__":
    packages = Path(sys.argv[1])
    write("noto", noto())
    write("fluent", iconify(packages / "fluent-emoji-flat"))
    write("fxemoji", iconify(packages / "fxemoji"))
