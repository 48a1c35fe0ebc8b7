"""Options of served models, and the estimated and actual cost of a run."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer
from rich.console import Console
from rich.table import Table
from rich.text import Text

from jurat.text import counted, printable

if TYPE_CHECKING:
    from jurat.cli.source_options import ItemSelection
    from jurat.content import Item
    from jurat.judge import Judge
    from jurat.models import Model, Serving, TotalUsage
    from jurat.models.openai.estimate import Rehearsal

SAMPLE = 200
"""Items that an estimate looks at; the others are counted."""

BaseUrl = Annotated[
    str | None, typer.Option("--base-url", metavar="URL", help="The server of openai/NAME or decisions/NAME.")
]
Concurrency = Annotated[int | None, typer.Option(metavar="N", help="Server: concurrent calls. Default: 16.")]
QuestionsPerCall = Annotated[
    int | None,
    typer.Option(metavar="N", help="Server without logprobs: questions per call. Default: 8."),
]
MaxPixels = Annotated[
    int | None,
    typer.Option(metavar="N", help="Server: larger images are scaled down. Default: 1048576."),
]
ImageFormat = Annotated[
    Literal["auto", "png", "jpeg"] | None,
    typer.Option(help="Server: image format. png is lossless; auto uses jpeg for large images."),
]
ThinkingField = Annotated[
    Literal["reasoning_effort", "chat_template_kwargs"] | None,
    typer.Option(help="Server: the field that turns a model's thinking on and off."),
]
Deadline = Annotated[
    float | None,
    typer.Option(metavar="SECONDS", help="Server: time for one call with its retries. Default: 300."),
]
Price = Annotated[float | None, typer.Option(metavar="PRICE", help="Server: price per million tokens.")]
DryRun = Annotated[
    bool,
    typer.Option("--dry-run", help="Estimate calls, tokens and cost of a server; send nothing."),
]


def serving_of(**given: Any) -> Serving | None:
    """The given options with defaults for the rest; None if none was given."""
    from jurat.models import Serving

    told = {name: value for name, value in given.items() if value is not None}
    return Serving(**told) if told else None


def rehearse(model: Model) -> Rehearsal:
    """A stand-in for a served model that counts its calls; a JuratError for any other model."""
    from jurat.models.openai.estimate import rehearse

    return rehearse(model)


def print_estimate(
    console: Console, bench: Judge, rehearsal: Rehearsal, source: ItemSelection, items: Iterator[Item]
) -> None:
    """Prints what judging `items` of a source with `bench`, whose model is the rehearsal, would take."""
    looked = sum(1 for _ in bench.stream(source.read(islice(items, SAMPLE))))
    if looked == 0:
        console.print(Text("There is nothing to judge here. Nothing was sent."))
        return
    count = looked + sum(1 for _ in items)
    table = Table(box=None, pad_edge=False, padding=(0, 3, 0, 0), header_style="dim")
    estimates = rehearsal.estimates(count / looked)
    priced = any(spent.usage.money is not None for spent in estimates.values())
    for column in ("if the server", "calls", "tokens in", "tokens out", *(["money"] if priced else [])):
        table.add_column(column, justify="left" if column.startswith("if") else "right")
    for form, spent in estimates.items():
        table.add_row(form, *_cells(spent))
    console.print(table)
    of = "" if looked == count else f", estimated from the first {looked:,}"
    console.print(
        Text(
            f"\n{counted(count, 'item')}{of}. Nothing was sent. Counted are a token for each 28 x 28 pixels "
            "and for each four characters; second looks, reasoning about what stays undecided and further "
            "tries come on top."
        )
    )


def print_spent(console: Console, model: Model) -> None:
    """Prints what a model's calls came to, if they are counted, and what its defenses added."""
    from jurat.models import Defended, UsageMeter

    metered, defended = model.capability(UsageMeter), model.capability(Defended)
    if metered is not None:
        console.print(Text(described(metered.spent)), soft_wrap=True)
    for cost in () if defended is None else defended.defenses:
        console.print(Text(printable(cost.summary)), soft_wrap=True)


def described(spent: TotalUsage) -> str:
    """Calls, tokens and money on one line."""
    usage = spent.usage
    cached = f" ({usage.shared_tokens:,} of them cached)" if usage.shared_tokens else ""
    money = "" if spent.usage.money is None else f", {_money(spent.usage.money)} at the prices given"
    counts = f"{counted(usage.input_tokens, 'token')} in{cached}, {usage.output_tokens:,} out"
    return f"Calls answered: {spent.calls:,}; {counts}{money}."


def _cells(spent: TotalUsage) -> list[str]:
    counts = [spent.calls, spent.usage.input_tokens, spent.usage.output_tokens]
    return [f"{count:,}" for count in counts] + (
        [] if spent.usage.money is None else [_money(spent.usage.money)]
    )


def _money(amount: float) -> str:
    return f"{amount:,.2f}" if amount >= 1 else f"{amount:.4f}"
