"""`jurat list`: the entries of each kind, which are not installed, and the command that installs them."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from typing import Annotated, Any, TypeVar

import typer
from rich.console import Console
from rich.table import Table
from rich.text import Text

from jurat.errors import install
from jurat.registry import KINDS, Entry, registry_of
from jurat.text import printable

E = TypeVar("E", bound=Entry)

app = typer.Typer(add_completion=False, rich_markup_mode=None)


@app.command()
def list_entries(
    kind: Annotated[
        str | None,
        typer.Argument(metavar="KIND", help=f"{', '.join(KINDS)}. Default: all.", show_default=False),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print a JSON list instead.")] = False,
) -> None:
    """List what can be used by name: models, sources, bench methods and so on.

    Plug-ins of other packages are listed with the package's name, and are not imported for it.
    """
    found = {name: list(registry_of(name)) for name in ([kind] if kind else KINDS)}
    if as_json:
        facts = [_facts(name, entry) for name, entries in found.items() for entry in entries]
        typer.echo(json.dumps(facts, indent=2))
        return
    console = Console(highlight=False)
    for number, (name, entries) in enumerate(found.items()):
        if number:
            console.print()
        columns = {"changes": _changes} if any(_changes(entry) for entry in entries) else {}
        columns |= {"paper": _paper} if any(entry.paper for entry in entries) else {}
        print_entries(console, entries, name, columns)
    print_missing(console, [entry for entries in found.values() for entry in entries])


def print_entries(
    console: Console, entries: Sequence[E], heading: str, columns: Mapping[str, Callable[[E], str]]
) -> None:
    """Prints a table with a row an entry, dim where it needs something that is not installed."""
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="dim")
    table.add_column(heading, no_wrap=True)
    table.add_column("what it is", overflow="fold")
    for name in columns:
        table.add_column(name, justify="center")
    for entry in entries:
        remark = entry.provider if entry.is_plug_in else _definition(entry)
        summary = f"{entry.summary} ({remark})" if remark else entry.summary
        table.add_row(
            Text(printable(entry.usage), "dim" if entry.missing else "bold"),
            Text(printable(summary)),
            *(cell(entry) for cell in columns.values()),
        )
    console.print(table)


def print_missing(console: Console, entries: Sequence[Entry]) -> None:
    """Prints which entries need something that is not installed, and the command that installs it."""
    for extra in sorted({entry.extra for entry in entries if entry.missing and entry.extra}):
        names = sorted({entry.name for entry in entries if entry.missing and entry.extra == extra})
        needs = f"\nNot installed: what is needed for {', '.join(names)}. To add it: {install(extra)}"
        console.print(Text(needs, "yellow"))


def _paper(entry: Entry) -> str:
    return entry.paper or ""


def _changes(entry: Entry) -> str:
    """What an attack changes; "" for entries that are no attacks."""
    return str(getattr(entry, "changes", ""))


def _definition(entry: Entry) -> str:
    """Where its definition comes from, for kinds that say so; "" for others."""
    return str(getattr(entry, "definition", ""))


def _facts(kind: str, entry: Entry) -> dict[str, Any]:
    return {
        "kind": kind,
        "name": entry.name,
        "usage": entry.usage,
        "summary": entry.summary,
        "paper": entry.paper,
        "definition": _definition(entry) or None,
        "changes": _changes(entry) or None,
        "provider": entry.provider,
        "extra": entry.extra,
        "missing": list(entry.missing),
        "install": install(entry.extra) if entry.missing and entry.extra else None,
    }
