"""Lines of a text file, each of bounded length."""

from __future__ import annotations

from collections.abc import Iterator
from typing import BinaryIO, TextIO

from jurat.content import ImageError
from jurat.media.limits import DEFAULT_MAX_BYTES
from jurat.text import shown

MOST = DEFAULT_MAX_BYTES // 2
"""Characters of a line: 128 Mi, a picture of 96 MiB in base64."""
_MOST_SKIPPED = 1 << 32
_PIECE = 1 << 20
_STARTS = {
    b"\x1f\x8b": "it is compressed with gzip; unpack it first",
    b"BZh": "it is compressed with bzip2; unpack it first",
    b"\x28\xb5\x2f\xfd": "it is compressed with Zstandard; unpack it first",
    b"PK\3\4": "it is a ZIP archive or a spreadsheet; save it as CSV, or unpack it first",
    b"\xff\xfe": "it is in UTF-16; save it in UTF-8",
    b"\xfe\xff": "it is in UTF-16; save it in UTF-8",
    b"PAR1": "it is a Parquet file; name it .parquet",
    b"ARROW1": "it is an Arrow file; name it .arrow",
}


def lines_of(file: TextIO | BinaryIO, place: str) -> Iterator[str | bytes | int]:
    """Its lines, with their ends; in the place of one that has more than `MOST` characters how many it has.

    Raises:
        ImageError: a line is gigabytes long.
    """
    while line := file.readline(_PIECE):
        parts = [line]
        size = len(line)
        end = line[-1:]
        while size < MOST and end not in ("\n", b"\n", "\r") and (more := file.readline(_PIECE)):
            parts.append(more)
            size += len(more)
            end = more[-1:]
        if size < MOST or end in ("\n", b"\n", "\r"):
            yield type(line)().join(parts)  # pyright: ignore[reportArgumentType, reportCallIssue]
            continue
        parts.clear()
        while end not in ("\n", b"\n", "\r") and (more := file.readline(_PIECE)):
            size += len(more)
            end = more[-1:]
            if size > _MOST_SKIPPED:
                raise ImageError(
                    f"the rest of {shown(place)} is not read: a line has more than {_MOST_SKIPPED:,} bytes"
                )
        yield size


def too_long(size: int) -> str:
    """The error message for a line of `size` characters."""
    return f"a line of {size:,} characters, more than the limit of {MOST:,}"


def check_start(start: bytes, place: str) -> None:
    """Raises ImageError where a file of text begins like something else, whose rows could not be read."""
    for magic, what in _STARTS.items():
        if start.startswith(magic):
            raise ImageError(f"{shown(place)} cannot be read: {what}")
