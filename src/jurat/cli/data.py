"""`jurat data`: the evaluation sets, and what a copy of one holds."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from typer.core import TyperCommand, TyperGroup

from jurat.cli.build_set import build
from jurat.cli.plain_output import Json, plain_console, plain_table, plain_text, print_json
from jurat.errors import JuratError
from jurat.files import file_errors, make_folder
from jurat.text import counted, printable, shown

if TYPE_CHECKING:
    from jurat.benchmarks import Card, Sample, SetCopy, SetReport


class _Sets(TyperGroup):
    """`build` is a command of its own; everything else is what `jurat data [NAME] [PATH]` takes."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        return super().parse_args(ctx, args if args[:1] == ["build"] else ["show", *args])


class _ShowContext(typer.Context):
    """Is called as its group: nobody writes `show`."""

    @property
    def command_path(self) -> str:
        return "" if self.parent is None else self.parent.command_path


class _Show(TyperCommand):
    context_class = _ShowContext


app = typer.Typer(cls=_Sets, add_completion=False, rich_markup_mode=None)
app.command("build")(build)

_SHOWN = 10
"""Names of one kind that are printed; `--json` has all."""


@app.command("show", cls=_Show)
def data(
    name: Annotated[
        str | None, typer.Argument(metavar="[NAME]", help="The set. Default: list all.", show_default=False)
    ] = None,
    path: Annotated[
        Path | None,
        typer.Argument(metavar="[PATH]", help="Your copy: a folder or a file.", show_default=False),
    ] = None,
    samples: Annotated[bool, typer.Option("--samples", help="Print the samples, one a line.")] = False,
    extract: Annotated[
        Path | None,
        typer.Option(help="With --samples: write the images there as PNG.", show_default=False),
    ] = None,
    strict: Annotated[
        bool,
        typer.Option("--strict", help="Exit with 1 if something is left out or a count differs."),
    ] = False,
    decode: Annotated[
        bool, typer.Option("--decode", help="Decode every image too, and list those that cannot be.")
    ] = False,
    taxonomy: Annotated[
        bool, typer.Option("--taxonomy", help="Print which hazard the categories of each set are mapped to.")
    ] = False,
    as_json: Json = False,
) -> None:
    """List the evaluation sets; with a NAME, print its card; with a PATH too, check your copy of it.

    To build a set of your own: jurat data build --help

    The layout of a copy is recognised. Nothing is downloaded. Exits with 3 if the copy gives no sample.
    """
    from jurat.benchmarks import open_set

    if extract is not None and not samples:
        raise JuratError("--extract needs --samples.")
    if decode and samples:
        raise JuratError("--decode is for the check of a copy.", hint="--extract DIR decodes with --samples.")
    if taxonomy and (path is not None or samples or strict or decode):
        raise JuratError("--taxonomy prints a table of categories: it takes a NAME at most.")
    if path is None and (samples or strict or decode) and not _is_drawn(name):
        raise JuratError("--samples, --strict and --decode need the PATH of your copy.")
    if taxonomy:
        _print_taxonomy(name, as_json)
    elif name is None:
        _list(as_json)
    elif path is None and not (samples or strict or decode):
        _show_card(name.partition("?")[0], as_json)
    elif samples:
        printed, left_out = _print_samples(open_set(name, path), extract, as_json)
        _exit(printed, bool(strict and left_out))
    else:
        copy = open_set(name, path)
        report = copy.verify(decode_images=decode)
        print_json(copy.facts(report)) if as_json else _print_report(copy, report)
        _exit(report.samples, bool(strict and (report.skipped or report.differences or report.undecodable)))


def _exit(samples: int, has_failed: bool) -> None:
    if samples == 0:
        raise typer.Exit(3)
    if has_failed:
        raise typer.Exit(1)


def _is_drawn(name: str | None) -> bool:
    from jurat.benchmarks import BENCHMARKS

    return name is not None and BENCHMARKS.find(name.partition("?")[0]).card.drawing is not None


