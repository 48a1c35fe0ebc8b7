"""A scene: two to seven sprites on a background, and the exact truth about them.

Lengths are in units of 1/128 of the side, whatever the size in pixels, so that a scene drawn at 256
is as true as one drawn at 128. Two objects touch where their drawn pixels (alpha > 0.5) overlap;
they do not where the gap between them is at least `GAP`. What lies in between is ambiguous and is
drawn only with `between=True`; its truth is `Scene.contact`, a number between 0 and 1.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image, ImageDraw

from jurat.pictograms.atlas import SpriteSet, draw_sprite, paste
from jurat.pictograms.atlas import sprites as sprites_of
from jurat.pictograms.distances import distances_to
from jurat.pictograms.objects import CLASSES, GROUPS, HABITS, LOOKALIKES, NUMBER, OBJECTS

if TYPE_CHECKING:
    from numpy.typing import NDArray

SIDE = 128
"""Side of a scene in its own units, and its default size in pixels."""
MOST = 7
"""Objects in a scene at most."""
GAP = 6.0
"""Least distance between two objects that do not touch."""
NEAR = 13.0
"""A near miss is a gap of at least `GAP` and less than this."""
LEAST_OVERLAP = 10.0
"""Least overlap, in square units, of two objects that touch."""
MOST_OVERLAP = 0.30
"""Largest share of either object that an overlap may take."""
LEAST_VISIBLE = 0.68
"""Least share of an object that stays uncovered."""
HABIT_RATE = 0.2
"""How often an object brings along what goes with it in `HABITS`."""

_PEOPLE = sorted(GROUPS[0].classes)
_CARD = len(OBJECTS)
_COMPANIONS = {NUMBER[a]: [NUMBER[b] for b in others] for a, others in HABITS.items()}
_FREE, _TOUCH, _NEAR = "free", "touch", "near"


@dataclass
class Placed:
    """One object of a scene."""

    kind: int
    """Class number."""
    x: float
    """Centre of its bounding box, in scene units."""
    y: float
    mask: NDArray[np.bool_]
    """Its drawn pixels, covered ones included; shape (size, size)."""
    visible: NDArray[np.bool_]
    """Its uncovered pixels; shape (size, size)."""
    area: float
    """Area of `mask`, in square units."""
    distance: NDArray[np.float32] = field(repr=False)
    """Distance of every pixel to this object, in scene units; shape (size, size)."""

    @property
    def box(self) -> tuple[int, int, int, int]:
        """Left, top, right, bottom of the drawn pixels; right and bottom are exclusive."""
        rows, columns = np.flatnonzero(self.mask.any(1)), np.flatnonzero(self.mask.any(0))
        return int(columns[0]), int(rows[0]), int(columns[-1]) + 1, int(rows[-1]) + 1


@dataclass
class Scene:
    """An image and its truth."""

    pixels: NDArray[np.uint8]
    """Shape (size, size, 3), RGB."""
    objects: list[Placed]
    gap: NDArray[np.float32]
    """Distance of each pair, in scene units; 0 where they touch; shape (n, n)."""

    @property
    def image(self) -> Image.Image:
        return Image.fromarray(self.pixels)

    @cached_property
    def kinds(self) -> list[int]:
        return [thing.kind for thing in self.objects]

    @cached_property
    def touch(self) -> NDArray[np.bool_]:
        """Which pairs touch; shape (n, n)."""
        return (self.gap == 0) & ~np.eye(len(self.objects), dtype=bool)

    @property
    def contact(self) -> NDArray[np.float32]:
        """Soft truth of touching: 1 at overlap, 0 from `GAP` on, linear in between; shape (n, n)."""
        soft = np.clip(1 - self.gap / GAP, 0, 1)
        np.fill_diagonal(soft, 0)
        return soft


@dataclass(frozen=True)
class Wish:
    """An object that a scene must hold: of which class, and how it lies to an earlier one."""

    kind: int
    to: int | None = None
    """Index of the earlier wish it is placed by."""
    how: str = _FREE
    """`touch`, `near` (a near miss) or `free`."""
    sprite: Image.Image | None = None
    """Drawn in place of the class's own sprite: a premultiplied `RGBa` square, of any size."""


