"""Options on where verdicts go: a run's folder, a file, or standard output."""

from __future__ import annotations

import os
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console

from jurat.cli.progress import Advance, progress
from jurat.errors import JuratError
from jurat.text import counted

if TYPE_CHECKING:
    from jurat.cli.source_options import ItemSelection
    from jurat.judge import Judge
    from jurat.runs import Progress, Run

Out = Annotated[
    Path | None,
    typer.Option(
        "--out",
        "-o",
        metavar="DIR",
        help="Write verdicts: to a folder, which can be resumed; .jsonl; .parquet; - for JSON here.",
    ),
]
Overwrite = Annotated[bool, typer.Option("--overwrite", help="Replace an existing --out file.")]
Fresh = Annotated[
    bool,
    typer.Option("--fresh", help="Start a new run; an existing one in --out DIR is renamed to DIR.before-1."),
]
RetryErrors = Annotated[
    bool,
    typer.Option("--retry-errors", help="Judge the items again that were errors in the run in --out DIR."),
]

_FILES = frozenset((".jsonl", ".ndjson", ".parquet", ".pq"))
_OTHER_FILES = frozenset(
    (
        ".txt",
        ".csv",
        ".tsv",
        ".json",
        ".html",
        ".htm",
        ".md",
        ".yaml",
        ".yml",
        ".arrow",
        ".tar",
        ".zip",
        ".gz",
    )
)
"""Suffixes that no run's folder has, unless it is there already."""


def is_folder(out: Path | None) -> bool:
    """Whether an --out names a run's folder and not a file."""
    if out is None or str(out) == "-":
        return False
    suffix = out.suffix.lower()
    return suffix not in _FILES and (suffix not in _OTHER_FILES or os.path.isdir(out))


def is_stdout(out: Path | None) -> bool:
    """Whether an --out is `-`."""
    return out is not None and str(out) == "-"


def check_out(out: Path | None, *, overwrite: bool, fresh: bool, retry_errors: bool) -> None:
    """Raises JuratError where --out cannot be written, or is in the way: before a model is loaded."""
    from jurat.files import check_free, file_errors
    from jurat.runs import check_sink
    from jurat.runs.folder import check_run_folder

    if out is not None and is_folder(out):
        if overwrite:
            raise JuratError(
                f"{out} is the folder of a run, and --overwrite replaces files.",
                hint="Without it the same command resumes the run; --fresh starts a new one.",
            )
        with file_errors(out):  # its name is too long, say, or it cannot be looked into
            check_run_folder(out, fresh=fresh, retry_errors=retry_errors)
        return
    if fresh or retry_errors:
        raise JuratError(
            f"{'--fresh' if fresh else '--retry-errors'} is for runs in a folder.",
            hint="Name one: --out DIR.",
        )
    if out is None or is_stdout(out):
        return
    with file_errors(out):
        check_sink(out)
        check_free(out, overwrite=overwrite)


def open_run(
    folder: Path,
    judge: Judge,
    source: ItemSelection,
    *,
    fresh: bool,
    retry_errors: bool,
    allow_unknown: bool,
    quiet: bool,
) -> Run:
    """Opens the run in --out DIR, and prints on standard error what happened to an existing run."""
    from jurat.judge.verdict_runs import open_verdict_run

    with ExitStack() as shown:
        advance: list[Advance] = []

        def watch(done: Progress) -> None:
            if done.step == "rewriting":
                if not advance:
                    bar = progress(
                        Console(stderr=True), lambda: done.total, shown=not quiet, doing="deciding again"
                    )
                    advance.append(shown.enter_context(bar))
                advance[0]()

        run = open_verdict_run(
            folder,
            judge,
            allow_unknown=allow_unknown,
            source=source.settings(),
            shard=source.shard,
            fresh=fresh,
            retry_errors=retry_errors,
            watch=watch,
        )
    if not quiet:
        for line in _opened(run):
            typer.echo(f"jurat: {line}", err=True)
    return run


def _opened(run: Run) -> list[str]:
    from jurat.judge.verdict_runs import Redecision

    told: list[str] = []
    if run.moved_to is not None:
        told.append(f"The run that was in {run.folder} is now in {run.moved_to}.")
    if isinstance(run.rewriter, Redecision):
        told += run.rewriter.lines(run.folder)
    if run.retried is not None:
        anew = counted(run.retried, "item that was an error is", "items that were errors are")
        told.append(f"{anew} judged anew." if run.retried else "There were no errors.")
    return ["\n".join(told)] if told else []
