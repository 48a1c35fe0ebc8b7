"""Arrow files, and the folders of them that `datasets` writes, read with pyarrow alone."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, cast

from jurat.images.errors import ImageError, reason, shown
from jurat.images.item import Item, Member
from jurat.images.remote import scheme_of
from jurat.images.sources.base import Source, SourceOptions, open_place, unreadable
from jurat.images.sources.cells import Cells
from jurat.images.sources.parquet import bytes_of, declared_images, is_heavy, rows_of, value_of

_FILE_MAGIC = b"ARROW1"


def open_source(place: str, options: SourceOptions) -> Source:
    return _Folder(place, options) if os.path.isdir(place) else _Arrow(place, options)


class _Folder:
    def __init__(self, place: str, options: SourceOptions) -> None:
        self._place = place
        self._options = options

    def items(self) -> Iterator[Item]:
        for file in _files(self._place):
            try:
                yield from _Arrow(file, self._options).items()
            except ImageError as error:  # the other files are judged all the same
                yield unreadable(file, error.message)

    def count(self) -> int | None:
        return sum(_Arrow(file, self._options).count() or 0 for file in _files(self._place))


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
        with open(path, encoding="utf-8") as file:
            told: object = json.load(file)
    except FileNotFoundError:
        return {}
    except (OSError, ValueError) as error:
        raise ImageError(f"cannot be read ({reason(error)}): {shown(path)}") from error
    return cast("dict[str, object]", told) if isinstance(told, dict) else {}


def _inside(folder: str, name: object) -> str:
    if not isinstance(name, str) or os.path.basename(name) != name or name in ("", ".", ".."):
        raise ImageError(f"the dataset names a file outside its folder: {shown(folder)}")
    return os.path.join(folder, name)


class _Arrow:
    """One file, in Arrow's stream or file format, mapped into memory where it is local."""

    def __init__(self, place: str, options: SourceOptions) -> None:
        self._place = place
        self._options = options

    def items(self) -> Iterator[Item]:
        import pyarrow as pa

        try:
            cells: Cells | None = None
            images: list[str] = []
            number = 0
            for batch in self._batches():
                if cells is None:
                    images = list(declared_images(batch.schema))
                    cells = Cells.of(self._place, batch.schema.names, self._options, images)
                image = batch.column(batch.schema.get_field_index(cells.column))
                heavy, listed = is_heavy(image.type)
                light = [name for name in batch.schema.names if not (heavy and name == cells.column)]
                rows = rows_of(batch.select(light)) if light else [{} for _ in range(batch.num_rows)]
                for index, row in enumerate(rows):
                    lazily = members = None
                    if heavy:
                        cell = image.slice(index, 1)
                        held = _Cell(cells, cell, number)
                        lazily, members = (None, held.members) if listed else (held, None)
                    yield cells.item(number, row, lazily, members)
                    number += 1
        except (pa.ArrowException, OSError) as error:
            raise ImageError(f"{shown(self._place)} is not a whole Arrow file: {reason(error)}") from error

    def count(self) -> int | None:
        if scheme_of(self._place) is not None:
            return None
        return sum(batch.num_rows for batch in self._batches())

    def _batches(self) -> Iterator[Any]:
        import pyarrow as pa

        with open_place(self._place) as file:
            magic = file.read(len(_FILE_MAGIC))
        if scheme_of(self._place) is None:
            source: Any = pa.memory_map(self._place)
        else:
            source = pa.PythonFile(open_place(self._place), "r")
        with source:
            if magic == _FILE_MAGIC:
                reader = pa.ipc.open_file(source)
                yield from (reader.get_batch(index) for index in range(reader.num_record_batches))
            else:
                yield from pa.ipc.open_stream(source)


@dataclass(frozen=True)
class _Cell:
    """One row of a batch, copied out of the mapped file when it is opened."""

    cells: Cells
    cell: Any
    number: int

    def __call__(self) -> bytes:
        return bytes_of(self.cells, value_of(self.cell[0]), self.number)

    def members(self) -> tuple[Member, ...]:
        return self.cells.members(value_of(self.cell[0]) or (), self.number)