@dataclass(frozen=True)
class Look:
    """How large objects are, in scene units before they are turned, and how far they are turned (degrees)."""

    sides: tuple[float, float] = (28.0, 44.0)
    card_sides: tuple[float, float] = (30.0, 50.0)
    tilt: float = 20.0
    card_tilt: float = 14.0


USUAL = Look()


def draw(
    rng: np.random.Generator,
    wishes: Sequence[Wish] | None = None,
    *,
    size: int = SIDE,
    between: bool = False,
    texture: str | None = None,
    ground: NDArray[np.float32] | None = None,
    look: Look = USUAL,
    crowd: bool = False,
    resample: Image.Resampling = Image.Resampling.BICUBIC,
    sprites: SpriteSet = "noto",
) -> Scene:
    """Draws a scene, at random or with the objects wished for.

    `texture` names one of `TEXTURES` (default: any of those that training saw); `ground` is a background in
    its place, of shape (size, size, 3) with values 0..255. With `crowd`, wishes that say nothing of their
    place are put by each other as in a random scene. `sprites` is a set of drawings
    (`jurat.pictograms.atlas`). Raises RuntimeError where the wishes cannot be placed in 200 tries.
    """
    drawings = sprites_of(sprites)
    for _ in range(200):
        plan = list(wishes) if wishes is not None else [Wish(kind) for kind in pick_kinds(rng)]
        behind = background(rng, size, texture) if ground is None else ground.copy()
        scene = _try(rng, plan, behind, between, look, resample, drawings, free=crowd or wishes is None)
        if scene is not None:
            return scene
    raise RuntimeError(f"no room for {len(wishes or ())} objects as wished")


def pick_kinds(rng: np.random.Generator) -> list[int]:
    """The classes of a random scene: duplicates, look-alikes and habitual companions are frequent."""
    count = int(rng.choice([2, 3, 4, 5, 6, 7], p=[0.10, 0.22, 0.26, 0.20, 0.14, 0.08]))
    kinds: list[int] = []
    while len(kinds) < count:
        chance = rng.random()
        earlier = kinds[int(rng.integers(len(kinds)))] if kinds else None
        if earlier is not None and chance < 0.20:
            kind = earlier
        elif earlier is not None and chance < 0.38 and LOOKALIKES[earlier]:
            kind = int(rng.choice(LOOKALIKES[earlier]))
        elif earlier in _COMPANIONS and rng.random() < HABIT_RATE:
            kind = int(rng.choice(_COMPANIONS[earlier]))
        elif chance < 0.50:
            kind = int(rng.choice(_PEOPLE))
        elif chance < 0.58:
            kind = int(rng.integers(_CARD, CLASSES))
        else:
            kind = int(rng.integers(_CARD))
        kinds.append(kind)
    return kinds


# --- placing -----------------------------------------------------------------------------------


def _try(
    rng: np.random.Generator,
    plan: list[Wish],
    pixels: NDArray[np.float32],
    between: bool,
    look: Look,
    resample: Image.Resampling,
    drawings: Sequence[Image.Image],
    *,
    free: bool,
) -> Scene | None:
    """Draws what is planned onto `pixels`, in place; None where something finds no room."""
    unit = len(pixels) / SIDE
    placed: list[Placed] = []
    gaps = np.zeros((len(plan), len(plan)), np.float32)
    for i, wish in enumerate(plan):
        sprite = _sprite(rng, wish, unit, look, resample, drawings)
        place = _seat(rng, sprite[..., 3] > 127, placed, wish, unit, between, free=free)
        if place is None:
            return None
        x, y, row = place
        gaps[i, :i] = gaps[:i, i] = row
        placed.append(_paint(pixels, sprite, x, y, wish.kind, placed, unit))
    return Scene(np.clip(pixels + 0.5, 0, 255).astype(np.uint8), placed, gaps)


