"""The metrics of one cell of a table by name, and how they vary when its clusters are drawn again.

Two cells that judged the same units are drawn alike, so that their differences are paired.
"""

from __future__ import annotations

import math
from functools import cached_property, lru_cache
from typing import TYPE_CHECKING, Any

import numpy as np

from jurat.metrics.abstention import Curves, confidence
from jurat.metrics.calibration import briers, log_losses
from jurat.metrics.intervals import (
    DRAWS,
    Interval,
    Resampler,
    around,
    bounded,
    clustered_rate,
    percentile,
)
from jurat.metrics.rates import RATES, UNSURE, rates

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from jurat.metrics.table import Table

COVERED = 0.9
"""Coverage at which the metric `risk` is taken."""
SOFT = ("brier", "log_loss")
"""Metrics of scores against a truth that may be soft."""
CURVED = ("aurc", "risk", "forced", "forced_f1")
"""Metrics of verdicts that are forced by their score: `forced` is their accuracy, `forced_f1` their F1."""
METRICS = (*RATES, *SOFT, *CURVED)
LESS = ("aurc", "risk", *SOFT)
"""Metrics of which less is better."""
BLOCK = 2_000_000
"""Most weights that are in memory at once."""


class Estimates:
    """Each value and each distribution is computed once."""

    def __init__(self, table: Table, draws: int = DRAWS, *, nested: bool = False) -> None:
        """`nested` also draws the inner clusters within the drawn outer ones."""
        self.table, self.draws = table, draws
        self.levels = (table.clusters if nested else table.clusters[:1]) or (table.units,)
        self._spreads: dict[str, NDArray[np.float64]] = {}

    @cached_property
    def hard(self) -> bool:
        """Whether every truth is 0 or 1. Where one is soft or unknown, rates and risks are nan."""
        return bool(np.isin(self.table.truth, (0, 1)).all())

    @cached_property
    def graded(self) -> bool:
        """Whether a score is no probability but a grade. Metrics of scores are nan then."""
        known = self.table.score[~np.isnan(self.table.score)]
        return bool(((known < 0) | (known > 1)).any())

    @cached_property
    def forced_said(self) -> NDArray[np.int64]:
        """What is said if unsure judgements are decided by their score; without a score they stay unsure."""
        said, score = self.table.said, self.table.score
        leaning = np.where(np.isnan(score), UNSURE, (score > 0.5).astype(int))
        return np.where(said == UNSURE, leaning, said)

    @property
    def forced(self) -> NDArray[np.bool_]:
        """Which judgements are wrong then; what stays unsure is."""
        return self.forced_said != self.table.truth

    def curves(self, weights: NDArray[Any] | None = None) -> Curves:
        """Risk against coverage of the forced verdicts; of samples with `weights` (samples, n)."""
        weights = np.ones((1, len(self.table))) if weights is None else weights
        return Curves.of(self.forced, confidence(self.table.score), weights)

    def value(self, metric: str) -> float:
        """One of `METRICS`; nan where it is undefined."""
        return float(self._group(metric, np.ones((1, len(self.table))))[metric][0])

    def spread(self, metric: str) -> NDArray[np.float64]:
        """A metric over the bootstrap samples; shape (draws,)."""
        if metric not in self._spreads:
            samples = self.samples()
            step = max(1, BLOCK // max(1, samples.shape[1]))
            parts = [self._group(metric, samples[i : i + step]) for i in range(0, len(samples), step)]
            self._spreads.update({name: np.concatenate([p[name] for p in parts]) for name in parts[0]})
        return self._spreads[metric]

    def interval(self, metric: str) -> Interval:
        """The 95% interval of a metric over the outermost clusters; nan where there is only one.

        Shares of right ones as `clustered_rate`; other metrics by the standard error of the bootstrap with
        the t quantile of the clusters, in Wilson's form where the metric lies in [0, 1].
        """
        if (right := self.shares(metric)) is not None:
            return clustered_rate(right, self.levels[0].tolist())
        count, value = len(np.unique(self.levels[0])), self.value(metric)
        if count < 2 or np.isnan(value):
            return Interval(np.nan, np.nan)
        variance = spread_variance(self.spread(metric)) * count / (count - 1)
        return (around if metric == "log_loss" else bounded)(value, variance, count - 1)

    def shares(self, metric: str) -> NDArray[np.float64] | None:
        """The values of the items, 0 or 1, whose mean is the metric; None for a metric that is no such mean
        or is undefined."""
        if not self.hard:
            return None
        if metric == "accuracy":
            return (self.table.said == self.table.truth).astype(float)
        return (~self.forced).astype(float) if metric == "forced" and not self.graded else None

    def percentile_interval(self, metric: str) -> Interval:
        """The 95% percentile interval of the bootstrap samples, as `jurat bench` prints it."""
        return percentile(self.spread(metric).tolist())

    def samples(self) -> NDArray[np.int32]:
        """Weights of the bootstrap samples; shape (draws, n). Equal clusters get equal ones."""
        return _samples(tuple(tuple(level.tolist()) for level in self.levels), self.draws)

    def _group(self, metric: str, weights: NDArray[Any]) -> dict[str, NDArray[np.float64]]:
        """A metric and those that are worked out with it, of each sample of `weights` (samples, n)."""
        table = self.table
        if metric not in METRICS:
            raise ValueError(f"there is no metric {metric!r}; there are {', '.join(METRICS)}")
        if (metric not in SOFT and not self.hard) or (metric not in RATES and self.graded):
            return {metric: np.full(len(weights), np.nan)}
        if metric in RATES:
            return rates(table.truth.astype(int), table.said, weights)
        if metric in SOFT:
            return {
                "brier": briers(table.truth, table.score, weights),
                "log_loss": log_losses(table.truth, table.score, weights),
            }
        curves = self.curves(weights)
        risks = curves.risks_at(COVERED)
        return {
            "aurc": curves.areas(),
            "risk": risks,
            "forced": 1 - curves.risks_at(1.0),
            "forced_f1": rates(table.truth.astype(int), self.forced_said, weights)["f1"],
        }


def spread_variance(values: NDArray[np.float64]) -> float:
    """Variance over the draws in which a statistic is defined; nan where it is in fewer than half."""
    known = values[~np.isnan(values)]
    return float(known.var()) if 2 * len(known) >= len(values) > 0 else math.nan


@lru_cache(maxsize=8)
def _samples(levels: tuple[tuple[str, ...], ...], draws: int) -> NDArray[np.int32]:
    return Resampler(*levels, draws=draws).weights()
