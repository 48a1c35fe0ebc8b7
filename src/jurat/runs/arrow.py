"""The parts of pyarrow's objects that are used here: it ships no types of its own."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol


class ArrowSchema(Protocol):
    """A `pyarrow.Schema`."""

    @property
    def names(self) -> list[str]: ...

    @property
    def metadata(self) -> Mapping[bytes, bytes] | None: ...


class ArrowBatch(Protocol):
    """A `pyarrow.RecordBatch`."""

    @property
    def num_rows(self) -> int: ...

    @property
    def nbytes(self) -> int: ...

    @property
    def schema(self) -> ArrowSchema: ...

    def to_pylist(self, *, maps_as_pydicts: str | None = None) -> list[dict[str, Any]]: ...


class ArrowTable(Protocol):
    """A `pyarrow.Table`."""

    @property
    def num_rows(self) -> int: ...

    @property
    def schema(self) -> ArrowSchema: ...

    def column(self, name: str) -> Any: ...

    def combine_chunks(self) -> ArrowTable: ...

    def take(self, indices: Any) -> ArrowTable: ...

    def to_pylist(self, *, maps_as_pydicts: str | None = None) -> list[dict[str, Any]]: ...
