"""A user's copy of an evaluation set: its layout, its samples, its counts beside the published ones."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path
from typing import Any, cast

from pydantic import ValidationError

from jurat.benchmarks.card import Card, Drawing, Published
from jurat.benchmarks.reader import Reader
from jurat.benchmarks.registry import BENCHMARKS, Benchmark
from jurat.benchmarks.sample import Sample, Skipped
from jurat.benchmarks.set_files import SetFiles
from jurat.content import ImageError
from jurat.errors import JuratError
from jurat.media import decode
from jurat.registry import name_and_options
from jurat.text import counted, shown


@dataclass
class SetReport:
    """What a copy holds, and what a run over it would leave out."""

    samples: int = 0
    digest: str = ""
    """SHA-256 of the ids, texts and expectations of all samples, in hexadecimal: equal for copies with the
    same samples, whatever their layout. Images are not read for it."""
    rows: int = 0
    """Rows of the copy: those that gave samples, and those that did not."""
    skipped: list[Skipped] = field(default_factory=list[Skipped])
    categories: Counter[str] = field(default_factory=Counter[str])
    default_samples: int = 0
    """Those that a run takes by default (`Card.default_groups`)."""
    compared_categories: Counter[str] = field(default_factory=Counter[str])
    """Category to the number of samples, among those whose categories the authors count."""
    groups: Counter[str] = field(default_factory=Counter[str])
    clusters: int = 0
    duplicates: list[tuple[str, str]] = field(default_factory=list[tuple[str, str]])
    """Samples with the images, the texts and the expectation of an earlier one: (id, id of the earlier)."""
    missing_images: list[str] = field(default_factory=list[str])
    unused_images: list[str] = field(default_factory=list[str])
    """Images that no row names; none are listed where the set borrows another's images."""
    undecodable: list[tuple[str, str]] = field(default_factory=list[tuple[str, str]])
    """(id of a sample, reason) of images that cannot be decoded; empty unless they were to be decoded."""
    notes: dict[str, int] = field(default_factory=dict[str, int])
    differences: list[str] = field(default_factory=list[str])
    """Where the counts differ from the published ones, a sentence each."""


@dataclass(frozen=True)
class SetCopy:
    """A copy whose layout was recognised."""

    benchmark: Benchmark
    layout: str
    """The name of one of the card's layouts; "drawn" for a set that is drawn."""
    files: SetFiles | None
    drawing: Drawing | None = None
    """What is drawn, for such a set."""

    @property
    def card(self) -> Card:
        return self.benchmark.card

    @property
    def published(self) -> Published:
        """The published counts of its layout."""
        return self.card.published_in(self.layout)

    @property
    def notes(self) -> dict[str, int]:
        """What a user should know of the copy, and how often it was met."""
        return {} if self.files is None else dict(self.files.notes)

    def read(self) -> Iterator[Sample | Skipped]:
        """The samples in the order of the rows, and what is left out.

        Raises:
            JuratError: a file of the copy cannot be read.
        """
        make = self.benchmark.load()
        reader = make(self.drawing, self.card) if self.drawing else make(self.files, self.layout, self.card)
        yield from cast("Reader", reader).read()

    def samples(self, groups: Sequence[str] | None = None) -> Iterator[Sample]:
        """The samples of a run.

        Args:
            groups: those to take. Default: the card's default groups.
        """
        for each in self.read():
            if isinstance(each, Sample):
                taken = self.card.is_default(each.group) if groups is None else each.group in groups
                if taken:
                    yield each

    def verify(self, *, decode_images: bool = False) -> SetReport:
        """Reads every row, and compares the counts with the published ones.

        Args:
            decode_images: also decodes every image.
        """
        report, published = SetReport(), self.published
        rows: set[str] = set()
        clusters: set[str] = set()
        seen: dict[str, str] = {}
        digest = sha256()
        for each in self.read():
            rows.add(each.source_row)
            if isinstance(each, Skipped):
                report.skipped.append(each)
                continue
            report.samples += 1
            digest.update(_text_content(each))
            report.categories[each.category or ""] += 1
            is_default = self.card.is_default(each.group)
            report.default_samples += is_default
            if each.group in published.categories_of if published.categories_of else is_default:
                report.compared_categories[each.category or ""] += 1
            report.groups[each.group or ""] += 1
            clusters.add(each.cluster)
            if decode_images:
                report.undecodable += _undecodable(each)
            first = seen.setdefault(_content(each), each.id)
            if first != each.id:
                report.duplicates.append((each.id, first))
        report.digest = digest.hexdigest()
        report.rows, report.clusters = len(rows), len(clusters)
        for counts in (report.categories, report.groups):
            if set(counts) == {""}:  # the set has none
                counts.clear()
        missing = (each.missing_image for each in report.skipped)
        report.missing_images = list(dict.fromkeys(name for name in missing if name))
        if self.files is not None:
            report.unused_images = (
                [] if self.card.borrows_images else self.files.unused_images(self.card.image_folders)
            )
        report.notes = self.notes
        report.differences = list(_differences(report, self.card, published))
        return report

    def facts(self, report: SetReport) -> dict[str, Any]:
        """A report for JSON."""
        return {
            "set": self.card.name,
            "layout": self.layout,
            "revision": self.files and self.files.revision,
            "digest": report.digest,
            "samples": report.samples,
            "rows": report.rows,
            "skipped": [{"row": each.source_row, "reason": each.reason} for each in report.skipped],
            "missing_images": report.missing_images,
            "unused_images": report.unused_images,
            "duplicates": [{"id": id, "same_as": first} for id, first in report.duplicates],
            "undecodable_images": [{"id": id, "reason": why} for id, why in report.undecodable],
            "categories": dict(report.categories),
            "groups": dict(report.groups),
            "clusters": report.clusters,
            "notes": report.notes,
            "published": self.published.model_dump(exclude_none=True),
            "differences": report.differences,
        }


