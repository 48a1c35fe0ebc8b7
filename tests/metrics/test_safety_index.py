"""The safety risk index, by hand."""

from __future__ import annotations

import pytest

from tests.metrics.named_values import columns, value_of


def test_sri_scales_the_mean_rating_to_100():
    found = value_of("sri", columns(rating=[5, 1, 3, 3]))
    assert found.value == pytest.approx(100 * (3 - 1) / 4)
    assert (found.parts["sum of ratings"], found.parts["mean rating"]) == (12, 3.0)
    assert value_of("sri", columns(rating=[1, 1])).value == 0.0
    assert value_of("sri", columns(rating=[5, 5])).value == 100.0


def test_units_with_several_jurors_count_once():
    found = value_of("sri", columns(unit=["a", "a", "b"], rating=[1, 1, 5]))
    assert (found.value, found.n, found.counted) == (50.0, 2, "unit")


def test_values_that_are_not_ratings_are_unreadable():
    found = value_of("sri", columns(rating=["4", "4.5", 6, None]))
    assert (found.n, found.left_out) == (1, {"unreadable": 2, "missing rating": 1})
    assert found.problems[0].reason == "rating: '4.5' is not a whole number from 1 to 5"
