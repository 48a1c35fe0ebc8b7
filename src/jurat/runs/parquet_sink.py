"""Writes a Parquet file that is there whole or not at all, and keeps the rows of a run that ended early.

A Parquet file cannot be read before its footer is written, so that rows first go to a hidden Arrow
stream in the same folder, which can be read up to its last whole batch whatever happens. At the end it is
turned into Parquet, synced and renamed. If the run raises, the same is done under the name `NAME.partial`; if
there is no room for that, the stream itself gets this name. `read_rows` reads either.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from datetime import UTC, datetime
from itertools import islice
from pathlib import Path
from types import TracebackType
from typing import Any, BinaryIO, Self, cast

from jurat.errors import JuratError
from jurat.files import beside, count_rows, file_errors, move, move_to_free_name, sync_folder
from jurat.runs.arrow import ArrowBatch, ArrowSchema, ArrowTable
from jurat.runs.unwritable import check_nulls, completed, error_row
from jurat.text import reason

STREAM_MAGIC = b"\xff\xff\xff\xff"
"""The first bytes of an Arrow stream."""

_BATCH_ROWS = 256
_GROUP_BYTES = 64 * 2**20


class ParquetSink:
    """See `open_sink`. Holds at most 256 rows in memory, and one row group of 64 MiB at the end."""

    def __init__(self, path: Path, schema: ArrowSchema, *, overwrite: bool) -> None:
        import pyarrow as pa

        self.rows = 0
        self.summary = f"the rows for {path} are not written yet"
        self._path = path
        self._overwrite = overwrite
        self._schema = schema
        self._names = set(schema.names)
        self._waiting: list[Mapping[str, Any]] = []
        self._spool = beside(path, "writing")
        self._file: BinaryIO = self._spool.open("xb")
        options = pa.ipc.IpcWriteOptions(compression="zstd")
        self._stream = pa.ipc.new_stream(self._file, schema, options=options)

    def write(self, row: Mapping[str, Any]) -> None:
        unknown = row.keys() - self._names
        if unknown:
            names = ", ".join(sorted(unknown))
            raise JuratError(f"row {self.rows + 1} has fields that the schema lacks: {names}")
        self._waiting.append(row)
        self.rows += 1
        if len(self._waiting) >= _BATCH_ROWS:
            self._spool_waiting()

    def _spool_waiting(self) -> None:
        waiting, self._waiting = self._waiting, []
        batches = _batches(waiting, self._schema, self.rows - len(waiting) + 1)
        with file_errors(self._path):
            for batch in batches:
                self._stream.write_batch(batch)
            self._file.flush()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        late: BaseException | None = None
        try:
            self._close_stream()
            if error is None:
                self._put_in_place()
                return
        except BaseException as problem:  # an impatient Ctrl-C too: the rows have to be kept
            late = problem
        self._keep(convert=late is None or isinstance(late, Exception))
        cause = error or late
        if cause is not None:
            cause.add_note(self.summary)
        if error is None and late is not None:
            raise late

    def _close_stream(self) -> None:
        try:
            self._spool_waiting()
            with file_errors(self._path):
                self._stream.close()
                self._file.close()
        finally:
            with suppress(OSError):  # fails where the disk is full; what was whole before is there
                self._file.close()

    def _put_in_place(self) -> None:
        aside = beside(self._path, "parquet")
        try:
            with file_errors(self._path):
                rows = _to_parquet(self._spool, aside, self._schema)
                if rows != self.rows:
                    raise JuratError(f"only {rows} of {self.rows} rows for {self._path} could be read back.")
                move(aside, self._path, replace=self._overwrite)
        finally:
            aside.unlink(missing_ok=True)
        sync_folder(self._path.parent)
        self._spool.unlink(missing_ok=True)
        self.summary = f"{count_rows(self.rows)} in {self._path}"

    def _keep(self, *, convert: bool) -> None:
        """Leaves what can be read as `NAME.partial`."""
        partial = self._path.with_name(self._path.name + ".partial")
        aside = beside(self._path, "parquet")
        self.rows = sum(batch.num_rows for batch in read_stream(self._spool))
        if self.rows == 0:
            self._spool.unlink(missing_ok=True)
            self.summary = f"no rows were written to {self._path}"
            return
        kept = self._spool
        if convert:
            with suppress(Exception):  # no room, most likely; the stream serves as well
                _to_parquet(self._spool, aside, self._schema)
                kept = aside
        name = kept
        with suppress(OSError):
            name = move_to_free_name(kept, partial)
        for rest in {self._spool, aside} - {name}:
            rest.unlink(missing_ok=True)
        self.summary = f"{count_rows(self.rows)} in {name}"


def read_stream(path: Path) -> Iterator[ArrowBatch]:
    """The whole batches of an Arrow stream; one that was cut off ends there."""
    import pyarrow as pa

    with suppress(pa.ArrowException, OSError), pa.OSFile(str(path)) as file:
        yield from pa.ipc.open_stream(file)


def batch_of(rows: Iterable[Mapping[str, Any]], schema: ArrowSchema) -> ArrowBatch:
    """Rows as one batch; times, which are text in rows (ISO 8601), as the schema's timestamps.

    Raises:
        pyarrow.ArrowException, TypeError, ValueError, OverflowError: a row does not fit the schema, or has
            a null where none may be.
    """
    import pyarrow as pa

    stamps = _timestamps(schema)
    told = [{**row, **{name: _moment(row.get(name)) for name in stamps}} for row in rows] if stamps else rows
    batch = pa.RecordBatch.from_pylist(list(told), schema=schema)
    check_nulls(batch, schema)
    return batch


def rows_of(batch: ArrowBatch | ArrowTable) -> list[dict[str, Any]]:
    """The rows of a batch or table as what JSON can hold: maps as dicts, timestamps as `moment_text`."""
    rows = batch.to_pylist(maps_as_pydicts="strict")
    for name in _timestamps(batch.schema):
        for row in rows:
            if row[name] is not None:
                row[name] = moment_text(row[name])
    return rows


def _timestamps(schema: ArrowSchema) -> list[str]:
    import pyarrow as pa

    return [field.name for field in cast(Any, schema) if pa.types.is_timestamp(field.type)]


def _moment(text: object) -> object:
    if not isinstance(text, str):
        return text
    moment = datetime.fromisoformat(text)
    return moment if moment.tzinfo is not None else moment.replace(tzinfo=UTC)


def moment_text(moment: datetime) -> str:
    """A time as rows have it: ISO 8601 with milliseconds, ending in Z. One without a zone is taken as UTC."""
    moment = moment if moment.tzinfo is not None else moment.replace(tzinfo=UTC)
    return moment.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def batches_of(rows: Iterable[Mapping[str, Any]], schema: ArrowSchema) -> Iterator[ArrowBatch]:
    """Rows as batches of 256; one that does not fit the schema becomes an error row (`unwritable`)."""
    first = 1
    rows = iter(rows)
    while waiting := list(islice(rows, _BATCH_ROWS)):
        yield from _batches(waiting, schema, first)
        first += len(waiting)


def parquet_rows(path: Path, columns: list[str] | None = None) -> Iterator[dict[str, Any]]:
    """The rows of a Parquet file; columns that it lacks are null. Raises JuratError where it is not whole."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        with pq.ParquetFile(path) as file:
            there = None if columns is None else [name for name in columns if name in file.schema_arrow.names]
            missing = dict.fromkeys(set(columns or ()) - set(there or ()))
            for batch in file.iter_batches(batch_size=_BATCH_ROWS, columns=there):
                for row in rows_of(batch):
                    yield row | missing if missing else row
    except (pa.ArrowException, OSError) as error:
        raise JuratError(f"{path} is not a whole Parquet file: {reason(error)}") from error


