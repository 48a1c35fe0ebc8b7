"""Rows of the tables and JSON files of a set; one that cannot be read says why."""

from __future__ import annotations

import csv
import io
import json
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any, cast

import pyarrow as pa
import pyarrow.parquet as pq

from jurat.content import ImageError, LazyImage
from jurat.errors import JuratError
from jurat.media import DEFAULT_MAX_BYTES
from jurat.sources import SourceOptions, find_items
from jurat.sources.cells import as_text, image_in, image_list, unwrap
from jurat.sources.delimited import TableShape, UnreadableRow, delimited_rows
from jurat.sources.lines import MOST
from jurat.sources.openers import InMemory, Unreadable
from jurat.sources.table_rows import IMAGES
from jurat.text import one_line, reason, shown

_LONGEST_INDEX = 64
"""Characters of a cell that may name another row."""
_MOST_BROKEN = 100
"""Rows with a broken quote in a table of images, behind each of which the file is read again."""


@dataclass(frozen=True)
class Row:
    """One row of a table, or one record of a JSON file."""

    place: str
    """The file and the row, from 1: "data/question/safebench.csv:12"."""
    cells: Mapping[str, Any] = field(default_factory=dict[str, Any])
    """Text in CSV, TSV and Parquet; in JSON whatever it holds."""
    images: Sequence[LazyImage] = ()
    """The images in the row itself, of a table that holds them."""
    problem: str | None = None
    """Why the row cannot be read; its cells are empty then, or what could be read of them."""

    def plus(self, **cells: Any) -> Row:
        """The row with further cells, which replace its own of the same name."""
        return replace(self, cells={**self.cells, **cells})


class JsonObject(dict[str, Any]):
    """An object in which a key occurs twice; the last value of each key is taken."""

    pairs: list[tuple[str, Any]]
    """All keys and values, in their order."""


def parse_json(text: str, name: str, notes: Counter[str]) -> Any:
    """The value in a text. Raises JuratError where it is none; a key that occurs twice is counted."""

    try:
        return json.loads(text, object_pairs_hook=partial(_object, name, notes))
    except (ValueError, RecursionError) as error:
        raise JuratError(f"{shown(name)} is not JSON: {reason(error)}") from error


