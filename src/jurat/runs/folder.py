"""A run's folder: `_run.json`, which says what was run, and the verdicts as Parquet parts of bounded size.

    DIR/_run.json
    DIR/.lock                            held while a process writes
    DIR/parts/part-000000.parquet ...    written aside and renamed; the only Parquet files below DIR
    DIR/parts/_part-000007.jsonl         the rows since the last part, flushed one by one
    DIR/_retrying.jsonl                  while errors are judged anew: the rows that they had
    DIR/parts/_part-000000.0f3a...again  while all rows are rewritten (`jurat.runs.rewrite`): a part to be

Readers of Parquet (pyarrow, pandas, Spark) pass over names that begin with `_` or `.`, so that they
can be pointed at DIR. Runs of an earlier layout have these names without `_`: they are read as they are, and
renamed when a run goes on.

The rows of a part go to its `.jsonl` first. When that is full, it is turned into the part and removed; where
both are there, a run ended between the two, and the part counts. A last line that was cut off counts for
nothing. So every row is there exactly once at any moment, whenever a run is killed.
"""

from __future__ import annotations

import errno
import json
import os
import re
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import ExitStack, suppress
from pathlib import Path
from types import TracebackType
from typing import Any, BinaryIO, Self, cast

from jurat.errors import JuratError
from jurat.files import beside, count_rows, make_folder, sync_folder
from jurat.runs.arrow import ArrowBatch, ArrowSchema
from jurat.runs.parquet_sink import batches_of, parquet_rows
from jurat.runs.recorded_items import item_key
from jurat.runs.sinks import json_line, json_line_or_error
from jurat.text import reason

RUN_FILE, PARTS, RETRYING, LOCK = "_run.json", "parts", "_retrying.jsonl", ".lock"
_EARLIER = {"run.json": RUN_FILE, "retrying.jsonl": RETRYING, "lock": LOCK}
"""Names of an earlier layout and those that they have now."""
PART_ROWS, PART_BYTES = 20_000, 64 * 2**20
"""A part is closed when it has so many rows, or so many bytes of JSON."""

REWRITTEN = "rewritten"
"""In `_run.json`: which parts to be are the rows now."""

_PART = re.compile(r"_?part-(\d{6,})\.(parquet|jsonl)")
_AGAIN = re.compile(r"_?part-(\d{6,})\.([0-9a-f]+)\.again")
_FACTS_TO_BE = re.compile(r"\._?run\.json\..*\.writing")
_SYNC_SECONDS = 10.0

Facts = Mapping[str, Any]
"""What `_run.json` holds."""


def facts_file(folder: Path) -> Path:
    """Where a run's facts are: `_run.json`, or `run.json` of an earlier layout."""
    earlier = folder / "run.json"
    return earlier if earlier.is_file() and not (folder / RUN_FILE).is_file() else folder / RUN_FILE


def retrying_file(folder: Path) -> Path:
    """Where the rows of errors that are judged anew are kept meanwhile."""
    earlier = folder / "retrying.jsonl"
    return earlier if earlier.exists() and not (folder / RETRYING).exists() else folder / RETRYING


def is_run(path: Path) -> bool:
    """Whether a path is the folder of a run."""
    return facts_file(path).is_file()


def other_files(folder: Path) -> bool:
    """Whether a folder has files in it that no run wrote."""
    own = (PARTS, *_EARLIER, *_EARLIER.values(), f"{LOCK}{_HELD}")
    return any(name not in own and not _FACTS_TO_BE.fullmatch(name) for name in os.listdir(folder))


def read_facts(folder: Path) -> dict[str, Any]:
    """What `_run.json` holds. Raises JuratError where it cannot be read."""
    path = facts_file(folder)
    try:
        facts: object = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise JuratError(f"{path} cannot be read: {reason(error)}.") from error
    if not isinstance(facts, dict):
        raise JuratError(f"{path} is not what a run wrote.")
    return cast("dict[str, Any]", facts)


def write_facts(folder: Path, facts: Facts) -> None:
    """Writes `_run.json`, whole or not at all."""
    aside = beside(folder / RUN_FILE, "writing")
    with run_errors(folder, None):
        make_folder(folder)
        try:
            with aside.open("x", encoding="utf-8") as file:
                json.dump(facts, file, ensure_ascii=False, indent=1)
                file.write("\n")
                file.flush()
                os.fsync(file.fileno())
            aside.replace(folder / RUN_FILE)
            (folder / "run.json").unlink(missing_ok=True)
            sync_folder(folder)
        finally:
            aside.unlink(missing_ok=True)


