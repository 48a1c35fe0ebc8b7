"""`jurat constitution`: check, show, draft and test policies, list the shelf; `impact` has its own file."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console, RenderableType
from rich.table import Table
from rich.text import Text

from jurat.cli import model_choice
from jurat.cli.impact import impact
from jurat.cli.model_options import ModelOptions, opens_model
from jurat.judge.presets import DEFAULT
from jurat.text import counted, printable

if TYPE_CHECKING:
    from jurat.constitution import Clause, Constitution, Problem, Rule
    from jurat.judge.drafting.draft import Draft
    from jurat.judge.drafting.drafted_file import DraftedFile
    from jurat.judge.examples import ExamplesReport

app = typer.Typer(
    add_completion=False,
    rich_markup_mode=None,
    no_args_is_help=True,
    help="Check, show, draft and test constitutions, and say what a change does to a run.",
)
app.command()(impact)

FAILED = 1
"""Exit code: `check` found errors, an example of `test` differs, or `draft` could not draft a rule."""
WRITER_FAILED = 3
"""Exit code of `draft`: the writer failed on every rule."""

PROBLEM_FIELDS = ("file", "line", "column", "severity", "code", "message", "suggestion")
RESULT_FIELDS = ("rule", "image", "expected", "outcome", "passed", "why")
_STYLES = {"error": "bold red", "advice": "yellow", "critical": "bold red", "high": "red", "medium": "yellow"}

File = Annotated[str, typer.Argument(metavar="FILE", help="A YAML file, or shelf:NAME.", show_default=False)]
Json = Annotated[bool, typer.Option("--json", help="Print JSON, for machines.")]


@app.command()
def check(
    files: Annotated[
        list[str], typer.Argument(metavar="FILE...", help="YAML files, or shelf:NAME.", show_default=False)
    ],
    strict: Annotated[bool, typer.Option("--strict", help="Exit with 1 on advice too.")] = False,
    model: Annotated[
        str | None,
        typer.Option(
            "--model",
            "-m",
            metavar="NAME",
            help="That is to judge: what a bundled model reads wrongly is an error.",
            show_default=False,
        ),
    ] = None,
    as_json: Json = False,
) -> None:
    """Print what is wrong with constitutions: file, line, column, and what to do.

    Exit codes: 0 no errors, 1 errors, 2 no such file.
    """
    from jurat.constitution import check_constitution

    refusal = None
    if model is not None:
        from jurat.models.bundled.model import language_of
        from jurat.models.registry import check_name

        check_name(model)
        language = language_of(model)
        refusal = None if language is None else language.refusal
    problems = [problem for file in files for problem in check_constitution(file, refusal=refusal)]
    errors = sum(problem.severity == "error" for problem in problems)
    advice = len(problems) - errors
    if as_json:
        _print_json(
            {"errors": errors, "advice": advice, "problems": [_row(p, PROBLEM_FIELDS) for p in problems]}
        )
    else:
        console = _console()
        for problem in problems:
            _print_problem(console, problem)
        console.print(
            counted(errors, "error"), counted(advice, "piece of advice", "pieces of advice"), sep=", "
        )
    raise typer.Exit(FAILED if errors or (strict and advice) else 0)


@app.command()
def show(file: File, as_json: Json = False) -> None:
    """Print a constitution as a table, with its digests.

    The digest names what is asked: it changes with any change of meaning, and with nothing else. Thresholds,
    severities and actions have a digest of their own.
    """
    from jurat.constitution import load_constitution

    constitution = load_constitution(file)
    if as_json:
        _print_json(_facts(constitution) | {"rules": constitution.model_dump(mode="json")["rules"]})
        return
    console = _console()
    facts = _table()
    for name, value in _facts(constitution).items():
        facts.add_row(Text(name, "dim"), _plain(str(value)))
    console.print(facts)
    console.print()
    console.print(_rules_table(constitution))


@app.command()
def new(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="The file to be written.", show_default=False)],
    source: Annotated[
        str | None,
        typer.Option(
            "--from", metavar="NAME", help="Start from shelf:NAME, or from a file.", show_default=False
        ),
    ] = None,
    force: Annotated[bool, typer.Option("--force", help="Write over FILE if it is there.")] = False,
) -> None:
    """Write a constitution to start from: a copy of one of the shelf, or one rule to be changed.

    The copy is that of the file, with its comments. From guidelines in prose: jurat constitution draft.

    Exit codes: 0 done, 2 wrong usage.
    """
    from jurat.constitution import load_constitution, to_yaml
    from jurat.constitution.files import find_file, read_text
    from jurat.judge.drafting.drafted_file import check_target, write_whole

    check_target(file, force=force)
    if source is None:
        text = to_yaml(_example(" ".join(file.stem.split()) or "policy"))
    else:
        load_constitution(source)
        text = read_text(find_file(source))
    write_whole(file, text.encode())
    written = load_constitution(file)
    name, rules = printable(str(file)), counted(len(written.rules), "rule")
    console = _console()
    console.print(Text(f"{name} written: {written.name}, {rules}."), soft_wrap=True)
    console.print(Text(f"Change it, then: jurat constitution check {name}", "dim"), soft_wrap=True)


def _example(name: str) -> Constitution:
    """A constitution of one rule, as an example of how they are written."""
    from jurat.constitution import Constitution

    rule = {
        "rule": "No child may be shown touching a blade, unless a police officer is visible.",
        "severity": "high",
        "clauses": ["A child is visible.", "A blade is visible.", "A child touches a blade."],
        "unless": ["A police officer is visible."],
    }
    return Constitution.model_validate({"name": name, "version": "1", "rules": [rule]})


@app.command()
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
    _print_drafts(notes if dry_run else _console(), drafted, None if dry_run else target)
    unfinished = drafted.failed or drafted.doubtful
    raise typer.Exit(WRITER_FAILED if drafted.hopeless else FAILED if unfinished else 0)


@app.command()
@opens_model
def test(
    file: File,
    model: model_choice.ModelName = "bundled",
    preset: model_choice.PresetName = DEFAULT,
    without: model_choice.Without = None,
    detector: model_choice.DetectorName = None,
    matcher: model_choice.MatcherName = None,
    calibration: model_choice.CalibrationFile = None,
    allow_unknown: model_choice.AllowUnknown = False,
    batch_size: model_choice.BatchSize = 16,
    strict: Annotated[
        bool, typer.Option("--strict", help="Exit with 1 where a rule lacks examples of either kind too.")
    ] = False,
    as_json: Json = False,
    *,
    opening: ModelOptions,
) -> None:
    """Judge a constitution's examples, and fail if any differs from what its rule says.

    A rule without examples is not tested, and a rule with examples of one kind only would pass under a judge
    that always gives the same answer. Both are reported, and --strict fails on them.

    Exit codes: 0 all as expected, 1 some differ or could not be judged, 2 wrong usage, 3 the model failed.
    """
    from jurat.constitution import load_constitution
    from jurat.judge.examples import judge_examples

    report = judge_examples(
        load_constitution(file),
        opening.spec(model),
        preset,
        without=without or (),
        detector=detector,
        matcher=matcher,
        calibration=calibration,
        allow_unknown=allow_unknown,
        batch_size=batch_size,
    )
    if as_json:
        _print_json(_report_row(report))
    else:
        _print_report(_console(), report)
    raise typer.Exit(FAILED if report.failed or (strict and report.untested) else 0)


@app.command()
def shelf() -> None:
    """List the constitutions that ship with jurat; each is used as shelf:NAME."""
    from jurat.constitution import load_constitution, shelf_names

    table = _table("name", "version", "digest", "rules")
    for name in shelf_names():
        constitution = load_constitution(f"shelf:{name}")
        rules = ", ".join(rule.id for rule in constitution.rules)
        table.add_row(
            Text(f"shelf:{name}", "bold"), _plain(constitution.version), constitution.digest, _plain(rules)
        )
    _console().print(table)


# --- check --------------------------------------------------------------------------------------


def _print_problem(console: Console, problem: Problem) -> None:
    line = Text(f"{printable(problem.file)}:{problem.line}:{problem.column}: ")
    line.append(problem.severity, _STYLES[problem.severity])
    line.append(f": {printable(problem.message)} ").append(f"[{problem.code}]", "dim")
    console.print(line, soft_wrap=True)
    if problem.suggestion:
        console.print(Text(f"    {printable(problem.suggestion)}"), soft_wrap=True)


# --- show ---------------------------------------------------------------------------------------


def _facts(constitution: Constitution) -> dict[str, Any]:
    return {
        "name": constitution.name,
        "version": constitution.version,
        "digest": constitution.digest,
        "thresholds": constitution.thresholds_digest,
        "statements": len(list(constitution.statements())),
        "file": None if constitution.source is None else str(constitution.source),
    }


def _rules_table(constitution: Constitution) -> Table:
    table = _table("rule", "is broken if all of these hold", "unless all of these hold", "settings")
    for rule in constitution.rules:
        name = Text(printable(rule.id), "bold").append(f"\n{printable(rule.rule)}", "not bold")
        if rule.description:
            name.append(f"\n{printable(rule.description)}", "not bold dim")
        asked = _clauses(rule.clauses) if rule.clauses else Text("(asked as one question)", "dim")
        table.add_row(name, asked, _clauses(rule.unless), _settings(rule))
        table.add_section()
    return table


def _clauses(clauses: Sequence[Clause]) -> RenderableType:
    grid = Table.grid(padding=(0, 1, 0, 0))
    for number, clause in enumerate(clauses, 1):
        text = _plain(clause.text)
        if clause.objects:
            text.append(f" [{printable(', '.join(clause.objects))}]", "dim")
        grid.add_row(Text(f"{number}", "dim"), text)
    return grid


def _settings(rule: Rule) -> Text:
    parts: list[Text] = []
    if rule.severity:
        parts.append(Text(rule.severity, _STYLES.get(rule.severity, "")))
    if rule.action:
        parts.append(_plain(rule.action))
    if rule.keep_below is not None:
        parts.append(Text(f"keep below {rule.keep_below:g}"))
    if rule.break_above is not None:
        parts.append(Text(f"break above {rule.break_above:g}"))
    return Text("\n").join(parts)


# --- draft --------------------------------------------------------------------------------------


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


# --- test ---------------------------------------------------------------------------------------


def _print_report(console: Console, report: ExamplesReport) -> None:
    for result in report.results:
        word, style = ("as expected  ", "green") if result.passed else ("differs      ", "bold red")
        judged = f"{printable(result.image)}: {printable(result.rule)} {result.outcome}"
        line = Text(word, style).append(judged, "not bold default")
        if not result.passed:
            line.append(f", expected {result.expected}", "not bold default")
        console.print(line, soft_wrap=True)
        if not result.passed:
            console.print(Text(f"    {printable(result.why)}"), soft_wrap=True)
    differing = len(report.failed)
    passed = len(report.results) - differing
    console.print(f"{counted(len(report.results), 'example')}, {passed} as expected, {differing} not")
    for rule, lacking in report.untested.items():
        console.print(Text(f"not tested   {printable(rule)}: {lacking}", "yellow"), soft_wrap=True)
    judge = f"model {printable(report.model)}, preset {report.preset}"
    console.print(Text(f"{printable(report.constitution)}, {judge}", "dim"), soft_wrap=True)


def _report_row(report: ExamplesReport) -> dict[str, Any]:
    return {
        "constitution": report.constitution,
        "thresholds": report.thresholds,
        "model": report.model,
        "preset": report.preset,
        "passed": len(report.results) - len(report.failed),
        "failed": len(report.failed),
        "untested": dict(report.untested),
        "examples": [_row(result, RESULT_FIELDS) for result in report.results],
    }


# --- shared -------------------------------------------------------------------------------------


def _console() -> Console:
    return Console(highlight=False, markup=False)


def _table(*headings: str) -> Table:
    table = Table(
        box=None, pad_edge=False, padding=(0, 3, 0, 0), header_style="dim", show_header=bool(headings)
    )
    for heading in headings or ("", ""):
        table.add_column(heading, overflow="fold")
    return table


def _plain(text: str) -> Text:
    return Text(printable(text))


def _row(value: object, fields: Sequence[str]) -> dict[str, Any]:
    return {name: getattr(value, name) for name in fields}


def _print_json(value: object) -> None:
    typer.echo(json.dumps(value, indent=2))
