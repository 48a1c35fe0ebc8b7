"""What any two rows of a defense and of none are compared by: values of the same units, paired.

A value lies in [0, 1]: 1 for a unit with the event, 0 without, and between them for a mean over several
attacks on it. Controls are what a gate makes of the values of the model without a defense, in expectation.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from jurat.metrics import clustered_rate, holm, rate_difference

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["Values", "adjusted", "differences", "front", "gated", "rate"]


@dataclass(frozen=True)
class Values:
    """The values of some units."""

    units: tuple[str, ...]
    values: NDArray[np.float64]
    clusters: tuple[str, ...]

    @property
    def mean(self) -> float:
        return float(self.values.mean()) if len(self.values) else float("nan")


def rate(found: Values) -> dict[str, Any]:
    """The mean with its interval, for JSON."""
    interval = clustered_rate(found.values, found.clusters)
    return {"n": len(found.units), "value": found.mean, "interval": [interval.low, interval.high]}


def differences(found: Values, none: Values) -> dict[str, Any]:
    """A defense less none, on the units that both have, for JSON."""
    known = dict(zip(none.units, none.values.tolist(), strict=True))
    shared = [i for i, unit in enumerate(found.units) if unit in known]
    gap = rate_difference(
        found.values[shared],
        np.array([known[found.units[i]] for i in shared], float),
        [found.clusters[i] for i in shared],
    )
    ends = [gap.interval.low, gap.interval.high]
    return {"value": gap.value, "interval": ends, "p": gap.p, "n": gap.n}


def gated(found: Values, share: float, blocked: float) -> Values:
    """What a gate makes of values that blocks a share of the units at random, whatever they are: `blocked` is
    the value of a unit that it blocks."""
    return Values(found.units, share * blocked + (1 - share) * found.values, found.clusters)


def adjusted(rows: Iterable[dict[str, Any]], family: Sequence[str]) -> None:
    """Adds Holm's p to the differences of rows, together for those that agree in the columns of `family`."""
    groups: dict[tuple[Any, ...], list[dict[str, Any]]] = {}
    for row in rows:
        if "to_none" in row:
            groups.setdefault(tuple(row[name] for name in family), []).append(row["to_none"])
    for found in groups.values():
        for one, p in zip(found, holm([each["p"] for each in found]), strict=True):
            one["p_holm"] = p


def front(points: Sequence[Mapping[str, Any]], axes: tuple[str, str]) -> list[bool]:
    """Whether no other point is as good on both axes and better on one; higher is better."""

    def beats(other: Mapping[str, Any], one: Mapping[str, Any]) -> bool:
        gaps = [other[axis] - one[axis] for axis in axes]
        return min(gaps) >= 0 and max(gaps) > 0

    return [not any(beats(other, one) for other in points) for one in points]
