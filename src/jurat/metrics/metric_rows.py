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
from typing import TYPE_CHECKING, Any

import numpy as np

from jurat.errors import JuratError
from jurat.metrics.cells import BadCell, Kind, Labels, MissingCell, parse
from jurat.metrics.intervals import DRAWS, LEVEL, Interval, Resampler, wilson
from jurat.metrics.metric_value import MetricValue, Part, RowProblem
from jurat.text import counted, one_line

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["Column", "MetricRows", "Resampling", "RowTable"]

PLACE = "(place)"
"""The key of the places of the rows among their cells."""
STATES = ("refused", "unparsed", "error")
"""What a judgement is where its scorer gave none; "scored" otherwise."""
FEW_CLUSTERS = 20
"""With fewer, a bootstrap of clusters gives intervals that are too narrow."""


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
    """Of the bootstrap; 0 for no bootstrap intervals."""
    seed: int = 0


@dataclass(frozen=True)
class MetricRows:
    """The cells of the rows that count, and those of the undecided ones."""

    cells: Mapping[str, Sequence[Any]]
    """Column to its cells in the rows that count; None in optional ones that hold nothing."""
    undecided: Sequence[Mapping[str, Any]] = ()
    """The rows that do not count, with the cells that could be read."""
    left_out: Mapping[str, int] = field(default_factory=dict)
    problems: tuple[RowProblem, ...] = ()
    labels: Labels = Labels()
    resampling: Resampling = Resampling()

    @classmethod
    def read(
        cls,
        table: RowTable,
        columns: Sequence[Column],
        labels: Labels = Labels(),
        resampling: Resampling = Resampling(),
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
        return cls(kept, undecided, dict(left_out), tuple(problems), labels, resampling)

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
        """The cluster of each row: its `cluster`, else its `unit` where units repeat; None if there is
        neither. A row without one is a cluster of its own."""
        for column in ("cluster", "unit"):
            named = self.cells.get(column, ())
            present = [cell for cell in named if cell is not None]
            if present and (column == "cluster" or len(set(present)) < len(present)):
                return [(number,) if cell is None else cell for number, cell in enumerate(named)]
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

    def with_undecided(self, **filled: Any) -> MetricRows:
        """The rows with the undecided ones among them, these cells of theirs set."""
        cells = {
            name: [*values, *(filled.get(name, row.get(name)) for row in self.undecided)]
            for name, values in self.cells.items()
        }
        return replace(self, cells=cells, undecided=(), left_out={}, problems=self.problems)

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
        said = list(notes)
        if known and statistic is not None:
            interval, method = self._bootstrap(statistic, said)
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
            notes=tuple(said),
        )

    def rate(
        self,
        events: Sequence[int] | NDArray[Any],
        *,
        parts: Mapping[str, Part] | None = None,
        notes: Sequence[str] = (),
        reason: str = "",
    ) -> MetricValue:
        """The share of the rows with an event. Wilson's interval, or of clusters a bootstrap.

        A bootstrap of clusters cannot tell a rate of 0 or 1 from certainty; there Wilson's interval is
        taken with the number of clusters in the place of n.
        """
        hits, n = int(np.sum(events)), len(events)
        said = list(notes)
        interval, method = self.rate_interval(events, said)
        return self.value(
            hits / n if n else None,
            reason=reason,
            interval=interval,
            method=method,
            parts={"events": hits, **(parts or {})},
            notes=said,
        )

    def rate_interval(
        self, events: Sequence[int] | NDArray[Any], notes: list[str]
    ) -> tuple[Interval | None, str]:
        """The interval of a rate over all these rows, and how it was computed."""
        hits, n, clusters = int(np.sum(events)), len(events), self.clusters
        if n == 0:
            return None, ""
        if clusters is None:
            return wilson(hits, n, self.resampling.level), "Wilson"
        if hits in (0, n):
            groups = len(set(clusters))
            return wilson(groups if hits else 0, groups, self.resampling.level), f"Wilson, n = {groups} clusters"
        outcome = np.asarray(events, float)
        return self._bootstrap(lambda w: float(w @ outcome / w.sum()), notes)

    def mean(self, values: Sequence[float] | NDArray[Any], **more: Any) -> MetricValue:
        """The mean of a number a row, with a bootstrap interval; arguments as for `value`."""
        numbers = np.asarray(values, float)
        mean = float(numbers.mean()) if len(numbers) else None
        return self.value(mean, statistic=lambda w: float(w @ numbers / w.sum()), **more)

    def _bootstrap(
        self, statistic: Callable[[NDArray[Any]], float], notes: list[str]
    ) -> tuple[Interval | None, str]:
        how, clusters = self.resampling, self.clusters
        names = list(range(self.n)) if clusters is None else clusters
        groups, noun = len(set(names)), "row" if clusters is None else "cluster"
        if how.draws == 0:
            return None, "not computed"
        if groups < 2:
            return None, f"none: there is one {noun} only"
        if groups < FEW_CLUSTERS:
            notes.append(f"The interval rests on {counted(groups, noun)} and is narrower than it should be.")
        interval = Resampler(names, draws=how.draws, seed=how.seed).interval(statistic, how.level)
        if math.isnan(interval.low):
            return None, "none: the value is undefined in every drawn sample"
        return interval, f"bootstrap of {counted(groups, noun)}, {how.draws:,} draws"


_GENERAL = (
    Column("cluster", "key", "rows of one cluster (the same image or base question) are drawn together", True),
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
