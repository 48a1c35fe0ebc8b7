"""Intervals: Wilson's against published values, the bootstrap by coverage and by clusters kept together."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats
from statsmodels.stats.proportion import proportion_confint

from jurat.metrics import Interval, Resampler, clustered_rate, mean_over_seeds, wilson


@pytest.mark.parametrize(
    ("right", "n", "low", "high"),
    # Newcombe 1998 (Statistics in Medicine 17), table I, method 3; then 40 and 31 of 40 (OS Bench).
    [
        (81, 263, 0.2553, 0.3662),
        (0, 20, 0.0, 0.1611),
        (40, 40, 0.912, 1.0),
        (31, 40, 0.625, 0.877),
    ],
)
def test_wilson_equals_published_values(right, n, low, high):
    found = wilson(right, n)
    assert found.low == pytest.approx(low, abs=6e-4) and found.high == pytest.approx(high, abs=6e-4)


def test_wilson_of_no_trials_is_0_to_1():
    assert wilson(0, 0) == Interval(0.0, 1.0)


@pytest.mark.parametrize("n", [5, 10, 40, 100])
def test_coverage_of_wilson_is_what_the_documentation_says(n):
    """Exact, over rates that are evenly spaced in (0, 1): docs/uncertainty.md, "Rates"."""
    found, rates = [wilson(k, n) for k in range(n + 1)], np.arange(1, 50 * n) / (50 * n)
    held = np.array([[each.low <= rate <= each.high for each in found] for rate in rates])
    coverage = (stats.binom.pmf(np.arange(n + 1), n, rates[:, None]) * held).sum(1)
    assert 0.95 <= coverage.mean() < 0.96
    few = n * np.minimum(rates, 1 - rates) <= 1
    assert 0.83 <= coverage[few].min() < 0.87 and coverage[~few].min() > 0.86


def test_clusters_of_one_are_no_clusters_and_one_cluster_says_nothing():
    values = [1, 0, 0, 1, 1, 0, 0, 0]
    assert clustered_rate(values, list("abcdefgh")) == clustered_rate(values, None) == wilson(3, 8)
    assert clustered_rate(values, ["a"] * 8) == Interval(0, 1)
    assert clustered_rate([], []) == Interval(0, 1)
    with pytest.raises(ValueError, match="7 clusters are named for 8 items"):
        clustered_rate(values, list("abcdefg"))


def test_clusters_of_equal_items_count_as_one_item_each_with_the_t_quantile():
    # Nine clusters say no and three yes, five items each: the variance p (1 - p) / (G - 1) gives an effective
    # n of G - 1. statsmodels takes the quantile as a level of the normal distribution.
    alpha = 2 * stats.norm.sf(stats.t.ppf(0.975, 11))
    low, high = proportion_confint(0.25 * 11, 11, alpha=alpha, method="wilson")
    found = clustered_rate(np.repeat([1] * 3 + [0] * 9, 5), np.repeat(np.arange(12), 5).tolist())
    assert (found.low, found.high) == (pytest.approx(low), pytest.approx(high))


def test_clusters_that_all_say_the_same_count_as_one_item_each():
    alpha = 2 * stats.norm.sf(stats.t.ppf(0.975, 3))
    found = clustered_rate(np.ones(20), np.repeat(np.arange(4), 5).tolist())
    assert found.high == 1 and found.low == pytest.approx(
        proportion_confint(4, 4, alpha=alpha, method="wilson")[0]
    )


def test_clusters_of_equal_mixtures_count_as_one_item_each():
    """Thirds are not exact in binary, so that the variance over such clusters is not exactly 0."""
    alpha = 2 * stats.norm.sf(stats.t.ppf(0.975, 4))
    low, high = proportion_confint(5 / 3, 5, alpha=alpha, method="wilson")
    found = clustered_rate(np.tile([1, 0, 0], 5), np.repeat(np.arange(5), 3).tolist())
    assert (found.low, found.high) == (pytest.approx(low), pytest.approx(high))


@pytest.mark.parametrize("bad", [math.nan, -1, 1.5])
def test_rate_of_values_that_are_no_rates_is_refused(bad):
    with pytest.raises(ValueError, match=r"must lie in \[0, 1\]"):
        clustered_rate([bad, 1, 0], None)


@pytest.mark.parametrize("name", [None, math.nan])
def test_item_without_a_cluster_among_clusters_is_refused(name):
    with pytest.raises(ValueError, match="an item has no cluster"):
        clustered_rate([1, 0, 1], [name, "a", "a"])


@pytest.mark.parametrize("values", [np.ones((3, 8)), np.full((2, 5), 0.1), np.array([[1, math.nan], [0, 1]])])
def test_mean_over_seeds_that_do_not_vary_or_are_nan_has_no_interval(values):
    found = mean_over_seeds(values)
    assert math.isnan(found.low) and math.isnan(found.high)


def test_mean_over_seeds_is_a_t_interval_where_only_seeds_or_only_items_differ():
    seeds, items = np.array([0.7, 0.8, 0.9]), np.array([0.0, 1, 1, 1, 0, 1, 1, 1])
    for values, varies in ((np.tile(seeds[:, None], 8), seeds), (np.tile(items, (3, 1)), items)):
        found, expected = mean_over_seeds(values), stats.ttest_1samp(varies, 0).confidence_interval()
        assert (found.low, found.high) == (pytest.approx(expected.low), pytest.approx(expected.high))


def test_mean_over_one_seed_or_one_cluster_is_not_available():
    rng = np.random.default_rng(0)
    assert math.isnan(mean_over_seeds(rng.random((1, 20))).low)
    assert math.isnan(mean_over_seeds(rng.random((3, 20)), ["a"] * 20).low)


def test_resampler_draws_pairs_together():
    rules, pairs = np.repeat(["a", "b"], 8), np.repeat(np.arange(8), 2)
    weights = Resampler(np.zeros(16), rules, pairs, draws=50).weights()
    assert weights.shape == (50, 16)
    assert (weights[:, ::2] == weights[:, 1::2]).all()
    assert (weights.sum(1) == 16).all()


def test_resampler_drops_all_pairs_of_an_undrawn_cluster():
    rules, pairs = np.repeat([0, 1], 10), np.arange(20)
    weights = Resampler(rules, pairs, draws=200, seed=3).weights()
    gone = (weights[:, :10] == 0).all(1)
    assert 0.15 < gone.mean() < 0.36  # one rule of two is never drawn in a quarter of the samples


def test_equal_names_in_different_clusters_are_distinct():
    twice = Resampler([1, 1, 2, 2], ["a", "b", "a", "b"], draws=300).weights()
    assert (twice[:, 0] != twice[:, 2]).any()


def test_the_same_seed_draws_the_same_samples():
    pairs = np.arange(30)
    assert (Resampler(pairs, seed=5).weights() == Resampler(pairs, seed=5).weights()).all()
    assert (Resampler(pairs, seed=5).weights() != Resampler(pairs, seed=6).weights()).any()


def test_bootstrap_of_a_mean_has_the_normal_width():
    values = np.random.default_rng(0).normal(size=400)
    found = Resampler(np.arange(400), draws=2000).interval(
        lambda weights: float(np.average(values, weights=weights))
    )
    half = 1.96 * values.std() / math.sqrt(400)
    assert found.high - found.low == pytest.approx(2 * half, rel=0.1)
    assert values.mean() in found


@given(st.lists(st.tuples(st.integers(0, 2), st.integers(0, 3)), min_size=1, max_size=30))
def test_clustered_weights_are_non_negative_and_not_empty(rows):
    outer, inner = zip(*rows, strict=True)
    weights = Resampler(outer, inner, draws=5).weights()
    assert weights.shape == (5, len(rows)) and (weights >= 0).all() and (weights.sum(1) > 0).all()


def test_clusters_widen_the_interval():
    rng = np.random.default_rng(1)
    rules = np.repeat(np.arange(14), 50)
    values = rng.normal(size=14)[rules] + 0.1 * rng.normal(size=700)
    mean = lambda weights: float(np.average(values, weights=weights))  # noqa: E731
    nested = Resampler(rules, np.arange(700), draws=400).interval(mean)
    flat = Resampler(np.arange(700), draws=400).interval(mean)
    assert nested.high - nested.low > 3 * (flat.high - flat.low)


def test_levels_of_unequal_length_are_refused():
    with pytest.raises(ValueError, match="every level"):
        Resampler([1, 2], [1])
