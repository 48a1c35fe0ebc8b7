"""Rates against scikit-learn; unsure judgements count as wrong."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import accuracy_score, f1_score, precision_score, recall_score

from jurat.metrics import UNSURE, accuracy, f1, flip_score, precision, precision_at, recall, unsure_share

judged = st.lists(
    st.tuples(st.integers(0, 1), st.integers(-1, 1), st.integers(0, 4)), min_size=1, max_size=40
)


def test_unsure_counts_as_wrong_for_both_classes():
    truth = np.array([1, 1, 1, 0, 0, 0])
    said = np.array([1, 0, UNSURE, 0, 1, UNSURE])
    assert recall(truth, said) == pytest.approx(1 / 3)
    assert precision(truth, said) == pytest.approx(1 / 3)
    assert accuracy(truth, said) == pytest.approx(2 / 6)
    assert f1(truth, said) == pytest.approx(2 / 6)
    assert unsure_share(said) == pytest.approx(2 / 6)


@given(judged)
def test_rates_equal_scikit_learn_with_unsure_as_wrong(rows):
    truth, said, weights = (np.array(column) for column in zip(*rows, strict=True))
    if not weights.sum():
        assert math.isnan(f1(truth, said, weights)) and math.isnan(accuracy(truth, said, weights))
        return
    forced = np.where(said == UNSURE, 1 - truth, said)
    for ours, theirs in (
        (recall, recall_score),
        (precision, precision_score),
        (f1, f1_score),
    ):
        found = ours(truth, said, weights)
        known = theirs(truth, forced, sample_weight=weights, zero_division=np.nan)
        assert found == pytest.approx(known, nan_ok=True)
    assert accuracy(truth, said, weights) == pytest.approx(
        accuracy_score(truth, forced, sample_weight=weights)
    )


@given(judged)
def test_weights_equal_repeated_rows(rows):
    truth, said, weights = (np.array(column) for column in zip(*rows, strict=True))
    again = np.repeat(np.arange(len(rows)), weights)
    for rate in (recall, precision, f1, accuracy):
        assert rate(truth, said, weights) == pytest.approx(rate(truth[again], said[again]), nan_ok=True)


@given(judged)
def test_abstaining_never_raises_accuracy(rows):
    truth, said, _ = (np.array(column) for column in zip(*rows, strict=True))
    before = accuracy(truth, said)
    said[0] = UNSURE
    assert accuracy(truth, said) <= before


def test_undefined_rates_are_nan():
    nothing = np.array([0, 0])
    assert math.isnan(recall(nothing, nothing)) and math.isnan(f1(nothing, nothing))
    with pytest.raises(ValueError, match="truth must be 0 or 1"):
        recall(np.array([2]), np.array([1]))


def test_published_baseline_row_is_reproduced():
    # CLUE, table 2, InternVL2-76B, whole constitution: 79.7, 85.5, .846 of 640 + 640.
    truth = np.repeat([1, 0], 640)
    said = np.r_[np.repeat([1, 0], [510, 130]), np.repeat([1, 0], [56, 584])]
    assert round(recall(truth, said), 3) == 0.797
    assert round(accuracy(truth, said), 3) == 0.855
    assert round(f1(truth, said), 3) == 0.846


def test_flip_counts_only_if_both_verdicts_are_right():
    truth, flipped = np.array([1, 1, 1, 0]), np.array([0, 0, 0, 0])
    assert flip_score(truth, np.array([1, 1, 0, 0]), flipped, np.array([0, 1, 0, 0])) == pytest.approx(1 / 3)
    assert math.isnan(flip_score(truth, truth, truth, truth))


@pytest.mark.parametrize(
    ("prevalence", "expected"), [(0.5, 0.9 / 0.95), (0.03, 0.027 / 0.0755), (0.003, 0.0027 / 0.05255)]
)
def test_precision_at_a_prevalence_follows_bayes_rule(prevalence, expected):
    assert precision_at(prevalence, 0.9, 0.05) == pytest.approx(expected)
    assert math.isnan(precision_at(prevalence, 0.0, 0.0))
