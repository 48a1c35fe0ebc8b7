"""The image formats that are read, and names for what files of other formats are.

A file is what its first bytes say; its name's suffix decides only whether a folder's file is looked
at. Formats without a signature (TGA), formats that run programs (EPS, WMF) and containers of other
images (ICO, ICNS) are left out on purpose.
"""

from __future__ import annotations

import importlib
import io
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from PIL import Image, ImageFile

from jurat.content import ImageError
from jurat.media.limits import Limits
from jurat.text import reason

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
    """Pillow's name for it."""
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

# fmt: off
VIDEO_SUFFIXES = frozenset((
    ".mp4", ".m4v", ".mov", ".3gp", ".3g2", ".webm", ".mkv", ".avi", ".mpg", ".mpeg", ".m2ts", ".flv", ".wmv",
    ".asf", ".ogv",
))
# fmt: on
"""Suffixes of videos. `.ts` and `.mts` are left out, since program files have them too."""
MEDIA_SUFFIXES = IMAGE_SUFFIXES | VIDEO_SUFFIXES
"""Suffixes of all files that are picked up inside folders."""

_CONVERT = "convert it to JPEG or PNG first"
_FEW_ZEROS = 64
_MOST_CHUNKS = 100_000

# What people most often have instead of an image. The first match is named in the error.
_OTHERS: tuple[tuple[bytes, str], ...] = (
    (rb".{4}ftyp(hei|hev|heic|.{8,64}?heic)", f"a HEIC image; {_CONVERT}"),
    (rb"\xff\x0a|.{4}JXL ", f"a JPEG XL image; {_CONVERT}"),
    (rb"8BPS", "a Photoshop file"),
    (rb"gimp xcf", "a GIMP file"),
    (rb"#\?(RADIANCE|RGBE)", f"a Radiance HDR image; {_CONVERT}"),
    (rb"\x76\x2f\x31\x01", f"an OpenEXR image; {_CONVERT}"),
    (rb"qoif", f"a QOI image; {_CONVERT}"),
    (rb"DDS ", f"a DirectDraw surface; {_CONVERT}"),
    (rb"\x01\xda[\0\1][\1\2]", f"an SGI image; {_CONVERT}"),
    (rb"\x0a[\0\2-\5][\0\1][\1\2\4\x08]", f"a PCX image; {_CONVERT}"),
    (rb"SIMPLE  =", f"a FITS image; {_CONVERT}"),
    (rb"/\* XPM \*/|#define \w{1,64}_width ", f"an X11 image; {_CONVERT}"),
    (rb"[\x8a\x8b][MJ]NG\r\n\x1a\n", f"an MNG or JNG image; {_CONVERT}"),
    (rb"AT&TFORM", "a DjVu document; render its pages first"),
    (rb"icns", "an icon of macOS"),
    (rb"(.{4}ftypcrx |FUJIFILMCCD-RAW|IIRO|IIU\0|MMOR|FOVb)", f"a camera's raw file; {_CONVERT}"),
    # Its own bytes say little: a kind, no colour map or one, and the bits of a pixel.
    (
        rb".\0[\2\3\x0a\x0b]\0{5}.{8}[\x08\x0f\x10\x18\x20]"
        rb"|.\x01[\x01\x09].{4}[\x0f\x10\x18\x20].{8}[\x08\x10]",
        f"a TGA image; {_CONVERT}",
    ),
    (rb"\0\0[\1\2]\0[^\0]\0", "a Windows icon or cursor"),
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


def format_of(data: bytes) -> Format:
    """The format of an image by its first bytes.

    Raises:
        ImageError: it is none of these formats, or one that this Pillow was built without.
    """
    for format in FORMATS:
        try:
            importlib.import_module(f"PIL.{format.plugin}")  # which registers itself
        except ImportError:  # AVIF came with Pillow 11.3
            continue
        accept = Image.OPEN[format.name][1]
        accepted = accept(data[:16]) if accept is not None else False
        if isinstance(accepted, str):
            raise ImageError(f"{format.name} images need a Pillow that was built with {format.name} support")
        if accepted:
            return format
    raise ImageError(_not_an_image(data) or f"not an image of a known format: it begins with {data[:8]!r}")


def open_image(file: io.BytesIO, format: Format, data: bytes) -> ImageFile.ImageFile:
    """Opens an image and reads its header, but decodes no pixels.

    This is `PIL.Image.open` for one format, without its look at the process-wide `Image.MAX_IMAGE_PIXELS`.

    Args:
        data: the file, to say what else it may be.

    Raises:
        ImageError: its header is broken.
    """
    factory = Image.OPEN[format.name][0]
    try:
        return factory(file, "")
    except Exception as error:  # hostile headers raise anything
        raise ImageError(_not_an_image(data) or damaged(format, error, "its header: ")) from error


def damaged(format: Format, error: Exception, where: str = "") -> str:
    """One line with Pillow's message about a broken image, and `where` in it."""
    text = reason(error)
    kind = "truncated" if "truncated" in text.lower() else "damaged"
    if text == "not identified by this driver":  # what Pillow says of all that it makes nothing of
        text = "no pixels, or an unknown kind of them"
    return f"the {format.name} image is {kind}: {where}{text}"


@dataclass(frozen=True)
class WebP:
    """The header of a WebP file."""

    width: int
    height: int
    animated: bool = False
    metadata: int = 0
    """Bytes of EXIF, XMP and colour profiles."""


def read_webp(data: bytes, limits: Limits) -> WebP:
    """Its header, before its decoder is made, which allocates the canvas at once.

    Raises:
        ImageError: it is too large, cut off, or ends in nothing but zeros.
    """
    kind, body = data[12:16], data[20:30]
    if len(body) < 10:
        raise ImageError("the WEBP image is truncated: its header is cut off")
    size = int.from_bytes(data[4:8], "little") + 8
    check_tail(data[:size], "WEBP")
    found = WebP(1, 1)
    if kind == b"VP8X":
        width, height = (int.from_bytes(body[at : at + 3], "little") + 1 for at in (4, 7))
        metadata = sum(length for kind, length in _riff_chunks(data) if kind in (b"EXIF", b"XMP ", b"ICCP"))
        found = WebP(width, height, bool(body[0] & 2), metadata)
    elif kind == b"VP8L":
        bits = int.from_bytes(body[1:5], "little")
        found = WebP((bits & 0x3FFF) + 1, (bits >> 14 & 0x3FFF) + 1)
    elif kind == b"VP8 ":
        width, height = (int.from_bytes(body[at : at + 2], "little") & 0x3FFF for at in (6, 8))
        found = WebP(width, height)
    limits.check_size(found.width, found.height)
    return found


def _riff_chunks(data: bytes) -> Iterator[tuple[bytes, int]]:
    """The chunks of a RIFF file: their names and how many bytes they have."""
    at = 12
    for _ in range(_MOST_CHUNKS):
        if at + 8 > len(data):
            return
        length = int.from_bytes(data[at + 4 : at + 8], "little")
        yield data[at : at + 4], length
        at += 8 + length + length % 2
    raise ImageError(f"the WEBP image has more chunks than the limit of {_MOST_CHUNKS:,}")


def check_tail(data: bytes, name: str) -> None:
    """Raises ImageError where more than an eighth of compressed data is zeros at the end: a download that was
    not finished. A large image of one colour has a twentieth."""
    zeros = len(data) - len(data.rstrip(b"\0"))
    if zeros > max(_FEW_ZEROS, len(data) // 8):
        raise ImageError(f"the {name} image is truncated: its last {zeros:,} bytes are zeros")


def _not_an_image(data: bytes) -> str | None:
    """The kind of a file that is not an image, if it is recognised."""
    start = data[:512]
    for pattern, what in _OTHER_PATTERNS:
        if pattern.match(start):
            return f"not an image: it looks like {what}"
    return None
