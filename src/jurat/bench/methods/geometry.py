"""Detector and geometry: no MLLM at all. Boxes of everything that the clauses name, and arithmetic.

The boxes above a confidence are taken for a scene's objects, and the clauses' statements are evaluated
on them: who is there, how many, whose centre lies where, whose box meets whose. It is done at every
confidence of `STEPS`; the evidence is the share of them at which the rule is broken, and the cut on it
is fitted on dev, as is how far boxes must reach into each other to touch. It speaks the language of
the pictogram world only, since it must know what a statement means.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from jurat.bench.cost import Spending
from jurat.bench.methods.fitting import ScoreScale, fit_best, predict
from jurat.bench.methods.interface import NotApplicable, Prediction, Setup, in_batches
from jurat.bench.pictogram.items import BenchItem
from jurat.constitution import Constitution
from jurat.content import Failure
from jurat.models.vision import Box
from jurat.pictograms.cases import rule_truth
from jurat.pictograms.objects import OBJECTS, WORDS
from jurat.pictograms.reading import parse
from jurat.pictograms.scene import GAP, SIDE
from jurat.pictograms.statements import Facts, Reads, walk

STEPS = tuple(np.linspace(0.05, 0.95, 19).round(2).tolist())
SHRINK = (0.0, 0.1, 0.2, 0.3)
"""Shares of their sides that boxes lose before they are asked whether they meet: sprites do not fill their
boxes."""
SAME = 0.6
"""Two boxes of different words with a larger intersection over union are one object; the surer one stays."""


@dataclass(frozen=True)
class DetectedObjects:
    """Objects detected in one image."""

    kinds: np.ndarray
    boxes: np.ndarray
    """(n, 4): x0, y0, x1, y1 in scene units."""
    scores: np.ndarray


def detect(setup: Setup, items: Sequence[BenchItem]) -> Iterator[Prediction]:
    """See the module's docstring."""
    if setup.detector is None:
        raise NotApplicable("no detector was named")
    shrink, scale = setup.once("detector-geometry", lambda: _fit(setup))
    for found, spending, reason in _look(setup, setup.constitution, items):
        yield predict(_evidence(setup.constitution, found, shrink), scale, spending, reason)


def _fit(setup: Setup) -> tuple[float, ScoreScale]:
    tuning = setup.labelled()
    seen = [found for found, *_ in _look(setup, tuning.constitution, tuning.items)]
    variants = (
        (shrink, [_evidence(tuning.constitution, found, shrink) for found in seen]) for shrink in SHRINK
    )
    return fit_best(setup, "detector-geometry", variants)


def _look(
    setup: Setup, constitution: Constitution, items: Sequence[BenchItem]
) -> Iterator[tuple[DetectedObjects | None, Spending, str | None]]:
    assert setup.detector is not None
    words = _words(constitution)
    for batch in in_batches(items):
        images = [item.image for item in batch]
        start = setup.clock()
        rows = setup.detector.detect(images, [list(words)] * len(images))
        spending = Spending(detections=1, seconds=(setup.clock() - start) / len(batch))
        for image, row in zip(images, rows, strict=True):
            if isinstance(row, Failure):
                yield None, spending, row.kind
            else:
                yield _objects(row, words, SIDE / image.width, SIDE / image.height), spending, None


def _words(constitution: Constitution) -> dict[str, int]:
    """Word to search for -> class; groups are searched by their members."""
    words: dict[str, int] = {}
    for text in constitution.statements():
        try:
            statement = parse(text)
        except ValueError as problem:
            raise NotApplicable(f"{text!r} is not a statement of the pictogram world") from problem
        for part in walk(statement):
            if isinstance(part, Reads):
                words |= {f"sign that reads {word}": len(OBJECTS) + i for i, word in enumerate(WORDS)}
            for noun in part.nouns():
                words |= {OBJECTS[kind].singular: kind for kind in sorted(noun.classes)}
    return words


def _objects(boxes: Sequence[Box], words: dict[str, int], wide: float, high: float) -> DetectedObjects:
    kept: list[Box] = []
    for box in sorted(boxes, key=lambda box: -box.score):
        if box.word in words and all(_overlap(box, other) <= SAME for other in kept):
            kept.append(box)
    return DetectedObjects(
        np.array([words[box.word] for box in kept], int),
        np.array([(b.x0 * wide, b.y0 * high, b.x1 * wide, b.y1 * high) for b in kept]).reshape(-1, 4),
        np.array([box.score for box in kept]),
    )


def _overlap(a: Box, b: Box) -> float:
    wide, high = min(a.x1, b.x1) - max(a.x0, b.x0), min(a.y1, b.y1) - max(a.y0, b.y0)
    shared = max(0.0, wide) * max(0.0, high)
    return shared / ((a.x1 - a.x0) * (a.y1 - a.y0) + (b.x1 - b.x0) * (b.y1 - b.y0) - shared)


def _evidence(constitution: Constitution, found: DetectedObjects | None, shrink: float) -> dict[str, float]:
    if found is None:
        return {rule.id: math.nan for rule in constitution.rules}
    broken = dict.fromkeys((rule.id for rule in constitution.rules), 0.0)
    last: int | None = None
    truths: dict[str, bool] = {}
    for step in STEPS:
        there = np.flatnonzero(found.scores >= step)
        if len(there) != last:
            facts = facts_of_boxes(found.kinds[there], found.boxes[there], shrink)
            truths = {rule.id: rule_truth(rule, facts) is True for rule in constitution.rules}
            last = len(there)
        for name, truth in truths.items():
            broken[name] += truth / len(STEPS)
    return broken


def facts_of_boxes(kinds: np.ndarray, boxes: np.ndarray, shrink: float) -> Facts:
    """Boxes as facts: gaps are those of the boxes with `shrink` of their sides taken off; what falls short
    of a touch counts as none."""
    middle = (boxes[:, :2] + boxes[:, 2:]) / 2
    half = (boxes[:, 2:] - boxes[:, :2]) / 2
    apart = np.abs(middle[:, None] - middle[None]) - (half[:, None] + half[None]) * (1 - shrink)
    gaps = np.hypot(*np.moveaxis(np.maximum(apart, 0), -1, 0))
    gaps = np.where(gaps == 0, 0.0, np.maximum(gaps, GAP))
    return Facts(kinds, middle, 4 * half[:, 0] * half[:, 1], gaps)
