"""Two methods on the same units: McNemar's test, paired differences with clusters, Holm's correction.

Where statsmodels has the estimator, the tests compare: `mcnemar(exact=True)` and `multipletests("holm")`.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from jurat.metrics.intervals import (
    LEVEL,
    Interval,
    around,
    cluster_numbers,
    cluster_variance,
    in_unit,
    nothing_varies,
    percentile,
    satterthwaite,
    t_probability,
    union,
)

if TYPE_CHECKING:
    from jurat.metrics.estimates import Estimates
    from jurat.metrics.rates import Bits, Floats


@dataclass(frozen=True)
class Difference:
    """a - b on the same units."""

    value: float
    """nan where it is undefined."""
    interval: Interval
    p: float
    """Two-sided, of no difference; nan where it cannot be told."""
    n: int
    """Units in both."""
    clusters: int


@dataclass(frozen=True)
class McNemar:
    """How often only one of two methods was right (or had the event), and the exact p."""

    only_a: int
    only_b: int
    p: float


def mcnemar(a: Bits, b: Bits) -> McNemar:
    """McNemar's exact test of paired outcomes, 0 or 1, shape (n,): a binomial test of the units on which the
    two differ (McNemar 1947). p is 1 where they differ on none. Raises ValueError for other outcomes."""
    if not (np.isin(a, (0, 1)).all() and np.isin(b, (0, 1)).all()):
        raise ValueError("outcomes must be 0 or 1")
    one, other = np.asarray(a, bool), np.asarray(b, bool)
    only_a, only_b = int((one & ~other).sum()), int((other & ~one).sum())
    n = only_a + only_b
    tail = sum(math.comb(n, k) for k in range(min(only_a, only_b) + 1))
    return McNemar(only_a, only_b, min(1.0, 2 * tail / 2**n))


def rate_difference(
    a: Floats, b: Floats, clusters: Sequence[Any] | None = None, level: float = LEVEL
) -> Difference:
    """The difference of two rates (or mean scores in [0, 1]) on the same units, which lie in clusters.

    The interval is Agresti and Min's for matched pairs, which adds half a unit to each of the four kinds
    (2005, Statistics in Medicine 24), so that it never shrinks to a point; with clusters it is widened to
    hold the t interval over them. p is McNemar's for rates without clusters, that of the t statistic for
    scores, and with clusters the larger of the two; that of a sign test of the units or clusters where all of
    them differ alike. nan without units; p is nan for one cluster.

    Raises ValueError for a value outside [0, 1], nan among them.
    """
    one, other = in_unit(a), in_unit(b)
    if one.shape != other.shape:
        raise ValueError("the two must have judged the same units")
    n = len(one)
    if not n:
        return Difference(math.nan, Interval(math.nan, math.nan), math.nan, 0, 0)
    numbers, count = cluster_numbers(clusters, n)
    gaps = one - other
    value = float(gaps.mean())
    variance, df = cluster_variance((gaps - value) / n, numbers), max(count - 1, 1)
    interval, p = _matched(gaps, level), _p(value, variance, df)
    if abs(value) > 1e-12 and nothing_varies(variance, value):
        # Where all clusters differ alike, their likeness cannot be estimated, and each counts as one unit.
        interval, p = union(interval, _matched(np.full(count, value), level)), min(1.0, 2.0 ** (1 - count))
    elif count < n:
        interval = _within(union(interval, around(value, variance, df, level)))
    if np.isin(one, (0, 1)).all() and np.isin(other, (0, 1)).all():
        exact = mcnemar(one.astype(int), other.astype(int)).p
        p = exact if count == n else p if math.isnan(p) else max(p, exact)
    return Difference(value, interval, p, n, count)


def macro_difference(
    a: Floats,
    b: Floats,
    categories: Sequence[Any],
    clusters: Sequence[Any] | None = None,
    level: float = LEVEL,
) -> Difference:
    """The difference of two macro averages: of the rates of each category, every category counting the same.

    The variance is the sum of the categories' variances over the squared number of categories, with
    Satterthwaite's degrees of freedom; clusters must lie within categories. A category of one cluster has
    no variance: the interval and p are then nan.

    Raises ValueError for a value outside [0, 1], nan among them, and for a cluster in two categories.
    """
    one, other, names = in_unit(a), in_unit(b), np.asarray(categories)
    numbers, count = cluster_numbers(clusters, len(one))
    kinds = np.unique(names)
    values: list[float] = []
    parts: list[tuple[float, float]] = []
    for kind in kinds:
        there = names == kind
        gaps, inside = (one - other)[there], np.unique(numbers[there], return_inverse=True)[1]
        if len(np.unique(names[np.isin(numbers, numbers[there])])) > 1:
            raise ValueError(f"a cluster of category {str(kind)!r} lies in other categories too")
        groups = int(inside.max()) + 1
        values.append(float(gaps.mean()))
        # Half a unit is added to each kind of pair, as for one rate, so that no variance is 0.
        least = _matched_variance(gaps, len(kinds))
        spread = cluster_variance((gaps - gaps.mean()) / len(gaps), inside)
        parts.append((max(least, spread) / len(kinds) ** 2, max(groups - 1, 1)))
    if not values:
        return Difference(math.nan, Interval(math.nan, math.nan), math.nan, 0, 0)
    value, variance = float(np.mean(values)), sum(part for part, _ in parts)
    if math.isinf(variance):
        return Difference(value, Interval(math.nan, math.nan), math.nan, len(one), count)
    df = satterthwaite(parts)
    interval = _within(around(value, variance, df, level))
    return Difference(value, interval, _p(value, variance, df), len(one), count)


def difference(a: Estimates, b: Estimates, metric: str, level: float = LEVEL) -> Difference:
    """The difference of any metric by a bootstrap of the outermost clusters, drawn alike for both.

    The standard error of the draws, times sqrt(G / (G - 1)), with the t quantile of G - 1: percentiles of
    few clusters cover too little. nan where one of the two is undefined. Where no draw differs there is
    nothing to estimate a width from, and the interval is nan, unless the metric is a share of right ones
    (`rate_difference`).

    Raises ValueError where the two did not judge the same units in the same order.
    """
    from jurat.metrics.estimates import spread_variance

    same_units(a, b)
    one, other = a.shares(metric), b.shares(metric)
    if one is not None and other is not None:
        return rate_difference(one, other, a.levels[0].tolist(), level)
    count = len(np.unique(a.levels[0]))
    value = a.value(metric) - b.value(metric)
    none = Interval(math.nan, math.nan)
    if math.isnan(value) or count < 2:
        return Difference(value, none, math.nan, len(a.table), count)
    spread = a.spread(metric) - b.spread(metric)
    variance = spread_variance(spread) * count / (count - 1)
    if math.isnan(variance) or nothing_varies(variance, value):
        return Difference(value, none, math.nan, len(a.table), count)
    interval = around(value, variance, count - 1, level)
    return Difference(value, interval, _p(value, variance, count - 1), len(a.table), count)


def percentile_difference(a: Estimates, b: Estimates, metric: str) -> tuple[float, Interval]:
    """The difference with the percentile interval of the bootstrap samples, as `jurat bench` prints it."""
    same_units(a, b)
    value = a.value(metric) - b.value(metric)
    if math.isnan(value):
        return value, Interval(math.nan, math.nan)
    return value, percentile((a.spread(metric) - b.spread(metric)).tolist())


def percentile_ratio(a: Estimates, b: Estimates, metric: str) -> tuple[float, Interval]:
    """The ratio a / b, nan where b is 0, with its percentile interval; an end is nan where b can be 0."""
    same_units(a, b)
    with np.errstate(divide="ignore", invalid="ignore"):
        ends = percentile((a.spread(metric) / b.spread(metric)).tolist())
    low, high = (math.nan if math.isinf(end) else end for end in (ends.low, ends.high))
    below = b.value(metric)
    return a.value(metric) / below if below else math.nan, Interval(low, high)


def same_units(a: Estimates, b: Estimates) -> None:
    """Raises ValueError where two cells did not judge the same units in the same order."""
    if not np.array_equal(a.table.units, b.table.units):
        raise ValueError("the two did not judge the same units in the same order")


def holm(probabilities: Sequence[float]) -> list[float]:
    """Holm's adjusted p of a family of comparisons (Holm 1979): the i-th smallest of m times m - i + 1, and
    at least that of the one before. nan stays nan, and is not counted in m."""
    known = sorted((p, i) for i, p in enumerate(probabilities) if not math.isnan(p))
    adjusted, least = [math.nan] * len(probabilities), 0.0
    for rank, (p, i) in enumerate(known):
        least = max(least, min(1.0, p * (len(known) - rank)))
        adjusted[i] = least
    return adjusted


def _matched(gaps: Floats, level: float) -> Interval:
    """Agresti and Min's interval of the mean of matched differences."""
    centre = float(np.sum(gaps)) / (len(gaps) + 2)
    return _within(around(centre, _matched_variance(gaps, 1), math.inf, level))


def _matched_variance(gaps: Floats, shares: int) -> float:
    """Variance of the mean with a `shares`-th of two pseudo-units: one half each of +1, -1, 0 and 0."""
    n = len(gaps) + 2 / shares
    mean = float(np.sum(gaps)) / n
    return ((float(np.sum(np.square(gaps))) + 1 / shares) / n - mean**2) / n


def _within(interval: Interval) -> Interval:
    return Interval(max(-1.0, interval.low), min(1.0, interval.high))


def _p(value: float, variance: float, df: float) -> float:
    """Two-sided p of a t statistic: 1 for no difference without a spread, nan for one of unknown spread."""
    if math.isnan(value) or not variance < math.inf:
        return math.nan
    if nothing_varies(variance, value):
        return 1.0 if abs(value) < 1e-12 else math.nan
    return t_probability(value / math.sqrt(variance), df)
