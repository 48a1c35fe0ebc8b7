"""Photographs that well-known packages ship, whole and altered."""

from __future__ import annotations

from functools import cache
from importlib.resources import files
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFilter, ImageFont, ImageOps

_SKIMAGE = """
    astronaut.png brick.png camera.png cell.png chelsea.png clock_motion.png coffee.png coins.png color.png
    grass.png gravel.png horse.png hubble_deep_field.jpg ihc.png microaneurysms.png moon.png
    motorcycle_left.png
    motorcycle_right.png page.png phantom.png retina.jpg rocket.jpg text.png
"""

Rng = np.random.Generator


@cache
def photographs() -> tuple[tuple[str, Image.Image], ...]:
    """What scikit-image, scikit-learn and Matplotlib ship, at most 512 pixels a side."""
    from matplotlib.cbook import get_sample_data

    skimage, sklearn = (
        Path(str(files("skimage") / "data")),
        Path(str(files("sklearn") / "datasets" / "images")),
    )
    paths = [skimage / name for name in _SKIMAGE.split()] + [
        sklearn / name for name in ("china.jpg", "flower.jpg")
    ]
    paths.append(Path(get_sample_data("grace_hopper.jpg", asfileobj=False)))
    found: list[tuple[str, Image.Image]] = []
    for path in paths:
        with Image.open(path) as picture:
            small = picture.convert("RGB")
            small.thumbnail((512, 512))
            found.append((path.stem, small))
    return tuple(found)


def whole(rng: Rng, number: int) -> Image.Image:
    """Each photograph in turn; from the second turn on mirrored, at another size."""
    turn, which = divmod(number, len(photographs()))
    photo = photographs()[which][1]
    if turn == 0:
        return photo
    scale = float(rng.uniform(96, 512)) / max(photo.size)
    return ImageOps.mirror(photo).resize(tuple(max(48, round(extent * scale)) for extent in photo.size))


def crop(rng: Rng, number: int = 0) -> Image.Image:
    """A square part of a photograph."""
    photo = one(rng)
    side = int(min(photo.size) * rng.uniform(0.35, 0.9))
    x, y = (int(rng.integers(0, extent - side + 1)) for extent in photo.size)
    return photo.crop((x, y, x + side, y + side))


def one(rng: Rng) -> Image.Image:
    return photographs()[int(rng.integers(len(photographs())))][1]


def ground(rng: Rng, size: int, blur: float = 0.0) -> Image.Image:
    """A square part of a photograph, `size` pixels a side, to put things on."""
    part = crop(rng).resize((size, size), Image.Resampling.LANCZOS)
    return part.filter(ImageFilter.GaussianBlur(blur)) if blur else part


def filtered(rng: Rng, number: int) -> Image.Image:
    """Blurred, posterised, or its contours alone."""
    photo = one(rng)
    if number % 3 == 0:
        return photo.filter(ImageFilter.GaussianBlur(float(rng.uniform(2, 8))))
    if number % 3 == 1:
        return ImageOps.posterize(photo, 3)
    return ImageOps.invert(photo.convert("L").filter(ImageFilter.CONTOUR)).convert("RGB")


def captioned(rng: Rng, number: int) -> Image.Image:
    """With words over it, or a box of one colour."""
    photo = one(rng).copy()
    draw = ImageDraw.Draw(photo)
    width, height = photo.size
    if number % 2:
        x, y = int(rng.integers(0, width // 2)), int(rng.integers(0, height // 2))
        colour = tuple(int(c) for c in rng.integers(0, 256, 3))
        draw.rectangle((x, y, x + width // 3, y + height // 3), fill=colour)
        return photo
    font = ImageFont.load_default(size=width / 9)
    for y, words in ((0.02, "WHEN THE TEST"), (0.84, "PASSES TWICE")):
        draw.text(
            (width / 2, height * y),
            words,
            font=font,
            fill="white",
            stroke_width=3,
            stroke_fill="black",
            anchor="ma",
        )
    return photo
