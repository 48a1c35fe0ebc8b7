"""WebDataset tar shards: each image member is an item; members with the same stem give it its columns.

Nothing is ever written to disk, so that a member's name is only a name; one that would leave the archive is
refused all the same, and so are links and devices. A shard on this machine that is not compressed is
read in place, an image when it is opened. Any other is read as a stream, an image when it comes by.
"""

from __future__ import annotations

import json
import re
import tarfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import partial
from typing import Any, BinaryIO, cast

from jurat.images.errors import ImageError, one_line, printable, reason, recorded, shown
from jurat.images.formats import MEDIA_SUFFIXES
from jurat.images.item import Item
from jurat.images.openers import Failed, Held, Slice
from jurat.images.remote import scheme_of
from jurat.images.sources.base import Source, SourceOptions, open_place
from jurat.images.sources.cells import as_text, caption_in

_TEXTS = (".txt", ".caption", ".cls", ".json")
_LONGEST_TEXT = 1 << 20
_LONGEST_HEADER = 1 << 24
_PIECE = 1 << 20
_MOST, _MOST_BYTES = 1000, 1 << 28
"""Images of one sample, and bytes of them, that wait for the texts beside them."""
_COMPRESSED = (".gz", ".tgz")
_KEY = re.compile(r"((?:.*/)?[^/.]+)\.([^/]+)", re.S)


def open_source(place: str, options: SourceOptions) -> Source:
    return _Shard(place, options)


@dataclass
class _Sample:
    """Members in a row that share a stem."""

    stem: str
    images: list[tuple[str, Callable[[], bytes]]] = field(
        default_factory=list[tuple[str, Callable[[], bytes]]]
    )
    columns: dict[str, str] = field(default_factory=dict[str, str])
    held: int = 0
    """Bytes of the images that are in memory."""


class _Shard:
    def __init__(self, place: str, options: SourceOptions) -> None:
        self._place = place
        self._options = options
        self._streams = scheme_of(place) is not None or place.lower().endswith(_COMPRESSED)
        self._uri = place if scheme_of(place) else _absolute(place)

    def items(self) -> Iterator[Item]:
        sample: _Sample | None = None
        members = self._members()
        try:
            for tar, member in members:
                stem, suffix = _parts(member.name)
                if sample is None or sample.stem != stem:
                    if sample is not None:
                        yield from self._of(sample)
                    sample = _Sample(stem)
                self._add(sample, tar, member, suffix)
                if len(sample.images) >= _MOST or sample.held >= _MOST_BYTES:
                    yield from self._of(sample)
                    sample.images, sample.held = [], 0
        except (tarfile.TarError, OSError, EOFError, ValueError) as error:
            if sample is not None:
                yield from self._of(sample)
            raise ImageError(f"the rest of {shown(self._place)} cannot be read: {reason(error)}") from error
        if sample is not None:
            yield from self._of(sample)

    def count(self) -> int | None:
        return None

    def _members(self) -> Iterator[tuple[tarfile.TarFile, tarfile.TarInfo]]:
        with open_place(self._place) as file:
            mode: Any = "r|*" if self._streams else "r:"
            with _Tar.open(fileobj=file, mode=mode) as tar:
                while (member := tar.next()) is not None:
                    yield tar, member
                    tar.members = []  # pyright: ignore[reportAttributeAccessIssue]  # it would keep them all

    def _add(self, sample: _Sample, tar: tarfile.TarFile, member: tarfile.TarInfo, suffix: str) -> None:
        if member.isdir():
            return
        last = "." + suffix.rpartition(".")[2].lower()
        wanted = self._options.column
        is_image = suffix == wanted if wanted is not None else last in MEDIA_SUFFIXES
        if is_image:
            opener = self._opener(tar, member)
            sample.images.append((member.name, opener))
            sample.held += len(opener.data) if isinstance(opener, Held) else 0
        elif last in _TEXTS and member.isreg() and member.size <= _LONGEST_TEXT:
            _carry(sample.columns, suffix, self._bytes(tar, member))

    def _opener(self, tar: tarfile.TarFile, member: tarfile.TarInfo) -> Callable[[], bytes]:
        if _leaves(member.name):
            return Failed(f"a member whose name leads out of the archive: {shown(one_line(member.name))}")
        if not member.isreg() or member.issparse():
            kind = "a link" if member.islnk() or member.issym() else "no regular file"
            return Failed(f"a member that is {kind}: {shown(one_line(member.name))}")
        if not self._streams:
            return Slice(self._place, member.offset_data, member.size, self._options.max_bytes)
        if member.size > self._options.max_bytes:
            limit = self._options.max_bytes
            return Failed(f"the file has {member.size:,} bytes, more than the limit of {limit:,}")
        return Held(self._bytes(tar, member), self._options.max_bytes)

    @staticmethod
    def _bytes(tar: tarfile.TarFile, member: tarfile.TarInfo) -> bytes:
        file = tar.extractfile(member)
        return b"" if file is None else b"".join(iter(partial(file.read, _PIECE), b""))

    def _of(self, sample: _Sample) -> Iterator[Item]:
        named = self._options.caption_column
        caption = caption_in(sample.columns) if named is None else sample.columns.get(named)
        for name, opener in sample.images:
            id, uri = recorded(f"{self._place}#{name}"), recorded(f"{self._uri}#{name}")
            yield Item(id, uri, opener, dict(sample.columns), caption=caption)


class _Tar(tarfile.TarFile):
    """An archive of which no header of absurd length is read into memory."""

    def __init__(self, name: Any, mode: Any, fileobj: Any, **options: Any) -> None:
        # Here and not around the file: what is compressed has headers of any length in a few bytes.
        super().__init__(name, mode, cast("Any", _Guarded(fileobj)), **options)


class _Guarded:
    """A file of which not much can be read at once."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file

    def read(self, size: int = -1) -> bytes:
        if not 0 <= size <= _LONGEST_HEADER:
            raise tarfile.ReadError(f"a header of {size:,} bytes")
        return self._file.read(size)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._file, name)


def _parts(name: str) -> tuple[str, str]:
    """Stem and suffix: up to the first dot of the last part of the name, and after it."""
    found = _KEY.fullmatch(name)
    if found:
        return found[1], found[2]
    stem, _, suffix = name.rpartition(".")
    return stem, suffix


def _leaves(name: str) -> bool:
    return name.startswith(("/", "\\")) or ".." in re.split(r"[/\\]", name) or "\0" in name


def _carry(columns: dict[str, str], suffix: str, data: bytes) -> None:
    text = data.decode("utf-8", "replace")
    if suffix.lower().endswith("json"):
        try:
            told: object = json.loads(text)
        except (ValueError, RecursionError):
            told = None
        if isinstance(told, dict):
            for key, value in cast("dict[str, object]", told).items():
                if (carried := as_text(value)) is not None:
                    columns[printable(str(key))] = carried
            return
    columns[printable(suffix)] = text


def _absolute(place: str) -> str:
    from os.path import abspath

    return abspath(place)
