"""`jurat constitution draft`: a model drafts what rules lack, for a person to review."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.text import Text

from jurat.cli.model_options import ModelOptions, opens_model
from jurat.cli.plain_output import plain_console
from jurat.text import counted, printable

if TYPE_CHECKING:
    from jurat.judge.drafting.draft import Draft
    from jurat.judge.drafting.drafted_file import DraftedFile

UNFINISHED, WRITER_FAILED = 1, 3
"""Exit codes: some rules could not be drafted or have to be looked at; the writer failed on every rule."""


@opens_model
def draft(
    file: Annotated[
        str,
        typer.Argument(
            metavar="FILE",
            help="A YAML file, shelf:NAME, or guidelines in prose or Markdown.",
            show_default=False,
        ),
    ],
    writer: Annotated[
        str | None,
        typer.Option(
            "--writer",
            "-w",
            metavar="MODEL",
            help="A model that can chat; see: jurat models. Guidelines need none: their rules are then to be "
            "filled in.",
            show_default=False,
        ),
    ] = None,
    rule: Annotated[
        list[str] | None, typer.Option("--rule", metavar="ID", help="Draft this rule only; may be repeated.")
    ] = None,
    rounds: Annotated[
        int, typer.Option(metavar="N", min=0, help="Times that a rule is rewritten at most.")
    ] = 3,
    out: Annotated[
        Path | None, typer.Option("--out", "-o", metavar="FILE", help="Write here, and leave FILE as it is.")
    ] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Print the changes; write nothing.")] = False,
    force: Annotated[
        bool,
        typer.Option("--force", help="Write over what people wrote, and over the file of --out."),
    ] = False,
    *,
    opening: ModelOptions,
) -> None:
    """Draft the missing clauses, objects and descriptions of rules with a model, for a person to review.

    Guidelines in prose or Markdown become a constitution beside them, or in --out, with a rule for each
    sentence and list item that forbids or demands something; the others are comments in it.

    A rule without clauses is rated first, from 1 to 10, and reworded while it is not objective (below 9);
    the better wording is put beside it as a comment. Each drafted part is marked by a comment. Clauses are
    read back: where they do not say what the rule says, they are written as a comment only.

    Exit codes: 0 done, 1 some rules could not be drafted, or have to be looked at, 2 wrong usage, 3 the
    writer failed on all.
    """
    from jurat.judge.drafting.drafted_file import draft_file, replace_file, target_of
    from jurat.models import open_model

    target = target_of(file, out, force=force)
    opened = None if writer is None else open_model(opening.spec(writer))
    notes = Console(stderr=True, highlight=False, markup=False)
    drafted = draft_file(
        file,
        opened,
        rules=rule or (),
        rounds=rounds,
        force=force,
        tell=lambda step: notes.print(Text(step, "dim")),
    )
    if dry_run:
        typer.echo(drafted.diff(str(target)), nl=False)
    elif drafted.changed or out is not None:
        replace_file(target, drafted)
    _print_drafts(notes if dry_run else plain_console(), drafted, None if dry_run else target)
    unfinished = drafted.failed or drafted.doubtful
    raise typer.Exit(WRITER_FAILED if drafted.hopeless else UNFINISHED if unfinished else 0)


def _print_drafts(console: Console, drafted: DraftedFile, target: Path | None) -> None:
    for made in drafted.drafts:
        _print_draft(console, made)
    if drafted.skeleton is not None:
        rules = f"{counted(drafted.skeleton.rules, 'rule')} read from {printable(drafted.file.name)}"
        others = counted(drafted.skeleton.remarks, "other sentence")
        console.print(f"{rules}, {others} put beside them as comments")
    if drafted.skeleton is not None and not drafted.drafts:
        console.print("Give each rule clauses, or name a model that drafts them: --writer MODEL")
    else:
        _print_counts(console, drafted)
    if target is not None and drafted.changed:
        console.print(
            Text(f"Written to {printable(str(target))}. Read it before you use it.", "dim"), soft_wrap=True
        )


def _print_counts(console: Console, drafted: DraftedFile) -> None:
    failed = len(drafted.failed)
    doubtful = sum(not made.problems for made in drafted.doubtful)
    counts = [f"{len(drafted.drafts) - failed - doubtful} drafted", f"{failed} not"]
    if doubtful:
        counts.append(f"{doubtful} to be looked at, in comments only")
    if drafted.complete:
        counts.append(f"{drafted.complete} with nothing to draft")
    console.print(counted(len(drafted.drafts) + drafted.complete, "rule"), ", ".join(counts), sep=": ")


def _print_draft(console: Console, made: Draft) -> None:
    word, style = ("failed   ", "bold red") if made.problems else ("drafted  ", "green")
    if made.doubts and not made.problems:
        word, style = "look at  ", "bold yellow"
    line = Text(word, style)
    line.append(printable(made.rule.id), "bold default").append(f": {_made(made)}", "not bold default")
    console.print(line, soft_wrap=True)
    if made.clauses:
        console.print(Text(f"    rule:  {printable(made.rule.rule)}", "dim"), soft_wrap=True)
        console.print(Text(f"    draft: {printable(made.reading)}", "dim"), soft_wrap=True)
    for doubt in made.doubts:
        console.print(Text(f"    look at this: {printable(doubt)}", "yellow"), soft_wrap=True)
    for step, failure in made.problems:
        console.print(Text(f"    {step}: {printable(failure.reason)} [{failure.kind}]"), soft_wrap=True)


def _made(made: Draft) -> str:
    """What was drafted for a rule, on one line."""
    parts: list[str] = []
    if made.attempts and made.best:
        scores = [made.attempts[0].score, *([made.best.score] if made.rewritten else [])]
        parts.append(f"objectivity {', reworded '.join(map(str, scores))} of 10")
    if made.clauses:
        parts.append(counted(len(made.clauses), "clause"))
    if objects := sum(len(c.objects) for c in made.clauses) + sum(map(len, made.objects.values())):
        parts.append(counted(objects, "object"))
    if made.description:
        parts.append("a description")
    return ", ".join(parts) or "nothing"
