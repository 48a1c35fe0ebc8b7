"""`jurat models`: what can judge here, what each can do, and what an absent extra would add."""

from __future__ import annotations

from typing import TYPE_CHECKING

import typer
from rich.console import Console
from rich.table import Table
from rich.text import Text

from jurat.report.text import printable

if TYPE_CHECKING:
    from jurat.models.registry import Backend

app = typer.Typer(add_completion=False, rich_markup_mode=None)

ABILITIES = ("ask", "exact", "chat", "gradients", "hooks")


@app.command()
def models() -> None:
    """List the models that can judge, and what each can do.

    ask: answers closed questions. exact: answers are probabilities measured from logits, not stated in text.
    chat: continues a conversation. gradients: from pixels. hooks: on activations.
    """
    from jurat.models import list_backends

    backends = list_backends()
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="dim")
    table.add_column("--model", no_wrap=True)
    table.add_column("what it is", overflow="fold")
    for ability in ABILITIES:
        table.add_column(ability, justify="center")
    for backend in backends:
        table.add_row(
            Text(printable(backend.usage), "dim" if backend.missing else "bold"),
            Text(printable(_described(backend))),
            *(_sign(backend, ability) for ability in ABILITIES),
        )
    console = Console(highlight=False)
    console.print(table)
    for extra in sorted({b.extra for b in backends if b.missing and b.extra}):
        names = " and ".join(sorted(b.name for b in backends if b.missing and b.extra == extra))
        console.print(
            Text(f'\nNot installed: what {names} needs. To add it: pip install "jurat[{extra}]"', "yellow")
        )


def _described(backend: Backend) -> str:
    return backend.summary if backend.provider == "jurat" else f"{backend.summary} ({backend.provider})"


def _sign(backend: Backend, ability: str) -> str:
    if not backend.abilities:
        return "?"
    return "yes" if ability in backend.abilities else "-"
