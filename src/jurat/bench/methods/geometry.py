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
from jurat.bench.methods.base import Ground, Ruling, Unfit, in_batches
from jurat.bench.methods.fitting import Scale, fit_scale, ruling
from jurat.bench.pictogram.items import BenchItem
from jurat.constitution import Constitution
from jurat.content import Failure
from jurat.models.vision import Box, Detector
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
class Found:
    """What was detected in one image."""

    kinds: np.ndarray
    boxes: np.ndarray
    """(n, 4): x0, y0, x1, y1 in scene units."""
    scores: np.ndarray


def detect(ground: Ground, items: Sequence[BenchItem]) -> Iterator[Ruling]:
    """See the module's docstring."""
    if ground.detector is None:
        raise Unfit("no detector was named")
    detector = ground.detector()
    shrink, scale = ground.once("detector-geometry", lambda: _fit(ground, detector))
    for found, spending, reason in _look(ground, detector, ground.law, items):
        yield ruling(_evidence(ground.law, found, shrink), scale, spending, reason)


def _fit(ground: Ground, detector: Detector) -> tuple[float, Scale]:
    if ground.tuning is None:
        raise Unfit("there are no labelled images to fit its cut on")
    tuning = ground.tuning()
    seen = [found for found, *_ in _look(ground, detector, tuning.law, tuning.items)]
    best: tuple[float, float, Scale] | None = None
    tried = 0
    for shrink in SHRINK:
        evidence = [_evidence(tuning.law, found, shrink) for found in seen]
        scale, reached, configurations = fit_scale(tuning, evidence)
        tried += configurations
        if best is None or reached > best[0]:
            best = (reached, shrink, scale)
    assert best is not None
    ground.tried["detector-geometry"] = tried
    return best[1:]


def _look(
    ground: Ground, detector: Detector, law: Constitution, items: Sequence[BenchItem]
) -> Iterator[tuple[Found | None, Spending, str | None]]:
    words = _words(law)
    for batch in in_batches(items):
        images = [item.image for item in batch]
        start = ground.clock()
        rows = detector.detect(images, [list(words)] * len(images))
        spending = Spending(detections=1, seconds=(ground.clock() - start) / len(batch))
        for image, row in zip(images, rows, strict=True):
            if isinstance(row, Failure):
                yield None, spending, row.kind
            else:
                yield _objects(row, words, SIDE / image.width, SIDE / image.height), spending, None


def _words(law: Constitution) -> dict[str, int]:
    """Word to search for -> class; groups are searched by their members."""
    words: dict[str, int] = {}
    for text in law.statements():
        try:
            statement = parse(text)
        except ValueError as problem:
            raise Unfit(f"{text!r} is not a statement of the pictogram world") from problem
        for part in walk(statement):
            if isinstance(part, Reads):
                words |= {f"sign that reads {word}": len(OBJECTS) + i for i, word in enumerate(WORDS)}
            for noun in part.nouns():
                words |= {OBJECTS[kind].singular: kind for kind in sorted(noun.classes)}
    return words


def _objects(boxes: Sequence[Box], words: dict[str, int], wide: float, high: float) -> Found:
    kept: list[Box] = []
    for box in sorted(boxes, key=lambda box: -box.score):
        if box.word in words and all(_overlap(box, other) <= SAME for other in kept):
            kept.append(box)
    return Found(
        np.array([words[box.word] for box in kept], int),
        np.array([(b.x0 * wide, b.y0 * high, b.x1 * wide, b.y1 * high) for b in kept]).reshape(-1, 4),
        np.array([box.score for box in kept]),
    )


def _overlap(a: Box, b: Box) -> float:
    wide, high = min(a.x1, b.x1) - max(a.x0, b.x0), min(a.y1, b.y1) - max(a.y0, b.y0)
    shared = max(0.0, wide) * max(0.0, high)
    return shared / ((a.x1 - a.x0) * (a.y1 - a.y0) + (b.x1 - b.x0) * (b.y1 - b.y0) - shared)


def _evidence(law: Constitution, found: Found | None, shrink: float) -> dict[str, float]:
    if found is None:
        return {rule.id: math.nan for rule in law.rules}
    broken = dict.fromkeys((rule.id for rule in law.rules), 0.0)
    last: int | None = None
    truths: dict[str, bool] = {}
    for step in STEPS:
        there = np.flatnonzero(found.scores >= step)
        if len(there) != last:
            facts = facts_of_boxes(found.kinds[there], found.boxes[there], shrink)
            truths = {rule.id: rule_truth(rule, facts) is True for rule in law.rules}
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
