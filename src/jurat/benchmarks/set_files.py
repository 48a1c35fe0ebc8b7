"""The files of a downloaded set: those of a folder and the members of its archives, found by name.

Archives are read in place: ZIP, and tar that is not compressed. `images.zip` counts as a folder `images`, so
that a reader need not know whether its user unpacked it.
"""

from __future__ import annotations

import csv
import io
import json
import os
import zipfile
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from functools import lru_cache
from pathlib import Path
from typing import Any, cast
from unicodedata import normalize

from jurat.content import ImageError, LazyImage, Opener
from jurat.errors import JuratError
from jurat.media import DEFAULT_MAX_BYTES, IMAGE_SUFFIXES
from jurat.media.limits import Limits
from jurat.sources import SourceOptions, find_items
from jurat.sources.lines import MOST
from jurat.sources.openers import FilePart, LocalFile
from jurat.sources.tar import FAILURES, Damage, open_archive
from jurat.text import one_line, reason, shown

MOST_FILES = 2_000_000
"""Files and members of archives that a set may have."""
_ZIP, _TAR = (".zip",), (".tar",)
_UNREAD = (".tar.gz", ".tgz", ".tar.bz2", ".tar.xz", ".7z", ".rar")
_TABLE_BYTES = 1 << 30
"""Largest table that is read whole."""


@dataclass(frozen=True)
class Row:
    """One row of a table, or one record of a JSON file."""

    place: str
    """The file and the row, from 1: "data/question/safebench.csv:12"."""
    cells: Mapping[str, Any] = field(default_factory=dict[str, Any])
    """Text in CSV, TSV and Parquet; in JSON whatever it holds."""
    images: Sequence[LazyImage] = ()
    """The images in the row itself, of a table that holds them."""
    problem: str | None = None
    """Why the row cannot be read; its cells are empty then."""


@dataclass(frozen=True)
class ZipMember:
    """Reads the bytes of a member of a ZIP archive."""

    archive: str
    name: str
    max_bytes: int = DEFAULT_MAX_BYTES

    def __call__(self) -> bytes:
        where = f"{shown(self.name)} in {shown(self.archive)}"
        try:
            opened = _zip(self.archive, os.stat(self.archive).st_mtime_ns)
            member = opened.getinfo(self.name)
            Limits(max_bytes=self.max_bytes).check_bytes(member.file_size)
            with opened.open(member) as file:
                data = file.read(self.max_bytes + 1)
        except (OSError, KeyError, ValueError, RuntimeError, zipfile.BadZipFile) as error:
            # RuntimeError: the member is encrypted.
            raise ImageError(f"{where} cannot be read: {reason(error)}") from error
        Limits(max_bytes=self.max_bytes).check_bytes(len(data))
        return data


@lru_cache(maxsize=16)
def _zip(path: str, changed: int) -> zipfile.ZipFile:
    """An opened archive; `changed` is its time stamp."""
    return zipfile.ZipFile(path)


