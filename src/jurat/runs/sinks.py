"""Where rows go: JSON Lines, written as they come, or one Parquet file, put in its place at the end.

Neither replaces a file unless told to, and neither loses rows that were written when a run ends early.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Any, BinaryIO, Protocol, Self

from jurat.errors import JuratError
from jurat.files import count_rows, exists_already, file_errors, make_folder
from jurat.runs.arrow import ArrowSchema
from jurat.text import reason

Row = Mapping[str, Any]
"""Names to values that JSON can hold: text, numbers, booleans, None, lists and dicts of these."""

_JSON = (".jsonl", ".ndjson")
_PARQUET = (".parquet", ".pq")


class Sink(Protocol):
    """Takes rows, one at a time, inside a `with` block."""

    rows: int
    """How many were written; after a failure, how many can be read."""

    @property
    def summary(self) -> str:
        """Where the rows are, without a full stop; final after the `with` block, also of one that raised."""
        ...

    def write(self, row: Row) -> None:
        """Adds a row. Raises JuratError where it cannot be written; nothing more can be written then."""
        ...

    def __enter__(self) -> Self: ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...


def open_sink(path: Path | str | None, schema: Callable[[], ArrowSchema], *, overwrite: bool = False) -> Sink:
    """A sink for the format that the suffix names, in a folder that is made if need be.

    - `.jsonl`, `.ndjson`: each row is flushed before `write` returns. A row that could be written only
      in part (the disk is full) is taken back.
    - `.parquet`, `.pq`: the file appears, whole, at the end of the `with` block. If the block raises, the
      rows so far are kept beside it as `NAME.partial`, and a note on the error says so.
    - `-`: JSON Lines on standard output. None: rows are counted and go nowhere.

    Args:
        path: of the file to write.
        schema: makes the `pyarrow.Schema` of the rows, with its metadata; called for Parquet, and where a
            row cannot be written.
        overwrite: whether a file that exists may be replaced.

    Raises:
        JuratError: the file exists, its suffix is not known, or it cannot be made.
    """
    if path is None:
        return _Nowhere()
    if str(path) == "-":
        return _JsonLines(None, sys.stdout.buffer, schema)
    path = Path(path)
    check_sink(path)
    suffix = path.suffix.lower()
    if path.exists() and not overwrite:
        raise exists_already(path)
    with file_errors(path):
        make_folder(path.parent)
        if suffix in _JSON:
            return _JsonLines(path, path.open("wb" if overwrite else "xb"), schema)
        from jurat.runs.parquet_sink import ParquetSink

        return ParquetSink(path, schema(), overwrite=overwrite)


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


class _Nowhere:
    def __init__(self) -> None:
        self.rows = 0
        self.summary = "the rows were not written to a file"

    def write(self, row: Row) -> None:
        self.rows += 1

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...


class _JsonLines:
    def __init__(self, path: Path | None, file: BinaryIO, schema: Callable[[], ArrowSchema]) -> None:
        self.rows = 0
        self._schema = schema
        self._path = path
        self._name = "standard output" if path is None else str(path)
        self._file = file
        self._whole = 0
        """Bytes up to the end of the last whole row."""

    @property
    def summary(self) -> str:
        return f"{count_rows(self.rows)} in {self._name}"

    def write(self, row: Row) -> None:
        line = json_line_or_error(row, self._schema, self.rows + 1)
        with file_errors(self._name, self.rows):
            try:
                self._file.write(line)
                self._file.flush()
            except OSError:
                self._take_back()
                raise
        self._whole += len(line)
        self.rows += 1

    def _take_back(self) -> None:
        if self._path is None:
            # Nobody reads any more (`| head`): Python would try to write the rest once more when it ends.
            with suppress(OSError, ValueError), open(os.devnull, "wb") as nowhere:
                os.dup2(nowhere.fileno(), self._file.fileno())
            return
        # Closing tries once more to write what is in the buffer; whatever comes of it is then cut off.
        with suppress(OSError):
            self._file.close()
        with suppress(OSError):
            os.truncate(self._path, self._whole)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._path is None or self._file.closed:
            return
        with file_errors(self._name, self.rows):
            with suppress(OSError):  # not every file can be synced: a device, some network shares
                os.fsync(self._file.fileno())
            self._file.close()


def json_line_or_error(row: Row, schema: Callable[[], ArrowSchema], number: int) -> bytes:
    """A row as a line of JSON, or the error row that stands for it where it has no such form."""
    try:
        return json_line(row, number)
    except JuratError as error:
        from jurat.runs.unwritable import error_row

        try:
            return json_line(error_row(row, schema(), number), number)
        except JuratError:  # the schema has no place for an error
            raise error from None


def json_line(row: Row, number: int) -> bytes:
    """A row as a line of JSON. Raises JuratError, with the row's number, where it has no such form."""
    try:
        text = json.dumps(row, ensure_ascii=False, allow_nan=False)
    except (TypeError, ValueError) as error:
        raise JuratError(f"row {number} cannot be written as JSON: {reason(error)}") from error
    # A lone surrogate has no UTF-8. Written as \udcff it is JSON all the same, and reads back as it was.
    return text.encode("utf-8", "backslashreplace") + b"\n"
