"""Rows as columns: what a page filters and sorts by, as arrays that a browser reads as they are.

An array travels as base64 of its little-endian bytes. Categories are bytes; 255 stands for "none".
"""

from __future__ import annotations

import base64
import math
import os
import re
import sys
from array import array
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from jurat.text import printable

NONE = 255
MOST_VALUES = 200
"""Most values of a carried column that can be filtered by; one with more is only shown."""
MOST_CARRIED = 40
"""Most carried columns that are kept for filtering."""


def byte_codes() -> array[int]:
    """An empty array of bytes."""
    return array("B")


def packed(values: array[Any]) -> str:
    """Base64 of the bytes, little-endian."""
    if sys.byteorder == "big" and values.itemsize > 1:
        values = array(values.typecode, values)
        values.byteswap()
    return base64.b64encode(values.tobytes()).decode("ascii")


def pad(values: array[Any], length: int, nothing: float = NONE) -> None:
    """Extends an array to `length` for rows that have no value."""
    values.extend([nothing] * (length - len(values)))


@dataclass
class Categories:
    """A column of text as numbers of its values, dropped once it has more than `MOST_VALUES`."""

    codes: array[int] = field(default_factory=byte_codes)
    values: dict[str, int] = field(default_factory=dict[str, int])
    dropped: bool = False

    def add(self, value: str | None, row: int) -> None:
        if self.dropped:
            return
        pad(self.codes, row)
        if value is None:
            self.codes.append(NONE)
        elif value not in self.values and len(self.values) >= MOST_VALUES:
            self.dropped, self.codes, self.values = True, byte_codes(), {}
        else:
            self.codes.append(self.values.setdefault(value, len(self.values)))

    def payload(self, name: str, rows: int) -> dict[str, Any]:
        pad(self.codes, rows)
        values = [printable(value) for value in self.values]
        return {"name": printable(name), "values": values, "codes": packed(self.codes)}


@dataclass
class FilePaths:
    """Which rows are files of one folder, so that a person can label them by their paths in it.

    Lengths are in UTF-16 units, in which a browser counts.
    """

    begins: array[int] = field(default_factory=lambda: array("I"))
    """Where in its absolute path a row's id begins, leading `../` left out."""
    ends: array[int] = field(default_factory=lambda: array("I"))
    """Length of that path; 0 for a row that is no such file."""
    folder: str | None = None
    """The folder that all of them are in; None before the first."""

    def add(self, id: str, uri: str, *, repeated: bool = False) -> None:
        """Adds a row; `repeated` for a file that another row names too."""
        named = re.sub(rf"^(\.{{1,2}}{re.escape(os.sep)})+", "", id)
        # Members of tables and archives, URIs and repeated files cannot be named in a file of labels.
        fits = not repeated and id == id.strip() == printable(id) and _ends(uri, named)
        self.begins.append(_units(uri) - _units(named) if fits else 0)
        self.ends.append(_units(uri) if fits else 0)
        if fits:
            folder = os.path.dirname(uri)
            self.folder = folder if self.folder is None else os.path.commonpath([self.folder, folder])

    def payload(self) -> dict[str, Any] | None:
        """For each row how much of the end of its name is its path in the folder; 0 where it has none."""
        if self.folder is None:
            return None
        cut = _units(os.path.join(self.folder, ""))
        pairs = zip(self.begins, self.ends, strict=True)
        tails = array("I", (end - cut if end and begin <= cut else 0 for begin, end in pairs))
        return {"tails": packed(tails), "folder": printable(self.folder)}


def _ends(uri: str, named: str) -> bool:
    """Whether an absolute path ends in another path, which has no steps up or aside."""
    if os.path.isabs(named):
        return named == uri
    parts, wanted = uri.split(os.sep), named.split(os.sep)
    return os.path.isabs(uri) and not {"", ".", ".."} & set(wanted) and parts[-len(wanted) :] == wanted


def _units(text: str) -> int:
    return len(text.encode("utf-16-le", "surrogatepass")) // 2


@dataclass
class Columns:
    """The rows of a page, about 10 bytes each and their names."""

    outcome_names: Sequence[str]
    """Every outcome that a row may have, the one to look at first at the front."""
    names: list[str] = field(default_factory=list[str])
    outcomes: array[int] = field(default_factory=byte_codes)
    before: array[int] = field(default_factory=byte_codes)
    """Outcomes in another run that is compared."""
    scores: array[float] = field(default_factory=lambda: array("f"))
    carried: dict[str, Categories] = field(default_factory=dict[str, Categories])
    """Columns that the source brought along, by their names."""

    def __len__(self) -> int:
        return len(self.names)

    def append(
        self,
        name: str,
        outcome: str,
        score: float | None = None,
        carried: Mapping[str, str] | None = None,
        before: str | None = None,
    ) -> int:
        """Appends a row, with what it was in another run if one is compared; returns its number."""
        row, carried = len(self), carried or {}
        self.names.append(printable(name))
        self.outcomes.append(self.outcome_names.index(outcome))
        self.before.append(NONE if before is None else self.outcome_names.index(before))
        self.scores.append(math.nan if score is None else score)
        for column in carried:
            if column not in self.carried and len(self.carried) < MOST_CARRIED:
                self.carried[column] = Categories()
        for column, categories in self.carried.items():
            categories.add(carried.get(column), row)
        return row

    @property
    def compared(self) -> bool:
        return any(code != NONE for code in self.before)

    def payload(self) -> dict[str, Any]:
        """What the gallery's scripts read; layouts add to it."""
        filters = {name: one for name, one in self.carried.items() if not one.dropped and one.values}
        return {
            "n": len(self),
            "outcomes": self.outcome_names,
            "names": self.names,
            "outcome": packed(self.outcomes),
            "before": packed(self.before) if self.compared else None,
            "score": packed(self.scores),
            "carried": [one.payload(name, len(self)) for name, one in filters.items()],
        }