def run_files(folder: Path) -> list[Path]:
    """The files that hold the rows of a run, in order: parts, and the one that is being filled."""
    found: dict[int, Path] = {}
    try:
        names = sorted(os.listdir(folder / PARTS))
    except FileNotFoundError:
        return []
    except OSError as error:
        raise JuratError(f"{folder / PARTS} cannot be listed: {reason(error)}.") from error
    for name in names:  # `.jsonl` comes before `.parquet`, which counts
        if match := _PART.fullmatch(name):
            found[int(match[1])] = folder / PARTS / name
    if any(_AGAIN.fullmatch(name) for name in names):
        found |= {number: path for number, path, counts in _parts_to_be(folder, names) if counts}
    return [found[number] for number in sorted(found)]


def _parts_to_be(folder: Path, names: Iterable[str]) -> Iterator[tuple[int, Path, bool]]:
    """The rewritten parts that are not in their places: number, path, and whether they count already."""
    token = read_facts(folder).get(REWRITTEN) if is_run(folder) else None
    for name in names:
        if match := _AGAIN.fullmatch(name):
            yield int(match[1]), folder / PARTS / name, match[2] == token


def settle(folder: Path) -> None:
    """Puts rewritten parts in their places, if they count; removes them if not. Renames what an earlier
    layout named otherwise."""
    for name, now in _EARLIER.items():
        if name != "lock" and (folder / name).exists() and not (folder / now).exists():
            (folder / name).replace(folder / now)
    for name in os.listdir(folder / PARTS):
        if name.startswith("part-") and name.endswith(".jsonl"):
            (folder / PARTS / name).replace(folder / PARTS / f"_{name}")
    for number, path, counts in list(_parts_to_be(folder, os.listdir(folder / PARTS))):
        if counts:
            path.replace(folder / PARTS / f"part-{number:06}.parquet")
        else:
            path.unlink()
    sync_folder(folder / PARTS)


def run_rows(folder: Path, columns: list[str] | None = None) -> Iterator[dict[str, Any]]:
    """The rows of a run; of some columns only, where those are named."""
    for path in run_files(folder):
        yield from part_rows(path, columns)


def part_rows(path: Path, columns: list[str] | None = None) -> Iterator[dict[str, Any]]:
    """The whole rows of one file of a run."""
    if path.suffix == ".again" and not path.exists():  # a run that goes on has just put it in its place
        path = _part_of(path)
    if path.suffix != ".jsonl":
        yield from parquet_rows(path, columns)
        return
    try:
        with path.open("rb") as file:
            for line in file:
                if line.endswith(b"\n"):
                    row = json.loads(line)
                    yield row if columns is None else {name: row.get(name) for name in columns}
    except FileNotFoundError:  # a run that goes on has just turned it into a part
        if not path.name.startswith("_") and (renamed := path.with_name(f"_{path.name}")).exists():
            yield from part_rows(renamed, columns)
        elif (part := _part_of(path)).exists():
            yield from parquet_rows(part, columns)
    except (OSError, ValueError) as error:
        raise JuratError(f"{path} cannot be read: {reason(error)}.") from error


def _part_of(path: Path) -> Path:
    """The part that a file of rows or a part to be becomes."""
    return path.with_name(f"{path.name.lstrip('_').split('.', 1)[0]}.parquet")


def recorded_keys(folder: Path) -> Iterator[bytes]:
    """The keys of the items that a run has recorded."""
    for row in run_rows(folder, ["id", "occurrence"]):
        yield item_key(row["id"], row["occurrence"] or 0)


