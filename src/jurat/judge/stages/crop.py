"""The crop stage: statements about small objects are asked about a crop.

CLUE (arXiv 2501.00192, section 4.4) looks at objects smaller than 1% of the image in a crop, which then
stands for the image. Here a crop is made where every box that counts is small; it holds them all, with as
much again on each side, and is square where the image allows it, since many models squeeze what is not.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
from PIL import Image

from jurat.judge.evidence import Evidence
from jurat.judge.findings import AlternativeScore
from jurat.judge.questions import PlannedAlternative
from jurat.judge.rule_state import RuleState
from jurat.judge.stages.base import NOTHING, Models, Recorded, Request
from jurat.judge.stages.boxes import (
    ObjectStage,
    ask_on_pictures,
    by_objects,
    locate,
    recorded_answer_of,
    share,
)
from jurat.judge.statement_scoring import StatementScore
from jurat.models import YesNo

if TYPE_CHECKING:
    from jurat.models.vision import Box

__all__ = ["Crop", "CropAnswer", "crop"]

LEAST_SIDE = 32
"""Pixels that a crop has along each side, where the image has as many."""


@dataclass(frozen=True)
class CropAnswer:
    """The answer about a crop."""

    answer: YesNo
    crop: Image.Image | None
    """None in evidence that was read from a record."""


@dataclass(frozen=True)
class Crop(ObjectStage):
    """Asks about small objects on crops that stand for the image."""

    name: ClassVar[str] = "crop"
    depends_on_thresholds: ClassVar[bool] = False

    crop_below: float = 0.01
    """Objects with boxes below this share of the image are asked about on a crop; 0 for none."""
    confidence: float = 0.05
    """Boxes with a higher score than this count."""

    def select(self, rule: RuleState) -> Sequence[PlannedAlternative]:
        """Every statement with objects; none where no object can be small enough."""
        return [one for one in rule.planned.alternatives if one.objects] if self.crop_below > 0 else ()

    def run(self, models: Models, requests: Sequence[Request]) -> Sequence[Mapping[Any, Any]]:
        locate(models, requests, self.confidence)
        crops = [
            (request, picture, keys)
            for request in requests
            for objects, keys in by_objects(request).items()
            if (picture := crop(request.image, request.evidence.boxes[objects], self.crop_below)) is not None
        ]
        pictures = {(id(request), key): picture for request, picture, keys in crops for key in keys}
        return [
            {key: CropAnswer(answer, pictures[id(request), key]) for key, answer in answers.items()}
            for request, answers in zip(requests, ask_on_pictures(models, requests, crops), strict=True)
        ]

    def change(self, score: StatementScore, result: CropAnswer | None) -> StatementScore:
        score = super().change(score, result)
        if result is None or score.answer is None or not score.scoring.answered(result.answer):
            return score
        return score.with_answer(result.answer, "quick")

    def record(self, score: StatementScore, result: CropAnswer) -> dict[str, Any]:
        return {"score_on_crop": result.answer.score} if score.scoring.answered(result.answer) else {}

    def read_statement(
        self, statement: PlannedAlternative, shown: AlternativeScore, evidence: Evidence
    ) -> Recorded:
        super().read_statement(statement, shown, evidence)
        answer = recorded_answer_of(shown.score_on_crop, shown.stated)
        return NOTHING if answer is None else CropAnswer(answer, None)


def crop(image: Image.Image, boxes: Sequence[Box], small: float) -> Image.Image | None:
    """The crop that stands for the image if every box is below `small` of its area; else None."""
    if not boxes or any(share(image, box) >= small for box in boxes):
        return None
    spans = [
        _padded(min(lows), max(highs), extent)
        for lows, highs, extent in (
            ([b.x0 for b in boxes], [b.x1 for b in boxes], image.width),
            ([b.y0 for b in boxes], [b.y1 for b in boxes], image.height),
        )
    ]
    side = max(high - low for low, high in spans)
    (left, right), (top, bottom) = (
        _widened(span, side, extent) for span, extent in zip(spans, image.size, strict=True)
    )
    return image.crop((left, top, right, bottom))


def _padded(low: float, high: float, extent: int) -> tuple[int, int]:
    """The span with its own length added on each side, within the image, and not below `LEAST_SIDE`."""
    length = high - low
    missing = max(0.0, LEAST_SIDE - 3 * length) / 2
    return (
        max(0, int(np.floor(low - length - missing))),
        min(extent, int(np.ceil(high + length + missing))),
    )


def _widened(span: tuple[int, int], length: int, extent: int) -> tuple[int, int]:
    """A span of `length` around another one, within the image; the whole extent where that is shorter."""
    low, high = span
    start = min(max(0, low - (length - (high - low)) // 2), max(0, extent - length))
    return start, min(extent, start + length)
