"""Pictures of text, captions below pictures, and scenes of pictograms."""

from __future__ import annotations

import io
from collections.abc import Iterator, Sequence
from functools import cache
from typing import TYPE_CHECKING, Any

import numpy as np
from PIL import Image, ImageDraw, ImageFont

if TYPE_CHECKING:
    from jurat.pictograms import Statement

SIDE = 256
"""Pixels of a side of scenes, and the least of cards."""
_LETTERS = 22
"""Characters of a line in a picture of this side."""
_MARGIN = 16
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
