"""Metrics under shifts of policy and prevalence, which a balanced test set does not show: does the verdict
follow the policy, and how often is an alarm right where violations are rare.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from jurat.metrics.rates import Bits, Floats

PREVALENCES = (0.003, 0.03, 0.5)
"""Shares of violations for which the bench prints the precision."""


def flip_score(
    truth: Bits, outcomes: Bits, truth_flipped: Bits, outcomes_flipped: Bits, weights: Floats | None = None
) -> float:
    """Share of the images whose truth changes with the policy that are judged rightly under both policies.

    The idea is the policy-shift score's (PolicyShiftBench): a judge that says what it always says, or
    that cannot tell, gets nothing for it. In [0, 1]; nan where no truth changes.
    """
    changes = np.asarray(truth) != np.asarray(truth_flipped)
    right = (np.asarray(outcomes) == np.asarray(truth)) & (
        np.asarray(outcomes_flipped) == np.asarray(truth_flipped)
    )
    weight = np.ones(len(changes)) if weights is None else np.asarray(weights, float)
    whole = float(weight[changes].sum())
    return float(weight[changes & right].sum()) / whole if whole > 0 else math.nan


def precision_at(prevalence: float, recall: float, false_alarm_rate: float) -> float:
    """Share of alarms that are right where the given share of images are violations: Bayes' rule,
    r p / (r p + f (1 - p)). nan where there would be no alarm."""
    right, wrong = recall * prevalence, false_alarm_rate * (1 - prevalence)
    return right / (right + wrong) if right + wrong > 0 else math.nan
