"""Reads rows back from what the sinks wrote, whichever format it is."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, cast

from jurat.errors import JuratError
from jurat.runs.folder import is_run, run_rows
from jurat.runs.parquet_sink import STREAM_MAGIC, parquet_rows, read_stream, rows_of
from jurat.text import reason

_PARQUET_MAGIC = b"PAR1"


def read_rows(path: Path | str) -> Iterator[dict[str, Any]]:
    """The rows of a JSON Lines or Parquet file, of a `.partial` one, or of a run's folder, one by one.

    The format of a file is told from its content. Blank lines are left out.

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
        with path.open("rb") as file:
            magic = file.read(4)
    except OSError as error:
        raise JuratError(f"{path} cannot be read: {reason(error)}.") from error
    if magic == _PARQUET_MAGIC:
        return parquet_rows(path)
    if magic == STREAM_MAGIC:
        return (row for batch in read_stream(path) for row in rows_of(batch))
    return _json_rows(path)


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
                hint="The rows before it are whole. Delete this line to go on with them.",
            ) from error
        raise JuratError(f"{where}: not a row of JSON: {reason(error)}") from error
    if not isinstance(row, dict):
        kind = type(row).__name__
        raise JuratError(f"{where}: not a row of JSON: an object {{...}} was expected, this is a {kind}")
    return cast("dict[str, Any]", row)
