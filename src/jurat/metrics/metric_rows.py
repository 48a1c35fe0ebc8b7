"""The rows that a named metric is computed on: cells read, and what was left out counted and named.

A row is counted when its state is "scored" (or it has none) and every cell that the metric needs can be
read. Every other row is *undecided*: it is left out of n under its state ("refused", "unparsed", "error"),
as "missing COLUMN", or as "unreadable", which is named by its line. Nothing is left out in silence.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

import numpy as np

from jurat.errors import JuratError, install
from jurat.metrics.cells import BadCell, Kind, Labels, MissingCell, parse
from jurat.metrics.intervals import (
    LEVEL,
    Interval,
    Resampler,
    around,
    bounded,
    cluster_numbers,
    cluster_variance,
    clustered_rate,
    nothing_varies,
    wilson,
)
from jurat.metrics.metric_value import MetricValue, Part, RowProblem
from jurat.text import counted, one_line

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["DRAWS", "Column", "MetricRows", "Resampling", "RowTable"]

DRAWS = 400
"""Bootstrap draws; the standard error that they give has a relative error of about 4% (1 / sqrt(2 DRAWS))."""
LEAST_DRAWS = 20
"""Draws from which a standard error is taken, at least."""
PLACE = "(place)"
"""Column of `MetricRows` with the place of each row."""
STATES = ("refused", "unparsed", "error")
"""States of a row whose scorer gave no judgement; all other rows are "scored"."""


@dataclass(frozen=True)
class Column:
    """A column that a metric reads."""

    name: str
    kind: Kind
    about: str
    """What a cell holds, for people."""
    optional: bool = False
    """A file may lack the column, and a row its cell."""


@dataclass(frozen=True)
class RowTable:
    """Rows as they were found, before a metric reads their cells."""

    columns: tuple[str, ...]
    rows: Sequence[Mapping[str, Any]]
    places: Sequence[str]
    """Where each row is: "line 7"."""
    problems: tuple[RowProblem, ...] = ()
    """Rows that could not be read at all."""

    @classmethod
    def of(cls, rows: Iterable[Mapping[str, Any]]) -> RowTable:
        """Rows in memory; the columns are the keys of any of them."""
        found = list(rows)
        columns = tuple(dict.fromkeys(name for row in found for name in row))
        return cls(columns, found, [f"row {number}" for number in range(1, len(found) + 1)])

    def renamed(self, columns: Mapping[str, str]) -> RowTable:
        """The table with columns under other names: {"success": "label"} reads `success` from `label`."""
        if not columns:
            return self
        self.check(columns.values())
        rows = [{**row, **{name: row.get(held) for name, held in columns.items()}} for row in self.rows]
        return replace(self, columns=tuple(dict.fromkeys((*self.columns, *columns))), rows=rows)

    def check(self, needed: Iterable[str]) -> None:
        """Raises JuratError, naming the columns there are, where one that is needed is not among them."""
        missing = [name for name in needed if name not in self.columns]
        if missing and (self.columns or self.rows or self.problems):
            there = ", ".join(one_line(name) for name in self.columns) or "no columns"
            raise JuratError(
                f"There is no column {', '.join(map(repr, missing))}: the rows have {there}.",
                hint="--column NAME=COLUMN reads a column of another name.",
            )


@dataclass(frozen=True)
class Resampling:
    """How intervals are computed."""

    level: float = LEVEL
    draws: int = DRAWS
    """Bootstrap draws, of which only the standard error is used; 0 for no bootstrap intervals."""
    seed: int = 0


ANY_LABELS = Labels()
DEFAULT_RESAMPLING = Resampling()


@dataclass(frozen=True)
class MetricRows:
    """The cells of the rows that count, and those of the undecided ones."""

    cells: Mapping[str, Sequence[Any]]
    """Column to its cells in the rows that count; None in optional ones that hold nothing."""
    undecided: Sequence[Mapping[str, Any]] = ()
    """The rows that do not count, with the cells that could be read."""
    left_out: Mapping[str, int] = field(default_factory=dict)
    problems: tuple[RowProblem, ...] = ()
    labels: Labels = ANY_LABELS
    resampling: Resampling = DEFAULT_RESAMPLING
    bounds: tuple[float, float] | None = None
    """Least and greatest value of the metric."""

    @classmethod
    def read(
        cls,
        table: RowTable,
        columns: Sequence[Column],
        labels: Labels = ANY_LABELS,
        resampling: Resampling = DEFAULT_RESAMPLING,
        bounds: tuple[float, float] | None = None,
    ) -> MetricRows:
        """Reads the cells of a table.

        Raises:
            JuratError: the table lacks a column that is needed.
        """
        table.check(column.name for column in columns if not column.optional)
        columns = [*columns, *(c for c in _GENERAL if all(c.name != column.name for column in columns))]
        kept: dict[str, list[Any]] = {PLACE: [], **{column.name: [] for column in columns}}
        undecided: list[Mapping[str, Any]] = []
        left_out: Counter[str] = Counter({"unreadable": len(table.problems)} if table.problems else {})
        problems = list(table.problems)
        undecided.extend({} for _ in table.problems)
        for row, place in zip(table.rows, table.places, strict=True):
            cells, why, problem = _read_row(row, columns, labels)
            cells[PLACE] = place
            if problem:
                problems.append(RowProblem(place, problem))
            if why:
                left_out[why] += 1
                undecided.append(cells)
                continue
            for name, values in kept.items():
                values.append(cells[name])
        problems.sort(key=lambda each: int("0" + "".join(filter(str.isdigit, each.place))))
        return cls(kept, undecided, dict(left_out), tuple(problems), labels, resampling, bounds)

    @property
    def n(self) -> int:
        return len(next(iter(self.cells.values()), ()))

    def __getitem__(self, column: str) -> Sequence[Any]:
        return self.cells[column]

    def numbers(self, column: str) -> NDArray[np.float64]:
        """The cells of a column as an array of shape (n,)."""
        return np.array(self.cells[column], float)

    @property
    def clusters(self) -> list[Any] | None:
        """The cluster of each row: its `cluster`, else its `unit`; a row without one is a cluster of its own.
        None where each row is one."""
        for column in ("cluster", "unit"):
            named = self.cells.get(column, ())
            if any(cell is not None for cell in named):
                found = [(number,) if cell is None else cell for number, cell in enumerate(named)]
                return found if len(set(found)) < len(found) else None
        return None

    def select(self, keep: Sequence[bool] | NDArray[np.bool_], reason: str) -> MetricRows:
        """The rows for which `keep` is true; the others are counted under `reason`."""
        gone = sum(not kept for kept in keep)
        if not gone:
            return self
        cells = {
            name: [cell for cell, kept in zip(values, keep, strict=True) if kept]
            for name, values in self.cells.items()
        }
        left_out = {**self.left_out, reason: self.left_out.get(reason, 0) + gone}
        return replace(self, cells=cells, left_out=left_out)

    def by_unit(self, units: Sequence[Any], **cells: Sequence[Any]) -> MetricRows:
        """A row for each of these units, with the cluster of the unit's first row and the given cells."""
        first: dict[Any, Any] = {}
        for unit, cluster in zip(self["unit"], self["cluster"], strict=True):
            first.setdefault(unit, cluster)
        return replace(self, cells={**cells, "cluster": [first[unit] for unit in units]})

    def with_undecided(self, **filled: Any) -> MetricRows:
        """The rows with the undecided ones among them, these cells of theirs set."""
        cells = {
            name: [*values, *(filled.get(name, row.get(name)) for row in self.undecided)]
            for name, values in self.cells.items()
        }
        return replace(self, cells=cells, undecided=(), left_out={}, problems=self.problems)

    def distinct(self, *columns: str) -> tuple[list[list[Any]], Callable[[NDArray[Any]], NDArray[Any]]]:
        """The different combinations of cells in these columns, column by column, and a function that turns
        weights of the rows into weights of the combinations."""
        places: dict[Any, int] = {}
        kinds = [
            places.setdefault(cells, len(places))
            for cells in zip(*(self.cells[column] for column in columns), strict=True)
        ]
        kind, count = np.array(kinds, int), len(places)
        found = [list(each) for each in zip(*places, strict=True)] or [[] for _ in columns]
        return found, lambda weights: np.bincount(kind, weights, minlength=count)

    # Values

    def value(
        self,
        value: float | None,
        *,
        reason: str = "",
        statistic: Callable[[NDArray[Any]], float] | None = None,
        interval: Interval | None = None,
        method: str = "",
        parts: Mapping[str, Part] | None = None,
        notes: Sequence[str] = (),
        n: int | None = None,
        counted: str = "row",
    ) -> MetricValue:
        """A value on these rows.

        Args:
            value: None or nan where it is undefined; then for `reason`.
            statistic: the value as a function of how often each row counts, for a bootstrap.
            interval: one that is computed in another way, by `method`.
        """
        n = self.n if n is None else n
        known = value is not None and not math.isnan(value)
        if value is not None and known and statistic is not None:
            interval, method = self._bootstrap(value, statistic)
        if interval is not None and math.isnan(interval.low + interval.high):
            interval, method = None, f"none: {method} gives no number"
        return MetricValue(
            value=float(value) if known and value is not None else None,
            n=n,
            counted=counted,
            reason="" if known else reason or (f"there is no {counted} to count" if n == 0 else "undefined"),
            left_out=self.left_out,
            problems=self.problems,
            interval=interval if known else None,
            interval_method=method if known else "",
            parts=parts or {},
            notes=tuple(notes),
        )

    def rate(
        self,
        events: Sequence[int] | NDArray[Any],
        *,
        parts: Mapping[str, Part] | None = None,
        notes: Sequence[str] = (),
        reason: str = "",
        counted: str = "row",
    ) -> MetricValue:
        """The share of the rows with an event, with Wilson's interval (`rate_interval`)."""
        hits, n = int(np.sum(events)), len(events)
        interval, method = self.rate_interval(events)
        return self.value(
            hits / n if n else None,
            reason=reason,
            interval=interval,
            method=method,
            parts={"events": hits, **(parts or {})},
            notes=notes,
            counted=counted,
        )

    def rate_interval(self, events: Sequence[int] | NDArray[Any]) -> tuple[Interval | None, str]:
        """The interval of a rate over all these rows, and how it was computed."""
        clusters = self.clusters
        if not len(events):
            return None, ""
        if clusters is None:
            return wilson(int(np.sum(events)), len(events), self.resampling.level), "Wilson"
        if not _has_scipy():
            return None, _NEEDS_SCIPY
        groups = counted(len(set(clusters)), "cluster")
        found = clustered_rate(np.asarray(events, float), _numbered(clusters), self.resampling.level)
        return found, f"Wilson, effective n of {groups}"

    def mean(self, values: Sequence[float] | NDArray[Any], **more: Any) -> MetricValue:
        """The mean of a number a row, with an interval by Student's t over rows or clusters; arguments as
        for `value`."""
        numbers = np.asarray(values, float)
        if not len(numbers):
            return self.value(None, **more)
        mean = float(numbers.mean())
        if self.bounds == (0.0, 1.0) and mean in (0.0, 1.0):  # where nothing varies
            interval, method = self.rate_interval(numbers)
        else:
            places, groups = cluster_numbers(_numbered(self.clusters), len(numbers))
            variance = cluster_variance((numbers - mean) / len(numbers), places)
            interval, method = self._around(mean, variance, groups)
        return self.value(mean, interval=interval, method=method, **more)

    def _bootstrap(
        self, value: float, statistic: Callable[[NDArray[Any]], float]
    ) -> tuple[Interval | None, str]:
        """By the standard error of a bootstrap of rows or clusters, with the t quantile."""
        how, names = self.resampling, _numbered(self.clusters) or list(range(self.n))
        if how.draws == 0:
            return None, "not computed"
        groups = len(set(names))
        if groups < 2:
            return self._around(value, math.inf, groups)
        drawn = np.array([statistic(w) for w in Resampler(names, draws=how.draws, seed=how.seed).samples()])
        known = drawn[~np.isnan(drawn)]
        if len(known) < LEAST_DRAWS:
            return None, f"none: the value is defined in {len(known):,} of {how.draws:,} draws"
        variance = float(known.var()) * groups / (groups - 1)
        interval, method = self._around(value, variance, groups)
        lost = len(drawn) - len(known)
        undefined = f", {lost:,} of them without a value" if lost else ""
        return interval, f"{method}, bootstrap of {how.draws:,} draws{undefined}" if interval else method

    def _around(self, value: float, variance: float, groups: int) -> tuple[Interval | None, str]:
        """The interval of a value with this variance over `groups` rows or clusters."""
        if groups < 2:
            return None, "none: there is one row or cluster"
        if nothing_varies(variance, value):
            return None, "none: nothing varies"
        if not _has_scipy():
            return None, _NEEDS_SCIPY
        over = "" if self.clusters is None else f" over {counted(groups, 'cluster')}"
        method = f"t{over}, {counted(groups - 1, 'degree')} of freedom"
        if self.bounds is None:
            return around(value, variance, groups - 1, self.resampling.level), method
        low, high = self.bounds
        width = high - low
        found = bounded((value - low) / width, variance / width**2, groups - 1, self.resampling.level)
        return Interval(low + width * found.low, low + width * found.high), method


