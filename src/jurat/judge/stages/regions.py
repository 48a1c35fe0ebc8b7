"""The regions stage: tests whether the answer depends on the central objects.

CLUE (arXiv 2501.00192, section 4.4, second strategy): a detector finds the central objects of a clause;
the clause is accepted if painting them over lowers its score by more than beta = 0.6. The paper leaves open
what "without the region" is: here all boxes that count, of all central objects, are painted over together,
with the mean colour of what lies outside them.
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
)
from jurat.judge.statement_scoring import StatementScore
from jurat.models import YesNo

if TYPE_CHECKING:
    from jurat.models.vision import Box

__all__ = ["Regions", "painted_over"]


@dataclass(frozen=True)
class Regions(ObjectStage):
    """Asks undecided statements again with their central objects painted over."""

    name: ClassVar[str] = "regions"

    drop: float = 0.6
    """A statement holds if painting over lowers M by more than this (the paper's beta)."""
    confidence: float = 0.05
    """Boxes with a higher score than this count."""

    def select(self, rule: RuleState) -> Sequence[PlannedAlternative]:
        return [one for one in rule.open_statements() if one.objects]

    def run(self, models: Models, requests: Sequence[Request]) -> Sequence[Mapping[Any, Any]]:
        locate(models, requests, self.confidence)
        painted = [
            (request, painted_over(request.image, boxes), keys)
            for request in requests
            for objects, keys in by_objects(request).items()
            if (boxes := request.evidence.boxes[objects])
        ]
        return ask_on_pictures(models, requests, painted)

    def change(self, score: StatementScore, result: YesNo | None) -> StatementScore:
        scoring, answer = score.scoring, score.answer
        score = super().change(score, result)
        if result is None or answer is None or not (scoring.answered(result) and scoring.answered(answer)):
            return score
        return score.settled(True, self.name) if answer.score - result.score > self.drop else score

    def record(self, score: StatementScore, result: YesNo) -> dict[str, Any]:
        return {"score_without": result.score} if score.scoring.answered(result) else {}

    def read_statement(
        self, statement: PlannedAlternative, shown: AlternativeScore, evidence: Evidence
    ) -> Recorded:
        super().read_statement(statement, shown, evidence)
        answer = recorded_answer_of(shown.score_without, shown.stated)
        return NOTHING if answer is None else answer


def painted_over(image: Image.Image, boxes: Sequence[Box]) -> Image.Image:
    """The image with the boxes painted over."""
    pixels = np.array(image.convert("RGB"))
    covered = np.zeros(pixels.shape[:2], bool)
    for box in boxes:
        covered[_span(box.y0, box.y1, image.height), _span(box.x0, box.x1, image.width)] = True
    outside = pixels[~covered]
    pixels[covered] = (outside if len(outside) else pixels.reshape(-1, 3)).mean(0).round().astype(np.uint8)
    return Image.fromarray(pixels)


def _span(low: float, high: float, extent: int) -> slice:
    return slice(max(0, int(np.floor(low))), min(extent, int(np.ceil(high))))
