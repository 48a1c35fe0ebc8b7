"""Rows in blocks: a few columns of all of them, and whole only those that are asked for.

A row of verdicts is deeply nested, so that making Python objects of it takes far longer than reading it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Any

from jurat.errors import JuratError
from jurat.runs.arrow import ArrowTable
from jurat.runs.folder import is_run, part_rows, run_files
from jurat.runs.parquet_sink import rows_of
from jurat.runs.rows import read_rows
from jurat.text import reason

Row = dict[str, Any]

_MAGIC = b"PAR1"
_ROWS = 1024


@dataclass(frozen=True)
class Block:
    """Rows that follow one another."""

    count: int
    columns: ArrowTable | None
    """The leaves that were named, of all the rows; None where they do not lie in columns on disk."""
    read: Callable[[Sequence[int]], list[Row]]
    """The whole rows at some places, from 0, in that order."""


def read_blocks(path: Path, leaves: Sequence[str]) -> Iterator[Block]:
    """The rows of a file or a run's folder, as `read_rows` reads them, in blocks.

    Args:
        path: what a sink wrote.
        leaves: columns by their paths in Parquet, `rules.list.element.id` say. A file that lacks one of them
            is read in whole rows.

    Raises:
        JuratError: at once or on the way, where it cannot be read.
    """
    if path.is_dir() and is_run(path):
        for part in run_files(path):
            yield from _of_file(part, leaves) if _is_parquet(part) else of_rows(part_rows(part))
    elif path.is_file() and _is_parquet(path):
        yield from _of_file(path, leaves)
    else:
        yield from of_rows(read_rows(path))


def of_rows(rows: Iterable[Row]) -> Iterator[Block]:
    """Rows that are in memory, or come one by one."""
    rows = iter(rows)
    while some := list(islice(rows, _ROWS)):
        yield Block(len(some), None, lambda places, some=some: [some[place] for place in places])


def _is_parquet(path: Path) -> bool:
    try:
        with path.open("rb") as file:
            return file.read(4) == _MAGIC
    except OSError:  # whoever reads it says so
        return False


def _of_file(path: Path, leaves: Sequence[str]) -> Iterator[Block]:
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        with pq.ParquetFile(path) as file:
            there = {file.schema.column(number).path for number in range(len(file.schema))}
            wanted = list(leaves) if there.issuperset(leaves) else None
            for group in range(file.num_row_groups):
                columns = None if wanted is None else file.read_row_group(group, columns=wanted)
                yield Block(file.metadata.row_group(group).num_rows, columns, partial(_whole, path, group))
    except (pa.ArrowException, OSError) as error:
        raise JuratError(f"{path} is not a whole Parquet file: {reason(error)}") from error


def _whole(path: Path, group: int, places: Sequence[int]) -> list[Row]:
    import pyarrow as pa
    import pyarrow.parquet as pq

    with pq.ParquetFile(path) as file:
        rows = file.read_row_group(group).take(pa.array(places, pa.int64()))
        return rows_of(rows)
