"""Writes the rows of a run's folder so that a kill at any moment loses none."""

from __future__ import annotations

import secrets
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import Any, Self

from jurat.files import count_rows, make_folder
from jurat.runs.folder import (
    HALF_WRITTEN,
    PART,
    PARTS,
    REWRITTEN,
    Facts,
    hold,
    part_rows,
    retrying_file,
    run_errors,
    run_files,
    run_rows,
    settle,
    write_facts,
)
from jurat.runs.line_file import LineFile
from jurat.runs.parquet import batches_of, not_whole, write_parquet
from jurat.runs.schema import Row, RowSchema

PART_ROWS, PART_BYTES = 20_000, 64 * 2**20
"""A part is closed when it has so many rows, or so many bytes of JSON."""
_SYNC_SECONDS = 10.0


class PartWriter:
    """Adds rows to a run's folder, a `jurat.runs.Sink`. Only one process at a time can write to a folder."""

    def __init__(
        self, folder: Path, schema: RowSchema, *, part_rows: int = PART_ROWS, part_bytes: int = PART_BYTES
    ) -> None:
        """Raises JuratError where the folder cannot be written, or another run is writing to it."""
        self.rows = 0
        """Rows written since the folder was opened."""
        self.folder = folder
        self.schema = schema
        self._limits = part_rows, part_bytes
        with run_errors(folder), ExitStack() as opened:
            make_folder(folder / PARTS)
            opened.callback(hold(folder))
            settle(folder)
            files = run_files(folder)
            _clean(folder, files)
            for path in files:
                if path.suffix == ".parquet":
                    _renew_times(path, schema)
            self._open = opened.pop_all()
        last = files[-1] if files else None
        number = 0 if last is None else int(PART.fullmatch(last.name)[1])  # pyright: ignore[reportOptionalSubscript]
        self._number = number + 1 if last is not None and last.suffix == ".parquet" else number
        self._lines: LineFile | None = None
        self._synced = time.monotonic()

    @property
    def summary(self) -> str:
        return f"{count_rows(self.rows)} new in {self.folder}"

    def write(self, row: Row) -> None:
        """Adds a row. Raises JuratError where it cannot be written; nothing more can be written then."""
        line = self.schema.json_line(row, self.rows + 1)
        with run_errors(self.folder, self.rows):
            lines = self._lines or self._start()
            lines.write(line)
            self.rows += 1
            if lines.lines >= self._limits[0] or lines.size >= self._limits[1]:
                self._finish_part()
            elif time.monotonic() - self._synced > _SYNC_SECONDS:
                lines.sync()
                self._synced = time.monotonic()

    def close_part(self) -> None:
        """Closes the current part, with the rows since the last one."""
        with run_errors(self.folder, self.rows):
            if self._lines is None and self._spool.exists():
                self._start()
            if self._lines is not None:
                self._finish_part()

    def take_out_errors(self) -> int:
        """Takes the rows of failed items out of the run, to be computed anew; returns their number. They are
        kept in `_retrying.jsonl` until `put_back`."""
        self.close_part()
        taken_out = 0
        with run_errors(self.folder):
            for path in run_files(self.folder):
                errors = [row for row in part_rows(path) if self._failed(row)]
                if errors:
                    taken_out += len(errors)
                    self._keep(errors)
                    self._write_part(path, (row for row in part_rows(path) if not self._failed(row)))
        return taken_out

    def put_back(self) -> Counter[str]:
        """Puts back the rows that were taken out and have not been replaced; counts their outcomes."""
        kept = retrying_file(self.folder)
        if not kept.exists():
            return Counter()
        lost = {self.schema.key(row): row for row in part_rows(kept)}
        for row in run_rows(self.folder, self.schema.keys):
            lost.pop(self.schema.key(row), None)
        for row in lost.values():
            self.write(row)
            self.rows -= 1
        self.close_part()
        kept.unlink()
        return Counter(row[self.schema.outcome] for row in lost.values())

    def rewrite(self, change: Callable[[dict[str, Any]], Row | None], facts: Callable[[], Facts]) -> None:
        """Rewrites every row and `_run.json`: all of it or nothing, whenever the process is killed.

        The new parts are written beside the old ones, as `_part-000000.TOKEN.again`. Then `_run.json` is
        replaced by one that names the token: from that moment on they are the rows. Last they are put in
        their places, if need be by the process that opens the run next. Meanwhile the parts take twice their
        room.

        Args:
            change: the new row for one that is there; None takes it out, as `take_out_errors` does.
            facts: what `_run.json` is to hold; called when all rows are rewritten.

        Raises:
            JuratError: the folder cannot be written; then nothing has changed.
        """
        self.close_part()
        token = secrets.token_hex(8)
        with run_errors(self.folder):
            try:
                for path in run_files(self.folder):
                    self._rewrite_part(path, path.with_name(f"_{path.stem}.{token}.again"), change)
                write_facts(self.folder, {**facts(), REWRITTEN: token})
            finally:
                settle(self.folder)

    def _rewrite_part(self, old: Path, new: Path, change: Callable[[dict[str, Any]], Row | None]) -> None:
        taken_out: list[Row] = []

        def rows() -> Iterator[Row]:
            for row in part_rows(old):
                changed = change(row)
                if changed is None:
                    taken_out.append(row)
                else:
                    yield changed

        self._write_part(new, rows())
        if taken_out:
            self._keep(taken_out)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: Any, error: BaseException | None, trace: Any) -> None:
        try:
            if error is None:
                self.close_part()
            elif isinstance(error, Exception):  # readers of Parquet want the rest too, if there is room
                with suppress(Exception):
                    self.close_part()
        finally:
            with suppress(OSError):  # closed already, unless closing the part failed
                if self._lines is not None:
                    self._lines.close()
            self._open.close()

    @property
    def _spool(self) -> Path:
        return self.folder / PARTS / f"_part-{self._number:06}.jsonl"

    def _failed(self, row: Row) -> bool:
        return row[self.schema.outcome] == self.schema.failed

    def _start(self) -> LineFile:
        self._lines = LineFile.continued(self._spool)
        return self._lines

    def _finish_part(self) -> None:
        if self._lines is not None:
            self._lines.close()
        if self._lines is not None and self._lines.lines:
            self._write_part(self.folder / PARTS / f"part-{self._number:06}.parquet", part_rows(self._spool))
        self._spool.unlink(missing_ok=True)
        self._lines = None
        self._number += 1
        self._synced = time.monotonic()

    def _write_part(self, path: Path, rows: Iterable[Row]) -> None:
        arrow = self.schema.arrow()
        write_parquet(path, batches_of(rows, self.schema, arrow), arrow)

    def _keep(self, rows: Iterable[Row]) -> None:
        """Keeps rows that are taken out until a whole pass has computed their items anew."""
        kept = LineFile.continued(retrying_file(self.folder))
        try:
            for row in rows:
                kept.write(self.schema.json_line(row, 0))
            kept.sync()
        finally:
            kept.close()


def _clean(folder: Path, files: list[Path]) -> None:
    """Removes unfinished files of a killed process."""
    for path in (folder / PARTS).iterdir():
        stale = PART.fullmatch(path.name) is not None and path not in files
        if stale or HALF_WRITTEN.fullmatch(path.name):
            path.unlink(missing_ok=True)
    for path in folder.iterdir():
        if HALF_WRITTEN.fullmatch(path.name):
            path.unlink(missing_ok=True)


def _renew_times(path: Path, schema: RowSchema) -> None:
    """Rewrites a part of an earlier schema whose times are text, so that all parts of a run have one type."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        there: Any = pq.read_schema(path)
    except (pa.ArrowException, OSError) as error:
        raise not_whole(path, error) from error
    kinds = {each.name: each.type for each in schema.arrow() if pa.types.is_timestamp(each.type)}
    fields = [each.with_type(kinds.get(each.name, each.type)) for each in there]
    renewed: Any = pa.schema(fields, metadata=there.metadata)
    if not renewed.equals(there):
        write_parquet(path, batches_of(part_rows(path), schema, renewed), renewed)
