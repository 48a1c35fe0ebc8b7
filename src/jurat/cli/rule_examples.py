"""`jurat constitution test`: judges the examples of a constitution's rules."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console
from rich.text import Text

from jurat.cli import model_choice
from jurat.cli.model_options import ModelOptions, opens_model
from jurat.cli.plain_output import Json, fields_of, plain_console, print_json
from jurat.judge.presets import DEFAULT
from jurat.text import counted, printable

if TYPE_CHECKING:
    from jurat.judge.examples import ExamplesReport

FAILED = 1
"""Exit code: an example differs, or could not be judged."""

RESULT_FIELDS = ("rule", "image", "expected", "outcome", "passed", "why")


@opens_model
def test(
    file: model_choice.ConstitutionArgument,
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
        print_json(_report_row(report))
    else:
        _print_report(plain_console(), report)
    raise typer.Exit(FAILED if report.failed or (strict and report.untested) else 0)


def _print_report(console: Console, report: ExamplesReport) -> None:
    from jurat.judge.calibrate.calibration import UNBOUNDED

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
    if report.thresholds_from is not None:
        console.print(Text(UNBOUNDED, "yellow"), soft_wrap=True)
    judge = f"model {printable(report.model)}, preset {report.preset}"
    console.print(Text(f"{printable(report.constitution)}, {judge}", "dim"), soft_wrap=True)


def _report_row(report: ExamplesReport) -> dict[str, Any]:
    return {
        "constitution": report.constitution,
        "thresholds": report.thresholds,
        "model": report.model,
        "preset": report.preset,
        "thresholds_from": report.thresholds_from,
        "passed": len(report.results) - len(report.failed),
        "failed": len(report.failed),
        "untested": dict(report.untested),
        "examples": [fields_of(result, RESULT_FIELDS) for result in report.results],
    }
