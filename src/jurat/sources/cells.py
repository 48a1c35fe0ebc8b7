"""Values in the cells of tables: the image that one holds, and the text that a record carries of it."""

from __future__ import annotations

import ast
import binascii
import json
import re
from base64 import b64decode
from collections.abc import Sequence
from typing import Any, cast
from urllib.parse import unquote_to_bytes

from jurat.content import ImageError
from jurat.sources.protocol import MOST_TEXT, OmittedText
from jurat.sources.uris import scheme_of
from jurat.text import one_line, storable

IMAGE_KEYS = (
    "bytes", "b64_json", "base64", "path", "url", "src", "uri", "image_url", "image", "file_name",
)  # fmt: skip
"""Keys of an object in a cell that hold the image; the first of them that holds something is taken."""

_LONGEST_PATH, _LONGEST_NAME = 4096, 255
"""Most characters of a path, and of one of its parts."""
_WRITTEN = re.compile(r"""\s*(\[\s*(["'{]|b['"]|\])|\{\s*["'}]|b["'])""")
"""The beginning of a list, an object or bytes in a text, as JSON or as Python writes them."""
_DEEPEST = 4
"""Objects inside one another."""
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


def unwrap(cell: object) -> object:
    """The image, or the list of images, in a cell: without `{"bytes": ...}` around it, as `datasets` writes
    images, `{"url": ...}` and so on, also where these are text, in JSON or as Python prints them."""
    if isinstance(cell, str) and _WRITTEN.match(cell):
        cell = _parsed(cell)
    for _ in range(_DEEPEST):
        if not isinstance(cell, dict):
            break
        parts = cast("dict[str, object]", cell)
        there = [parts[key] for key in IMAGE_KEYS if key in parts]
        if not there:
            break
        cell = next((part for part in there if part is not None and part != ""), None)
    return cell


def _parsed(text: str) -> object:
    """A text read as JSON, or else as Python; the text itself where it is neither."""
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        pass
    try:
        return ast.literal_eval(text.strip())
    except (ValueError, SyntaxError, RecursionError, MemoryError):
        return text


def image_list(cell: object) -> Sequence[object] | None:
    """The parts of an unwrapped cell that holds a list of images; None for any other."""
    if not isinstance(cell, list | tuple):
        return None
    parts = cast("Sequence[object]", cell)
    return None if bytes_in(parts) is not None else parts


def image_in(cell: object, column: str, max_bytes: int) -> bytes | str:
    """The bytes, path or URI in an unwrapped cell.

    Raises:
        ImageError: it holds none; the message follows "row 3 has".
    """
    column = repr(column)
    if isinstance(cell, OmittedText):
        raise ImageError(f"a text in {column} that is too long: {cell}")
    if isinstance(cell, list | tuple):
        data = bytes_in(cast("Sequence[object]", cell))
        cell = cell if data is None else data
    if isinstance(cell, bytes):
        return cell
    if cell is None or cell == "":
        raise ImageError(f"no image: {column} is empty")
    if cell == {}:
        raise ImageError(f"no image: {column} is an empty object")
    if isinstance(cell, dict):
        names = list(cast("dict[str, object]", cell))[:8]
        keys = ", ".join(repr(one_line(str(key), most=40)) for key in names)
        what = f"an object with the keys {keys} in {column}, none of which holds a path, URI or bytes"
        raise ImageError(f"{what}: {', '.join(IMAGE_KEYS)}")
    if not isinstance(cell, str):
        raise ImageError(f"{type(cell).__name__} in {column}, no path, URI or bytes")
    if (picture := picture_in(cell, max_bytes)) is not None:
        return picture
    if _is_no_path(cell):
        begin = f"{len(cell):,} characters that begin with {one_line(cell[:40], most=24)!r}"
        raise ImageError(f"a long text in {column}, no path, URI or bytes: {begin}")
    return cell


def _is_no_path(text: str) -> bool:
    """Whether a text cannot be a path or a URI because of its length."""
    if len(text) > _LONGEST_PATH or scheme_of(text) is not None:
        return len(text) > _LONGEST_PATH
    return any(len(part.encode("utf-8", "replace")) > _LONGEST_NAME for part in text.split("/"))


def as_text(value: Any) -> str | None:
    """A value of a column as the record carries it: text as it is, all else as JSON; None for bytes and null.

    `...` replaces pictures in it, as data URLs or base64, and a `OmittedText` a text of more than `MOST_TEXT`
    characters.
    """
    if value is None or isinstance(value, bytes):
        return None
    if isinstance(value, OmittedText):
        return value
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, default=_no_bytes)
    text = storable(without_pictures(text))
    return text if len(text) <= MOST_TEXT else OmittedText.of(len(text))


def _no_bytes(value: object) -> object:
    return None if isinstance(value, bytes) else str(value)


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
    """The text with embedded pictures replaced by `...`, so that they are not copied into records."""
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
