"""Risk-coverage curves on cases computed by hand."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from jurat.metrics import aurc, confidence, risk_at, risk_coverage

cases = st.lists(st.tuples(st.booleans(), st.integers(0, 3), st.integers(0, 3)), min_size=1, max_size=30)


def test_risk_coverage_curve_equals_hand_computed_values():
    wrong = np.array([0, 1, 0, 1])
    certain = np.array([0.4, 0.1, 0.3, 0.2])
    coverage, risk = risk_coverage(wrong, certain)
    assert coverage.tolist() == [0.25, 0.5, 0.75, 1.0]
    assert risk.tolist() == pytest.approx([0, 0, 1 / 3, 2 / 4])
    assert aurc(wrong, certain) == pytest.approx((0 + 0 + 1 / 3 + 1 / 2) / 4)
    assert risk_at(0.5, wrong, certain) == 0
    assert risk_at(0.6, wrong, certain) == pytest.approx(1 / 3)
    assert risk_at(1.0, wrong, certain) == 0.5


def test_ties_average_over_all_orders():
    wrong, certain = np.array([1, 0, 0, 1]), np.array([0.5, 0.5, 0.5, 0.2])
    orders = []
    for order in itertools.permutations(range(3)):
        errors = np.cumsum([wrong[i] for i in (*order, 3)])
        orders.append(np.mean(errors / np.arange(1, 5)))
    assert aurc(wrong, certain) == pytest.approx(np.mean(orders))


def test_best_order_reaches_the_published_optimum():
    # With all errors last, AURC is r + (1 - r) log(1 - r) in the limit (arXiv 1805.08206, section 4).
    n, r = 20_000, 0.2
    wrong = np.arange(n) >= n * (1 - r)
    assert aurc(wrong, -np.arange(n)) == pytest.approx(r + (1 - r) * math.log(1 - r), abs=1e-3)


@given(cases)
def test_risk_stays_in_0_1_and_ends_at_the_error_rate(rows):
    wrong, certain, _ = (np.array(column) for column in zip(*rows, strict=True))
    coverage, risk = risk_coverage(wrong, certain)
    assert risk[-1] == pytest.approx(wrong.mean()) and coverage[-1] == 1
    assert (risk >= 0).all() and (risk <= 1 + 1e-12).all()


@given(cases)
def test_aurc_is_invariant_to_order_and_scale(rows):
    wrong, certain, _ = (np.array(column) for column in zip(*rows, strict=True))
    assert aurc(wrong[::-1], certain[::-1]) == pytest.approx(aurc(wrong, certain))
    assert aurc(wrong, 10.0 * certain + 3) == pytest.approx(aurc(wrong, certain))


def test_missing_score_has_the_lowest_confidence():
    assert confidence(np.array([0.9, np.nan, 0.5])).tolist() == pytest.approx([0.4, -1, 0])
    assert math.isnan(aurc(np.array([]), np.array([])))
