"""Renders drawings of the pictogram world: `python -m training.sprites [noto] [untaught] [SET=FOLDER]`.

`noto`, and `untaught` for the things that training shows as unknown, take the Debian packages
`fonts-noto-color-emoji` and `fonts-dejavu-core`. `twemoji` takes the SVG files of the npm package
`@discordapp/twemoji` 16.0.1 (`npm pack @discordapp/twemoji`, unpacked; FOLDER is its `dist/svg`), and
`emojione` those of `emojione` 2.2.7 (`assets/svg`); both need the Python package `resvg-py`. Nothing else
needs any of them.
"""

from __future__ import annotations

import io
import json
import sys
from collections.abc import Sequence
from pathlib import Path

from PIL import Image, ImageDraw, ImageFont

from jurat.pictograms.atlas import CELL, COLUMNS, FOLDER
from jurat.pictograms.objects import CODE_POINTS, OBJECTS, WORDS
from training.scenes import unknown
from training.scenes.unknown import characters

EMOJI_FONT = "/usr/share/fonts/truetype/noto/NotoColorEmoji.ttf"
TEXT_FONT = "/usr/share/fonts/truetype/dejavu/DejaVuSans-Bold.ttf"


INSTEAD: dict[str, dict[int, int | None]] = {
    "twemoji": {},
    # Of 2016: a girl is the child, and what was to be a water pistol is a revolver, which is left out.
    "emojione": {0x1F9D2: 0x1F467, 0x1F52B: None},
}
"""Set of SVG files -> code point of an object -> that of its drawing, where it is another, or None."""


def glyph(code: int, font: ImageFont.FreeTypeFont) -> Image.Image:
    """A character of the emoji font, as a square."""
    canvas = Image.new("RGBA", (160, 160), (0, 0, 0, 0))
    ImageDraw.Draw(canvas).text((8, 12), chr(code), font=font, embedded_color=True)
    return _square(canvas, f"the font has no glyph for U+{code:X}")


def vector(path: Path) -> Image.Image:
    """An SVG file, as a square."""
    import resvg_py  # pyright: ignore[reportMissingImports]

    drawn: bytes = resvg_py.svg_to_bytes(svg_path=str(path), width=3 * CELL)
    with Image.open(io.BytesIO(drawn)) as picture:
        return _square(picture.convert("RGBA"), f"{path.name} draws nothing")


def _square(canvas: Image.Image, empty: str) -> Image.Image:
    """The drawing in the middle of the smallest square that holds it. Raises ValueError(empty) if there is
    none."""
    box = canvas.getchannel("A").getbbox()
    if box is None:
        raise ValueError(empty)
    drawn = canvas.crop(box)
    side = max(drawn.size)
    square = Image.new("RGBA", (side, side), (0, 0, 0, 0))
    square.paste(drawn, ((side - drawn.width) // 2, (side - drawn.height) // 2))
    return square


def _card(word: str) -> Image.Image:
    width, height = 256, 132
    card = Image.new("RGBA", (width, height), (255, 255, 255, 255))
    draw = ImageDraw.Draw(card)
    draw.rectangle((0, 0, width - 1, height - 1), outline=(60, 60, 60, 255), width=7)
    size = next(
        s
        for s in range(120, 10, -2)
        if draw.textlength(word, font=ImageFont.truetype(TEXT_FONT, s)) <= width - 34 and s <= 96
    )
    font = ImageFont.truetype(TEXT_FONT, size)
    draw.text((width / 2, height / 2), word, font=font, fill=(10, 10, 10, 255), anchor="mm")
    square = Image.new("RGBA", (width, width), (0, 0, 0, 0))
    square.paste(card, (0, (width - height) // 2))
    return square


def sheet_of(cells: Sequence[Image.Image]) -> Image.Image:
    """A sheet of the squares, reduced to `CELL` pixels, with `COLUMNS` in each row."""
    rows = -(-len(cells) // COLUMNS)
    sheet = Image.new("RGBA", (CELL * COLUMNS, CELL * rows), (0, 0, 0, 0))
    for i, cell in enumerate(cells):
        small = cell.convert("RGBa").resize((CELL, CELL), Image.Resampling.BOX).convert("RGBA")
        sheet.paste(small, (CELL * (i % COLUMNS), CELL * (i // COLUMNS)))
    return sheet


def render_noto() -> None:
    """Writes `sprites/atlas.png` and `sprites/atlas.json` from the fonts."""
    font = ImageFont.truetype(EMOJI_FONT, 109)
    cells = [glyph(code, font) for code in CODE_POINTS] + [_card(word) for word in WORDS]
    FOLDER.mkdir(exist_ok=True)
    sheet_of(cells).save(FOLDER / "atlas.png", optimize=True)
    names = [noun.singular for noun in OBJECTS] + [f"a sign that reads {word}" for word in WORDS]
    index = {
        "cell": CELL,
        "columns": COLUMNS,
        "classes": names,
        "code_points": [f"U+{c:X}" for c in CODE_POINTS],
    }
    (FOLDER / "atlas.json").write_text(json.dumps(index, indent=1) + "\n")


def render_vectors(name: str, folder: Path) -> None:
    """Writes `sprites/NAME.png`: the objects in the order of their classes, and no sign cards. The cell of an
    object that the set lacks stays empty; its name is printed."""
    cells: list[Image.Image] = []
    for noun, own in zip(OBJECTS, CODE_POINTS, strict=True):
        code = INSTEAD[name].get(own, own)
        file = folder / ("none" if code is None else f"{code:04x}.svg")
        if not file.exists():
            print(f"{name} has no drawing of {noun.indefinite}")
        cells.append(vector(file) if file.exists() else Image.new("RGBA", (CELL, CELL)))
    sheet_of(cells).save(FOLDER / f"{name}.png", optimize=True)


def render_untaught() -> None:
    """Writes `training/scenes/untaught.png`: the characters of `untaught.txt`."""
    font, text_font = ImageFont.truetype(EMOJI_FONT, 109), ImageFont.truetype(TEXT_FONT, 84)
    cells: list[Image.Image] = []
    for letter, is_emoji in characters():
        if is_emoji:
            cells.append(glyph(ord(letter), font))
        else:
            canvas = Image.new("RGBA", (CELL, CELL))
            middle = CELL / 2, CELL / 2
            ImageDraw.Draw(canvas).text(middle, letter, font=text_font, fill=(0, 0, 0, 255), anchor="mm")
            cells.append(canvas)
    sheet_of(cells).save(Path(unknown.__file__).with_name("untaught.png"), optimize=True)


def main(arguments: Sequence[str]) -> None:
    for argument in arguments or ["noto"]:
        name, _, folder = argument.partition("=")
        if name == "noto" and not folder:
            render_noto()
        elif name == "untaught" and not folder:
            render_untaught()
        elif name in INSTEAD and folder:
            render_vectors(name, Path(folder))
        else:
            raise SystemExit(__doc__)


if __name__ == "__main__":
    main(sys.argv[1:])
