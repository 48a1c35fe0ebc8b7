"""`jurat calibrate`: fits debiasing and thresholds to a user's own images and model."""

from __future__ import annotations

from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.table import Table
from rich.text import Text

from jurat.cli import label_options, model_choice
from jurat.cli import source_options as sourcing
from jurat.cli.model_options import ModelOptions, opens_model
from jurat.cli.progress import progress
from jurat.errors import JuratError, require
from jurat.files import check_free
from jurat.judge.presets import DEFAULT
from jurat.text import counted, printable

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from jurat.bench.labelled.ratings import LabelNames
    from jurat.constitution import Constitution
    from jurat.content import Item
    from jurat.judge import Judge
    from jurat.judge.calibrate.calibration import Calibration, Transfer
    from jurat.judge.calibrate.fit import Fit
    from jurat.judge.calibrate.transfer import RuleScores

app = typer.Typer(add_completion=False, rich_markup_mode=None)

_SHOWN = 10
"""Labels that were not used, of which at most so many are named."""
UNPROVED = 1
"""Exit code of `--strict`."""


@app.command()
@opens_model
def calibrate(
    images: Annotated[
        Path, typer.Option(metavar="DIR", help="A folder of images, or videos, of the kind to be judged.")
    ],
    constitution: model_choice.ConstitutionFile,
    out: Annotated[
        Path, typer.Option("--out", "-o", metavar="FILE", help="Where the calibration is written.")
    ] = Path("calibration.json"),
    model: model_choice.ModelName = "bundled",
    preset: Annotated[
        str, typer.Option(metavar="NAME", help="One that decides clauses by log-odds.")
    ] = DEFAULT,
    labels: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="CSV, TSV, JSONL, JSON, Parquet, or XML of CVAT: which image breaks which rules.",
        ),
    ] = None,
    rename: label_options.Rename = None,
    ignore_label: label_options.IgnoreLabel = None,
    max_miss: Annotated[
        float,
        typer.Option(metavar="SHARE", min=0.001, max=0.5, help="Of violations, may be called kept."),
    ] = 0.05,
    max_false_alarm: Annotated[
        float,
        typer.Option(metavar="SHARE", min=0.001, max=0.5, help="Of other images that may be called broken."),
    ] = 0.05,
    old: Annotated[
        Path | None,
        typer.Option(
            "--from",
            metavar="OLD.json",
            help="Another model's calibration: transfer its thresholds, without a bound.",
            show_default=False,
        ),
    ] = None,
    old_record: Annotated[
        Path | None,
        typer.Option(
            "--from-record",
            metavar="PATH",
            help="Verdicts of the old model on the images, under --from. Without it they are judged again.",
            show_default=False,
        ),
    ] = None,
    old_constitution: Annotated[
        str | None,
        typer.Option(
            "--from-constitution",
            metavar="FILE",
            help="The constitution of --from, if it is another.",
            show_default=False,
        ),
    ] = None,
    fps: sourcing.Fps = 1.0,
    max_frames: sourcing.MaxFrames = 32,
    max_image_pixels: sourcing.MaxImagePixels = sourcing.MAX_IMAGE_PIXELS,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace --out if it is there.")] = False,
    batch_size: model_choice.BatchSize = 16,
    allow_private_hosts: sourcing.AllowPrivateHosts = False,
    strict: Annotated[
        bool, typer.Option("--strict", help="Exit with 1 where a bound is not proved for some rule.")
    ] = False,
    *,
    opening: ModelOptions,
) -> None:
    """Fit a calibration to your own images, with or without labels.

    Without labels it takes off what the model would say without looking. With labels it also finds
    thresholds for each rule whose miss rate is bounded with 95% confidence. With --from it takes over the
    thresholds of another model, by the scores of both on the same images, without labels and without a
    bound. Use it with: jurat judge --calibration FILE.
    """
    from jurat.constitution import load_constitution
    from jurat.judge import Judge
    from jurat.judge.calibrate.calibration import load_calibration
    from jurat.judge.calibrate.fit import fit
    from jurat.judge.calibrate.transfer import check_transferable, recorded_scores, transfer
    from jurat.media import Sampling
    from jurat.sources import PassedOver, SourceOptions, find_items

    check_free(out, overwrite=overwrite)
    _check_from(old, labels, {"--from-record": old_record, "--from-constitution": old_constitution})
    require("jurat calibrate", "local", "scipy")
    loaded = load_constitution(constitution)
    passed_over = PassedOver()
    options = SourceOptions(allow_private_hosts=allow_private_hosts)
    found = list(find_items([str(images)], options=options, passed_over=passed_over))
    known = None
    if labels is not None:
        names = label_options.names_of(loaded, rename, ignore_label)
        known, found = _labelled(images, labels, names, found)

    def judge(name: str, law: Constitution, calibration: Path | None = None) -> Judge:
        return Judge(
            law,
            opening.spec(name),
            preset,
            calibration=calibration,
            batch_size=batch_size,
            without=("relevance", "regions", "crop", "points"),
            sampling=Sampling(fps, max_frames, max_image_pixels),
        )

    if old is None:
        with _watched(found, "asking") as items:
            fitted = fit(
                judge(model, loaded), items, known, max_miss=max_miss, max_false_alarm=max_false_alarm
            )
    else:
        calibration = load_calibration(old)
        before = loaded if old_constitution is None else load_constitution(old_constitution)
        check_transferable(calibration, before)
        if old_record is not None:
            scores = recorded_scores(old_record, calibration)
        else:
            scores = _judged_again(judge(calibration.model.rpartition("@")[0], before, old), found)
        with _watched(found, "judging by the new model", times=2) as items:
            fitted = transfer(calibration, scores, judge(model, loaded), items, constitution=before)
    fitted.calibration.save(out)
    for line in passed_over.lines():
        typer.echo(f"jurat: {line}", err=True)
    _report(Console(highlight=False), fitted, out)
    bounds = fitted.calibration.rules.values()
    proved = fitted.calibration.transferred is None
    if strict and not (proved and bounds and all(bound.keep_below is not None for bound in bounds)):
        typer.echo("jurat: --strict: not every rule has a proved bound.", err=True)
        raise typer.Exit(UNPROVED)


