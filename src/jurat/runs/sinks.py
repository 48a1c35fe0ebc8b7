"""Files of rows: JSON Lines, written as they come, or one Parquet file, put in its place at the end.

Neither replaces a file unless `overwrite` is given, and neither loses rows that were written when a run ends
early. A Parquet file cannot be read before its footer is written, so its rows first go to a hidden Arrow
stream beside it, which can be read up to its last whole batch whatever happens.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any, BinaryIO, Protocol, Self

from jurat.errors import JuratError
from jurat.files import (
    beside,
    count_rows,
    exists_already,
    file_errors,
    make_folder,
    move_to_free_name,
)
from jurat.runs.arrow import ArrowBatch
from jurat.runs.line_file import LineFile
from jurat.runs.parquet import BATCH_ROWS, batches_of, stream_batches, write_parquet
from jurat.runs.schema import Row, RowSchema

_JSON = (".jsonl", ".ndjson")
_PARQUET = (".parquet", ".pq")


class Sink(Protocol):
    """Takes rows, one at a time, inside a `with` block."""

    @property
    def rows(self) -> int:
        """Number of rows written; after a failure, number of rows that can be read."""
        ...

    @property
    def summary(self) -> str:
        """Where the rows are, without a full stop; final after the `with` block, also of one that raised."""
        ...

    def write(self, row: Row) -> None:
        """Adds a row. Raises JuratError where it cannot be written; nothing more can be written then."""
        ...

    def __enter__(self) -> Self: ...

    def __exit__(self, kind: Any, error: BaseException | None, trace: Any) -> None: ...


def open_sink(path: Path | str | None, schema: RowSchema, *, overwrite: bool = False) -> Sink:
    """Opens a sink for the format of the suffix; missing folders are created.

    - `.jsonl`, `.ndjson`: each row is flushed before `write` returns. A row that could be written only
      in part (the disk is full) is taken back.
    - `.parquet`, `.pq`: the file appears, whole, at the end of the `with` block. If the block raises, the
      rows so far are kept beside it as `NAME.partial`, and a note on the error says so.
    - `-`: JSON Lines on standard output. None: rows are counted and go nowhere.

    Args:
        path: of the file to write.
        schema: of the rows.
        overwrite: whether a file that exists may be replaced.

    Raises:
        JuratError: the file exists, its suffix is not known, or it cannot be made.
    """
    if path is None:
        return _NullSink()
    if str(path) == "-":
        return _StandardOutput(schema)
    path = Path(path)
    check_sink(path)
    if path.exists() and not overwrite:
        raise exists_already(path)
    with file_errors(path):
        make_folder(path.parent)
        if path.suffix.lower() in _JSON:
            return _JsonFile(path, path.open("wb" if overwrite else "xb"), schema)
        return _ParquetFile(path, schema, overwrite=overwrite)


def check_sink(path: Path) -> None:
    """Raises JuratError where `open_sink` has no format for a path of this name; touches no file."""
    suffix = path.suffix.lower()
    if path.is_dir():
        raise JuratError(f"{path} is a folder.", hint="Name a file in it.")
    if suffix not in _JSON + _PARQUET:
        what = f"{suffix} files" if suffix else "a file without a suffix"
        raise JuratError(
            f"{path}: jurat does not write {what}.",
            hint="Name it .jsonl (written row by row) or .parquet (written at the end).",
        )


class _NullSink:
    def __init__(self) -> None:
        self.rows = 0
        self.summary = "the rows were not written to a file"

    def write(self, row: Row) -> None:
        self.rows += 1

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: Any, error: BaseException | None, trace: Any) -> None: ...


class _StandardOutput(_NullSink):
    def __init__(self, schema: RowSchema) -> None:
        super().__init__()
        self._schema = schema
        self._file = sys.stdout.buffer

    def write(self, row: Row) -> None:
        line = self._schema.json_line(row, self.rows + 1)
        with file_errors("standard output", self.rows):
            try:
                self._file.write(line)
                self._file.flush()
            except OSError:
                # The reader is gone (`| head`): Python would try to write the rest once more when it ends.
                with suppress(OSError, ValueError), open(os.devnull, "wb") as nowhere:
                    os.dup2(nowhere.fileno(), self._file.fileno())
                raise
        self.rows += 1

    def __exit__(self, kind: Any, error: BaseException | None, trace: Any) -> None:
        self.summary = f"{count_rows(self.rows)} in standard output"


class _JsonFile:
    def __init__(self, path: Path, file: BinaryIO, schema: RowSchema) -> None:
        self._schema = schema
        self._lines = LineFile(path, file)

    @property
    def rows(self) -> int:
        return self._lines.lines

    @property
    def summary(self) -> str:
        return f"{count_rows(self.rows)} in {self._lines.path}"

    def write(self, row: Row) -> None:
        line = self._schema.json_line(row, self.rows + 1)
        with file_errors(self._lines.path, self.rows):
            self._lines.write(line)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: Any, error: BaseException | None, trace: Any) -> None:
        with suppress(OSError, ValueError):  # not every file can be synced: a device, some network shares
            self._lines.sync()
        with file_errors(self._lines.path, self.rows):
            self._lines.close()


class _ParquetFile:
    """Holds at most 256 rows in memory, and one row group of 64 MiB at the end."""

    def __init__(self, path: Path, schema: RowSchema, *, overwrite: bool) -> None:
        import pyarrow as pa

        self.rows = 0
        self.summary = f"the rows for {path} are not written yet"
        self._path = path
        self._overwrite = overwrite
        self._schema, self._arrow = schema, schema.arrow()
        self._columns = frozenset(self._arrow.names)
        self._waiting: list[Row] = []
        self._spool = beside(path, "writing")
        self._file: BinaryIO = self._spool.open("xb")
        options = pa.ipc.IpcWriteOptions(compression="zstd")
        self._stream = pa.ipc.new_stream(self._file, self._arrow, options=options)

    def write(self, row: Row) -> None:
        if unknown := row.keys() - self._columns:
            names = ", ".join(sorted(unknown))
            raise JuratError(f"row {self.rows + 1} has fields that the schema lacks: {names}")
        self._waiting.append(row)
        self.rows += 1
        if len(self._waiting) >= BATCH_ROWS:
            self._spool_waiting()

    def _spool_waiting(self) -> None:
        waiting, self._waiting = self._waiting, []
        first = self.rows - len(waiting) + 1
        with file_errors(self._path):
            for batch in batches_of(waiting, self._schema, self._arrow, first=first):
                self._stream.write_batch(batch)
            self._file.flush()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: Any, error: BaseException | None, trace: Any) -> None:
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
        with file_errors(self._path):
            batches = self._spooled_whole()
            write_parquet(self._path, batches, self._arrow, replace=self._overwrite)
        self._spool.unlink(missing_ok=True)
        self.summary = f"{count_rows(self.rows)} in {self._path}"

    def _spooled_whole(self) -> Iterator[ArrowBatch]:
        """The batches that were spooled. Raises JuratError at their end where some cannot be read back."""
        rows = 0
        for batch in stream_batches(self._spool):
            rows += batch.num_rows
            yield batch
        if rows != self.rows:
            raise JuratError(f"only {rows} of {self.rows} rows for {self._path} could be read back.")

    def _keep(self, *, convert: bool) -> None:
        """Leaves the rows as `NAME.partial`: as Parquet, or as the stream where there is no room for both."""
        self.rows = sum(batch.num_rows for batch in stream_batches(self._spool))
        if self.rows == 0:
            self._spool.unlink(missing_ok=True)
            self.summary = f"no rows were written to {self._path}"
            return
        kept, aside = self._spool, beside(self._path, "parquet")
        if convert:
            with suppress(Exception):
                write_parquet(aside, stream_batches(self._spool), self._arrow)
                kept = aside
        name = kept
        with suppress(OSError):
            name = move_to_free_name(kept, self._path.with_name(self._path.name + ".partial"))
        for rest in {self._spool, aside} - {name}:
            rest.unlink(missing_ok=True)
        self.summary = f"{count_rows(self.rows)} in {name}"
