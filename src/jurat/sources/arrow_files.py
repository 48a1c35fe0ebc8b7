"""Arrow files, and the folders of them that `datasets` writes, read with pyarrow alone."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, cast

import pyarrow as pa

from jurat.content import ImageError, Item, LazyImage
from jurat.sources.arrow_columns import (
    bytes_of,
    damage_of,
    declared_images,
    is_heavy,
    rows_of,
    too_many,
    value_of,
)
from jurat.sources.openers import open_regular
from jurat.sources.passed_over import FACTS, PassedOver
from jurat.sources.protocol import FileSource, unreadable
from jurat.sources.table_rows import TableRows
from jurat.sources.uris import scheme_of
from jurat.text import reason, shown

_FILE_MAGIC = b"ARROW1"
_LONGEST_FACTS = 1 << 24
_FACTS = ("dataset_dict.json", "dataset_info.json", "state.json")


class DatasetFolder(FileSource):
    """A folder that `datasets` wrote."""

    def items(self, passed_over: PassedOver) -> Iterator[Item]:
        files = _files(self.place)
        _count_others(self.place, files, passed_over)
        for file in files:
            try:
                yield from ArrowFile(file, self.options).items(passed_over)
            except ImageError as error:  # the other files are judged all the same
                yield unreadable(file, error.message)

    def count(self) -> int | None:
        return sum(ArrowFile(file, self.options).count() or 0 for file in _files(self.place))


def _count_others(folder: str, files: list[str], passed_over: PassedOver) -> None:
    """Counts the files in a folder that hold none of its rows."""
    rows = set(files)
    for inside, _, names in os.walk(folder):
        for name in names:
            path = os.path.join(inside, name)
            if name in _FACTS:
                passed_over.add(FACTS)
            elif path not in rows:
                passed_over.file(path)


def _files(folder: str) -> list[str]:
    """The Arrow files of a folder that `datasets` wrote, in their order, split by split."""
    splits = _told(os.path.join(folder, "dataset_dict.json")).get("splits")
    if isinstance(splits, list):
        inside = [_inside(folder, name) for name in cast("list[object]", splits)]
        return [file for split in inside for file in _files(split)]
    named = _told(os.path.join(folder, "state.json")).get("_data_files")
    if isinstance(named, list):
        entries = cast("list[dict[str, object]]", named)
        return [_inside(folder, entry.get("filename")) for entry in entries]
    try:
        names = sorted(os.listdir(folder))
    except OSError as error:
        raise ImageError(f"the folder cannot be listed: {reason(error)}: {shown(folder)}") from error
    found = [os.path.join(folder, name) for name in names if name.endswith(".arrow")]
    if not found:
        raise ImageError(f"the folder has no Arrow files: {shown(folder)}")
    return found


def _told(path: str) -> dict[str, object]:
    try:
        with open_regular(path) as file:
            told: object = json.loads(file.read(_LONGEST_FACTS).decode("utf-8-sig"))
    except FileNotFoundError:
        return {}
    except (OSError, ValueError, RecursionError) as error:
        raise ImageError(f"cannot be read ({reason(error)}): {shown(path)}") from error
    return cast("dict[str, object]", told) if isinstance(told, dict) else {}


def _inside(folder: str, name: object) -> str:
    if not isinstance(name, str) or os.path.basename(name) != name or name in ("", ".", ".."):
        raise ImageError(f"the dataset names a file outside its folder: {shown(folder)}")
    return os.path.join(folder, name)


class ArrowFile(FileSource):
    """One file, in Arrow's stream or file format, mapped into memory where it is local."""

    def items(self, passed_over: PassedOver) -> Iterator[Item]:
        rows: TableRows | None = None
        number = 0
        try:
            for batch in self._batches():
                if isinstance(batch, str):
                    yield unreadable(self.place, batch)
                    continue
                if rows is None:
                    names, images = batch.schema.names, declared_images(batch.schema)
                    rows = TableRows.of(self.place, names, self.options, passed_over, images)
                yield from _items(rows, batch, number)
                number += batch.num_rows
        except (pa.ArrowException, OSError) as error:
            raise ImageError(f"{shown(self.place)} is not a whole Arrow file: {reason(error)}") from error

    def count(self) -> int | None:
        if scheme_of(self.place) is not None:
            return None
        return sum(batch.num_rows for batch in self._batches() if not isinstance(batch, str))

    def _batches(self) -> Iterator[Any]:
        """The batches, or a line on one of them that cannot be read. None of them is checked yet."""
        with self.open() as file:
            magic = file.read(len(_FILE_MAGIC))
        if scheme_of(self.place) is None:
            source: Any = pa.memory_map(self.place)
        else:
            source = pa.PythonFile(self.open(), "r")
        with source:
            if magic != _FILE_MAGIC:
                yield from pa.ipc.open_stream(source)
                return
            reader = pa.ipc.open_file(source)
            for index in range(reader.num_record_batches):
                try:
                    batch = reader.get_batch(index)
                except (pa.ArrowException, OSError) as error:  # the others may be whole
                    which = f"batch {index + 1} of {reader.num_record_batches} of {shown(self.place)}"
                    batch = f"{which} is damaged, and its rows are not read: {reason(error)}"
                yield batch


def _items(rows: TableRows, batch: Any, first: int) -> Iterator[Item]:
    """The items of a batch, whose first row is number `first` of its file; one for all if it is damaged."""
    problem = too_many(batch.num_rows, batch.get_total_buffer_size()) or damage_of(batch.columns)
    if problem is not None:
        which = f"the {batch.num_rows:,} rows from {first:,} on" if batch.num_rows != 1 else "it"
        yield rows.failed(first, f"{shown(rows.place)} is damaged, and {which} not read: {problem}")
        return
    column = batch.column(batch.schema.get_field_index(rows.column))
    heavy, listed = is_heavy(rows, column.type)
    light = [name for name in batch.schema.names if not (heavy and name == rows.column)]
    for at, row in enumerate(rows_of(batch.select(light), rows.most_text, rows.column)):
        images = None
        if heavy:
            cell = _Cell(rows, column.slice(at, 1), first + at)
            images = cell.images if listed else (cell,)
        yield rows.item(first + at, row, images)


@dataclass(frozen=True)
class _Cell:
    """One row of a batch, copied out of the mapped file when it is opened."""

    rows: TableRows
    cell: Any
    number: int

    def __call__(self) -> bytes:
        return bytes_of(self.rows, value_of(self.cell[0]), self.number)

    def images(self) -> tuple[LazyImage, ...]:
        return self.rows.images(value_of(self.cell[0]) or (), self.number)
