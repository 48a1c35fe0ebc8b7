"""Pictures that tables hold as text: data URLs, base64 and lists of numbers; how they stay out of records."""

from __future__ import annotations

import binascii
import re
from base64 import b64decode
from collections.abc import Sequence
from urllib.parse import unquote_to_bytes

from jurat.content import ImageError

_SHORTEST = 32
"""Characters of base64 that is taken for a picture without saying so."""
_DATA_URL = re.compile(r"data:[^,]{0,200},", re.IGNORECASE)
_BASE64 = re.compile(r"[A-Za-z0-9+/_\-]+={0,2}")
_STARTS = re.compile(
    rb"\x89PNG\r\n\x1a\n|\xff\xd8\xff|GIF8[79]a|RIFF....(?:WEBP|AVI )|BM.{4}\0\0\0\0|II\*\0|MM\0\*"
    rb"|\0\0..(?:ftyp|jP  )|\xff\x0a|\x1aE\xdf\xa3",
    re.DOTALL,
)
"""How pictures and videos begin."""
_IN_TEXT = re.compile(
    # Each can match in one way only, so that a hostile text costs no time.
    r"(?i:data:(?:[\w.+-]{1,40}/[\w.+-]{1,60})?(?:;[\w=.+-]{1,60}){0,3};base64,)[A-Za-z0-9+/_\-=\s\\]{32,}"
    r"|(?<![A-Za-z0-9+/])(?:iVBORw0KGgo|/9j/|R0lGOD|UklGR|Qk[0-3]|SUkq|TU0A|AAAA[A-Za-z0-9+/]{2}Z0eX)"
    r"[A-Za-z0-9+/_\-]{200,}={0,2}"
)
"""A picture somewhere in a text."""
_MARKS = ("iVBORw0KGgo", "/9j/", "R0lGOD", "UklGR", "Qk", "SUkq", "TU0A", "AAAA")
_NUMBERS = re.compile(r"\[\s*(?:\d{1,3}\s*,\s*){64,}\d{1,3}\s*\]")


def picture_in(text: str, max_bytes: int) -> bytes | None:
    """The bytes of a picture or a video that a text holds, as a data URL or in base64; None if it holds none.

    Raises:
        ImageError: it holds one that is damaged, or larger than `max_bytes`.
    """
    url = _DATA_URL.match(text)
    if url is not None:
        encoded = text[url.end() :]
        if ";base64" not in url[0].lower():
            _check_size(len(encoded), max_bytes)
            return unquote_to_bytes(encoded)
        return _decoded(encoded, max_bytes)
    if len(text) < _SHORTEST or not _begins_like_a_picture(text):
        return None
    return _decoded(text, max_bytes) if _BASE64.fullmatch("".join(text.split())) else None


def bytes_in(numbers: Sequence[object]) -> bytes | None:
    """The bytes that a list of numbers from 0 to 255 stands for; None for any other list."""
    if not numbers or not all(type(number) is int and 0 <= number <= 255 for number in numbers):
        return None
    return bytes(numbers)  # pyright: ignore[reportArgumentType]


def without_pictures(text: str) -> str:
    """The text with `...` in the place of pictures that it holds: they are to be judged, not spread."""
    if "base64," in text.lower() or any(mark in text for mark in _MARKS):
        text = _IN_TEXT.sub(lambda found: f"{found[0][:24].partition(',')[0]}...", text)
    return _NUMBERS.sub("[...]", text) if "[" in text else text


def _begins_like_a_picture(text: str) -> bool:
    start = re.sub(r"\s", "", text[:64])[:32].translate(_URL_SAFE)
    try:
        return _STARTS.match(b64decode(start[: len(start) // 4 * 4], validate=True)) is not None
    except (binascii.Error, ValueError):
        return False


_URL_SAFE = str.maketrans("-_", "+/")


def _decoded(text: str, max_bytes: int) -> bytes:
    _check_size(len(text) * 3 // 4, max_bytes)
    plain = "".join(text.split()).translate(_URL_SAFE).rstrip("=")
    try:
        return b64decode(plain + "=" * (-len(plain) % 4), validate=True)
    except (binascii.Error, ValueError) as error:
        raise ImageError(f"a picture in base64 that is damaged: {error}") from error


def _check_size(size: int, max_bytes: int) -> None:
    if size > max_bytes + 3:
        raise ImageError(f"the file has about {size:,} bytes, more than the limit of {max_bytes:,}")
