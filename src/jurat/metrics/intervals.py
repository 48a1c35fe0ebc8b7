"""Intervals: Wilson's for a rate, with clusters too, and a bootstrap that draws whole clusters.

Scenes of one pair and pairs of one rule are alike, so they are drawn together: rules with replacement, and
within each drawn rule its pairs (Davison & Hinkley 1997, section 3.8; Saravanan, Berman & Sober 2020,
arXiv 2007.07797). scipy's `bootstrap` knows no clusters.

With few clusters, percentiles of a bootstrap cover less than they say; a standard error over G clusters with
the t quantile of G - 1 degrees of freedom does not (Cameron & Miller 2015, "A practitioner's guide to
cluster-robust inference", section VI). For a rate it enters Wilson's formula through the effective sample
size (Korn & Graubard 1998; Dean & Pagano 2015). `perf/coverage.py` measures all of them.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from statistics import NormalDist
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from jurat.metrics.rates import Floats

DRAWS = 1000
LEVEL = 0.95


@dataclass(frozen=True)
class Interval:
    """From `low` to `high`; both nan where nothing could be computed."""

    low: float
    high: float

    def __contains__(self, value: float) -> bool:
        return self.low <= value <= self.high


def wilson(right: int, n: int, level: float = LEVEL) -> Interval:
    """Wilson's interval of a rate of `right` in `n` (Wilson 1927); the whole of [0, 1] for n = 0."""
    if n == 0:
        return Interval(0.0, 1.0)
    return _wilson(right / n, n, normal_quantile(level))


def _wilson(rate: float, n: float, z: float) -> Interval:
    extra = z * z / n
    centre = (rate + extra / 2) / (1 + extra)
    half = z * math.sqrt((rate * (1 - rate) + extra / 4) / n) / (1 + extra)
    return Interval(0.0 if rate == 0 else centre - half, 1.0 if rate == 1 else centre + half)


def clustered_rate(values: Floats, clusters: Sequence[Any] | None, level: float = LEVEL) -> Interval:
    """Wilson's interval of a mean of values in [0, 1] whose items lie in clusters.

    The effective sample size is n over the design effect, with the t quantile of the clusters; the result
    is never narrower than Wilson's interval without clusters. Where all clusters say the same, their
    likeness cannot be estimated, and each counts as one item. One cluster alone gives [0, 1].

    Raises ValueError for a value outside [0, 1], nan among them.
    """
    value = in_unit(values)
    n = len(value)
    plain = _wilson(float(value.mean()), n, normal_quantile(level)) if n else Interval(0.0, 1.0)
    numbers, count = cluster_numbers(clusters, n)
    if count == n:
        return plain
    if count == 1:
        return Interval(0.0, 1.0)
    rate = float(value.mean())
    variance = cluster_variance((value - rate) / n, numbers)
    effective = count if nothing_varies(variance, rate) else rate * (1 - rate) / variance
    return union(plain, _wilson(rate, effective, t_quantile(count - 1, level)))


def mean_over_seeds(values: NDArray[np.floating], clusters: Sequence[Any] | None = None) -> Interval:
    """The 95% interval of a mean over training seeds and items, both of which could be others.

    `values` has the shape (seeds, items); every seed judged the same items, which `clusters` groups. Seeds
    and clusters are crossed random effects: the variance of the mean over seeds, and that over clusters less
    what is left of both, each with its own t quantile (a modified large-sample interval, after Burdick &
    Graybill 1992; Satterthwaite's degrees of freedom cover too little with two or three seeds). nan for one
    seed or one cluster, where nothing varies, and where a value is nan.
    """
    whole = np.asarray(values, float)
    seeds, n = whole.shape
    numbers, count = cluster_numbers(clusters, n)
    if seeds < 2 or count < 2:
        return Interval(math.nan, math.nan)
    centre, by_seed, by_item = whole.mean(), whole.mean(1), whole.mean(0)
    rest = whole - by_seed[:, None] - by_item + centre
    both = sum(cluster_variance(row / whole.size, numbers) for row in rest) * seeds / (seeds - 1)
    of_seeds = float(by_seed.var(ddof=1)) / seeds
    of_items = cluster_variance((by_item - centre) / n, numbers)
    if not of_seeds >= 0 or nothing_varies(of_seeds + of_items, float(centre)):
        return Interval(math.nan, math.nan)
    squares = t_quantile(seeds - 1) ** 2 * of_seeds + t_quantile(count - 1) ** 2 * max(of_items - both, 0.0)
    return Interval(float(centre) - math.sqrt(squares), float(centre) + math.sqrt(squares))


def in_unit(values: Floats) -> NDArray[np.float64]:
    """The values as floats. Raises ValueError for one outside [0, 1], nan among them."""
    found = np.asarray(values, float)
    if not ((found >= 0) & (found <= 1)).all():  # nan is neither
        raise ValueError("values must lie in [0, 1]: rates and paired differences know no nan and no unsure")
    return found


def nothing_varies(variance: float, value: float) -> bool:
    """Whether a variance is 0 up to rounding, for a statistic of this value: a width computed from it, or a t
    statistic, would be one of rounding errors."""
    return variance <= 1e-26 * (1 + value**2)


def bounded(value: float, variance: float, df: float, level: float = LEVEL) -> Interval:
    """An interval of a statistic that lies in [0, 1]: Wilson's for the effective sample size
    value (1 - value) / variance, with the t quantile; nan where nothing varies."""
    if not variance < math.inf or math.isnan(value) or nothing_varies(variance, value):
        return Interval(math.nan, math.nan)
    inside = min(max(value, 1e-9), 1 - 1e-9)
    return _wilson(inside, inside * (1 - inside) / variance, t_quantile(df, level))


