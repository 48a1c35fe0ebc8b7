"""Intervals: Wilson's for a rate, and a bootstrap that draws whole clusters for everything else.

Scenes of one pair and pairs of one rule are alike, so they are drawn together: rules with replacement, and
within each drawn rule its pairs (Davison & Hinkley 1997, section 3.8; Saravanan, Berman & Sober 2020,
arXiv 2007.07797). scipy's `bootstrap` knows no clusters.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from statistics import NormalDist
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

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
    z = NormalDist().inv_cdf((1 + level) / 2)
    rate, extra = right / n, z * z / n
    centre = (rate + extra / 2) / (1 + extra)
    half = z * math.sqrt((rate * (1 - rate) + extra / 4) / n) / (1 + extra)
    return Interval(0.0 if right == 0 else centre - half, 1.0 if right == n else centre + half)


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
        rng = np.random.default_rng(self.seed)
        drawn = np.zeros((self.draws, self._leaves), np.int32)
        for row in drawn:
            _draw(self._tree, rng, row)
        return drawn[:, self._leaf]

    def interval(self, statistic: Callable[[NDArray[np.int32]], float], level: float = LEVEL) -> Interval:
        """The percentile interval of a statistic of the weights; samples for which it is nan are left
        out."""
        return percentile([statistic(row) for row in self.weights()], level)


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
