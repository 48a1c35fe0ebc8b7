"""`jurat merge`: the runs of a job array become one."""

from __future__ import annotations

import signal
import sys
from collections.abc import Generator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from types import FrameType
from typing import Annotated, Any, cast

import typer

from jurat.errors import JuratError
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

    They must have been made under the same settings, and no item may be in two of them. They stay as
    they are.
    """
    from jurat.judge import arrow_schema
    from jurat.runs.folder import is_run, read_facts, run_files
    from jurat.runs.merge import merge_runs

    for folder in folders:
        if not is_run(folder):
            raise JuratError(f"{folder} is not the folder of a run: it has no _run.json.")
    facts = [read_facts(folder) for folder in folders]
    joined = _joined(folders, facts)
    with _ended_by_signals():
        rows = merge_runs(folders, out, joined, arrow_schema())
    typer.echo(f"Wrote {counted(rows, 'row')} of {counted(len(folders), 'run')} to {out}.")
    for folder in folders:
        if not run_files(folder):
            typer.echo(f"{folder} holds no rows.", err=True)
    for shard in _missing([_shard(each) for each in facts]):
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


def _joined(folders: Sequence[Path], facts: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """The `_run.json` of the whole."""
    from jurat.cli.settings_difference import differences
    from jurat.judge.presets import check_made_without

    for each in facts:
        check_made_without(str(each.get("settings", {}).get("preset")))
    whole = [{**each, "settings": {**each.get("settings", {}), "shard": None}} for each in facts]
    for folder, each in zip(folders[1:], whole[1:], strict=True):
        if lines := differences(whole[0], each):
            raise JuratError(
                f"{folders[0]} and {folder} were made under different settings:\n" + "\n".join(lines)
            )
    shards = [_shard(each) for each in facts]
    merged = whole[0]
    if None in shards or _missing(shards):
        merged["settings"]["shard"] = ", ".join(shard or "all" for shard in shards) if any(shards) else None
    merged["sessions"] = [
        session for each in facts for session in cast("list[Any]", each.get("sessions", []))
    ]
    return merged


def _shard(facts: dict[str, Any]) -> str | None:
    return facts.get("settings", {}).get("shard")


def _missing(shards: Sequence[str | None]) -> list[str]:
    """Shards of the same number that were not named."""
    named = {shard for shard in shards if shard is not None}
    counts = {shard.rpartition("/")[2] for shard in named}
    if len(counts) != 1 or not (count := next(iter(counts))).isdigit():
        return []
    return [each for number in range(1, int(count) + 1) if (each := f"{number}/{count}") not in named]
