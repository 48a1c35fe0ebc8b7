"""`jurat models`: `jurat list models` with what each can do; how a model is asked."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Annotated, get_args

import typer
from rich.console import Console
from rich.table import Table
from rich.text import Text

from jurat.cli.listing import print_entries, print_missing
from jurat.cli.model_options import ModelOptions, opens_model
from jurat.text import printable

if TYPE_CHECKING:
    from jurat.models import Model
    from jurat.models.registry import Backend

app = typer.Typer(add_completion=False, rich_markup_mode=None)


@app.command()
@opens_model
def models(
    explain: Annotated[
        str | None,
        typer.Option(
            "--explain",
            metavar="NAME",
            help="Open this model, ask it a few questions, and print how they are asked, and why.",
            show_default=False,
        ),
    ] = None,
    *,
    opening: ModelOptions,
) -> None:
    """List the models that can judge, and what each can do.

    ask: answers closed questions. exact: answers are probabilities measured from logits, not stated in text.
    chat: continues a conversation. gradients: from pixels. hooks: on activations.

    The options on how a model is opened are for --explain.
    """
    from jurat.models import list_backends, open_model
    from jurat.models.registry import Ability

    if explain is not None:
        _explain(open_model(opening.spec(explain)))
        return
    backends = list_backends()
    console = Console(highlight=False)
    signs = {ability: partial(_sign, ability=ability) for ability in get_args(Ability)}
    print_entries(console, backends, "--model", signs)
    print_missing(console, backends)


def _explain(model: Model) -> None:
    from jurat.models import full_name
    from jurat.models.hf.diagnosis import Diagnosable

    explained = model.capability(Diagnosable)
    lines = [("model", f"{full_name(model)}, in {model.dtype}")]
    lines += [("path", "its backend decides how it is asked")] if explained is None else explained.explain()
    table = Table(box=None, show_header=False, pad_edge=False, padding=(0, 2, 0, 0))
    table.add_column(no_wrap=True, style="dim")
    table.add_column(overflow="fold")
    for what, how in lines:
        table.add_row(Text(printable(what)), Text(printable(how)))
    Console(highlight=False).print(table)


def _sign(backend: Backend, ability: str) -> str:
    if not backend.abilities:
        return "?"
    return "yes" if ability in backend.abilities else "-"
