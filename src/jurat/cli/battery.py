"""What `jurat eval` does with a battery: runs what is missing, and writes and prints the results."""

from __future__ import annotations

from pathlib import Path

import typer

from jurat.cli.plain_output import print_json


def run_file(
    path: Path,
    out: Path | None,
    *,
    plan: bool = False,
    strict: bool = False,
    progress: bool = False,
    quiet: bool = False,
    as_json: bool = False,
) -> None:
    """Runs the battery in a file, or with `plan` says what that would do.

    Raises:
        typer.Exit: 3 where a cell failed, 130 where the run was stopped, and with `strict` 1 where rows were
            left out or a reply has no judgement.
        JuratError: the file holds no battery, or another process runs one in the folder.
    """
    from jurat.evals.batteries.battery_file import read_battery
    from jurat.evals.batteries.results import Results
    from jurat.evals.batteries.running import LOGS, plans_of, run_battery
    from jurat.files import file_errors, write_whole
    from jurat.metrics.table import Table, write_table

    battery = read_battery(path)
    folder = out or Path("logs") / battery.name
    if plan:
        plans = ((each.cell.label, each.state) for each in plans_of(battery, folder))
        if as_json:
            cells = [{"cell": label, "state": state} for label, state in plans]
            print_json({"battery": battery.name, "cells": cells})
        else:
            for label, state in plans:
                typer.echo(f"{label}: {state}")
        return

    def tell(line: str) -> None:
        if not (quiet or as_json):
            typer.echo(line)

    results = Results()
    with file_errors(folder):
        for outcome in run_battery(battery, folder, tell=tell, progress=progress):
            results.add(outcome)
        write_table(folder / "judgements.parquet", Table.of(results.rows))
        write_whole(folder / "numbers.md", results.markdown())
    if as_json:
        places = {"judgements": "judgements.parquet", "numbers": "numbers.md", "logs": LOGS}
        paths = {name: str(folder / place) for name, place in places.items()}
        print_json({"battery": battery.name, "cells": results.cells, **paths})
    else:
        typer.echo(f"\n{results.markdown()}")
        typer.echo(f"this table: {folder / 'numbers.md'}")
        typer.echo(f"every judgement: {folder / 'judgements.parquet'}")
        typer.echo(f"the logs: inspect view --log-dir {folder / LOGS}")
    _end(results.stopped, results.failed, strict and results.incomplete > 0)


def _end(stopped: bool, failed: int, incomplete: bool) -> None:
    if stopped:
        typer.echo("jurat: stopped; the same command resumes it", err=True)
    if code := 130 if stopped else 3 if failed else 1 if incomplete else 0:
        raise typer.Exit(code)
