"""Decides rows again column by column, if only thresholds changed and scores alone decide.

A clause holds if its score is above one threshold and fails if it is below the other, so a rule's outcome
follows from a few columns of the record, as operations on arrays. Other rows are left to
`jurat.judge.replay.redecide`: items of several frames, and clauses with only some alternatives answered.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from typing import TYPE_CHECKING, Any, get_args

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from jurat.errors import JuratError
from jurat.judge.decision import Thresholds
from jurat.judge.record import arrow_schema
from jurat.judge.verdict import ItemOutcome, RuleOutcome

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from jurat.runs.arrow import ArrowTable

LEAVES = (
    *("id", "uri", "outcome", "frames", "basis"),
    *("constitution", "model", "preset", "prompts", "calibration"),
    *("rules.list.element.id", "rules.list.element.outcome"),
    "rules.list.element.clauses.list.element.role",
    "rules.list.element.clauses.list.element.score",
    "rules.list.element.clauses.list.element.alternatives.list.element.reason",
)
"""The columns that are read."""
OPTIONAL = ("preset_digest",)
"""Columns that are read if the file has them; rows of schema 3 and below lack them."""

_ITEMS: tuple[ItemOutcome, ...] = get_args(ItemOutcome)
_RULES: tuple[RuleOutcome, ...] = get_args(RuleOutcome)
_BROKEN, _KEPT, _UNDECIDED = (_RULES.index(name) for name in ("broken", "kept", "undecided"))


@dataclass(frozen=True)
class Flip:
    """An item whose outcome changes, or some rule's."""

    id: str
    uri: str
    before: str
    """Outcome of the item."""
    after: str
    rules: tuple[tuple[str, str, str], ...]
    """Rules whose outcomes differ: id, outcome before and after; "absent" where one constitution has none."""
    row: Mapping[str, Any] | None
    """The verdict under the changed constitution; None unless it was requested."""

    @property
    def of_item(self) -> bool:
        return self.before != self.after


@dataclass
class Swept:
    """The result for some rows."""

    changes: Counter[tuple[str, str]] = field(default_factory=Counter[tuple[str, str]])
    """Decided rows by outcome before and after."""
    rules: dict[str, Counter[tuple[str, str]]] = field(default_factory=dict[str, Counter[tuple[str, str]]])
    """Rows whose outcome under a rule changed, by rule, by outcome before and after."""
    flips: list[tuple[int, Flip]] = field(default_factory=list[tuple[int, Flip]])
    """Rows with a changed outcome, with their places."""
    left: list[int] = field(default_factory=list[int])
    """Places of rows that were not decided here, in order."""


