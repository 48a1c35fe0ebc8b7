"""Writes rows to Parquet files atomically, and reads them back."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from datetime import UTC, datetime
from itertools import islice
from pathlib import Path
from typing import Any, cast

from jurat.errors import JuratError
from jurat.files import written_aside
from jurat.runs.arrow import ArrowBatch, ArrowSchema, ArrowTable, moment_text
from jurat.runs.schema import Row, RowSchema, completed, null_in
from jurat.text import reason

PARQUET_MAGIC, STREAM_MAGIC = b"PAR1", b"\xff\xff\xff\xff"
"""The first bytes of a Parquet file, and of an Arrow stream."""
BATCH_ROWS = 256
_GROUP_ROWS, _GROUP_BYTES = 8192, 64 * 2**20


def write_parquet(
    path: Path, batches: Iterable[ArrowBatch], schema: ArrowSchema, *, replace: bool = True
) -> int:
    """Writes a Parquet file aside, syncs and renames it; returns the number of its rows."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    rows = 0
    with (
        written_aside(path, replace=replace) as aside,
        aside.open("xb") as file,
        pq.ParquetWriter(file, schema, compression="zstd") as writer,
    ):
        for group in _groups(batches):
            rows += sum(batch.num_rows for batch in group)
            writer.write_table(pa.Table.from_batches(group, schema=schema))
    return rows


def _groups(batches: Iterable[ArrowBatch]) -> Iterator[list[ArrowBatch]]:
    """Row groups: some thousand rows, or 64 MiB."""
    group: list[ArrowBatch] = []
    for batch in batches:
        group.append(batch)
        rows, size = sum(each.num_rows for each in group), sum(each.nbytes for each in group)
        if rows >= _GROUP_ROWS or size >= _GROUP_BYTES:
            yield group
            group = []
    if group:
        yield group


def batches_of(
    rows: Iterable[Row], schema: RowSchema, arrow: ArrowSchema | None = None, *, first: int = 1
) -> Iterator[ArrowBatch]:
    """Rows as batches of 256; one that does not fit becomes an error row.

    Args:
        arrow: the Arrow schema to use, where that is not the schema's own.
        first: the number of the first row, for messages.

    Raises:
        JuratError: a row does not fit, and the schema has no columns for an error; after all other rows.
    """
    arrow = schema.arrow() if arrow is None else arrow
    problem: JuratError | None = None
    rows = iter(rows)
    while waiting := list(islice(rows, BATCH_ROWS)):
        whole = _fitting_batch(waiting, arrow)
        if whole is None:
            waiting = [completed(cast("Row", _encodable(row)), arrow) for row in waiting]
            whole = _fitting_batch(waiting, arrow)
        if whole is not None:
            yield whole
        else:
            for number, row in enumerate(waiting, first):
                try:
                    one = _fitting_batch([row], arrow)
                    yield batch_of([schema.error_row(row, number)], arrow) if one is None else one
                except JuratError as error:
                    problem = problem or error
        first += len(waiting)
    if problem is not None:
        raise problem


def batch_of(rows: Iterable[Row], schema: ArrowSchema) -> ArrowBatch:
    """Rows as one batch; times, which are text in rows (ISO 8601), as the schema's timestamps.

    Raises:
        pyarrow.ArrowException, TypeError, ValueError, OverflowError: a row does not fit the schema, or has
            a null where none may be.
    """
    import pyarrow as pa

    stamps = _timestamps(schema)
    told = [{**row, **{name: _moment(row.get(name)) for name in stamps}} for row in rows] if stamps else rows
    batch = pa.RecordBatch.from_pylist(list(told), schema=schema)
    for field in schema:
        if (place := null_in(batch.column(field.name), field, field.name)) is not None:
            raise ValueError(f"{place} is null")
    return batch


def _fitting_batch(rows: Sequence[Row], schema: ArrowSchema) -> ArrowBatch | None:
    """The rows as a batch; None where one does not fit the schema."""
    import pyarrow as pa

    with suppress(pa.ArrowException, TypeError, ValueError, OverflowError):
        return batch_of(rows, schema)
    return None


def rows_of(batch: ArrowBatch | ArrowTable) -> list[dict[str, Any]]:
    """Rows of a batch or table as JSON-compatible values: maps as dicts, timestamps as `moment_text`."""
    rows = batch.to_pylist(maps_as_pydicts="strict")
    for name in _timestamps(batch.schema):
        for row in rows:
            if row[name] is not None:
                row[name] = moment_text(row[name])
    return rows


def parquet_rows(path: Path, columns: list[str] | None = None) -> Iterator[dict[str, Any]]:
    """The rows of a Parquet file; columns that it lacks are null. Raises JuratError where it is not whole."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        with pq.ParquetFile(path) as file:
            there = None if columns is None else [name for name in columns if name in file.schema_arrow.names]
            missing = dict.fromkeys(set(columns or ()) - set(there or ()))
            for batch in file.iter_batches(batch_size=BATCH_ROWS, columns=there):
                for row in rows_of(batch):
                    yield row | missing if missing else row
    except (pa.ArrowException, OSError) as error:
        raise not_whole(path, error) from error


def stream_batches(path: Path) -> Iterator[ArrowBatch]:
    """The whole batches of an Arrow stream; one that was cut off ends there."""
    import pyarrow as pa

    with suppress(pa.ArrowException, OSError), pa.OSFile(str(path)) as file:
        yield from pa.ipc.open_stream(file)


def not_whole(path: Path, error: Exception) -> JuratError:
    """The error for a Parquet file that cannot be read."""
    return JuratError(f"{path} is not a whole Parquet file: {reason(error)}")


def _timestamps(schema: ArrowSchema) -> list[str]:
    import pyarrow as pa

    return [field.name for field in schema if pa.types.is_timestamp(field.type)]


def _moment(text: object) -> object:
    if not isinstance(text, str):
        return text
    moment = datetime.fromisoformat(text)
    return moment if moment.tzinfo is not None else moment.replace(tzinfo=UTC)


def _encodable(value: object) -> object:
    """The value with lone surrogates in its texts written out as `\\udcff`, as Arrow wants strict UTF-8."""
    if isinstance(value, str):
        return value.encode("utf-8", "backslashreplace").decode()
    if isinstance(value, Mapping):
        inside = cast("Mapping[str, object]", value).items()
        return {cast(str, _encodable(key)): _encodable(inner) for key, inner in inside}
    if isinstance(value, list | tuple):
        return [_encodable(inner) for inner in cast("list[object]", value)]
    return value
