"""`jurat judge`: images in, verdicts out, a table at the end."""

from __future__ import annotations

import itertools
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, get_args

import typer
from rich.console import Console
from rich.text import Text

from jurat.cli import serving
from jurat.cli.progress import Advance, progress
from jurat.cli.tables import Listing, print_items, print_summary
from jurat.errors import JuratError
from jurat.judge.presets import DEFAULT
from jurat.judge.verdict import ItemOutcome
from jurat.report.tally import Tally
from jurat.report.text import printable

if TYPE_CHECKING:
    from jurat.images import Item, Sink
    from jurat.judge import Judge
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
            help="Files, folders, globs, or - for a list of paths on standard input.", show_default=False
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
            "--out", "-o", metavar="FILE", help="Write verdicts: .jsonl, .parquet, or - for JSON lines here."
        ),
    ] = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace --out if it is there.")] = False,
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

    Exit codes: 0 done, 1 what --fail-on names was found, 2 wrong usage, 3 the model failed or nothing
    could be judged.
    """
    from jurat.constitution import load_constitution
    from jurat.judge import Judge
    from jurat.judge.presets import find_preset
    from jurat.models import ModelGone, open_model

    failing = _outcomes(fail_on)
    _check_out(out, overwrite)
    law, found, items = load_constitution(constitution), find_preset(preset), _some(paths)
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
        serving.print_estimate(Console(highlight=False), bench, rehearsal, items)
        return

    run = _Run(
        paths,
        out,
        overwrite,
        quiet,
        Tally.of((rule.id, rule.severity) for rule in law.rules),
        Listing((40 if out is None else 0) if show is None else show),
    )
    try:
        interrupted = run.go(bench, items)
    except ModelGone:
        if run.tally.items and not quiet:
            run.report(opened, whole=False)
        raise
    if not quiet:
        run.report(opened, whole=not interrupted)
    if interrupted:
        where = "" if out is None else f"; {run.written}"
        typer.echo(f"jurat: interrupted after {run.tally.items:,} items{where}.", err=True)
        raise typer.Exit(INTERRUPTED)
    if run.tally.outcomes["error"] == run.tally.items:
        raise AllFailed(run.first_error)
    if any(run.tally.outcomes[outcome] for outcome in failing):
        raise typer.Exit(FOUND)


@dataclass
class _Run:
    """One pass over the items: where verdicts go, and what is told of them."""

    paths: list[str]
    out: Path | None
    overwrite: bool
    quiet: bool
    tally: Tally
    listing: Listing
    seconds: float = 0.0
    first_error: str = ""
    written: str = ""
    """Where the verdicts are, for a person."""

    def go(self, bench: Judge, items: Iterator[Item]) -> bool:
        """Judges all items; True if Ctrl-C ended it, with every verdict up to then counted and written."""
        from jurat.images import open_sink
        from jurat.judge import arrow_schema

        sink = open_sink(self.out, arrow_schema, overwrite=self.overwrite)
        start = time.monotonic()
        try:
            with sink, progress(Console(stderr=True), self.paths, shown=not self.quiet) as advance:
                self._judge(bench, items, sink, advance)
        except KeyboardInterrupt:
            return True
        finally:
            self.seconds = time.monotonic() - start
            self.written = sink.summary
        return False

    def _judge(self, bench: Judge, items: Iterator[Item], sink: Sink, advance: Advance) -> None:
        from jurat.judge import verdict_to_row

        for verdict in bench.stream(items):
            sink.write(verdict_to_row(verdict))
            self.tally.add(verdict)
            self.listing.add(verdict)
            self.first_error = self.first_error or verdict.error or ""
            advance()

    def report(self, model: Model, *, whole: bool) -> None:
        """Prints the closing tables: on standard output, unless the verdicts are there."""
        console = Console(highlight=False, stderr=_is_stdout(self.out))
        print_items(console, self.listing, self.tally)
        print_summary(console, self.tally, self.seconds)
        serving.print_spent(console, model)
        if whole and self.out is not None and not _is_stdout(self.out):
            console.print(
                Text(f"{self.written}. To look at them: jurat report {self.out} --out page.html"),
                soft_wrap=True,
            )


def _is_stdout(out: Path | None) -> bool:
    return out is not None and str(out) == "-"


def _check_out(out: Path | None, overwrite: bool) -> None:
    """Says that a file cannot be written, or is in the way, before a model is loaded, not after."""
    from jurat.images import check_sink

    if out is None or _is_stdout(out):
        return
    check_sink(out)
    if out.exists() and not overwrite:
        raise JuratError(f"{out} is there already.", hint="--overwrite replaces it.")


def _some(paths: list[str]) -> Iterator[Item]:
    """The items of `paths`, of which there is at least one."""
    from jurat.images import find_items

    items = find_items(paths, sys.stdin)
    first = next(items, None)
    if first is None:
        where = "the list on standard input" if paths == ["-"] else ", ".join(paths)
        raise JuratError(
            f"No images were found in {where}.", hint="PATHS are image files, folders of them, or globs."
        )
    return itertools.chain([first], items)
