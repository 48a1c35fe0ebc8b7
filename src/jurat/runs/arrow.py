"""The parts of pyarrow's objects that are used here: it ships no types of its own."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, Protocol


class ArrowSchema(Protocol):
    """A `pyarrow.Schema`."""

    @property
    def names(self) -> list[str]: ...

    @property
    def metadata(self) -> Mapping[bytes, bytes] | None: ...


class ArrowTable(Protocol):
    """A `pyarrow.Table`."""

    @property
    def num_rows(self) -> int: ...

    @property
    def nbytes(self) -> int: ...

    @property
    def schema(self) -> ArrowSchema: ...

    def column(self, name: str) -> Any: ...

    def combine_chunks(self) -> ArrowTable: ...

    def take(self, indices: Any) -> ArrowTable: ...

    def to_pylist(self, *, maps_as_pydicts: str | None = None) -> list[dict[str, Any]]: ...


ArrowBatch = ArrowTable
"""A `pyarrow.RecordBatch`, as far as it is used like a table."""


def moment_text(moment: datetime) -> str:
    """A time as rows hold it: ISO 8601 with milliseconds, ending in Z. One without a zone is taken as UTC."""
    moment = moment if moment.tzinfo is not None else moment.replace(tzinfo=UTC)
    return moment.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
