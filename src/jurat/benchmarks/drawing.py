"""Pictures of text, text below and over pictures, and scenes of pictograms.

All text is drawn with one font, `font_name`, which comes with Pillow.
"""

from __future__ import annotations

import io
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cache
from itertools import pairwise
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

import numpy as np
import PIL
from PIL import Image, ImageDraw, ImageFont, ImageStat

if TYPE_CHECKING:
    from jurat.pictograms import Statement

Font: TypeAlias = ImageFont.FreeTypeFont | ImageFont.ImageFont
Place = Literal["top", "middle", "bottom"]

SIDE = 256
"""Pixels of a side of scenes, and the least of cards."""
_LETTERS = 22
"""Characters of a line in a picture of this side."""
_NO_CHARACTER = "\U0010fffe"
"""Drawn as the box that stands for characters without a glyph."""


@dataclass(frozen=True)
class Lettering:
    """How the text of a card is drawn; lengths in pixels."""

    size: int = 20
    """Height of the font."""
    letters: int | None = _LETTERS
    """Characters of a line; None: as many as fit into `width` beside the margins."""
    spacing: int = 8
    """Between lines."""
    left: int = 16
    """The margin at the left and at the right."""
    top: int = 16
    """The margin at the top and at the bottom."""
    width: int = SIDE
    """Least width of the card."""
    height: int = SIDE
    """Least height of the card."""


_CARD = Lettering()
_CAPTION = Lettering(size=18, spacing=6, left=10, top=0)


def png(picture: Image.Image) -> bytes:
    """The picture as a PNG file; equal pictures give equal bytes."""
    buffer = io.BytesIO()
    picture.save(buffer, format="PNG")
    return buffer.getvalue()


def scene(
    wanted: Sequence[tuple[str, bool]],
    seed: Sequence[int],
    touches_one: str | None = None,
    signs: Sequence[str] | None = None,
) -> Image.Image:
    """A scene of pictograms in which each statement has the wanted truth.

    Args:
        wanted: statements and their truth.
        seed: numbers from 0; equal ones draw the same scene.
        touches_one: an object that shall touch one other only.
        signs: the words that signs may read; None: any.

    Raises:
        ValueError: a statement is not of the pictogram world, or no such scene was found.
    """
    from jurat.pictograms import compose, parse
    from jurat.pictograms.objects import NUMBER, OBJECTS, WORDS

    statements: list[tuple[Statement, bool]] = [(parse(text), truth) for text, truth in wanted]
    rng = np.random.default_rng(tuple(seed))
    while True:
        drawn = compose(statements, rng, size=SIDE)
        its = [kind == NUMBER.get(touches_one or "") for kind in drawn.kinds]
        words = {WORDS[kind - len(OBJECTS)] for kind in drawn.kinds if kind >= len(OBJECTS)}
        alone = touches_one is None or (sum(its) == 1 and drawn.touch[its].sum() == 1)
        if alone and (signs is None or words <= {*signs}):
            return drawn.image


def text_card(lines: Sequence[str], style: Lettering = _CARD) -> Image.Image:
    """Black text on white; long lines are wrapped, and the card grows until all of it fits."""
    font = font_of(style.size)
    letters = style.letters or _fitting(lines, font, style.width - 2 * style.left)
    text = "\n".join(wrapped(lines, letters))
    card = Image.new("RGB", _size(text, font, style), "white")
    ImageDraw.Draw(card).multiline_text((style.left, style.top), text, "black", font, spacing=style.spacing)
    return card


def cut_text(text: str, pieces: int, style: Lettering = _CARD) -> list[Image.Image]:
    """A line of text as pictures of its parts, in order: cut between characters, about as many in each. A
    text of fewer characters than `pieces` gives one picture a character."""
    text = " ".join(text.split())
    line = text_card([text], replace(style, letters=len(text), width=0, height=0))
    pieces, font = min(pieces, len(text)), font_of(style.size)
    ends = [round(len(text) * number / pieces) for number in range(1, pieces)]
    cuts = [0, *(style.left + round(font.getlength(text[:end])) for end in ends), line.width]
    return [line.crop((left, 0, right, line.height)) for left, right in pairwise(cuts)]


