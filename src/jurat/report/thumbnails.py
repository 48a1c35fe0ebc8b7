"""Small copies of judged images: a still frame each, whatever moves."""

from __future__ import annotations

import base64
import hashlib
import io
from dataclasses import dataclass
from pathlib import Path

from PIL import Image

from jurat.errors import JuratError
from jurat.images import decode
from jurat.judge.verdict import Verdict

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


def thumbnail(verdict: Verdict, root: Path | None = None) -> Thumbnail:
    """The thumbnail of what was judged. Never raises, never leaves this machine.

    The file is found at the record's uri, or by its id under `root`. It is shown only if its SHA-256 is the
    record's: a record may come from anywhere, and must not bring other files of this machine into a page.
    """
    if verdict.sha256 is None:
        return Thumbnail(None, missing="This item could not be read when it was judged.")
    found = [path for path in _places(verdict, root) if path.is_file()]
    if not found:
        return Thumbnail(None, missing="The image is not where it was when it was judged.")
    for path in found:
        try:
            if (
                path.stat().st_size <= MAX_BYTES
                and hashlib.sha256(data := path.read_bytes()).hexdigest() == verdict.sha256
            ):
                return _small(data, verdict)
        except (OSError, JuratError) as error:
            return Thumbnail(None, missing=f"The image cannot be shown: {error}")
    return Thumbnail(None, missing="The file has changed since it was judged.")


def _places(verdict: Verdict, root: Path | None) -> list[Path]:
    names = [name for name in (verdict.uri, verdict.id) if name and "\0" not in name]
    if root is None:
        return [
            Path(name.removeprefix("file://")) for name in names if "://" not in name.removeprefix("file://")
        ]
    return [root / name for name in names if not Path(name).is_absolute()] + [
        root / Path(name).name for name in names
    ]


def _small(data: bytes, verdict: Verdict) -> Thumbnail:
    decoded = decode(data)
    frame = decoded.indices.index(verdict.frame) if verdict.frame in decoded.indices else 0
    image = decoded.frames[frame].copy()
    if max(image.size) > LONGEST:
        image.thumbnail((LONGEST, LONGEST), Image.Resampling.LANCZOS, reducing_gap=3)
    out = io.BytesIO()
    image.save(out, "WEBP", quality=78, method=4)
    return Thumbnail(out.getvalue(), *image.size)
