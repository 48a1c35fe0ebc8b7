"""The rate of an event, corrected for the mistakes of the judge by a few labels that people gave.

A judge said of N items whether the event happened; people said so of n of them. Four estimates:

- **labels**: the share among the n labels alone. Needs a random sample.
- **ppi**: prediction-powered inference (Angelopoulos et al. 2023, arXiv 2301.09633), with the weight of the
  judge tuned for the least variance (PPI++, Angelopoulos, Duchi & Zrnic 2023, arXiv 2311.01453): the
  labels' mean, plus lambda times how much more often the judge said the event on the items without labels.
  lambda = cov(y, f) / ((1 + n / M) var(f)), the variance over all N items, kept in [0, 1]; M = N - n. Needs
  a random sample, and is right whatever the judge is worth.
- **stratified**: the same within each stratum (category, or the judge's own verdict), weighted by the
  strata's shares of the N items. Needs a random sample within each stratum; their sizes may differ.
- **rogan-gladen**: (q + Sp - 1) / (Se + Sp - 1) with the judge's rate q and its sensitivity and specificity
  (Rogan & Gladen 1978), the two-sample interval adjusted as by Lang & Reiczigel (2014, Preventive Veterinary
  Medicine 113). Refused where Se + Sp <= 1. The labels may be chosen by what is true of the items (as many
  unsafe as safe ones), if the judge errs as often on chosen items as on others. **stratified rogan-gladen**
  needs that only within each stratum.

For the intervals of the second and third, half a label is added to each of the four kinds of label and
verdict (Agresti & Min 2005), since labels that never contradict the judge would give no width. With clusters,
an interval also holds the one whose standard error is over clusters, with the t quantile of the clusters that
hold labels.

What the judge left undecided (refused, unparsed) counts as "not said" in every correction, which makes up for
it as for any other mistake; the raw rate leaves it out. Both print how many there are.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, Any, Literal, get_args

import numpy as np

from jurat.metrics.intervals import (
    LEVEL,
    Interval,
    around,
    cluster_numbers,
    cluster_variance,
    clustered_rate,
    normal_quantile,
    nothing_varies,
    satterthwaite,
    t_quantile,
    union,
)
from jurat.metrics.rates import UNSURE

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from jurat.metrics.rates import Bits, Floats

Sampling = Literal["random", "random within strata", "chosen"]
"""How the labelled items were picked: all alike at random; at random within each stratum; any other way."""
Method = Literal["ppi", "stratified", "rogan-gladen", "stratified rogan-gladen", "labels", "none"]
LEAST_RANDOM = 30
"""Labels of a random sample from which the judge is used; below, the labels stand alone."""
LEAST_STRATUM = 10
"""Labels of each stratum."""
LEAST_CLASS = 20
"""Labels of the event and labels without it, for sensitivity and specificity."""


@dataclass(frozen=True)
class Corrected:
    """One estimate of the rate."""

    method: Method
    value: float
    """nan where the method is refused."""
    interval: Interval
    valid: bool
    """Whether the labels were sampled as the method needs."""
    problem: str = ""
    """Why there is no value."""
    shares: tuple[float, float] = (math.nan, math.nan)
    """The parts of the variance that more labels reduce, and that they do not."""


@dataclass(frozen=True)
class Correction:
    """What the judge's rate was, and what it is taken to be."""

    raw: float
    """Share of the event among what the judge decided."""
    raw_interval: Interval
    headline: Method
    """The estimate to print, fixed by the sampling and the number of labels; "none" if too few."""
    why: str
    estimates: Mapping[str, Corrected]
    items: int
    undecided: int
    labels: int
    sensitivity: tuple[float, Interval]
    """Share of the labelled events that the judge said, with Wilson's interval (`clustered_rate`); nan and
    [0, 1] without labelled events."""
    specificity: tuple[float, Interval]
    more_labels: int | None
    """How many more labels, sampled alike, would halve the headline's interval; None where all would not."""

    @property
    def best(self) -> Corrected | None:
        """The headline's estimate; None where there is none."""
        return self.estimates.get(self.headline)