def stacked(top: Image.Image, bottom: Image.Image) -> Image.Image:
    """One picture above another, at the left of a white one that is as wide as the wider of them."""
    whole = Image.new("RGB", (max(top.width, bottom.width), top.height + bottom.height), "white")
    whole.paste(top, (0, 0))
    whole.paste(bottom, (0, top.height))
    return whole


def with_caption(picture: Image.Image, caption: str) -> Image.Image:
    """The picture with text below it, on white; the whole is as wide as the text needs."""
    font = font_of(_CAPTION.size)
    lines = list(wrapped((caption,), max(_LETTERS, _LETTERS * picture.width // SIDE)))
    text = "\n".join(lines)
    width = max(picture.width, _size(text, font, _CAPTION)[0])
    whole = Image.new("RGB", (width, picture.height + 12 + 26 * len(lines)), "white")
    whole.paste(picture, (0, 0))
    ImageDraw.Draw(whole).multiline_text(
        (_CAPTION.left, picture.height + 4), text, "black", font, spacing=_CAPTION.spacing
    )
    return whole


def with_overlay(
    picture: Image.Image, text: str, place: Place = "bottom", size: float = 0.08, contrast: float = 1.0
) -> Image.Image:
    """The picture with text over it, centred and wrapped. Letters are black or white, whichever differs more
    from the mean brightness below them.

    Args:
        size: of the font, as a share of the picture's height.
        contrast: opacity of the letters, in [0, 1].
    """
    margin, font = picture.width // 20, font_of(max(1, round(size * picture.height)))
    text = "\n".join(wrapped([text], _fitting([text], font, picture.width - 2 * margin)))
    mask = Image.new("L", picture.size)
    draw = ImageDraw.Draw(mask)
    _, _, width, height = map(int, draw.multiline_textbbox((0, 0), text, font, align="center"))
    tops = {"top": margin, "middle": (picture.height - height) // 2}
    left, top = (picture.width - width) // 2, tops.get(place, picture.height - height - margin)
    draw.multiline_text((left, top), text, round(255 * contrast), font, align="center")
    whole = picture.convert("RGB")
    box = (max(0, left), max(0, top), min(picture.width, left + width), min(picture.height, top + height))
    below = whole.convert("L").crop(box)
    is_light = bool(min(below.size)) and ImageStat.Stat(below).mean[0] >= 128
    whole.paste("black" if is_light else "white", None, mask)
    return whole


def font_name() -> str:
    """The font of all text, with the release of Pillow that it comes with."""
    names = getattr(font_of(20), "getname", lambda: ("Pillow's bitmap font",))()
    return f"{' '.join(filter(None, names))} (Pillow {PIL.__version__})"


@cache
def has_glyph(character: str) -> bool:
    """Whether cards and captions can show a character; another is drawn as a box."""
    if character.isspace():
        return True
    font: Any = font_of(20)
    box, drawn = font.getmask(_NO_CHARACTER), font.getmask(character)
    return (drawn.size, bytes(drawn)) != (box.size, bytes(box))


@cache
def font_of(size: int) -> Font:
    """The font of all text, at a height in pixels."""
    return ImageFont.load_default(size)


def _size(text: str, font: Font, style: Lettering) -> tuple[int, int]:
    """The card's size, with the margins around the text."""
    box = ImageDraw.Draw(Image.new("RGB", (1, 1))).multiline_textbbox(
        (style.left, style.top), text, font, spacing=style.spacing
    )
    return max(style.width, int(box[2]) + style.left), max(style.height, int(box[3]) + style.top)


def _fitting(lines: Sequence[str], font: Font, width: int) -> int:
    """The most characters of a line with which no line is wider than `width`; 1 where there are none."""
    for letters in range(max(map(len, lines), default=1), 1, -1):
        if all(font.getlength(line) <= width for line in wrapped(lines, letters)):
            return letters
    return 1


def wrapped(lines: Sequence[str], letters: int) -> Iterator[str]:
    """The lines, wrapped at so many characters; an empty one stays."""
    from textwrap import wrap

    for line in lines:
        yield from wrap(line, letters) or [""]
