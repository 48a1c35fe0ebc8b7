"""Which image formats are read, and what a file is that is none of them.

A file is what its first bytes say; its name's suffix decides only whether a folder's file is looked
at. Formats without a signature (TGA), formats that run programs (EPS, WMF) and containers of other
images (ICO, ICNS) are left out on purpose.
"""

from __future__ import annotations

import importlib
import io
import re
from dataclasses import dataclass
from typing import Literal

from PIL import Image, ImageFile

from jurat.images.errors import ImageError, reason
from jurat.images.limits import Limits

# fmt: off
IMAGE_SUFFIXES = frozenset((
    ".png", ".apng", ".jpg", ".jpeg", ".jpe", ".jfif", ".gif", ".webp", ".bmp", ".dib", ".tif", ".tiff",
    ".ppm", ".pgm", ".pbm", ".pnm", ".pfm", ".avif", ".avifs", ".jp2", ".j2k", ".jpx", ".jpf", ".jpc",
    # These cannot be decoded. They become error rows: a picture passed over in silence is worse.
    ".heic", ".heif", ".jxl",
))
# fmt: on
"""Suffixes, in lower case, of the files that are picked up inside folders."""

Frames = Literal["one", "replayed", "pages"]


@dataclass(frozen=True)
class Format:
    """A format that is read."""

    name: str
    """As Pillow knows it."""
    plugin: str
    """Pillow's module for it."""
    frames: Frames
    """`one`: only the main image is judged. `replayed`: an animation, each frame drawn over the one before.
    `pages`: independent images that are reached directly."""


FORMATS = (
    Format("PNG", "PngImagePlugin", "replayed"),
    # The further images of a JPEG (MPO) are previews, gain maps and stereo halves.
    Format("JPEG", "JpegImagePlugin", "one"),
    Format("GIF", "GifImagePlugin", "replayed"),
    Format("WEBP", "WebPImagePlugin", "replayed"),
    Format("BMP", "BmpImagePlugin", "one"),
    Format("TIFF", "TiffImagePlugin", "pages"),
    Format("PPM", "PpmImagePlugin", "one"),
    Format("AVIF", "AvifImagePlugin", "replayed"),
    Format("JPEG2000", "Jpeg2KImagePlugin", "one"),
)

# Each alternative can match in one way only, so that a hostile file costs no time.
_XML_PROLOGUE = rb"(\xef\xbb\xbf|\s|<\?xml[^>]*>|<!--((?!-->).)*-->|<!doctype svg[^>]*>)*"

VIDEO_SUFFIXES = frozenset(
    (
        ".mp4",
        ".m4v",
        ".mov",
        ".3gp",
        ".3g2",
        ".webm",
        ".mkv",
        ".avi",
        ".mpg",
        ".mpeg",
        ".m2ts",
        ".flv",
        ".wmv",
        ".asf",
        ".ogv",
    )
)
"""Of videos; `.ts` and `.mts` are left out, since programs have them too."""
MEDIA_SUFFIXES = IMAGE_SUFFIXES | VIDEO_SUFFIXES
"""Of all that is picked up."""

# What people most often have instead of an image. The first match is named in the error.
_OTHERS: tuple[tuple[bytes, str], ...] = (
    (rb".{4}ftyp(hei|hev|heic|.{8,64}?heic)", "a HEIC image; convert it to JPEG or PNG first"),
    (rb"\xff\x0a|.{4}JXL ", "a JPEG XL image; convert it to JPEG or PNG first"),
    (rb"8BPS", "a Photoshop file"),
    (rb"\0\0[\1\2]\0.\0", "a Windows icon or cursor"),
    (rb"%PDF", "a PDF document; render its pages first"),
    (rb"%!PS|\xc5\xd0\xd3\xc6", "a PostScript file"),
    (_XML_PROLOGUE + rb"<svg", "an SVG drawing; render it first"),
    (rb"(\xef\xbb\xbf)?\s*(<!doctype html|<html|<head|<body)", "an HTML page; was this a failed download?"),
    (rb"(\xef\xbb\xbf)?\s*<\?xml", "an XML document"),
    (rb"version https://git-lfs", "a Git LFS pointer; fetch the file itself with: git lfs pull"),
    (rb"PK[\x03\x05]", "a ZIP archive or an office document"),
    (rb"\x1f\x8b|BZh|\xfd7zXZ|7z\xbc\xaf|Rar!|\x28\xb5\x2f\xfd", "a compressed archive"),
    (rb"\0+\Z", "only zero bytes"),
    (rb"[\t\n\r\x20-\x7e]+\Z", "plain text"),
)
_OTHER_PATTERNS = tuple((re.compile(rb"\A(?:" + p + rb")", re.S | re.I), text) for p, text in _OTHERS)


def open_image(data: bytes, limits: Limits) -> tuple[ImageFile.ImageFile, Format]:
    """Opens an image by its content and reads its header, but decodes no pixels.

    This is `PIL.Image.open` for a fixed set of formats, without its look at the process-wide
    `Image.MAX_IMAGE_PIXELS`: the size in the header is checked against `limits`.

    Raises:
        ImageError: not an image of these formats, one with a broken header, or one that is too large.
    """
    prefix = data[:16]
    broken: list[str] = []
    for format in FORMATS:
        try:
            importlib.import_module(f"PIL.{format.plugin}")  # which registers itself
        except ImportError:  # AVIF came with Pillow 11.3
            continue
        factory, accept = Image.OPEN[format.name]
        accepted = accept(prefix) if accept is not None else False
        if isinstance(accepted, str):
            broken.append(f"{format.name} images need a Pillow that was built with {format.name} support")
        elif accepted:
            if format.name == "WEBP":
                _check_webp(data, limits)
            try:
                image = factory(io.BytesIO(data), "")
            except Exception as error:  # hostile headers raise anything
                broken.append(damaged(format, error, "its header: "))
                continue
            limits.check_size(image.width, image.height)
            return image, format
    raise ImageError(_not_an_image(data, broken))


def damaged(format: Format, error: Exception, where: str = "") -> str:
    """One line on what Pillow said of a broken image, and `where` in it."""
    text = reason(error)
    kind = "truncated" if "truncated" in text.lower() else "damaged"
    if text == "not identified by this driver":  # what Pillow says of all that it makes nothing of
        text = "no pixels, or an unknown kind of them"
    return f"the {format.name} image is {kind}: {where}{text}"


def _check_webp(data: bytes, limits: Limits) -> None:
    # Its decoder allocates the canvas when it is made, before Pillow can tell the size.
    kind, body = data[12:16], data[20:30]
    if len(body) < 10:
        raise ImageError("the WEBP image is truncated: its header is cut off")
    if kind == b"VP8X":
        limits.check_size(int.from_bytes(body[4:7], "little") + 1, int.from_bytes(body[7:10], "little") + 1)
    elif kind == b"VP8L":
        bits = int.from_bytes(body[1:5], "little")
        limits.check_size((bits & 0x3FFF) + 1, (bits >> 14 & 0x3FFF) + 1)
    elif kind == b"VP8 ":
        limits.check_size(
            int.from_bytes(body[6:8], "little") & 0x3FFF, int.from_bytes(body[8:10], "little") & 0x3FFF
        )


def _not_an_image(data: bytes, broken: list[str]) -> str:
    start = data[:512]
    for pattern, what in _OTHER_PATTERNS:
        if pattern.match(start):
            return f"not an image: it looks like {what}"
    return broken[0] if broken else f"not an image of a known format: it begins with {start[:8]!r}"
