"""Someone's own labelled images as items of the bench.

Labels are a CSV file with a header and two columns: `file`, relative to the folder of images, and
`broken`, the ids of the rules that the image breaks, separated by spaces or semicolons, empty for none.
"""

from __future__ import annotations

import csv
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from jurat.bench.pictogram.items import BenchItem
from jurat.errors import JuratError

if TYPE_CHECKING:
    from jurat.constitution import Constitution

SPLIT = "labelled"


def read_labelled(images: Path, labels: Path, law: Constitution) -> list[BenchItem]:
    """One item a line; every rule that is not named for an image is taken to be kept by it.

    Raises:
        JuratError: a column is missing, a file is not there, is listed twice or leaves the folder, or a
            rule is not in the constitution; the message names the line.
    """
    try:
        with labels.open(newline="", encoding="utf-8-sig") as file:
            items = list(_read(images, labels, csv.DictReader(file), frozenset(r.id for r in law.rules)))
    except OSError as problem:
        raise JuratError(f"{labels}: cannot be read ({problem.strerror}).") from None
    except (UnicodeDecodeError, csv.Error) as problem:
        raise JuratError(f"{labels}: is not a CSV file in UTF-8 ({problem}).") from None
    if not items:
        raise JuratError(f"{labels}: lists no image.")
    return items


def _read(
    images: Path, labels: Path, rows: csv.DictReader[str], known: frozenset[str]
) -> Iterator[BenchItem]:
    missing = {"file", "broken"} - set(rows.fieldnames or ())
    if missing:
        raise JuratError(
            f"{labels}:1: there is no column {', '.join(sorted(missing))}.",
            hint="The header is: file,broken",
        )
    seen: set[str] = set()
    root = images.resolve()
    for number, row in enumerate(rows):
        where = f"{labels}:{rows.line_num}"
        name = (row["file"] or "").strip()
        broken = frozenset((row["broken"] or "").replace(";", " ").split())
        if name in seen:
            raise JuratError(f"{where}: {name} is listed twice.")
        seen.add(name)
        if unknown := sorted(broken - known):
            raise JuratError(f"{where}: {unknown[0]!r} is not a rule of the constitution.")
        path = (root / name).resolve()
        if not name or not path.is_relative_to(root):
            raise JuratError(f"{where}: {name!r} is not a file of {images}.")
        if not path.is_file():
            raise JuratError(f"{where}: {images / name} is not there.")
        want = "broken" if broken else "clear"
        yield BenchItem(name, SPLIT, "", number, want, "", broken, None, path)
