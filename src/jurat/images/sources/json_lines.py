"""JSON Lines: an object a line, whose keys are the columns."""

from __future__ import annotations

import json
from collections.abc import Iterator
from itertools import chain, islice
from typing import Any, cast

from jurat.images.errors import reason, shown
from jurat.images.item import Item
from jurat.images.remote import scheme_of
from jurat.images.sources.base import Source, SourceOptions, open_place
from jurat.images.sources.cells import Cells

_ALIKE = 100
"""Rows, from the first, whose keys are the columns: one row may lack what the others have."""


def open_source(place: str, options: SourceOptions) -> Source:
    return _JsonLines(place, options)


class _JsonLines:
    def __init__(self, place: str, options: SourceOptions) -> None:
        self._place = place
        self._options = options

    def items(self) -> Iterator[Item]:
        with open_place(self._place) as file:
            rows = (_row(line) for line in file if line.strip())
            first = list(islice(rows, _ALIKE))
            names = {name: None for row in first if not isinstance(row, str) for name in row}
            bare = Cells(self._place, "", None, "", self._options.max_bytes)
            cells: Cells | None = None
            for number, row in enumerate(chain(first, rows)):
                if isinstance(row, str):
                    yield bare.failed(number, f"row {number} of {shown(self._place)}: {row}")
                    continue
                if cells is None:
                    cells = Cells.of(self._place, list(names or row), self._options)
                yield cells.item(number, row)

    def count(self) -> int | None:
        if scheme_of(self._place) is not None:
            return None
        with open_place(self._place) as file:
            return sum(1 for line in file if line.strip())


def _row(line: bytes) -> dict[str, Any] | str:
    """The row, or why it is none."""
    try:
        row: object = json.loads(line.decode("utf-8-sig"))
    except (ValueError, RecursionError) as error:
        return f"not JSON: {reason(error)}"
    return cast("dict[str, Any]", row) if isinstance(row, dict) else "not an object {...}"
