"""What further labels would buy: narrower intervals, and a proof of `jurat calibrate`'s bounds.

Intervals: the half-width of an interval of n images is taken to fall as sqrt(n / (n + more)), at an unchanged
rate. Bounds: with v labelled violations a threshold below all of their scores misses, with 95% confidence, at
most 1 - 0.05^(1 / v) of the rule's violations (`jurat.judge.calibrate.fit`). Of `more` images drawn at
random, a number with the distribution Binomial(more, v / n) breaks the rule; the bound is its expectation.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

from jurat.judge.calibrate.fit import CONFIDENCE, fewest
from jurat.metrics import Interval

MORE = 50
BOUND = 0.05
"""Largest share of missed violations that `jurat calibrate` allows by default."""


def narrowed(half_width: float, n: int, more: int = MORE) -> float:
    """The expected half-width with `more` further images."""
    return half_width * math.sqrt(n / (n + more)) if n else math.nan


def least_bound(violations: int) -> float:
    """The smallest bound on the share of missed violations that this many labelled violations can prove."""
    return 1 - (1 - CONFIDENCE) ** (1 / violations) if violations else 1.0


@dataclass(frozen=True)
class RuleGuarantee:
    """What can be proved of one rule now, and is expected to be with more labels."""

    rule: str
    images: int
    violations: int
    bound: float
    """`least_bound` of the violations labelled so far."""
    expected: float
    """Expected bound with `MORE` further images."""
    labels_needed: int | None
    """Number of further random images expected to hold the violations still needed to prove `BOUND`; None
    where no violation is labelled, so that their share cannot be estimated."""


def guarantee(rule: str, images: int, violations: int, more: int = MORE) -> RuleGuarantee:
    """What can be proved of a rule that `violations` of `images` labelled images break."""
    share = violations / images if images else 0.0
    expected = math.fsum(
        math.comb(more, k) * share**k * (1 - share) ** (more - k) * least_bound(violations + k)
        for k in range(more + 1)
    )
    lacking = max(0, fewest(BOUND) - violations)
    needed = 0 if not lacking else math.ceil(lacking / share) if share else None
    return RuleGuarantee(rule, images, violations, least_bound(violations), expected, needed)


def narrowing(value: float, interval: Interval, n: int, more: int = MORE) -> dict[str, Any]:
    """Value, half-width now, and half-width expected with `more` images."""
    half = (interval.high - interval.low) / 2
    return {"value": value, "half_width": half, "expected": narrowed(half, n, more)}
