"""`jurat constitution impact`: what a changed policy does to a run, before it is shipped."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console

from jurat.cli.model_options import ModelOptions, opens_model
from jurat.cli.progress import progress
from jurat.cli.source_options import AllowPrivateHosts

if TYPE_CHECKING:
    from jurat.judge.replay.impact import Change, Flip, Impact

FLIPPED = 1
"""Exit code: more flips than `--fail-if-flips-above` allows, or it is not shown that there are fewer."""
SHOWN = 20
"""Flips that are printed, at most."""


@opens_model
def impact(
    old: Annotated[
        str, typer.Argument(metavar="OLD", help="The constitution of the run.", show_default=False)
    ],
    new: Annotated[str, typer.Argument(metavar="NEW", help="The changed one.", show_default=False)],
    run: Annotated[
        Path, typer.Option(metavar="RUN", help="What jurat judge --out wrote.", show_default=False)
    ],
    ask: Annotated[
        bool, typer.Option("--ask/--no-ask", help="Judge anew what the run's records do not tell.")
    ] = True,
    sample: Annotated[
        int | None,
        typer.Option(metavar="N", min=1, help="Judge anew this many of them only.", show_default=False),
    ] = None,
    model: Annotated[
        str | None,
        typer.Option(metavar="NAME", help="Judges anew; default: the run's own.", show_default=False),
    ] = None,
    allow_private_hosts: AllowPrivateHosts = False,
    calibration: Annotated[
        Path | None, typer.Option(metavar="FILE", help="That the run was judged with.", show_default=False)
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option(
            "--out",
            "-o",
            metavar="FILE",
            help="Write the verdicts of items whose outcome flips, as they would be: .jsonl or .parquet.",
            show_default=False,
        ),
    ] = None,
    fail_if_flips_above: Annotated[
        int | None,
        typer.Option(
            metavar="N",
            min=0,
            help="Exit with 1 if more items flip, or may: undecided ones, or by the interval of --sample.",
            show_default=False,
        ),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON, for machines.")] = False,
    *,
    opening: ModelOptions,
) -> None:
    """Say which verdicts of a run would flip under a changed constitution.

    Changed thresholds, logic and exceptions, and rules that are gone, are decided from the run's records
    without any call of the model. What was never asked is asked, of the images that need it.

    Exit codes: 0 done, 1 --fail-if-flips-above is not met or not shown to be, 2 wrong usage.
    """
    from jurat.constitution import load_constitution
    from jurat.judge.replay.recorded_run import open_recorded_run
    from jurat.sources.private_hosts import PrivateHosts

    if out is not None:
        _check_out(out)
    recorded = open_recorded_run(run, load_constitution(old), load_constitution(new), calibration)
    if opening.dtype is None:
        opening = replace(opening, dtype=recorded.dtype)
    spec = opening.spec(model or recorded.model)
    with progress(Console(stderr=True), lambda: None, shown=not as_json, doing="judging anew") as advance:
        result = recorded.measure(
            spec if ask else None,
            sample=sample,
            whole_flips=out is not None,
            private_hosts=PrivateHosts(allow_private_hosts),
            advance=advance,
        )
    why = None if fail_if_flips_above is None else result.objection(fail_if_flips_above)
    if as_json:
        typer.echo(json.dumps(_as_json(result, recorded.change) | {"objection": why}, indent=1))
    else:
        typer.echo(_as_text(result, recorded.change, run, out))
    if out is not None:
        _write(out, (flip for flip in result.flips if flip.of_item))
    if why is not None:
        typer.echo(f"jurat: --fail-if-flips-above {fail_if_flips_above}: {why}.", err=True)
        raise typer.Exit(FLIPPED)


def _check_out(out: Path) -> None:
    """Refuses an --out that exists already before anything is judged anew."""
    from jurat.files import exists_already, file_errors
    from jurat.runs import check_sink

    with file_errors(out):
        check_sink(out)
        there = out.exists()
    if there:
        raise exists_already(out)


def _write(out: Path, flips: Iterable[Flip]) -> None:
    from jurat.judge.verdict_runs import VERDICT_ROWS
    from jurat.runs import open_sink

    with open_sink(out, VERDICT_ROWS) as sink:
        for flip in flips:
            if flip.row is not None:
                sink.write(dict(flip.row))


# --- printing -------------------------------------------------------------------------------------


def _as_text(result: Impact, change: Change, run: Path, out: Path | None) -> str:
    from jurat.judge.calibrate.calibration import UNBOUNDED
    from jurat.text import counted, printable

    share, review = result.flipped / max(1, result.decided), [result.review(after=a) for a in (False, True)]
    of = f" of the {result.decided:,} decided" if result.open else ""
    lines = [
        _named(change),
        f"{counted(result.items, 'item')}: {result.recorded:,} decided from their records,"
        f" {result.asked:,} judged anew" + (f", {result.open:,} not" if result.open else ""),
        f"{counted(result.flipped, 'flips', 'flip')} ({share:.1%}{of});"
        f" left to people: {review[0]:,} before, {review[1]:,} after",
    ]
    if result.errors:
        lines.append(f"{counted(result.errors, 'item')} could not be judged in the run, and still cannot be")
    if result.failed:
        lines.append(
            f"{result.failed:,} could not be judged anew, and count as not judged. The first:"
            f" {printable(result.why)}"
        )
    if change.calibration is not None and change.calibration.thresholds_from is not None:
        lines.append(UNBOUNDED)
    bounds = result.open_share
    if bounds is not None:
        rate = result.asked_flips / result.asked
        lines.append(
            f"of those that need judging anew {rate:.1%} flip"
            f" (95% interval {bounds.low:.1%} to {bounds.high:.1%})"
        )
    lines += [f"  {before} -> {after}: {count:,}" for (before, after), count in _flipping(result)]
    for rule, changes in sorted(result.rules.items(), key=lambda each: -sum(each[1].values())):
        counts = ", ".join(f"{a} -> {b} {n:,}" for (a, b), n in changes.most_common())
        lines.append(f"{printable(rule)}: {counts}")
    shown = [flip for flip in result.flips if flip.of_item][:SHOWN]
    lines += [f"  {flip.before} -> {flip.after}  {printable(flip.id)}" for flip in shown]
    if result.flipped > len(shown):
        lines.append(f"  and {result.flipped - len(shown):,} more")
    if out is not None and result.flipped:
        lines.append(f"To look at them: jurat report {run} {out}")
    return "\n".join(lines)


def _named(change: Change) -> str:
    old, new = change.old, change.new
    if old.digest == new.digest:
        thresholds = f"{old.thresholds_digest} -> {new.thresholds_digest}"
        return f"{new.name}@{new.digest}, thresholds and severities {thresholds}"
    return f"{old.name}@{old.digest} -> {new.name}@{new.digest}"


def _flipping(result: Impact) -> list[tuple[tuple[str, str], int]]:
    return [(pair, count) for pair, count in result.changes.most_common() if pair[0] != pair[1]]


def _as_json(result: Impact, change: Change) -> dict[str, Any]:
    share = result.open_share
    return {
        "old": f"{change.old.name}@{change.old.digest}",
        "new": f"{change.new.name}@{change.new.digest}",
        "thresholds": {"old": change.old.thresholds_digest, "new": change.new.thresholds_digest},
        "thresholds_from": None if change.calibration is None else change.calibration.thresholds_from,
        "items": result.items,
        "recorded": result.recorded,
        "asked": result.asked,
        "open": result.open,
        "failed": result.failed,
        "errors": result.errors,
        "open_flips": None if share is None else [share.low, share.high],
        "flips": result.flipped,
        "changes": [{"before": a, "after": b, "items": n} for (a, b), n in result.changes.most_common()],
        "review": {"before": result.review(after=False), "after": result.review(after=True)},
        "rules": {
            rule: [{"before": a, "after": b, "items": n} for (a, b), n in changes.most_common()]
            for rule, changes in result.rules.items()
        },
        "items_that_flip": [
            {"id": flip.id, "uri": flip.uri, "before": flip.before, "after": flip.after}
            for flip in result.flips
            if flip.of_item
        ],
    }
