"""CSV and TSV: the first line names the columns. Cells are text and nothing in them is interpreted."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator

from jurat.images.errors import ImageError, reason, shown
from jurat.images.item import Item
from jurat.images.remote import name_of
from jurat.images.sources.base import Source, SourceOptions, open_place
from jurat.images.sources.cells import Cells

_LONGEST_FIELD = 2**27


def open_source(place: str, options: SourceOptions) -> Source:
    return _Delimited(place, options)


class _Delimited:
    def __init__(self, place: str, options: SourceOptions) -> None:
        self._place = place
        self._options = options

    def items(self) -> Iterator[Item]:
        csv.field_size_limit(_LONGEST_FIELD)  # the default is less than a caption may have
        with (
            open_place(self._place) as file,
            io.TextIOWrapper(file, "utf-8-sig", errors="surrogateescape", newline="") as text,
        ):
            rows = csv.reader(text, delimiter="\t" if name_of(self._place).lower().endswith(".tsv") else ",")
            try:
                names = next(rows, [])
                cells = Cells.of(self._place, names, self._options)
                for number, row in enumerate(row for row in rows if row):
                    if len(row) != len(names):
                        problem = (
                            f"row {number} of {shown(self._place)} has {len(row)} cells, not {len(names)}"
                        )
                        yield cells.failed(number, problem)
                    else:
                        yield cells.item(number, dict(zip(names, row, strict=True)))
            except csv.Error as error:
                where = f"{shown(self._place)}:{rows.line_num}"
                raise ImageError(f"{where}: the rest cannot be read: {reason(error)}") from error

    def count(self) -> int | None:
        return None
