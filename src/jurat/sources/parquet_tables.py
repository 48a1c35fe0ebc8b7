"""Parquet tables: light columns are read in batches, image bytes only for rows that are opened."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import partial
from threading import Lock
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from jurat.content import ImageError, Item, LazyImage
from jurat.sources.arrow_columns import (
    bytes_of,
    damage_of,
    declared_images,
    is_heavy,
    is_text,
    rows_of,
    too_many,
    value_of,
)
from jurat.sources.passed_over import PassedOver
from jurat.sources.protocol import FileSource, OmittedText, open_place
from jurat.sources.table_rows import TableRows
from jurat.text import reason, shown

_LIGHT, _HEAVY = 1024, 16
"""Rows read at once, without and with images."""
_BOMB, _RATIO = 1 << 26, 100
"""Bytes that a row group may unpack to; if they are more, how many times the size of the file they may be."""
_MOST_HEAVY = 1 << 30
"""Bytes of such a row group that is beyond this ratio, and of which the images are read even so."""


class ParquetTable(FileSource):
    """One Parquet file."""

    def items(self, passed_over: PassedOver) -> Iterator[Item]:
        try:
            yield from self._items(passed_over)
        except (pa.ArrowException, OSError) as error:
            raise ImageError(f"{shown(self.place)} is not a whole Parquet file: {reason(error)}") from error

    def count(self) -> int | None:
        with self.open() as file:
            return int(_parquet(file).metadata.num_rows)

    def _items(self, passed_over: PassedOver) -> Iterator[Item]:
        with self.open() as file:
            schema = _parquet(file).schema_arrow
            rows = TableRows.of(self.place, schema.names, self.options, passed_over, declared_images(schema))
            heavy, listed = is_heavy(rows, schema.field(rows.column).type)
            light = [name for name in schema.names if not (heavy and name == rows.column)]
            file.seek(0)
            table = _parquet(file, [name for name in light if is_text(schema.field(name).type)])
            size = file.seek(0, os.SEEK_END)
            if (problem := too_many(table.metadata.num_rows, size)) is not None:
                raise ImageError(f"{shown(self.place)} is not read: {problem}")
            first = 0
            for number in range(table.num_row_groups):
                group = _RowGroup(rows, table, number, size, heavy, listed)
                yield from group.items(light, first)
                first += group.facts.num_rows


@dataclass
class _RowGroup:
    """One row group of a file of `size` bytes."""

    rows: TableRows
    table: Any
    number: int
    size: int
    heavy: bool
    listed: bool

    def __post_init__(self) -> None:
        # Facts on single columns are not asked for: damaged ones end the process in pyarrow.
        self.facts = self.table.metadata.row_group(self.number)
        self.unpacked = int(self.facts.total_byte_size)
        self.is_bomb = self.unpacked > _BOMB and self.unpacked > _RATIO * self.size

    def items(self, light: list[str], first: int) -> Iterator[Item]:
        """Its items; `first` is the number of its first row in the file."""
        left_out = OmittedText.of(self.unpacked, "bytes in its row group")
        texts = dict.fromkeys(light, left_out) if self.is_bomb else {}
        problem = None
        if self.heavy and self.is_bomb and self.unpacked > _MOST_HEAVY:
            problem = (
                f"its row group unpacks to {self.unpacked:,} bytes, more than {_RATIO} times the"
                f" {self.size:,} of its file; it may be a decompression bomb and was not read"
            )
        at_once = max(1, min(_HEAVY, _BOMB * self.facts.num_rows // max(1, self.unpacked)))
        reader = _Images(self.rows, self.number, 1 if self.is_bomb else at_once)
        number = first
        for row in self._light_cells([] if self.is_bomb else light):
            if isinstance(row, int):
                which = f"the {row:,} rows from {number:,} on" if row != 1 else f"row {number:,}"
                what = f"{shown(self.rows.place)} is damaged, and {which} not read"
                yield self.rows.failed(number, what)
                number += row
                continue
            if problem is not None:
                yield self.rows.failed(number, problem)
            else:
                images, at = None, (number - first, number)
                if self.heavy:
                    images = partial(reader.images, *at) if self.listed else (partial(reader.read, *at),)
                yield self.rows.item(number, texts | row, images)
            number += 1

    def _light_cells(self, light: list[str]) -> Iterator[dict[str, Any] | int]:
        """The cells of rows without images; the number of rows of a batch that is damaged."""
        if not light:  # there are no batches to count rows by
            yield from ({} for _ in range(self.facts.num_rows))
            return
        for batch in self.table.iter_batches(_LIGHT, row_groups=[self.number], columns=light):
            if damage_of(batch.columns) is not None:
                yield batch.num_rows
            else:
                yield from rows_of(batch, self.rows.most_text, self.rows.column)


@dataclass
class _Images:
    """Reads the image column of one row group, forwards; an item that lies behind starts it anew."""

    rows: TableRows
    group: int
    at_once: int = _HEAVY
    _read: Iterator[Any] | None = field(default=None, repr=False)
    _next: int = 0
    _damaged: tuple[int, str] | None = None
    """From which row on nothing can be read, and why."""
    _lock: Lock = field(default_factory=Lock, repr=False)

    def read(self, row: int, number: int) -> bytes:
        """The bytes in a row of the group; `number` is its number in the file."""
        return bytes_of(self.rows, self._cell(row, number), number)

    def images(self, row: int, number: int) -> tuple[LazyImage, ...]:
        """The images in a row that holds a list of them."""
        return self.rows.images(self._cell(row, number) or (), number)

    def _cell(self, row: int, number: int) -> Any:
        with self._lock:
            try:
                if self._damaged is not None and row >= self._damaged[0]:
                    raise pa.ArrowInvalid(self._damaged[1])
                if self._read is None or self._next > row:
                    self._read, self._next = self._all(), 0
                while self._next < row:
                    next(self._read)
                    self._next += 1
                cell = next(self._read)
                self._next += 1
            except (pa.ArrowException, OSError, StopIteration) as error:
                self._read, self._damaged = None, self._damaged or (self._next, reason(error))
                raise ImageError(
                    f"row {number} of {shown(self.rows.place)} cannot be read: {reason(error)}"
                ) from error
        return value_of(cell)

    def _all(self) -> Iterator[Any]:
        with open_place(self.rows.place, self.rows.options.private_hosts) as file:
            column = [self.rows.column]
            batches = _parquet(file).iter_batches(self.at_once, row_groups=[self.group], columns=column)
            for batch in batches:
                if (problem := damage_of(batch.columns)) is not None:
                    raise pa.ArrowInvalid(problem)
                yield from batch.column(0)

    def __getstate__(self) -> tuple[Any, ...]:
        return self.rows, self.group, self.at_once

    def __setstate__(self, state: tuple[Any, ...]) -> None:
        self.__init__(*state)


def _parquet(file: Any, as_dictionary: list[str] | None = None) -> Any:
    # As a dictionary, a long text that many rows share is held once. Row groups of images may have
    # hundreds of megabytes: pages are read as they come.
    return pq.ParquetFile(file, read_dictionary=as_dictionary, pre_buffer=False, buffer_size=1 << 20)
