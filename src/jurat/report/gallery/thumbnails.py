"""Small copies of images: one still frame each, also of what moves."""

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
from jurat.media.decoding import still
from jurat.sources.reopen import Openers

LONGEST = 480
"""Most pixels of a thumbnail's longer side; smaller images are not enlarged."""
MAX_BYTES = 256 * 2**20
"""Larger files are not read."""


@dataclass(frozen=True)
class Picture:
    """Which image a row shows, and which frame of it."""

    uri: str
    sha256: str | None
    """Digest of the file; None for an item that could not be read."""
    id: str = ""
    """Another name of the file, relative to the folder that it was found from."""
    frame: int = 0
    time: float | None = None
    """Seconds into a video; goes before `frame`."""
    rendering: str | None = None
    """How a translucent image was flattened: "over black"."""
    item_uris: tuple[str, ...] = ()
    """URIs of all images of an item of several: a table opens all of them or none."""

    @property
    def uris(self) -> tuple[str, ...]:
        """The URIs to look for in tables and archives."""
        return self.item_uris or (self.uri,)


@dataclass(frozen=True)
class Thumbnail:
    """A small copy of an image, or the reason why there is none."""

    data: bytes | None
    """A WebP image."""
    width: int = 0
    height: int = 0
    missing: str = ""
    """One line for a person; empty where there is an image."""

    @property
    def url(self) -> str | None:
        """The image as a `data:` URL."""
        if self.data is None:
            return None
        return "data:image/webp;base64," + base64.b64encode(self.data).decode()


def thumbnail(picture: Picture, root: Path | None = None, inside: Openers | None = None) -> Thumbnail:
    """The thumbnail of a picture. Never raises, and never opens a network connection.

    The file is found at its URI, or by its id under `root`, or in a table or archive that `inside` opens
    (`jurat.sources.reopen`). It is shown only if its SHA-256 is the recorded one: a record may come from
    anywhere, and must not bring other files of this machine into a page.
    """
    if picture.sha256 is None:
        return Thumbnail(None, missing="This item could not be read when it was judged.")
    readers: list[Callable[[], bytes]]
    if inside and picture.uri in inside:
        readers = [inside[picture.uri]]
    else:
        readers = [partial(_read, path) for path in _places(picture, root) if isfile(path)]
    if not readers:
        return Thumbnail(None, missing="The image is not where it was when it was judged.")
    for read in readers:
        try:
            if hashlib.sha256(data := read()).hexdigest() == picture.sha256:
                return _small(data, picture)
        except (OSError, JuratError) as error:
            return Thumbnail(None, missing=f"The image cannot be shown: {error}")
    return Thumbnail(None, missing="The file has changed since it was judged.")


def _read(path: Path) -> bytes:
    if path.stat().st_size > MAX_BYTES:
        raise ImageError(f"it has more than {MAX_BYTES // 2**20} MiB")
    return path.read_bytes()


def _places(picture: Picture, root: Path | None) -> list[Path]:
    names = [name for name in (picture.uri, picture.id) if name and "\0" not in name]
    if root is not None:
        relative = [root / name for name in names if not Path(name).is_absolute()]
        return relative + [root / Path(name).name for name in names]
    return [Path(name) for name in (each.removeprefix("file://") for each in names) if "://" not in name]


def _small(data: bytes, picture: Picture) -> Thumbnail:
    image = still(data, picture.frame, picture.rendering, picture.time, LONGEST)
    out = io.BytesIO()
    image.save(out, "WEBP", quality=78, method=4)
    return Thumbnail(out.getvalue(), *image.size)