class RunSink:
    """Adds rows to a run's folder; a `jurat.runs.Sink`. Only one process at a time can write to it."""

    def __init__(
        self,
        folder: Path,
        schema: Callable[[], ArrowSchema],
        *,
        part_rows: int = PART_ROWS,
        part_bytes: int = PART_BYTES,
    ) -> None:
        """Raises JuratError where the folder cannot be written, or another run is writing to it."""
        self.rows = 0
        """Written by this run."""
        self._folder = folder
        self._schema = schema
        self._limits = part_rows, part_bytes
        self._open = ExitStack()
        with run_errors(folder, None):
            make_folder(folder / PARTS)
            self._open.callback(hold(folder))
            settle(folder)
            files = run_files(folder)
            self._clean(files)
            for path in files:
                if path.suffix == ".parquet":
                    _renew_times(path, schema)
        last = files[-1] if files else None
        number = 0 if last is None else int(_PART.fullmatch(last.name)[1])  # pyright: ignore[reportOptionalSubscript]
        self._number = number + 1 if last is not None and last.suffix == ".parquet" else number
        self._waiting: BinaryIO | None = None
        self._waiting_rows = self._whole = 0
        self._synced = time.monotonic()

    @property
    def summary(self) -> str:
        return f"{count_rows(self.rows)} new in {self._folder}"

    @property
    def folder(self) -> Path:
        return self._folder

    def write(self, row: Mapping[str, Any]) -> None:
        line = json_line_or_error(row, self._schema, self.rows + 1)
        with run_errors(self._folder, self.rows):
            file = self._waiting or self._start()
            try:
                file.write(line)
                file.flush()
            except OSError:
                self._take_back()
                raise
            self._whole += len(line)
            self._waiting_rows += 1
            self.rows += 1
            if self._waiting_rows >= self._limits[0] or self._whole >= self._limits[1]:
                self._finish_part()
            elif time.monotonic() - self._synced > _SYNC_SECONDS:
                os.fsync(file.fileno())
                self._synced = time.monotonic()

    def close_part(self) -> None:
        """Turns the rows since the last part into one."""
        with run_errors(self._folder, self.rows):
            if self._waiting is None and self._path("jsonl").exists():
                self._start()
            if self._waiting is not None:
                self._finish_part()

    def drop_errors(self) -> int:
        """Takes the rows with the outcome `error` out of the run, to be judged anew; returns their number.

        They are kept in `_retrying.jsonl` until `restore_errors`.
        """
        self.close_part()
        dropped = 0
        with run_errors(self._folder, None):
            for path in run_files(self._folder):
                errors = [row for row in part_rows(path) if row["outcome"] == "error"]
                if errors:
                    dropped += len(errors)
                    keep_aside(self._folder, errors)
                    rest = (row for row in part_rows(path) if row["outcome"] != "error")
                    write_part(path, batches_of(rest, self._schema()), self._schema())
        return dropped

    def restore_errors(self) -> int:
        """Puts back the rows that were dropped and have no row now; returns their number."""
        kept = retrying_file(self._folder)
        if not kept.exists():
            return 0
        lost: dict[bytes, dict[str, Any]] = {}
        for row in part_rows(kept):
            lost[item_key(row["id"], row["occurrence"] or 0)] = row
        for key in recorded_keys(self._folder):
            lost.pop(key, None)
        for row in lost.values():
            self.write(row)
            self.rows -= 1
        self.close_part()
        kept.unlink()
        return len(lost)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            if error is None:
                self.close_part()
            elif isinstance(
                error, Exception
            ):  # readers of Parquet want the rest too, if there is room for it
                with suppress(JuratError):
                    self.close_part()
        finally:
            if self._waiting is not None:
                with suppress(OSError):
                    self._waiting.close()
            self._open.close()

    def _path(self, suffix: str) -> Path:
        hidden = "" if suffix == "parquet" else "_"
        return self._folder / PARTS / f"{hidden}part-{self._number:06}.{suffix}"

    def _start(self) -> BinaryIO:
        """Opens the file of rows, at the end of its last whole one."""
        path = self._path("jsonl")
        file = path.open("ab+")
        self._waiting_rows, self._whole = _whole_lines(file)
        self._waiting = file
        return file

    def _take_back(self) -> None:
        if self._waiting is None:
            return
        # Closing tries once more to write what is in the buffer; whatever comes of it is then cut off.
        with suppress(OSError):
            self._waiting.close()
        with suppress(OSError):
            os.truncate(self._path("jsonl"), self._whole)

    def _finish_part(self) -> None:
        if self._waiting is not None:
            self._waiting.close()
        spool = self._path("jsonl")
        if self._waiting_rows:
            schema = self._schema()
            write_part(self._path("parquet"), batches_of(part_rows(spool), schema), schema)
        spool.unlink(missing_ok=True)
        self._waiting, self._whole, self._waiting_rows = None, 0, 0
        self._number += 1
        self._synced = time.monotonic()

    def _clean(self, files: list[Path]) -> None:
        """Removes what a run that was killed left half done."""
        for path in (self._folder / PARTS).iterdir():
            stale = _PART.fullmatch(path.name) is not None and path not in files
            if stale or re.fullmatch(r"\._?part-.*\.writing", path.name):
                path.unlink(missing_ok=True)
        for path in self._folder.iterdir():
            if _FACTS_TO_BE.fullmatch(path.name):
                path.unlink(missing_ok=True)


def set_aside(folder: Path) -> Path:
    """Renames a run's folder to `NAME.before-1` (or -2, ...), so that another can take its place.

    Raises:
        JuratError: another process is writing to it, or it cannot be renamed.
    """
    with run_errors(folder, None), ExitStack() as locked:
        locked.callback(hold(folder))
        target = folder.with_name(f"{folder.name}.before-1")
        number = 1
        while target.exists():
            number += 1
            target = folder.with_name(f"{folder.name}.before-{number}")
        folder.rename(target)
        return target


