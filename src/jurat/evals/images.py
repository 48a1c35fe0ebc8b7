"""Images in Inspect's messages: data URIs with the bytes of a file."""

from __future__ import annotations

import base64
import binascii
import io

from jurat.benchmarks.protocol import single_frame
from jurat.content import ImageError, LazyImage
from jurat.media.formats import format_of

_MIME = {"PNG": "image/png", "JPEG": "image/jpeg", "GIF": "image/gif", "WEBP": "image/webp"}
"""What every provider takes; other formats are sent as PNG."""
_ANIMATED = ("GIF", "WEBP")
_START = "data:"
REMOVED = "<base64-data-removed>"
"""Stands for the image in a log that was written without images."""


def data_uri(data: bytes) -> str:
    """The file as a data URI. Formats that few providers take (BMP, TIFF, AVIF) become PNG.

    Raises:
        ImageError: it is not an image of a known format, or an animation, of which providers would show the
            first frame only.
    """
    kind = format_of(data).name
    mime = _MIME.get(kind)
    still = single_frame(data) if mime is None or kind in _ANIMATED else None
    if still is not None and mime is None:
        out = io.BytesIO()
        still.save(out, "PNG")
        data, mime = out.getvalue(), "image/png"
    return f"{_START}{mime};base64,{base64.b64encode(data).decode('ascii')}"


def bytes_of(uri: str) -> bytes:
    """The bytes in a data URI. Raises ImageError where it is none."""
    if uri == REMOVED:
        raise ImageError("the log was written without its images")
    header, comma, body = uri.partition(",")
    if not header.startswith(_START) or not comma or not header.endswith(";base64"):
        raise ImageError(f"it is not a data URI with base64: {header[:60]!r}")
    try:
        return base64.b64decode(body, validate=True)
    except (binascii.Error, ValueError) as error:
        raise ImageError("its data URI holds invalid base64") from error


def lazy(uri: str, place: str) -> LazyImage:
    """The image of a data URI, decoded when it is needed; `place` names it."""
    return LazyImage(place, lambda: bytes_of(uri))
