"""A second, independent way to draw scenes: nothing of `jurat.pictograms.scene` is used but the sprites.

256 pixels, supersampled; sprites resampled by Lanczos and placed on a jittered grid or side by side;
backgrounds of bands and spots; what touches is computed from the drawn alpha by dilation.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from PIL import Image, ImageDraw
from scipy.ndimage import distance_transform_edt

from jurat.pictograms.atlas import sprites

SIDE = 256
Pair = tuple[int, int]


@dataclass
class Drawing:
    image: Image.Image
    names: list[int]
    touching: set[frozenset[int]]
    """Pairs of objects, by index, whose drawn pixels overlap."""
    masks: list[np.ndarray] = field(default_factory=list)
    """Pixels that each object is drawn on, (SIDE, SIDE) of bool."""


def backdrop(rng: np.random.Generator) -> Image.Image:
    base = np.array(rng.uniform(110, 245, 3))
    canvas = Image.new("RGB", (SIDE, SIDE), tuple(int(v) for v in base))
    pen = ImageDraw.Draw(canvas)
    shade = tuple(int(v) for v in np.clip(base + rng.uniform(-30, 30, 3), 0, 255))
    if rng.random() < 0.5:
        for y in range(0, SIDE, int(rng.integers(24, 64))):
            pen.rectangle((0, y, SIDE, y + 10), fill=shade)
    else:
        for x, y in rng.integers(0, SIDE, (12, 2)).tolist():
            pen.ellipse((x, y, x + 14, y + 14), fill=shade)
    return canvas


def _sprite(kind: int, rng: np.random.Generator) -> Image.Image:
    side = int(rng.integers(62, 84))
    picture = sprites()[kind].resize((side, side), Image.Resampling.LANCZOS)
    if rng.random() < 0.5 and kind < 65:
        picture = picture.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
    turned = picture.rotate(float(rng.uniform(-12, 12)), Image.Resampling.BICUBIC, expand=True)
    return turned.convert("RGBA").crop(turned.convert("RGBA").getchannel("A").getbbox())


def render(
    kinds: list[int], rng: np.random.Generator, touching: Pair | None = None, near: Pair | None = None
) -> Drawing | None:
    """Draws the objects; None where they found no room.

    `touching` overlap, `near` come within 12 to 24 pixels of each other; others stay well apart.
    """
    canvas = backdrop(rng)
    masks: list[np.ndarray] = []
    for i, kind in enumerate(kinds):
        sprite = _sprite(kind, rng)
        alpha = np.asarray(sprite)[..., 3] > 127
        wish = next((w for w in (touching, near) if w and max(w) == i), None)
        for _ in range(200):
            x, y = (int(rng.integers(0, SIDE - extent + 1)) for extent in sprite.size)
            mask = np.zeros((SIDE, SIDE), bool)
            mask[y : y + alpha.shape[0], x : x + alpha.shape[1]] = alpha
            if all(_fits(mask, other, wish, (j, i), touching) for j, other in enumerate(masks)):
                break
        else:
            return None
        canvas.paste(sprite, (x, y), sprite)
        masks.append(mask)
    return Drawing(canvas, kinds, {frozenset(touching)} if touching else set(), masks)


def _fits(mask: np.ndarray, other: np.ndarray, wish: Pair | None, pair: Pair, touching: Pair | None) -> bool:
    overlap = int((mask & other).sum())
    if wish and set(wish) == set(pair):
        if wish == touching:
            return 60 <= overlap <= 0.28 * min(mask.sum(), other.sum())
        return overlap == 0 and 12 <= _gap(mask, other) <= 24
    return overlap == 0 and _gap(mask, other) >= 14


def _gap(mask: np.ndarray, other: np.ndarray) -> float:
    return float(distance_transform_edt(~other)[mask].min())