class SetFiles:
    """The files of a set, found by the last parts of their names without regard to case.

    A name is the path below the folder with "/" between its parts; that of an archive's member goes on behind
    the archive's own name without its suffix.
    """

    def __init__(self, path: Path | str) -> None:
        """
        Args:
            path: the folder, or one of its files.

        Raises:
            JuratError: it does not exist.
        """
        self.path = Path(path)
        if not self.path.exists():
            raise JuratError(f"There is no file or folder {shown(str(path))}.")
        self.root = self.path if self.path.is_dir() else self.path.parent
        self.openers: dict[str, Opener] = {}
        """Name to what reads the file."""
        self.notes: Counter[str] = Counter()
        """What a user should know of the copy, and how often it was met."""
        self.used: set[str] = set()
        """The names of the images that `image` found."""
        self._by_base: defaultdict[str, list[str]] = defaultdict(list)
        self._by_stem: defaultdict[str, list[str]] = defaultdict(list)
        self._index()

    def find(self, pattern: str) -> list[str]:
        """The names whose last parts match a pattern ("question/*.csv"), fewest parts first."""
        wanted = _parts(pattern)
        found = [
            name
            for name in self.openers
            if len(parts := _parts(name)) >= len(wanted)
            and all(map(fnmatchcase, parts[-len(wanted) :], wanted))
        ]
        return sorted(found, key=lambda name: (name.count("/"), name))

    def one(self, *patterns: str) -> str:
        """The first name that the patterns find, in their order.

        Raises:
            JuratError: they find none.
        """
        for pattern in patterns:
            if found := self.find(pattern):
                return found[0]
        raise JuratError(f"{shown(str(self.path))} has no file {' or '.join(patterns)}.")

    def image(self, name: str, *, any_suffix: bool = False, under: str = "") -> LazyImage | None:
        """The image whose path ends with `name`, in any case; None where there is none.

        Args:
            name: one or more parts: "1.png", "01-Scenario/SD/1.jpg".
            any_suffix: takes an image of the same stem with another suffix, if there is none with this.
            under: only images at any depth below this folder, as `find` names it; default: below the copy's.
        """
        wanted = [part for part in _parts(name) if part != "."]
        if not wanted or ".." in wanted:
            return None
        inside = f"{under}/" if under else ""
        found = [
            name
            for name in self._by_base[wanted[-1]]
            if name.startswith(inside) and _parts(name)[-len(wanted) :] == wanted
        ]
        if not found and any_suffix:
            stem = _stem(wanted[-1])
            tail = [*wanted[:-1], stem]
            found = [
                name
                for name in self._by_stem[stem]
                if name.startswith(inside)
                and [*_parts(name)[:-1], stem][-len(tail) :] == tail
                and _is_image(name)
            ]
        if not found:
            return None
        best = min(found, key=lambda name: (name.count("/"), name))
        self.used.add(best)
        return LazyImage(self.place(best), self.openers[best])

    def place(self, name: str) -> str:
        """The absolute path of a file, or of an archive with `#` and the member's name."""
        opener = self.openers[name]
        if isinstance(opener, ZipMember):
            return f"{os.path.abspath(opener.archive)}#{opener.name}"
        return os.path.abspath(self.root / name) if isinstance(opener, LocalFile) else f"{self.root}#{name}"

    def unused_images(self) -> list[str]:
        """The names of images that no row asked for."""
        return sorted(name for name in self.openers if _is_image(name) and name not in self.used)

    def read(self, name: str) -> bytes:
        """The bytes of a file. Raises JuratError where it cannot be read."""
        try:
            return self.openers[name]()
        except ImageError as error:
            raise JuratError(f"{shown(name)}: {error.message}") from error

    def text(self, name: str) -> str:
        """The text of a file in UTF-8, without a byte order mark; `notes` says where it is not."""
        data = self.read(name)
        try:
            return data.decode("utf-8-sig")
        except UnicodeDecodeError:
            text = data.decode("utf-8-sig", "replace")
            self.notes[f"characters of {shown(name)} that are not UTF-8 were replaced"] += text.count(
                "\ufffd"
            )
            return text

    def json(self, name: str) -> Any:
        """The value in a JSON file. Raises JuratError where it is none."""
        try:
            return json.loads(self.text(name))
        except (ValueError, RecursionError) as error:
            raise JuratError(f"{shown(name)} is not JSON: {reason(error)}") from error

    def records(self, name: str, *, id_key: str = "id") -> Iterator[Row]:
        """The objects of a JSON file: a list of them, or an object of objects, whose keys become `id_key`;
        an object a line where the name ends with `.jsonl`."""
        if name.lower().endswith(".jsonl"):
            yield from self._json_lines(name)
            return
        value = self.json(name)
        pairs = cast("dict[str, Any]", value).items() if isinstance(value, dict) else None
        for number, (key, record) in enumerate(pairs or ((None, one) for one in value), 1):
            place = f"{name}:{number}"
            if not isinstance(record, dict):
                yield Row(place, problem=f"it is {_kind(record)}, not an object")
                continue
            cells = cast("dict[str, Any]", record)
            yield Row(place, cells if key is None else {id_key: key, **cells})

    def table(self, name: str, *, columns: Sequence[str] = (), delimiter: str | None = None) -> Iterator[Row]:
        """The rows of a CSV or TSV file.

        Args:
            columns: their names, where the file has no header.
            delimiter: default: a tab where the name ends with `.tsv`, else a comma.
        """
        csv.field_size_limit(MOST)
        delimiter = delimiter or ("\t" if name.lower().endswith(".tsv") else ",")
        reader = csv.reader(io.StringIO(self.text(name), newline=""), delimiter=delimiter)
        names = list(columns) or [cell.strip() for cell in next(reader, [])]
        for number, cells in enumerate((row for row in reader if row), 1):
            place = f"{name}:{number}"
            if len(cells) > len(names):
                yield Row(place, problem=f"it has {len(cells)} cells, not {len(names)}")
                continue
            if len(cells) < len(names):
                self.notes[f"rows of {shown(name)} with fewer cells than columns"] += 1
            yield Row(place, dict(zip(names, cells, strict=False)))

    def image_table(self, name: str, column: str) -> Iterator[Row]:
        """The rows of a Parquet, Arrow or TSV file whose images are in its cells, as bytes or base64. Other
        cells are text. A row without an image has none in `images`."""
        if not isinstance(self.openers[name], LocalFile):
            raise JuratError(f"{shown(name)} is in an archive; unpack it first.")
        path = str(self.root / name)
        for number, item in enumerate(find_items([path], options=SourceOptions(column=column)), 1):
            place = f"{name}:{number}"
            try:
                yield Row(place, item.columns, item.lazy_images())
            except ImageError as error:
                yield Row(place, item.columns, problem=error.message)

    def _json_lines(self, name: str) -> Iterator[Row]:
        number = 0
        for line in self.text(name).split("\n"):
            if not line.strip():
                continue
            number += 1
            place = f"{name}:{number}"
            try:
                value = json.loads(line)
            except (ValueError, RecursionError) as error:
                yield Row(place, problem=f"it is not JSON: {reason(error)}")
                continue
            if isinstance(value, dict):
                yield Row(place, cast("dict[str, Any]", value))
            else:
                yield Row(place, problem=f"it is {_kind(value)}, not an object")

    def _index(self) -> None:
        archives: list[str] = []
        for folder, folders, files in os.walk(self.root, followlinks=True):
            folders[:] = sorted(each for each in folders if not _is_hidden(each))
            for file in sorted(files):
                path = os.path.join(folder, file)
                name = os.path.relpath(path, self.root).replace(os.sep, "/")
                if _is_hidden(file):
                    self.notes["hidden files were passed over"] += 1
                elif file.lower().endswith(_UNREAD):
                    self.notes[f"{shown(name)} is compressed and was not read; unpack it"] += 1
                else:
                    big = _TABLE_BYTES if not _is_image(name) else DEFAULT_MAX_BYTES
                    self._add(name, LocalFile(path, big))
                    if file.lower().endswith(_ZIP + _TAR):
                        archives.append(name)
        for name in archives:
            path = str(self.root / name)
            try:
                self._add_members(name, path)
            except (ImageError, zipfile.BadZipFile, *FAILURES) as error:
                self.notes[f"{shown(name)} cannot be read: {reason(error)}"] += 1

    def _add_members(self, name: str, path: str) -> None:
        """Adds the members of an archive; files that lie unpacked beside it come first."""
        below = name.rpartition(".")[0]
        if name.lower().endswith(_ZIP):
            for member in _zip(path, os.stat(path).st_mtime_ns).infolist():
                if not member.is_dir():
                    self._add(f"{below}/{member.filename}", ZipMember(path, member.filename, _TABLE_BYTES))
            return
        with open_archive(path) as archive:
            if archive.packed:
                raise ImageError("it is compressed; unpack it")
            for member in archive:
                if isinstance(member, Damage):
                    self.notes[f"{shown(name)}: {member.problem}"] += 1
                elif member.isfile():
                    part = FilePart(path, member.offset_data, member.size, _TABLE_BYTES)
                    self._add(f"{below}/{member.name}", part)

    def _add(self, name: str, opener: Opener) -> None:
        parts = name.split("/")
        if any(_is_hidden(part) for part in parts if part != "."):
            self.notes["hidden files were passed over"] += 1
            return
        if name in self.openers:
            return
        if len(self.openers) >= MOST_FILES:
            raise JuratError(f"{shown(str(self.root))} has more than {MOST_FILES:,} files.")
        self.openers[name] = opener
        base = _parts(name)[-1]
        self._by_base[base].append(name)
        self._by_stem[_stem(base)].append(name)


def _parts(name: str) -> list[str]:
    """The parts of a path as they are compared: composed, in lower case."""
    return normalize("NFC", name).lower().replace("\\", "/").strip("/").split("/")


def _stem(base: str) -> str:
    return base.rpartition(".")[0] or base


def _is_hidden(part: str) -> bool:
    """Whether a file or folder is one that systems leave behind: `.DS_Store`, `__MACOSX`, `..`."""
    return part.startswith(".") or part == "__MACOSX"


def _is_image(name: str) -> bool:
    return os.path.splitext(name)[1].lower() in IMAGE_SUFFIXES


def _kind(value: object) -> str:
    return one_line(f"a {type(value).__name__}", most=40)
