"""What wrong verdicts cost: thresholds from a rule's severity.

A rule is broken with probability p. Calling it broken risks C_false_alarm (1 - p), calling it kept
C_miss p, and leaving it to a person costs C_review. So what is cheapest is

    broken    if p > 1 - C_review / C_false_alarm
    kept      if p < C_review / C_miss
    undecided otherwise

The costs are judgements, fitted to nothing, in units of one review. A false alarm costs alike whatever the
rule; a miss costs more the graver it is. Those of `medium` give the thresholds of the preset `jurat`.
"""

from __future__ import annotations

from dataclasses import dataclass

REVIEW = 1.0


@dataclass(frozen=True)
class Costs:
    """Of one wrong verdict, in units of one review; at least 1."""

    miss: float
    false_alarm: float

    @property
    def keep_below(self) -> float:
        return REVIEW / self.miss

    @property
    def break_above(self) -> float:
        return 1 - REVIEW / self.false_alarm


COSTS: dict[str, Costs] = {
    "low": Costs(miss=2.0, false_alarm=2.5),
    "medium": Costs(miss=2.5, false_alarm=2.5),
    "high": Costs(miss=5.0, false_alarm=2.5),
    "critical": Costs(miss=20.0, false_alarm=2.5),
}
"""By a rule's severity."""
UNSTATED = "medium"
"""What a rule without a severity is taken for."""


def costs_of(severity: str | None) -> Costs:
    """Of a rule of this severity."""
    return COSTS[severity or UNSTATED]
