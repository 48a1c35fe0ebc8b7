"""Someone's own labelled images as items of the bench."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from jurat.bench.pictogram.items import BenchItem
from jurat.content import ImageError
from jurat.judge.calibrate.labels import read_labels
from jurat.media import decode
from jurat.sources import read_file

if TYPE_CHECKING:
    from jurat.constitution import Constitution

SPLIT = "labelled"


def read_labelled(images: Path, labels: Path, law: Constitution) -> list[BenchItem]:
    """One item a line of the labels; every rule that is not named for an image is taken to be kept by it.

    Raises what `read_labels` raises.
    """
    return [
        BenchItem(
            label.file,
            SPLIT,
            "",
            number,
            "broken" if label.broken else "clear",
            "",
            label.broken,
            None,
            label.path,
            unreadable=_unreadable(label.path),
        )
        for number, label in enumerate(read_labels(images, labels, law))
    ]


def _unreadable(path: Path) -> str | None:
    try:
        decode(read_file(path))
    except ImageError as error:
        return error.message
    return None
