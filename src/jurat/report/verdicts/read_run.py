"""Reads what `jurat judge --out` wrote: verdicts, and the facts of the run in `_run.json`."""

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
from jurat.sources.passed_over import SILENT
from jurat.text import counted

SEALED = "sealed"
"""The `handling` of items that are counted, but neither shown nor copied."""


@dataclass(frozen=True)
class Entry:
    """One row of a run."""

    verdict: Verdict
    carried: Mapping[str, str] = field(default_factory=dict[str, str])
    """Columns of the source, as text."""
    basis: str | None = None
    """What decided the item, if the record says so: `known_match` or `model`."""
    label: str | None = None
    """Label of the known content that the item matches."""
    sealed: bool = False


@dataclass(frozen=True)
class Run:
    """A file of verdicts, or a directory of them with its `_run.json`."""

    path: Path
    facts: Mapping[str, Any]
    """Contents of `_run.json`; empty where there is none."""

    @classmethod
    def at(cls, path: Path) -> Run:
        """Reads the facts of the run; `entries` reads the verdicts.

        Raises:
            JuratError: its `_run.json` cannot be read.
        """
        # The parts of a run's folder may be named one by one.
        folder = path if path.is_dir() else path.parent.parent if path.parent.name == PARTS else path.parent
        file = facts_file(folder)
        if not file.is_file() or (path.is_file() and path.suffix != ".parquet"):
            return cls(path, {})
        try:
            facts: object = json.loads(file.read_text(encoding="utf-8"))
        except (OSError, ValueError, RecursionError) as error:
            raise JuratError(f"{file} cannot be read: {error}") from error
        return cls(path, cast("dict[str, Any]", facts) if isinstance(facts, dict) else {})

    @property
    def column(self) -> str | None:
        """The column of tables that held the images, if the run named one."""
        columns = table(self.facts, "settings").get("columns")
        column = cast("list[object]", columns)[0] if isinstance(columns, list) and columns else None
        return column if isinstance(column, str) else None

    @property
    def passed_over(self) -> list[str]:
        """What the sources of the run held that is no item: "4 .md files"."""
        kinds = {
            "files": (" file", " files"),
            "members": (" member of an archive", " members of archives"),
            "others": ("", ""),
        }
        counts = table(self.facts, "passed_over")
        return [
            counted(count, f"{name}{one}", f"{name}{many}")
            for kind, (one, many) in kinds.items()
            for name, count in table(counts, kind).items()
            if name not in SILENT and isinstance(count, int)
        ]

    @property
    def name(self) -> str:
        return self.path.name or str(self.path)

    def entries(self) -> Iterator[Entry]:
        """The rows in the order of the record.

        Raises:
            JuratError: on the way, at a row that is no verdict, with its number.
        """
        for number, row in enumerate(read_rows(self.path), start=1):
            try:
                yield entry(row)
            except JuratError as error:
                raise JuratError(f"{self.path}, row {number}: {error.message}", hint=error.hint) from error


def table(facts: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    """A nested table of `_run.json`; empty if that is missing or no table."""
    value = facts.get(name)
    return cast("Mapping[str, Any]", value) if isinstance(value, Mapping) else {}


def entry(row: Mapping[str, Any]) -> Entry:
    """A row of the record: its verdict and the columns beside it."""
    basis, label = row.get("basis"), row.get("label")
    return Entry(
        row_to_verdict(row),
        _carried(row.get("columns")),
        None if basis is None else str(basis),
        None if label is None else str(label),
        row.get("handling") == SEALED,
    )


def _carried(value: object) -> dict[str, str]:
    """Columns from an object, from its JSON text, or from the pairs of a Parquet map."""
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
