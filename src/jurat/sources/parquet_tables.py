"""Parquet: the light columns are read in batches, the images' bytes only of the rows that are opened."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import partial
from threading import Lock
from typing import Any

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
from jurat.sources.base import LeftOut, Source, SourceOptions, open_place
from jurat.sources.cells import Cells
from jurat.sources.passed_over import PassedOver
from jurat.text import reason, shown

_LIGHT, _HEAVY = 1024, 16
"""Rows read at once, without and with images."""
_BOMB, _RATIO = 1 << 26, 100
"""Bytes that a row group may unpack to; if they are more, how many times the size of the file they may be."""
_MOST_HEAVY = 1 << 30
"""Bytes of such a row group that is beyond this ratio, and of which the images are read even so."""


def open_source(place: str, options: SourceOptions) -> Source:
    return _Parquet(place, options)


class _Parquet:
    def __init__(self, place: str, options: SourceOptions) -> None:
        self._place = place
        self._options = options

    def items(self, passed_over: PassedOver) -> Iterator[Item]:
        import pyarrow as pa

        try:
            yield from self._items(passed_over)
        except (pa.ArrowException, OSError) as error:
            raise ImageError(f"{shown(self._place)} is not a whole Parquet file: {reason(error)}") from error

    def count(self) -> int | None:
        with open_place(self._place, self._options.private_hosts) as file:
            return int(_parquet(file).metadata.num_rows)

    def _items(self, passed_over: PassedOver) -> Iterator[Item]:
        with open_place(self._place, self._options.private_hosts) as file:
            schema = _parquet(file).schema_arrow
            cells = Cells.of(self._place, schema.names, self._options, passed_over, declared_images(schema))
            heavy, listed = is_heavy(cells, schema.field(cells.column).type)
            light = [name for name in schema.names if not (heavy and name == cells.column)]
            file.seek(0)
            table = _parquet(file, [name for name in light if is_text(schema.field(name).type)])
            size = file.seek(0, os.SEEK_END)
            if (problem := too_many(table.metadata.num_rows, size)) is not None:
                raise ImageError(f"{shown(self._place)} is not read: {problem}")
            number = 0
            for group in range(table.num_row_groups):
                # Facts on single columns are not asked for: damaged ones end the process in pyarrow.
                facts = table.metadata.row_group(group)
                unpacked = int(facts.total_byte_size)
                is_bomb = unpacked > _BOMB and unpacked > _RATIO * size
                left_out = {name: LeftOut.of(unpacked, "bytes in its row group") for name in light if is_bomb}
                problem = None
                if heavy and is_bomb and unpacked > _MOST_HEAVY:
                    problem = _is_a_bomb(unpacked, size)
                at_once = 1 if is_bomb else max(1, min(_HEAVY, _BOMB * facts.num_rows // max(1, unpacked)))
                reader = _Images(cells, group, self._options, at_once)
                first = number
                for row in self._rows(table, group, cells, [] if is_bomb else light):
                    if isinstance(row, int):
                        what = f"the {row:,} rows from {number:,} on" if row != 1 else f"row {number:,}"
                        yield cells.failed(number, f"{shown(self._place)} is damaged, and {what} not read")
                        number += row
                        continue
                    if problem is not None:
                        yield cells.failed(number, problem)
                    else:
                        images = None
                        if heavy:
                            at = (number - first, number)
                            images = partial(reader.images, *at) if listed else (partial(reader.read, *at),)
                        yield cells.item(number, left_out | row, images)
                    number += 1

    def _rows(self, table: Any, group: int, cells: Cells, light: list[str]) -> Iterator[dict[str, Any] | int]:
        """The light cells of the rows of a row group; the number of rows of a batch that is damaged."""
        if not light:  # there are no batches to count rows by
            yield from ({} for _ in range(table.metadata.row_group(group).num_rows))
            return
        for batch in table.iter_batches(_LIGHT, row_groups=[group], columns=light):
            if damage_of(batch.columns) is not None:
                yield batch.num_rows
            else:
                yield from rows_of(batch, cells.most_text, cells.column)


def _is_a_bomb(unpacked: int, size: int) -> str:
    return (
        f"its row group unpacks to {unpacked:,} bytes, more than {_RATIO} times the {size:,} of its file;"
        " it may be a decompression bomb and was not read"
    )


@dataclass
class _Images:
    """Reads the image column of one row group, forwards; an item that lies behind starts it anew."""

    cells: Cells
    group: int
    options: SourceOptions
    at_once: int = _HEAVY
    _read: Iterator[Any] | None = field(default=None, repr=False)
    _next: int = 0
    _damaged: tuple[int, str] | None = None
    """From which row on nothing can be read, and why."""
    _lock: Lock = field(default_factory=Lock, repr=False)

    def read(self, row: int, number: int) -> bytes:
        """The bytes in a row of the group; `number` is its number in the file."""
        return bytes_of(self.cells, self._cell(row, number), number)

    def images(self, row: int, number: int) -> tuple[LazyImage, ...]:
        """The images in a row that holds a list of them."""
        return self.cells.images(self._cell(row, number) or (), number)

    def _cell(self, row: int, number: int) -> Any:
        import pyarrow as pa

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
                    f"row {number} of {shown(self.cells.place)} cannot be read: {reason(error)}"
                ) from error
        return value_of(cell)

    def _all(self) -> Iterator[Any]:
        import pyarrow as pa

        with open_place(self.cells.place, self.options.private_hosts) as file:
            column = [self.cells.column]
            batches = _parquet(file).iter_batches(self.at_once, row_groups=[self.group], columns=column)
            for batch in batches:
                if (problem := damage_of(batch.columns)) is not None:
                    raise pa.ArrowInvalid(problem)
                yield from batch.column(0)

    def __getstate__(self) -> tuple[Any, ...]:
        return self.cells, self.group, self.options, self.at_once

    def __setstate__(self, state: tuple[Any, ...]) -> None:
        self.__init__(*state)


def _parquet(file: Any, as_dictionary: list[str] | None = None) -> Any:
    import pyarrow.parquet as pq

    # As a dictionary, a long text that many rows share is held once. Row groups of images may have
    # hundreds of megabytes: pages are read as they come.
    return pq.ParquetFile(file, read_dictionary=as_dictionary, pre_buffer=False, buffer_size=1 << 20)
