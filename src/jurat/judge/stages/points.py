"""The points stage: the central objects of broken rules are looked for, to show where they are.

It changes no outcome, and is left out where there is no detector.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

from jurat.judge.evidence import Evidence
from jurat.judge.findings import AlternativeScore
from jurat.judge.questions import PlannedAlternative
from jurat.judge.rule_state import RuleState
from jurat.judge.stages.base import NOTHING, Models, Need, Recorded, Request, Stage
from jurat.judge.stages.boxes import locate, read_boxes, regions_of
from jurat.judge.statement_scoring import StatementScore

__all__ = ["Points"]


@dataclass(frozen=True)
class Points(Stage):
    """Shows where the central objects of broken rules are."""

    name: ClassVar[str] = "points"
    needs: ClassVar[tuple[Need, ...]] = ("detector",)
    optional: ClassVar[bool] = True
    depends_on_thresholds: ClassVar[bool] = False

    confidence: float = 0.05
    """Boxes with a higher score than this count."""

    def select(self, rule: RuleState) -> Sequence[PlannedAlternative]:
        if rule.outcome != "broken":
            return ()
        return [one for one in rule.planned.alternatives if one.objects]

    def run(self, models: Models, requests: Sequence[Request]) -> Sequence[Mapping[Any, Any]]:
        locate(models, requests, self.confidence)
        return [{} for _ in requests]

    def change(self, score: StatementScore, result: Any) -> StatementScore:
        boxes = score.scoring.evidence.boxes.get(score.statement.objects, ())
        return score.noting(regions=regions_of(boxes)) if boxes else score

    def missing(self, rule: RuleState, targets: Sequence[Any]) -> bool:
        """Never: a verdict is the same without it."""
        return False

    def read_statement(
        self, statement: PlannedAlternative, shown: AlternativeScore, evidence: Evidence
    ) -> Recorded:
        read_boxes(statement, shown, evidence)
        return NOTHING
