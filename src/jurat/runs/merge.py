"""Joins runs over parts of the same items into one."""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import Any

from jurat.errors import JuratError
from jurat.files import beside, make_folder
from jurat.runs.arrow import ArrowBatch, ArrowSchema
from jurat.runs.folder import (
    PART_ROWS,
    PARTS,
    Facts,
    hold,
    part_rows,
    retrying_file,
    run_files,
    run_rows,
    write_facts,
    write_part,
)
from jurat.runs.parquet_sink import batches_of, rows_of
from jurat.runs.recorded_items import item_key
from jurat.text import reason


def merge_runs(folders: Sequence[Path], out: Path, facts: Facts, schema: ArrowSchema) -> int:
    """Copies the rows of runs into a new one, which is there whole or not at all; returns their number.

    Args:
        folders: of the runs; they stay as they are.
        out: is not there yet.
        facts: what its `_run.json` is to hold.
        schema: of its rows; columns that older parts lack are null.

    Raises:
        JuratError: two of them hold the same item, or one cannot be read,
            or is stopped in the middle of trying its errors again.
    """
    if out.exists():
        raise JuratError(f"{out} is there already.", hint="Name a folder that is not.")
    for folder in folders:
        if retrying_file(folder).exists():
            raise JuratError(
                f"{folder} has errors that were being tried again when its run was stopped.",
                hint="The jurat judge command of that run ends it; merge it then.",
            )
    _check_disjoint(folders)
    _remove_remains(out)
    aside = beside(out, "merging")
    rows = 0
    held = ExitStack()
    try:
        make_folder(aside / PARTS)
        held.callback(hold(aside))
        batches = _pieces(
            batch for folder in folders for path in run_files(folder) for batch in _batches(path, schema)
        )
        for number, part in enumerate(batches):
            rows += sum(batch.num_rows for batch in part)
            write_part(aside / PARTS / f"part-{number:06}.parquet", part, schema)
        write_facts(aside, facts)
        aside.rename(out)
    except OSError as error:
        raise JuratError(f"{out} cannot be written: {reason(error)}.") from error
    finally:
        shutil.rmtree(aside, ignore_errors=True)
        held.close()
    return rows


def _remove_remains(out: Path) -> None:
    """Removes what merges into `out` that were killed left behind; one that is under way holds its folder."""
    name = re.compile(rf"\.{re.escape(out.name)}\.\d+-[0-9a-f]+\.merging")
    with suppress(OSError):
        for path in [path for path in out.parent.iterdir() if name.fullmatch(path.name)]:
            with suppress(JuratError), ExitStack() as held:
                held.callback(hold(path))
                shutil.rmtree(path, ignore_errors=True)


def _check_disjoint(folders: Sequence[Path]) -> None:
    from jurat.runs.recorded_items import Recorded

    seen: list[tuple[Path, Recorded]] = []
    for folder in folders:
        for row in run_rows(folder, ["id", "occurrence"]):
            key = item_key(row["id"], row["occurrence"] or 0)
            for other, keys in seen:
                if key in keys:
                    raise JuratError(
                        f"{other} and {folder} both hold {row['id']!r}.",
                        hint="Only runs over different items can be merged: shards of the same ones, say.",
                    )
        seen.append((folder, Recorded(_keys(folder))))


def _keys(folder: Path) -> Iterator[bytes]:
    return (item_key(row["id"], row["occurrence"] or 0) for row in run_rows(folder, ["id", "occurrence"]))


def _batches(path: Path, schema: ArrowSchema) -> Iterator[ArrowBatch]:
    import pyarrow as pa
    import pyarrow.parquet as pq

    if path.suffix != ".parquet":
        yield from batches_of(part_rows(path), schema)
        return
    try:
        with pq.ParquetFile(path) as file:
            for batch in file.iter_batches(batch_size=1024):
                if batch.schema.equals(schema):
                    yield batch
                else:  # of an older jurat
                    rows = rows_of(batch)
                    yield from batches_of(
                        ({name: row.get(name) for name in schema.names} for row in rows), schema
                    )
    except (pa.ArrowException, OSError) as error:
        raise JuratError(f"{path} is not a whole Parquet file: {reason(error)}") from error


def _pieces(batches: Iterable[ArrowBatch]) -> Iterator[list[ArrowBatch]]:
    piece: list[Any] = []
    rows = 0
    for batch in batches:
        piece.append(batch)
        rows += batch.num_rows
        if rows >= PART_ROWS:
            yield piece
            piece, rows = [], 0
    if piece:
        yield piece