def _to_parquet(spool: Path, target: Path, schema: ArrowSchema) -> int:
    """Writes the rows of a stream as a synced Parquet file; returns their number."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    rows = 0
    with target.open("xb") as file:
        with pq.ParquetWriter(file, schema, compression="zstd") as writer:
            group: list[ArrowBatch] = []
            for batch in read_stream(spool):
                rows += batch.num_rows
                group.append(batch)
                if sum(part.nbytes for part in group) >= _GROUP_BYTES:
                    writer.write_table(pa.Table.from_batches(group, schema=schema))
                    group = []
            if group:
                writer.write_table(pa.Table.from_batches(group, schema=schema))
        file.flush()
        os.fsync(file.fileno())
    return rows


def _batches(rows: list[Mapping[str, Any]], schema: ArrowSchema, first: int) -> Iterator[ArrowBatch]:
    """Rows as one batch, or as one each where some do not fit; `first` is the number of the first."""
    if not rows:
        return
    whole = _one_batch(rows, schema)
    if whole is None:
        rows = [completed(cast("Mapping[str, Any]", _encodable(row)), schema) for row in rows]
        whole = _one_batch(rows, schema)
    if whole is not None:
        yield whole
        return
    problem: JuratError | None = None
    for number, row in enumerate(rows, first):
        try:
            yield _one_batch([row], schema) or batch_of([error_row(row, schema, number)], schema)
        except JuratError as error:  # the rows behind it are kept all the same
            problem = problem or error
    if problem is not None:
        raise problem


def _one_batch(rows: list[Mapping[str, Any]], schema: ArrowSchema) -> ArrowBatch | None:
    """The rows as a batch; None where one does not fit the schema."""
    import pyarrow as pa

    try:
        return batch_of(rows, schema)
    except (pa.ArrowException, TypeError, ValueError, OverflowError):
        return None


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