def keep_aside(folder: Path, rows: Iterable[Mapping[str, Any]]) -> None:
    """Keeps rows that are taken out of a run until a whole pass has seen to their items."""
    with retrying_file(folder).open("ab+") as file:
        _whole_lines(file)
        file.writelines(json_line(row, 0) for row in rows)
        file.flush()
        os.fsync(file.fileno())


def _whole_lines(file: BinaryIO) -> tuple[int, int]:
    """Cuts off a last line that was not finished: how many lines there are then, and how many bytes."""
    file.seek(0)
    lines = size = 0
    for line in file:
        if line.endswith(b"\n"):
            lines, size = lines + 1, size + len(line)
    file.truncate(size)
    file.seek(0, os.SEEK_END)
    return lines, size


def write_part(path: Path, batches: Iterable[ArrowBatch], schema: ArrowSchema) -> None:
    """Writes a part aside, syncs and renames it."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    aside = beside(path, "writing")
    try:
        with aside.open("xb") as file:
            with pq.ParquetWriter(file, schema, compression="zstd") as writer:
                for group in _groups(batches):
                    writer.write_table(pa.Table.from_batches(group, schema=schema))
            file.flush()
            os.fsync(file.fileno())
        aside.replace(path)
    finally:
        with suppress(OSError):
            aside.unlink(missing_ok=True)
    sync_folder(path.parent)


def _renew_times(path: Path, schema: Callable[[], ArrowSchema]) -> None:
    """Rewrites a part of an earlier schema whose times are text, so that all parts of a run have one type."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        there: Any = pq.read_schema(path)
    except (pa.ArrowException, OSError) as error:
        raise JuratError(f"{path} is not a whole Parquet file: {reason(error)}") from error
    kinds = {field.name: field.type for field in cast(Any, schema()) if pa.types.is_timestamp(field.type)}
    renewed = pa.schema(
        [field.with_type(kinds.get(field.name, field.type)) for field in there], metadata=there.metadata
    )
    if not renewed.equals(there):
        write_part(path, batches_of(part_rows(path), renewed), renewed)


def _groups(batches: Iterable[ArrowBatch]) -> Iterator[list[ArrowBatch]]:
    """Row groups of a few thousand rows, or 64 MiB."""
    group: list[ArrowBatch] = []
    for batch in batches:
        group.append(batch)
        if sum(part.num_rows for part in group) >= 8192 or sum(part.nbytes for part in group) >= PART_BYTES:
            yield group
            group = []
    if group:
        yield group


def hold(folder: Path) -> Callable[[], None]:
    """Keeps other runs out of a folder, those of an earlier jurat too. What it returns lets go of the folder,
    as the system does when this process ends, however it ends."""
    held = ExitStack()
    try:
        for name in (LOCK, *(["lock"] if (folder / "lock").exists() else [])):
            held.callback(_hold(folder / name, folder))
    except BaseException:
        held.close()
        raise
    with suppress(OSError):  # Windows keeps a file that is open
        (folder / "lock").unlink(missing_ok=True)
    return held.close


_HELD = ".held"
_NO_LOCKS = frozenset((errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOLCK, errno.EINVAL))
"""What a file system without locks answers. ENOSYS is not among them: filelock handles that itself."""


def _hold(path: Path, folder: Path) -> Callable[[], None]:
    from filelock import FileLock, SoftFileLock, Timeout

    held, hint = path.with_name(f"{path.name}{_HELD}"), "Wait for it to end, or give another --out."
    lock = FileLock(path, timeout=0, thread_local=False)
    try:
        try:
            lock.acquire()
        except OSError as error:
            if isinstance(error, Timeout) or error.errno not in _NO_LOCKS:
                raise
            # A file takes the lock's place: it is there while a process writes.
            hint = f"Wait for it to end. If it was killed, remove {held}: this file system has no locks."
            lock = SoftFileLock(held, timeout=0, thread_local=False)
            lock.acquire()
    except Timeout:
        raise JuratError(f"Another run is writing to {folder}.", hint=hint) from None
    return lock.release


class run_errors:
    """Turns errors of the file system into one line that says what was kept and how to go on."""

    def __init__(self, folder: Path, rows: int | None) -> None:
        self._folder = folder
        self._rows = rows

    def __enter__(self) -> None: ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if not isinstance(error, OSError):
            return
        kept = "" if self._rows is None else f"; {count_rows(self._rows)} new and whole in it"
        raise JuratError(
            f"{self._folder} cannot be written: {reason(error)}{kept}.",
            hint="Once it can be written again, the same command goes on."
            if self._rows is not None
            else None,
        ) from error
