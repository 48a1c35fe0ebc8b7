"""Reads rows back from files and run folders, whichever format they have: one by one, or in blocks.

A row of verdicts is deeply nested, so making Python objects of it takes far longer than reading it. Blocks
give a few columns of all rows, and whole only the rows that are asked for.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Any, cast

from jurat.errors import JuratError
from jurat.runs.arrow import ArrowTable
from jurat.runs.folder import is_run, part_rows, run_files, run_rows
from jurat.runs.parquet import PARQUET_MAGIC, STREAM_MAGIC, not_whole, parquet_rows, rows_of, stream_batches
from jurat.text import reason

_BLOCK_ROWS = 1024


@dataclass(frozen=True)
class Block:
    """Consecutive rows."""

    count: int
    columns: ArrowTable | None
    """The leaves that were named, of all the rows; None where they do not lie in columns on disk."""
    read: Callable[[Sequence[int]], list[dict[str, Any]]]
    """The whole rows at some places, from 0, in that order."""


def read_rows(path: Path | str) -> Iterator[dict[str, Any]]:
    """The rows of a JSON Lines or Parquet file, of a `.partial` one, or of a run's folder, one by one.

    The format is detected from the content. Blank lines are skipped.

    Raises:
        JuratError: at once if the file cannot be read; on the way, with its number, where a line is not
            a JSON object.
    """
    path = Path(path)
    if path.is_dir():
        if not is_run(path):
            raise JuratError(f"{path} is a folder, and not one of a run: it has no _run.json.")
        return run_rows(path)
    try:
        magic = _first_bytes(path)
    except OSError as error:
        raise JuratError(f"{path} cannot be read: {reason(error)}.") from error
    if magic == PARQUET_MAGIC:
        return parquet_rows(path)
    if magic == STREAM_MAGIC:
        return (row for batch in stream_batches(path) for row in rows_of(batch))
    return _json_rows(path)


def read_blocks(path: Path, leaves: Sequence[str], optional: Sequence[str] = ()) -> Iterator[Block]:
    """The rows of a file or a run's folder, as `read_rows` reads them, in blocks.

    Args:
        path: what a sink or a run wrote.
        leaves: columns by their paths in Parquet, `rules.list.element.id` say. A file that lacks one of them
            is read in whole rows.
        optional: columns that are read too where a file has them.

    Raises:
        JuratError: at once or on the way, where it cannot be read.
    """
    if path.is_dir() and is_run(path):
        for part in run_files(path):
            parquet = _is_parquet(part)
            yield from _parquet_blocks(part, leaves, optional) if parquet else blocks_of(part_rows(part))
    elif _is_parquet(path):
        yield from _parquet_blocks(path, leaves, optional)
    else:
        yield from blocks_of(read_rows(path))


def blocks_of(rows: Iterable[dict[str, Any]]) -> Iterator[Block]:
    """Blocks of rows from any iterable."""
    rows = iter(rows)
    while some := list(islice(rows, _BLOCK_ROWS)):
        yield Block(len(some), None, lambda places, some=some: [some[place] for place in places])


def _first_bytes(path: Path) -> bytes:
    with path.open("rb") as file:
        return file.read(4)


def _is_parquet(path: Path) -> bool:
    with suppress(OSError):  # reading the rows reports it
        return _first_bytes(path) == PARQUET_MAGIC
    return False


def _parquet_blocks(path: Path, leaves: Sequence[str], optional: Sequence[str]) -> Iterator[Block]:
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        with pq.ParquetFile(path) as file:
            there = {file.schema.column(number).path for number in range(len(file.schema))}
            wanted = [*leaves, *there.intersection(optional)] if there.issuperset(leaves) else None
            for group in range(file.num_row_groups):
                columns = None if wanted is None else file.read_row_group(group, columns=wanted)
                count = file.metadata.row_group(group).num_rows
                yield Block(count, columns, partial(_rows_at, path, group))
    except (pa.ArrowException, OSError) as error:
        raise not_whole(path, error) from error


def _rows_at(path: Path, group: int, places: Sequence[int]) -> list[dict[str, Any]]:
    import pyarrow as pa
    import pyarrow.parquet as pq

    with pq.ParquetFile(path) as file:
        return rows_of(file.read_row_group(group).take(pa.array(places, pa.int64())))


def _json_rows(path: Path) -> Iterator[dict[str, Any]]:
    with path.open("rb") as file:
        for number, line in enumerate(file, 1):
            if line.strip():
                yield _json_row(line, f"{path}:{number}")


def _json_row(line: bytes, where: str) -> dict[str, Any]:
    try:
        row: object = json.loads(line.decode("utf-8-sig"))
    except (ValueError, RecursionError) as error:
        if not line.endswith(b"\n"):
            raise JuratError(
                f"{where}: the last row is cut off; the run that wrote it was stopped.",
                hint="The rows before it are complete. Delete this line to use them.",
            ) from error
        raise JuratError(f"{where}: not a row of JSON: {reason(error)}") from error
    if not isinstance(row, dict):
        kind = type(row).__name__
        raise JuratError(f"{where}: not a row of JSON: an object {{...}} was expected, this is a {kind}")
    return cast("dict[str, Any]", row)