def open_set(name: str | type[Reader], path: Path | str | None = None) -> SetCopy:
    """A copy of a set; its layout is recognised by the files that it has.

    Args:
        name: a set of `jurat data`, of one that is drawn with options ("pictogram-memes?n=200&seed=3"); or a
            reader of yours with the attribute `card`.
        path: the folder that was downloaded, or a file in it; files below that folder are found. None for a
            set that is drawn.

    Raises:
        JuratError: there is no such set or path, or the copy has no layout of the set.
    """
    options = ""
    if isinstance(name, str):
        name, _, options = name.partition("?")
        benchmark = BENCHMARKS.find(name)
    else:
        benchmark = Benchmark.of(name)
    title = benchmark.card.name
    if (drawing := benchmark.card.drawing) is not None:
        if path is not None:
            raise JuratError(f"The set {title!r} is drawn: it takes no path.")
        return SetCopy(benchmark, "drawn", None, _drawing(title, drawing, options))
    if options:
        raise JuratError(f"The set {title!r} is not drawn: it takes no options ({options}).")
    if path is None:
        hint = f"What it holds and where to ask for it: jurat data {title}"
        raise JuratError(f"The set {title!r} is read from your copy: give its path.", hint=hint)
    files = SetFiles(path)
    fitting = [
        layout
        for layout in benchmark.card.layouts
        if _is_given(files, patterns := benchmark.card.patterns(layout)) and all(map(files.find, patterns))
    ]
    for other in fitting[1:]:
        if files.find(benchmark.card.patterns(other)[0]) == files.find(
            benchmark.card.patterns(fitting[0])[0]
        ):
            continue  # two patterns for the same files
        if set(benchmark.card.patterns(other)) <= set(benchmark.card.patterns(fitting[0])):
            continue  # it is a part of the layout that is read
        files.notes[f"it has the layout {other} too, which was not read; {fitting[0]} was"] = 1
    if fitting:
        return SetCopy(benchmark, fitting[0], files)
    known = "; ".join(
        f"{layout}: {' and '.join(benchmark.card.patterns(layout))}" for layout in benchmark.card.layouts
    )
    raise JuratError(
        f"{shown(str(path))} is no copy of {benchmark.card.title} in a layout that is read.",
        hint=f"Each layout is recognised by a file in the folder or below it: {known}."
        + "".join(f"\n  Note: {note} ({count:,})." for note, count in files.notes.items()),
    )


def _drawing(name: str, default: Drawing, options: str) -> Drawing:
    _, given = name_and_options(f"{name}?{options}")
    try:
        return Drawing.model_validate({**default.model_dump(), **given})
    except ValidationError as error:
        problem = error.errors()[0]
        raise JuratError(
            f"The set {name!r} cannot be drawn with {options!r}: {problem['loc'][0]}: {problem['msg']}.",
            hint=f"Its options are n and seed: {name}?n={default.n}&seed={default.seed}.",
        ) from error


def _is_given(files: SetFiles, patterns: list[str]) -> bool:
    """Whether a layout has the file that the user named, if it was one."""
    return not files.given or any(files.given in files.find(pattern) for pattern in patterns)


def _content(sample: Sample) -> str:
    """Digest of what a sample shows, says and expects."""
    images = [getattr(image, "uri", image) for image in sample.item.found()]
    texts = [turn.text for turn in sample.item.turns]
    return sha256(repr((images, texts, sample.expected, sample.group)).encode()).hexdigest()


def _text_content(sample: Sample) -> bytes:
    texts = [turn.text for turn in sample.item.turns]
    return json.dumps([sample.id, texts, sample.expected]).encode()


def _undecodable(sample: Sample) -> Iterator[tuple[str, str]]:
    try:
        for image in sample.item.lazy_images():
            decode(image.open())
    except ImageError as error:
        yield sample.id, error.message


def _differences(report: SetReport, card: Card, published: Published) -> Iterator[str]:
    if published.samples is not None and report.default_samples != published.samples:
        yield f"{counted(report.default_samples, 'sample')}, not the published {published.samples:,}"
    for what, counts, expected in (
        ("category", report.compared_categories, published.categories),
        ("group", report.groups, published.groups),
    ):
        for name, count in expected.items():
            # A copy may lack parts that no run takes by default: training parts, for example.
            lacks = what == "group" and not counts[name]
            optional = lacks and (published.any_group or not card.is_default(name))
            if counts[name] != count and not optional:
                found = counted(counts[name], "sample")
                yield f"{found} of the {what} {name!r}, not the published {count:,}"
        for name in sorted(counts.keys() - expected.keys() - {""}) if expected else ():
            yield f"{counted(counts[name], 'sample')} of the {what} {name!r}, which was not published"
