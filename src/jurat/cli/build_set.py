"""`jurat data build`: a model drafts a set, builders render it, reviewers decide."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Generator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from jurat.cli.model_options import ModelOptions, opens_model
from jurat.cli.plain_output import Json, plain_console, plain_table, plain_text, print_json
from jurat.text import counted

if TYPE_CHECKING:
    from jurat.benchmarks.building.build_report import BuildReport

UNFINISHED, NO_SAMPLE = 1, 3
_SHOWN = 10


@opens_model
def build(
    spec: Annotated[
        Path, typer.Argument(metavar="SPEC", help="What to build, a YAML file.", show_default=False)
    ],
    out: Annotated[
        Path, typer.Argument(metavar="OUT", help="The set's folder; rerun to resume.", show_default=False)
    ],
    writer: Annotated[
        str | None,
        typer.Option("--writer", "-w", metavar="MODEL", help="Instead of the spec's. See: jurat models"),
    ] = None,
    as_json: Json = False,
    *,
    opening: ModelOptions,
) -> None:
    """Build a set: a model drafts unsafe requests with harmless twins, which become pictures and words.

    Drafts that are doubtful wait in OUT/review.csv until a person fills in `decision` (accept or reject) and
    `reviewer`; the same command then takes that into account. Replies of models are recorded: nothing is
    asked twice. Check the result: jurat data jurat-layout OUT

    Exit codes: 0 done, 1 drafts wait for a reviewer or the writer failed on some, 2 wrong usage, 3 the set
    has no sample.
    """
    from jurat.benchmarks.building.build import build_set
    from jurat.models import open_model

    with _progress(shown=not as_json) as tell:
        report = build_set(
            spec, out, writer=writer, opener=lambda name: open_model(opening.spec(name)), tell=tell
        )
    print_json(_facts(report)) if as_json else _print(report, out)
    waits = report.waiting or report.failed or report.review.problems
    raise typer.Exit(NO_SAMPLE if not report.samples else UNFINISHED if waits else 0)


@contextmanager
def _progress(*, shown: bool) -> Generator[Callable[[str, int, int], None]]:
    """Tells on a terminal what is being done."""
    from rich.console import Console

    console = Console(stderr=True, highlight=False, markup=False)
    if not shown or not console.is_terminal:
        yield lambda what, done, of: None
        return
    with console.status("") as status:
        yield lambda what, done, of: status.update(f"{what}: {done:,} of {of:,}")


def _facts(report: BuildReport) -> dict[str, Any]:
    return {
        **report.card,
        "asked": report.asked,
        "recorded": report.recorded,
        "failed": report.failed,
        "waiting": [{"id": each.review_id, "reasons": reasons} for each, reasons in report.waiting],
        "left_out_items": [
            {"id": each.id, "kind": each.kind, "reason": each.reason} for each in report.left_out
        ],
    }


def _print(report: BuildReport, out: Path) -> None:
    console = plain_console()
    card = report.card
    kept = f"{counted(card['drafts']['kept'], 'draft')} of {card['drafts']['asked']:,} kept"
    console.print(plain_text(f"{card['title']}: {counted(card['samples'], 'sample')}, {kept}"))
    asked = f"{counted(report.asked, 'reply', 'replies')} asked for now, {report.recorded:,} recorded before"
    names = ", ".join(report.writer) or card["writer"]["model"]
    console.print(plain_text(f"writer: {names}; {asked}"), soft_wrap=True)
    _print_table(report)
    _print_diversity(card["diversity_of_unsafe_requests"])
    _print_lines("left out", [f"{each.id}: {each.kind}: {each.reason}" for each in report.left_out])
    _print_review(report, out)


def _print_table(report: BuildReport) -> None:
    builders = Counter[tuple[str, str]]()
    for (dimension, builder, _), count in report.samples.items():
        builders[dimension, builder] += count
    table = plain_table("dimension", "builder", "samples")
    for (dimension, builder), count in builders.items():
        table.add_row(plain_text(dimension), builder, f"{count:,}")
    plain_console().print()
    plain_console().print(table)


def _print_diversity(facts: dict[str, Any]) -> None:
    names = ("distinct_1", "distinct_2", "distinct_3", "mean_overlap", "self_bleu")
    shown = [f"{name} {'not available' if facts[name] is None else f'{facts[name]:g}'}" for name in names]
    plain_console().print()
    console = plain_console()
    what = f"diversity of {counted(facts['texts'], 'unsafe request')}"
    console.print(plain_text(f"{what}: {', '.join(shown)}"), soft_wrap=True)


def _print_lines(heading: str, lines: list[str]) -> None:
    if not lines:
        return
    console = plain_console()
    console.print()
    console.print(plain_text(f"{heading}: {len(lines):,}"))
    for line in lines[:_SHOWN]:
        console.print(plain_text(f"  {line}"), soft_wrap=True)
    if len(lines) > _SHOWN:
        console.print(plain_text(f"  and {len(lines) - _SHOWN:,} more: --json lists them"))


def _print_review(report: BuildReport, out: Path) -> None:
    console, review = plain_console(), report.card["review"]
    _print_lines("rows of the review that cannot be used", review["problems"])
    if reviewers := review["reviewers"]:
        names = ", ".join(f"{name} ({count:,})" for name, count in reviewers.items())
        decided = f"{review['accepted']:,} accepted, {review['rejected']:,} rejected"
        console.print()
        console.print(plain_text(f"reviewed: {decided}, by {names}"), soft_wrap=True)
        for name, facts in review["agreement"].items():
            value = facts if isinstance(facts, str) else _value(facts)
            console.print(plain_text(f"  {name}: {value}"), soft_wrap=True)
    if report.other_decisions:
        console.print()
        told = counted(report.other_decisions, "decision")
        console.print(
            plain_text(f"{told} about other drafts: ids that are not in this build"), soft_wrap=True
        )
    if report.waiting:
        console.print()
        rows = counted(len(report.waiting), "draft waits", "drafts wait")
        where = f"fill in decision and reviewer in {out / 'review.csv'}, and run this again"
        told = f"{rows} for a reviewer: {where}"
        console.print(plain_text(told), soft_wrap=True)
    if report.failed:
        console.print()
        drafts = counted(report.failed, "draft")
        console.print(plain_text(f"The writer failed on {drafts}: run this again to ask once more."))


def _value(facts: dict[str, Any]) -> str:
    """A metric's value with its n, or why there is none."""
    if facts["value"] is None:
        return f"not available: {facts['reason']}"
    low, high = facts["interval"] or (None, None)
    interval = "" if low is None else f" [{low:.2f}, {high:.2f}]"
    return f"{facts['value']:.2f}{interval}, n = {facts['n']:,}"
