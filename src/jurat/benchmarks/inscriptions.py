"""Text within pictures, in places that are clear of what is shown."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image, ImageDraw

from jurat.benchmarks.drawing import font_of, wrapped

if TYPE_CHECKING:
    from numpy.typing import NDArray

_LINES = (40, 28, 20, 14, 10)
"""Characters of a line that are tried."""
_PADDING, _SPACING = 6, 4
"""Pixels around text, and between its lines."""


@dataclass(frozen=True)
class Inscription:
    """How text within a picture looks."""

    sizes: Sequence[int]
    """Heights of the font in pixels, tried in this order."""
    card: bool = False
    """Whether it is black on a white card with a frame; else it stands on the picture itself."""
    contrast: int = 255
    """Levels, of 255, between text without a card and the mean colour behind it, as far as there is room."""
    at: tuple[float, float] = (0.5, 0.5)
    """Where it is to be, as far as there is room: shares of width and height, (0, 0) for the top left."""


@dataclass(frozen=True)
class Spot:
    """A place for text in a picture."""

    box: tuple[int, int, int, int]
    """Left, top, right, bottom in pixels; right and bottom are exclusive."""
    size: int
    """Height of the font in pixels."""
    letters: int
    """Characters of a line at most."""


def find_spot(taken: NDArray[np.bool_], texts: Sequence[str], inscription: Inscription) -> Spot | None:
    """A place where each of the texts fits, clear of the pixels that are taken; None where there is none.

    Args:
        taken: pixels to keep clear of, of shape (height, width).
        texts: only one of them will be written.
        inscription: how; the first of its sizes that fits is taken.
    """
    for size in inscription.sizes:
        for letters in _LINES:
            wide, high = np.max([_extent(text, size, letters) for text in texts], axis=0).tolist()
            corner = _corner(taken, wide + 2 * _PADDING, high + 2 * _PADDING, inscription.at)
            if corner is not None:
                left, top = corner
                return Spot((left, top, left + wide + 2 * _PADDING, top + high + 2 * _PADDING), size, letters)
    return None


def write_text(picture: Image.Image, text: str, spot: Spot, inscription: Inscription) -> Image.Image:
    """A copy of the picture with text in a place that `find_spot` found for it."""
    written = picture.copy()
    pen, ink = ImageDraw.Draw(written), "black"
    left, top, right, bottom = spot.box
    if inscription.card:
        pen.rectangle((left, top, right - 1, bottom - 1), "white", "black", 2)
    else:
        behind = np.asarray(picture.crop(spot.box), float).mean((0, 1))
        shift = -inscription.contrast if behind.mean() > 127 else inscription.contrast
        ink = tuple(int(level) for level in np.clip(behind + shift, 0, 255).round())
    lines, font = "\n".join(wrapped((text,), spot.letters)), font_of(spot.size)
    box = pen.multiline_textbbox((0, 0), lines, font, spacing=_SPACING)
    pen.multiline_text(
        (left + _PADDING - box[0], top + _PADDING - box[1]), lines, ink, font, spacing=_SPACING
    )
    return written


def _extent(text: str, size: int, letters: int) -> tuple[int, int]:
    """Width and height of wrapped text in pixels."""
    pen = ImageDraw.Draw(Image.new("RGB", (1, 1)))
    lines = "\n".join(wrapped((text,), letters))
    left, top, right, bottom = pen.multiline_textbbox((0, 0), lines, font_of(size), spacing=_SPACING)
    return int(np.ceil(right - left)), int(np.ceil(bottom - top))


def _corner(
    taken: NDArray[np.bool_], wide: int, high: int, at: tuple[float, float]
) -> tuple[int, int] | None:
    """Left and top of the rectangle without taken pixels whose centre is nearest to `at`, or None."""
    height, width = taken.shape
    if wide > width or high > height:
        return None
    sums = np.zeros((height + 1, width + 1), int)
    sums[1:, 1:] = taken.cumsum(0).cumsum(1)
    held = sums[high:, wide:] - sums[:-high, wide:] - sums[high:, :-wide] + sums[:-high, :-wide]
    tops, lefts = np.nonzero(held == 0)
    if not len(tops):
        return None
    away = np.hypot(lefts + wide / 2 - at[0] * width, tops + high / 2 - at[1] * height)
    nearest = int(away.argmin())
    return int(lefts[nearest]), int(tops[nearest])
