"""Claims as data, and what a table of comparisons says about them. No claim is required to hold.

A claim names a row `a`, the rows that it is compared with, a metric and where it is made. Each comparison
shows it, leaves it open, speaks against it, or cannot test it; of several comparisons of one claim the
p values are Holm's.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from typing import Literal, get_args

from pydantic import BaseModel, ConfigDict, Field

from jurat.metrics.estimates import LESS, Estimates
from jurat.metrics.intervals import Interval, normal_quantile, t_probability
from jurat.metrics.paired import difference, holm
from jurat.metrics.table import Table

State = Literal["shown", "open", "against", "not testable"]
STATES: tuple[State, ...] = get_args(State)
ALPHA = 0.05
_NONE = Interval(math.nan, math.nan)


class Claim(BaseModel):
    """One claim; a list of them can stand in a YAML file."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    id: str
    text: str = ""
    """How it is printed; its id if empty."""
    a: str
    """The row that is claimed to be better."""
    others: tuple[str, ...]
    """Rows that it is compared with; names, or patterns with `*`."""
    metric: str
    where: dict[str, tuple[str, ...]] = Field(default_factory=dict)
    """Values of factors that the claim is about; of a factor that is not named, all."""
    test: Literal["difference", "ratio", "values"] = "difference"
    """By the interval of a - b, by that of a / b, or by the values as they are."""
    bound: float = 1.0
    """The largest ratio a / b that the claim allows; only for `ratio`."""
    least: bool = False
    """Compared with only that other whose value is least."""
    ties: State = "open"
    """What equal values say; only for `values`."""
    testable: dict[str, float] = Field(default_factory=dict)
    """Least values of the other's metrics; beating a row below one, or of unknown value, says nothing."""


@dataclass(frozen=True)
class Comparison:
    """Two rows in one cell of a design, by one metric."""

    a: str
    b: str
    metric: str
    where: Mapping[str, str]
    """The cell: factor and value."""
    values: tuple[float | None, float | None] = (None, None)
    """The metric of a and of b; None where it is undefined."""
    difference: Interval = _NONE
    """Interval of a - b."""
    ratio: Interval = _NONE
    """Interval of a / b; an end is nan where it is not bounded."""
    p: float = math.nan
    less: bool = False
    """Whether less is better."""
    other: Mapping[str, float | None] = field(default_factory=dict[str, "float | None"])
    """Metrics of b, for `testable`."""


@dataclass(frozen=True)
class Judged:
    """What one comparison says about a claim."""

    comparison: Comparison
    state: State
    adjusted: float = math.nan
    """Holm's p among the claim's comparisons that can test it; nan where there is no p."""

    @property
    def holds_adjusted(self) -> bool:
        """Whether the claim is shown with the number of its comparisons taken into account."""
        return self.state == "shown" and self.adjusted < ALPHA


def judge(claims: Iterable[Claim], comparisons: Sequence[Comparison]) -> list[tuple[Claim, list[Judged]]]:
    """Each claim with what its comparisons say, in their order; an empty list where there is none.

    Claims that share an id are one family for Holm's correction.
    """
    judged = [(claim, [Judged(each, _state(claim, each)) for each in _of(claim, comparisons)])
              for claim in claims]  # fmt: skip
    families: dict[str, list[Judged]] = {}
    for claim, some in judged:
        families.setdefault(claim.id, []).extend(one for one in some if one.state != "not testable")
    adjusted: dict[int, float] = {}
    for family in families.values():
        corrected = holm([one.comparison.p for one in family])
        adjusted |= {id(one): p for one, p in zip(family, corrected, strict=True)}
    return [
        (claim, [Judged(one.comparison, one.state, adjusted.get(id(one), math.nan)) for one in some])
        for claim, some in judged
    ]


def compare(
    table: Table,
    a: str,
    metrics: Collection[str],
    *,
    factor: str = "method",
    within: Sequence[str] = (),
) -> Iterator[Comparison]:
    """`a` with every other value of a factor, in each cell of the factors `within`, on the same units.

    The intervals are of `difference`: paired, over the table's outermost clusters. A row that judged other
    units than `a` raises ValueError. A cell without `a` gives comparisons without an interval, so that a
    claim about it stays open.
    """
    for where, cell in table.cells(*within):
        rows = {key[factor]: rows for key, rows in cell.cells(factor)}
        lead = Estimates(rows[a]) if a in rows else None
        for b, other_rows in rows.items():
            if b == a:
                continue
            other = Estimates(rows[a].beside(other_rows) if a in rows else other_rows)
            values = {metric: _known(other.value(metric)) for metric in metrics}
            for metric in metrics:
                if lead is None:
                    only = (None, values[metric])
                    yield Comparison(a, b, metric, where, only, less=metric in LESS, other=values)
                    continue
                found = difference(lead, other, metric)
                yield Comparison(
                    a, b, metric, where, (_known(lead.value(metric)), values[metric]), found.interval,
                    p=found.p, less=metric in LESS, other=values,
                )  # fmt: skip


def p_of_interval(value: float, interval: Interval) -> float:
    """Two-sided p of no difference from a 95% interval, taken for a normal one; nan where either is unknown,
    or the interval of a difference has no width."""
    error = (interval.high - interval.low) / (2 * normal_quantile())
    if error > 0:
        return t_probability(value / error, math.inf)
    return 1.0 if value == error == 0 else math.nan


def _of(claim: Claim, comparisons: Sequence[Comparison]) -> list[Comparison]:
    found = [
        each
        for each in comparisons
        if (each.a, each.metric) == (claim.a, claim.metric)
        and any(fnmatchcase(each.b, other) for other in claim.others)
        and all(each.where.get(name) in values for name, values in claim.where.items())
    ]
    if not claim.least:
        return found
    cells: dict[tuple[tuple[str, str], ...], list[Comparison]] = {}
    for each in found:
        if each.values[1] is not None:
            cells.setdefault(tuple(sorted(each.where.items())), []).append(each)
    return [min(some, key=lambda each: each.values[1] or 0.0) for some in cells.values()]


def _state(claim: Claim, each: Comparison) -> State:
    known = {name: each.other.get(name) for name in claim.testable}
    if any(value is None or value < claim.testable[name] for name, value in known.items()):
        return "not testable"
    if claim.test == "values":
        one, other = each.values
        if one is None or other is None:
            return "not testable"
        return claim.ties if one == other else "shown" if (one < other) == each.less else "against"
    if claim.test == "ratio":
        return _side(each.ratio.high <= claim.bound, each.ratio.low > claim.bound)
    low, high = each.difference.low, each.difference.high
    return _side(high < 0, low > 0) if each.less else _side(low > 0, high < 0)


def _side(shown: bool, against: bool) -> State:
    """Comparisons with nan are False, so that a difference without an interval is open."""
    return "shown" if shown else "against" if against else "open"


def _known(value: float) -> float | None:
    return None if math.isnan(value) else value
