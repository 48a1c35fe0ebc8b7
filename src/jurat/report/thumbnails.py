"""Small copies of judged images: a still frame each, whatever moves."""

from __future__ import annotations

import base64
import hashlib
import io
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from os.path import isfile
from pathlib import Path

from jurat.content import ImageError
from jurat.errors import JuratError
from jurat.judge.verdict import Part, Verdict
from jurat.media.decoding import still
from jurat.sources.reopen import Openers

LONGEST = 480
"""Pixels of a thumbnail's longer side, at most; smaller images are kept as they are."""

MAX_BYTES = 256 * 2**20
"""Larger files are not read for a thumbnail."""


@dataclass(frozen=True)
class Thumbnail:
    """A small copy of the frame that a verdict is about, or why there is none."""

    data: bytes | None
    """A WebP image."""
    width: int = 0
    height: int = 0
    missing: str = ""
    """One line for a person; empty where there is an image."""

    @property
    def url(self) -> str | None:
        """As text that a page can hold: a `data:` URL."""
        if self.data is None:
            return None
        return "data:image/webp;base64," + base64.b64encode(self.data).decode()


def thumbnail(verdict: Verdict, root: Path | None = None, inside: Openers | None = None) -> Thumbnail:
    """The thumbnail of what was judged. Never raises, never leaves this machine.

    The file is found at the record's uri, or by its id under `root`, or as `inside` tells
    (`jurat.sources.reopen`). It is shown only
    if its SHA-256 is the record's: a record may come from anywhere, and must not bring other files of this
    machine into a page.
    """
    if verdict.sha256 is None:
        return Thumbnail(None, missing="This item could not be read when it was judged.")
    return _thumbnail(*_alone(verdict), part_shown(verdict), root, inside)


def _alone(verdict: Verdict) -> tuple[Verdict, int]:
    """What a verdict says of the image that it is about, and which frame of that image is shown."""
    if not verdict.images:
        return verdict, verdict.frame
    shown = verdict.images[min(verdict.frame, len(verdict.images) - 1)]
    update = {"uri": shown.uri, "id": "", "sha256": shown.sha256, "images": ()}
    part = part_shown(verdict)
    return verdict.model_copy(update=update), part.frame or 0 if part else 0


def _thumbnail(
    verdict: Verdict, frame: int, part: Part | None, root: Path | None, inside: Openers | None
) -> Thumbnail:
    readers: list[Callable[[], bytes]]
    if inside and verdict.uri in inside:
        readers = [inside[verdict.uri]]
    else:
        readers = [partial(_read, path) for path in _places(verdict, root) if isfile(path)]
    if not readers:
        return Thumbnail(None, missing="The image is not where it was when it was judged.")
    for read in readers:
        try:
            if hashlib.sha256(data := read()).hexdigest() == verdict.sha256:
                return _small(data, frame, part)
        except (OSError, JuratError) as error:
            return Thumbnail(None, missing=f"The image cannot be shown: {error}")
    return Thumbnail(None, missing="The file has changed since it was judged.")


def uris_of(verdict: Verdict) -> tuple[str, ...]:
    """Where what was judged lay: of an item of several images, each of them."""
    return tuple(image.uri for image in verdict.images) or (verdict.uri,)


def _read(path: Path) -> bytes:
    if path.stat().st_size > MAX_BYTES:
        raise ImageError(f"it has more than {MAX_BYTES // 2**20} MiB")
    return path.read_bytes()


def _places(verdict: Verdict, root: Path | None) -> list[Path]:
    names = [name for name in (verdict.uri, verdict.id) if name and "\0" not in name]
    if root is None:
        return [
            Path(name.removeprefix("file://")) for name in names if "://" not in name.removeprefix("file://")
        ]
    return [root / name for name in names if not Path(name).is_absolute()] + [
        root / Path(name).name for name in names
    ]


def _small(data: bytes, frame: int, part: Part | None) -> Thumbnail:
    rendering, time = (None, None) if part is None else (part.rendering, part.time)
    image = still(data, frame, rendering, time, LONGEST)
    out = io.BytesIO()
    image.save(out, "WEBP", quality=78, method=4)
    return Thumbnail(out.getvalue(), *image.size)


def part_shown(verdict: Verdict) -> Part | None:
    """The part that a verdict is about: of those at its frame the worst."""
    parts = [part for rule in verdict.rules for part in rule.parts if part.index == verdict.frame]
    worst = {"broken": 2, "undecided": 1, "kept": 0}
    return max(parts, key=lambda part: (worst[part.outcome], part.score or 0.0), default=None)