@dataclass(frozen=True)
class Sweep:
    """Decides rows again under other thresholds."""

    thresholds: Mapping[str, Thresholds]
    """The thresholds of each rule, by its id."""

    def of_rows(self, rows: Sequence[Mapping[str, Any]], *, whole_flips: bool = False) -> Swept:
        """As `__call__`, for rows in memory."""
        return self(pa.Table.from_pylist(list(rows), schema=slim_schema()), whole_flips=whole_flips)

    def __call__(self, columns: ArrowTable, *, whole_flips: bool = False) -> Swept:
        """
        Args:
            columns: those of `LEAVES`.
            whole_flips: whether rows that change are put among those `left`.

        Raises:
            JuratError: a row has a rule that the constitution lacks.
        """
        columns = columns.combine_chunks()
        rules = _Lists.of(_column(columns, "rules"), np.arange(columns.num_rows))
        ids, recorded = self._rule_ids(rules), _codes(rules.field("outcome"), _RULES)
        now, unclear = self._decided(rules, ids)
        frozen = _equal(columns, "outcome", "error") | _equal(columns, "basis", "known_match")
        left = ~frozen & (_numbers(_column(columns, "frames")) != 1)
        left[rules.row[unclear]] = True
        now = np.where((frozen | left)[rules.row], recorded, now)
        changed = now != recorded
        before = _codes(_column(columns, "outcome"), _ITEMS)
        after = np.where(frozen, before, _outcomes(rules.row, now, columns.num_rows))
        flips = np.zeros(columns.num_rows, dtype=bool)
        flips[rules.row[changed]] = True
        if whole_flips:
            left |= flips
            changed &= ~left[rules.row]
        swept = Swept(left=np.flatnonzero(left).tolist())
        swept.changes = _pairs(before[~left], after[~left], _ITEMS)
        for number, id in enumerate(self.thresholds):
            mine = changed & (ids == number)
            if mine.any():
                swept.rules[id] = _pairs(recorded[mine], now[mine], _RULES)
        self._list(
            swept,
            columns,
            (before, after),
            (rules.row[changed], ids[changed], recorded[changed], now[changed]),
        )
        return swept

    def _rule_ids(self, rules: _Lists) -> NDArray[np.int64]:
        """The place of each finding's rule in the constitution."""
        names = list(self.thresholds)
        numbers = _codes(rules.field("id"), names)
        if (numbers < 0).any():
            strange = rules.field("id")[int(np.argmax(numbers < 0))].as_py()
            raise JuratError(f"The run has verdicts on a rule {strange!r}, which the constitution lacks.")
        return numbers

    def _decided(self, rules: _Lists, ids: NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
        """The outcome of each finding, and whether that cannot be decided here."""
        clauses = _Lists.of(rules.field("clauses"), np.arange(len(ids)))
        score, answered = _numbers(clauses.field("score")), _answered(clauses)
        keep, break_ = (
            np.array([getattr(one, name) for one in self.thresholds.values()])[ids][clauses.row]
            for name in ("keep", "break_")
        )
        excepts = _equal_to(clauses.field("role"), "unless")
        # An exception that holds keeps the rule, so its negation is compared.
        evidence = np.where(excepts, 1 - score, score)
        breaks, keeps = evidence > break_, evidence < keep

        def count(what: NDArray[np.bool_]) -> NDArray[np.int64]:
            return np.bincount(clauses.row[what], minlength=len(ids))

        excepted = count(excepts)
        broken = (count(~excepts & ~breaks) == 0) & ((excepted == 0) | (count(excepts & breaks) > 0))
        kept = (count(~excepts & keeps) > 0) | ((excepted > 0) & (count(excepts & ~keeps) == 0))
        decided = np.where(kept, _KEPT, np.where(broken, _BROKEN, _UNDECIDED))
        unclear = (answered > 0) & ((answered < 1) | np.isnan(score))
        without_clauses = np.bincount(clauses.row, minlength=len(ids)) == 0  # the rule was not relevant
        return decided, (count(unclear) > 0) | without_clauses

    def _list(
        self, swept: Swept, columns: ArrowTable, items: Sequence[NDArray[np.int64]], rules: Sequence[Any]
    ) -> None:
        """Adds the rows that changed to the result, in order."""
        changed: dict[int, list[tuple[str, str, str]]] = {}
        names = list(self.thresholds)
        for place, id, was, is_ in zip(*(each.tolist() for each in rules), strict=True):
            changed.setdefault(place, []).append((names[id], _RULES[was], _RULES[is_]))
        places = sorted(changed)
        texts = (
            [_column(columns, name).take(places).to_pylist() for name in ("id", "uri")]
            if places
            else [[], []]
        )
        before, after = (each[places].tolist() for each in items)
        for place, id, uri, was, is_ in zip(places, *texts, before, after, strict=True):
            flip = Flip(id, uri, _ITEMS[was], _ITEMS[is_], tuple(changed[place]), None)
            swept.flips.append((place, flip))


@cache
def slim_schema() -> pa.Schema:  # pyright: ignore[reportUnknownParameterType]
    """The record's Arrow schema with nothing but `LEAVES` and `OPTIONAL`."""

    def slim(field: Any, path: str) -> Any:
        kind: Any = field.type
        if pa.types.is_list(kind):
            inner = slim(kind.value_field, f"{path}.list.element")
            return None if inner is None else field.with_type(pa.list_(inner))
        if pa.types.is_struct(kind):
            inner = [slim(kind.field(i), f"{path}.{kind.field(i).name}") for i in range(kind.num_fields)]
            some = [one for one in inner if one is not None]
            return field.with_type(pa.struct(some)) if some else None
        return field if path in (*LEAVES, *OPTIONAL) else None

    fields = (slim(field, field.name) for field in arrow_schema())
    return pa.schema([field for field in fields if field is not None])


@dataclass(frozen=True)
class _Lists:
    """The entries of lists, one after the other, and the number of the list that each is in."""

    entries: Any
    row: NDArray[np.int64]

    @classmethod
    def of(cls, lists: Any, numbers: NDArray[np.int64]) -> _Lists:
        lengths = lists.value_lengths().fill_null(0).to_numpy(zero_copy_only=False)
        return cls(lists.flatten(), np.repeat(numbers, lengths))

    def field(self, name: str) -> Any:
        return self.entries.field(name)


def _column(columns: ArrowTable, name: str) -> Any:
    column = columns.column(name)
    return column.chunk(0) if column.num_chunks == 1 else pa.concat_arrays(column.chunks)


def _numbers(values: Any) -> NDArray[np.float64]:
    """The values as floats; null becomes NaN."""
    return np.asarray(values.to_numpy(zero_copy_only=False), dtype=np.float64)


def _codes(values: Any, names: Sequence[str]) -> NDArray[np.int64]:
    """The place of each text among `names`; -1 where it is not there."""
    found = pc.index_in(values, pa.array(names, pa.string()))  # pyright: ignore[reportAttributeAccessIssue]
    return found.fill_null(-1).to_numpy(zero_copy_only=False).astype("int64")


def _equal(columns: ArrowTable, name: str, text: str) -> NDArray[np.bool_]:
    return _equal_to(_column(columns, name), text)


def _equal_to(values: Any, text: str) -> NDArray[np.bool_]:
    return _codes(values, [text]) == 0


def _answered(clauses: _Lists) -> NDArray[np.float64]:
    """The share of each clause's alternatives that have evidence: none or all of them decides, as a rule."""
    count = len(clauses.row)
    reasons = _Lists.of(clauses.field("alternatives"), np.arange(count))
    reason = reasons.field("reason")
    there = reason.is_null().to_numpy(zero_copy_only=False) | _equal_to(reason, "margin")
    of = np.bincount(reasons.row, minlength=count)
    return np.bincount(reasons.row[there], minlength=count) / np.maximum(of, 1)


def _outcomes(row: NDArray[np.int64], rules: NDArray[np.int64], rows: int) -> NDArray[np.int64]:
    """The outcome of each item: unsafe if a rule is broken, safe if all are kept, else unsure."""
    broken, open_ = (np.bincount(row[rules == what], minlength=rows) > 0 for what in (_BROKEN, _UNDECIDED))
    names = [_ITEMS.index(name) for name in ("unsafe", "unsure", "safe")]
    empty = np.bincount(row, minlength=rows) == 0
    return np.where(broken, names[0], np.where(open_ | empty, names[1], names[2]))


def _pairs(
    before: NDArray[np.int64], after: NDArray[np.int64], names: Sequence[str]
) -> Counter[tuple[str, str]]:
    numbers, counts = np.unique(before * len(names) + after, return_counts=True)
    return Counter(
        {
            (names[int(n) // len(names)], names[int(n) % len(names)]): int(count)
            for n, count in zip(numbers, counts, strict=True)
        }
    )
