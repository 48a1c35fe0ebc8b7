"""A second, independent way to draw scenes: nothing of `jurat.pictograms.scene` is used, and of its sprites
only the picture file. What is true of a drawing is measured on the pixels of its objects (`facts`).

Objects are placed by trial in free space or against each other; backgrounds, sizes, resampling and
compression are others than those of `jurat.pictograms.scene`.
"""

from __future__ import annotations

import io
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np
from PIL import Image, ImageDraw
from scipy.ndimage import distance_transform_edt

from tests.strangers.sprites import SetName, taught

UNITS = 128
"""Side of a picture in the world's units, whatever its size in pixels."""
APART = 7.0
"""Least gap between two objects that do not touch, in units: the world leaves open what is below 6."""
NEAR = 12.0
"""Largest gap of two objects that nearly touch."""
FIRST_CARD = 65
STRANGER = -1

Rng = np.random.Generator
Pair = tuple[int, int]
Thing = int | Image.Image
"""A class of the world, or another drawing."""


@dataclass
class Drawing:
    image: Image.Image
    names: list[int]
    """Class of each object; `STRANGER` for what is none."""
    masks: list[np.ndarray] = field(default_factory=list)
    """Pixels that each object is drawn on, covered ones included: (height, width) of bool."""


@dataclass(frozen=True)
class Look:
    """How a scene is drawn."""

    size: int = 256
    """Side in pixels."""
    sides: tuple[float, float] = (28, 42)
    """Least and greatest side of an object in units; cards are a quarter larger."""
    tilt: float = 15.0
    """Degrees that an object is turned at most."""
    backdrop: str = "any"
    """One of `BACKDROPS`, or any of them."""
    jpeg: int | None = None
    """Quality that the picture is compressed with."""
    sprites: SetName = "noto"


def any_look(rng: Rng) -> Look:
    """Sizes of 96 to 512 pixels, half of them as JPEG."""
    size = int(rng.choice([96, 128, 180, 224, 256, 320, 384, 512]))
    return Look(size, jpeg=int(rng.integers(55, 96)) if rng.random() < 0.5 else None)


def render(
    things: Sequence[Thing],
    rng: Rng,
    touching: Pair | None = None,
    near: Pair | None = None,
    look: Look = Look(),
    ground: Image.Image | None = None,
    scales: Sequence[float] | None = None,
) -> Drawing | None:
    """Draws the objects, back to front; None where they found no room.

    `touching` overlap, `near` come within 7 to 12 units of each other; others stay at least 7 apart.
    `ground` is drawn on in place of a backdrop; its size is the picture's. `scales` multiply the sides of
    the objects.
    """
    canvas = ground.convert("RGB").copy() if ground else backdrop(rng, look.size, look.backdrop)
    unit = min(canvas.size) / UNITS
    masks: list[np.ndarray] = []
    away: list[np.ndarray] = []
    for i, thing in enumerate(things):
        sprite = _sprite(thing, rng, look, unit * (scales[i] if scales else 1))
        alpha = np.asarray(sprite)[..., 3] > 127
        wishes = {min(wish): wish is touching for wish in (touching, near) if wish and max(wish) == i}
        place = _place(alpha, masks, away, wishes, canvas.size, unit, rng)
        if place is None:
            return None
        x, y = place
        mask = np.zeros(canvas.size[::-1], bool)
        mask[y : y + alpha.shape[0], x : x + alpha.shape[1]] = alpha
        canvas.paste(sprite, (x, y), sprite)
        masks.append(mask)
        away.append(_distance(mask, (x, y, *sprite.size), unit))
    names = [thing if isinstance(thing, int) else STRANGER for thing in things]
    return Drawing(compressed(canvas, look.jpeg), names, masks)


def compressed(image: Image.Image, quality: int | None) -> Image.Image:
    if quality is None:
        return image
    buffer = io.BytesIO()
    image.save(buffer, "JPEG", quality=quality)
    with Image.open(buffer) as again:
        return again.convert("RGB")


