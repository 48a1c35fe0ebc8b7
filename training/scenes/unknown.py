"""Things and backgrounds that a tower must learn to call unknown (outlier exposure, Hendrycks et al. 2019,
arXiv 1812.04606).

Unknown things are drawn as sprites among, or in place of, those of the world: emoji of the same font that the
world lacks (`untaught_emoji.txt`), sprites whose halves come from two objects, sprites cut into shuffled
pieces, silhouettes, dingbats, and made-up icons. Unknown backgrounds are those of `grounds`. No test
draws any of these; `tests/strangers` has kinds of its own.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from importlib.resources import files
from pathlib import Path

import numpy as np
from PIL import Image, ImageChops, ImageDraw, ImageFilter, ImageFont

from jurat.pictograms.atlas import CELL, sprites
from jurat.pictograms.objects import OBJECTS
from training.sprites import EMOJI_FONT, TEXT_FONT, glyph

LEAST_SOLID = 0.06
"""Share of its square that an unknown thing covers, at least."""
Make = Callable[[np.random.Generator], Image.Image]


def unknown_sprite(rng: np.random.Generator) -> tuple[str, Image.Image]:
    """A kind of `SHARES` and a premultiplied `RGBa` square of `CELL` pixels."""
    while True:
        kind = str(rng.choice(list(SHARES), p=list(SHARES.values())))
        sprite = _MAKE[kind](rng).convert("RGBa")
        if (np.asarray(sprite.getchannel("a")) > 127).mean() > LEAST_SOLID:
            return kind, sprite


@cache
def untaught_emoji() -> tuple[Image.Image, ...]:
    """The emoji of `untaught_emoji.txt`; the font is Debian's `fonts-noto-color-emoji`."""
    lines = files("training.scenes").joinpath("untaught_emoji.txt").read_text("utf-8").splitlines()
    if not Path(EMOJI_FONT).exists():
        raise FileNotFoundError(f"{EMOJI_FONT} is not there: install the package fonts-noto-color-emoji.")
    font = ImageFont.truetype(EMOJI_FONT, 109)
    codes = [ord(letter) for line in lines if not line.startswith("#") for letter in line]
    squares = (glyph(code, font) for code in codes)
    return tuple(
        square.convert("RGBa").resize((CELL, CELL), Image.Resampling.BOX).convert("RGBA")
        for square in squares
    )


def _emoji(rng: np.random.Generator) -> Image.Image:
    drawn = untaught_emoji()
    return drawn[int(rng.integers(len(drawn)))]


def _known(rng: np.random.Generator) -> Image.Image:
    return sprites()[int(rng.integers(len(OBJECTS)))].convert("RGBA")


def _halves(rng: np.random.Generator) -> Image.Image:
    """One half of an object and the other half of another."""
    first, second = _known(rng), _known(rng)
    middle = int(rng.integers(CELL // 3, CELL - CELL // 3))
    box = (0, 0, CELL, middle) if rng.random() < 0.5 else (0, 0, middle, CELL)
    first.paste(second.crop(box), box[:2])
    return first


def _pieces(rng: np.random.Generator) -> Image.Image:
    """An object cut into 2 x 2 or 3 x 3 squares that changed places."""
    sprite, cut = _known(rng), int(rng.integers(2, 4))
    side = CELL // cut
    places = [(side * (i % cut), side * (i // cut)) for i in range(cut * cut)]
    shuffled = [places[int(i)] for i in rng.permutation(len(places))]
    if shuffled == places:
        shuffled = [*places[1:], places[0]]
    made = Image.new("RGBA", sprite.size)
    for (x, y), target in zip(places, shuffled, strict=True):
        made.paste(sprite.crop((x, y, x + side, y + side)), target)
    return made


def _silhouette(rng: np.random.Generator) -> Image.Image:
    """The outline of an object or an emoji, filled with one colour or with the inside of another object."""
    shape = (_known if rng.random() < 0.7 else _emoji)(rng)
    if rng.random() < 0.5:
        inside = Image.new("RGBA", shape.size, _colour(rng))
    else:
        other = _known(rng)
        inside = Image.new("RGBA", shape.size, _colour(rng))
        inside.alpha_composite(
            other.resize((2 * CELL, 2 * CELL)).crop((CELL // 2, CELL // 2, CELL * 3 // 2, CELL * 3 // 2))
        )
    inside.putalpha(shape.getchannel("A"))
    return inside


def _dingbat(rng: np.random.Generator) -> Image.Image:
    """A sign of a text font that is neither a letter nor a digit."""
    font = ImageFont.truetype(TEXT_FONT, 84)
    code = int(rng.choice(_DINGBATS))
    canvas = Image.new("RGBA", (CELL, CELL))
    ImageDraw.Draw(canvas).text((CELL / 2, CELL / 2), chr(code), font=font, fill=_colour(rng), anchor="mm")
    return canvas


_DINGBATS = [
    *range(0x2654, 0x2660),
    *range(0x2701, 0x2705),
    *range(0x2722, 0x273C),
    *range(0x2794, 0x27AF),
    *range(0x25E2, 0x25F0),
    *range(0x2600, 0x2610),
    *range(0x2669, 0x2670),
]


def _icon(rng: np.random.Generator) -> Image.Image:
    """A made-up object: a few shaded parts about a middle axis, as drawings of things often have."""
    big = CELL * 2
    canvas = Image.new("RGBA", (big, big))
    pen = ImageDraw.Draw(canvas)
    mirrored = rng.random() < 0.6
    for _ in range(int(rng.integers(2, 7))):
        points = rng.uniform(0.08, 0.92, (int(rng.integers(3, 7)), 2)) * big
        if rng.random() < 0.5:
            middle, wide, high = rng.uniform(0.3, 0.7, 2) * big, *(rng.uniform(0.06, 0.3, 2) * big)
            angles = np.linspace(0, 2 * np.pi, 24, endpoint=False)
            points = np.stack([middle[0] + wide * np.cos(angles), middle[1] + high * np.sin(angles)], 1)
        colour = _colour(rng)
        outline = _colour(rng) if rng.random() < 0.4 else None
        shapes = [points, np.stack([big - points[:, 0], points[:, 1]], 1)] if mirrored else [points]
        for shape in shapes:
            pen.polygon([tuple(p) for p in shape.tolist()], fill=colour, outline=outline, width=5)
    if rng.random() < 0.5:  # light from above
        shade = Image.linear_gradient("L").resize(canvas.size).point(lambda v: 255 - v * 2 // 5)
        lit = ImageChops.multiply(canvas.convert("RGB"), Image.merge("RGB", [shade] * 3))
        lit.putalpha(canvas.getchannel("A"))
        canvas = lit
    return canvas.filter(ImageFilter.GaussianBlur(1)).resize((CELL, CELL), Image.Resampling.BOX)


def _colour(rng: np.random.Generator) -> tuple[int, int, int, int]:
    r, g, b = (int(c) for c in rng.integers(0, 256, 3))
    return r, g, b, 255


SHARES: dict[str, float] = {
    "emoji": 0.55,
    "halves": 0.12,
    "pieces": 0.06,
    "silhouette": 0.08,
    "dingbat": 0.05,
    "icon": 0.14,
}
"""Kinds of unknown things, with their shares."""
_MAKE: dict[str, Make] = {
    "emoji": _emoji,
    "halves": _halves,
    "pieces": _pieces,
    "silhouette": _silhouette,
    "dingbat": _dingbat,
    "icon": _icon,
}
