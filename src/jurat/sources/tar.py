"""Members of a tar archive, one after the other, past joined archives and damaged headers.

Python's own reader ends at the first block that is no header, in silence: what another archive that was
appended holds, or what follows one damaged header, would be lost. It reads the headers here; how to go on
from one to the next is decided in this file. Archives are read forwards only, never unpacked to disk.
"""

from __future__ import annotations

import bz2
import gzip
import io
import re
import tarfile
import zlib
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, BinaryIO, cast

from jurat.content import ImageError
from jurat.sources.protocol import open_place
from jurat.sources.uris import scheme_of
from jurat.text import reason, shown

BLOCK = 512
_LONGEST_HEADER = 1 << 24
_PIECE = 1 << 20
_MOST_ZEROS, _MOST_SEARCHED = 1 << 26, 1 << 30
"""Bytes of zeros after an end mark, and bytes behind a damaged header, that are passed over."""
_UNPACKED, _RATIO = 1 << 30, 200
"""Bytes that a compressed archive may unpack to, and how many times its own size if it is more."""
_ERRORS = cast("Any", tarfile)
"""The kinds of `tarfile.HeaderError` are in no stub."""
_CHECKSUM = re.compile(rb"[ \0]*[0-7]+[ \0]*")
_OPENERS: dict[bytes, Any] = {b"\x1f\x8b": gzip.open, b"BZh": bz2.open}
_UNREAD = {b"\xfd7zXZ": "xz", b"\x28\xb5\x2f\xfd": "Zstandard", b"PK\3\4": "ZIP", b"7z\xbc\xaf": "7-Zip"}
_MISSING: dict[str, str] = {
    text: "the header of a member is missing" for text in ("end of file header", "empty header")
}
FAILURES = (tarfile.TarError, OSError, EOFError, ValueError, zlib.error)
"""What reading an archive raises where it is damaged."""


@dataclass(frozen=True)
class Damage:
    """A part of an archive that cannot be read."""

    problem: str
    """One line."""


