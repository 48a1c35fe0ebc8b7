"""pyarrow's objects, which ship no types, and times as rows hold them."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any, TypeAlias

ArrowSchema: TypeAlias = Any
"""A `pyarrow.Schema`."""
ArrowBatch: TypeAlias = Any
"""A `pyarrow.RecordBatch`."""
ArrowTable: TypeAlias = Any
"""A `pyarrow.Table`."""


def moment_text(moment: datetime) -> str:
    """A time in the format of rows: ISO 8601 with milliseconds, ending in Z. A time without a zone is taken
    as UTC.
    """
    moment = moment if moment.tzinfo is not None else moment.replace(tzinfo=UTC)
    return moment.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
