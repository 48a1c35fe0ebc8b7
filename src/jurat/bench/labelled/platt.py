"""Calibration before and after: scores as they are, and as a logistic curve fitted on other images maps them.

Platt's curve sigmoid(a l + b), with l the log-odds of the score, has two parameters, fitted by log-loss with
Platt's smoothed targets (Platt 1999, "Probabilistic outputs for support vector machines"), so that separable
scores have a fit. Each image is mapped by the curve of the other folds. It needs no answers of the model, and
so works for every method with scores; `jurat calibrate` fits more, and has rows of its own.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from jurat import metrics
from jurat.metrics.rates import UNSURE

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from jurat.metrics import Table

_EDGE = 1e-4
"""Distance from 0 and 1 that scores are clipped to, so that one extreme score does not dominate the fit."""
_STEPS = 100


def log_odds(scores: NDArray[np.float64]) -> NDArray[np.float64]:
    """Log-odds of scores in [0, 1], clipped to +-9.2."""
    inside = np.clip(scores, _EDGE, 1 - _EDGE)
    return np.log(inside / (1 - inside))


def platt(odds: NDArray[np.float64], truth: NDArray[np.float64]) -> tuple[float, float]:
    """(a, b) of the curve with the least log-loss to Platt's targets.

    Raises ValueError where truth has one class only.
    """
    positives = float(truth.sum())
    negatives = len(truth) - positives
    if not positives or not negatives:
        raise ValueError("a curve needs images that break a rule and images that do not")
    goal = np.where(truth == 1, (positives + 1) / (positives + 2), 1 / (negatives + 2))
    design = np.stack([odds, np.ones_like(odds)], 1)
    found = np.zeros(2)

    def loss(at: NDArray[np.float64]) -> float:
        z = design @ at
        return float(np.logaddexp(0, z).sum() - goal @ z)

    for _ in range(_STEPS):
        p = 1 / (1 + np.exp(-np.clip(design @ found, -500, 500)))
        slope = design.T @ (p - goal)
        if np.abs(slope).max() < 1e-9 * len(truth):
            break
        curve = (design * (p * (1 - p))[:, None]).T @ design + 1e-12 * np.eye(2)
        step = np.linalg.solve(curve, slope)
        share = 1.0
        while share > 1e-8 and loss(found - share * step) > loss(found):
            share /= 2
        found = found - share * step
    return float(found[0]), float(found[1])


def cross_calibrated(table: Table, folds: Sequence[int]) -> NDArray[np.float64]:
    """Scores as mapped by the curves fitted on the other folds; nan where there is no score.

    Raises ValueError where the other folds of one have one class only.
    """
    fold, scored = np.asarray(folds), ~np.isnan(table.score)
    odds, found = log_odds(table.score), np.full(len(table), np.nan)
    for each in np.unique(fold[scored]):
        others = scored & (fold != each)
        a, b = platt(odds[others], table.truth[others])
        here = scored & (fold == each)
        found[here] = 1 / (1 + np.exp(-(a * odds[here] + b)))
    return found


def before_and_after(table: Table, folds: Sequence[int]) -> dict[str, Any]:
    """ECE, Brier score, log-loss and forced F1 of the scores as they are and as calibrated on other images,
    over the judgements with a score; `reason` says why there is no "after"."""
    scored = table.take(~np.isnan(table.score))
    found: dict[str, Any] = {"n": len(scored), "before": _of(scored.truth, scored.score)}
    if not len(scored):
        return found | {"after": None, "reason": "nothing has a score"}
    if len(set(folds)) < 2:
        return found | {"after": None, "reason": "without folds nothing is fitted"}
    try:
        mapped = cross_calibrated(scored, np.asarray(folds)[~np.isnan(table.score)].tolist())
    except ValueError as problem:
        return found | {"after": None, "reason": str(problem)}
    return found | {"after": _of(scored.truth, mapped), "reason": ""}


def _of(truth: NDArray[np.float64], score: NDArray[np.float64]) -> dict[str, float]:
    if not len(score):
        return dict.fromkeys(("ece", "brier", "log_loss", "forced f1"), math.nan)
    said = np.where(np.isnan(score), UNSURE, (score > 0.5).astype(int))
    return {
        "ece": metrics.calibration_error(truth, score),
        "brier": metrics.brier(truth, score),
        "log_loss": metrics.log_loss(truth, score),
        "forced f1": metrics.f1(truth.astype(int), said),
    }