def _sprite(
    rng: np.random.Generator,
    wish: Wish,
    unit: float,
    look: Look,
    resample: Image.Resampling,
    drawings: Sequence[Image.Image],
) -> NDArray[np.float32]:
    """A sprite of random size, tilt and side; see `draw_sprite`."""
    card = _CARD <= wish.kind < CLASSES
    side = rng.uniform(*(look.card_sides if card else look.sides))
    tilt = look.card_tilt if card else look.tilt
    angle = rng.uniform(-tilt, tilt)
    mirrored = not card and rng.random() < 0.5
    picture = wish.sprite or drawings[wish.kind]
    return draw_sprite(picture, max(4, round(side * unit)), angle, mirrored, resample)


def _seat(
    rng: np.random.Generator,
    solid: NDArray[np.bool_],
    placed: list[Placed],
    wish: Wish,
    unit: float,
    between: bool,
    *,
    free: bool,
) -> tuple[int, int, list[float]] | None:
    """Finds a place for a sprite; returns its corner and its gap to each earlier object."""
    height, width = solid.shape
    size = round(SIDE * unit)
    if height > size or width > size:
        return None
    ys, xs = np.nonzero(solid)
    area = len(ys) / unit**2
    for attempt in range(24):
        how, target = wish.how, wish.to
        if free and placed and attempt < 17:
            how = str(rng.choice([_TOUCH, _NEAR, _FREE], p=[0.22, 0.42, 0.36]))
            target = int(rng.integers(len(placed)))
        if how == _FREE or target is None:
            corner = int(rng.integers(0, size - width + 1)), int(rng.integers(0, size - height + 1))
        else:
            along = _along_a_ray(rng, (ys, xs), (height, width), placed[target], how, area, unit)
            if along is None:
                continue
            corner = along
        row = _gaps((ys + corner[1], xs + corner[0]), area, placed, unit, between)
        if row is not None:
            return *corner, row
    return None


def _along_a_ray(
    rng: np.random.Generator,
    points: tuple[NDArray[np.intp], NDArray[np.intp]],
    shape: tuple[int, int],
    target: Placed,
    how: str,
    area: float,
    unit: float,
) -> tuple[int, int] | None:
    """Moves a sprite towards `target` from a random side until it touches, or nearly does."""
    size = target.mask.shape[0]
    height, width = shape
    angle = rng.uniform(0, 2 * math.pi)
    steps = np.arange(62, 4, -1.5) * unit
    xs = np.rint(target.x * unit + steps * math.cos(angle) - width / 2).astype(int)
    ys = np.rint(target.y * unit + steps * math.sin(angle) - height / 2).astype(int)
    inside = (xs >= 0) & (ys >= 0) & (xs + width <= size) & (ys + height <= size)
    xs, ys = xs[inside], ys[inside]
    if not len(xs):
        return None
    distance = target.distance[points[0] + ys[:, None], points[1] + xs[:, None]]
    if how == _TOUCH:
        most = MOST_OVERLAP * 0.8 * min(area, target.area)
        if most < LEAST_OVERLAP:  # one of them is too small
            return None
        wanted = rng.uniform(LEAST_OVERLAP, most) * unit**2
        fits = np.flatnonzero((distance == 0).sum(1) >= wanted)
    else:
        gap = distance.min(1)
        fits = np.flatnonzero((gap >= GAP) & (gap <= GAP + rng.uniform(0.5, NEAR - GAP)))
    if not len(fits):
        return None
    first = int(fits[0])
    return int(xs[first]), int(ys[first])


def _gaps(
    at: tuple[NDArray[np.intp], NDArray[np.intp]],
    area: float,
    placed: list[Placed],
    unit: float,
    between: bool,
) -> list[float] | None:
    """The gap to each earlier object, or None where a pair would be ambiguous or too covered."""
    row: list[float] = []
    for other in placed:
        distance = other.distance[at]
        overlap = float((distance == 0).sum()) / unit**2
        gap = float(distance.min())
        if overlap == 0:
            if gap < GAP and not between:
                return None
        else:
            if overlap > MOST_OVERLAP * min(area, other.area) or (overlap < LEAST_OVERLAP and not between):
                return None
            left = float(other.visible.sum() - other.visible[at].sum()) / unit**2
            if left < LEAST_VISIBLE * other.area:
                return None
            gap = 0.0
        row.append(gap)
    return row