def _list(as_json: bool) -> None:
    from jurat.benchmarks import BENCHMARKS

    cards = [entry.card for entry in BENCHMARKS]
    if as_json:
        print_json([card.model_dump(mode="json", exclude_none=True) for card in cards])
        return
    table = plain_table("set", "what it is", "samples", "licence", "where to ask")
    for card in cards:
        count = card.published.samples
        number = "" if count is None else f"{count:,}"
        table.add_row(*map(plain_text, (card.name, card.summary, number, card.licence, card.where)))
    plain_console().print(table)


def _print_taxonomy(name: str | None, as_json: bool) -> None:
    """The categories of one set, or of all, by hazard."""
    from jurat.benchmarks import BENCHMARKS, hazards, taxonomy_table

    cards = [entry.card for entry in ([BENCHMARKS.find(name)] if name else BENCHMARKS)]
    rows = taxonomy_table(cards)
    if as_json:
        print_json({"hazards": hazards(), "sets": [asdict(row) for row in rows]})
        return
    covers = hazards()
    for hazard, group in groupby(rows, key=lambda row: row.hazard):
        about = covers.get(hazard, "categories that span several hazards, or none")
        plain_console().print(plain_text(f"{hazard}: {about}"))
        for row in group:
            plain_console().print(plain_text(f"  {row.set}: {_few(row.categories)}"), soft_wrap=True)


def _few(categories: Mapping[str, int | None]) -> str:
    """Categories with their counts; of many only how many they are."""
    if len(categories) <= _SHOWN:
        named = {"all of it" if name == "*" else name: count for name, count in categories.items()}
        return ", ".join(f"{name} ({count:,})" if count else name for name, count in named.items())
    return f"{len(categories)} categories ({sum(count or 0 for count in categories.values()):,})"


def _show_card(name: str, as_json: bool) -> None:
    from jurat.benchmarks import BENCHMARKS

    card = BENCHMARKS.find(name).card
    if as_json:
        print_json(card.model_dump(mode="json", exclude_none=True))
        return
    console, table = plain_console(), plain_table()
    console.print(plain_text(f"{card.title}: {card.summary}"))
    for heading, lines in _card_lines(card).items():
        if any(lines):
            table.add_row(heading, "\n".join(map(printable, lines)))
    console.print(table)
    _print_counts(f"groups, as published{_mark(card.published.evidence)}", card.published.groups)
    _print_counts(f"categories, as published{_mark(card.published.evidence)}", card.published.categories)


def _card_lines(card: Card) -> dict[str, list[str]]:
    """Heading to lines; what is recalled or a choice of ours is marked as unverified."""
    protocols = [
        f"{name}{_mark(one.evidence)}" + (f": {one.note.strip()}" if one.note else "")
        for name, one in card.protocols.items()
    ]
    results = [
        f"{one.model}, {one.metric}"
        + (f" ({one.group})" if one.group else "")
        + f": {one.value:g}%{_mark(one.evidence)}"
        for one in card.results
    ]
    return {
        "paper": [card.paper or ""],
        "licence": [card.licence],
        "where to ask": [card.where],
        "expected files": card.expects,
        "protocols": protocols,
        "scorers": [", ".join(card.scorers)],
        "metrics": [", ".join(card.metrics)],
        "published results": results,
        "irregular": card.irregular,
    }


def _mark(evidence: str) -> str:
    from jurat.registry import UNVERIFIED

    return " (unverified)" if evidence in UNVERIFIED else ""


