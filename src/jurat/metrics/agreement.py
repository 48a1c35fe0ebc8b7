"""Agreement of raters beyond chance, on ratings of units: labels, or numbers for the ordered scales.

A coefficient is (observed - expected) / (1 - expected) agreement. It is undefined where chance alone gives
full agreement: all ratings are the same label. The raw agreement is then all that can be said.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import replace
from itertools import pairwise
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from jurat.errors import JuratError
from jurat.metrics.metric_rows import PLACE
from jurat.metrics.metric_value import RowProblem
from jurat.text import one_line

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from jurat.metrics.metric_rows import MetricRows
    from jurat.metrics.metric_value import MetricValue

Scale = Literal["nominal", "ordinal", "interval"]
ONE_LABEL = "every rating is the same label"
REPEATED = "repeated ratings"


def distances(
    values: NDArray[np.float64], marginals: NDArray[np.float64], scale: Scale
) -> NDArray[np.float64]:
    """Squared distances of Krippendorff's alpha between ratings; shape (labels, labels).

    Args:
        values: the labels in order, as numbers; used by "interval" alone.
        marginals: how often each label was given, among units with two or more ratings.
    """
    if scale == "nominal":
        return 1.0 - np.eye(len(values))
    if scale == "interval":
        return (values[:, None] - values) ** 2
    upto = np.cumsum(marginals)
    # Ratings between two labels, each of the two counted half.
    between = np.abs((upto - marginals / 2)[:, None] - (upto - marginals / 2))
    return between**2


def krippendorff_alpha(
    counts: NDArray[Any],
    values: Sequence[float],
    scale: Scale = "nominal",
    weights: NDArray[Any] | None = None,
) -> float:
    """Krippendorff's alpha; nan where all ratings are the same, or no unit has two.

    1 - observed / expected disagreement, from the coincidence matrix (Krippendorff 2011, "Computing
    Krippendorff's alpha-reliability"). Units with fewer than two ratings say nothing and are left out.

    Args:
        counts: how many raters gave each unit each label; shape (units, labels). Units may have different
            numbers of ratings.
        values: the labels in order, as numbers.
        weights: how often each unit counts; shape (units,).
    """
    rated = np.asarray(counts, float)
    sizes = rated.sum(1)
    weight = np.ones(len(rated)) if weights is None else np.asarray(weights, float)
    weight = np.where(sizes > 1, weight, 0.0)
    per_pair = weight / np.maximum(sizes - 1, 1)
    pairs = rated.T @ (rated * per_pair[:, None]) - np.diag(per_pair @ rated)
    marginals = pairs.sum(1)
    total = marginals.sum()
    distance = distances(np.asarray(values, float), marginals, scale)
    expected = marginals @ distance @ marginals
    if total <= 1 or expected <= 0:
        return math.nan
    return float(1 - (total - 1) * (pairs * distance).sum() / expected)


def gwet_ac1(counts: NDArray[Any], weights: NDArray[Any] | None = None) -> float:
    """Gwet's AC1, which skewed labels do not drive to 0 as they do kappa; nan with one label.

    Gwet 2008, "Computing inter-rater reliability and its variance in the presence of high agreement", for
    missing ratings as in Gwet's handbook (4th edition, 2014, section 3.6): agreement over units with two or
    more ratings, the labels' shares over all units.

    Args:
        counts: as for `krippendorff_alpha`; labels that nobody gave have columns too.
        weights: how often each unit counts; shape (units,).
    """
    rated = np.asarray(counts, float)
    labels = rated.shape[1]
    weight = np.ones(len(rated)) if weights is None else np.asarray(weights, float)
    observed = raw_agreement(rated, weight)
    if labels < 2 or math.isnan(observed):
        return math.nan
    sizes = rated.sum(1)
    shares = (weight * (sizes > 0)) @ (rated / np.maximum(sizes, 1)[:, None]) / weight[sizes > 0].sum()
    expected = float((shares * (1 - shares)).sum()) / (labels - 1)
    return (observed - expected) / (1 - expected)


def raw_agreement(counts: NDArray[Any], weights: NDArray[Any] | None = None) -> float:
    """Share of the pairs of ratings of a unit that agree, averaged over units with two or more ratings; nan
    where there is none."""
    rated = np.asarray(counts, float)
    sizes = rated.sum(1)
    weight = np.ones(len(rated)) if weights is None else np.asarray(weights, float)
    paired = sizes > 1
    if weight[paired].sum() <= 0:
        return math.nan
    agreeing = (rated * (rated - 1)).sum(1)[paired] / (sizes * (sizes - 1))[paired]
    return float(weight[paired] @ agreeing / weight[paired].sum())


# --- on rows, each one rating of one unit by one rater ---------------------------------------------


def alpha(rows: MetricRows, scale: Scale) -> MetricValue:
    """Krippendorff's alpha of the rows."""
    rows = rows if scale == "nominal" else _as_numbers(rows, needed=scale == "interval")
    rows, counts, names = _counts(rows, least=2)
    values = [float(each) if scale == "interval" else 0.0 for each in names]
    return _coefficient(
        rows, counts, lambda w: krippendorff_alpha(counts, values, scale, w), {"labels": len(names)}
    )


def ac1(rows: MetricRows) -> MetricValue:
    """Gwet's AC1 of the rows."""
    rows, counts, names = _counts(rows)
    return _coefficient(rows, counts, lambda w: gwet_ac1(counts, w), {"labels": len(names)})


def fleiss(rows: MetricRows) -> MetricValue:
    """Fleiss' kappa of the units with the number of ratings that most have."""
    from statsmodels.stats.inter_rater import fleiss_kappa

    rows, counts, _ = _counts(rows, equal=True)
    raters = int(counts.sum(1).max()) if len(counts) else 0

    def kappa(weights: NDArray[Any]) -> float:
        drawn = np.repeat(counts, weights.astype(int), 0)
        if raters < 2 or (drawn.sum(0) > 0).sum() < 2:
            return math.nan
        return float(fleiss_kappa(drawn.astype(int), method="fleiss"))

    return _coefficient(rows, counts, kappa, {"ratings per unit": raters})


def cohen(rows: MetricRows, weights: Literal["none", "linear", "quadratic"]) -> MetricValue:
    """Cohen's kappa of two raters, on the units that both rated."""
    from sklearn.metrics import cohen_kappa_score

    rows = _without_repeats(rows if weights == "none" else _as_numbers(rows))
    raters = list(dict.fromkeys(rows["rater"]))
    if rows.n and len(raters) != 2:
        raise JuratError(
            f"Cohen's kappa is of two raters, and the rows have {len(raters)}: {', '.join(raters[:10])}.",
            hint="For others: fleiss_kappa, krippendorff_alpha_nominal, gwet_ac1.",
        )
    given = Counter(rows["unit"])
    rows = rows.select([given[unit] == 2 for unit in rows["unit"]], "ratings of units that one rater rated")
    units = list(dict.fromkeys(rows["unit"]))
    said = {(u, r): x for u, r, x in zip(rows["unit"], rows["rater"], rows["rating"], strict=True)}
    first, second = ([said[unit, rater] for unit in units] for rater in raters) if units else ([], [])
    names = _names(rows)
    by = None if weights == "none" else weights
    counts = np.array([[(a == n) + (b == n) for n in names] for a, b in zip(first, second, strict=True)])

    both = rows.by_unit(units, first=first, second=second)
    few, weights_of = both.distinct("first", "second")

    def kappa(weights: NDArray[Any]) -> float:
        weight = weights_of(weights)
        if len({side[i] for side in few for i in np.flatnonzero(weight)}) < 2:
            return math.nan
        found: Any = cohen_kappa_score(*few, labels=names, weights=by, sample_weight=weight)
        return float(found)

    steps = [float(name) for name in names] if by and not rows.labels.names else []
    uneven = len({b - a for a, b in pairwise(steps)}) > 1
    occurring = ", ".join(f"{step:g}" for step in steps)
    note = f"Ratings are weighted by their rank among those that occur, {occurring}; --labels names all."
    return _coefficient(both, counts, kappa, {"raters": " and ".join(raters)}, [note] if uneven else [])


def _coefficient(
    units: MetricRows,
    counts: NDArray[Any],
    statistic: Callable[[NDArray[Any]], float],
    parts: dict[str, Any],
    notes: Sequence[str] = (),
) -> MetricValue:
    """A coefficient of units, with the raw agreement beside it."""
    raw = raw_agreement(counts) if len(counts) else math.nan
    used = int((counts.sum(0) > 0).sum()) if len(counts) else 0
    value = statistic(np.ones(units.n)) if units.n else None
    reason = ONE_LABEL if used == 1 else "no unit has two ratings" if units.n else ""
    parts = {"raw agreement": None if math.isnan(raw) else raw, "ratings": int(counts.sum()), **parts}
    return units.value(value, reason=reason, statistic=statistic, parts=parts, notes=notes, counted="unit")


def _counts(
    rows: MetricRows, *, equal: bool = False, least: int = 1
) -> tuple[MetricRows, NDArray[Any], list[str]]:
    """Units as rows, how many raters gave each of them each label, and the labels.

    Units with fewer than `least` ratings are left out; with `equal`, those with another number of ratings
    than most units that have two or more.
    """
    rows = _without_repeats(rows)
    given = Counter(rows["unit"])
    if equal:
        sizes = Counter(size for size in given.values() if size > 1)
        usual = max(sizes, key=lambda size: (sizes[size], size), default=2)
        kept, why = [given[unit] == usual for unit in rows["unit"]], f"ratings of units without {usual}"
    else:
        kept = [given[unit] >= least for unit in rows["unit"]]
        why = f"ratings of units with fewer than {least}"
    rows = rows.select(kept, why)
    names = _names(rows)
    units = list(dict.fromkeys(rows["unit"]))
    counts = np.zeros((len(units), len(names)), int)
    place, column = ({each: i for i, each in enumerate(several)} for several in (units, names))
    for unit, rating in zip(rows["unit"], rows["rating"], strict=True):
        counts[place[unit], column[rating]] += 1
    return rows.by_unit(units), counts, names


def _without_repeats(rows: MetricRows) -> MetricRows:
    """The rows without a rater's later ratings of a unit, which are problems."""
    seen: dict[tuple[str, str], str] = {}
    keep: list[bool] = []
    problems: list[RowProblem] = []
    for unit, rater, place in zip(rows["unit"], rows["rater"], rows[PLACE], strict=True):
        first = seen.setdefault((unit, rater), place)
        keep.append(first == place)
        if first != place:
            why = one_line(f"rater {rater} rated unit {unit} in {first} already")
            problems.append(RowProblem(place, why, REPEATED))
    kept = rows.select(keep, REPEATED)
    return replace(kept, problems=(*kept.problems, *problems))


def _names(rows: MetricRows) -> list[str]:
    """The labels in order: as they were given, else numbers by size, else by the alphabet."""
    names = set(rows["rating"])
    try:
        return list(rows.labels.names) or sorted(names, key=float)
    except ValueError:
        return sorted(names)


def _as_numbers(rows: MetricRows, *, needed: bool = False) -> MetricRows:
    """The rows with ratings as numbers, so that "2" and "2.0" are one; labels in a given order may be words.

    Raises:
        JuratError: ratings are no numbers, and no order was given, or the scale needs numbers.
    """
    if rows.labels.names and not needed:
        return rows
    try:
        ratings = [float(rating) for rating in rows["rating"]]
        if not all(map(math.isfinite, (*ratings, *map(float, rows.labels.names)))):
            raise ValueError
    except ValueError:
        raise JuratError(
            "These ratings are not all numbers.",
            hint="An interval scale needs numbers; for an ordered one --labels A,B,C gives the order.",
        ) from None
    labels = replace(rows.labels, names=tuple(str(float(name)) for name in rows.labels.names))
    return replace(rows, cells={**rows.cells, "rating": [str(rating) for rating in ratings]}, labels=labels)
