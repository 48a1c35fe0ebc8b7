"""A run's folder: `_run.json`, which says what was run, and the rows as Parquet parts of bounded size.

    DIR/_run.json
    DIR/.lock                            held while a process writes
    DIR/parts/part-000000.parquet ...    written aside and renamed; the only Parquet files below DIR
    DIR/parts/_part-000007.jsonl         the rows since the last part, flushed one by one
    DIR/_retrying.jsonl                  while items are computed anew: the rows that they had
    DIR/parts/_part-000000.0f3a...again  while all rows are rewritten: a part to be

Readers of Parquet (pyarrow, pandas, Spark) skip names that begin with `_` or `.`, so that they can be pointed
at DIR. Runs of an earlier layout have these names without `_`: they are read as they are, and renamed when
the run is resumed.

The rows of a part go to its `.jsonl` first. When that is full, it is turned into the part and removed; where
both are there, a run ended between the two, and the part counts. A last line that was cut off does not count.
So every row is there exactly once at any moment, whenever a run is killed.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Any, cast

from jurat.errors import JuratError
from jurat.files import Locked, count_rows, lock, sync_folder, write_whole
from jurat.runs.line_file import lines_in
from jurat.runs.parquet import parquet_rows
from jurat.text import reason

RUN_FILE, PARTS, RETRYING, LOCK = "_run.json", "parts", "_retrying.jsonl", ".lock"
_EARLIER = {"run.json": RUN_FILE, "retrying.jsonl": RETRYING, "lock": LOCK}
"""Names of an earlier layout and those that they have now."""
REWRITTEN = "rewritten"
"""In `_run.json`: the token of the rewritten parts that count."""

PART = re.compile(r"_?part-(\d{6,})\.(parquet|jsonl)")
_AGAIN = re.compile(r"_?part-(\d{6,})\.([0-9a-f]+)\.again")
HALF_WRITTEN = re.compile(r"\._?(run\.json|part-.*)\..*\.writing")
"""A file that a killed process was writing."""

Facts = Mapping[str, Any]
"""What `_run.json` holds."""


def facts_file(folder: Path) -> Path:
    """Path of a run's `_run.json`."""
    return _named(folder, RUN_FILE)


def retrying_file(folder: Path) -> Path:
    """Path of the old rows of items that are being recomputed."""
    return _named(folder, RETRYING)


def _named(folder: Path, name: str) -> Path:
    """A file of a run, under the name of the earlier layout if it has only that."""
    earlier = folder / name.lstrip("_")
    return earlier if earlier.is_file() and not (folder / name).is_file() else folder / name


def is_run(path: Path) -> bool:
    """Whether a path is a run's folder."""
    return facts_file(path).is_file()


def check_run_folder(folder: Path, *, fresh: bool = False, retry_errors: bool = False) -> None:
    """Raises JuratError if a folder cannot hold a run; writes nothing."""
    if folder.exists() and not folder.is_dir():
        raise JuratError(f"{folder} is a file.", hint="Name it .jsonl or .parquet, or name a folder.")
    if folder.is_dir() and not is_run(folder):
        own = (PARTS, *_EARLIER, *_EARLIER.values(), f"{LOCK}.held")
        if any(name not in own and not HALF_WRITTEN.fullmatch(name) for name in os.listdir(folder)):
            raise JuratError(
                f"{folder} has other files in it, and is not the folder of a run.", hint="Name another."
            )
    if retry_errors and (fresh or not is_run(folder)):
        raise JuratError(f"There is no run in {folder} whose errors could be tried again.")


def read_facts(folder: Path) -> dict[str, Any]:
    """What `_run.json` holds. Raises JuratError where it cannot be read."""
    path = facts_file(folder)
    try:
        facts: object = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise JuratError(f"{path} cannot be read: {reason(error)}.") from error
    if not isinstance(facts, dict):
        raise JuratError(f"{path} was not written by a run.")
    return cast("dict[str, Any]", facts)


