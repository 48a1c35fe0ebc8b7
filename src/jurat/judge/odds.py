"""Between probabilities and log-odds."""

from __future__ import annotations

import math

LARGEST = 36.0
"""Log-odds of a probability that rounding made 0 or 1 count as this, either way."""


def sigmoid(x: float) -> float:
    """1 / (1 + exp(-x)), for any finite x."""
    return 1 / (1 + math.exp(-x)) if x >= 0 else math.exp(x) / (1 + math.exp(x))


def logit(p: float) -> float:
    """log(p / (1 - p)) for p in [0, 1]; at most `LARGEST` either way."""
    if p <= 0 or p >= 1:
        return -LARGEST if p <= 0 else LARGEST
    return max(-LARGEST, min(LARGEST, math.log(p) - math.log1p(-p)))
