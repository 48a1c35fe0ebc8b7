"""CSV and TSV: the first line names the columns. Cells are text and nothing in them is interpreted."""

from __future__ import annotations

import csv
import io
import os
from collections import Counter, deque
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TextIO, cast

from jurat.content import ImageError, Item
from jurat.media.formats import MEDIA_SUFFIXES
from jurat.sources import lines
from jurat.sources.passed_over import PassedOver
from jurat.sources.protocol import FileSource
from jurat.sources.table_rows import TableRows
from jurat.sources.uris import name_of
from jurat.text import reason, shown

_MOST_LINES, _MOST_BROKEN = 10_000, 1000
"""Lines of one row, in quotes; and rows with a broken quote, behind each of which lines are read again."""


class DelimitedTable(FileSource):
    """A table with a header line."""

    def items(self, passed_over: PassedOver) -> Iterator[Item]:
        delimiter = "\t" if name_of(self.place).lower().endswith(".tsv") else ","
        with (
            self.open() as file,
            io.BufferedReader(file) as buffered,  # pyright: ignore[reportArgumentType]
        ):
            lines.check_start(buffered.peek(8), self.place)
            with io.TextIOWrapper(buffered, "utf-8-sig", errors="surrogateescape", newline="") as text:
                shape = TableShape()
                rows = delimited_rows(text, delimiter, self.place, shape)
                names = next(rows, [])
                if isinstance(names, UnreadableRow):
                    raise ImageError(f"{shown(self.place)}:1: {names.problem}")
                names = _distinct(names)
                table = TableRows.of(self.place, names, self.options, passed_over)
                shape.width, shape.column = len(names), names.index(table.column)
                for number, row in enumerate(rows):
                    if isinstance(row, UnreadableRow):
                        yield table.failed(number, f"{shown(self.place)}:{row.line}: {row.problem}")
                    elif len(row) != len(names):
                        problem = (
                            f"row {number} of {shown(self.place)} has {len(row)} cells, not {len(names)}"
                        )
                        yield table.failed(number, problem)
                    else:
                        yield table.item(number, dict(zip(names, row, strict=True)))


@dataclass(frozen=True)
class UnreadableRow:
    """A row that cannot be read."""

    line: int
    """On which it begins, from 1."""
    problem: str


@dataclass
class TableShape:
    """Columns and width of the rows, from the header line."""

    width: int = 0
    column: int = 0
    """The place of the image."""

    def is_swallowed(self, of_row: list[str | int], cells: int, delimiter: str) -> bool:
        """Whether the lines of a row are separate rows that stray quotes have joined."""
        if self.width == 0 or len(of_row) == 1:
            return False
        return cells != self.width or any(self._is_row(line, delimiter) for line in of_row[1:])

    def _is_row(self, line: str | int, delimiter: str) -> bool:
        parts = str(line).rstrip("\r\n").split(delimiter)
        suffix = os.path.splitext(parts[self.column].strip('"'))[1] if len(parts) == self.width else ""
        return suffix.lower() in MEDIA_SUFFIXES


class _Lines:
    """Lines of a text; keeps those of the current row."""

    def __init__(self, text: TextIO, place: str) -> None:
        self._lines = lines.lines_of(text, place)
        self._again: deque[str | int] = deque()
        self.of_row: list[str | int] = []
        self.number = 0
        """How many lines came before it."""

    def __iter__(self) -> Iterator[str]:
        return self

    def __next__(self) -> str:
        if len(self.of_row) >= _MOST_LINES:
            raise csv.Error("a quote that is not closed")
        line = self._again.popleft() if self._again else cast("str | int", next(self._lines))
        self.of_row.append(line)
        if isinstance(line, int):
            raise csv.Error(lines.too_long(line))
        return line

    def next_row(self) -> None:
        self.number += len(self.of_row)
        self.of_row = []

    def again_from_second(self) -> None:
        """Returns to the second line of a broken row, so that only its first line is lost."""
        self._again.extendleft(reversed(self.of_row[1:]))
        self.of_row = self.of_row[:1]


def delimited_rows(
    text: TextIO, delimiter: str, place: str, shape: TableShape, *, blank: bool = False
) -> Iterator[list[str] | UnreadableRow]:
    """The rows, with `blank` also those without cells; in the place of one whose quotes are broken what is
    wrong with it.

    A quote that is not closed would swallow the rows that follow, up to the next quote or the end: that row
    is broken, and those are read.
    """
    csv.field_size_limit(lines.MOST)
    source = _Lines(text, place)
    strict = csv.reader(source, delimiter=delimiter, strict=True)
    broken = 0
    while True:
        source.next_row()
        row: list[str] | None
        try:
            row = next(strict)
        except StopIteration:
            return
        except csv.Error as error:
            row, problem = _leniently(source.of_row, delimiter), reason(error)
        else:
            problem = "a quote joins several rows"
            if shape.is_swallowed(source.of_row, len(row), delimiter):
                row = None
        if row is None:
            broken += 1
            if broken > _MOST_BROKEN:
                raise ImageError(
                    f"the rest of {shown(place)} is not read: {broken:,} rows have broken quotes"
                )
            yield _broken(source, problem)
        elif row or blank:
            yield row


def _leniently(of_row: list[str | int], delimiter: str) -> list[str] | None:
    """A row of one line with text behind a closed quote, as it stands; None where a quote is not closed."""
    (line,) = of_row if len(of_row) == 1 else (0,)
    if isinstance(line, int):
        return None
    feed = iter((line, ""))
    row = next(csv.reader(feed, delimiter=delimiter))
    return row if next(feed, None) is not None else None  # it wanted a second line


def _broken(source: _Lines, problem: str) -> UnreadableRow:
    problem = "a quote is not closed" if "unexpected end" in problem else problem
    line, behind = source.number + 1, len(source.of_row) - 1
    source.again_from_second()
    return UnreadableRow(
        line,
        f"{problem}; the {behind:,} lines behind it are read as rows of their own" if behind else problem,
    )


def _distinct(names: list[str]) -> list[str]:
    """Column names made unique by appending a number."""
    times: Counter[str] = Counter()
    found: list[str] = []
    for name in names:
        times[name] += 1
        found.append(name if times[name] == 1 else f"{name}.{times[name]}")
    return found
