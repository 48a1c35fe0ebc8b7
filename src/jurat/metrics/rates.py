"""Recall, precision, accuracy and F1, with an unsure judgement counted as the error that it is.

Unsure of a positive is a miss, and unsure of a negative is a false alarm: so a judge cannot gain by
abstaining, and F1 is 2 TP / (2 TP + FP + FN) with all n judgements in it. With nothing unsure these
are scikit-learn's `precision_recall_fscore_support` and `accuracy_score` (the tests compare them);
they are written out here for the weights of a bootstrap, thousands of samples at once.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

Bits: TypeAlias = "NDArray[np.integer] | NDArray[np.bool_]"
Floats: TypeAlias = "NDArray[np.floating] | NDArray[np.integer]"

UNSURE = -1
"""The outcome of what was not decided."""


RATES = ("recall", "precision", "accuracy", "f1")


def error(truth: Bits, outcomes: Bits) -> NDArray[np.bool_]:
    """Which judgements are wrong, unsure ones among them. `truth` is 0 or 1; shapes (n,)."""
    return np.asarray(outcomes) != np.asarray(truth)


def rates(truth: Bits, outcomes: Bits, weights: NDArray[Any]) -> dict[str, NDArray[np.float64]]:
    """Each of `RATES` for many samples at once: `weights` (samples, n) give arrays (samples,).

    Raises ValueError where shapes differ or a truth is neither 0 nor 1.
    """
    true, wrong = np.asarray(truth), error(truth, outcomes)
    if true.shape != wrong.shape or not np.isin(true, (0, 1)).all():
        raise ValueError("truth must be 0 or 1, one a judgement")
    positive = true == 1
    cells = np.stack([positive & ~wrong, positive & wrong, ~positive & wrong, ~positive & ~wrong], 1)
    # Of whole numbers the sums are exact, in whatever order they are taken.
    hits, misses, false_alarms, rejections = (np.asarray(weights, float) @ cells.astype(float)).T
    right = hits + rejections
    return {
        "recall": share(hits, hits + misses),
        "precision": share(hits, hits + false_alarms),
        "accuracy": share(right, right + misses + false_alarms),
        "f1": share(2 * hits, 2 * hits + misses + false_alarms),
    }


def recall(truth: Bits, outcomes: Bits, weights: Floats | None = None) -> float:
    """Share of the positives called positive; nan where there is none."""
    return _one("recall", truth, outcomes, weights)


def precision(truth: Bits, outcomes: Bits, weights: Floats | None = None) -> float:
    """Share of positives among what is called positive and unsure negatives; nan where that is empty."""
    return _one("precision", truth, outcomes, weights)


def accuracy(truth: Bits, outcomes: Bits, weights: Floats | None = None) -> float:
    """Share of the right ones among all; nan where there is none."""
    return _one("accuracy", truth, outcomes, weights)


def f1(truth: Bits, outcomes: Bits, weights: Floats | None = None) -> float:
    """Harmonic mean of recall and precision, 2 TP / (2 TP + FP + FN); nan without positives and alarms."""
    return _one("f1", truth, outcomes, weights)


def unsure_share(outcomes: Bits, weights: Floats | None = None) -> float:
    """Share of the judgements that were not decided; nan where there is none."""
    unsure = np.asarray(outcomes) == UNSURE
    weight = one_sample(len(unsure), weights)
    return float(share(weight @ unsure.astype(float), weight.sum(1))[0])


def one_sample(n: int, weights: Floats | None) -> NDArray[Any]:
    """The weights of n judgements as those of one sample, each counting once if left out; shape (1, n)."""
    return np.ones((1, n)) if weights is None else np.asarray(weights)[None]


def share(part: NDArray[np.float64], whole: NDArray[np.float64]) -> NDArray[np.float64]:
    """part / whole; nan where there is nothing."""
    return np.divide(part, whole, out=np.full(len(whole), np.nan), where=whole > 0)


def _one(name: str, truth: Bits, outcomes: Bits, weights: Floats | None) -> float:
    return float(rates(truth, outcomes, one_sample(len(np.asarray(truth)), weights))[name][0])
