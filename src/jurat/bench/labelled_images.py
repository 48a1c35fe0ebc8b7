"""Reads a user's labelled images as bench items."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from hashlib import sha256
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


@dataclass(frozen=True)
class LabelledImages:
    """Labelled images with the constitution that they are judged under."""

    constitution: Constitution
    items: Sequence[BenchItem]

    @cached_property
    def digest(self) -> str:
        """Digest of the files, in order, without labels, since no prediction depends on them."""
        found = sha256()
        for item in self.items:
            found.update(f"{item.id}\n{item.unreadable}\n".encode("utf-8", "surrogateescape"))
            if item.unreadable is None and isinstance(item.picture, Path):
                found.update(sha256(item.picture.read_bytes()).digest())
        return found.hexdigest()


def read_labelled(images: Path, labels: Path, constitution: Constitution) -> LabelledImages:
    """One item a line of the labels; every rule that is not named for an image is taken to be kept by it.

    Raises what `read_labels` raises.
    """
    items = [
        BenchItem(
            id=label.file,
            split=SPLIT,
            rule="",
            pair=number,
            want="broken" if label.broken else "clear",
            level="",
            broken=label.broken,
            facts=None,
            picture=label.path,
            unreadable=_unreadable(label.path),
        )
        for number, label in enumerate(read_labels(images, labels, constitution))
    ]
    return LabelledImages(constitution, items)


def _unreadable(path: Path) -> str | None:
    try:
        decode(read_file(path))
    except ImageError as error:
        return error.message
    return None
