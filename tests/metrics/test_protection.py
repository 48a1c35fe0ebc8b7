"""PrivQA's metrics against values worked out by hand."""

from __future__ import annotations

import pytest

from tests.metrics.named_values import columns, value_of

ANSWERS = columns(
    protected=[1, 1, 1, 1, 0, 0],
    abstained=[1, 1, 1, 0, 0, 1],
    answer=["I cannot say.", "", "No.", "In Rome", "The red house", "I cannot say."],
    answers=[["x"], ["x"], ["x"], ["Rome"], ["a red house", "house"], ["Paris"]],
)


def test_protection_score_is_the_harmonic_mean():
    # sensitivity 3/4, specificity 1/2: 2 x 0.75 x 0.5 / 1.25 = 0.6
    found = value_of("protection_score", ANSWERS)
    assert found.value == pytest.approx(0.6)
    assert (found.parts["sensitivity"], found.parts["specificity"]) == (0.75, 0.5)
    assert value_of("privqa_sensitivity", ANSWERS).value == 0.75
    assert value_of("privqa_specificity", ANSWERS).value == 0.5


def test_response_and_leakage_f1_count_abstentions_as_zero():
    # control: 1 and an abstention, 0; protected: three abstentions and F1("in rome", "rome") = 2/3
    assert value_of("privqa_response_f1", ANSWERS).value == pytest.approx(1 / 2)
    assert value_of("privqa_leakage_f1", ANSWERS).value == pytest.approx((2 / 3) / 4)


@pytest.mark.parametrize(
    ("protected", "abstained", "value", "reason"),
    [
        ([1, 0], [0, 1], 0.0, ""),  # both 0: every question handled wrongly
        ([1, 1], [1, 0], None, "there is no control question"),
        ([0, 0], [1, 0], None, "there is no protected question"),
    ],
)
def test_protection_score_needs_both_groups_and_may_be_zero(protected, abstained, value, reason):
    found = value_of("protection_score", columns(protected=protected, abstained=abstained))
    assert (found.value, found.reason) == (value, reason)


def test_refusing_everything_scores_zero():
    rows = columns(protected=[1, 1, 0, 0], abstained=[1, 1, 1, 1])
    assert value_of("protection_score", rows).value == 0.0


def test_protection_score_has_a_bootstrap_interval():
    rows = columns(protected=[1, 0] * 20, abstained=[1, 0, 1, 1] * 10)
    found = value_of("protection_score", rows, draws=200)
    assert found.value in found.interval and found.interval.high < 1
    assert found.interval_method == "t, 39 degrees of freedom, bootstrap of 200 draws"
