"""What a judge gains by leaving its least certain judgements to people: risk against coverage.

Judgements are sorted by confidence; at coverage c the judge decides the share c it is most certain of,
and the risk is its share of errors among those. AURC, the area under that curve, is the mean of the
risks at coverages 1/n, 2/n ... 1 (El-Yaniv & Wiener 2010; Geifman, Uziel & El-Yaniv 2019, "Bias-reduced
uncertainty estimation for deep neural classifiers", arXiv 1805.08206). Among equally confident
judgements the order means nothing, so each counts with the mean error of its group: the expectation
over all orders.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from jurat.metrics.rates import Bits, Floats

COVERAGES = (0.8, 0.9, 0.95, 1.0)
"""At which the bench prints the risk."""


def confidence(scores: Floats) -> NDArray[np.float64]:
    """The margin |score - 0.5| of each judgement, in [0, 0.5]; -1, the least, where there is no score."""
    margin = np.abs(np.asarray(scores, float) - 0.5)
    return np.where(np.isnan(margin), -1.0, margin)


def risk_coverage(
    wrong: Bits, confident: Floats, weights: Floats | None = None
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Coverage and risk after each judgement, the most confident first; two arrays of shape (n,).

    `wrong` is what the judgement would be if it were forced. Judgements of weight 0 are left out.
    """
    weight = np.ones(len(np.asarray(wrong))) if weights is None else np.asarray(weights, float)
    there = weight > 0
    weight, certain = weight[there], np.asarray(confident, float)[there]
    bad = np.asarray(wrong, float)[there]
    order = np.argsort(-certain, kind="stable")
    weight, certain, bad = weight[order], certain[order], bad[order]
    if not len(bad):
        return np.empty(0), np.empty(0)
    starts = np.flatnonzero(np.r_[True, certain[1:] != certain[:-1]])
    group = np.repeat(np.arange(len(starts)), np.diff(np.r_[starts, len(bad)]))
    share = np.add.reduceat(bad * weight, starts) / np.add.reduceat(weight, starts)
    covered = np.cumsum(weight)
    return covered / covered[-1], np.cumsum(share[group] * weight) / covered


def aurc(wrong: Bits, confident: Floats, weights: Floats | None = None) -> float:
    """Area under the risk-coverage curve, in [0, 1]; 0 is best; nan without judgements."""
    coverage, risk = risk_coverage(wrong, confident, weights)
    return float(np.sum(risk * np.diff(coverage, prepend=0.0))) if len(risk) else math.nan


def risk_at(coverage: float, wrong: Bits, confident: Floats, weights: Floats | None = None) -> float:
    """Risk at the smallest coverage that is at least the given one; nan without judgements."""
    covered, risk = risk_coverage(wrong, confident, weights)
    if not len(risk):
        return math.nan
    return float(risk[min(int(np.searchsorted(covered, coverage - 1e-9)), len(risk) - 1)])