def correct(
    said: Bits,
    labels: Floats,
    *,
    sampling: Sampling,
    strata: Sequence[Any] | None = None,
    clusters: Sequence[Any] | None = None,
    level: float = LEVEL,
) -> Correction:
    """Corrects a judge's rate by the labels of some of the items.

    Args:
        said: what the judge said: 1, 0 or `UNSURE`; shape (N,).
        labels: what people said: 1, 0, or nan without a label; shape (N,).
        sampling: how the labelled items were picked.
        strata: the category of each item, or another factor; its shares are those of the N items.
        clusters: items that are alike share a name (image, base question).
        level: of the intervals.

    Raises ValueError where shapes differ, or a label is neither 0 nor 1.
    """
    data = _Data.of(said, labels, strata, clusters, level)
    if sampling not in get_args(Sampling):
        raise ValueError(f"sampling must be one of {', '.join(get_args(Sampling))}, not {sampling!r}")
    headline, why = headline_of(sampling, data.labels_by_stratum(), strata is not None)
    estimates = _estimates(data, sampling, strata is not None)
    if headline != "none" and math.isnan(estimates[headline].value):
        headline, why = "none", f"{headline}: {estimates[headline].problem}"
    decided = np.asarray(said) != UNSURE
    raw, raw_interval = data.share(data.f, decided)
    return Correction(
        raw=raw,
        raw_interval=raw_interval,
        headline=headline,
        why=why,
        estimates=estimates,
        items=len(data.f),
        undecided=int((~decided).sum()),
        labels=int(data.known.sum()),
        sensitivity=data.share(data.f, data.known & (data.y == 1)),
        specificity=data.share(1 - data.f, data.known & (data.y == 0)),
        more_labels=None if headline == "none" else _more_labels(data, estimates[headline]),
    )


def correct_by_known(
    said: Bits,
    event: Bits,
    others: Bits,
    *,
    clusters: Sequence[Any] | None = None,
    level: float = LEVEL,
) -> Corrected:
    """Rogan and Gladen's estimate of a rate, by what the judge said of two other samples of known truth.

    Right if the judge errs as often on the items as on those samples. With clusters the interval also holds
    that of the effective number of items, with the t quantile of the clusters (as `clustered_rate`).

    Args:
        said: what the judge said of the items: 1 or 0, none undecided; at least one.
        event: what it said of a sample that all has the event.
        others: what it said of a sample without it.
        clusters: items that are alike share a name.

    Raises ValueError for anything but 1 and 0, and without items.
    """
    f, one, zero = (np.asarray(each, float) for each in (said, event, others))
    if not all(np.isin(each, (0, 1)).all() for each in (f, one, zero)) or not len(f):
        raise ValueError("what a judge said must be 0 or 1, of at least one item")
    found = _lang_reiczigel(f, one, zero, 1.0, level, among=False)
    if isinstance(found, str):
        return _refused("rogan-gladen", True, found)
    corrected = found.interval(level)
    numbers, groups = cluster_numbers(clusters, len(f))
    if groups < min(2, len(f)):
        corrected = Interval(0.0, 1.0)
    elif groups < len(f):
        rate = float(f.mean())
        variance = cluster_variance((f - rate) / len(f), numbers)
        n = groups if nothing_varies(variance, rate) else rate * (1 - rate) / variance
        wider = _lang_reiczigel(f, one, zero, 1.0, level, among=False, n=n, df=groups - 1)
        corrected = union(corrected, Interval(0.0, 1.0) if isinstance(wider, str) else wider.interval(level))
    inside = Interval(_unit(corrected.low), _unit(corrected.high))
    return Corrected("rogan-gladen", _unit(found.value), inside, True, shares=(found.labels, found.rest))


def headline_of(
    sampling: Sampling, labels: Mapping[Any, tuple[int, int]], by_stratum: bool
) -> tuple[Method, str]:
    """The estimate that is printed, and why; it depends on nothing but how many labels were sampled how.

    `labels` are the numbers of labels with and without the event of each stratum.
    """
    n = sum(map(sum, labels.values()))
    events, others = (sum(each[kind] for each in labels.values()) for kind in (0, 1))
    if sampling == "random":
        if n >= LEAST_RANDOM:
            return "ppi", f"a random sample of {n} labels"
        if n:
            return "labels", f"a random sample of only {n} labels, fewer than {LEAST_RANDOM}"
        return "none", "no labels"
    if sampling == "random within strata":
        least = min(map(sum, labels.values()), default=0)
        if by_stratum and least >= LEAST_STRATUM:
            return "stratified", f"random samples of at least {least} labels in each stratum"
        return (
            "none",
            f"a stratum has {least} labels, fewer than {LEAST_STRATUM}" if by_stratum else "no strata",
        )
    if by_stratum and all(min(each) >= LEAST_CLASS for each in labels.values()):
        return "stratified rogan-gladen", f"chosen labels, at least {LEAST_CLASS} of each class a stratum"
    if min(events, others) >= LEAST_CLASS:
        return "rogan-gladen", f"{n} chosen labels, {events} of the event and {others} without it"
    return "none", f"chosen labels, fewer than {LEAST_CLASS} of the event or without it"