def _sprite(thing: Thing, rng: Rng, look: Look, unit: float) -> Image.Image:
    card = isinstance(thing, int) and thing >= FIRST_CARD
    side = float(rng.uniform(*look.sides)) * (1.25 if card else 1.0) * unit
    picture = taught(look.sprites)[thing] if isinstance(thing, int) else thing
    scale = side / max(picture.size)
    size = tuple(max(3, round(extent * scale)) for extent in picture.size)
    how = Image.Resampling.LANCZOS if rng.random() < 0.5 else Image.Resampling.BOX
    small = picture.convert("RGBa").resize(size, how)
    if not card and rng.random() < 0.5:
        small = small.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
    tilt = look.tilt / 2 if card else look.tilt
    turned = small.rotate(float(rng.uniform(-tilt, tilt)), Image.Resampling.BILINEAR, expand=True)
    turned = turned.convert("RGBA")
    return turned.crop(turned.getchannel("A").getbbox())


def _distance(mask: np.ndarray, box: tuple[int, int, int, int], unit: float) -> np.ndarray:
    """Distance of every pixel to an object in units; infinite where it is larger than `NEAR`."""
    x, y, width, height = box
    margin = math.ceil((NEAR + 1) * unit)
    window = np.s_[max(0, y - margin) : y + height + margin, max(0, x - margin) : x + width + margin]
    distance = np.full(mask.shape, np.inf)
    distance[window] = distance_transform_edt(~mask[window]) / unit
    return distance


def _place(
    alpha: np.ndarray,
    masks: list[np.ndarray],
    away: list[np.ndarray],
    wishes: dict[int, bool],
    size: tuple[int, int],
    unit: float,
    rng: Rng,
) -> tuple[int, int] | None:
    """A corner for a sprite that keeps its distance to all, but touches or nearly touches what it shall."""
    height, width = alpha.shape
    if width > size[0] or height > size[1]:
        return None
    area = alpha.sum()
    corners = np.stack(
        [rng.integers(0, size[0] - width + 1, 300), rng.integers(0, size[1] - height + 1, 300)]
    )
    if wishes:  # around what it shall be beside
        ys, xs = np.nonzero(masks[next(iter(wishes))])
        centre = np.array([[xs.mean() - width / 2], [ys.mean() - height / 2]])
        angle, far = rng.uniform(0, 2 * math.pi, 300), rng.uniform(8, 50, 300) * unit
        corners = np.rint(centre + far * np.stack([np.cos(angle), np.sin(angle)])).astype(int)
    for x, y in corners.T.tolist():
        if x < 0 or y < 0 or x + width > size[0] or y + height > size[1]:
            continue
        window = np.s_[y : y + height, x : x + width]
        for j, (mask, distance) in enumerate(zip(masks, away, strict=True)):
            overlap = int((mask[window] & alpha).sum())
            gap = float(distance[window][alpha].min())
            if wishes.get(j) is True:
                fits = 14 * unit**2 <= overlap <= 0.26 * min(area, mask.sum())
            elif j in wishes:
                fits = overlap == 0 and APART <= gap <= NEAR
            else:
                fits = overlap == 0 and gap >= APART
            if not fits:
                break
        else:
            return x, y
    return None


# --- backdrops ----------------------------------------------------------------------------------------


def backdrop(rng: Rng, size: int, name: str = "any") -> Image.Image:
    """A plain, banded, spotted, shaded or papery ground; `HELD_OUT` has rougher ones."""
    if name == "any":
        name = str(rng.choice(list(BACKDROPS)))
    return ({**BACKDROPS, **HELD_OUT})[name](rng, size).convert("RGB")


def _shades(rng: Rng, apart: float = 30) -> tuple[tuple[int, ...], tuple[int, ...]]:
    base = rng.uniform(110, 245, 3) if rng.random() < 0.8 else rng.uniform(15, 110, 3)
    other = np.clip(base + rng.uniform(-apart, apart, 3), 0, 255)
    return tuple(int(v) for v in base), tuple(int(v) for v in other)


def _plain(rng: Rng, size: int) -> Image.Image:
    return Image.new("RGB", (size, size), _shades(rng)[0])


