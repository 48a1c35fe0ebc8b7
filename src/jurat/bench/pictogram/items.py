"""One scene of the bench with its truth, and a folder that keeps them as PNG files and a list."""

from __future__ import annotations

import json
from collections.abc import Generator, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from PIL import Image

from jurat.files import lock, make_folder, write_whole
from jurat.judge.item_texts import NO_TEXTS, ItemTexts
from jurat.media import decode
from jurat.pictograms.statements import Facts
from jurat.sources import read_file

if TYPE_CHECKING:
    from jurat.pictograms.pieces import Layout

Purpose = Literal["broken", "near miss", "clear", "borderline"]
LIST = "items.jsonl"


@dataclass(frozen=True)
class BenchItem:
    """A scene, why it was drawn, and what is true of it."""

    id: str
    """split/rule/pair/want."""
    split: str
    rule: str
    """Id of the rule that it was drawn for; empty in `rare`."""
    pair: int
    want: Purpose
    level: str
    broken: frozenset[str]
    """Ids of all rules that it breaks; those of its soft truth are not among them."""
    facts: Facts | None = field(repr=False)
    """What is true of it; None for an image of someone else's."""
    picture: Image.Image | Path = field(repr=False)
    soft: float | None = None
    """How far it breaks `rule`, in [0, 1]; only in `borderline`, else None."""
    companions: int = 0
    """Number of bystanders where habit would not have them; only in `habits`."""
    layout: Layout | None = field(default=None, repr=False, compare=False)
    """What it was drawn from; None for one that was read back, and in `rare`."""
    unreadable: str | None = None
    """Why a user's own image cannot be decoded; None if it can."""
    name: str = ""
    """File name that a judge is told; empty for its own."""
    texts: ItemTexts = NO_TEXTS
    """Caption and conversation that go with the picture."""

    @property
    def image(self) -> Image.Image:
        """The picture as a judge sees it, RGB; of one that moves the first frame.

        Raises ImageError where it cannot be decoded.
        """
        if isinstance(self.picture, Image.Image):
            return self.picture
        return decode(read_file(self.picture)).frames[0]


def write_items(folder: Path, items: Iterable[BenchItem], stamp: dict[str, Any]) -> None:
    """Keeps items in a folder; its list, whose first line is the stamp, is written last."""
    folder.mkdir(parents=True, exist_ok=True)
    lines = [json.dumps(stamp)]
    for i, item in enumerate(items):
        name = f"{i:05d}.png"
        item.image.save(folder / name)
        lines.append(json.dumps(_row(item) | {"file": name}))
    write_whole(folder / LIST, "\n".join(lines) + "\n")


@contextmanager
def drawing(folder: Path) -> Generator[None]:
    """Keeps other processes waiting that want to draw the same."""
    make_folder(folder.parent)
    unlock = lock(folder.with_name(f"{folder.name}.lock"), wait=True)
    try:
        yield
    finally:
        unlock()


def read_items(folder: Path, stamp: dict[str, Any]) -> list[BenchItem] | None:
    """What `write_items` kept; None where there is nothing whole under that stamp."""
    try:
        first, *lines = (folder / LIST).read_text().splitlines()
    except (FileNotFoundError, ValueError):
        return None
    return list(_read(folder, lines)) if json.loads(first) == stamp else None


def _row(item: BenchItem) -> dict[str, Any]:
    plain = ("id", "split", "rule", "pair", "want", "level", "soft", "companions")
    facts = {name: getattr(item.facts, name).tolist() for name in ("kinds", "centres", "areas", "gaps")}
    return {name: getattr(item, name) for name in plain} | {"broken": sorted(item.broken), "facts": facts}


def _read(folder: Path, lines: Iterable[str]) -> Iterator[BenchItem]:
    for line in lines:
        row = json.loads(line)
        facts = Facts(**{name: np.array(values) for name, values in row.pop("facts").items()})
        picture = folder / row.pop("file")
        yield BenchItem(**row | {"broken": frozenset(row["broken"]), "facts": facts, "picture": picture})
