"""Drawings to put into pictures: the taught objects, untaught emoji of the same font and other sets.

A drawing is an `RGBA` image of what is drawn and nothing around it. The sheets of other sets lie in `sets/`
with their licences (`python -m tests.strangers.atlases` renders them). `Symbola` is read from its font where
that is installed: Debian's `fonts-symbola`.
"""

from __future__ import annotations

import json
import tomllib
import unicodedata
from functools import cache
from pathlib import Path
from typing import Literal

from PIL import Image, ImageDraw, ImageFont

from jurat.pictograms.objects import CODE_POINTS, OBJECTS

CELL, COLUMNS = 72, 16
FOLDER = Path(__file__).parent / "sets"
SHIPPED = Path(__file__).parents[2] / "src" / "jurat" / "pictograms" / "sprites"
SYMBOLA = Path("/usr/share/fonts/truetype/ancient-scripts/Symbola_hint.ttf")

Category = Literal["things", "people", "symbols"]
SetName = Literal["noto", "twemoji", "fluent", "fxemoji"]


@cache
def categories() -> dict[Category, tuple[int, ...]]:
    """Code points of the emoji that are neither taught nor shown in training."""
    data = tomllib.loads(Path(__file__).with_name("emoji.toml").read_text("utf-8"))
    return {name: tuple(ord(c) for c in "".join(data[name].split())) for name in data}


def untaught() -> tuple[int, ...]:
    return tuple(code for codes in categories().values() for code in codes)


@cache
def taught(source: SetName = "noto") -> dict[int, Image.Image]:
    """Class number -> drawing: the objects as a set draws them, as far as it has them. Of Noto Color Emoji
    and Twemoji these are what jurat ships; the sign cards are jurat's own in all sets."""
    classes: list[str] = json.loads((SHIPPED / "atlas.json").read_text())["classes"]
    shipped = _cells(SHIPPED / "atlas.png", len(classes), 96, 12)
    if source == "noto":
        return dict(enumerate(shipped))
    if source == "twemoji":
        drawn = dict(enumerate(_cells(SHIPPED / "twemoji.png", len(OBJECTS), 96, 12)))
    else:
        drawn = {CODE_POINTS.index(c): one for c, one in _sheet(source).items() if c in CODE_POINTS}
    return drawn | {i: one for i, one in enumerate(shipped) if i >= len(OBJECTS)}


@cache
def strangers(source: SetName, category: Category | None = None) -> tuple[Image.Image, ...]:
    """Untaught emoji of a set, of one category or of all."""
    wanted = set(untaught() if category is None else categories()[category])
    return tuple(one for code, one in _sheet(source).items() if code in wanted)


@cache
def outlines() -> tuple[Image.Image, ...]:
    """Black line drawings of emoji, of taught objects and others; empty where the font is not installed."""
    if not SYMBOLA.exists():
        return ()
    font = ImageFont.truetype(str(SYMBOLA), 88)
    # The font has the emoji of Unicode 6 and a few later ones.
    drawn = (glyph(chr(code), font) for code in (*CODE_POINTS, *untaught()) if code < 0x1F900)
    missing = glyph("\U000f0000", font)
    return tuple(one for one in drawn if one.tobytes() != missing.tobytes())


@cache
def icons() -> tuple[Image.Image, ...]:
    """Black symbols of DejaVu Sans, the font that Matplotlib ships."""
    from matplotlib.font_manager import findfont

    font = ImageFont.truetype(findfont("DejaVu Sans"), 88)
    codes = (*range(0x2600, 0x2670), *range(0x2690, 0x26A0), *range(0x2701, 0x2768))
    known = [code for code in codes if unicodedata.name(chr(code), "")]
    drawn = [glyph(chr(code), font) for code in known]
    missing = glyph("\U000f0000", font)
    return tuple(one for one in drawn if one.tobytes() != missing.tobytes())


def glyph(text: str, font: ImageFont.FreeTypeFont, fill: str | tuple[int, ...] = "black") -> Image.Image:
    """Text as an image of what is drawn; one pixel where nothing is."""
    left, top, right, bottom = (int(v) for v in font.getbbox(text))
    canvas = Image.new("RGBA", (right - left + 8, bottom - top + 8), (0, 0, 0, 0))
    ImageDraw.Draw(canvas).text((4 - left, 4 - top), text, font=font, fill=fill)
    return canvas.crop(canvas.getchannel("A").getbbox() or (0, 0, 1, 1))


@cache
def _sheet(source: SetName) -> dict[int, Image.Image]:
    """Code point -> drawing."""
    codes = [int(code[2:], 16) for code in json.loads((FOLDER / f"{source}.json").read_text())]
    return dict(zip(codes, _cells(FOLDER / f"{source}.png", len(codes), CELL, COLUMNS), strict=True))


def _cells(path: Path, count: int, cell: int, columns: int) -> list[Image.Image]:
    with Image.open(path) as sheet:
        whole = sheet.convert("RGBA")
    corners = [(cell * (i % columns), cell * (i // columns)) for i in range(count)]
    squares = [whole.crop((x, y, x + cell, y + cell)) for x, y in corners]
    return [one.crop(one.getchannel("A").getbbox()) for one in squares]