@dataclass(frozen=True)
class _Data:
    f: NDArray[np.float64]
    """1 where the judge said the event."""
    y: NDArray[np.float64]
    """0 without a label, too."""
    known: NDArray[np.bool_]
    strata: NDArray[np.intp]
    numbers: NDArray[np.intp]
    """Clusters."""
    clustered: bool
    level: float

    @classmethod
    def of(cls, said: Bits, labels: Floats, strata: Any, clusters: Any, level: float) -> _Data:
        f, y = np.asarray(said), np.asarray(labels, float)
        known = ~np.isnan(y)
        if f.shape != y.shape or f.ndim != 1 or not len(f):
            raise ValueError("said and labels must name the same items, at least one")
        if not np.isin(y[known], (0, 1)).all() or not np.isin(f, (0, 1, UNSURE)).all():
            raise ValueError("said must be 0, 1 or undecided, and labels 0, 1 or nan")
        kinds = np.zeros(len(f), np.intp) if strata is None else cluster_numbers(strata, len(f))[0]
        numbers, groups = cluster_numbers(clusters, len(f))
        return cls(
            (f == 1).astype(float), np.where(known, y, 0), known, kinds, numbers, groups < len(f), level
        )

    def within(self, stratum: int) -> _Data:
        chosen = self.strata == stratum
        return replace(
            self, f=self.f[chosen], y=self.y[chosen], known=self.known[chosen], strata=self.strata[chosen],
            numbers=self.numbers[chosen],
        )  # fmt: skip

    def labels_by_stratum(self) -> dict[int, tuple[int, int]]:
        counts: dict[int, tuple[int, int]] = {}
        for stratum in np.unique(self.strata).tolist():
            here = self.known & (self.strata == stratum)
            counts[stratum] = int(self.y[here].sum()), int((1 - self.y[here]).sum())
        return counts

    def share(self, values: NDArray[np.float64], of: NDArray[np.bool_]) -> tuple[float, Interval]:
        """The mean of values in [0, 1] over some items; nan without any."""
        names = self.numbers[of].tolist() if self.clustered else None
        rate = float(values[of].mean()) if of.any() else math.nan
        return rate, clustered_rate(values[of], names, self.level)

    def interval(self, value: float, plain: Interval, influence: NDArray[np.float64]) -> Interval:
        """`plain`, and with clusters also the interval whose variance is over them; within [0, 1]."""
        if self.clustered:
            groups = len(np.unique(self.numbers[self.known]))
            numbers = np.unique(self.numbers, return_inverse=True)[1]
            spread = cluster_variance(influence, numbers) if groups > 1 else math.inf
            if math.isinf(spread):
                return Interval(0.0, 1.0)
            plain = union(plain, around(value, spread, groups - 1, self.level))
        return Interval(_unit(plain.low), _unit(plain.high))


def _estimates(data: _Data, sampling: Sampling, by_stratum: bool) -> dict[str, Corrected]:
    """Every estimate, whether or not the labels were sampled as it needs."""
    powered: Estimator = partial(_prediction_powered, weight=_power(data))
    found: dict[Method, tuple[bool, _Estimate | str]] = {
        "ppi": (sampling == "random", powered(data, 1.0)),
        "rogan-gladen": (sampling in ("random", "chosen"), _rogan_gladen(data, 1.0)),
    }
    if by_stratum:
        found["stratified"] = (sampling != "chosen", _over_strata(data, powered))
        found["stratified rogan-gladen"] = (True, _over_strata(data, _rogan_gladen))
    corrected: dict[str, Corrected] = {"labels": _labels_alone(data, sampling == "random")}
    for method, (valid, each) in found.items():
        corrected[method] = (
            _refused(method, valid, each) if isinstance(each, str) else each.corrected(method, valid, data)
        )
    return corrected


