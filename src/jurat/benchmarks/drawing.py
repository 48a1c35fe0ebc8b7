"""Pictures of text, captions below pictures, text within pictures, and scenes of pictograms."""

from __future__ import annotations

import io
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Any

import numpy as np
from PIL import Image, ImageDraw, ImageFont

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from jurat.pictograms import Statement

SIDE = 256
"""Pixels of a side of scenes, and the least of cards."""
_LETTERS = 22
"""Characters of a line in a picture of this side."""
_MARGIN = 16
_LINES = (40, 28, 20, 14, 10)
"""Characters of a line that are tried for text within a picture."""
_PADDING, _SPACING = 6, 4
"""Pixels around text within a picture, and between its lines."""
_NO_CHARACTER = "\U0010fffe"
"""Drawn as the box that stands for characters without a glyph."""


def png(picture: Image.Image) -> bytes:
    """The picture as a PNG file; equal pictures give equal bytes."""
    buffer = io.BytesIO()
    picture.save(buffer, format="PNG")
    return buffer.getvalue()


def scene(
    wanted: Sequence[tuple[str, bool]], seed: Sequence[int], touches_one: str | None = None
) -> Image.Image:
    """A scene of pictograms in which each statement has the wanted truth.

    Args:
        wanted: statements and their truth.
        seed: numbers from 0; equal ones draw the same scene.
        touches_one: an object that shall touch one other only.

    Raises:
        ValueError: a statement is not of the pictogram world, or no such scene was found.
    """
    from jurat.pictograms import compose, parse
    from jurat.pictograms.objects import NUMBER

    statements: list[tuple[Statement, bool]] = [(parse(text), truth) for text, truth in wanted]
    rng = np.random.default_rng(tuple(seed))
    while True:
        drawn = compose(statements, rng, size=SIDE)
        if touches_one is None:
            return drawn.image
        its = [kind == NUMBER[touches_one] for kind in drawn.kinds]
        if sum(its) == 1 and drawn.touch[its].sum() == 1:
            return drawn.image


def text_card(lines: Sequence[str]) -> Image.Image:
    """Black text on white; long lines are wrapped, and the card grows until all of it fits."""
    font, text = _font(20), "\n".join(_wrapped(lines, _LETTERS))
    card = Image.new("RGB", _size(text, font, 8, _MARGIN, _MARGIN), "white")
    ImageDraw.Draw(card).multiline_text((_MARGIN, _MARGIN), text, "black", font, spacing=8)
    return card


def with_caption(picture: Image.Image, caption: str) -> Image.Image:
    """The picture with text below it, on white; the whole is as wide as the text needs."""
    font = _font(18)
    lines = list(_wrapped((caption,), max(_LETTERS, _LETTERS * picture.width // SIDE)))
    text = "\n".join(lines)
    width = max(picture.width, _size(text, font, 6, 10, 0)[0])
    whole = Image.new("RGB", (width, picture.height + 12 + 26 * len(lines)), "white")
    whole.paste(picture, (0, 0))
    ImageDraw.Draw(whole).multiline_text((10, picture.height + 4), text, "black", font, spacing=6)
    return whole


@dataclass(frozen=True)
class Lettering:
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


def find_spot(taken: NDArray[np.bool_], texts: Sequence[str], lettering: Lettering) -> Spot | None:
    """A place where each of the texts fits, clear of the pixels that are taken; None where there is none.

    Args:
        taken: pixels to keep clear of, of shape (height, width).
        texts: only one of them will be written.
        lettering: how; the first of its sizes that fits is taken.
    """
    for size in lettering.sizes:
        for letters in _LINES:
            wide, high = np.max([_extent(text, size, letters) for text in texts], axis=0).tolist()
            corner = _corner(taken, wide + 2 * _PADDING, high + 2 * _PADDING, lettering.at)
            if corner is not None:
                left, top = corner
                return Spot((left, top, left + wide + 2 * _PADDING, top + high + 2 * _PADDING), size, letters)
    return None


def write_text(picture: Image.Image, text: str, spot: Spot, lettering: Lettering) -> Image.Image:
    """A copy of the picture with text in a place that `find_spot` found for it."""
    written = picture.copy()
    pen, ink = ImageDraw.Draw(written), "black"
    left, top, right, bottom = spot.box
    if lettering.card:
        pen.rectangle((left, top, right - 1, bottom - 1), "white", "black", 2)
    else:
        behind = np.asarray(picture.crop(spot.box), float).mean((0, 1))
        shift = -lettering.contrast if behind.mean() > 127 else lettering.contrast
        ink = tuple(int(level) for level in np.clip(behind + shift, 0, 255).round())
    lines, font = "\n".join(_wrapped((text,), spot.letters)), _font(spot.size)
    box = pen.multiline_textbbox((0, 0), lines, font, spacing=_SPACING)
    pen.multiline_text(
        (left + _PADDING - box[0], top + _PADDING - box[1]), lines, ink, font, spacing=_SPACING
    )
    return written


def _extent(text: str, size: int, letters: int) -> tuple[int, int]:
    """Width and height of wrapped text in pixels."""
    pen = ImageDraw.Draw(Image.new("RGB", (1, 1)))
    lines = "\n".join(_wrapped((text,), letters))
    left, top, right, bottom = pen.multiline_textbbox((0, 0), lines, _font(size), spacing=_SPACING)
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


@cache
def has_glyph(character: str) -> bool:
    """Whether cards and captions can show a character; another is drawn as a box."""
    if character.isspace():
        return True
    font: Any = _font(20)
    box, drawn = font.getmask(_NO_CHARACTER), font.getmask(character)
    return (drawn.size, bytes(drawn)) != (box.size, bytes(box))


@cache
def _font(size: int) -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    return ImageFont.load_default(size)


def _size(
    text: str, font: ImageFont.FreeTypeFont | ImageFont.ImageFont, spacing: int, left: int, top: int
) -> tuple[int, int]:
    """The card's size: at least `SIDE`, with a margin around the text."""
    box = ImageDraw.Draw(Image.new("RGB", (1, 1))).multiline_textbbox(
        (left, top), text, font, spacing=spacing
    )
    return max(SIDE, int(box[2]) + left), max(SIDE, int(box[3]) + top)


def _wrapped(lines: Sequence[str], letters: int) -> Iterator[str]:
    from textwrap import wrap

    for line in lines:
        yield from wrap(line, letters) or [""]
