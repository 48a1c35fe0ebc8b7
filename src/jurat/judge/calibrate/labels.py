"""A user's labels: which image breaks which rules, as a CSV file.

It has a header and two columns: `file`, relative to the folder of images, and `broken`, the ids of the
rules that the image breaks, separated by spaces or semicolons, empty for none.
"""

from __future__ import annotations

import csv
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from jurat.errors import JuratError
from jurat.sources.openers import same_names

if TYPE_CHECKING:
    from jurat.constitution import Constitution
    from jurat.content import Item

_NAMED = 3


@dataclass(frozen=True)
class Label:
    """One line of the file."""

    file: str
    """Path of the image as the file of labels gives it."""
    path: Path
    """Resolved path, within the folder of images."""
    broken: frozenset[str]
    """Ids of the rules that it breaks."""


def read_labels(images: Path, labels: Path, constitution: Constitution) -> list[Label]:
    """The labels in the file's order.

    Raises:
        JuratError: a column is missing, a file is not there, is listed twice or leaves the folder, or a
            rule is not in the constitution; the message names the line.
    """
    known = frozenset(rule.id for rule in constitution.rules)
    try:
        with labels.open(newline="", encoding="utf-8-sig") as file:
            rows = list(_read(images, labels, csv.DictReader(file, strict=True), known))
    except OSError as problem:
        raise JuratError(f"{labels}: cannot be read ({problem.strerror}).") from None
    except (UnicodeDecodeError, csv.Error) as problem:
        raise JuratError(f"{labels}: is not a CSV file in UTF-8 ({problem}).") from None
    if not rows:
        raise JuratError(f"{labels}: lists no image.")
    return rows


def labels_by_id(labels: Sequence[Label], items: Iterable[Item], images: Path) -> dict[str, frozenset[str]]:
    """The rules that each labelled item breaks, by the item's id.

    Raises:
        JuratError: a label belongs to no item.
    """
    left = {label.path: label for label in labels}
    broken: dict[str, frozenset[str]] = {}
    for item in items:
        if (label := left.pop(Path(item.uri).resolve(), None)) is not None:
            broken[item.id] = label.broken
    if left:
        named = ", ".join(label.file for label in list(left.values())[:_NAMED])
        more = f" and {len(left) - _NAMED:,} more" if len(left) > _NAMED else ""
        raise JuratError(
            f"Of what is labelled {named}{more} {'is' if len(left) == 1 else 'are'} not among the images"
            f" in {images}.",
            hint="Images are known by their suffixes: .jpg, .png, .webp and so on.",
        )
    return broken


def _read(images: Path, labels: Path, rows: csv.DictReader[str], known: frozenset[str]) -> Iterator[Label]:
    missing = {"file", "broken"} - set(rows.fieldnames or ())
    if missing:
        raise JuratError(
            f"{labels}:1: there is no column {', '.join(sorted(missing))}.",
            hint="The header is: file,broken",
        )
    seen: set[Path] = set()
    root = images.resolve()
    for row in rows:
        where = f"{labels}:{rows.line_num}"
        if None in row or row["broken"] is None:
            raise JuratError(
                f"{where}: {'more' if None in row else 'fewer'} cells than the header has.",
                hint="Several rules are separated by spaces; a file that breaks none has a comma behind it.",
            )
        name = (row["file"] or "").strip()
        broken = frozenset((row["broken"] or "").replace(";", " ").split())
        if unknown := sorted(broken - known):
            raise JuratError(f"{where}: {unknown[0]!r} is not a rule of the constitution.")
        path = (root / name).resolve()
        if not name or not path.is_relative_to(root):
            raise JuratError(f"{where}: {name!r} is not a file of {images}.")
        same = [] if path.is_file() else same_names(str(path))
        if len(same) == 1:  # the name in another Unicode form
            path = Path(same[0])
        if not path.is_file():
            raise JuratError(f"{where}: {images / name} is not there.")
        if path in seen:
            raise JuratError(f"{where}: {name} is listed twice.")
        seen.add(path)
        yield Label(name, path, broken)
