"""How far scores can be taken for probabilities. Truth may be soft: any number in [0, 1].

Brier score: mean (p - y)^2 (Brier 1950). Log-loss: -mean(y log p + (1 - y) log(1 - p)), p kept `CLIP`
away from 0 and 1. For truths of 0 and 1 both are scikit-learn's (the tests compare them), which
takes no soft ones. Expected calibration error: over equal-width bins of p, the mean of
|mean p - mean y| by the bins' share (Naeini, Cooper & Hauskrecht 2015; Guo et al. 2017, arXiv
1706.04599, there of the top class; here of the positive one, for two classes).
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np

from jurat.metrics.rates import one_sample, share

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from jurat.metrics.rates import Floats

BINS = 15
"""Bins of the calibration error, as in Guo et al."""
CLIP = 1e-6


def brier(truth: Floats, scores: Floats, weights: Floats | None = None) -> float:
    """Mean squared error, in [0, 1]; nan without a scored judgement. Judgements without a score (nan) are
    left out. Raises ValueError for a score outside [0, 1], as the other functions here do."""
    return float(briers(truth, scores, one_sample(len(np.asarray(scores)), weights))[0])


def briers(truth: Floats, scores: Floats, weights: NDArray[Any]) -> NDArray[np.float64]:
    """Brier scores of many samples at once: `weights` (samples, n) give an array (samples,)."""
    true, score, weight = _scored(truth, scores, weights)
    return share(weight @ (score - true) ** 2, weight.sum(1))


def log_loss(truth: Floats, scores: Floats, weights: Floats | None = None) -> float:
    """Cross-entropy in nats; nan without a scored judgement. Judgements without a score are left out."""
    return float(log_losses(truth, scores, one_sample(len(np.asarray(scores)), weights))[0])


def log_losses(truth: Floats, scores: Floats, weights: NDArray[Any]) -> NDArray[np.float64]:
    """Log-losses of many samples at once: `weights` (samples, n) give an array (samples,)."""
    true, score, weight = _scored(truth, scores, weights)
    safe = np.clip(score, CLIP, 1 - CLIP)
    return share(weight @ -(true * np.log(safe) + (1 - true) * np.log1p(-safe)), weight.sum(1))


def calibration_error(
    truth: Floats, scores: Floats, weights: Floats | None = None, *, bins: int = BINS
) -> float:
    """Expected calibration error, in [0, 1]; nan without a scored judgement."""
    true, score, (weight,) = _scored(truth, scores, one_sample(len(np.asarray(scores)), weights))
    if weight.sum() <= 0:
        return math.nan
    place = np.clip(np.ceil(score * bins).astype(int) - 1, 0, bins - 1)
    gap = np.bincount(place, (score - true) * weight, minlength=bins)
    return float(np.abs(gap).sum() / weight.sum())


def _scored(
    truth: Floats, scores: Floats, weights: NDArray[Any]
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
    score = np.asarray(scores, float)
    there = ~np.isnan(score)
    if ((score[there] < 0) | (score[there] > 1)).any():
        raise ValueError("scores must be probabilities, in [0, 1]")
    return np.asarray(truth, float)[there], score[there], np.asarray(weights, float)[:, there]