def _print_report(copy: SetCopy, report: SetReport) -> None:
    console = plain_console()
    rows, samples = counted(report.rows, "row"), counted(report.samples, "sample")
    clusters = counted(report.clusters, "cluster")
    console.print(plain_text(f"{copy.card.title} (layout {copy.layout}): {samples} in {clusters}, {rows}"))
    _print_counts("categories", report.categories)
    _print_counts("groups", report.groups)
    lines = {
        "left out": [f"{each.source_row}: {each.reason}" for each in report.skipped],
        "missing images": report.missing_images,
        "images that cannot be decoded": [f"{id}: {why}" for id, why in report.undecodable],
        "images that no row uses": report.unused_images,
        "duplicates": [f"{id} is the same as {first}" for id, first in report.duplicates],
        "notes": [f"{note} ({count:,})" for note, count in report.notes.items()],
        "differs from what was published": report.differences,
    }
    for heading, found in lines.items():
        if found:
            console.print()
            console.print(plain_text(f"{heading}: {len(found):,}"))
            for line in found[:_SHOWN]:
                console.print(plain_text(f"  {line}"), soft_wrap=True)
            if len(found) > _SHOWN:
                console.print(plain_text(f"  and {len(found) - _SHOWN:,} more: --json lists them"))


def _print_counts(heading: str, counts: Mapping[str, int]) -> None:
    named = {name: count for name, count in counts.items() if name}
    if named:
        table = plain_table()
        for name, count in named.items():
            table.add_row(plain_text(f"  {name}"), f"{count:,}")
        console = plain_console()
        console.print()
        console.print(plain_text(heading))
        console.print(table)


def _print_samples(copy: SetCopy, extract: Path | None, as_json: bool) -> tuple[int, int]:
    """Prints the samples; returns how many there were, and how many rows and images were left out."""
    from jurat.benchmarks import Skipped

    if extract is not None:
        with file_errors(extract):
            make_folder(extract)
    printed = rows = images = 0
    for each in copy.read():
        if isinstance(each, Skipped):
            rows += 1
            typer.echo(f"left out: {printable(each.source_row)}: {printable(each.reason)}", err=True)
            continue
        facts = sample_facts(each)
        if extract is not None:
            facts["images"] = _extract(each, extract)
            images += facts["images"].count(None)
        text = facts["turns"][-1]["text"] if facts["turns"] else ""
        typer.echo(_json_line(facts) if as_json else f"{printable(each.id)}\t{printable(text)}")
        printed += 1
    for count, what in ((rows, "row"), (images, "image")):
        if count:
            typer.echo(f"{counted(count, what)} left out", err=True)
    return printed, rows + images


def _json_line(facts: Mapping[str, Any]) -> str:
    # The bytes of a file's name may be no text; as escapes they are still JSON.
    return json.dumps(facts, ensure_ascii=False).encode("utf-8", "backslashreplace").decode()


def sample_facts(sample: Sample) -> dict[str, Any]:
    """A sample as a line of JSON holds it; images by their paths, or the archive or table with `#` and the
    member or row."""
    return {
        "id": sample.id,
        "images": [image.uri for image in sample.item.lazy_images()],
        "turns": [{"role": turn.role, "text": turn.text} for turn in sample.item.turns],
        "expected": sample.expected,
        "label": sample.label,
        "group": sample.group,
        "category": sample.category,
        "cluster": sample.cluster,
        "source_row": sample.source_row,
    }


def _extract(sample: Sample, folder: Path) -> list[str | None]:
    """Writes the images of a sample as PNG; their paths, None for one that cannot be decoded."""
    from hashlib import sha256

    from jurat.content import ImageError
    from jurat.media import decode

    paths: list[str | None] = []
    stem = "".join(c if c.isalnum() or c in "-_" else "_" for c in sample.id)[:50]
    mark = sha256(sample.id.encode()).hexdigest()[:8]
    for number, image in enumerate(sample.item.lazy_images(), 1):
        path = folder / f"{stem}-{mark}-{number}.png"
        try:
            frames = decode(image.open()).frames
            with file_errors(path):
                frames[0].save(path)
            if len(frames) > 1:
                typer.echo(f"{shown(image.uri)}: the first of {len(frames)} frames was written", err=True)
        except ImageError as error:
            typer.echo(f"{shown(image.uri)}: {error.message}", err=True)
            paths.append(None)
        else:
            paths.append(str(path))
    return paths
