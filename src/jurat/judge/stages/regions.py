"""The regions stage: does the answer hang on the objects that it should hang on.

CLUE (arXiv 2501.00192, section 4.4, second strategy): a detector finds the central objects of a clause;
the clause is accepted if painting them over lowers its score by more than beta = 0.6. Objects smaller than
1% of the image are looked at in a crop, which then stands for the image. The paper leaves open what
"without the region" is, and what to do with several boxes. Here:

- of the boxes of one object, the most confident counts, and every other at least half as confident, four
  at most; all of these, of all central objects, are painted over together;
- the paint is the mean colour of what lies outside the boxes;
- a crop is made where every box that counts is small; it holds them all, with as much again on each side.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, TypeAlias

import numpy as np
from PIL import Image

from jurat.content import Failure
from jurat.judge.stages.quick import attempt
from jurat.models import Vocabulary

if TYPE_CHECKING:
    from jurat.models.vision import Box, Detector

MOST = 4
"""Boxes of one object that count, at most."""
NEXT = 0.5
"""A further box counts if it is at least this times as confident as the first."""
LEAST_SIDE = 32
"""Pixels that a crop has along each side, where the image has as many."""


@dataclass(frozen=True)
class Search:
    """An image and the words to be found in it."""

    image: Image.Image
    words: tuple[str, ...]


Found: TypeAlias = "dict[str, tuple[Box, ...] | Failure]"
"""For each word the boxes that count, or why nothing is known of it."""


def find(detector: Detector, searches: Sequence[Search], confidence: float) -> list[Found]:
    """One entry a search. Words are apart: one that the detector never learned, or fails on, costs none of
    the others its boxes."""
    strange = {
        word: failure for one in searches for word in one.words if (failure := _unknown(detector, word))
    }
    known = [replace(one, words=tuple(w for w in one.words if w not in strange)) for one in searches]

    def detect(some: Sequence[Search]) -> Sequence[list[Box] | Failure]:
        return detector.detect([search.image for search in some], [search.words for search in some])

    found: list[Found] = [{word: strange[word] for word in one.words if word in strange} for one in searches]
    put = [(entry, one) for entry, one in zip(found, known, strict=True) if one.words]
    again: list[tuple[Found, Search]] = []
    for (entry, one), boxes in zip(put, attempt(detect, [one for _, one in put]), strict=True):
        if isinstance(boxes, Failure) and boxes.kind == "error" and len(one.words) > 1:
            again += [(entry, replace(one, words=(word,))) for word in one.words]
        else:
            entry.update(_by_word(boxes, one, confidence))
    for (entry, one), boxes in zip(again, attempt(detect, [one for _, one in again]), strict=True):
        entry.update(_by_word(boxes, one, confidence))
    return found


def _by_word(boxes: list[Box] | Failure, search: Search, confidence: float) -> Found:
    if isinstance(boxes, Failure):
        return dict.fromkeys(search.words, boxes)
    return {word: _that_count([b for b in boxes if b.word == word], confidence) for word in search.words}


def _unknown(detector: Detector, word: str) -> Failure | None:
    """A failure that names what the detector never learned, if it says which words it knows."""
    words = detector.unknown_words(word) if isinstance(detector, Vocabulary) else []
    named = ", ".join(repr(each) for each in words)
    return Failure("out_of_domain", f"The detector never learned {named}.") if words else None


def _that_count(boxes: Iterable[Box], confidence: float) -> tuple[Box, ...]:
    ordered = sorted(boxes, key=lambda box: -box.score)
    if not ordered or ordered[0].score <= confidence:
        return ()
    least = max(confidence, NEXT * ordered[0].score)
    return tuple(box for box in ordered[:MOST] if box.score >= least)


def share(image: Image.Image, box: Box) -> float:
    """The box's share of the image's area, in [0, 1]."""
    return (box.x1 - box.x0) * (box.y1 - box.y0) / (image.width * image.height)


def without(image: Image.Image, boxes: Sequence[Box]) -> Image.Image:
    """The image with the boxes painted over."""
    pixels = np.array(image.convert("RGB"))
    covered = np.zeros(pixels.shape[:2], bool)
    for box in boxes:
        covered[_span(box.y0, box.y1, image.height), _span(box.x0, box.x1, image.width)] = True
    outside = pixels[~covered]
    pixels[covered] = (outside if len(outside) else pixels.reshape(-1, 3)).mean(0).round().astype(np.uint8)
    return Image.fromarray(pixels)


def crop(image: Image.Image, boxes: Sequence[Box], small: float) -> Image.Image | None:
    """What stands for the image where each box is below `small` of its area; None where one is not."""
    if not boxes or any(share(image, box) >= small for box in boxes):
        return None
    spans = [
        _padded(min(lows), max(highs), extent)
        for lows, highs, extent in (
            ([b.x0 for b in boxes], [b.x1 for b in boxes], image.width),
            ([b.y0 for b in boxes], [b.y1 for b in boxes], image.height),
        )
    ]
    (left, right), (top, bottom) = spans
    return image.crop((left, top, right, bottom))


def _padded(low: float, high: float, extent: int) -> tuple[int, int]:
    """The span with its own length added on each side, within the image, and not below `LEAST_SIDE`."""
    length = high - low
    missing = max(0.0, LEAST_SIDE - 3 * length) / 2
    return (
        max(0, int(np.floor(low - length - missing))),
        min(extent, int(np.ceil(high + length + missing))),
    )


def _span(low: float, high: float, extent: int) -> slice:
    return slice(max(0, int(np.floor(low))), min(extent, int(np.ceil(high))))
