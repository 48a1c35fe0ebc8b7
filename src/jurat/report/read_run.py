"""What `jurat judge --out` left behind, read for a report: its verdicts, and what is told of the run."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast

from jurat.errors import JuratError
from jurat.judge import Verdict, row_to_verdict
from jurat.runs import read_rows
from jurat.runs.folder import PARTS, facts_file

SEALED = "sealed"
"""The handling of items that are counted, and neither shown nor copied."""


@dataclass(frozen=True)
class Entry:
    """One row of a run."""

    verdict: Verdict
    carried: Mapping[str, str] = field(default_factory=dict[str, str])
    """Columns that the source brought along, as text."""
    basis: str | None = None
    """What decided it, if the record says: `known_match` or `model`."""
    label: str | None = None
    """Of the known content that it matches."""
    sealed: bool = False


@dataclass(frozen=True)
class Run:
    """A file of verdicts, or a directory of them with its `_run.json`."""

    path: Path
    facts: Mapping[str, Any]
    """What `_run.json` holds; empty where there is none."""

    @classmethod
    def at(cls, path: Path) -> Run:
        """Reads what is told of the run; the verdicts are read by `entries`.

        Raises:
            JuratError: its `_run.json` is not to be read.
        """
        # The parts of a run's folder may be named one by one.
        folder = path if path.is_dir() else path.parent.parent if path.parent.name == PARTS else path.parent
        told = facts_file(folder)
        if not told.is_file() or (path.is_file() and path.suffix != ".parquet"):
            return cls(path, {})
        try:
            facts: object = json.loads(told.read_text(encoding="utf-8"))
        except (OSError, ValueError, RecursionError) as error:
            raise JuratError(f"{told} cannot be read: {error}") from error
        return cls(path, cast("dict[str, Any]", facts) if isinstance(facts, dict) else {})

    @property
    def column(self) -> str | None:
        """Which column of tables held the images, where that was named."""
        settings = self.facts.get("settings")
        columns = cast("dict[str, object]", settings).get("columns") if isinstance(settings, dict) else None
        column = cast("list[object]", columns)[0] if isinstance(columns, list) and columns else None
        return column if isinstance(column, str) else None

    @property
    def name(self) -> str:
        return self.path.name or str(self.path)

    def entries(self) -> Iterator[Entry]:
        """The rows in their order.

        Raises:
            JuratError: on the way, with its number, where a row is no verdict.
        """
        for number, row in enumerate(read_rows(self.path), start=1):
            try:
                yield entry(row)
            except JuratError as error:
                raise JuratError(f"{self.path}, row {number}: {error.message}", hint=error.hint) from error


def entry(row: Mapping[str, Any]) -> Entry:
    """A row of the record with what surrounds the verdict."""
    basis, label = row.get("basis"), row.get("label")
    return Entry(
        row_to_verdict(row),
        _carried(row.get("columns")),
        None if basis is None else str(basis),
        None if label is None else str(label),
        row.get("handling") == SEALED,
    )


def _carried(value: object) -> dict[str, str]:
    """Columns as an object, as text that holds one, or as a Parquet map's pairs."""
    if isinstance(value, str):
        try:
            value = json.loads(value)
        except (ValueError, RecursionError):
            return {}
    if isinstance(value, Mapping):
        pairs: list[tuple[Any, Any]] = list(cast("Mapping[Any, Any]", value).items())
    elif isinstance(value, list):
        pairs = [_pair(one) for one in cast("list[Any]", value)]
    else:
        return {}
    return {str(name): _text(one) for name, one in pairs if name is not None and one is not None}


def _pair(one: Any) -> tuple[Any, Any]:
    if isinstance(one, Mapping):
        row = cast("Mapping[str, Any]", one)
        return row.get("key", row.get("name")), row.get("value")
    pair = tuple(one) if isinstance(one, list | tuple) else ()
    return (pair[0], pair[1]) if len(pair) == 2 else (None, None)


def _text(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, default=str)
