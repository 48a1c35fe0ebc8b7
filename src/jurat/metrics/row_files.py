"""Files of rows for `jurat metrics`: CSV, TSV, JSONL, JSON and Parquet, by the end of the name.

A row that cannot be read is a problem that names its line, never a row less. A file whose rows cannot be told
apart (an open quote, UTF-16, damaged Parquet) is an error.
"""

from __future__ import annotations

import csv
import io
import json
import re
from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, cast

from jurat.errors import JuratError
from jurat.metrics.metric_rows import RowTable
from jurat.metrics.metric_value import RowProblem
from jurat.text import is_unicode, one_line, reason, shown

SUFFIXES = (".csv", ".tsv", ".jsonl", ".ndjson", ".json", ".parquet")
_LINE_END = re.compile(r"\r\n|\r|\n")
MOST_CHARACTERS = 1 << 24
"""Longest cell that is read."""


def read_rows(path: Path) -> RowTable:
    """The rows of a file.

    Raises:
        JuratError: it is not there, of another kind, or its rows cannot be told apart.
    """
    suffix = path.suffix.lower()
    if suffix not in SUFFIXES:
        raise JuratError(
            f"{shown(str(path))} is no file of rows.", hint=f"Its name must end in {', '.join(SUFFIXES)}."
        )
    try:
        if suffix == ".parquet":
            return _parquet(path)
        text = _text(path)
    except OSError as error:
        raise JuratError(f"{shown(str(path))} cannot be read: {reason(error)}") from error
    if suffix in (".csv", ".tsv"):
        return _delimited(text, path, "\t" if suffix == ".tsv" else ",")
    return _array(text, path) if suffix == ".json" else _lines(text)


def _text(path: Path) -> str:
    data = path.read_bytes()
    if data.startswith((b"\xff\xfe", b"\xfe\xff")) or b"\0" in data[:4096]:
        raise JuratError(f"{shown(str(path))} is not text in UTF-8.", hint="Save it in UTF-8.")
    return data.decode("utf-8-sig", "surrogateescape")


def _delimited(text: str, path: Path, delimiter: str) -> RowTable:
    csv.field_size_limit(MOST_CHARACTERS)
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True)
    columns: tuple[str, ...] = ()
    rows: list[Mapping[str, Any]] = []
    places: list[str] = []
    problems: list[RowProblem] = []
    line, last = 1, len(_LINE_END.split(text.rstrip()))
    try:
        for cells in reader:
            place, line = f"line {line}", reader.line_num + 1
            if not columns:
                if cells:
                    columns = _header(cells, path)
            elif not cells and len(columns) == 1 and reader.line_num < last:
                _keep({columns[0]: ""}, place, rows, places, problems)  # its only cell is empty
            elif cells and len(cells) != len(columns):
                what = f"{len(cells)} cells where the header has {len(columns)}"
                problems.append(RowProblem(place, what))
            elif cells:
                _keep(dict(zip(columns, cells, strict=True)), place, rows, places, problems)
    except csv.Error as error:
        raise JuratError(
            f"{shown(str(path))} cannot be read from line {line} on: {reason(error)}",
            hint="A quote that is not closed, or not doubled inside a cell, hides where rows end.",
        ) from error
    return RowTable(columns, rows, places, tuple(problems))


def _header(cells: list[str], path: Path) -> tuple[str, ...]:
    columns = tuple(cell.strip() for cell in cells)
    twice = [name for name, times in Counter(columns).items() if times > 1]
    if twice:
        names = ", ".join(repr(one_line(name)) for name in twice)
        raise JuratError(f"{shown(str(path))} has more than one column {names}.")
    return columns


def _keep(
    row: Mapping[str, Any],
    place: str,
    rows: list[Mapping[str, Any]],
    places: list[str],
    problems: list[RowProblem],
) -> None:
    """Adds a row of a text file, or the problem that its bytes are not UTF-8."""
    if any(isinstance(cell, str) and not is_unicode(cell) for cell in row.values()):
        problems.append(RowProblem(place, "not UTF-8"))
    else:
        rows.append(row)
        places.append(place)


def _lines(text: str) -> RowTable:
    numbered = ((f"line {number}", line) for number, line in enumerate(text.split("\n"), 1) if line.strip())
    return _objects((place, _decoded(line)) for place, line in numbered)


def _array(text: str, path: Path) -> RowTable:
    values = _decoded(text)
    if isinstance(values, ValueError):
        raise JuratError(f"{shown(str(path))} is not JSON: {reason(values)}")
    if not isinstance(values, list):
        raise JuratError(
            f"{shown(str(path))} is no JSON array of objects.", hint="Name it .jsonl if it is one a line."
        )
    listed = cast("list[Any]", values)
    return _objects((f"row {number}", value) for number, value in enumerate(listed, 1))


def _decoded(text: str) -> Any:
    """The value, or the error that it raised. An object that has a key twice is an error."""
    try:
        return json.loads(text, object_pairs_hook=_unique)
    except RecursionError:
        return ValueError("nested too deeply")
    except ValueError as error:
        return error


def _unique(pairs: list[tuple[str, Any]]) -> Any:
    found = dict(pairs)
    if len(found) < len(pairs):
        twice = next(name for name, times in Counter(name for name, _ in pairs).items() if times > 1)
        raise ValueError(f"the key {one_line(twice)!r} is there twice")
    return found


def _objects(values: Iterator[tuple[str, Any]]) -> RowTable:
    rows: list[Mapping[str, Any]] = []
    places: list[str] = []
    problems: list[RowProblem] = []
    for place, value in values:
        if isinstance(value, ValueError):
            problems.append(RowProblem(place, one_line(f"not JSON: {value}")))
        elif not isinstance(value, dict):
            problems.append(RowProblem(place, "not an object {...}"))
        else:
            _keep(cast("dict[str, Any]", value), place, rows, places, problems)
    return RowTable(tuple(dict.fromkeys(name for row in rows for name in row)), rows, places, tuple(problems))


def _parquet(path: Path) -> RowTable:
    import pyarrow as pa
    from pyarrow import parquet

    try:
        table: Any = parquet.ParquetFile(path).read()
        names = _header([str(name) for name in table.column_names], path)
        rows = cast("list[Mapping[str, Any]]", table.rename_columns(names).to_pylist())
    except (pa.ArrowException, ValueError) as error:
        raise JuratError(f"{shown(str(path))} cannot be read: {reason(error)}") from error
    return RowTable(names, rows, [f"row {number}" for number in range(1, len(rows) + 1)])
