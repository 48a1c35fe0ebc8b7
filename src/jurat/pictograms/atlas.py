"""The sprites: one RGBA square a class, shipped as one PNG a set with a JSON index.

`noto` is the set that the bundled models learned on. `twemoji` and `emojione` have other drawings of the same
objects, for measurements; the sign cards are the same in all. `emojione` lacks a few (`lacking`). `python -m
training.sprites` in the repository renders them anew.
"""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import numpy as np
from PIL import Image

if TYPE_CHECKING:
    from numpy.typing import NDArray

CELL = 96
"""Side of a sprite in the atlas, in pixels."""
COLUMNS = 12
FOLDER = Path(__file__).parent / "sprites"
SpriteSet = Literal["noto", "twemoji", "emojione"]


@cache
def sprites(source: SpriteSet = "noto") -> tuple[Image.Image, ...]:
    """One sprite a class, as premultiplied `RGBa` squares of `CELL` pixels; empty for those of `lacking`."""
    index = json.loads((FOLDER / "atlas.json").read_text())
    if source == "noto":
        return _cells("atlas.png", len(index["classes"]))
    objects = len(index["code_points"])
    return (*_cells(f"{source}.png", objects), *sprites()[objects:])


@cache
def lacking(source: SpriteSet) -> frozenset[int]:
    """The classes that a set has no drawing of."""
    return frozenset(i for i, one in enumerate(sprites(source)) if one.getchannel("a").getbbox() is None)


def _cells(file: str, count: int) -> tuple[Image.Image, ...]:
    with Image.open(FOLDER / file) as sheet:
        sheet.load()
        corners = [(CELL * (i % COLUMNS), CELL * (i // COLUMNS)) for i in range(count)]
        return tuple(sheet.crop((x, y, x + CELL, y + CELL)).convert("RGBa") for x, y in corners)


def draw_sprite(
    picture: Image.Image, side: int, angle: float, mirrored: bool, resample: Image.Resampling
) -> NDArray[np.float32]:
    """A premultiplied `RGBa` square scaled to `side` pixels, mirrored, turned and trimmed to what is drawn.

    Returns:
        Premultiplied pixels of shape (h, w, 4), values 0..255.

    Raises:
        ValueError: nothing is drawn: the set lacks this object.
    """
    if mirrored:
        picture = picture.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
    turned = picture.resize((side, side), resample).rotate(angle, Image.Resampling.BICUBIC, expand=True)
    sprite = np.asarray(turned, dtype=np.float32)
    solid = sprite[..., 3] > 127
    rows, columns = np.flatnonzero(solid.any(1)), np.flatnonzero(solid.any(0))
    if not len(rows):
        raise ValueError("the set of drawings has none of this object; see jurat.pictograms.atlas.lacking")
    return sprite[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]


def paste(pixels: NDArray[np.float32], sprite: NDArray[np.float32], left: int, top: int) -> None:
    """Blends a premultiplied sprite into an RGB picture, in place."""
    height, width = sprite.shape[:2]
    window = pixels[top : top + height, left : left + width]
    window *= 1 - sprite[..., 3:] / 255
    window += sprite[..., :3]