def _has_scipy() -> bool:
    return find_spec("scipy") is not None


_NEEDS_SCIPY = f"none: it needs scipy, which is not installed: {install('eval')}"


def _numbered(clusters: Sequence[Any] | None) -> list[int] | None:
    """Clusters as numbers, in the order in which they occur."""
    if clusters is None:
        return None
    places = {name: number for number, name in enumerate(dict.fromkeys(clusters))}
    return [places[name] for name in clusters]


_GENERAL = (
    Column(
        "cluster", "key", "rows of one cluster (the same image or base question) are drawn together", True
    ),
    Column("unit", "key", "what was judged; repeated units are clusters where there is no `cluster`", True),
)
"""Columns that any metric reads where they are there."""


def _read_row(
    row: Mapping[str, Any], columns: Sequence[Column], labels: Labels
) -> tuple[dict[str, Any], str, str]:
    """The cells that can be read; under which reason the row is left out, if it is; what is wrong with it."""
    cells: dict[str, Any] = {}
    missing, problem = "", ""
    for column in columns:
        cells[column.name] = None
        try:
            cells[column.name] = parse(column.kind, row.get(column.name), labels)
        except MissingCell:
            missing = missing or ("" if column.optional else f"missing {column.name}")
        except BadCell as error:
            problem = problem or f"{column.name}: {error}"
    state = row.get("state")
    said = "" if state is None else str(state).strip().lower()
    if said in STATES:  # whose cells are not expected to be readable
        return cells, said, ""
    if said not in ("", "scored"):
        problem = f"state: {one_line(repr(state), most=60)} is none of scored, {', '.join(STATES)}"
    return cells, "unreadable" if problem else missing, problem
