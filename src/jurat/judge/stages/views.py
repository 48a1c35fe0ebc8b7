"""The views stage: asks uncertain statements again on slightly shifted copies of the image.

A vision tower cuts an image into patches, and answers depend on where the cuts fall through an object. The
mean over a few shifts, in log-odds, depends on that less. Each copy is the image shifted by `SHIFT` of its
sides along a diagonal, with its border repeated in the gap.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, ClassVar

import numpy as np
from PIL import Image

from jurat.content import Failure
from jurat.judge.asking import ImageQuestions, ask, attempt, count
from jurat.judge.decision import Thresholds, sigmoid
from jurat.judge.evidence import Evidence
from jurat.judge.findings import RuleFinding
from jurat.judge.questions import PlannedAlternative, PlannedRule, Question
from jurat.judge.rule_state import RuleState
from jurat.judge.stages.base import Models, Request, Stage, recorded_statements
from jurat.judge.stages.quick import recorded_answer, recorded_questions
from jurat.judge.statement_scoring import Scoring, StatementScore
from jurat.models import YesNo

__all__ = ["DIAGONALS", "SHIFT", "Views", "averaged", "shifted"]

SHIFT = 0.04
"""Share of the image's sides; a third of a patch of the bundled model."""
DIAGONALS = ((1, 1), (-1, -1), (1, -1), (-1, 1))


@dataclass(frozen=True)
class Views(Stage):
    """Asks uncertain statements again on four shifted copies, and averages the answers."""

    name: ClassVar[str] = "views"
    depends_on_thresholds: ClassVar[bool] = False

    margin: float = 0.02
    """Statements with evidence further than this from 0 and 1 are asked again. In [0, 0.5)."""

    def select(self, rule: RuleState) -> Sequence[PlannedAlternative]:
        """Uncertain statements of uncertain rules."""
        certain = Thresholds(self.margin, 1 - self.margin)
        strict = rule.rescored(replace(rule.scoring, thresholds=certain))
        answers, answered = rule.evidence.answers, rule.scoring.answered
        # Shifts do not change texts; and without an answer on the image there is nothing to average with.
        return [
            one
            for one in strict.open_statements()
            if one.question.sees_image and answered(answers.get(one.question))
        ]

    def keys(self, target: PlannedAlternative) -> Sequence[Question]:
        return target.questions

    def run(self, models: Models, requests: Sequence[Request]) -> Sequence[Mapping[Any, Any]]:
        sets = [
            [ImageQuestions(copy, each.keys, each.evidence.texts) for copy in shifted(each.image)]
            for each in requests
        ]
        entries = iter(attempt(lambda some: ask(models.model, some), [one for some in sets for one in some]))
        found: list[dict[Any, Any]] = []
        for request, copies in zip(requests, sets, strict=True):
            given = [next(entries) for _ in copies]
            for entry in given:
                count(request.evidence, entry)
            answers = [entry.answers for entry in given if not isinstance(entry, Failure)]
            whole = len(answers) == len(given)
            found.append({key: tuple(each[key] for each in answers) for key in request.keys} if whole else {})
        return found

    def apply(self, rule: RuleState, targets: Sequence[Any]) -> RuleState:
        if not targets:
            return rule
        found = rule.evidence.found[self.name]
        return rule.changed({one.key for one in targets}, lambda score: _over_views(score, found))

    def read(self, rule: PlannedRule, finding: RuleFinding, evidence: Evidence) -> None:
        for statement, shown in recorded_statements(rule, finding):
            for question, each in recorded_questions(statement, shown):
                if each.score_over_views is not None:
                    # One view that, with the answer on the image, has the recorded mean in log-odds.
                    mean = YesNo(each.score_over_views, 1 - each.score_over_views)
                    score = sigmoid(2 * mean.log_odds - recorded_answer(each).log_odds)
                    evidence.found[self.name][question] = (YesNo(score, 1 - score),)


def shifted(image: Image.Image) -> list[Image.Image]:
    """The four copies, of the image's own size."""
    pixels = np.asarray(image.convert("RGB"))
    wide, high = (max(1, round(SHIFT * side)) for side in image.size)
    padded = np.pad(pixels, ((high, high), (wide, wide), (0, 0)), "edge")
    return [
        Image.fromarray(padded[high + y * high :, wide + x * wide :][: image.height, : image.width].copy())
        for x, y in DIAGONALS
    ]


def averaged(answers: Sequence[YesNo]) -> float:
    """The mean log-odds of the answers on the image and its copies."""
    return sum(answer.log_odds for answer in answers) / len(answers)


def _over_views(score: StatementScore, found: Mapping[Question, Sequence[YesNo] | None]) -> StatementScore:
    def mean(question: Question, answer: YesNo) -> YesNo | None:
        return _mean(answer, found.get(question) or (), score.scoring)

    presence = tuple(replace(each, over_views=mean(each.question, each.answer)) for each in score.presence)
    score = replace(score, presence=presence)
    over = None if score.answer is None else mean(score.statement.question, score.answer)
    if over is None:
        return score.scored()
    # An answer on a crop stands for the image and stays what is scored; what was answered on copies of the
    # whole is recorded all the same, since another rule may have the statement without a crop.
    on_image = score.counts is score.answer
    scored = score.with_answer(over, Views.name) if on_image else score.scored()
    return scored.noting(score_over_views=over.score)


def _mean(answer: YesNo, copies: Sequence[YesNo], scoring: Scoring) -> YesNo | None:
    """The answer over the image and its copies; None unless all of them were answered."""
    answers = (answer, *copies)
    if not copies or not all(scoring.answered(each) for each in answers):
        return None
    share = sigmoid(averaged(answers))
    return YesNo(share, 1 - share, stated=any(each.stated for each in answers))
