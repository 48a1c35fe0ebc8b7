"""`jurat metrics`: the named metrics, and the value of one on a file of rows."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.text import Text

from jurat.cli.plain_output import Json, plain_console, plain_table, plain_text, print_json
from jurat.errors import JuratError
from jurat.text import counted

if TYPE_CHECKING:
    from jurat.metrics import MetricValue, NamedMetric

app = typer.Typer(add_completion=False, rich_markup_mode=None)

_SHOWN = 10
"""Unreadable and repeated rows of each kind that are printed; `--json` has all."""


@app.command()
def metrics(
    name: Annotated[
        str | None,
        typer.Argument(metavar="[NAME]", help="The metric. Default: list all.", show_default=False),
    ] = None,
    file: Annotated[
        Path | None,
        typer.Option("--file", "-f", help="Rows: .csv, .tsv, .jsonl, .json or .parquet.", show_default=False),
    ] = None,
    labels: Annotated[
        str | None,
        typer.Option(
            metavar="A,B",
            help="All labels; any other is unreadable. The first is the event.",
            show_default=False,
        ),
    ] = None,
    positive: Annotated[
        str | None, typer.Option(metavar="A", help="The label that is the event.", show_default=False)
    ] = None,
    k: Annotated[
        int | None, typer.Option("--k", help="Tries per unit, for metrics at k.", show_default=False)
    ] = None,
    settings: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="NAME=VALUE", help="An option of the metric; repeat for more."),
    ] = None,
    columns: Annotated[
        list[str] | None,
        typer.Option("--column", metavar="NAME=COLUMN", help="Read NAME from another column of the file."),
    ] = None,
    level: Annotated[float, typer.Option(help="Level of the interval.")] = 0.95,
    draws: Annotated[int, typer.Option(help="Bootstrap draws; 0 for no bootstrap interval.")] = 400,
    seed: Annotated[int, typer.Option(help="Seed of the bootstrap.")] = 0,
    as_json: Json = False,
) -> None:
    """List the metrics; with a NAME, print what it is and reads; with --file too, compute it.

    Exits with 3 where the metric is not available on these rows.
    """
    from jurat.metrics import METRICS, read_rows

    if name is None:
        if file is not None:
            raise JuratError("--file needs the name of a metric.", hint="See: jurat metrics")
        _list(list(METRICS), as_json)
        return
    metric = METRICS.find(name).described
    if file is None:
        given = {"--labels": labels, "--positive": positive, "--k": k, "--set": settings, "--column": columns}
        if of_rows := [option for option, value in given.items() if value]:
            raise JuratError(f"{of_rows[0]} needs --file.")
        print_json(metric_facts(metric)) if as_json else _describe(metric)
        return
    options: dict[str, Any] = _pairs(settings, "--set")
    if k is not None:
        if "k" in options:
            raise JuratError("--k and --set k=... say the same.", hint="Give one of them.")
        options["k"] = k
    if "folder" in (option.name for option in metric.options):
        options.setdefault("folder", str(file.parent))
    value = metric.compute(
        read_rows(file),
        labels=() if labels is None else _labels(labels),
        positive=positive,
        columns=_pairs(columns, "--column"),
        level=level,
        draws=draws,
        seed=seed,
        **options,
    )
    if as_json:
        print_json({"metric": name, "file": str(file), "evidence": metric.evidence, **value.facts()})
    else:
        _print_value(metric, value, level)
    if value.value is None:
        raise typer.Exit(3)


def _labels(given: str) -> list[str]:
    """Labels between commas, or in a JSON list where they hold commas."""
    if not given.lstrip().startswith("["):
        return [label.strip() for label in given.split(",")]
    try:
        return [str(label) for label in json.loads(given)]
    except ValueError as error:
        raise JuratError(f"--labels is not a JSON list: {error}") from error


def _pairs(given: Sequence[str] | None, option: str) -> dict[str, str]:
    """NAME=VALUE pairs. Raises JuratError for one that is none, or a name that is there twice."""
    found: dict[str, str] = {}
    for each in given or ():
        name, equals, value = each.partition("=")
        if not name or not equals or name in found:
            what = "is there twice" if name in found else "is not NAME=VALUE"
            raise JuratError(f"{option} {each!r} {what}.")
        found[name] = value
    return found


def metric_facts(metric: NamedMetric) -> dict[str, Any]:
    """A metric as JSON holds it."""
    return {
        "name": metric.name,
        "summary": metric.summary,
        "formula": metric.formula,
        "source": metric.source,
        "evidence": metric.evidence,
        "unverified": not metric.is_verified,
        "paper": metric.paper,
        "better": metric.better,
        "range": metric.bounds,
        "interval": metric.interval,
        "undefined": metric.undefined,
        "columns": [
            {"name": column.name, "holds": column.kind, "about": column.about, "optional": column.optional}
            for column in metric.needs
        ],
        "options": [
            {"name": o.name, "type": o.type, "default": o.default, "choices": o.choices, "about": o.about}
            for o in metric.options
        ],
        "provider": metric.provider,
        "extra": metric.extra,
        "missing": list(metric.missing),
    }


def _list(found: Sequence[NamedMetric], as_json: bool) -> None:
    if as_json:
        print_json([metric_facts(metric) for metric in found])
        return
    table = plain_table("metric", "what it is; formula; source (evidence)")
    for metric in found:
        summary = f"{metric.summary} ({metric.provider})" if metric.is_plug_in else metric.summary
        lines = [summary] if metric.is_plug_in else [summary, metric.formula, _sourced(metric)]
        table.add_row(plain_text(metric.name), Text("\n").join(map(plain_text, lines)))
    plain_console().print(table)
    from jurat.cli.listing import print_missing

    print_missing(plain_console(), found)


def _sourced(metric: NamedMetric) -> str:
    return f"{metric.source} ({_evidence(metric)})"


def _evidence(metric: NamedMetric) -> str:
    return metric.evidence if metric.is_verified else f"{metric.evidence}: unverified"


def _describe(metric: NamedMetric) -> None:
    console = plain_console()
    console.print(plain_text(f"{metric.name}: {metric.summary}"))
    facts = {
        "formula": metric.formula,
        "source": metric.source,
        "evidence": _evidence(metric),
        "range": "" if metric.bounds is None else f"from {metric.bounds[0]:g} to {metric.bounds[1]:g}",
        "better": metric.better,
        "interval": metric.interval,
        "not available": metric.undefined,
    }
    table = plain_table()
    for heading, text in facts.items():
        if text:
            table.add_row(heading, plain_text(text))
    for column in metric.needs:
        rest = ", may be empty or absent" if column.optional else ""
        table.add_row(f"column {column.name}", plain_text(f"{column.about} ({column.kind}{rest})"))
    for option in metric.options:
        choices = f"; {', '.join(option.choices)}" if option.choices else ""
        default = "" if option.default is None else f"; default {option.default}"
        table.add_row(f"option {option.name}", plain_text(f"{option.about}{choices}{default}"))
    console.print(table)


def _print_value(metric: NamedMetric, value: MetricValue, level: float) -> None:
    console = plain_console()
    known = value.value is not None
    amount = f"{value.value:.6g}" if known else f"not available: {value.reason}"
    console.print(plain_text(f"{metric.name} {'= ' if known else ''}{amount}"))
    table = plain_table()
    table.add_row("n", plain_text(counted(value.n, value.counted)))
    if value.interval is not None:
        limits = (
            f"{value.interval.low:.6g} to {value.interval.high:.6g} ({level:.0%}, {value.interval_method})"
        )
        table.add_row("interval", plain_text(limits))
    elif value.interval_method:
        table.add_row("interval", plain_text(value.interval_method))
    for part, amount in value.parts.items():
        text = "not available" if amount is None else f"{amount:.6g}" if isinstance(amount, float) else amount
        table.add_row(plain_text(part), plain_text(str(text)))
    for why, count in value.left_out.items():
        table.add_row("left out", plain_text(f"{count:,} {why}"))
    table.add_row("formula", plain_text(metric.formula))
    table.add_row("source", plain_text(_sourced(metric)))
    console.print(table)
    for note in value.notes:
        console.print(plain_text(note))
    for kind in dict.fromkeys(problem.kind for problem in value.problems):
        some = [problem for problem in value.problems if problem.kind == kind]
        console.print(plain_text(f"{kind}: {counted(len(some), 'row')}"))
        for problem in some[:_SHOWN]:
            console.print(plain_text(f"  {problem.place}: {problem.reason}"), soft_wrap=True)
        if len(some) > _SHOWN:
            console.print(plain_text(f"  and {len(some) - _SHOWN:,} more: --json lists them"))
