"""`jurat judge`: images in, verdicts out, a table at the end."""

from __future__ import annotations

from typing import Annotated, get_args

import typer
from rich.console import Console

from jurat.cli import endpoint_options as serving
from jurat.cli import engine_options as engines
from jurat.cli import model_choice
from jurat.cli import out_options as output
from jurat.cli import source_options as sourcing
from jurat.cli.help_panels import PanelCommand
from jurat.cli.judging_pass import JudgingPass
from jurat.cli.model_options import ModelOptions, opens_model
from jurat.cli.summary import ItemListing
from jurat.judge.presets import DEFAULT
from jurat.judge.verdict import ItemOutcome
from jurat.report.verdicts.tally import Tally
from jurat.text import counted

app = typer.Typer(add_completion=False, rich_markup_mode=None)

FOUND, INTERRUPTED = 1, 130
"""Exit codes: what --fail-on names was found; Ctrl-C."""


def _outcomes(value: str) -> frozenset[ItemOutcome]:
    names = [name.strip() for name in value.split(",") if name.strip()]
    known: dict[str, ItemOutcome] = {name: name for name in get_args(ItemOutcome)}
    if wrong := [name for name in names if name not in known]:
        raise typer.BadParameter(f"{wrong[0]!r} is not an outcome; there are {', '.join(known)}.")
    return frozenset(known[name] for name in names)


