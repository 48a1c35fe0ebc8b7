"""`jurat judge`: images in, verdicts out, a table at the end."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, get_args

import typer
from rich.console import Console
from rich.text import Text

from jurat.cli import runs, serving, sourcing
from jurat.cli.progress import Advance, progress
from jurat.cli.stopping import stopping
from jurat.cli.tables import Listing, print_items, print_summary
from jurat.errors import JuratError
from jurat.judge.presets import DEFAULT
from jurat.judge.verdict import ItemOutcome
from jurat.report.tally import Tally
from jurat.report.text import printable

if TYPE_CHECKING:
    from jurat.images import Item, Sink
    from jurat.judge import Judge, Verdict
    from jurat.models import Model

app = typer.Typer(add_completion=False, rich_markup_mode=None)

FOUND, INTERRUPTED = 1, 130
"""Exit codes: what --fail-on names was found; Ctrl-C."""


class AllFailed(JuratError):
    """Not one item could be judged."""

    exit_code = 3

    def __init__(self, first: str) -> None:
        super().__init__(f"Nothing could be judged. The first reason: {printable(first)}")


def _outcomes(value: str) -> frozenset[ItemOutcome]:
    names = [name.strip() for name in value.split(",") if name.strip()]
    known: dict[str, ItemOutcome] = {name: name for name in get_args(ItemOutcome)}
    if wrong := [name for name in names if name not in known]:
        raise typer.BadParameter(f"{wrong[0]!r} is not an outcome; there are {', '.join(known)}.")
    return frozenset(known[name] for name in names)


@app.command()
def judge(
    paths: Annotated[
        list[str],
        typer.Argument(
            help="Files, folders, globs, tables, tar shards, URIs, or - for a list on standard input.",
            show_default=False,
        ),
    ],
    constitution: Annotated[
        str,
        typer.Option(
            "--constitution", "-c", metavar="FILE", help="A YAML file, or shelf:NAME.", show_default=False
        ),
    ],
    model: Annotated[
        str, typer.Option("--model", "-m", metavar="NAME", help="See: jurat models")
    ] = "bundled",
    preset: Annotated[
        str,
        typer.Option(
            metavar="NAME", help="How clauses are asked and decided: jurat, quick, clue, clue-quick, direct."
        ),
    ] = DEFAULT,
    without: Annotated[
        list[str] | None,
        typer.Option(
            metavar="PART",
            help="Leave out a part: relevance, clauses, debias, views, points, regions, crop, reason.",
            show_default=False,
        ),
    ] = None,
    detector: Annotated[
        str | None,
        typer.Option(
            metavar="NAME", help="Finds objects for regions: bundled, or hf/NAME_OR_PATH of an OWLv2."
        ),
    ] = None,
    matcher: Annotated[
        str | None,
        typer.Option(metavar="NAME", help="Scans relevance: bundled, or hf/NAME_OR_PATH of a CLIP."),
    ] = None,
    calibration: Annotated[
        Path | None, typer.Option(metavar="FILE", help="What jurat calibrate wrote.")
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option(
            "--out",
            "-o",
            metavar="DIR",
            help="Write verdicts: to a folder, a run that can go on; .jsonl; .parquet; - for JSON here.",
        ),
    ] = None,
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Replace a file --out if it is there.")
    ] = False,
    retry_errors: runs.RetryErrors = False,
    fresh: runs.Fresh = False,
    column: sourcing.Column = None,
    id_column: sourcing.IdColumn = None,
    root: sourcing.Root = None,
    shard: sourcing.ShardOption = None,
    known: sourcing.KnownOption = None,
    reuse_near: sourcing.ReuseNear = None,
    fail_on: Annotated[
        str,
        typer.Option(
            metavar="OUTCOMES", help="Exit with 1 if any item is one of these: unsafe,unsure,error."
        ),
    ] = "",
    allow_unknown: Annotated[
        bool,
        typer.Option(
            "--allow-unknown", help="Go on where the model does not know a word; its findings are undecided."
        ),
    ] = False,
    device: Annotated[str | None, typer.Option(metavar="NAME", help="cpu, cuda, cuda:1, mps.")] = None,
    dtype: Annotated[str | None, typer.Option(metavar="NAME", help="float32, bfloat16, float16.")] = None,
    batch_size: Annotated[int, typer.Option(metavar="N", min=1, help="Images judged together.")] = 16,
    trust_remote_code: Annotated[
        bool, typer.Option("--trust-remote-code", help="Run Python code that comes with a model's weights.")
    ] = False,
    base_url: serving.BaseUrl = None,
    concurrency: serving.Concurrency = None,
    questions_per_call: serving.QuestionsPerCall = None,
    max_pixels: serving.MaxPixels = None,
    deadline: serving.Deadline = None,
    input_price: serving.Price = None,
    output_price: serving.Price = None,
    dry_run: serving.DryRun = False,
    show: Annotated[
        int | None,
        typer.Option(
            metavar="N", min=0, help="How many items to print: 40, or with --out none, unless told."
        ),
    ] = None,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="Print errors only.")] = False,
) -> None:
    """Judge images under a constitution.

    With --out DIR the same command goes on where it was stopped.

    Exit codes: 0 done, 1 what --fail-on names was found, 2 wrong usage, 3 the model failed or nothing
    could be judged, 130 interrupted.
    """
    from jurat.constitution import load_constitution
    from jurat.images import SourceOptions, open_sink
    from jurat.judge import Judge, arrow_schema
    from jurat.judge.presets import find_preset
    from jurat.models import ModelGone, open_model

    failing = _outcomes(fail_on)
    folder = out if runs.is_folder(out) else None
    _check_out(out, overwrite=overwrite, fresh=fresh, retry_errors=retry_errors)
    law, found = load_constitution(constitution), find_preset(preset)
    source = sourcing.Sourcing(
        paths,
        SourceOptions(column, id_column, root),
        shard=None if shard is None else sourcing.Shard.parse(shard),
        known=sourcing.read_known(known),
        near=sourcing.near_duplicates(reuse_near),
    )
    items = source.found()
    opened = open_model(
        model,
        device=device,
        dtype=dtype,
        trust_remote_code=trust_remote_code,
        base_url=base_url,
        serving=serving.serving_of(
            concurrency=concurrency,
            questions_per_call=questions_per_call,
            max_pixels=max_pixels,
            deadline=deadline,
            input_price=input_price,
            output_price=output_price,
        ),
    )
    rehearsal = serving.rehearse(opened) if dry_run else None
    bench = Judge(
        law,
        rehearsal or opened,
        found,
        detector=detector,
        matcher=matcher,
        without=without or (),
        calibration=calibration,
        batch_size=batch_size,
        allow_unknown=allow_unknown,
    )

    if rehearsal is not None:
        serving.print_estimate(Console(highlight=False), bench, rehearsal, source.chosen(items))
        return

    run = _Run(
        source,
        out,
        quiet,
        Tally.of((rule.id, rule.severity) for rule in law.rules),
        Listing((40 if out is None else 0) if show is None else show),
        folder is not None,
    )
    if folder is None:
        sink: Sink = open_sink(out, arrow_schema, overwrite=overwrite)
    else:
        entered = runs.open_run(
            folder, bench, source, fresh=fresh, retry_errors=retry_errors, allow_unknown=allow_unknown
        )
        sink, run.before = entered.sink, entered.outcomes
        if entered.told and not quiet:
            typer.echo(f"jurat: {entered.told}", err=True)
    try:
        interrupted = run.go(bench, items, sink)
    except ModelGone:
        if run.tally.items and not quiet:
            run.report(opened, whole=False)
        raise
    if not quiet:
        run.report(opened, whole=not interrupted)
    if interrupted:
        where = "" if out is None else f"; {run.written}"
        on = ". The same command goes on with the rest" if folder is not None else ""
        typer.echo(f"jurat: interrupted after {run.tally.items:,} items{where}{on}.", err=True)
        raise typer.Exit(INTERRUPTED)
    if run.tally.outcomes["error"] == run.tally.items > 0 and run.before.total() == run.before["error"]:
        raise AllFailed(run.first_error)
    if any(run.tally.outcomes[outcome] + run.before[outcome] for outcome in failing):
        raise typer.Exit(FOUND)


@dataclass
class _Run:
    """One pass over the items: where verdicts go, and what is told of them."""

    source: sourcing.Sourcing
    out: Path | None
    quiet: bool
    tally: Tally
    listing: Listing
    goes_on: bool
    """Whether the verdicts go to the folder of a run."""
    before: Counter[str] = field(default_factory=Counter[str])
    """Outcomes that were there before."""
    seconds: float = 0.0
    first_error: str = ""
    written: str = ""
    """Where the verdicts are, for a person."""

    def go(self, bench: Judge, items: Iterator[Item], sink: Sink) -> bool:
        """Judges all items; True if Ctrl-C ended it, with every verdict up to then counted and written."""
        start = time.monotonic()
        try:
            with (
                sink,
                stopping(quiet=self.quiet) as stop,
                progress(Console(stderr=True), self._left, shown=not self.quiet) as advance,
            ):
                self._judge(bench, stop.before(self.source.chosen(items)), sink, advance)
                if not stop.asked:
                    runs.restore(sink)
                return stop.asked
        except KeyboardInterrupt:
            return True
        finally:
            self.seconds = time.monotonic() - start
            self.written = sink.summary

    def _judge(self, bench: Judge, items: Iterator[Item], sink: Sink, advance: Advance) -> None:
        from jurat.judge import verdict_to_row

        def record(verdict: Verdict) -> None:
            sink.write(verdict_to_row(verdict))
            self.tally.add(verdict)
            self.listing.add(verdict)
            self.first_error = self.first_error or verdict.error or ""
            advance()

        for verdict in bench.stream(self.source.undecided(items, bench, record)):
            record(verdict)
            self.source.judged(verdict)

    def _left(self) -> int | None:
        """How many items there are to judge, if that can be told soon."""
        from jurat.images import count_items

        total = None if self.source.shard else count_items(self.source.paths, self.source.options)
        return None if total is None else max(0, total - self.before.total())

    def report(self, model: Model, *, whole: bool) -> None:
        """Prints the closing tables: on standard output, unless the verdicts are there."""
        console = Console(highlight=False, stderr=_is_stdout(self.out))
        if self.tally.items:
            print_items(console, self.listing, self.tally)
            print_summary(console, self.tally, self.seconds)
            serving.print_spent(console, model)
        if whole and self.out is not None and not _is_stdout(self.out):
            before = f", beside {self.before.total():,} from before" if self.before else ""
            console.print(
                Text(
                    f"{self.written}{before}. To look at them: jurat report {self.out} --out page.html"
                    if self.tally.items or not self.goes_on
                    else f"Nothing was left to judge: all of {self.before.total():,} rows are in {self.out}."
                ),
                soft_wrap=True,
            )


def _is_stdout(out: Path | None) -> bool:
    return out is not None and str(out) == "-"


def _check_out(out: Path | None, *, overwrite: bool, fresh: bool, retry_errors: bool) -> None:
    """Says that --out cannot be written, or is in the way, before a model is loaded, not after."""
    from jurat.images import check_sink

    if out is not None and runs.is_folder(out):
        runs.check_folder(out, overwrite=overwrite, fresh=fresh, retry_errors=retry_errors)
        return
    if fresh or retry_errors:
        raise JuratError(
            f"{'--fresh' if fresh else '--retry-errors'} is for runs in a folder.",
            hint="Name one: --out DIR.",
        )
    if out is None or _is_stdout(out):
        return
    check_sink(out)
    if out.exists() and not overwrite:
        raise JuratError(f"{out} is there already.", hint="--overwrite replaces it.")