def _check_from(old: Path | None, labels: Path | None, others: dict[str, Path | str | None]) -> None:
    """Refuses options that do not go together, before a model is opened."""
    if old is not None and labels is not None:
        raise JuratError(
            "--from transfers thresholds without labels, and --labels fits them.",
            hint="Leave out --from: with enough labels the new model's own thresholds have a bound.",
        )
    for name, given in others.items():
        if old is None and given is not None:
            raise JuratError(f"{name} goes with --from, which is missing.")


def _labelled(
    images: Path, labels: Path, names: LabelNames, items: Sequence[Item]
) -> tuple[dict[str, frozenset[str]], list[Item]]:
    """The rules that each item with labels breaks, by the item's id, and the items to fit on.

    Says on standard error which labels were not used: rows that could not be read, labels of what is not
    among `items`, and those of items that lack a majority on some rule, which are not fitted on.

    Raises:
        JuratError: as `read_ratings`, or no labels are left.
    """
    from jurat.bench.labelled.labelled_images import read_ratings, told
    from jurat.bench.labelled.truth import votes_of

    ratings, by_file = read_ratings(images, labels, names)
    truths = {path.resolve(): votes_of(rated).truth for path, rated in by_file.values()}
    ids = {Path(item.uri).resolve(): item.id for item in items}
    vague = {ids[path] for path in truths.keys() & ids.keys() if len(truths[path]) < len(names.rules)}
    lacking = [name for name, (path, _) in by_file.items() if path.resolve() not in ids]
    unused = [
        *map(told, ratings.skipped),
        *(f"{name} is not among the images in {images}" for name in lacking),
        *(f"{item} has no label on some rule, or as many for as against" for item in sorted(vague)),
    ]
    for note in ratings.notes:
        typer.echo(f"jurat: {printable(note)}", err=True)
    if ratings.unread:
        typer.echo(f"jurat: columns that were not read: {printable(', '.join(ratings.unread))}", err=True)
    for line in unused[:_SHOWN]:
        typer.echo(f"jurat: not used: {printable(line)}", err=True)
    if len(unused) > _SHOWN:
        typer.echo(f"jurat: {len(unused):,} labels were not used in all.", err=True)
    known = {
        ids[path]: frozenset(rule for rule, broken in truth.items() if broken)
        for path, truth in truths.items()
        if path in ids and ids[path] not in vague
    }
    if not known:
        raise JuratError(
            f"{labels}: no image has labels that can be fitted on.",
            hint="An image needs a label of each rule. Without --labels the debiasing alone is fitted.",
        )
    return known, [item for item in items if item.id not in vague]


class _Watched:
    """Items that are counted as they are taken, each time that they are."""

    def __init__(self, items: Sequence[Item], advance: Callable[[], None]) -> None:
        self._items, self._advance = items, advance

    def __iter__(self) -> Iterator[Item]:
        for item in self._items:
            yield item
            self._advance()


@contextmanager
def _watched(items: Sequence[Item], doing: str, times: int = 1) -> Generator[_Watched]:
    console = Console(stderr=True)
    with progress(console, lambda: times * len(items), shown=True, doing=doing) as advance:
        yield _Watched(items, advance)


def _judged_again(judge: Judge, items: Sequence[Item]) -> RuleScores:
    """The scores that the old model gives; it is closed before the new one is opened."""
    from jurat.judge.calibrate.transfer import judged_scores

    try:
        with _watched(items, "judging by the old model") as watched:
            return judged_scores(judge, watched)
    finally:
        judge.model.close()


