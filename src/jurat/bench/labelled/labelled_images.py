"""A user's labelled images with the constitutions that they are judged under."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING

from jurat.bench.labelled.exports import (
    is_label_studio,
    read_class_folders,
    read_cvat,
    read_label_studio,
)
from jurat.bench.labelled.image_files import ImageFiles, NotFound
from jurat.bench.labelled.layouts import read_table
from jurat.bench.labelled.ratings import LabelNames, Rating, Ratings, Skipped
from jurat.bench.labelled.truth import ImageVotes, votes_of
from jurat.bench.pictogram.items import BenchItem
from jurat.content import ImageError
from jurat.errors import JuratError
from jurat.media import decode
from jurat.metrics.row_files import read_rows
from jurat.sources import read_file
from jurat.text import counted

if TYPE_CHECKING:
    from jurat.constitution import Constitution

UNNAMED = "labelled"
"""Name of a constitution that was given without one."""


@dataclass(frozen=True)
class LabelledImages:
    """Images with labels, in the order of their names."""

    constitutions: Mapping[str, Constitution]
    """Constitutions by name; all have the same rule ids."""
    items: Sequence[BenchItem]
    """`broken` holds the rules that most annotators see broken; `pair` numbers groups of equal files."""
    votes: Sequence[ImageVotes] = ()
    """Votes of the annotators on each item, in the order of `items`."""
    read: Ratings = field(default_factory=lambda: Ratings(""))
    """How the labels were read, and what was skipped."""

    @property
    def rules(self) -> list[str]:
        """Ids of the rules, as the first constitution has them."""
        return [rule.id for rule in next(iter(self.constitutions.values())).rules]

    @cached_property
    def rated(self) -> list[str]:
        """Ids of the rules with at least one labelled image; no other rule is measured."""
        named = {rule for votes in self.votes for rule in votes.truth}
        return [rule for rule in self.rules if rule in named]

    @cached_property
    def digest(self) -> str:
        """SHA-256 of the names and contents of the files, in order. Labels are left out, since most
        predictions do not depend on them."""
        found = sha256()
        for item in self.items:
            found.update(f"{item.id}\n{item.unreadable}\n".encode("utf-8", "surrogateescape"))
            if item.unreadable is None and isinstance(item.picture, Path):
                found.update(sha256(item.picture.read_bytes()).digest())
        return found.hexdigest()

    @cached_property
    def labels_digest(self) -> str:
        """SHA-256 of the labels, for predictions of methods that are fitted on them."""
        lines = (
            f"{item.id}\n{sorted(votes.truth.items())}\n"
            for item, votes in zip(self.items, self.votes, strict=True)
        )
        return sha256("".join(lines).encode("utf-8", "surrogateescape")).hexdigest()

    def complete(self, item: BenchItem) -> bool:
        """Whether every rule of an item has a label."""
        return len(self._truth[item.id]) == len(self.rules)

    @cached_property
    def _truth(self) -> dict[str, dict[str, bool]]:
        return {item.id: votes.truth for item, votes in zip(self.items, self.votes, strict=True)}


def read_labelled(
    images: Path,
    labels: Path | None,
    constitution: Constitution | Mapping[str, Constitution],
    *,
    rename: Mapping[str, str] | None = None,
    ignore: Collection[str] = (),
) -> LabelledImages:
    """Reads the labels and finds the images.

    Args:
        images: the folder that holds the images.
        labels: a table (CSV, TSV, JSONL, JSON, Parquet), a JSON export of Label Studio or an XML export of
            CVAT; None takes the folders in `images` for labels.
        constitution: one, or several by name, whose rules have the same ids.
        rename: label -> id of a rule, or "safe".
        ignore: labels that are no rule here.

    Raises:
        JuratError: the file cannot be read, a label is no rule, no image was found, or constitutions differ
            in the ids of their rules. A single row that cannot be used is in `read.skipped`.
    """
    constitutions = constitution if isinstance(constitution, Mapping) else {UNNAMED: constitution}
    names = LabelNames(_same_rules(constitutions), rename or {}, frozenset(ignore))
    ratings, by_file = read_ratings(images, labels, names)
    items: list[BenchItem] = []
    votes: list[ImageVotes] = []
    groups: dict[str, int] = {}
    for name, (path, rated) in sorted(by_file.items()):
        of_image = votes_of(rated)
        for sentence in of_image.contradictions:
            ratings.skip(rated[0].place, f"{name}: {sentence}; neither counts")
        digest = sha256(path.read_bytes()).hexdigest()
        votes.append(of_image)
        items.append(_item(name, path, of_image, groups.setdefault(digest, len(groups))))
    if len(groups) < len(items):
        ratings.notes.append(
            f"{counted(len(items) - len(groups), 'image')} of {len(items):,} repeat another one, byte for "
            "byte; intervals count equal images as one, and folds keep them together."
        )
    return LabelledImages(constitutions, items, votes, ratings)


def read_ratings(
    images: Path, labels: Path | None, names: LabelNames
) -> tuple[Ratings, dict[str, tuple[Path, list[Rating]]]]:
    """The labels as `read_labelled` reads them, and the file and the ratings of each image, by its name below
    the folder.

    Raises:
        JuratError: the file cannot be read, a label is no rule, or no image was found. A single row that
            cannot be used is in `Ratings.skipped`.
    """
    if not images.is_dir():
        raise JuratError(f"{images} is no folder.", hint="--images is the folder that holds the images.")
    ratings = read_class_folders(images, names) if labels is None else _read(labels, names)
    by_file = _found(images, ratings)
    if not by_file:
        why = f" The first: {told(ratings.skipped[0])}." if ratings.skipped else ""
        raise JuratError(f"{labels or images}: labels no image that is below {images}.{why}")
    return ratings, by_file


def _same_rules(constitutions: Mapping[str, Constitution]) -> list[str]:
    """Ids of the rules. Raises JuratError where two constitutions differ in them."""
    (first, one), *others = constitutions.items()
    ids = [rule.id for rule in one.rules]
    for name, other in others:
        lacking = [rule for rule in ids if rule not in {each.id for each in other.rules}]
        more = [each.id for each in other.rules if each.id not in ids]
        if lacking or more:
            what = f"has no rule {lacking[0]!r}, which" if lacking else f"has a rule {more[0]!r}, unlike"
            raise JuratError(
                f"The constitution {name!r} {what} {first!r}{' has' if lacking else ''}.",
                hint="Two wordings are compared rule by rule: give a rule the same id in both files.",
            )
    return ids


def _read(labels: Path, names: LabelNames) -> Ratings:
    if labels.suffix.lower() == ".xml":
        return read_cvat(labels, names)
    table = read_rows(labels)
    if not table.rows:
        why = f" The first row: {table.problems[0].reason}." if table.problems else ""
        raise JuratError(f"{labels}: lists no image.{why}")
    if is_label_studio(table):
        return read_label_studio(labels, table, names)
    return read_table(labels, table, names)


def _found(images: Path, ratings: Ratings) -> dict[str, tuple[Path, list[Rating]]]:
    files = ImageFiles(images)
    found: dict[str, tuple[Path, list[Rating]]] = {}
    for rating in ratings.ratings:
        try:
            path = files.find(rating.file)
        except NotFound as problem:
            ratings.skip(rating.place, str(problem))
            continue
        found.setdefault(files.name_of(path), (path, []))[1].append(rating)
    return found


def _item(name: str, path: Path, votes: ImageVotes, group: int) -> BenchItem:
    broken = frozenset(rule for rule, said in votes.truth.items() if said)
    return BenchItem(
        id=name,
        split=UNNAMED,
        rule="",
        pair=group,
        want="broken" if broken else "clear",
        level="",
        broken=broken,
        facts=None,
        picture=path,
        unreadable=_unreadable(path),
    )


def _unreadable(path: Path) -> str | None:
    try:
        decode(read_file(path))
    except ImageError as error:
        return error.message
    return None


def told(skipped: Skipped) -> str:
    """A row that gave no label, in one line."""
    return f"{skipped.place}: {skipped.reason}"
