"""`jurat constitution impact`: what a changed policy does to a run, before it is shipped."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from jurat.cli.serving import BaseUrl
from jurat.errors import JuratError

if TYPE_CHECKING:
    from jurat.judge import Verdict
    from jurat.judge.calibration import Calibration
    from jurat.judge.impact import Change, Flip, Impact

FLIPPED = 1
"""Exit code: more flips than `--fail-if-flips-above` allows."""
SHOWN = 20
"""Flips that are printed, at most."""


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
        typer.Option(metavar="NAME", help="Judges anew; the run's own unless told.", show_default=False),
    ] = None,
    base_url: BaseUrl = None,
    calibration: Annotated[
        Path | None, typer.Option(metavar="FILE", help="That the run was judged with.", show_default=False)
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option(
            "--out",
            "-o",
            metavar="FILE",
            help="Write the verdicts that flip, as they would be: .jsonl or .parquet.",
            show_default=False,
        ),
    ] = None,
    fail_if_flips_above: Annotated[
        int | None,
        typer.Option(metavar="N", min=0, help="Exit with 1 if more items flip.", show_default=False),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON, for machines.")] = False,
) -> None:
    """Say which verdicts of a run would flip under a changed constitution.

    Changed thresholds, logic and exceptions, and rules that are gone, are decided from the run's records
    without any call of the model. What was never asked is asked, of the images that need it.
    """
    from jurat.constitution import load_constitution
    from jurat.images import read_rows
    from jurat.judge.impact import Change, measure, preset_of

    rows = read_rows(run)
    first = next(rows, None)
    if first is None:
        raise JuratError(f"{run} holds no verdicts.")
    fitted = _calibration(first, calibration)
    change = Change(load_constitution(old), load_constitution(new), preset_of(first["preset"]), fitted)
    judge = _judge(first, change, model, base_url) if ask else None
    found = measure(_alike(chain([first], rows), first), change, judge, sample=sample)
    if out is not None:
        _write(out, found.flips)
    typer.echo(json.dumps(_as_json(found, change), indent=1) if as_json else _told(found, change, run, out))
    if fail_if_flips_above is not None and found.flipped > fail_if_flips_above:
        raise typer.Exit(FLIPPED)


def _alike(rows: Iterable[dict[str, Any]], first: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """The rows, which must all be of one model and preset."""
    for row in rows:
        for name in ("model", "preset", "prompts", "calibration"):
            if row.get(name) != first.get(name):
                raise JuratError(
                    f"{row['id']!r} was judged with another {name} than the first item:"
                    f" {row.get(name)!r}, not {first.get(name)!r}.",
                    hint="Give the verdicts of one run.",
                )
        yield row


def _calibration(row: dict[str, Any], given: Path | None) -> Calibration | None:
    from jurat.judge.calibration import load_calibration

    wanted = row.get("calibration")
    if given is None and wanted is not None:
        raise JuratError(
            f"The run was judged with the calibration {wanted}.", hint="Name it: --calibration FILE"
        )
    if given is None:
        return None
    calibration = load_calibration(given)
    if calibration.digest != wanted:
        raise JuratError(f"{given} has the digest {calibration.digest}; the run was judged with {wanted}.")
    return calibration


def _judge(
    row: dict[str, Any], change: Change, model: str | None, base_url: str | None
) -> Callable[[Verdict], Verdict]:
    """Judges items anew; the model is opened for the first of them."""
    from jurat.images import find_items
    from jurat.judge import Judge
    from jurat.models import open_model

    opened: list[Judge] = []

    def judge(verdict: Verdict) -> Verdict:
        if not opened:
            network = open_model(model or row["model"].rpartition("@")[0], base_url=base_url)
            eyes = {name: row[name].rpartition("@")[0] for name in ("detector", "matcher") if row.get(name)}
            opened.append(Judge(change.new, network, change.preset, calibration=change.calibration, **eyes))
            if f"{network.name}@{network.revision}" != row["model"]:
                raise JuratError(
                    f"The run was judged by {row['model']}, and this is {network.name}@{network.revision}.",
                    hint="Name the model of the run: --model NAME",
                )
        (found,) = opened[0].stream(find_items([verdict.uri]))
        return found.model_copy(update={"id": verdict.id, "columns": verdict.columns})

    return judge


def _write(out: Path, flips: Iterable[Flip]) -> None:
    from jurat.images import open_sink
    from jurat.judge.record import arrow_schema

    with open_sink(out, arrow_schema) as sink:
        for flip in flips:
            sink.write(dict(flip.row))


# --- telling -------------------------------------------------------------------------------------


def _told(found: Impact, change: Change, run: Path, out: Path | None) -> str:
    from jurat.report.text import printable

    share, review = found.flipped / max(1, found.decided), [found.review(after=a) for a in (False, True)]
    lines = [
        f"{change.old.name}@{change.old.digest} -> {change.new.name}@{change.new.digest}",
        f"{found.items:,} items: {found.recorded:,} decided from their records, {found.asked:,} judged anew"
        + (f", {found.open:,} not" if found.open else ""),
        f"{found.flipped:,} flip ({share:.1%}); left to people: {review[0]:,} before, {review[1]:,} after",
    ]
    bounds = found.open_share
    if bounds is not None:
        rate = found.asked_flips / found.asked
        lines.append(
            f"of those that need judging anew {rate:.1%} flip"
            f" (95% interval {bounds.low:.1%} to {bounds.high:.1%})"
        )
    lines += [f"  {before} -> {after}: {count:,}" for (before, after), count in _flipping(found)]
    for rule, changes in sorted(found.rules.items(), key=lambda each: -sum(each[1].values())):
        told = ", ".join(f"{a} -> {b} {n:,}" for (a, b), n in changes.most_common())
        lines.append(f"{printable(rule)}: {told}")
    shown = [flip for flip in found.flips if flip.of_item][:SHOWN]
    lines += [f"  {flip.before} -> {flip.after}  {printable(flip.id)}" for flip in shown]
    if found.flipped > len(shown):
        lines.append(f"  and {found.flipped - len(shown):,} more")
    if out is not None:
        lines.append(f"To look at them: jurat report {run} {out}")
    return "\n".join(lines)


def _flipping(found: Impact) -> list[tuple[tuple[str, str], int]]:
    return [(pair, count) for pair, count in found.changes.most_common() if pair[0] != pair[1]]


def _as_json(found: Impact, change: Change) -> dict[str, Any]:
    share = found.open_share
    return {
        "old": f"{change.old.name}@{change.old.digest}",
        "new": f"{change.new.name}@{change.new.digest}",
        "items": found.items,
        "recorded": found.recorded,
        "asked": found.asked,
        "open": found.open,
        "open_flips": None if share is None else [share.low, share.high],
        "flips": found.flipped,
        "changes": [{"before": a, "after": b, "items": n} for (a, b), n in found.changes.most_common()],
        "review": {"before": found.review(after=False), "after": found.review(after=True)},
        "rules": {
            rule: [{"before": a, "after": b, "items": n} for (a, b), n in changes.most_common()]
            for rule, changes in found.rules.items()
        },
        "items_that_flip": [
            {"id": flip.id, "uri": flip.uri, "before": flip.before, "after": flip.after}
            for flip in found.flips
            if flip.of_item
        ],
    }