@app.command(cls=PanelCommand)
@opens_model
def judge(
    context: typer.Context,
    paths: Annotated[
        list[str],
        typer.Argument(
            help="Files, folders, globs, tables, tar shards, URIs, or - for a list on standard input.",
            show_default=False,
        ),
    ],
    constitution: model_choice.ConstitutionFile,
    model: model_choice.ModelName = "bundled",
    preset: model_choice.PresetName = DEFAULT,
    without: model_choice.Without = None,
    detector: model_choice.DetectorName = None,
    matcher: model_choice.MatcherName = None,
    calibration: model_choice.CalibrationFile = None,
    out: output.Out = None,
    overwrite: output.Overwrite = False,
    retry_errors: output.RetryErrors = False,
    fresh: output.Fresh = False,
    column: sourcing.Column = None,
    id_column: sourcing.IdColumn = None,
    caption_column: sourcing.CaptionColumn = None,
    conversation_column: sourcing.ConversationColumn = None,
    prompt_column: sourcing.PromptColumn = None,
    response_column: sourcing.ResponseColumn = None,
    root: sourcing.Root = None,
    allow_private_hosts: sourcing.AllowPrivateHosts = False,
    shard: sourcing.ShardOption = None,
    known: sourcing.KnownOption = None,
    reuse_near: sourcing.ReuseNear = None,
    fps: sourcing.Fps = 1.0,
    max_frames: sourcing.MaxFrames = 32,
    max_image_pixels: sourcing.MaxImagePixels = sourcing.MAX_IMAGE_PIXELS,
    frames_needed: sourcing.FramesNeeded = None,
    fail_on: Annotated[
        str,
        typer.Option(
            metavar="OUTCOMES", help="Exit with 1 if any item is one of these: unsafe,unsure,error."
        ),
    ] = "",
    allow_unknown: model_choice.AllowUnknown = False,
    batch_size: model_choice.BatchSize = 16,
    dry_run: serving.DryRun = False,
    engine: engines.Engine = "local",
    replicas: engines.Replicas = None,
    gpus: engines.Gpus = None,
    show: Annotated[
        int | None,
        typer.Option(metavar="N", min=0, help="Items to print. Default: 40, or none with --out."),
    ] = None,
    quiet: Annotated[
        bool, typer.Option("--quiet", "-q", help="Print only errors and what was passed over.")
    ] = False,
    *,
    opening: ModelOptions,
) -> None:
    """Judge images under a constitution.

    With --out DIR, rerun the same command to resume a run that was stopped.

    Exit codes: 0 done, 1 what --fail-on names was found, 2 wrong usage, 3 the model failed or nothing
    could be judged, 130 interrupted.
    """
    from jurat.constitution import load_constitution
    from jurat.judge import VERDICT_ROWS
    from jurat.judge.calibrate.calibration import load_calibration
    from jurat.judge.presets import find_preset
    from jurat.judge.workers import JudgeSpec
    from jurat.media import Sampling
    from jurat.models import ModelUnavailable, open_model
    from jurat.runs import Shard, is_run, open_sink
    from jurat.runs.run import index
    from jurat.sources import SourceOptions

    failing = _outcomes(fail_on)
    folder = out if output.is_folder(out) else None
    output.check_out(out, overwrite=overwrite, fresh=fresh, retry_errors=retry_errors)
    on_ray = engines.check_engine(engine, replicas=replicas, gpus=gpus)
    if on_ray:
        engines.check_ray(
            folder=folder, paths=paths, reuse_near=reuse_near, dry_run=dry_run, device=opening.device
        )
    law, found = load_constitution(constitution), find_preset(preset)
    source = sourcing.ItemSelection(
        paths,
        SourceOptions(
            column,
            id_column,
            root,
            caption_column=caption_column,
            conversation_column=conversation_column,
            prompt_column=prompt_column,
            response_column=response_column,
            allow_private_hosts=allow_private_hosts,
        ),
        shard=None if shard is None else Shard.parse(shard),
        known=sourcing.read_known(known),
        near=sourcing.near_duplicates(reuse_near),
    )
    items = source.found()
    spec = JudgeSpec(
        law,
        opening.spec(model),
        found.without(without or ()),
        detector=detector,
        matcher=matcher,
        calibration=None if calibration is None else load_calibration(calibration),
        batch_size=batch_size,
        allow_unknown=allow_unknown,
        sampling=Sampling(fps, max_frames, max_image_pixels),
        frames_needed=frames_needed,
    )
    workers = None
    if on_ray:
        workers = context.with_resource(engines.start_ray(spec, replicas=replicas, gpus=gpus, quiet=quiet))
    opened = open_model(spec.model) if workers is None else workers.described.model
    rehearsal = serving.rehearse(opened) if dry_run else None
    bench = spec.of_model(rehearsal or opened) if workers is None else spec.stand_in(workers.described)

    if rehearsal is not None:
        resumed = folder is not None and is_run(folder) and not fresh
        recorded = index(folder, VERDICT_ROWS, but_errors=retry_errors) if folder and resumed else None
        chosen = source.chosen(items, recorded)
        serving.print_estimate(Console(highlight=False), bench, rehearsal, source, chosen)
        source.tell_passed_over()
        return

    kept = None
    if folder is not None:
        how = {"fresh": fresh, "retry_errors": retry_errors, "allow_unknown": allow_unknown}
        kept = output.open_run(folder, bench, source, **how, quiet=quiet)
    run = JudgingPass(
        source,
        out,
        quiet,
        Tally.of((rule.id, rule.severity) for rule in law.rules),
        ItemListing((40 if out is None else 0) if show is None else show),
        run=kept,
        workers=workers,
    )
    try:
        interrupted = run.go(bench, items, kept or open_sink(out, VERDICT_ROWS, overwrite=overwrite))
    except ModelUnavailable:
        source.tell_passed_over()
        if run.tally.items and not quiet:
            run.report(opened, whole=False)
        raise
    if not quiet:
        run.report(opened, whole=not interrupted)
    run.tell_in_part()
    source.tell_passed_over()
    if interrupted:
        where = "" if out is None else f"; {run.written}"
        on = ". Rerun the same command to resume" if folder is not None else ""
        typer.echo(f"jurat: interrupted after {counted(run.tally.items, 'item')}{where}{on}.", err=True)
        raise typer.Exit(INTERRUPTED)
    run.check_some()
    if run.has(failing):
        raise typer.Exit(FOUND)
    if failing and (others := run.undecided(failing)):
        typer.echo(f"jurat: --fail-on {fail_on} found none, and does not name {others}.", err=True)
