"""`jurat merge`: joins the runs of a job array."""

from __future__ import annotations

import signal
import sys
from collections.abc import Generator
from contextlib import contextmanager, suppress
from pathlib import Path
from types import FrameType
from typing import Annotated, Any

import typer

from jurat.text import counted

app = typer.Typer(add_completion=False, rich_markup_mode=None)


@app.command()
def merge(
    folders: Annotated[
        list[Path],
        typer.Argument(metavar="RUN...", help="What jurat judge --out DIR wrote.", show_default=False),
    ],
    out: Annotated[
        Path, typer.Option("--out", "-o", metavar="DIR", help="The folder to make.", show_default=False)
    ],
) -> None:
    """Join runs over parts of the same items, such as `jurat judge --shard I/N` makes.

    They must have the same settings, and no item may be in two of them. They are not changed.
    """
    from jurat.judge.verdict_runs import VERDICT_ROWS
    from jurat.runs import merge_runs

    with _ended_by_signals():
        merged = merge_runs(folders, out, VERDICT_ROWS)
    typer.echo(f"Wrote {counted(merged.rows, 'row')} of {counted(len(folders), 'run')} to {out}.")
    for folder in merged.empty:
        typer.echo(f"{folder} holds no rows.", err=True)
    for shard in merged.missing:
        typer.echo(f"Shard {shard} is not among them.", err=True)


@contextmanager
def _ended_by_signals() -> Generator[None]:
    """Inside, a signal that ends the process raises SystemExit, so that what is half made is removed."""

    def end(number: int, frame: FrameType | None) -> None:
        sys.exit(128 + number)

    before: dict[int, Any] = {}
    with suppress(ValueError):  # not in the main thread: there signals are someone else's
        for name in ("SIGTERM", "SIGHUP"):
            if (number := getattr(signal, name, None)) is not None and signal.getsignal(
                number
            ) == signal.SIG_DFL:
                before[number] = signal.signal(number, end)
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
