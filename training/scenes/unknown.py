"""Things and backgrounds that a tower must learn to call unknown (outlier exposure, Hendrycks et al. 2019,
arXiv 1812.04606).

Unknown things are drawn as sprites among, or in place of, those of the world: emoji of the same font that the
world lacks (`untaught.txt`), sprites whose halves come from two objects, sprites cut into shuffled
pieces, silhouettes, dingbats, and made-up icons. Unknown backgrounds are those of `grounds`. No test
draws any of these; `tests/strangers` has kinds of its own.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from pathlib import Path

import numpy as np
from PIL import Image, ImageChops, ImageDraw, ImageFilter

from jurat.pictograms.atlas import CELL, COLUMNS, sprites
from jurat.pictograms.objects import OBJECTS

LEAST_SOLID = 0.06
"""Smallest share of its square that an unknown thing covers."""
Make = Callable[[np.random.Generator], Image.Image]


def unknown_sprite(rng: np.random.Generator) -> tuple[str, Image.Image]:
    """A random kind of `SHARES`, and its sprite, a premultiplied `RGBa` square of `CELL` pixels."""
    while True:
        kind = str(rng.choice(list(SHARES), p=list(SHARES.values())))
        sprite = _MAKE[kind](rng).convert("RGBa")
        if (np.asarray(sprite.getchannel("a")) > 127).mean() > LEAST_SOLID:
            return kind, sprite


@cache
def untaught() -> tuple[Image.Image, ...]:
    """Sprites of the characters of `untaught.txt`, as `RGBA` squares of `CELL` pixels, from
    `untaught.png`."""
    folder = Path(__file__).parent
    count = len(characters())
    with Image.open(folder / "untaught.png") as sheet:
        sheet.load()
        corners = [(CELL * (i % COLUMNS), CELL * (i // COLUMNS)) for i in range(count)]
        return tuple(sheet.crop((x, y, x + CELL, y + CELL)) for x, y in corners)


def characters() -> list[tuple[str, bool]]:
    """The characters of `untaught.txt`, and whether each is an emoji (or else a dingbat of a text font)."""
    found: list[tuple[str, bool]] = []
    is_emoji = True
    for row in Path(__file__).with_name("untaught.txt").read_text("utf-8").splitlines():
        if row.startswith("#"):
            is_emoji = not row.startswith("# Dingbats")
        else:
            found += [(letter, is_emoji) for letter in row]
    return found


@cache
def _of(is_emoji: bool) -> tuple[Image.Image, ...]:
    drawn = zip(untaught(), characters(), strict=True)
    return tuple(square for square, (_, emoji) in drawn if emoji is is_emoji)


def _emoji(rng: np.random.Generator) -> Image.Image:
    drawn = _of(True)
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
    """An object cut into 2 x 2 or 3 x 3 squares, shuffled."""
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
    """The outline of an object or an emoji, filled with one colour or with another object."""
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
    """A character of a text font that is neither a letter nor a digit, in a random colour."""
    drawn = _of(False)
    canvas = Image.new("RGBA", (CELL, CELL), _colour(rng))
    canvas.putalpha(drawn[int(rng.integers(len(drawn)))].getchannel("A"))
    return canvas


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
        dark = np.linspace(255, 153, big).astype(np.uint8)
        shade = Image.fromarray(np.repeat(dark[:, None], big, 1))
        lit = ImageChops.multiply(canvas.convert("RGB"), Image.merge("RGB", [shade] * 3))
        lit.putalpha(canvas.getchannel("A"))
        canvas = lit
    return canvas.filter(ImageFilter.GaussianBlur(1)).resize((CELL, CELL), Image.Resampling.BOX)


def _colour(rng: np.random.Generator) -> tuple[int, int, int, int]:
    r, g, b = (int(c) for c in rng.integers(0, 256, 3))
    return r, g, b, 255


SHARES: dict[str, float] = {
    "emoji": 0.44,
    "halves": 0.26,
    "pieces": 0.05,
    "silhouette": 0.07,
    "dingbat": 0.05,
    "icon": 0.13,
}
"""Kind of unknown thing -> its share."""
_MAKE: dict[str, Make] = {
    "emoji": _emoji,
    "halves": _halves,
    "pieces": _pieces,
    "silhouette": _silhouette,
    "dingbat": _dingbat,
    "icon": _icon,
}
