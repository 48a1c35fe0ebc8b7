"""Pictures in folders that a run can be resumed in: made by a model, drawn, or the user's own."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from PIL import Image

from jurat.bench.pictogram.items import BenchItem
from jurat.bench.text_to_image.suite import Suite
from jurat.content import ImageError, Item
from jurat.errors import JuratError
from jurat.files import make_folder, written_aside
from jurat.media import decode
from jurat.models import ModelError
from jurat.provenance import commit
from jurat.runs import RowSchema, Run, read_rows
from jurat.runs.arrow import ArrowSchema
from jurat.sources import read_file
from jurat.text import reason

__all__ = [
    "PICTURE_ROWS",
    "CannotResume",
    "Picture",
    "Wanted",
    "bench_items",
    "enlarged",
    "keep_pictures",
    "pictures_digest",
]

FOLDER = "pictures"
"""Folder of the PNG files in that of a run."""


class CannotResume(JuratError):
    """A folder cannot be opened or is not as it was left."""


@dataclass(frozen=True)
class Wanted:
    """A picture that a run needs."""

    set: str
    """A `PromptSet`, or what it shows: "with" the concept, "without" it, "real", "again"."""
    place: int
    """Of its prompt among those of the set; pictures of one place begin from the same noise."""
    search: int = 0
    """Seed of the attack that its prompt is from; 0 where it is from none."""
    seed: int = 0
    """Seed of sampling."""
    prompt: str = ""
    shows: tuple[str, ...] = ()
    """Objects that it has to show, or that are known to be in it."""

    @property
    def id(self) -> str:
        return f"{self.set}-{self.search}-{self.place:03d}-{self.seed}"


@dataclass(frozen=True)
class Picture:
    """What became of it."""

    wanted: Wanted
    file: Path
    sha256: str
    """Of the file; empty where there is none."""
    seconds: float
    """Mean of those that were made together."""
    error: str | None = None
    """Why there is none."""

    @property
    def image(self) -> Image.Image:
        return decode(read_file(self.file)).frames[0]


def _arrow() -> ArrowSchema:
    import pyarrow as pa

    texts = ("id", "uri", "outcome", "error", "set", "prompt", "picture", "sha256")
    return pa.schema(
        [
            *((name, pa.string()) for name in texts),
            *((name, pa.int64()) for name in ("occurrence", "place", "search", "seed")),
            ("shows", pa.list_(pa.string())),
            ("seconds", pa.float64()),
        ]
    )


PICTURE_ROWS = RowSchema(_arrow, error_values={"shows": []})
"""A row a picture; `outcome` is "made" or "error"."""
Make = Callable[[Sequence[Wanted]], Sequence[Image.Image]]


def keep_pictures(
    folder: Path, settings: Mapping[str, Any], wanted: Sequence[Wanted], make: Make, batch: int
) -> tuple[list[Picture], int]:
    """All wanted pictures, those that are not in the folder made now; and how many that were.

    Args:
        settings: all that they depend on beside what is wanted.
        make: makes pictures of one set, search and seed, at places that follow each other. A picture for
            which it raises ModelError or ImageError is recorded with its reason.
        batch: pictures that are made at once, at most.

    Raises:
        CannotResume: the folder holds pictures under other settings, or one of them was changed.
    """
    known = {each.id: each for each in wanted}
    try:
        opened = Run(folder, PICTURE_ROWS, settings)
    except JuratError as error:
        raise CannotResume(error.message, hint="Name another --out, or delete that folder.") from error
    with opened as run:
        pending = [known[item.id] for item in run.pending(Item(id=name) for name in known)]
        for group in _groups(pending, batch):
            for row in _made(run.folder, group, make):
                run.write(row)
        if pending:
            run.note(rows=len(pending), commit=commit())
    rows = {row["id"]: row for row in read_rows(folder)}
    return [_picture(folder, each, rows[each.id]) for each in wanted], len(pending)


def _groups(wanted: Sequence[Wanted], most: int) -> Iterator[list[Wanted]]:
    """Those that can be made in one call."""
    group: list[Wanted] = []
    for each in wanted:
        follows = group and (each.set, each.search, each.seed, each.place) == (
            *(group[-1].set, group[-1].search, group[-1].seed),
            group[-1].place + 1,
        )
        if group and (not follows or len(group) == most):
            yield group
            group = []
        group.append(each)
    if group:
        yield group


def _made(folder: Path, group: Sequence[Wanted], make: Make) -> Iterator[dict[str, Any]]:
    """Rows of pictures, whose files are written first. Where one cannot be made, each is tried alone."""
    begun = time.monotonic()
    try:
        images = make(group)
    except (ModelError, ImageError) as error:
        if len(group) > 1:
            for each in group:
                yield from _made(folder, [each], make)
        else:
            yield _row(group[0]) | {"outcome": "error", "error": reason(error)}
        return
    seconds = (time.monotonic() - begun) / len(group)
    make_folder(folder / FOLDER)
    for each, image in zip(group, images, strict=True):
        file = folder / FOLDER / f"{each.id}.png"
        with written_aside(file) as aside:
            image.save(aside, format="PNG")
        told = {"picture": file.name, "sha256": _sha256(file), "seconds": seconds}
        yield _row(each) | {"outcome": "made", "error": None, **told}


def _row(each: Wanted) -> dict[str, Any]:
    return {"id": each.id, "uri": "", "occurrence": 0, **asdict(each), "shows": list(each.shows)}


def _picture(folder: Path, each: Wanted, row: Mapping[str, Any]) -> Picture:
    if row["outcome"] == PICTURE_ROWS.failed:
        return Picture(each, folder, "", 0.0, row["error"])
    file = folder / FOLDER / row["picture"]
    if not file.is_file() or _sha256(file) != row["sha256"]:
        raise CannotResume(
            f"{file} is gone, or not as it was made.", hint=f"Delete {folder} to make it anew."
        )
    return Picture(each, file, row["sha256"], row["seconds"])


def _sha256(file: Path) -> str:
    with file.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def pictures_digest(pictures: Sequence[Picture]) -> str:
    """12 hex characters that differ where a picture does."""
    lines = [f"{each.wanted.id} {each.sha256}" for each in pictures]
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()[:12]


def bench_items(split: str, pictures: Sequence[Picture], suite: Suite) -> list[BenchItem]:
    """Pictures as the bench judges them: enlarged, and broken rules are those of what they are to show."""
    return [
        BenchItem(
            f"{split}/{each.wanted.id}", split, "", each.wanted.place, "clear", "",
            frozenset(suite.rules[name] for name in each.wanted.shows), None,
            each.file if each.error else enlarged(each.image, suite.shown), unreadable=each.error,
        )
        for each in pictures
    ]  # fmt: skip


def enlarged(image: Image.Image, side: int) -> Image.Image:
    """The picture, enlarged to `side` pixels where its shorter side has fewer."""
    factor = side / min(image.size)
    if factor <= 1:
        return image
    size = (round(factor * image.width), round(factor * image.height))
    return image.resize(size, Image.Resampling.BICUBIC)
