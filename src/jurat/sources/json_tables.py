"""JSON: an object a line, objects one after the other, or an array of them. Their keys are the columns."""

from __future__ import annotations

import io
import json
from collections.abc import Iterator
from itertools import chain, islice
from typing import Any, cast

from jurat.content import ImageError, Item
from jurat.sources import lines
from jurat.sources.passed_over import PassedOver
from jurat.sources.protocol import FileSource
from jurat.sources.table_rows import TableRows
from jurat.sources.uris import name_of, scheme_of
from jurat.text import one_line, reason, shown

_ALIKE = 100
"""Rows, from the first, whose keys are the columns: one row may lack what the others have."""
_ALIKE_CHARACTERS = 1 << 27
"""Characters of those rows, about, that are held at once."""
_PIECE = 1 << 16
_MOST_VALUES = 4_000_000
"""Values of a row: in memory each has up to a hundred times as many bytes as in the file."""


class JsonTable(FileSource):
    """Objects, whose keys are the columns."""

    def items(self, passed_over: PassedOver) -> Iterator[Item]:
        with (
            self.open() as file,
            io.BufferedReader(file, _PIECE) as buffered,  # pyright: ignore[reportArgumentType]
        ):
            start = buffered.peek(_PIECE)
            lines.check_start(start, self.place)
            rows = self._rows(buffered, start)
            first, failed = _first(rows)
            names = {name: None for row in first if isinstance(row, dict) for name in row}
            bare = TableRows(self.place, self.options)
            table: TableRows | None = None
            for number, row in enumerate(chain(first, rows if failed is None else ())):
                if isinstance(row, str):
                    yield bare.failed(number, f"row {number} of {shown(self.place)}: {row}")
                    continue
                if table is None:
                    table = TableRows.of(self.place, list(names or row), self.options, passed_over)
                yield table.item(number, row)
            if failed is not None:
                raise failed

    def count(self) -> int | None:
        if scheme_of(self.place) is not None or _is_json(self.place):
            return None
        with self.open() as file:
            if _begins_with(file.read(_PIECE), b"["):
                return None
            file.seek(0)
            return sum(
                1 for line in lines.lines_of(file, self.place) if isinstance(line, int) or line.strip()
            )

    def _rows(self, file: io.BufferedReader, start: bytes) -> Iterator[dict[str, Any] | str]:
        """The rows, or what is wrong with one."""
        is_array = _begins_with(start, b"[") and (_is_json(self.place) or not _is_list_a_line(start))
        if is_array or _is_json(self.place):
            with io.TextIOWrapper(file, "utf-8-sig", errors="replace", newline="") as text:
                yield from _values(text, self.place, is_array=is_array)
            return
        for line in lines.lines_of(cast("Any", file), self.place):
            if isinstance(line, int):
                yield lines.too_long(line)
            elif line.strip():
                yield _row(cast("bytes", line))


def _first(
    rows: Iterator[dict[str, Any] | str],
) -> tuple[list[dict[str, Any] | str], ImageError | None]:
    """The first rows, fewer where they are long; and why there are no more, if the rest cannot be read."""
    first: list[dict[str, Any] | str] = []
    size = 0
    try:
        for row in islice(rows, _ALIKE):
            first.append(row)
            size += (
                len(row) if isinstance(row, str) else sum(len(v) for v in row.values() if isinstance(v, str))
            )
            if size > _ALIKE_CHARACTERS:
                break
    except ImageError as error:
        return first, error
    return first, None


def _row(line: bytes) -> dict[str, Any] | str:
    """The row in a line, or the reason why there is none."""
    if len(line) > _PIECE and sum(map(line.count, (b",", b"[", b"{"))) > _MOST_VALUES:
        return f"more than {_MOST_VALUES:,} values"
    try:
        return _object(json.loads(line.decode("utf-8-sig")))
    except (ValueError, RecursionError) as error:
        return f"not JSON: {reason(error)}"


def _object(value: object) -> dict[str, Any] | str:
    return cast("dict[str, Any]", value) if isinstance(value, dict) else "not an object {...}"


def _values(text: io.TextIOWrapper, place: str, *, is_array: bool) -> Iterator[dict[str, Any] | str]:
    """The values of an array, or values that follow one another; only the one at hand is held.

    Raises:
        ImageError: the rest of the file is no JSON.
    """
    decoder = json.JSONDecoder()
    held = text.read(_PIECE).lstrip()
    at, wanted, number, over = int(is_array), _PIECE, 0, False
    while True:
        while at < len(held) and (held[at].isspace() or (is_array and held[at] == ",")):
            at += 1
        if is_array and held[at : at + 1] == "]":
            if (held[at + 1 :] + text.read(_PIECE)).strip():
                raise ImageError(f"the rest of {shown(place)} is not read: more follows its array")
            return
        problem: Exception | None = None
        try:
            if at < len(held):
                value, end = decoder.raw_decode(held, at)
                # A number may go on behind what is held; nothing else can.
                if end < len(held) or over or isinstance(value, dict | list):
                    yield _alone(value, place, number) if number == 0 and not is_array else _object(value)
                    at, wanted, number = end, _PIECE, number + 1
                    continue
        except (ValueError, RecursionError) as error:
            problem = error
        if over:
            if at >= len(held) and not is_array and number:
                return
            what = "its array has no end" if problem is None and is_array else "not JSON"
            why = f": {reason(problem)}" if problem is not None else ""
            raise ImageError(f"the rest of {shown(place)} is not read, from row {number} on: {what}{why}")
        held = held[at:]
        if len(held) > lines.MOST or held.count(",") > _MOST_VALUES:
            raise ImageError(
                f"the rest of {shown(place)} is not read: row {number} has {len(held):,} characters"
            )
        # As much again each time, so that a long value is not tried too often.
        more = text.read(wanted)
        held, at, wanted, over = held + more, 0, min(2 * wanted, 1 << 24), not more


def _alone(value: object, place: str, number: int) -> dict[str, Any] | str:
    """A first object; not one that has tables in it, as those of COCO have."""
    row = _object(value)
    if isinstance(row, str):
        return row
    tables = [
        key
        for key, each in row.items()
        if isinstance(each, list) and len(cast("list[object]", each)) > 64 and isinstance(each[0], dict)
    ]
    if tables:
        named = ", ".join(repr(one_line(str(key), most=40)) for key in tables[:5])
        return f"an object with tables in it, {named}; write one of them as an array, or an object a line"
    return row


def _is_json(place: str) -> bool:
    return name_of(place).lower().endswith(".json")


def _begins_with(start: bytes, mark: bytes) -> bool:
    return start.removeprefix(b"\xef\xbb\xbf").lstrip().startswith(mark)


def _is_list_a_line(start: bytes) -> bool:
    """Whether the first line of a file of lines is a list that is no row, and not an array of rows."""
    line = start.removeprefix(b"\xef\xbb\xbf").lstrip().partition(b"\n")[0]
    try:
        value: object = json.loads(line)
    except (ValueError, RecursionError):
        return False
    return isinstance(value, list) and not (value and isinstance(value[0], dict))