class Archive:
    """An archive that is being read."""

    def __init__(self, file: BinaryIO, *, packed: bool) -> None:
        self.packed = packed
        """Whether it is compressed."""
        self._file = file
        self._tar = _Headers(fileobj=cast("Any", file), mode="r")

    def __iter__(self) -> Iterator[tarfile.TarInfo | Damage]:
        """Its members and damages, in order.

        Raises:
            one of `FAILURES`: the rest of it cannot be read.
        """
        tar, file = self._tar, cast("_ForwardReader", self._file)
        ended = False
        zeros = 0
        while True:
            _go_to(file, tar.offset)
            start = file.tell()
            try:
                member = tarfile.TarInfo.fromtarfile(tar)
                if tar.offset < start + BLOCK:
                    raise _ERRORS.InvalidHeaderError("a negative length")
            except (
                _ERRORS.EOFHeaderError
            ):  # a block of zeros; two are an end mark, and another archive may follow
                ended, zeros, tar.offset = True, zeros + BLOCK, start + BLOCK
                if zeros > _MOST_ZEROS:
                    raise tarfile.ReadError(
                        f"more than {_MOST_ZEROS:,} bytes of zeros follow its end"
                    ) from None
                continue
            except _ERRORS.EmptyHeaderError:
                if start == 0:
                    raise tarfile.ReadError("empty file") from None
                if not ended:
                    yield Damage("it has no end mark: it may be cut off")
                return
            except _ERRORS.TruncatedHeaderError as error:
                if not ended:
                    raise
                raise tarfile.ReadError("what follows its end is no archive") from error
            except (tarfile.HeaderError, tarfile.ReadError, ValueError, RecursionError) as error:
                why = _MISSING.get(str(error), reason(error))
                found = self._search()
                if found is None:
                    raise tarfile.ReadError("what follows its end is no archive" if ended else why) from error
                what = "bytes after an end mark that are no archive" if ended else "a damaged header"
                yield Damage(
                    f"{what} at byte {start:,} ({why}): {found - start:,} bytes were passed over,"
                    " up to the next header"
                )
                ended, zeros, tar.offset = False, 0, found
                continue
            ended, zeros = False, 0
            yield member
            tar.members = []  # pyright: ignore[reportAttributeAccessIssue]  # it would keep them all

    def read(self, member: tarfile.TarInfo, size: int | None = None) -> bytes:
        """The content of the member that came last, or its first `size` bytes.

        Raises:
            one of `FAILURES`: it ends within it, say.
        """
        file = cast("_ForwardReader", self._file)
        _go_to(file, member.offset_data)
        size = member.size if size is None else min(size, member.size)
        data = file.read_all(size)
        if len(data) < size:
            raise tarfile.ReadError("unexpected end of data")
        if size < member.size:
            file.put_back(data)
        return data

    def _search(self) -> int | None:
        """Position of the next header; None if there is none."""
        file = cast("_ForwardReader", self._file)
        start = -(-file.tell() // BLOCK) * BLOCK
        file.seek(start)
        for at in range(start, start + _MOST_SEARCHED, BLOCK):
            block = file.read(BLOCK)
            if len(block) < BLOCK:
                return None
            # Nearly every block fails the first test, which is quick.
            if _CHECKSUM.fullmatch(block, 148, 156) and _is_header(block):
                file.put_back(block)
                return at
        raise tarfile.ReadError(f"no header in {_MOST_SEARCHED:,} bytes behind a damaged one")


@contextmanager
def open_archive(place: str) -> Generator[Archive]:
    """An archive at a path or URI, compressed or not, whatever its name says.

    Raises:
        ImageError: there is none, or it is compressed in a way that is not read.
    """
    with open_place(place) as opened:
        raw = cast(
            "BinaryIO", opened if hasattr(opened, "peek") else io.BufferedReader(cast("Any", opened), _PIECE)
        )
        start = cast("Any", raw).peek(6)
        for magic, name in _UNREAD.items():
            if start.startswith(magic):
                raise ImageError(f"{shown(place)} is a {name} file; unpack it first")
        opener = next((opener for magic, opener in _OPENERS.items() if start.startswith(magic)), None)
        if opener is None:
            local = scheme_of(place) is None
            yield Archive(cast("BinaryIO", _ForwardReader(raw, raw, seeks=local)), packed=False)
        else:
            with opener(raw, "rb") as unpacked:
                yield Archive(cast("BinaryIO", _ForwardReader(unpacked, raw, seeks=False)), packed=True)


class _Headers(tarfile.TarFile):
    """Holds what the headers read so far say of those to come; `Archive` goes from one to the next."""

    def next(self) -> tarfile.TarInfo | None:
        return None


class _ForwardReader:
    """A file that is read forwards in pieces; headers of implausible length are refused."""

    name = None
    mode = "rb"

    def __init__(self, file: BinaryIO, raw: BinaryIO, *, seeks: bool) -> None:
        self._file = file
        self._raw = raw
        self._seeks = seeks
        self._at = 0
        self._back = b""

    def read(self, size: int = -1) -> bytes:
        if not 0 <= size <= _LONGEST_HEADER:
            raise tarfile.ReadError(f"a header of {size:,} bytes")
        return self.read_all(size)

    def read_all(self, size: int) -> bytes:
        """Up to `size` bytes; fewer only at the end."""
        parts = [self._back[:size]]
        self._back = self._back[size:]
        left = size - len(parts[0])
        while left > 0 and (part := self._file.read(min(left, _PIECE))):
            parts.append(part)
            left -= len(part)
            if not self._seeks:
                self._check_unpacked(self._at + size - left)
        self._at += size - left
        return b"".join(parts)

    def put_back(self, data: bytes) -> None:
        """Makes the bytes that were read last the next ones again."""
        self._back = data + self._back
        self._at -= len(data)

    def tell(self) -> int:
        return self._at

    def seek(self, to: int, whence: int = 0) -> int:
        if whence or to < self._at:
            raise tarfile.StreamError("seeking backwards is not allowed")
        if self._seeks and to > self._at + len(self._back):
            self._back, self._at = b"", to
            self._file.seek(to)
        while self._at < to and self.read_all(min(_PIECE, to - self._at)):
            pass
        return self._at

    def _check_unpacked(self, unpacked: int) -> None:
        if unpacked > _UNPACKED and unpacked > _RATIO * self._raw.tell():
            raise tarfile.ReadError(
                f"it unpacks to more than {_RATIO} times its own size and {_UNPACKED:,} bytes"
            )


def _go_to(file: _ForwardReader, offset: int) -> None:
    """Skips forwards to a position; raises ReadError if the file ends before it."""
    if offset > file.tell():
        file.seek(offset - 1)
        if not file.read(1):
            raise tarfile.ReadError("unexpected end of data")


def _is_header(block: bytes) -> bool:
    try:
        return tarfile.TarInfo.frombuf(block, "utf-8", "surrogateescape").size >= 0
    except (tarfile.HeaderError, ValueError):
        return False