def _bands(rng: Rng, size: int) -> Image.Image:
    base, shade = _shades(rng)
    canvas = Image.new("RGB", (size, size), base)
    pen, wide = ImageDraw.Draw(canvas), size * float(rng.uniform(0.02, 0.08))
    for y in np.arange(0, size, wide * rng.uniform(2, 4)).tolist():
        pen.rectangle((0, y, size, y + wide), fill=shade)
    return canvas


def _spots(rng: Rng, size: int) -> Image.Image:
    base, shade = _shades(rng)
    canvas = Image.new("RGB", (size, size), base)
    pen = ImageDraw.Draw(canvas)
    for x, y, r in rng.uniform(0, 1, (14, 3)).tolist():
        x, y, r = x * size, y * size, size * (0.01 + 0.05 * r)
        pen.ellipse((x - r, y - r, x + r, y + r), fill=shade)
    return canvas


def _shaded(rng: Rng, size: int) -> Image.Image:
    """Darker towards the rim."""
    base, shade = (np.array(c) for c in _shades(rng))
    u = np.linspace(-1, 1, size)
    far = np.clip(np.hypot(u[:, None], u[None, :]) / 1.4, 0, 1)[..., None] ** 2
    return Image.fromarray((base * (1 - far) + np.minimum(base, shade) * far).astype(np.uint8))


def _paper(rng: Rng, size: int) -> Image.Image:
    base = np.array(_shades(rng)[0])
    grain = rng.normal(0, 4, (size, size, 1))
    return Image.fromarray(np.clip(base + grain, 0, 255).astype(np.uint8))


def _plaid(rng: Rng, size: int) -> Image.Image:
    base, shade = (np.array(c) for c in _shades(rng, 50))
    u = np.arange(size) / size * float(rng.uniform(4, 9))
    line = (u % 1 < 0.4).astype(float)
    blend = (line[:, None] + line[None, :])[..., None] / 2
    return Image.fromarray((base * (1 - blend) + shade * blend).astype(np.uint8))


def _bricks(rng: Rng, size: int) -> Image.Image:
    base, shade = _shades(rng, 45)
    canvas = Image.new("RGB", (size, size), base)
    pen, high = ImageDraw.Draw(canvas), size / float(rng.uniform(7, 14))
    for row in range(math.ceil(size / high)):
        y = row * high
        pen.line((0, y, size, y), fill=shade, width=max(1, size // 90))
        for x in np.arange((row % 2) * high, size, 2 * high).tolist():
            pen.line((x, y, x, y + high), fill=shade, width=max(1, size // 90))
    return canvas


def _waves(rng: Rng, size: int) -> Image.Image:
    base, shade = (np.array(c) for c in _shades(rng, 45))
    u = np.linspace(0, 1, size)
    lift = 0.06 * np.sin(u * rng.uniform(8, 25))[None, :]
    blend = (np.sin((u[:, None] + lift) * rng.uniform(30, 70)) > 0).astype(float)[..., None]
    return Image.fromarray((base * (1 - blend) + shade * blend).astype(np.uint8))


def _patches(rng: Rng, size: int) -> Image.Image:
    """Large triangles, each of its own shade."""
    base = np.array(_shades(rng)[0])
    canvas = Image.new("RGB", (size, size), tuple(base.tolist()))
    pen = ImageDraw.Draw(canvas)
    for _ in range(9):
        shade = np.clip(base + rng.uniform(-35, 35, 3), 0, 255).astype(int)
        pen.polygon([tuple(p) for p in rng.uniform(-0.2, 1.2, (3, 2)) * size], fill=tuple(shade.tolist()))
    return canvas


Backdrop = Callable[[Rng, int], Image.Image]
BACKDROPS: dict[str, Backdrop] = {
    "plain": _plain,
    "bands": _bands,
    "spots": _spots,
    "shaded": _shaded,
    "paper": _paper,
}
HELD_OUT: dict[str, Backdrop] = {"plaid": _plaid, "bricks": _bricks, "waves": _waves, "patches": _patches}
