"""Calibration measures against scikit-learn, or hand-computed values where it has none."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.calibration import calibration_curve
from sklearn.metrics import brier_score_loss
from sklearn.metrics import log_loss as sklearn_log_loss

from jurat.metrics import brier, calibration_error, log_loss

pairs = st.lists(st.tuples(st.integers(0, 1), st.floats(0.01, 0.99)), min_size=2, max_size=60)


@given(pairs)
def test_brier_and_log_loss_equal_scikit_learn(rows):
    truth, scores = (np.array(column) for column in zip(*rows, strict=True))
    assert brier(truth, scores) == pytest.approx(brier_score_loss(truth, scores))
    assert log_loss(truth, scores) == pytest.approx(sklearn_log_loss(truth, scores, labels=[0, 1]))


@given(pairs)
def test_calibration_error_equals_scikit_learn_bins(rows):
    truth, scores = (np.array(column) for column in zip(*rows, strict=True))
    bins = 5
    edges = np.linspace(0, 1, bins + 1)
    if np.isin(scores, edges).any():
        return  # the two libraries' worlds differ in which bin an edge belongs to
    share, mean = calibration_curve(truth, scores, n_bins=bins)
    sizes = np.histogram(scores, edges)[0]
    expected = np.sum(np.abs(share - mean) * sizes[sizes > 0]) / len(scores)
    assert calibration_error(truth, scores, bins=bins) == pytest.approx(expected)


def test_calibration_error_equals_hand_computed_value():
    truth, scores = np.array([1, 1, 0, 0, 1]), np.array([0.9, 0.95, 0.1, 0.3, 0.35])
    # Two bins: {0.1, 0.3, 0.35} with one of three true, {0.9, 0.95} with two of two.
    expected = 3 / 5 * abs(0.75 / 3 - 1 / 3) + 2 / 5 * abs(0.925 - 1)
    assert calibration_error(truth, scores, bins=2) == pytest.approx(expected)


def test_score_equal_to_the_soft_truth_is_optimal():
    truth = np.array([0.25, 0.5, 0.75])
    assert brier(truth, truth) == 0
    entropy = -np.mean(truth * np.log(truth) + (1 - truth) * np.log(1 - truth))
    assert log_loss(truth, truth) == pytest.approx(entropy)
    assert log_loss(truth, np.array([0.3, 0.5, 0.7])) > entropy


def test_judgements_without_a_score_are_ignored():
    truth, scores = np.array([1, 0]), np.array([0.8, np.nan])
    assert brier(truth, scores) == pytest.approx(0.04)
    for measure in (brier, log_loss, calibration_error):
        assert math.isnan(measure(truth, np.array([np.nan, np.nan])))
        assert measure(np.array([0, 1]), np.array([0.0, 1.0])) == pytest.approx(0, abs=1e-5)


@pytest.mark.parametrize("metric", [brier, log_loss, calibration_error])
def test_scores_that_are_no_probabilities_are_refused(metric):
    with pytest.raises(ValueError, match=r"scores must be probabilities, in \[0, 1\]"):
        metric([1, 0], [4.0, 1.0])