def write_facts(folder: Path, facts: Facts) -> None:
    """Writes `_run.json` atomically."""
    with run_errors(folder):
        write_whole(folder / RUN_FILE, json.dumps(facts, ensure_ascii=False, indent=1) + "\n")
        (folder / "run.json").unlink(missing_ok=True)


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
        if match := PART.fullmatch(name):
            found[int(match[1])] = folder / PARTS / name
    if any(_AGAIN.fullmatch(name) for name in names):
        found |= {number: path for number, path, counts in _rewritten(folder, names) if counts}
    return [found[number] for number in sorted(found)]


def _rewritten(folder: Path, names: Iterable[str]) -> Iterator[tuple[int, Path, bool]]:
    """The rewritten parts that are not in their places: number, path, and whether they count already."""
    token = read_facts(folder).get(REWRITTEN) if is_run(folder) else None
    for name in names:
        if match := _AGAIN.fullmatch(name):
            yield int(match[1]), folder / PARTS / name, match[2] == token


def settle(folder: Path) -> None:
    """Puts rewritten parts in their places if they count, and removes them if not. Gives files of an earlier
    layout the names that they have now."""
    for name, now in _EARLIER.items():
        if name != "lock" and (folder / name).exists() and not (folder / now).exists():
            (folder / name).replace(folder / now)
    for name in os.listdir(folder / PARTS):
        if name.startswith("part-") and name.endswith(".jsonl"):
            (folder / PARTS / name).replace(folder / PARTS / f"_{name}")
    for number, path, counts in list(_rewritten(folder, os.listdir(folder / PARTS))):
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
    part = path.with_name(f"{path.name.lstrip('_').split('.', 1)[0]}.parquet")
    if path.suffix == ".again" and not path.exists():  # a run that was resumed has just put it in its place
        path = part
    if path.suffix != ".jsonl":
        yield from parquet_rows(path, columns)
        return
    try:
        for row in lines_in(path):
            yield row if columns is None else {name: row.get(name) for name in columns}
    except FileNotFoundError:  # a run that was resumed has just turned it into a part
        if not path.name.startswith("_") and (renamed := path.with_name(f"_{path.name}")).exists():
            yield from part_rows(renamed, columns)
        elif part.exists():
            yield from parquet_rows(part, columns)
    except (OSError, ValueError) as error:
        raise JuratError(f"{path} cannot be read: {reason(error)}.") from error


def set_aside(folder: Path) -> Path:
    """Renames a run's folder to `NAME.before-1` (or -2, ...), so that another can take its place.

    Raises:
        JuratError: another process is writing to it, or it cannot be renamed.
    """
    with run_errors(folder), ExitStack() as locked:
        locked.callback(hold(folder))
        number = 1
        while (target := folder.with_name(f"{folder.name}.before-{number}")).exists():
            number += 1
        return folder.rename(target)


def hold(folder: Path) -> Callable[[], None]:
    """Locks a folder against other runs, also of earlier versions of jurat; returns a function that unlocks
    it.
    """
    held = ExitStack()
    try:
        for name in (LOCK, *(["lock"] if (folder / "lock").exists() else [])):
            held.callback(lock(folder / name))
    except Locked as locked:
        held.close()
        hint = "Wait for it to end, or give another --out."
        if locked.leftover is not None:
            hint = "Wait for it to end. If it was killed, remove "
            hint += f"{locked.leftover}: this file system has no locks."
        raise JuratError(f"Another run is writing to {folder}.", hint=hint) from None
    except BaseException:
        held.close()
        raise
    with suppress(OSError):  # Windows keeps a file that is open
        (folder / "lock").unlink(missing_ok=True)
    return held.close


@contextmanager
def run_errors(folder: Path, rows: int | None = None) -> Generator[None]:
    """Turns errors of the file system into one line: how many new rows were kept, and how to resume."""
    try:
        yield
    except OSError as error:
        kept = "" if rows is None else f"; {count_rows(rows)} new and whole in it"
        hint = None if rows is None else "Once it is writable again, rerun the same command to resume."
        raise JuratError(f"{folder} cannot be written: {reason(error)}{kept}.", hint=hint) from error
