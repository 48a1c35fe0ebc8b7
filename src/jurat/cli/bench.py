"""`jurat bench`: judges and baselines on scenes whose truth is known, or on someone's labelled images."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from jurat.cli import bench_options as options
from jurat.cli import label_options
from jurat.cli.bench_attacks import attacks, injection, robustness
from jurat.cli.bench_defenses import defenses
from jurat.cli.bench_text_to_image import text_to_image
from jurat.cli.model_choice import CalibrationFile
from jurat.cli.model_options import ModelOptions, opens_model
from jurat.errors import JuratError
from jurat.judge.presets import PARTS
from jurat.runs.session import command_line

if TYPE_CHECKING:
    from jurat.bench.bench_plan import BenchPlan
    from jurat.bench.guards.registry import GuardChoice
    from jurat.constitution import Constitution

DIFFERS = 1
"""Exit code of `recompute`."""
_SHOWN = 20
"""Figures that differ and are printed."""

app = typer.Typer(
    add_completion=False,
    rich_markup_mode=None,
    no_args_is_help=True,
    help="Measure judges and baselines on scenes whose truth is known.",
)

LABELLED_METHODS = ("jurat", "quick", "direct", "direct-fitted", "clause-product", "whole")
"""Methods that `labelled` runs where none is named."""
Methods = Annotated[list[str] | None, options.methods_option()]
Ablate = Annotated[
    list[str] | None,
    typer.Option(
        metavar="PART",
        help=f"Also run presets without this part: {', '.join(PARTS)}; repeat for more, join with + for both "
        "at once.",
        show_default=False,
    ),
]


@app.command()
@opens_model
def pictograms(
    method: Methods = None,
    ablate: Ablate = None,
    model: options.Models = ["bundled"],  # noqa: B006 (typer reads the default, and nobody changes it)
    split: Annotated[
        list[str],
        typer.Option(
            metavar="NAME",
            help="all (test, habits, flip, rare, borderline, redrawn, unmet), one of these, dev or vault.",
        ),
    ] = ["all"],  # noqa: B006
    opened: Annotated[
        list[str] | None,
        typer.Option("--open", metavar="NAME", help="Judges a sealed split, which is done once: vault-2."),
    ] = None,
    seed: Annotated[int, typer.Option(min=0, help="Another seed draws other scenes.")] = 0,
    per_rule: Annotated[
        int, typer.Option(metavar="N", min=1, max=10_000, help="Pairs of scenes per rule.")
    ] = 100,
    detector: options.Detector = "bundled",
    matcher: options.Matcher = "bundled",
    out: options.Out = Path("bench"),
    workers: options.Workers = 1,
    quiet: options.Quiet = False,
    *,
    opening: ModelOptions,
) -> None:
    """Run Pictogram Bench: violating scenes and near misses for seventeen rules, and further splits.

    Writes results.json, results.md and figures into --out, beside the scenes and all predictions. The same
    command resumes a run that was stopped.
    """
    from jurat.bench.bench_plan import BenchPlan
    from jurat.bench.methods.registry import rows_for
    from jurat.bench.pictogram.definition import splits_named

    plan = BenchPlan(
        out,
        rows_for(method or [], ablate or []),
        options.subjects(model, opening),
        splits_named([*split, *(opened or ())]),
        seed,
        per_rule,
        options.or_none(detector),
        options.or_none(matcher),
        command_line(),
        claims_of_seeds=not method,
        workers=workers,
        opened=opened or (),
    )
    _run(plan, quiet)


@app.command()
@opens_model
def labelled(
    images: Annotated[Path, typer.Option(metavar="DIR", help="Folder of the images.", show_default=False)],
    constitution: Annotated[
        list[str],
        typer.Option(
            "--constitution",
            "-c",
            metavar="FILE",
            help="A YAML file, or shelf:NAME; NAME=FILE twice compares two wordings of the same rules.",
            show_default=False,
        ),
    ],
    labels: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="CSV, TSV, JSONL, JSON, Parquet, or XML of CVAT. Default: folders in --images are labels.",
            show_default=False,
        ),
    ] = None,
    rename: label_options.Rename = None,
    ignore_label: label_options.IgnoreLabel = None,
    method: Annotated[list[str] | None, options.methods_option(LABELLED_METHODS)] = None,
    ablate: Ablate = None,
    model: options.Models = ["bundled"],  # noqa: B006
    detector: options.Detector = "none",
    matcher: options.Matcher = "none",
    calibration: CalibrationFile = None,
    guard: Annotated[
        list[str] | None,
        typer.Option(metavar="KIND=NAME", help="A guard model; see: jurat list guards. Repeat for more."),
    ] = None,
    guard_map: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="YAML that maps the guards' categories onto your rules."),
    ] = None,
    folds: Annotated[
        int,
        typer.Option(
            metavar="N", min=0, max=20, help="Parts for what is fitted to labels; 0 leaves that out."
        ),
    ] = 5,
    out: options.Out = Path("bench"),
    workers: options.Workers = 1,
    quiet: options.Quiet = False,
    *,
    opening: ModelOptions,
) -> None:
    """Measure judges, baselines and guard models on labelled images of your own, and write a page.

    What has to be fitted on labels is fitted on the other folds than the one it judges, so that nothing is
    tuned on what is measured; a --calibration must have been fitted on other images than these. Writes
    index.html, labelled.json, labelled.md and rulings.parquet into --out; the same command resumes a run.
    """
    from jurat.bench.bench_plan import BenchPlan
    from jurat.bench.labelled.labelled_images import read_labelled
    from jurat.bench.labelled.run import methods_for, run_labelled
    from jurat.bench.labelled.summary import as_markdown
    from jurat.bench.labelled.writing import write_labelled
    from jurat.judge.calibrate.calibration import load_calibration

    if folds == 1:
        raise JuratError("--folds 1 leaves nothing to fit on.", hint="Take 2 or more, or 0 for none.")
    own_images = read_labelled(
        images,
        labels,
        _constitutions(constitution),
        rename=label_options.renamed(rename),
        ignore=ignore_label or (),
    )
    plan = BenchPlan(
        out,
        methods_for(method or LABELLED_METHODS, ablate or [], calibrated=bool(folds) and calibration is None),
        options.subjects(model, opening),
        detector=options.or_none(detector),
        matcher=options.or_none(matcher),
        command=command_line(),
        labelled=own_images,
        workers=workers,
        calibration=None if calibration is None else load_calibration(calibration),
        folds=folds,
    )
    results = run_labelled(plan, _guards(guard, guard_map, opening), options.progress(quiet=quiet))
    written = write_labelled(out, results)
    options.tell(as_markdown(results.data), written, quiet=quiet)


def _constitutions(given: list[str]) -> dict[str, Constitution]:
    """Constitutions by name; one may have none. Raises JuratError for equal names, or a missing one."""
    from jurat.bench.labelled.labelled_images import UNNAMED
    from jurat.constitution import load_constitution

    named: dict[str, Constitution] = {}
    for text in given:
        name, _, place = text.rpartition("=")
        if len(given) > 1 and not re.fullmatch(r"[\w.-]+", name):
            raise JuratError(
                f"--constitution {text} has no name.",
                hint="To compare wordings: --constitution objective=FILE --constitution vague=FILE",
            )
        name = name or UNNAMED
        if name in named:
            raise JuratError(f"Two constitutions are named {name!r}.", hint="Give each its own name.")
        named[name] = load_constitution(place)
    return named


def _guards(given: list[str] | None, taxonomies: Path | None, opening: ModelOptions) -> list[GuardChoice]:
    """Raises JuratError for unknown guards, and for a map of a guard that is not run."""
    from dataclasses import replace

    from jurat.bench.guards.registry import GUARDS, GuardChoice
    from jurat.bench.guards.taxonomy import read_taxonomies

    choices = [GuardChoice.parse(text) for text in given or ()]
    known = {} if taxonomies is None else read_taxonomies(taxonomies, GUARDS.names())
    if unused := sorted(known.keys() - {choice.kind.name for choice in choices}):
        raise JuratError(f"{taxonomies} maps {unused[0]}, which no --guard names.")
    return [
        replace(each, taxonomy=known.get(each.kind.name), device=opening.device, dtype=opening.dtype)
        for each in choices
    ]


app.command()(attacks)
app.command()(injection)
app.command()(robustness)
app.command()(defenses)
app.command("text-to-image")(text_to_image)


@app.command()
def tables(
    folder: Annotated[
        Path, typer.Argument(metavar="DIR", help="Folder of a results.json.", show_default=False)
    ],
) -> None:
    """Write the tables and figures of a results.json again, as this version of jurat writes them.

    Nothing is judged. Fields that this version no longer publishes are taken out of results.json.
    """
    from jurat.bench.results import read_results, write_results

    written = write_results(folder, read_results(folder))
    typer.echo(f"Written: {', '.join(map(str, written))}", err=True)


@app.command()
def recompute(
    folder: Annotated[
        Path,
        typer.Argument(metavar="DIR", help="Folder of a results.json and its rulings.", show_default=False),
    ],
) -> None:
    """Compute every figure of a results.json again from its rulings, and say which differ.

    Reads rulings.parquet and scenes.parquet beside it; nothing is judged. Exits with 1 if a figure differs.
    """
    from jurat.bench.bench_run import results_of
    from jurat.bench.results import read_results, rounded
    from jurat.bench.rulings import differing, read_rulings

    published = read_results(folder)
    computed = rounded(results_of(read_rulings(folder), published["provenance"]))
    count, others = differing(published, computed)
    for each in others[:_SHOWN]:
        typer.echo(f"{each.where}: {each.published} is published, {each.computed} comes out")
    if len(others) > _SHOWN:
        typer.echo(f"and {len(others) - _SHOWN:,} more")
    rows, pairs = len(computed["rows"]), len(computed["paired"])
    typer.echo(
        f"{count:,} figures of {rows:,} rows and {pairs:,} differences compared: {len(others):,} differ"
    )
    if others:
        raise typer.Exit(DIFFERS)


@app.command(hidden=True)
def methods() -> None:
    """The same as `jurat list bench_methods`."""
    from jurat.cli.listing import list_entries

    list_entries("bench_methods")


def _run(plan: BenchPlan, quiet: bool) -> None:
    from jurat.bench.bench_run import run_bench
    from jurat.bench.results import as_markdown, write_results

    results = run_bench(plan, options.progress(quiet=quiet))
    if not results["rows"]:
        first = results["provenance"]["left_out"][:1]
        why = first[0]["reason"] if first else "no method was named"
        raise JuratError(f"Nothing could be evaluated: {why}.")
    written = write_results(plan.out, results)
    options.tell(as_markdown(results), written, quiet=quiet)
