"""Renders the sprites of the pictogram world from fonts: `python -m training.sprites`.

Takes the Debian packages `fonts-noto-color-emoji` and `fonts-dejavu-core`; nothing else needs the fonts.
"""

from __future__ import annotations

import json

from PIL import Image, ImageDraw, ImageFont

from jurat.pictograms.atlas import CELL, COLUMNS, FOLDER
from jurat.pictograms.objects import CODE_POINTS, OBJECTS, WORDS


def _emoji(code: int, font: ImageFont.FreeTypeFont) -> Image.Image:
    canvas = Image.new("RGBA", (160, 160), (0, 0, 0, 0))
    ImageDraw.Draw(canvas).text((8, 12), chr(code), font=font, embedded_color=True)
    box = canvas.getchannel("A").getbbox()
    if box is None:
        raise ValueError(f"the font has no glyph for U+{code:X}")
    glyph = canvas.crop(box)
    side = max(glyph.size)
    square = Image.new("RGBA", (side, side), (0, 0, 0, 0))
    square.paste(glyph, ((side - glyph.width) // 2, (side - glyph.height) // 2))
    return square


def _card(word: str, font_file: str) -> Image.Image:
    width, height = 256, 132
    card = Image.new("RGBA", (width, height), (255, 255, 255, 255))
    draw = ImageDraw.Draw(card)
    draw.rectangle((0, 0, width - 1, height - 1), outline=(60, 60, 60, 255), width=7)
    size = next(
        s
        for s in range(120, 10, -2)
        if draw.textlength(word, font=ImageFont.truetype(font_file, s)) <= width - 34 and s <= 96
    )
    font = ImageFont.truetype(font_file, size)
    draw.text((width / 2, height / 2), word, font=font, fill=(10, 10, 10, 255), anchor="mm")
    square = Image.new("RGBA", (width, width), (0, 0, 0, 0))
    square.paste(card, (0, (width - height) // 2))
    return square


def render(
    emoji_font: str = "/usr/share/fonts/truetype/noto/NotoColorEmoji.ttf",
    text_font: str = "/usr/share/fonts/truetype/dejavu/DejaVuSans-Bold.ttf",
) -> None:
    """Writes `sprites/atlas.png` and `sprites/atlas.json` from the fonts."""
    font = ImageFont.truetype(emoji_font, 109)
    cells = [_emoji(code, font) for code in CODE_POINTS] + [_card(word, text_font) for word in WORDS]
    rows = -(-len(cells) // COLUMNS)
    sheet = Image.new("RGBA", (CELL * COLUMNS, CELL * rows), (0, 0, 0, 0))
    for i, cell in enumerate(cells):
        small = cell.convert("RGBa").resize((CELL, CELL), Image.Resampling.BOX).convert("RGBA")
        sheet.paste(small, (CELL * (i % COLUMNS), CELL * (i // COLUMNS)))
    FOLDER.mkdir(exist_ok=True)
    sheet.save(FOLDER / "atlas.png", optimize=True)
    names = [noun.singular for noun in OBJECTS] + [f"a sign that reads {word}" for word in WORDS]
    index = {
        "cell": CELL,
        "columns": COLUMNS,
        "classes": names,
        "code_points": [f"U+{c:X}" for c in CODE_POINTS],
    }
    (FOLDER / "atlas.json").write_text(json.dumps(index, indent=1) + "\n")


if __name__ == "__main__":
    render()
