"""Paired comparisons: against statsmodels where it has them, else against the formula worked by hand."""

from __future__ import annotations

import math

import numpy as np
import pytest

from jurat.metrics import Estimates, Interval, Table, holm, macro_difference, mcnemar, rate_difference
from jurat.metrics.paired import difference, percentile_difference, percentile_ratio


@pytest.fixture
def rng() -> np.random.Generator:
    return np.random.default_rng(0)


@pytest.mark.parametrize(
    ("only_a", "only_b", "both"), [(8, 1, 20), (0, 5, 3), (0, 0, 4), (7, 7, 0), (40, 60, 9)]
)
def test_mcnemar_equals_statsmodels(only_a, only_b, both):
    tables = pytest.importorskip("statsmodels.stats.contingency_tables")
    a = np.r_[np.ones(only_a), np.zeros(only_b), np.ones(both)]
    b = np.r_[np.zeros(only_a), np.ones(only_b), np.ones(both)]
    found = mcnemar(a, b)
    assert (found.only_a, found.only_b) == (only_a, only_b)
    assert found.p == pytest.approx(tables.mcnemar([[both, only_a], [only_b, 0]], exact=True).pvalue)


def test_holm_equals_statsmodels(rng):
    multitest = pytest.importorskip("statsmodels.stats.multitest")
    for family in ([0.04], [0.01, 0.04, 0.03, 0.005], [1, 0, 0.5, 0.5], [0.2] * 6, rng.random(40) ** 4):
        assert holm(list(family)) == pytest.approx(multitest.multipletests(family, method="holm")[1])


def test_holm_leaves_out_what_has_no_p():
    assert holm([0.01, math.nan, 0.04])[::2] == [0.02, 0.04] and math.isnan(holm([0.01, math.nan])[1])
    assert holm([]) == []


def test_difference_of_rates_is_agresti_and_mins():
    # Agresti & Min 2005, section 3.1 (approval of a prime minister, Agresti 2002): of 1,600 asked twice 794
    # approved both times, 150 only the first, 86 only the second. Their adjusted Wald interval, by hand:
    # ((150 - 86) / 1602 -+ 1.96 sqrt((237 - 64^2 / 1602) / 1602^2)).
    a = np.r_[np.ones(794), np.ones(150), np.zeros(86), np.zeros(570)]
    b = np.r_[np.ones(794), np.zeros(150), np.ones(86), np.zeros(570)]
    found = rate_difference(a, b)
    half = 1.959964 * math.sqrt(237 - 64**2 / 1602) / 1602
    assert found.value == 0.04 and found.n == 1600
    assert found.interval.low == pytest.approx(64 / 1602 - half)
    assert found.interval.high == pytest.approx(64 / 1602 + half)
    assert found.p == mcnemar(a, b).p


def test_equal_methods_have_an_interval_with_width():
    found = rate_difference(np.ones(50), np.ones(50))
    assert found.value == 0 and found.p == 1 and found.interval.low < 0 < found.interval.high


def test_clusters_widen_the_difference_and_its_p(rng):
    sides = np.repeat(rng.integers(0, 2, 12), 20)
    a, b = sides, np.where(rng.random(240) < 0.3, 1 - sides, 0)
    flat, nested = rate_difference(a, b), rate_difference(a, b, np.repeat(np.arange(12), 20).tolist())
    assert nested.interval.low < flat.interval.low and nested.interval.high > flat.interval.high
    assert nested.p > flat.p and nested.clusters == 12


def test_difference_of_scores_equals_a_paired_t_test(rng):
    stats = pytest.importorskip("scipy.stats")
    a, b = rng.random(40), rng.random(40)
    assert rate_difference(a, b).p == pytest.approx(stats.ttest_rel(a, b).pvalue)


@pytest.mark.parametrize(("each", "count"), [(3, 3), (2, 8)])
def test_clusters_that_all_differ_alike_count_as_one_unit_each(each, count):
    stats = pytest.importorskip("scipy.stats")
    groups = np.repeat(np.arange(count), each)
    found = rate_difference(np.ones(len(groups)), np.zeros(len(groups)), groups)
    assert found.p == pytest.approx(stats.binomtest(count, count).pvalue)
    assert found.interval == rate_difference(np.ones(count), np.zeros(count)).interval
    assert rate_difference(np.ones(len(groups)), np.ones(len(groups)), groups).p == 1.0


def test_clustered_difference_of_scores_equals_a_regression_with_clustered_errors(rng):
    api = pytest.importorskip("statsmodels.api")
    a, b, groups = rng.random(60) * 0.8 + 0.1, rng.random(60), np.repeat(np.arange(12), 5)
    found = rate_difference(a, b, groups.tolist())
    fit = api.OLS(a - b, np.ones(60)).fit(cov_type="cluster", cov_kwds={"groups": groups}, use_t=True)
    assert found.p == pytest.approx(fit.pvalues[0])
    flat, (low, high) = rate_difference(a, b).interval, fit.conf_int()[0]
    assert found.interval.low == pytest.approx(min(low, flat.low))
    assert found.interval.high == pytest.approx(max(high, flat.high))


@pytest.mark.parametrize(("high", "low"), [(0.8, 0.5), (0.75, 0.5), (0.3, 0.1)])
def test_scores_that_all_differ_alike_have_the_p_of_a_sign_test(high, low):
    """The spread of such differences is rounding errors, or 0: no t statistic can be made of it."""
    stats = pytest.importorskip("scipy.stats")
    found = rate_difference(np.full(10, high), np.full(10, low))
    assert found.p == pytest.approx(stats.binomtest(10, 10).pvalue)
    assert rate_difference(np.full(10, 0.1 + 0.2), np.full(10, 0.3)).p == 1.0


