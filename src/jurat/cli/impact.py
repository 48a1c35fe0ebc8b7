"""`jurat constitution impact`: what a changed policy does to a run, before it is shipped."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console

from jurat.cli.model_options import Opening, opens_model
from jurat.cli.progress import progress
from jurat.cli.source_options import AllowPrivateHosts
from jurat.errors import JuratError

if TYPE_CHECKING:
    from jurat.content import Item
    from jurat.judge import Judge, Verdict
    from jurat.judge.calibrate.calibration import Calibration
    from jurat.judge.replay.impact import Change, Flip, Impact, Judging
    from jurat.models import ModelSpec
    from jurat.sources.reopen import Openers, Reopener

FLIPPED = 1
"""Exit code: more flips than `--fail-if-flips-above` allows, or not shown that there are not."""
LOOKED_FOR = 256
"""Items of tables and shards whose images are looked for at once."""
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
        typer.Option(metavar="NAME", help="Judges anew; the run's own unless told.", show_default=False),
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
    opening: Opening,
) -> None:
    """Say which verdicts of a run would flip under a changed constitution.

    Changed thresholds, logic and exceptions, and rules that are gone, are decided from the run's records
    without any call of the model. What was never asked is asked, of the images that need it.

    Exit codes: 0 done, 1 --fail-if-flips-above is not met or not shown to be, 2 wrong usage.
    """
    from jurat.constitution import load_constitution
    from jurat.judge import row_to_verdict
    from jurat.judge.preset_settings import preset_of_record
    from jurat.judge.replay.impact import Change, measure_blocks
    from jurat.judge.replay.sweep import LEAVES, OPTIONAL
    from jurat.runs import read_blocks, read_rows
    from jurat.sources.private_hosts import PrivateHosts

    if out is not None:
        _check_out(out)
    first = next(read_rows(run), None)
    if first is None:
        raise JuratError(f"{run} holds no verdicts.")
    row_to_verdict(first)  # or else it is no verdict, and that is said
    fitted, recorded = _calibration(first, calibration), _settings(run)
    change = Change(
        load_constitution(old),
        load_constitution(new),
        preset_of_record(
            first["preset"],
            first.get("preset_digest"),
            presence=first.get("presence"),
            settings=recorded.get("preset_settings"),
        ),
        fitted,
    )
    if opening.dtype is None and first["dtype"] != "none":
        opening = replace(opening, dtype=first["dtype"])
    spec = opening.spec(model or first["model"].rpartition("@")[0])
    with progress(Console(stderr=True), lambda: None, shown=not as_json, doing="judging anew") as advance:
        settings = {**recorded, "private_hosts": PrivateHosts(allow_private_hosts)}
        judge = _judging(first, settings, change, spec, advance) if ask else None
        blocks = read_blocks(run, LEAVES, OPTIONAL)
        found = measure_blocks(blocks, change, judge, sample=sample, whole_flips=out is not None)
    why = None if fail_if_flips_above is None else found.objection(fail_if_flips_above)
    told = _as_json(found, change) | {"objection": why} if as_json else _told(found, change, run, out)
    typer.echo(json.dumps(told, indent=1) if as_json else told)
    if out is not None:
        _write(out, (flip for flip in found.flips if flip.of_item))
    if why is not None:
        typer.echo(f"jurat: --fail-if-flips-above {fail_if_flips_above}: {why}.", err=True)
        raise typer.Exit(FLIPPED)


def _calibration(row: dict[str, Any], given: Path | None) -> Calibration | None:
    from jurat.judge.calibrate.calibration import load_calibration

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


def _settings(run: Path) -> Mapping[str, Any]:
    """What a run was made with, as far as its folder tells; a file tells nothing but its rows."""
    from jurat.judge.verdict_runs import VERDICT_ROWS
    from jurat.runs.folder import is_run, read_facts
    from jurat.runs.settings import settings_in

    return settings_in(read_facts(run), VERDICT_ROWS) if is_run(run) else {}


def _judging(
    row: dict[str, Any],
    settings: Mapping[str, Any],
    change: Change,
    spec: ModelSpec,
    advance: Callable[[], None],
) -> Judging:
    """Judges items anew as those of the run were; the model is opened for the first of them."""
    from jurat.sources.prefetch import SourceFolders, read_ahead
    from jurat.sources.reopen import Reopener

    opened: list[Judge] = []
    inside = Reopener(next(iter(settings.get("columns") or ()), None))

    def judging(verdicts: list[Verdict]) -> Iterator[Verdict]:
        if not opened:
            opened.append(_judge(row, settings, change, spec))
        for found in opened[0].stream(read_ahead(_items(verdicts, inside, settings), SourceFolders())):
            advance()
            yield found

    return judging


def _items(verdicts: Sequence[Verdict], inside: Reopener, settings: Mapping[str, Any]) -> Iterator[Item]:
    """What verdicts were about, to be read again; looked for in tables and shards some at a time."""
    for first in range(0, len(verdicts), LOOKED_FOR):
        some = verdicts[first : first + LOOKED_FOR]
        uris = (uri for one in some for uri in (one.uri, *(image.uri for image in one.images)))
        there = inside.find(uris)
        for verdict in some:
            yield _item(verdict, settings, there)


def _judge(row: dict[str, Any], settings: Mapping[str, Any], change: Change, spec: ModelSpec) -> Judge:
    from jurat.judge import Judge
    from jurat.media import Sampling
    from jurat.models import full_name, may_be_same_model, open_model

    frames = settings.get("frames")
    model = open_model(spec)
    if not may_be_same_model(full_name(model), row["model"]):
        raise JuratError(
            f"The run was judged by {row['model']}, and this is {full_name(model)}.",
            hint="Name the model of the run: --model NAME",
        )
    return Judge(
        change.new,
        model,
        change.preset,
        calibration=change.calibration,
        allow_unknown=bool(settings.get("allow_unknown")),
        sampling=Sampling(*frames[:2]) if frames else None,
        frames_needed=frames[2] if frames else None,
        **{name: row[name].rpartition("@")[0] for name in ("detector", "matcher") if row.get(name)},
    )


def _item(verdict: Verdict, settings: Mapping[str, Any], inside: Openers) -> Item:
    """What a verdict was about, to be read again.

    Args:
        settings: of the run: the columns that were named, and which private hosts URIs may lead to.
        inside: opens what lies in tables and shards.
    """
    from jurat.content import Item, LazyImage, Turn
    from jurat.sources import PassedOver, SourceOptions
    from jurat.sources.conversations import ConversationColumns
    from jurat.sources.openers import LocalFile, RemoteObject
    from jurat.sources.table_rows import caption_in
    from jurat.sources.uris import scheme_of

    def opener(uri: str) -> Callable[[], bytes]:
        if uri in inside:
            return inside[uri]
        return (
            LocalFile(uri)
            if scheme_of(uri) is None
            else RemoteObject(uri, private_hosts=settings["private_hosts"])
        )

    columns, captions = verdict.columns, settings.get("captions")
    told = columns.get(captions) if captions is not None else caption_in(columns)
    named = settings.get("conversations") or (None, None, None)
    options = SourceOptions(conversation_column=named[0], prompt_column=named[1], response_column=named[2])
    conversation = replace(ConversationColumns.of(list(columns), options), named=False)
    several = [LazyImage(image.uri, opener(image.uri)) for image in verdict.images]
    return Item(
        several or [opener(verdict.uri)],
        verdict.id,
        verdict.uri,
        verdict.caption or told,
        [Turn(turn.role, (turn.text,)) for turn in verdict.turns] or conversation.read(columns, PassedOver()),
        columns,
        verdict.occurrence,
    )


def _check_out(out: Path) -> None:
    """Says that --out is in the way before anything is judged anew."""
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


# --- telling -------------------------------------------------------------------------------------


def _told(found: Impact, change: Change, run: Path, out: Path | None) -> str:
    from jurat.text import counted, printable

    share, review = found.flipped / max(1, found.decided), [found.review(after=a) for a in (False, True)]
    of = f" of the {found.decided:,} decided" if found.open else ""
    lines = [
        _named(change),
        f"{counted(found.items, 'item')}: {found.recorded:,} decided from their records,"
        f" {found.asked:,} judged anew" + (f", {found.open:,} not" if found.open else ""),
        f"{counted(found.flipped, 'flips', 'flip')} ({share:.1%}{of});"
        f" left to people: {review[0]:,} before, {review[1]:,} after",
    ]
    if found.errors:
        lines.append(f"{counted(found.errors, 'item')} could not be judged in the run, and still cannot be")
    if found.failed:
        lines.append(
            f"{found.failed:,} could not be judged anew, and count as not judged. The first:"
            f" {printable(found.why)}"
        )
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
    if out is not None and found.flipped:
        lines.append(f"To look at them: jurat report {run} {out}")
    return "\n".join(lines)


def _named(change: Change) -> str:
    old, new = change.old, change.new
    if old.digest == new.digest:
        thresholds = f"{old.thresholds_digest} -> {new.thresholds_digest}"
        return f"{new.name}@{new.digest}, thresholds and severities {thresholds}"
    return f"{old.name}@{old.digest} -> {new.name}@{new.digest}"


def _flipping(found: Impact) -> list[tuple[tuple[str, str], int]]:
    return [(pair, count) for pair, count in found.changes.most_common() if pair[0] != pair[1]]


def _as_json(found: Impact, change: Change) -> dict[str, Any]:
    share = found.open_share
    return {
        "old": f"{change.old.name}@{change.old.digest}",
        "new": f"{change.new.name}@{change.new.digest}",
        "thresholds": {"old": change.old.thresholds_digest, "new": change.new.thresholds_digest},
        "items": found.items,
        "recorded": found.recorded,
        "asked": found.asked,
        "open": found.open,
        "failed": found.failed,
        "errors": found.errors,
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
