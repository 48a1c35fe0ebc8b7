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
from typing import cast

from jurat.content import ImageError, Item
from jurat.media.formats import MEDIA_SUFFIXES
from jurat.sources.cells import as_text
from jurat.sources.conversations import ConversationColumns
from jurat.sources.openers import FilePart, InMemory, Unreadable
from jurat.sources.passed_over import APPLE_DOUBLE, FOLDER, LONE_TEXT, NO_FILE, TEXT, PassedOver
from jurat.sources.protocol import MOST_TEXT, FileSource, OmittedText, unreadable
from jurat.sources.table_rows import caption_in
from jurat.sources.tar import FAILURES, Archive, Damage, open_archive
from jurat.sources.uris import absolute, scheme_of
from jurat.sources.walk import APPLE_MAGIC
from jurat.text import one_line, reason, recorded, shown, storable

_TEXTS = (".txt", ".caption", ".cls", ".json")
_MOST, _MOST_BYTES = 1000, 1 << 28
"""Most images of one sample, and bytes of them, that are held until its texts were read."""
_KEY = re.compile(r"((?:.*/)?[^/.]+)\.([^/]+)", re.S)


@dataclass
class _Sample:
    """Consecutive members that share a stem."""

    stem: str
    images: list[tuple[str, Callable[[], bytes]]] = field(
        default_factory=list[tuple[str, Callable[[], bytes]]]
    )
    columns: dict[str, str] = field(default_factory=dict[str, str])
    held: int = 0
    """Bytes of the images that are in memory."""
    texts: int = 0
    """Members that give it columns."""
    given: bool = False
    """Whether some of its images have been given as items."""


class TarShard(FileSource):
    """One WebDataset shard."""

    def items(self, passed_over: PassedOver) -> Iterator[Item]:
        sample: _Sample | None = None
        try:
            with open_archive(self.place) as archive:
                for member in archive:
                    if isinstance(member, Damage):
                        if sample is not None:
                            yield from self._all(sample, passed_over)
                            sample = None
                        yield unreadable(self.place, f"{shown(self.place)}: {member.problem}")
                        continue
                    if member.isdir():
                        passed_over.add(FOLDER)
                        continue
                    if _is_apple_double(archive, member):
                        passed_over.add(APPLE_DOUBLE)
                        continue
                    stem, suffix = _parts(member.name)
                    if sample is None or sample.stem != stem:
                        if sample is not None:
                            yield from self._all(sample, passed_over)
                        sample = _Sample(stem)
                    self._add(sample, archive, member, suffix, passed_over)
                    if len(sample.images) >= _MOST or sample.held >= _MOST_BYTES:
                        yield from self._given(sample, passed_over)
        except FAILURES as error:
            if sample is not None:
                yield from self._all(sample, passed_over)
            raise ImageError(f"the rest of {shown(self.place)} cannot be read: {reason(error)}") from error
        if sample is not None:
            yield from self._all(sample, passed_over)

    def _add(
        self,
        sample: _Sample,
        archive: Archive,
        member: tarfile.TarInfo,
        suffix: str,
        passed_over: PassedOver,
    ) -> None:
        last = "." + suffix.rpartition(".")[2].lower()
        wanted = self.options.column
        is_image = (
            last in MEDIA_SUFFIXES if wanted is None else suffix.lower() == wanted.lower().removeprefix(".")
        )
        if is_image:
            opener = self._opener(archive, member)
            sample.images.append((member.name, opener))
            sample.held += len(opener.data) if isinstance(opener, InMemory) else 0
        elif last not in _TEXTS:
            passed_over.member(suffix)
        elif not member.isreg() or member.issparse():
            passed_over.add(NO_FILE)
        elif member.size > MOST_TEXT:
            sample.texts += 1
            sample.columns[storable(suffix)] = OmittedText.of(member.size, "bytes")
        else:
            sample.texts += 1
            _carry(sample.columns, suffix, archive.read(member))

    def _opener(self, archive: Archive, member: tarfile.TarInfo) -> Callable[[], bytes]:
        if _leaves(member.name):
            return Unreadable(f"a member whose name leads out of the archive: {shown(one_line(member.name))}")
        if not member.isreg() or member.issparse():
            kind = "a link" if member.islnk() or member.issym() else "no regular file"
            return Unreadable(f"a member that is {kind}: {shown(one_line(member.name))}")
        if not archive.packed and scheme_of(self.place) is None:
            return FilePart(self.place, member.offset_data, member.size, self.options.max_bytes)
        if member.size > self.options.max_bytes:
            limit = self.options.max_bytes
            return Unreadable(f"the file has {member.size:,} bytes, more than the limit of {limit:,}")
        return InMemory(archive.read(member), self.options.max_bytes)

    def _all(self, sample: _Sample, passed_over: PassedOver) -> Iterator[Item]:
        """The items of a complete sample."""
        yield from self._given(sample, passed_over)
        passed_over.add(TEXT if sample.given else LONE_TEXT, sample.texts)

    def _given(self, sample: _Sample, passed_over: PassedOver) -> Iterator[Item]:
        """The images of a sample read so far."""
        named = self.options.caption_column
        caption = caption_in(sample.columns) if named is None else sample.columns.get(named)
        problem, turns = None, ()
        if isinstance(caption, OmittedText):
            problem = None if named is None else f"its caption is too long: {caption}"
            caption = None
        try:
            conversation = ConversationColumns.of(list(sample.columns), self.options)
            turns = conversation.read(sample.columns, passed_over) if sample.images else ()
        except ImageError as error:
            problem = f"its sample has {error.message}"
        for name, opener in sample.images:
            id, uri = recorded(f"{self.place}#{name}"), recorded(f"{absolute(self.place)}#{name}")
            opener = opener if problem is None else Unreadable(problem)
            yield Item((opener,), id, uri, caption, turns, dict(sample.columns))
        sample.given = sample.given or bool(sample.images)
        sample.images, sample.held = [], 0


def _is_apple_double(archive: Archive, member: tarfile.TarInfo) -> bool:
    """Whether a member is an AppleDouble file of macOS."""
    if not member.name.rpartition("/")[2].startswith("._") or not member.isreg() or member.issparse():
        return False
    return archive.read(member, len(APPLE_MAGIC[0])) in APPLE_MAGIC


def _parts(name: str) -> tuple[str, str]:
    """Stem and suffix: up to the first dot of the last part of the name, and after it."""
    found = _KEY.fullmatch(name)
    if found:
        return found[1], found[2]
    folder, _, last = name.rpartition("/")
    if "." not in last:
        return name, ""
    stem, _, suffix = last.rpartition(".")
    return f"{folder}/{stem}", suffix


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
                    columns[storable(str(key))] = carried
            return
    columns[storable(suffix)] = text
