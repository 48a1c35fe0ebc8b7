"""What a judge gains by leaving its least certain judgements to people: risk against coverage.

Judgements are sorted by confidence; at coverage c the judge decides the share c it is most certain of,
and the risk is its share of errors among those. AURC, the area under that curve, is the mean of the
risks at coverages 1/n, 2/n ... 1 (El-Yaniv & Wiener 2010; Geifman, Uziel & El-Yaniv 2019, "Bias-reduced
uncertainty estimation for deep neural classifiers", arXiv 1805.08206). Among equally confident
judgements the order means nothing, so each counts with the mean error of its group: the expectation
over all orders.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from jurat.metrics.rates import one_sample, share

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
    curves = Curves.of(wrong, confident, one_sample(len(np.asarray(wrong)), weights))
    there = curves.weights[0] > 0
    return curves.coverage[0, there], curves.risk[0, there]


def aurc(wrong: Bits, confident: Floats, weights: Floats | None = None) -> float:
    """Area under the risk-coverage curve, in [0, 1]; 0 is best; nan without judgements."""
    return float(Curves.of(wrong, confident, one_sample(len(np.asarray(wrong)), weights)).areas()[0])


def risk_at(coverage: float, wrong: Bits, confident: Floats, weights: Floats | None = None) -> float:
    """Risk at the smallest coverage that is at least the given one; nan without judgements."""
    return float(
        Curves.of(wrong, confident, one_sample(len(np.asarray(wrong)), weights)).risks_at(coverage)[0]
    )


@dataclass(frozen=True)
class Curves:
    """The risk-coverage curves of many samples at once; arrays (samples, n), the most confident first.

    Before the first judgement of a sample that weighs anything, its coverage and its risk are 0.
    """

    weights: NDArray[np.float64]
    coverage: NDArray[np.float64]
    risk: NDArray[np.float64]

    @classmethod
    def of(cls, wrong: Bits, confident: Floats, weights: NDArray[Any]) -> Curves:
        """`wrong` and `confident` (n,), `weights` (samples, n)."""
        order = np.argsort(-np.asarray(confident, float), kind="stable")
        certain, bad = np.asarray(confident, float)[order], np.asarray(wrong, float)[order]
        weight = np.asarray(weights, float)[:, order]
        if not len(bad):
            return cls(weight, weight, weight)
        starts = np.flatnonzero(np.r_[True, certain[1:] != certain[:-1]])
        mass = np.add.reduceat(weight, starts, 1)
        shares = _over(np.add.reduceat(weight * bad, starts, 1), mass)
        covered = np.cumsum(weight, 1)
        lost = np.cumsum(np.repeat(shares, np.diff(np.r_[starts, len(bad)]), 1) * weight, 1)
        return cls(weight, _over(covered, covered[:, -1:]), _over(lost, covered))

    def areas(self) -> NDArray[np.float64]:
        """AURC of each sample; nan without judgements."""
        return share((self.risk * self.weights).sum(1), self.weights.sum(1))

    def risks_at(self, coverage: float) -> NDArray[np.float64]:
        """Risk of each sample at the smallest coverage that is at least the given one; nan without
        judgements."""
        if not self.risk.shape[1]:
            return np.full(len(self.risk), np.nan)
        reached = np.argmax(self.coverage >= min(coverage, 1.0) - 1e-9, 1)
        risks = self.risk[np.arange(len(self.risk)), reached]
        return np.where(self.weights.sum(1) > 0, risks, np.nan)


def _over(part: NDArray[np.float64], whole: NDArray[np.float64]) -> NDArray[np.float64]:
    """part / whole; 0 where there is nothing."""
    return np.divide(part, whole, out=np.zeros_like(part), where=whole > 0)
