"""Finds the central objects of clauses, for the stages that need their boxes.

The CLUE paper (arXiv 2501.00192, section 4.4) leaves open which boxes of a detector count. Here the most
confident box of an object counts, and every other at least half as confident, up to four.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, ClassVar, TypeAlias

from PIL import Image

from jurat.content import Failure
from jurat.judge.asking import ImageQuestions, ask, attempt, count
from jurat.judge.concurrency import lock_of
from jurat.judge.evidence import Evidence
from jurat.judge.findings import AlternativeScore, Region
from jurat.judge.questions import PlannedAlternative, StatementKey
from jurat.judge.stages.base import NOTHING, Models, Need, Recorded, Request, Stage, never_learned
from jurat.judge.statement_scoring import StatementScore
from jurat.models import YesNo
from jurat.models.vision import Box

if TYPE_CHECKING:
    from jurat.models.vision import Detector

__all__ = [
    "ObjectStage",
    "Search",
    "ask_on_pictures",
    "by_objects",
    "find",
    "locate",
    "recorded_answer_of",
    "share",
]

MOST = 4
"""Boxes of one object that count, at most."""
NEXT = 0.5
"""A further box counts if it is at least this times as confident as the first."""


class ObjectStage(Stage):
    """A stage that looks for the central objects of clauses; their boxes are recorded with the statements."""

    needs: ClassVar[tuple[Need, ...]] = ("detector",)

    def change(self, score: StatementScore, result: Any) -> StatementScore:
        boxes = score.scoring.evidence.boxes.get(score.statement.objects, ())
        regions = (Region(word=b.word, score=b.score, x0=b.x0, y0=b.y0, x1=b.x1, y1=b.y1) for b in boxes)
        return score.noting(regions=tuple(regions)) if boxes else score

    def read_statement(
        self, statement: PlannedAlternative, shown: AlternativeScore, evidence: Evidence
    ) -> Recorded:
        """Puts the boxes on record into the evidence; subclasses return the result."""
        if shown.regions:
            boxes = tuple(Box(r.x0, r.y0, r.x1, r.y1, r.score, r.word) for r in shown.regions)
            evidence.boxes.setdefault(statement.objects, boxes)
        return NOTHING


@dataclass(frozen=True)
class Search:
    """An image and the words to be found in it."""

    image: Image.Image
    words: tuple[str, ...]


Found: TypeAlias = "dict[str, tuple[Box, ...] | Failure]"
"""For each word the boxes that count, or the failure."""


def find(detector: Detector, searches: Sequence[Search], confidence: float) -> list[Found]:
    """One entry a search. Words that the detector does not know, or fails on, do not affect the others."""
    strange = {
        word: failure
        for one in searches
        for word in one.words
        if (failure := never_learned(detector, "detector", word))
    }
    known = [replace(one, words=tuple(w for w in one.words if w not in strange)) for one in searches]

    def detect(some: Sequence[Search]) -> Sequence[list[Box] | Failure]:
        return detector.detect([search.image for search in some], [search.words for search in some])

    found: list[Found] = [{word: strange[word] for word in one.words if word in strange} for one in searches]
    asked = [(entry, one) for entry, one in zip(found, known, strict=True) if one.words]
    again: list[tuple[Found, Search]] = []
    for (entry, one), boxes in zip(asked, attempt(detect, [one for _, one in asked]), strict=True):
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


def _that_count(boxes: Iterable[Box], confidence: float) -> tuple[Box, ...]:
    ordered = sorted(boxes, key=lambda box: -box.score)
    if not ordered or ordered[0].score <= confidence:
        return ()
    least = max(confidence, NEXT * ordered[0].score)
    return tuple(box for box in ordered[:MOST] if box.score >= least)


def share(image: Image.Image, box: Box) -> float:
    """The box's share of the image's area, in [0, 1]."""
    return (box.x1 - box.x0) * (box.y1 - box.y0) / (image.width * image.height)


def locate(models: Models, requests: Sequence[Request], confidence: float) -> None:
    """Searches for the objects of the requested statements, once an image; puts boxes into the evidence."""
    assert models.detector is not None
    missing = [(request, _not_searched(request)) for request in requests]
    missing = [(request, objects) for request, objects in missing if objects]
    searches = [
        Search(request.image, tuple(dict.fromkeys(word for some in objects for word in some)))
        for request, objects in missing
    ]
    with lock_of(models.detector):
        found = find(models.detector, searches, confidence)
    for (request, objects), entry in zip(missing, found, strict=True):
        request.evidence.cost.detections += 1
        for some in objects:
            request.evidence.boxes[some] = _all_of([entry[word] for word in dict.fromkeys(some)])


def _not_searched(request: Request) -> list[tuple[str, ...]]:
    objects = dict.fromkeys(key.objects for key in request.keys if key.objects)
    return [some for some in objects if some not in request.evidence.boxes]


def _all_of(found: Sequence[tuple[Box, ...] | Failure]) -> tuple[Box, ...]:
    """The boxes of several objects; none if the search for one of them failed."""
    boxes = [entry for entry in found if not isinstance(entry, Failure)]
    return tuple(box for some in boxes for box in some) if len(boxes) == len(found) else ()


def ask_on_pictures(
    models: Models,
    requests: Sequence[Request],
    pictures: Sequence[tuple[Request, Image.Image, Sequence[StatementKey]]],
) -> list[dict[StatementKey, YesNo]]:
    """Asks statements about pictures derived from the images; returns the answers of each request. A failure
    is an answer with that failure."""
    sets = [
        ImageQuestions(picture, tuple(key.question for key in keys), request.evidence.texts)
        for request, picture, keys in pictures
    ]
    entries = attempt(lambda some: ask(models.model, some), sets)
    found: dict[int, dict[StatementKey, YesNo]] = {id(request): {} for request in requests}
    for (request, _, keys), entry in zip(pictures, entries, strict=True):
        count(request.evidence, entry)
        for key in keys:
            failed = isinstance(entry, Failure)
            answer = YesNo(0.0, 0.0, entry) if failed else entry.answers[key.question]
            found[id(request)][key] = answer
    return list(found.values())


def by_objects(request: Request) -> Mapping[tuple[str, ...], list[StatementKey]]:
    """The requested statements by their objects."""
    alike: dict[tuple[str, ...], list[StatementKey]] = {}
    for key in request.keys:
        alike.setdefault(key.objects, []).append(key)
    return alike


def recorded_answer_of(score: float | None, stated: Any) -> YesNo | None:
    """The answer with a recorded score; None if there is none."""
    return None if score is None else YesNo(score, 1 - score, stated=bool(stated))
