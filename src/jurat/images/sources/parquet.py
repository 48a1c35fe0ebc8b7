"""Parquet: the light columns are read in batches, the images' bytes only of the rows that are opened."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial
from threading import Lock
from typing import Any

from jurat.images.errors import ImageError, reason, shown
from jurat.images.item import Item, Member
from jurat.images.limits import DEFAULT_MAX_BYTES
from jurat.images.openers import Failed, Held
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
                reader = _Images(self._place, cells.column, group, self._options.max_bytes)
                read = reader.members if listed else reader.read
                first = number
                # Without any light column there are no batches to count rows by.
                rows: Iterator[dict[str, Any]] = (
                    row
                    for batch in table.iter_batches(_LIGHT, row_groups=[group], columns=light)
                    for row in batch.to_pylist()
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

    place: str
    column: str
    group: int
    max_bytes: int = DEFAULT_MAX_BYTES
    _cells: Iterator[Any] | None = field(default=None, repr=False)
    _next: int = 0
    _lock: Lock = field(default_factory=Lock, repr=False)

    def read(self, row: int, number: int) -> bytes:
        """The bytes in a row of the group; `number` is its number in the file."""
        return bytes_of(self._cell(row, number), number, self.place, self.column, self.max_bytes)

    def members(self, row: int, number: int) -> tuple[Member, ...]:
        """The images in a row that holds a list of them."""
        return members_of(self._cell(row, number), number, self.place, self.column, self.max_bytes)

    def _cell(self, row: int, number: int) -> Any:
        import pyarrow as pa

        try:
            with self._lock:
                if self._cells is None or self._next > row:
                    self._cells, self._next = self._all(), 0
                while self._next < row:
                    next(self._cells)
                    self._next += 1
                cell = next(self._cells).as_py()
                self._next += 1
        except (pa.ArrowException, OSError, StopIteration) as error:
            self._cells = None
            raise ImageError(
                f"row {number} of {shown(self.place)} cannot be read: {reason(error)}"
            ) from error
        return cell

    def _all(self) -> Iterator[Any]:
        with open_place(self.place) as file:
            for batch in _parquet(file).iter_batches(_HEAVY, row_groups=[self.group], columns=[self.column]):
                yield from batch.column(0)

    def __getstate__(self) -> tuple[Any, ...]:
        return self.place, self.column, self.group, self.max_bytes

    def __setstate__(self, state: tuple[Any, ...]) -> None:
        self.__init__(*state)


def bytes_of(cell: Any, number: int, place: str, column: str, max_bytes: int) -> bytes:
    """The bytes of a cell that may be a struct of bytes and path; ImageError where there are none."""
    _, _, opener = Cells(place, column, None, _folder(place), max_bytes).opener(cell, number, "")
    if not isinstance(opener, Held | Failed) and isinstance(cell, str):
        raise ImageError(f"row {number} of {shown(place)} holds no bytes in {column!r}")
    return opener()


def members_of(cell: Any, number: int, place: str, column: str, max_bytes: int) -> tuple[Member, ...]:
    """The images of a cell with a list of what `bytes_of` takes; ImageError where there are none."""
    return Cells(place, column, None, _folder(place), max_bytes).members(cell or (), number)


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


def _folder(place: str) -> str:
    return place.rpartition("/")[0]


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
