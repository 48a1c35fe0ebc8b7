"""`jurat constitution`: `check`, `show`, `new` and `shelf`; the other commands have files of their own."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console, RenderableType
from rich.table import Table
from rich.text import Text

from jurat.cli.draft import draft
from jurat.cli.impact import impact
from jurat.cli.model_choice import ConstitutionArgument
from jurat.cli.plain_output import Json, fields_of, plain_console, plain_table, plain_text, print_json
from jurat.cli.rule_examples import test
from jurat.text import counted, printable

if TYPE_CHECKING:
    from jurat.constitution import Clause, Constitution, Problem, Rule

app = typer.Typer(
    add_completion=False,
    rich_markup_mode=None,
    no_args_is_help=True,
    help="Check, show, draft and test constitutions, and say what a change does to a run.",
)

FAILED = 1
"""Exit code: `check` found errors."""

PROBLEM_FIELDS = ("file", "line", "column", "severity", "code", "message", "suggestion")
_STYLES = {"error": "bold red", "advice": "yellow", "critical": "bold red", "high": "red", "medium": "yellow"}


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
        print_json(
            {"errors": errors, "advice": advice, "problems": [fields_of(p, PROBLEM_FIELDS) for p in problems]}
        )
    else:
        console = plain_console()
        for problem in problems:
            _print_problem(console, problem)
        console.print(
            counted(errors, "error"), counted(advice, "piece of advice", "pieces of advice"), sep=", "
        )
    raise typer.Exit(FAILED if errors or (strict and advice) else 0)


def show(file: ConstitutionArgument, as_json: Json = False) -> None:
    """Print a constitution as a table, with its digests.

    The digest names what is asked: it changes with any change of meaning, and with nothing else. Thresholds,
    severities and actions have a digest of their own.
    """
    from jurat.constitution import load_constitution

    constitution = load_constitution(file)
    if as_json:
        print_json(_facts(constitution) | {"rules": constitution.model_dump(mode="json")["rules"]})
        return
    console = plain_console()
    facts = plain_table()
    for name, value in _facts(constitution).items():
        facts.add_row(Text(name, "dim"), plain_text(str(value)))
    console.print(facts)
    console.print()
    console.print(_rules_table(constitution))


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
    from jurat.judge.drafting.drafted_file import check_target, write_constitution

    check_target(file, force=force)
    if source is None:
        text = to_yaml(_example(" ".join(file.stem.split()) or "policy"))
    else:
        load_constitution(source)
        text = read_text(find_file(source))
    write_constitution(file, text.encode())
    written = load_constitution(file)
    name, rules = printable(str(file)), counted(len(written.rules), "rule")
    console = plain_console()
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


def shelf() -> None:
    """List the constitutions that ship with jurat; each is used as shelf:NAME."""
    from jurat.constitution import load_constitution, shelf_names

    table = plain_table("name", "version", "digest", "rules")
    for name in shelf_names():
        constitution = load_constitution(f"shelf:{name}")
        rules = ", ".join(rule.id for rule in constitution.rules)
        table.add_row(
            Text(f"shelf:{name}", "bold"),
            plain_text(constitution.version),
            constitution.digest,
            plain_text(rules),
        )
    plain_console().print(table)


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
    table = plain_table("rule", "is broken if all of these hold", "unless all of these hold", "settings")
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
        text = plain_text(clause.text)
        if clause.objects:
            text.append(f" [{printable(', '.join(clause.objects))}]", "dim")
        grid.add_row(Text(f"{number}", "dim"), text)
    return grid


def _settings(rule: Rule) -> Text:
    parts: list[Text] = []
    if rule.severity:
        parts.append(Text(rule.severity, _STYLES.get(rule.severity, "")))
    if rule.action:
        parts.append(plain_text(rule.action))
    if rule.keep_below is not None:
        parts.append(Text(f"keep below {rule.keep_below:g}"))
    if rule.break_above is not None:
        parts.append(Text(f"break above {rule.break_above:g}"))
    return Text("\n").join(parts)


for command in (impact, check, show, new, draft, test, shelf):
    app.command()(command)