def _paint(
    pixels: NDArray[np.float32],
    sprite: NDArray[np.float32],
    x: int,
    y: int,
    kind: int,
    placed: list[Placed],
    unit: float,
) -> Placed:
    height, width = sprite.shape[:2]
    paste(pixels, sprite, x, y)
    mask = np.zeros(pixels.shape[:2], bool)
    mask[y : y + height, x : x + width] = sprite[..., 3] > 127
    for other in placed:
        other.visible &= ~mask
    distance = distances_to(mask) / unit
    centre = (x + width / 2) / unit, (y + height / 2) / unit
    return Placed(kind, *centre, mask, mask.copy(), float(mask.sum()) / unit**2, distance)


# --- backgrounds -------------------------------------------------------------------------------

TRAINED_TEXTURES = ("flat", "gradient", "clouds", "grain", "shapes")
TEXTURES = (*TRAINED_TEXTURES, "stripes", "checks", "rings")
"""Kinds of background; of the last three training shows stripes and checks seldom, and rings never."""


def background(rng: np.random.Generator, size: int = SIDE, texture: str | None = None) -> NDArray[np.float32]:
    """A background of the named texture; shape (size, size, 3), values about 0..255."""
    texture = texture or str(rng.choice(TRAINED_TEXTURES, p=[0.25, 0.25, 0.2, 0.12, 0.18]))
    base = rng.uniform(90, 255, 3) if rng.random() < 0.75 else rng.uniform(10, 120, 3)
    other = np.clip(base + rng.uniform(-70, 70, 3), 0, 255)
    u = np.linspace(0, 1, size, dtype=np.float32)
    angle = rng.uniform(0, 2 * math.pi)
    slope = u[None, :] * math.cos(angle) + u[:, None] * math.sin(angle)
    slope = (slope - slope.min()) / (slope.max() - slope.min())
    if texture == "flat":
        blend = np.zeros((size, size), np.float32)
    elif texture == "gradient":
        blend = slope
    elif texture == "clouds":
        blend = _smooth_noise(rng, int(rng.integers(3, 9)), size)
    elif texture == "grain":
        blend = slope + 0.2 * (_smooth_noise(rng, int(rng.integers(12, 40)), size) - 0.5)
    elif texture == "shapes":
        blend = 0.4 * _shapes(rng, size)
    elif texture == "stripes":
        # Bands as wide as the gaps between them, or narrow ones far apart.
        blend = 0.3 * (np.sin(slope * rng.uniform(15, 60)) > rng.uniform(-0.7, 0.9))
    elif texture == "checks":
        cell = max(2, round(size / rng.integers(6, 14)))
        grid = np.arange(size) // cell
        blend = 0.3 * ((grid[None, :] + grid[:, None]) % 2)
    elif texture == "rings":
        blend = 0.3 * (1 + np.sin(np.hypot(u[None, :] - 0.5, u[:, None] - 0.5) * rng.uniform(20, 50)))
    else:
        raise ValueError(f"unknown texture {texture!r}; there are {', '.join(TEXTURES)}")
    return (base + (other - base) * blend[..., None]).astype(np.float32)


def _smooth_noise(rng: np.random.Generator, cells: int, size: int) -> NDArray[np.float32]:
    coarse = Image.fromarray(rng.random((cells, cells)).astype(np.float32))
    return np.asarray(coarse.resize((size, size), Image.Resampling.BICUBIC))


def _shapes(rng: np.random.Generator, size: int) -> NDArray[np.float32]:
    """A few ellipses and boxes, 1 where there is one; shape (size, size)."""
    canvas = Image.new("L", (size, size))
    pen = ImageDraw.Draw(canvas)
    for _ in range(int(rng.integers(2, 8))):
        x, y, wide, high = (rng.uniform(0, 1), rng.uniform(0, 1), *rng.uniform(0.05, 0.5, 2))
        box = tuple(round(size * v) for v in (x - wide / 2, y - high / 2, x + wide / 2, y + high / 2))
        (pen.ellipse if rng.random() < 0.5 else pen.rectangle)(box, fill=1)
    return np.asarray(canvas, np.float32)
