"""Recall, precision, accuracy and F1, with an unsure judgement counted as the error that it is.

Unsure of a positive is a miss, and unsure of a negative is a false alarm: so a judge cannot gain by
abstaining, and F1 is 2 TP / (2 TP + FP + FN) with all n judgements in it. With nothing unsure these
are scikit-learn's `precision_recall_fscore_support` and `accuracy_score` (the tests compare them);
they are written out here because a bootstrap calls them with weights thousands of times.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeAlias

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

Bits: TypeAlias = "NDArray[np.integer] | NDArray[np.bool_]"
Floats: TypeAlias = "NDArray[np.floating] | NDArray[np.integer]"

UNSURE = -1
"""The outcome of what was not decided."""


@dataclass(frozen=True)
class Counts:
    """The four cells; an unsure judgement is in one of the two wrong ones."""

    hits: float
    misses: float
    false_alarms: float
    rejections: float
    """Negatives said to be negative."""


def error(truth: Bits, said: Bits) -> NDArray[np.bool_]:
    """Which judgements are wrong, unsure ones among them. `truth` is 0 or 1; shapes (n,)."""
    return np.asarray(said) != np.asarray(truth)


def count(truth: Bits, said: Bits, weights: Floats | None = None) -> Counts:
    """Adds up the four cells. Raises ValueError where shapes differ or a truth is neither 0 nor 1."""
    true, wrong = np.asarray(truth), error(truth, said)
    if true.shape != wrong.shape or not np.isin(true, (0, 1)).all():
        raise ValueError("truth must be 0 or 1, one a judgement")
    weight = np.ones(len(true)) if weights is None else np.asarray(weights, float)
    positive = true == 1
    cells = [
        float(weight[mask].sum())
        for mask in (positive & ~wrong, positive & wrong, ~positive & wrong, ~positive & ~wrong)
    ]
    return Counts(*cells)


def recall(truth: Bits, said: Bits, weights: Floats | None = None) -> float:
    """Share of the positives said to be positive; nan where there is none."""
    found = count(truth, said, weights)
    return _share(found.hits, found.hits + found.misses)


def precision(truth: Bits, said: Bits, weights: Floats | None = None) -> float:
    """Share of positives among what is said to be positive and unsure negatives; nan where that is empty."""
    found = count(truth, said, weights)
    return _share(found.hits, found.hits + found.false_alarms)


def accuracy(truth: Bits, said: Bits, weights: Floats | None = None) -> float:
    """Share of the right ones among all; nan where there is none."""
    found = count(truth, said, weights)
    right = found.hits + found.rejections
    return _share(right, right + found.misses + found.false_alarms)


def f1(truth: Bits, said: Bits, weights: Floats | None = None) -> float:
    """Harmonic mean of recall and precision, 2 TP / (2 TP + FP + FN); nan without positives and alarms."""
    found = count(truth, said, weights)
    return _share(2 * found.hits, 2 * found.hits + found.misses + found.false_alarms)


def unsure_share(said: Bits, weights: Floats | None = None) -> float:
    """Share of the judgements that were not decided; nan where there is none."""
    unsure = np.asarray(said) == UNSURE
    weight = np.ones(len(unsure)) if weights is None else np.asarray(weights, float)
    return _share(float(weight[unsure].sum()), float(weight.sum()))


def _share(part: float, whole: float) -> float:
    return part / whole if whole > 0 else math.nan
