"""Many judgements to a number with an interval. Pure functions on arrays.

An outcome is 1 (positive: unsafe, broken), 0 (negative) or `UNSURE` (-1), which every rate counts as
an error. A score is the evidence for the positive class, in [0, 1]. All functions take `weights`, how
often each judgement counts (1 each if left out), which is how the bootstrap draws its samples.

Formulas that scikit-learn and scipy have too are ours only because the wheel without extras prints them.
"""

from __future__ import annotations

from jurat.metrics.abstention import aurc, confidence, risk_at, risk_coverage
from jurat.metrics.calibration_error import brier, calibration_error, log_loss
from jurat.metrics.intervals import Interval, Resampler, wilson
from jurat.metrics.rates import UNSURE, accuracy, error, f1, precision, recall, unsure_share
from jurat.metrics.shift import flip_score, precision_at

__all__ = [
    "UNSURE",
    "Interval",
    "Resampler",
    "accuracy",
    "aurc",
    "brier",
    "calibration_error",
    "confidence",
    "error",
    "f1",
    "flip_score",
    "log_loss",
    "precision",
    "precision_at",
    "recall",
    "risk_at",
    "risk_coverage",
    "unsure_share",
    "wilson",
]