def around(centre: float, variance: float, df: float, level: float = LEVEL) -> Interval:
    """centre ± t sqrt(variance)."""
    half = t_quantile(df, level) * math.sqrt(variance)
    return Interval(centre - half, centre + half)


def union(*intervals: Interval) -> Interval:
    """The least interval that holds all of the given ones."""
    return Interval(min(each.low for each in intervals), max(each.high for each in intervals))


def cluster_numbers(clusters: Sequence[Any] | None, n: int) -> tuple[NDArray[np.intp], int]:
    """The number of each item's cluster, and how many there are; every item is its own without clusters."""
    if clusters is None:
        return np.arange(n), n
    if len(clusters) != n:
        raise ValueError(f"{len(clusters)} clusters are named for {n} items")
    if any(name is None or name != name for name in clusters):
        raise ValueError("an item has no cluster: its name is None or nan")
    places = {name: number for number, name in enumerate(dict.fromkeys(clusters))}
    return np.array([places[name] for name in clusters], np.intp), len(places)


def cluster_variance(influence: NDArray[np.float64], numbers: NDArray[np.intp]) -> float:
    """Variance of an estimate from each item's influence on it (they sum to 0): the sum over clusters of the
    squared sums of their items, times G / (G - 1) for G clusters."""
    sums = np.bincount(numbers, influence)
    count = len(sums)
    return math.inf if count < 2 else float((sums**2).sum()) * count / (count - 1)


def satterthwaite(parts: Sequence[tuple[float, float]]) -> float:
    """Degrees of freedom of a sum of independent variances, each with its own (Satterthwaite 1946)."""
    below = sum(variance**2 / df for variance, df in parts)
    return sum(variance for variance, _ in parts) ** 2 / below if below > 0 else math.inf


def normal_quantile(level: float = LEVEL) -> float:
    """Half the width of a central interval of the normal distribution: 1.96 at 95%."""
    return NormalDist().inv_cdf((1 + level) / 2)


def t_quantile(df: float, level: float = LEVEL) -> float:
    """Half the width of a central interval of Student's t distribution."""
    if math.isinf(df):
        return normal_quantile(level)
    from scipy.special import stdtrit

    return float(stdtrit(df, (1 + level) / 2))


def t_probability(statistic: float, df: float) -> float:
    """Two-sided p of a t statistic."""
    if math.isinf(df):
        return 2 * NormalDist().cdf(-abs(statistic))
    from scipy.special import stdtr

    return 2 * float(stdtr(df, -abs(statistic)))


class Resampler:
    """Draws bootstrap samples of judgements that lie in nested clusters.

    The same `seed` draws the same samples, so two methods that judged the same items are compared on
    equal ones: a paired difference.
    """

    def __init__(self, *levels: Sequence[Any], draws: int = DRAWS, seed: int = 0) -> None:
        """`levels` name each judgement's cluster, the outermost first; each of length n.

        An inner name counts within its outer cluster only: pair 1 of rule "a" is not pair 1 of rule "b".
        """
        if not levels or len({len(level) for level in levels}) != 1:
            raise ValueError("every level must name a cluster for each judgement")
        self.size, self.draws, self.seed = len(levels[0]), draws, seed
        paths = list(zip(*(list(level) for level in levels), strict=True))
        leaves = list(dict.fromkeys(paths))
        number = {path: i for i, path in enumerate(leaves)}
        self._leaf = np.array([number[path] for path in paths], int)
        self._leaves = len(leaves)
        self._tree = _tree([(path, i) for i, path in enumerate(leaves)])

    def weights(self) -> NDArray[np.int32]:
        """How often each judgement is in each sample; shape (draws, n)."""
        return np.stack(list(self.samples())) if self.draws else np.zeros((0, self.size), np.int32)

    def samples(self) -> Iterator[NDArray[np.int32]]:
        """The rows of `weights`, of which only the one at hand is held."""
        rng = np.random.default_rng(self.seed)
        for _ in range(self.draws):
            drawn = np.zeros(self._leaves, np.int32)
            _draw(self._tree, rng, drawn)
            yield drawn[self._leaf]

    def interval(self, statistic: Callable[[NDArray[np.int32]], float], level: float = LEVEL) -> Interval:
        """The percentile interval of a statistic of the weights; samples for which it is nan are left
        out."""
        return percentile([statistic(row) for row in self.samples()], level)


def percentile(values: Sequence[float], level: float = LEVEL) -> Interval:
    """The central part of a sample's values; nan where none of them is a number."""
    known = np.array([value for value in values if not math.isnan(value)])
    if not len(known):
        return Interval(math.nan, math.nan)
    low, high = np.quantile(known, [(1 - level) / 2, (1 + level) / 2])
    return Interval(float(low), float(high))


def _tree(paths: list[tuple[tuple[Any, ...], int]]) -> list[Any]:
    """Nested lists of leaf numbers, an array at the innermost level."""
    if not paths or len(paths[0][0]) == 1:
        return [np.array([leaf for _, leaf in paths], int)]
    branches: dict[Any, list[tuple[tuple[Any, ...], int]]] = {}
    for path, leaf in paths:
        branches.setdefault(path[0], []).append((path[1:], leaf))
    return [_tree(branch) for branch in branches.values()]


def _draw(tree: list[Any], rng: np.random.Generator, counts: NDArray[np.int32]) -> None:
    if len(tree) == 1 and isinstance(tree[0], np.ndarray):
        leaves = tree[0]
        np.add.at(counts, leaves[rng.integers(len(leaves), size=len(leaves))], 1)
        return
    for chosen in rng.integers(len(tree), size=len(tree)).tolist():
        _draw(tree[chosen], rng, counts)
