"""Plain tables, texts and JSON, as the commands of `jurat constitution` print them."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.table import Table
from rich.text import Text

from jurat.text import printable

Json = Annotated[bool, typer.Option("--json", help="Print JSON, for machines.")]


def plain_console() -> Console:
    """A console that prints texts as they are."""
    return Console(highlight=False, markup=False)


def plain_table(*headings: str) -> Table:
    """A table without lines; of two columns if it has no headings."""
    table = Table(
        box=None, pad_edge=False, padding=(0, 3, 0, 0), header_style="dim", show_header=bool(headings)
    )
    for heading in headings or ("", ""):
        table.add_column(heading, overflow="fold")
    return table


def plain_text(text: str) -> Text:
    """A text from outside, without control characters."""
    return Text(printable(text))


def fields_of(value: object, fields: Sequence[str]) -> dict[str, Any]:
    """Some attributes of an object, for JSON."""
    return {name: getattr(value, name) for name in fields}


def print_json(value: object) -> None:
    """Prints a value as JSON on standard output."""
    typer.echo(json.dumps(value, indent=2))