def test_clusters_with_equal_mixed_outcomes_count_as_one_unit_each():
    """Thirds are not exact in binary, so that the variance over such clusters is not exactly 0."""
    groups = np.repeat(np.arange(8), 3)
    found = rate_difference(np.tile([1, 0, 0], 8), np.zeros(24), groups)
    alone = rate_difference(np.full(8, 1 / 3), np.zeros(8))
    assert found.p == 2.0**-7
    assert (found.interval.low, found.interval.high >= alone.interval.high) == (alone.interval.low, True)


@pytest.mark.parametrize("bad", [math.nan, -1, 2])
def test_outcomes_that_are_no_rates_are_refused(bad):
    for compare in (rate_difference, lambda a, b: macro_difference(a, b, ["x"] * 3)):
        with pytest.raises(ValueError, match=r"must lie in \[0, 1\]"):
            compare([bad, 1, 0], [1, 1, 0])
    with pytest.raises(ValueError, match="must be 0 or 1"):
        mcnemar([bad, 1, 0], [1, 1, 0])


def test_difference_over_one_cluster_has_no_p():
    found = rate_difference([1, 1, 1], [0, 0, 0], [0, 0, 0])
    assert found.value == 1 and math.isnan(found.p) and found.interval == Interval(-1, 1)


def test_ratio_to_nothing_is_not_available():
    rows = [{"unit": str(i), "truth": i % 2, "said": i % 2, "score": i % 2} for i in range(4)]
    right = Estimates(Table.of(rows))
    value, ends = percentile_ratio(right, right, "risk")
    assert math.isnan(value) and math.isnan(ends.low)


def test_metrics_of_scores_that_are_grades_are_not_available():
    graded = Estimates(
        Table.of([{"unit": str(i), "truth": i % 2, "said": i % 2, "score": 1 + i} for i in range(4)])
    )
    assert graded.value("accuracy") == 1
    for metric in ("brier", "log_loss", "aurc", "risk", "forced"):
        assert math.isnan(graded.value(metric)) and math.isnan(graded.interval(metric).low), metric


def test_nothing_to_compare_is_not_available():
    found = rate_difference(np.array([]), np.array([]))
    assert math.isnan(found.value) and math.isnan(found.p) and found.n == 0
    with pytest.raises(ValueError, match="must have judged the same units"):
        rate_difference(np.ones(2), np.ones(3))
    with pytest.raises(ValueError, match="3 clusters are named for 2 items"):
        rate_difference(np.ones(2), np.ones(2), [1, 2, 3])


def test_macro_difference_weighs_categories_alike():
    a = np.r_[np.ones(90), np.zeros(10)]
    b = np.zeros(100)
    kinds = ["many"] * 90 + ["few"] * 10
    found = macro_difference(a, b, kinds)
    assert found.value == 0.5 and rate_difference(a, b).value == 0.9
    assert found.interval.low < 0.5 < found.interval.high
    with pytest.raises(ValueError, match="a cluster of category 'few' lies in other categories too"):
        macro_difference(a, b, kinds, [0] * 100)


def test_variance_of_a_macro_average_is_that_of_its_parts(rng):
    a, b = rng.random(400), rng.random(400)
    kinds = np.repeat([0, 1], [100, 300])
    found = macro_difference(a, b, kinds.tolist())
    parts = [(a - b)[kinds == kind].var(ddof=1) / (kinds == kind).sum() for kind in (0, 1)]
    assert found.interval.high - found.interval.low == pytest.approx(
        2 * 1.96 * math.sqrt(sum(parts)) / 2, rel=0.02
    )


def estimates(said: np.ndarray, clusters: int) -> Estimates:
    truth, names = np.tile([1.0, 0.0], len(said) // 2), np.arange(len(said)) % clusters
    return Estimates(
        Table(np.arange(len(said)).astype(str), (names.astype(str),), truth, said, said + 0.0), 200
    )


def test_difference_of_any_metric_has_a_t_interval_over_clusters(rng):
    a, b = (estimates((rng.random(240) < 0.6).astype(int), 6) for _ in range(2))
    found, (value, percentiles) = difference(a, b, "f1"), percentile_difference(a, b, "f1")
    assert found.value == value and found.clusters == 6
    assert found.interval.high - found.interval.low > percentiles.high - percentiles.low
    assert difference(a, b, "accuracy").p == pytest.approx(
        rate_difference(a.shares("accuracy"), b.shares("accuracy"), a.levels[0].tolist()).p
    )


def test_metric_without_variation_or_clusters_has_no_interval(rng):
    a = estimates(np.ones(20, int), 5)
    assert math.isnan(difference(a, a, "f1").interval.low) and math.isnan(difference(a, a, "f1").p)
    one = estimates((rng.random(20) < 0.5).astype(int), 1)
    assert math.isnan(one.interval("f1").low)
    assert (one.interval("accuracy").low, one.interval("accuracy").high) == (0, 1)


def test_unknown_metric_is_named():
    with pytest.raises(ValueError, match="there is no metric 'bleu'"):
        estimates(np.ones(4, int), 2).value("bleu")


def test_rates_of_soft_or_unknown_truth_are_not_available():
    for truth in (0.5, math.nan):
        soft = Estimates(
            Table.of([{"unit": str(i), "truth": truth, "said": 1, "score": 0.9} for i in range(4)])
        )
        for metric in ("f1", "accuracy", "aurc", "forced"):
            assert math.isnan(soft.value(metric)) and math.isnan(soft.interval(metric).low), metric
