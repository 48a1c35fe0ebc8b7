"""Scenes as lists of pieces, so that one can be drawn again with a single piece changed.

A `Layout` says everything that a picture shows: a background and the pieces on it, back to front. Two
layouts that differ in one piece are two pictures that differ there and nowhere else, and the truth of
each is measured on its own pixels (`draw_layout`). `scene.draw` chooses and places in one go, and
cannot do that.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from functools import cached_property, lru_cache
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image

from jurat.pictograms.atlas import SpriteSet, draw_sprite, lacking, paste, sprites
from jurat.pictograms.distances import distances_to
from jurat.pictograms.objects import OBJECTS
from jurat.pictograms.scene import SIDE, Placed, Scene, background

if TYPE_CHECKING:
    from numpy.typing import NDArray

CARD_SIDE = 1.25
"""How much larger than an object a sign card is, so that its word can be read."""
REACH = 0.9
"""No drawn pixel of a piece is farther from its centre than this share of its side, however it is turned."""
TILT, CARD_TILT = 20.0, 8.0
"""Degrees that a piece is turned at most."""


@dataclass(frozen=True)
class Piece:
    """One sprite: what it is, how it is drawn and where. Lengths are in scene units (1/128 of the side)."""

    kind: int
    """Class number."""
    x: float
    """Centre of what is drawn of it."""
    y: float
    side: float
    """Side of its square before it is turned."""
    angle: float = 0.0
    """Degrees, counter-clockwise."""
    mirrored: bool = False
    """Left and right exchanged; never for a sign card."""
    sprites: SpriteSet = "noto"
    """Which set's drawing it is."""


@dataclass(frozen=True)
class Layout:
    """A picture before it is drawn."""

    pieces: tuple[Piece, ...]
    """Back to front."""
    ground: int
    """Seed of the background."""

    def change(self, at: int, **fields: float) -> Layout:
        """The same with fields of one piece changed."""
        pieces = list(self.pieces)
        pieces[at] = replace(pieces[at], **fields)
        return replace(self, pieces=tuple(pieces))

    def without(self, at: int) -> Layout:
        return replace(self, pieces=self.pieces[:at] + self.pieces[at + 1 :])

    def with_piece(self, piece: Piece) -> Layout:
        return replace(self, pieces=(*self.pieces, piece))


@dataclass(frozen=True)
class Rendering:
    """How layouts are turned into pixels."""

    size: int = SIDE
    """Side of the picture in pixels."""
    textures: tuple[str, ...] = ("flat", "gradient", "clouds", "grain")
    """Kinds of background (`scene.TEXTURES`), one of which each layout gets."""
    resample: Image.Resampling = Image.Resampling.BICUBIC
    """How sprites are scaled."""


def draw_layout(layout: Layout, rendering: Rendering | None = None) -> Scene | None:
    """Draws a layout and measures its truth; None where a piece would leave the picture, or is of a class
    that its set of drawings lacks.

    Nothing else is refused here: which overlaps and gaps are fair is for `covered` and the scene's
    `gap` to tell.
    """
    look = rendering or Rendering()
    shapes = [_shape(piece, look.size, look.resample) for piece in layout.pieces]
    known = [shape for shape in shapes if shape is not None]
    if len(known) < len(shapes):
        return None
    rng = np.random.default_rng(layout.ground)
    pixels = background(rng, look.size, str(rng.choice(look.textures)))
    unit = look.size / SIDE
    placed: list[Placed] = []
    gaps = np.zeros((len(known), len(known)), np.float32)
    for i, (piece, shape) in enumerate(zip(layout.pieces, known, strict=True)):
        paste(pixels, shape.sprite, shape.left, shape.top)
        for j, other in enumerate(placed):
            gaps[i, j] = gaps[j, i] = known[j].distance[shape.mask].min()
            other.visible &= ~shape.mask
        height, width = shape.sprite.shape[:2]
        x, y = (shape.left + width / 2) / unit, (shape.top + height / 2) / unit
        area = float(shape.mask.sum()) / unit**2
        placed.append(Placed(piece.kind, x, y, shape.mask, shape.mask.copy(), area, shape.distance))
    return Scene(np.clip(pixels + 0.5, 0, 255).astype(np.uint8), placed, gaps)