def _labels_alone(data: _Data, valid: bool) -> Corrected:
    if not data.known.any():
        return _refused("labels", valid, "no labels")
    rate, interval = data.share(data.y, data.known)
    variance = ((interval.high - interval.low) / (2 * normal_quantile(data.level))) ** 2
    return Corrected("labels", rate, interval, valid, shares=(variance, 0.0))


@dataclass(frozen=True)
class _Estimate:
    """An estimate in all items, or in those of a stratum."""

    value: float
    centre: float
    """Centre of the interval, which is adjusted for few labels."""
    labels: float
    """The part of the variance that is due to the labels."""
    rest: float
    """The other part."""
    df: float
    influence: NDArray[np.float64]
    """Each item's influence on the value."""

    def interval(self, level: float) -> Interval:
        """Without regard to clusters; may reach out of [0, 1]."""
        return around(self.centre, self.labels + self.rest, self.df, level)

    def corrected(self, method: Method, valid: bool, data: _Data) -> Corrected:
        interval = data.interval(self.value, self.interval(data.level), self.influence)
        return Corrected(method, _unit(self.value), interval, valid, shares=(self.labels, self.rest))


Estimator = Callable[[_Data, float], "_Estimate | str"]
"""The estimate from the items of a stratum and its share of all items; or why there is none."""


def _over_strata(data: _Data, estimator: Estimator) -> _Estimate | str:
    """The strata's estimates, weighted by their shares of the items."""
    whole, value, centre, labels, rest = len(data.f), 0.0, 0.0, 0.0, 0.0
    influence, rates = np.zeros(whole), np.zeros(whole)
    parts: list[tuple[float, float]] = []
    for stratum in np.unique(data.strata).tolist():
        chosen = data.strata == stratum
        share = float(chosen.mean())
        found = estimator(data.within(stratum), share)
        if isinstance(found, str):
            return f"in a stratum: {found}"
        value, centre = value + share * found.value, centre + share * found.centre
        labels, rest = labels + share**2 * found.labels, rest + share**2 * found.rest
        influence[chosen], rates[chosen] = share * found.influence, found.value
        parts.append((share**2 * found.labels, found.df))
    influence += (rates - value) / whole
    rest += float(((rates - value) ** 2).mean()) / whole
    normal = all(math.isinf(df) for _, df in parts)
    df = math.inf if normal else satterthwaite([*parts, (rest, whole - 1)])
    return _Estimate(value, centre, labels, rest, df, influence)


def _power(data: _Data) -> float:
    """The weight of the judge; 0 where it always says the same, or every item has a label."""
    y, f = data.y[data.known], data.f[data.known]
    rest, variance = int((~data.known).sum()), float(data.f.var())
    if not rest or not variance or len(y) < 2:
        return 0.0
    covariance = float(np.cov(y, f)[0, 1])
    return min(max(covariance / ((1 + len(y) / rest) * variance), 0.0), 1.0)


def _prediction_powered(data: _Data, share: float, *, weight: float) -> _Estimate | str:
    """The estimate with a given weight of the judge. For the interval a stratum gets its `share` of two more
    labels, half a label of each kind, so that labels which never contradict the judge leave some width."""
    known, y, f, others = data.known, data.y[data.known], data.f[data.known], weight * data.f[~data.known]
    n, n_ = len(y), len(y) + 2 * share
    if n < 2:
        return "fewer than two labels"
    left = y - weight * f
    influence = np.zeros(len(data.f))
    influence[known] = (left - left.mean()) / n
    judged = rest = 0.0
    if len(others):
        judged, rest = float(others.mean()), float(others.var()) / len(others)
        influence[~known] = (others - judged) / len(others)
    kinds = [(1, 1), (1, 0), (0, 1), (0, 0)]
    mass = np.array([((y == a) & (f == b)).sum() + share / 2 for a, b in kinds]) / n_
    ends = np.array([a - weight * b for a, b in kinds])
    mean = float(mass @ ends)
    labels = float(mass @ (ends - mean) ** 2) / n_
    return _Estimate(float(left.mean()) + judged, mean + judged, labels, rest, n - 1, influence)


