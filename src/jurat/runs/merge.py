"""Joins runs over parts of the same items into one."""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from jurat.errors import JuratError
from jurat.files import beside, make_folder
from jurat.runs.arrow import ArrowBatch, ArrowSchema
from jurat.runs.folder import (
    PARTS,
    Facts,
    hold,
    is_run,
    part_rows,
    read_facts,
    retrying_file,
    run_files,
    run_rows,
    write_facts,
)
from jurat.runs.parquet import batches_of, not_whole, rows_of, write_parquet
from jurat.runs.part_writer import PART_ROWS
from jurat.runs.recorded_items import RecordedKeys
from jurat.runs.schema import RowSchema
from jurat.runs.settings import differences
from jurat.text import reason


@dataclass(frozen=True)
class MergeResult:
    """Result of a merge."""

    rows: int
    empty: tuple[Path, ...]
    """The runs that hold no rows."""
    missing: tuple[str, ...]
    """Shards that no run was for, "2/3" say."""


def merge_runs(folders: Sequence[Path | str], out: Path | str, schema: RowSchema) -> MergeResult:
    """Copies the rows of runs into a new one, which is there whole or not at all.

    Args:
        folders: of the runs, such as those of a job array; they stay as they are.
        out: is not there yet.
        schema: of their rows; columns that older parts lack are null.

    Raises:
        JuratError: they were made under different settings, two of them hold the same item, or one cannot be
            read, or was stopped in the middle of retrying its errors.
    """
    folders, out = [Path(folder) for folder in folders], Path(out)
    for folder in folders:
        if not is_run(folder):
            raise JuratError(f"{folder} is not the folder of a run: it has no _run.json.")
    facts = [read_facts(folder) for folder in folders]
    joined = _joined(folders, facts, schema)
    if out.exists():
        raise JuratError(f"{out} is there already.", hint="Name a folder that is not.")
    for folder in folders:
        if retrying_file(folder).exists():
            raise JuratError(
                f"{folder} has errors that were being tried again when its run was stopped.",
                hint="Rerun the jurat judge command of that run to finish it, then merge.",
            )
    _check_disjoint(folders, schema)
    _remove_remains(out)
    rows = _write(folders, out, joined, schema)
    empty = tuple(folder for folder in folders if not run_files(folder))
    return MergeResult(rows, empty, tuple(_missing([_shard(each) for each in facts])))


def _joined(folders: Sequence[Path], facts: Sequence[dict[str, Any]], schema: RowSchema) -> dict[str, Any]:
    """The `_run.json` of the merged run."""
    whole = [{**each, "settings": {**each.get("settings", {}), "shard": None}} for each in facts]
    for folder, each in zip(folders, whole, strict=True):
        if lines := differences(whole[0], each, schema):
            told = "\n".join(lines)
            raise JuratError(f"{folders[0]} and {folder} were made under different settings:\n{told}")
    shards = [_shard(each) for each in facts]
    merged = whole[0]
    if None in shards or _missing(shards):
        merged["settings"]["shard"] = ", ".join(shard or "all" for shard in shards) if any(shards) else None
    merged["sessions"] = [session for each in facts for session in each.get("sessions", [])]
    return merged


def _shard(facts: Facts) -> str | None:
    return facts.get("settings", {}).get("shard")


def _missing(shards: Sequence[str | None]) -> list[str]:
    """Shards of the same job array that are missing."""
    named = {shard for shard in shards if shard is not None}
    counts = {shard.rpartition("/")[2] for shard in named}
    if len(counts) != 1 or not (count := next(iter(counts))).isdigit():
        return []
    return [each for number in range(1, int(count) + 1) if (each := f"{number}/{count}") not in named]


def _check_disjoint(folders: Sequence[Path], schema: RowSchema) -> None:
    seen: list[tuple[Path, RecordedKeys]] = []
    for folder in folders:
        for row in run_rows(folder, schema.keys):
            for other, keys in seen:
                if schema.key(row) in keys:
                    raise JuratError(
                        f"{other} and {folder} both hold {row[schema.id]!r}.",
                        hint="Only runs over different items can be merged: shards of the same ones, say.",
                    )
        seen.append((folder, RecordedKeys(map(schema.key, run_rows(folder, schema.keys)))))


def _remove_remains(out: Path) -> None:
    """Removes what merges into `out` that were killed left behind; one that is under way holds its folder."""
    name = re.compile(rf"\.{re.escape(out.name)}\.\d+-[0-9a-f]+\.merging")
    with suppress(OSError):
        for path in [path for path in out.parent.iterdir() if name.fullmatch(path.name)]:
            with suppress(JuratError), ExitStack() as held:
                held.callback(hold(path))
                shutil.rmtree(path, ignore_errors=True)


def _write(folders: Sequence[Path], out: Path, facts: Facts, schema: RowSchema) -> int:
    aside, arrow, rows, held = beside(out, "merging"), schema.arrow(), 0, ExitStack()
    try:
        make_folder(aside / PARTS)
        held.callback(hold(aside))
        files = (path for folder in folders for path in run_files(folder))
        batches = (batch for path in files for batch in _batches(path, schema, arrow))
        for number, part in enumerate(_part_sized(batches)):
            rows += write_parquet(aside / PARTS / f"part-{number:06}.parquet", part, arrow)
        write_facts(aside, facts)
        aside.rename(out)
    except OSError as error:
        raise JuratError(f"{out} cannot be written: {reason(error)}.") from error
    finally:
        shutil.rmtree(aside, ignore_errors=True)
        held.close()
    return rows


def _batches(path: Path, schema: RowSchema, arrow: ArrowSchema) -> Iterator[ArrowBatch]:
    import pyarrow as pa
    import pyarrow.parquet as pq

    if path.suffix != ".parquet":
        yield from batches_of(part_rows(path), schema, arrow)
        return
    try:
        with pq.ParquetFile(path) as file:
            for batch in file.iter_batches(batch_size=1024):
                if batch.schema.equals(arrow):
                    yield batch
                else:  # of an older jurat
                    # A column that it lacks stays out, so that one that may not be null is completed.
                    names = [name for name in arrow.names if name in batch.schema.names]
                    rows = ({name: row[name] for name in names} for row in rows_of(batch))
                    yield from batches_of(rows, schema, arrow)
    except (pa.ArrowException, OSError) as error:
        raise not_whole(path, error) from error


def _part_sized(batches: Iterable[ArrowBatch]) -> Iterator[list[ArrowBatch]]:
    piece: list[ArrowBatch] = []
    for batch in batches:
        piece.append(batch)
        if sum(each.num_rows for each in piece) >= PART_ROWS:
            yield piece
            piece = []
    if piece:
        yield piece
