"""Every row of a run rewritten: all of them or none, whenever the process is killed.

The new parts are written beside the old ones, as `_part-000000.TOKEN.again`. Then `_run.json` is replaced by
one that names the token: from that moment on they are the rows. Last they are put in their places, by
whoever opens the run next if need be. Until then a run has the room of its parts twice on disk.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

from jurat.runs.arrow import ArrowSchema
from jurat.runs.folder import (
    REWRITTEN,
    Facts,
    RunSink,
    keep_aside,
    part_rows,
    run_errors,
    run_files,
    settle,
    write_facts,
    write_part,
)
from jurat.runs.parquet_sink import batches_of

Row = dict[str, Any]


def rewrite_run(
    sink: RunSink,
    schema: ArrowSchema,
    again: Callable[[Row], Mapping[str, Any] | None],
    facts: Callable[[], Facts],
) -> None:
    """Rewrites the rows of a run, and what its `_run.json` holds, at once.

    Args:
        sink: of the run; nothing was written to it yet.
        schema: of the rows.
        again: the new row for one that is there; None takes it out, so that its item is judged anew: it is
            kept in `_retrying.jsonl` as errors are, until `RunSink.restore_errors`.
        facts: what `_run.json` is to hold; called when all rows are rewritten.

    Raises:
        JuratError: the folder cannot be written; then nothing has changed.
    """
    sink.close_part()
    folder, token = sink.folder, secrets.token_hex(8)
    with run_errors(folder, None):
        try:
            for path in run_files(folder):
                taken_out: list[Row] = []

                def rows(path: Path = path, taken_out: list[Row] = taken_out) -> Iterator[Mapping[str, Any]]:
                    for row in part_rows(path):
                        new = again(row)
                        if new is None:
                            taken_out.append(row)
                        else:
                            yield new

                write_part(path.with_name(f"_{path.stem}.{token}.again"), batches_of(rows(), schema), schema)
                if taken_out:
                    keep_aside(folder, taken_out)
            write_facts(folder, {**facts(), REWRITTEN: token})
        finally:
            settle(folder)