def _rogan_gladen(data: _Data, share: float) -> _Estimate | str:
    """Lang and Reiczigel's estimate where the labelled items are among the N; or why it is refused. A stratum
    gets its `share` of the adjustment, which else would add up over strata."""
    one, zero = data.known & (data.y == 1), data.known & (data.y == 0)
    found = _lang_reiczigel(data.f, data.f[one], data.f[zero], share, data.level, among=True)
    if isinstance(found, str):
        return found
    p, q, se, sp = _unit(found.value), data.f.mean(), data.f[one].mean(), 1 - data.f[zero].mean()
    influence = (data.f - q) / len(data.f)
    influence[one] -= p * (data.f[one] - se) / one.sum()
    influence[zero] += (1 - p) * ((1 - data.f[zero]) - sp) / zero.sum()
    return replace(found, influence=influence / (se + sp - 1))


def _lang_reiczigel(
    f: NDArray[np.float64],
    event: NDArray[np.float64],
    others: NDArray[np.float64],
    share: float,
    level: float,
    *,
    among: bool,
    n: float | None = None,
    df: float = math.inf,
) -> _Estimate | str:
    """Rogan and Gladen's estimate with Lang and Reiczigel's adjusted centre and variance (their equations 4,
    6, 7 and 15 to 17), without influences; or why it is refused.

    Args:
        f: what was said of the items, 1 or 0, in mean the apparent rate.
        event: what was said of items with the event, whose mean is the sensitivity.
        others: what was said of items without it.
        among: whether these are among the items, so that a part of the variance would be counted twice.
        n: effective number of items; None for their number.
        df: degrees of freedom of the quantile.
    """
    m1, m0, n = len(event), len(others), len(f) if n is None else n
    if not m1 or not m0:
        return "no label of the event" if not m1 else "no label without the event"
    q, se, sp = float(f.mean()), float(event.mean()), float(1 - others.mean())
    z2 = t_quantile(df, level) ** 2 * share
    n_, m1_, m0_ = n + z2, m1 + 2 * share, m0 + 2 * share
    q_, se_, sp_ = (n * q + z2 / 2) / n_, (m1 * se + share) / m1_, (m0 * sp + share) / m0_
    gain, gain_ = se + sp - 1, se_ + sp_ - 1
    if min(gain, gain_) <= 0:
        return f"by {m1} and {m0} labels the judge is no better than chance (Se {se:.2f}, Sp {sp:.2f})"
    value, p_ = (q + sp - 1) / gain, (q_ + sp_ - 1) / gain_
    miss, alarm = se_ * (1 - se_), sp_ * (1 - sp_)
    centre = p_ + 2 * z2 * (p_ * miss / m1_ - (1 - p_) * alarm / m0_)
    inside = _unit(p_)
    twice = 2 * (inside * miss + (1 - inside) * alarm) / n if among else 0.0
    labels = p_**2 * miss / m1_ + (1 - p_) ** 2 * alarm / m0_
    judged = q_ * (1 - q_) / n_
    # Never less than what N items with exact labels would leave.
    total = max((labels + judged - twice) / gain_**2, inside * (1 - inside) / n)
    labels /= gain_**2
    return _Estimate(value, centre, labels, total - labels, df, np.zeros(len(f)))


def _more_labels(data: _Data, found: Corrected) -> int | None:
    """Labels beyond those there are that make the variance a quarter, if the labels' part of it falls as
    1 / n; at most as many as labels alone would need."""
    labels, fixed = found.shares
    n, whole = int(data.known.sum()), len(data.f)
    wanted = (labels + fixed) / 4
    needs = [n * labels / (wanted - fixed)] if wanted > fixed else []
    rate = found.value
    if found.method in ("ppi", "labels", "stratified") and 0 < rate < 1:
        needs.append(rate * (1 - rate) / wanted)
    least = math.ceil(min(needs)) if needs else whole + 1
    return None if least > whole else max(least - n, 0)


def _refused(method: Method, valid: bool, problem: str) -> Corrected:
    return Corrected(method, math.nan, Interval(math.nan, math.nan), valid, problem)


def _unit(value: float) -> float:
    return min(max(value, 0.0), 1.0)
