"""Parquet: the light columns are read in batches, the images' bytes only of the rows that are opened."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial
from threading import Lock
from typing import Any, cast

from jurat.images.errors import ImageError, reason, shown
from jurat.images.item import Item, Member
from jurat.images.sources.base import Source, SourceOptions, open_place
from jurat.images.sources.cells import Cells

_LIGHT, _HEAVY = 1024, 16
"""Rows read at once, without and with images."""


def open_source(place: str, options: SourceOptions) -> Source:
    return _Parquet(place, options)


class _Parquet:
    def __init__(self, place: str, options: SourceOptions) -> None:
        self._place = place
        self._options = options

    def items(self) -> Iterator[Item]:
        import pyarrow as pa

        try:
            yield from self._items()
        except (pa.ArrowException, OSError) as error:
            raise ImageError(f"{shown(self._place)} is not a whole Parquet file: {reason(error)}") from error

    def count(self) -> int | None:
        with open_place(self._place) as file:
            return int(_parquet(file).metadata.num_rows)

    def _items(self) -> Iterator[Item]:
        with open_place(self._place) as file:
            table = _parquet(file)
            schema = table.schema_arrow
            cells = Cells.of(self._place, schema.names, self._options, declared_images(schema))
            heavy, listed = is_heavy(schema.field(cells.column).type)
            light = [name for name in schema.names if not (heavy and name == cells.column)]
            number = 0
            for group in range(table.num_row_groups):
                reader = _Images(cells, group)
                read = reader.members if listed else reader.read
                first = number
                # Without any light column there are no batches to count rows by.
                rows: Iterator[dict[str, Any]] = (
                    row
                    for batch in table.iter_batches(_LIGHT, row_groups=[group], columns=light)
                    for row in rows_of(batch)
                )
                if not light:
                    rows = ({} for _ in range(table.metadata.row_group(group).num_rows))
                for row in rows:
                    lazily: Any = partial(read, number - first, number) if heavy else None
                    yield cells.item(number, row, *((None, lazily) if listed else (lazily, None)))
                    number += 1


@dataclass
class _Images:
    """Reads the image column of one row group, forwards; an item that lies behind starts it anew."""

    cells: Cells
    group: int
    _read: Iterator[Any] | None = field(default=None, repr=False)
    _next: int = 0
    _lock: Lock = field(default_factory=Lock, repr=False)

    def read(self, row: int, number: int) -> bytes:
        """The bytes in a row of the group; `number` is its number in the file."""
        return bytes_of(self.cells, self._cell(row, number), number)

    def members(self, row: int, number: int) -> tuple[Member, ...]:
        """The images in a row that holds a list of them."""
        return self.cells.members(self._cell(row, number) or (), number)

    def _cell(self, row: int, number: int) -> Any:
        import pyarrow as pa

        try:
            with self._lock:
                if self._read is None or self._next > row:
                    self._read, self._next = self._all(), 0
                while self._next < row:
                    next(self._read)
                    self._next += 1
                cell = next(self._read)
                self._next += 1
        except (pa.ArrowException, OSError, StopIteration) as error:
            self._read = None
            raise ImageError(
                f"row {number} of {shown(self.cells.place)} cannot be read: {reason(error)}"
            ) from error
        return value_of(cell)

    def _all(self) -> Iterator[Any]:
        with open_place(self.cells.place) as file:
            column = [self.cells.column]
            for batch in _parquet(file).iter_batches(_HEAVY, row_groups=[self.group], columns=column):
                yield from batch.column(0)

    def __getstate__(self) -> tuple[Any, ...]:
        return self.cells, self.group

    def __setstate__(self, state: tuple[Any, ...]) -> None:
        self.__init__(*state)


def rows_of(batch: Any) -> list[dict[str, Any]]:
    """The rows of a batch of columns."""
    try:
        return cast("list[dict[str, Any]]", batch.to_pylist())
    except (ValueError, OverflowError):  # one cell, which is not to cost the others
        columns = [[value_of(cell) for cell in column] for column in batch.columns]
        return [dict(zip(batch.schema.names, row, strict=True)) for row in zip(*columns, strict=True)]


def value_of(cell: Any) -> Any:
    """What a cell holds; None where Python has no such value: a date after the year 9999, say.

    Bytes of a text that are not UTF-8 are kept, as in names of files.
    """
    import pyarrow.types as types

    try:
        return cell.as_py()
    except UnicodeDecodeError:
        is_text = types.is_string(cell.type) or types.is_large_string(cell.type)
        return os.fsdecode(cell.as_buffer().to_pybytes()) if is_text else None
    except (ValueError, OverflowError):
        return None


def bytes_of(cells: Cells, cell: Any, number: int) -> bytes:
    """The bytes of a cell that may be a struct of bytes and path; ImageError where there are none."""
    _, _, opener = cells.opener(cell, number, "")
    return opener()


def declared_images(schema: Any) -> Sequence[str]:
    """Columns that the metadata of `datasets` says are images, videos, or lists of them."""
    try:
        told = json.loads((schema.metadata or {}).get(b"huggingface", b"{}"))
        features = told["info"]["features"].items()
        return [name for name, kind in features if _is_declared(kind) and name in schema.names]
    except (ValueError, KeyError, TypeError, AttributeError):
        return []


def _is_declared(kind: Any) -> bool:
    if isinstance(kind, list):  # how older versions write a list
        return len(kind) == 1 and _is_declared(kind[0])
    if kind.get("_type") in ("List", "LargeList", "Sequence"):
        return _is_declared(kind.get("feature", {}))
    return kind.get("_type") in ("Image", "Video")


def is_heavy(kind: Any) -> tuple[bool, bool]:
    """Whether a column of an Arrow type has images' bytes, and whether it has lists of them."""
    import pyarrow.types as types

    listed = types.is_list(kind) or types.is_large_list(kind) or types.is_fixed_size_list(kind)
    if listed:
        kind = kind.value_type
    heavy = types.is_binary(kind) or types.is_large_binary(kind) or types.is_struct(kind)
    return heavy, heavy and listed


def _parquet(file: Any) -> Any:
    import pyarrow.parquet as pq

    # Row groups of images may have hundreds of megabytes: pages are read as they come.
    return pq.ParquetFile(file, pre_buffer=False, buffer_size=1 << 20)