def _object(name: str, notes: Counter[str], pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    plain = dict(pairs)
    if len(plain) == len(pairs):
        return plain
    notes[f"objects of {shown(name)} have a key twice"] += 1
    found = JsonObject(plain)
    found.pairs = pairs
    return found


def json_records(text: str, name: str, notes: Counter[str], id_key: str) -> Iterator[Row]:
    """The objects in a list, in an object of objects (whose keys become `id_key`), or one a line. A file with
    an object a line may be named `.json`, and a list `.jsonl`."""
    if _is_lines(text, name):
        yield from _json_lines(text, name, notes)
        return
    value = parse_json(text, name, notes)
    if isinstance(value, dict):
        pairs: list[tuple[str | None, Any]] = list(
            getattr(value, "pairs", cast("dict[str, Any]", value).items())
        )
    elif isinstance(value, list):
        pairs = [(None, each) for each in cast("list[Any]", value)]
    else:
        raise JuratError(f"{shown(name)} holds {_kind(value)}, neither a list nor an object.")
    for number, (key, record) in enumerate(pairs, 1):
        place = f"{name}:{number}"
        if isinstance(record, dict):
            cells = cast("dict[str, Any]", record)
            yield Row(place, cells if key is None else {id_key: key, **cells})
        else:
            yield Row(place, problem=f"it is {_kind(record)}, not an object")


def _is_lines(text: str, name: str) -> bool:
    """Whether a text holds an object a line: its first line is a whole object, and it is not alone."""
    text = text.lstrip()
    if name.lower().endswith((".jsonl", ".ndjson")):
        return not text.startswith("[")
    first, _, rest = text.partition("\n")
    if not rest.strip():
        return False
    try:
        return isinstance(json.loads(first), dict)
    except (ValueError, RecursionError):
        # A first line may be damaged; the second tells.
        return first.startswith("{") and len(first) > 1 and rest.lstrip().startswith("{")


def _json_lines(text: str, name: str, notes: Counter[str]) -> Iterator[Row]:
    number = 0
    for line in text.split("\n"):
        if not line.strip():
            continue
        number += 1
        place = f"{name}:{number}"
        try:
            value = json.loads(line, object_pairs_hook=partial(_object, name, notes))
        except (ValueError, RecursionError) as error:
            yield Row(place, problem=f"it is not JSON: {reason(error)}")
            continue
        if isinstance(value, dict):
            yield Row(place, cast("dict[str, Any]", value))
        else:
            yield Row(place, problem=f"it is {_kind(value)}, not an object")


def table_rows(
    text: str, name: str, notes: Counter[str], columns: Sequence[str], delimiter: str, blank: bool
) -> Iterator[Row]:
    """The rows of a CSV or TSV text; see `SetFiles.table`."""
    shape = TableShape()
    rows = delimited_rows(io.StringIO(text, newline=""), delimiter, name, shape, blank=blank)
    names = list(columns)
    if not names:
        header = next((row for row in rows if row), [])
        if isinstance(header, UnreadableRow):
            raise JuratError(f"{shown(name)} cannot be read: its first line: {header.problem}")
        names = _distinct([cell.strip() for cell in header], name, notes)
        if len(names) == 1 and (other := next((each for each in ";\t|," if each in names[0]), "")):
            notes[f"{shown(name)} has one column: {other!r} separates no cells of it, {delimiter!r} does"] = 1
        shape.width = len(names)
        shape.column = next((at for at, each in enumerate(names) if each.lower() in IMAGES), 0)
    try:
        for number, row in enumerate(rows, 1):
            yield _row(f"{name}:{number}", row, names, is_headed=not columns, notes=notes, name=name)
    except ImageError as error:
        notes[f"{shown(name)} was not read to its end: {error.message}"] += 1


def _row(
    place: str,
    row: list[str] | UnreadableRow,
    names: list[str],
    *,
    is_headed: bool,
    notes: Counter[str],
    name: str,
) -> Row:
    if isinstance(row, UnreadableRow):
        return Row(place, problem=f"line {row.line:,}: {row.problem}")
    if len(row) > len(names):
        if is_headed:
            return Row(place, problem=f"it has {len(row)} cells, not {len(names)}")
        names = [*names, *map(str, range(len(names) + 1, len(row) + 1))]
    if row and len(row) < len(names):
        notes[f"rows of {shown(name)} with fewer cells than columns"] += 1
    return Row(place, dict(zip(names, row, strict=False)))


def _distinct(names: list[str], name: str, notes: Counter[str]) -> list[str]:
    times: Counter[str] = Counter()
    found: list[str] = []
    for each in names:
        times[each] += 1
        found.append(each if times[each] == 1 else f"{each}.{times[each]}")
    if len(times) < len(names):
        notes[f"columns of {shown(name)} with the name of an earlier one"] += len(names) - len(times)
    return found


def arrow_image_rows(path: str, name: str, column: str) -> Iterator[Row]:
    """The rows of a Parquet or Arrow file whose images are in its cells."""
    absent = _absent_images(path, column) if name.lower().endswith(".parquet") else iter(())
    for number, item in enumerate(find_items([path], options=SourceOptions(column=column)), 1):
        place = f"{name}:{number}"
        try:
            images = () if next(absent, False) else item.lazy_images()
        except ImageError as error:
            yield Row(place, item.columns, problem=error.message)
            continue
        problem = next((one.open.problem for one in images if isinstance(one.open, Unreadable)), None)
        yield Row(place, item.columns, () if problem else images, problem)


def parquet_rows(data: bytes, name: str) -> Iterator[Row]:
    """The rows of a Parquet file without images, as text. Raises JuratError where it is none, or damaged."""
    number = 0
    try:
        with pq.ParquetFile(pa.BufferReader(data)) as file:
            for batch in cast("Any", file).iter_batches(batch_size=1024):
                for cells in batch.to_pylist():
                    number += 1
                    texts = {key: text for key, cell in cells.items() if (text := as_text(cell)) is not None}
                    yield Row(f"{name}:{number}", texts)
    except (pa.ArrowException, OSError) as error:
        raise JuratError(f"{shown(name)} is not a whole Parquet file: {reason(error)}") from error


def _absent_images(path: str, column: str) -> Iterator[bool]:
    """Whether the image of each row is null, told without reading images: by the column of their paths.
    Ends at once where that column would be needed and is not there."""
    try:
        with pq.ParquetFile(path) as file:
            parquet = cast("Any", file)
            kind = parquet.schema_arrow.field(column).type
            if not (pa.types.is_struct(kind) or pa.types.is_string(kind) or pa.types.is_null(kind)):
                return
            if pa.types.is_struct(kind) and kind.get_field_index("path") < 0:
                return
            name = f"{column}.path" if pa.types.is_struct(kind) else column
            for batch in parquet.iter_batches(columns=[name]):
                yield from batch.column(0).is_null().to_pylist()
    except (pa.ArrowException, OSError, KeyError, ValueError):
        return  # the rows themselves say what is wrong with the file


@dataclass(frozen=True)
class TableCell:
    """Reads an image in base64 from a row of a TSV or CSV file."""

    path: str
    start: int
    size: int
    """The bytes of its row."""
    delimiter: str
    column: int
    part: int | None = None
    """Its place, from 0, in a cell that holds a list."""
    max_bytes: int = DEFAULT_MAX_BYTES

    def __call__(self) -> bytes:
        try:
            with open(self.path, "rb") as file:
                file.seek(self.start)
                text = file.read(self.size).decode("utf-8", "replace")
            csv.field_size_limit(MOST)
            row = next(csv.reader(io.StringIO(text, newline=""), delimiter=self.delimiter))
            cell = unwrap(row[self.column])
            if self.part is not None:
                cell = unwrap((image_list(cell) or ())[self.part])
        except (OSError, csv.Error, StopIteration, IndexError) as error:
            raise ImageError(f"{shown(self.path)} has changed since it was listed") from error
        found = image_in(cell, str(self.column), self.max_bytes)
        if isinstance(found, str):
            raise ImageError(f"{shown(self.path)} has changed since it was listed")
        return InMemory(found, self.max_bytes)()


@dataclass
class _TextRow:
    """A row of a TSV file without its images."""

    place: str
    cells: dict[str, str]
    images: tuple[LazyImage, ...] = ()
    refers_to: str | None = None
    """The index of the row that has its image."""
    problem: str | None = None


def text_image_rows(path: str, name: str, column: str, index: str, delimiter: str) -> Iterator[Row]:
    """The rows of a TSV or CSV file with images in base64. An image may be a list of them, or the index of
    another row, whose images it stands for."""
    rows = list(_text_rows(path, name, column, delimiter))
    by_index = {row.cells.get(index, ""): row for row in reversed(rows)}
    for row in rows:
        holder, seen = row, {row.place}
        while holder.refers_to is not None:
            found = by_index.get(holder.refers_to)
            if found is None or found.place in seen:
                row.problem = (
                    f"its image is that of the row with the {index} {holder.refers_to!r}, which has none"
                )
                break
            seen.add(found.place)
            holder = found
        problem = row.problem or holder.problem
        yield Row(row.place, row.cells, () if problem else holder.images, problem)


def _text_rows(path: str, name: str, column: str, delimiter: str) -> Iterator[_TextRow]:
    csv.field_size_limit(MOST)
    with open(path, "rb") as file:
        lines = _Offsets(file)
        header = next(rows := lines.rows(delimiter), [])
        if isinstance(header, str):
            raise JuratError(f"{shown(name)} cannot be read: its first line: {header}")
        names = [cell.strip() for cell in header]
        if column not in names:
            raise JuratError(f"{shown(name)} has no column {column!r}.")
        at = names.index(column)
        for number, row in enumerate(rows, 1):
            found = _TextRow(f"{name}:{number}", {})
            if isinstance(row, str):
                found.problem = f"it is no row: {row}"
            elif len(row) != len(names):
                found.problem = f"it has {len(row)} cells, not {len(names)}"
            else:
                found.cells = {key: cell for key, cell in zip(names, row, strict=True) if key != column}
                opener = TableCell(path, lines.start, lines.end - lines.start, delimiter, at)
                _take_images(found, row[at], opener, f"{path}#{number - 1}")
            yield found


def _take_images(row: _TextRow, cell: str, opener: TableCell, uri: str) -> None:
    """Puts the images of a cell into its row, or the index of another row, or what is wrong."""
    text = cell.strip()
    if not text:
        return
    if len(text) <= _LONGEST_INDEX and text.isdecimal():
        row.refers_to = text
        return
    inside = unwrap(text)
    parts = image_list(inside)
    try:
        for each in (inside,) if parts is None else parts:
            if isinstance(image_in(unwrap(each), "image", DEFAULT_MAX_BYTES), str):
                raise ImageError("a text in its image column that is no image in base64")
    except ImageError as error:
        row.problem = f"it has {error.message}"
        return
    if parts is None:
        row.images = (LazyImage(uri, opener),)
    else:
        several = (replace(opener, part=at) for at in range(len(parts)))
        row.images = tuple(LazyImage(f"{uri}/{at}", each) for at, each in enumerate(several))


class _Offsets:
    """The rows of a file, with their places in it: `start` and `end` are the offsets of the last one, in
    bytes."""

    def __init__(self, file: io.BufferedReader) -> None:
        self._file = file
        self.start = self.end = 3 if file.peek(3)[:3] == b"\xef\xbb\xbf" else 0
        self._second = 0
        """The offset of the row's second line, once its first was read; 0 before."""

    def rows(self, delimiter: str) -> Iterator[list[str] | str]:
        """The rows that have cells; in the place of one with broken quotes what is wrong with it. The lines
        that such a row seemed to take up are read as rows of their own."""
        broken = 0
        reader = self._reader(delimiter)
        while True:
            self.start, self._second = self.end, 0
            try:
                row = next(reader)
            except StopIteration:
                return
            except csv.Error as error:
                broken += 1
                if broken > _MOST_BROKEN:
                    yield f"{broken:,} rows have broken quotes; those behind this one were not read"
                    return
                yield reason(error)
                self.end = self._second
                reader = self._reader(delimiter)
                continue
            if row:
                yield row

    def _reader(self, delimiter: str) -> Iterator[list[str]]:
        self._file.seek(self.end)
        return csv.reader(self, delimiter=delimiter, strict=True)

    def __iter__(self) -> Iterator[str]:
        return self

    def __next__(self) -> str:
        line = self._file.readline(MOST)
        if not line:
            raise StopIteration
        self.end += len(line)
        self._second = self._second or self.end
        return line.decode("utf-8", "replace")


def _kind(value: object) -> str:
    return one_line(f"a {type(value).__name__}", most=40)
