"""Kernel distance of two sets of features: how far pictures of a model lie from real ones.

The squared maximum mean discrepancy with the cubic kernel of Binkowski et al. (2018, "Demystifying MMD GANs",
arXiv 1801.01401),

    k(x, y) = (1 + x . y / d)^3,   x and y scaled to the length sqrt(d),

so that k depends on the cosine of two features alone. The estimate leaves out each picture's product with
itself, which makes it unbiased: a few hundred pictures have the same expectation as many, unlike the Frechet
distance, and where both sets are of one kind it is about 0, below as often as above.

The interval is that of the jackknife (Arvesen 1969, Annals of Mathematical Statistics 40): clusters of
pictures, and real pictures, are left out one by one.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from jurat.metrics.intervals import (
    LEVEL,
    Interval,
    around,
    cluster_numbers,
    nothing_varies,
    satterthwaite,
    t_probability,
)
from jurat.metrics.paired import Difference

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["KernelDistance", "distance_difference", "kernel_distance"]


@dataclass(frozen=True)
class KernelDistance:
    """The distance of n pictures from m real ones."""

    value: float
    interval: Interval
    n: int
    m: int
    without: NDArray[np.float64] = field(repr=False)
    """The value without each cluster of pictures, in the order in which they come first."""
    without_real: NDArray[np.float64] = field(repr=False)
    """The value without each real picture."""


def kernel_distance(
    features: NDArray[np.floating],
    real: NDArray[np.floating],
    clusters: Sequence[Any] | None = None,
    level: float = LEVEL,
) -> KernelDistance:
    """The distance of features (n, d) of pictures from those of real ones (m, d).

    Args:
        clusters: pictures that are alike (of one prompt) share a name.

    Raises:
        ValueError: the widths differ, there are fewer than two of either, or a feature holds no numbers or
            nothing but zeros.
    """
    x, y = _scaled(features), _scaled(real)
    if x.shape[1] != y.shape[1] or min(len(x), len(y)) < 2:
        raise ValueError("two sets of features need one width, and two rows or more")
    numbers, count = cluster_numbers(clusters, len(x))
    within = _Sums.of(_kernel(x, x), numbers, count)
    beyond = _Sums.of(_kernel(y, y), np.arange(len(y)), len(y))
    crossed = _kernel(x, y)
    of_cluster, of_real = _by_cluster(crossed.sum(1), numbers, count), crossed.sum(0)
    n, m, total = len(x), len(y), float(crossed.sum())
    value = within.mean(n) + beyond.mean(m) - 2 * total / (n * m)
    with np.errstate(invalid="ignore", divide="ignore"):  # too few are left
        left = (n - within.sizes) * m
        without = within.means_without(n) + beyond.mean(m) - 2 * (total - of_cluster) / left
        without_real = within.mean(n) + beyond.means_without(m) - 2 * (total - of_real) / (n * (m - 1))
    parts = _variances(without, without_real)
    return KernelDistance(value, _interval(value, parts, level), n, m, without, without_real)


def distance_difference(a: KernelDistance, b: KernelDistance, level: float = LEVEL) -> Difference:
    """a - b of pictures of the same clusters, from the same real pictures.

    Raises:
        ValueError: they have other numbers of clusters or of real pictures.
    """
    if len(a.without) != len(b.without) or len(a.without_real) != len(b.without_real):
        raise ValueError("the two must have the same clusters and the same real pictures")
    value = a.value - b.value
    parts = _variances(a.without - b.without, a.without_real - b.without_real)
    interval, p = _interval(value, parts, level), math.nan
    variance = sum(each for each, _ in parts)
    if nothing_varies(variance, value):
        p = 1.0 if abs(value) < 1e-12 else math.nan
    elif math.isfinite(variance):
        p = t_probability(value / math.sqrt(variance), satterthwaite(parts))
    return Difference(value, interval, p, a.n, len(a.without))


@dataclass(frozen=True)
class _Sums:
    """Sums of a kernel over pairs of different rows."""

    total: float
    removed: NDArray[np.float64]
    """What leaving out each cluster takes from the total."""
    sizes: NDArray[np.int64]

    @classmethod
    def of(cls, kernel: NDArray[np.float64], numbers: NDArray[np.intp], count: int) -> _Sums:
        np.fill_diagonal(kernel, 0.0)
        rows = _by_cluster(kernel.sum(1), numbers, count)
        inside = np.array([kernel[np.ix_(numbers == c, numbers == c)].sum() for c in range(count)])
        return cls(float(kernel.sum()), 2 * rows - inside, np.bincount(numbers, minlength=count))

    def mean(self, n: int) -> float:
        return self.total / (n * (n - 1))

    def means_without(self, n: int) -> NDArray[np.float64]:
        left = n - self.sizes
        return (self.total - self.removed) / (left * (left - 1))


def _scaled(features: NDArray[np.floating]) -> NDArray[np.float64]:
    """Rows of the length sqrt(d)."""
    found = np.asarray(features, float)
    if found.ndim != 2:
        raise ValueError("features must have the shape (pictures, width)")
    lengths = np.linalg.norm(found, axis=1, keepdims=True)
    if not (np.isfinite(lengths) & (lengths > 0)).all():
        raise ValueError("a feature holds no numbers, or nothing but zeros")
    return found / lengths * math.sqrt(found.shape[1])


def _kernel(x: NDArray[np.float64], y: NDArray[np.float64]) -> NDArray[np.float64]:
    return (1 + x @ y.T / x.shape[1]) ** 3


def _by_cluster(values: NDArray[np.float64], numbers: NDArray[np.intp], count: int) -> NDArray[np.float64]:
    return np.bincount(numbers, values, minlength=count).astype(float)


def _variances(without: NDArray[np.float64], without_real: NDArray[np.float64]) -> list[tuple[float, float]]:
    """Jackknife variances with their degrees of freedom; infinite with fewer than two clusters."""
    return [
        ((count - 1) * float(each.var()) if (count := len(each)) > 1 else math.inf, max(count - 1, 1))
        for each in (without, without_real)
    ]


def _interval(value: float, parts: Sequence[tuple[float, float]], level: float) -> Interval:
    variance = sum(each for each, _ in parts)
    if not math.isfinite(variance):
        return Interval(math.nan, math.nan)
    return around(value, variance, satterthwaite(parts), level)
