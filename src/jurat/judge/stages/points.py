"""The points stage: finds the central objects of broken rules, to show where they are.

It changes no outcome, and is skipped without a detector.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

from jurat.judge.questions import PlannedAlternative
from jurat.judge.rule_state import RuleState
from jurat.judge.stages.base import Models, Request
from jurat.judge.stages.boxes import ObjectStage, locate

__all__ = ["Points"]


@dataclass(frozen=True)
class Points(ObjectStage):
    """Shows where the central objects of broken rules are."""

    name: ClassVar[str] = "points"
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

    def missing(self, rule: RuleState, targets: Sequence[Any]) -> bool:
        """Never: a verdict is the same without it."""
        return False