def covered(scene: Scene) -> NDArray[np.float64]:
    """Share of each object's drawn pixels that others hide, in [0, 1]; shape (n,)."""
    return np.array([1 - thing.visible.sum() / max(1, thing.mask.sum()) for thing in scene.objects])


def overlaps(scene: Scene) -> NDArray[np.float64]:
    """Overlap of each pair, in square units; shape (n, n), 0 on the diagonal."""
    unit = scene.pixels.shape[0] / SIDE
    masks = np.array([thing.mask.ravel() for thing in scene.objects], np.float32)
    shared = (masks @ masks.T / unit**2).astype(float)
    np.fill_diagonal(shared, 0)
    return shared


def random_piece(
    rng: np.random.Generator, kind: int, sides: tuple[float, float], sprites: SpriteSet = "noto"
) -> Piece:
    """A piece of the class anywhere in the picture, its side drawn between the two."""
    card = kind >= len(OBJECTS)
    side = rng.uniform(*sides) * (CARD_SIDE if card else 1.0)
    tilt = CARD_TILT if card else TILT
    margin = side * 0.5
    x, y = rng.uniform(margin, SIDE - margin, 2)
    return Piece(
        kind,
        float(x),
        float(y),
        float(side),
        float(rng.uniform(-tilt, tilt)),
        not card and rng.random() < 0.5,
        sprites,
    )


def beside(
    rng: np.random.Generator, layout: Layout, to: int, piece: Piece, gap: tuple[float, float]
) -> Piece | None:
    """The piece moved next to another one of the layout, from a random side.

    `gap` is the wanted distance in scene units; a negative one is an overlap of about that depth. None
    where it found no place in the picture.
    """
    anchor = layout.pieces[to]
    angle = rng.uniform(0, 2 * math.pi)
    low, high = gap
    step = 1.5 if high - low > 3 else 0.7
    for distance in np.arange((anchor.side + piece.side) * 0.72 + max(high, 0), 2, -step):
        moved = replace(
            piece,
            x=float(anchor.x + distance * math.cos(angle)),
            y=float(anchor.y + distance * math.sin(angle)),
        )
        measured = separation(anchor, moved)
        if measured is None:
            continue
        if low <= measured <= high:
            return moved
        if measured < low:
            return None
    return None


def separation(a: Piece, b: Piece) -> float | None:
    """Distance of two pieces in scene units, negative where they overlap (by the square root of the
    shared area); None where one of them leaves the picture or cannot be drawn. Cheapest if `a` is the one
    that stays."""
    first = _shape(a, SIDE, Image.Resampling.BICUBIC)
    second = _shape(b, SIDE, Image.Resampling.BICUBIC)
    if first is None or second is None:
        return None
    shared = int((first.mask & second.mask).sum())
    return -math.sqrt(shared) if shared else float(first.distance[second.mask].min())


@dataclass(frozen=True)
class _Shape:
    """A piece as it is drawn in a picture of some size; made once for all layouts that share the piece."""

    sprite: NDArray[np.float32]
    left: int
    top: int
    mask: NDArray[np.bool_]
    unit: float

    @cached_property
    def distance(self) -> NDArray[np.float32]:
        """Distance of every pixel to the piece, in scene units."""
        return distances_to(self.mask) / self.unit


@lru_cache(maxsize=512)
def _shape(piece: Piece, size: int, resample: Image.Resampling) -> _Shape | None:
    if piece.kind in lacking(piece.sprites):
        return None
    unit = size / SIDE
    side = round(piece.side * unit)
    sprite = _sprite(piece.kind, side, piece.angle, piece.mirrored, resample, piece.sprites)
    height, width = sprite.shape[:2]
    left, top = round(piece.x * unit - width / 2), round(piece.y * unit - height / 2)
    if left < 0 or top < 0 or left + width > size or top + height > size:
        return None
    mask = np.zeros((size, size), bool)
    mask[top : top + height, left : left + width] = sprite[..., 3] > 127
    return _Shape(sprite, left, top, mask, unit)


@lru_cache(maxsize=256)
def _sprite(
    kind: int,
    side: int,
    angle: float,
    mirrored: bool,
    resample: Image.Resampling,
    source: SpriteSet = "noto",
) -> NDArray[np.float32]:
    return draw_sprite(sprites(source)[kind], side, angle, mirrored, resample)