def _report(console: Console, fitted: Fit, out: Path) -> None:
    calibration = fitted.calibration
    left = f", {fitted.failed:,} left out" if fitted.failed else ""
    console.print(f"{counted(calibration.images, 'image')} of {printable(calibration.model)}{left}")
    clean = calibration.clean
    on = "" if clean is None else f", on {counted(clean, 'image')} not labelled as violations"
    console.print(f"debiasing: {calibration.debias:.2f} of the language prior{on}")
    moved = {text: b for text, b in calibration.shifts.items() if abs(b) >= 0.5}
    for text, shift in sorted(moved.items(), key=lambda pair: -abs(pair[1])):
        console.print(Text(f"  {shift:+.1f} in log-odds taken off {printable(text)}", "dim"))
    if calibration.transferred is not None:
        _report_transfer(console, calibration, calibration.transferred)
    elif calibration.rules:
        console.print(f"temperature: {calibration.temperature:.2f}")
        console.print(_bounds(fitted))
        _needed(console, fitted)
    if fitted.frames:
        console.print(_frames(fitted))
    for warning in fitted.warnings:
        console.print(Text(printable(warning), "yellow"), soft_wrap=True)
    console.print(Text(f"{out} written. To use it: jurat judge --calibration {out}"), soft_wrap=True)


def _report_transfer(console: Console, calibration: Calibration, found: Transfer) -> None:
    """The transferred thresholds, and that nothing is proved of them."""
    from jurat.judge.calibrate.calibration import UNBOUNDED
    from jurat.judge.calibrate.fit import MAX_MISS, fewest

    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="dim")
    table.add_column("rule")
    table.add_column("threshold")
    for name in ("old", "new", "95% by images", "decided: old", "new", "both"):
        table.add_column(name, justify="right")
    for side, matches in (("keep_below", found.keep_below), ("break_above", found.break_above)):
        for rule, match in matches.items():
            value, (low, high) = getattr(calibration.rules[rule], side), match.interval
            numbers = (f"{match.old:.3g}", f"{value:.3g}", f"{low:.3g} to {high:.3g}")
            counts = (f"{count:,}" for count in (match.decided, match.decided_now, match.both))
            table.add_row(Text(printable(rule)), side, *numbers, *counts)
    console.print(table)
    console.print(
        Text(
            f"{UNBOUNDED} They decide as many of {found.images:,} images as those of "
            f"{printable(found.model)} did; whether the same ones, the last column says. "
            f"A bound of {MAX_MISS:.0%} takes {fewest(MAX_MISS)} labelled violations of a rule: "
            "jurat calibrate --labels FILE.",
            "yellow",
        ),
        soft_wrap=True,
    )
    for name, why in found.left_out.items():
        console.print(Text(f"Not transferred: {printable(name)}: {why}.", "yellow"), soft_wrap=True)


def _bounds(fitted: Fit) -> Table:
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="dim")
    table.add_column("rule")
    for name in ("violations", "others", "keep below", "break above", "decided alone"):
        table.add_column(name, justify="right")
    for name, bounds in fitted.calibration.rules.items():
        table.add_row(
            Text(printable(name)),
            f"{bounds.violations:,}",
            f"{bounds.others:,}",
            "-" if bounds.keep_below is None else f"{bounds.keep_below:.3f}",
            "-" if bounds.break_above is None else f"{bounds.break_above:.3f}",
            f"{fitted.decided[name]:.0%}",
        )
    return table


def _frames(fitted: Fit) -> Table:
    """In how many frames of a video rules have to be broken, as far as labelled videos prove it."""
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="dim")
    table.add_column("rule, in videos")
    for name in ("violations", "others", "frames needed of 32", "missed"):
        table.add_column(name, justify="right")
    for name, fit in fitted.frames.items():
        needed = "not proved" if fit.alarm is None else str(fit.needed(32))
        missed = "-" if not fit.violations else f"{fit.missed / fit.violations:.0%}"
        table.add_row(Text(printable(name)), f"{fit.violations:,}", f"{fit.others:,}", needed, missed)
    return table


def _needed(console: Console, fitted: Fit) -> None:
    """Says what was proved, and what it would take to prove the rest."""
    from jurat.judge.calibrate.fit import fewest

    calibration = fitted.calibration
    assert calibration.max_miss is not None and calibration.max_false_alarm is not None
    console.print(
        f"With 95% confidence at most {calibration.max_miss:.1%} of a rule's violations lie below "
        f"`keep below`, and at most {calibration.max_false_alarm:.1%} of other images above `break above`.",
        soft_wrap=True,
    )
    need = fewest(calibration.max_miss)
    short = [name for name, bounds in calibration.rules.items() if bounds.keep_below is None]
    if short:
        console.print(
            Text(
                f"Not proved for {', '.join(map(printable, short))}: it takes {need} labelled violations "
                "of a rule, and more if some score low. The preset's thresholds stay there.",
                "yellow",
            ),
            soft_wrap=True,
        )
