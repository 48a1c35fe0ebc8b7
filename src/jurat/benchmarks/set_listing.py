"""Lists the files of a downloaded set: those of a folder, and the members of its archives.

Every file is listed, or passed over for a reason that is counted: an empty file, a link that leads nowhere, a
pointer of Git LFS, an encrypted member.
"""

from __future__ import annotations

import os
import re
import stat
import zipfile
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import lru_cache
from lzma import LZMAError
from pathlib import Path
from typing import Any, cast

from jurat.content import ImageError, Opener
from jurat.errors import JuratError
from jurat.media import DEFAULT_MAX_BYTES, IMAGE_SUFFIXES
from jurat.media.limits import Limits
from jurat.sources.openers import FilePart, LocalFile
from jurat.sources.tar import FAILURES, Damage, open_archive
from jurat.text import reason, shown

MOST_FILES = 2_000_000
"""Files and members of archives that a set may have."""
MOST_BYTES = 1 << 30
"""Largest table that is read whole."""
ARCHIVES = (".zip", ".tar")
"""Suffixes of the archives that are read in place."""
_TABLES = (".json", ".jsonl", ".csv", ".tsv", ".txt", ".parquet", *ARCHIVES)
"""Suffixes of the files that are named where they cannot be read: without one, rows are missing."""
_COMPRESSED = re.compile(r"\.(gz|tgz|bz2|xz|zst|7z|rar)$", re.IGNORECASE)
_SPLIT = re.compile(r"(^part_?[a-z]{2}|\.z\d\d|\.(zip|tar|7z)\.\d+|\.tar\.gz\.?[a-z]{2})$", re.IGNORECASE)
_POINTER = b"version https://git-lfs"
_LONGEST_POINTER = 1024
_UTF8 = 0x800
"""Flag of a ZIP member whose name is in UTF-8."""


@dataclass(frozen=True)
class ZipMember:
    """Reads the bytes of a member of a ZIP archive."""

    archive: str
    name: str
    max_bytes: int = DEFAULT_MAX_BYTES

    def __call__(self) -> bytes:
        where = f"{shown(self.name)} in {shown(self.archive)}"
        try:
            opened = _zip(self.archive)
            member = opened.getinfo(self.name)
            Limits(max_bytes=self.max_bytes).check_bytes(member.file_size)
            with opened.open(member) as file:
                data = file.read(self.max_bytes + 1)
        except (KeyError, RuntimeError, zipfile.BadZipFile, LZMAError, *FAILURES) as error:
            # RuntimeError: the member is encrypted, or compressed in a way that is not read.
            raise ImageError(f"{where} cannot be read: {reason(error)}") from error
        Limits(max_bytes=self.max_bytes).check_bytes(len(data))
        return data


@dataclass
class Listing:
    """The files of a set. A name is the path below the folder with "/" between its parts; that of an
    archive's member goes on behind the archive's own name without its suffix."""

    root: Path
    openers: dict[str, Opener] = field(default_factory=dict[str, Opener])
    """Name to what reads the file."""
    places: dict[str, str] = field(default_factory=dict[str, str])
    """Name of an archive's member to the archive's path, `#` and its name there."""
    unusable: dict[str, str] = field(default_factory=dict[str, str])
    """Name of a file that cannot be read to the reason, as "is empty (0 bytes)"."""
    notes: Counter[str] = field(default_factory=Counter[str])
    """What a user should know of the copy, and how often it was met."""

    def add(self, name: str, opener: Opener, place: str | None = None) -> None:
        """Adds a file. Hidden ones, and members of archives with the name of a file, are counted instead."""
        if any(_is_hidden(part) for part in name.split("/") if part != "."):
            self.notes["hidden files were passed over"] += 1
        elif name in self.openers:
            archive = shown((place or name).rpartition("#")[0])
            self.notes[f"members of {archive} were passed over: files of the same names are there"] += 1
        elif len(self.openers) >= MOST_FILES:
            raise JuratError(f"{shown(str(self.root))} has more than {MOST_FILES:,} files.")
        else:
            self.openers[name] = opener
            if place is not None:
                self.places[name] = place

    def refuse(self, name: str, why: str) -> None:
        """Counts a file that cannot be read."""
        self.unusable[name] = why
        if name.lower().endswith(_TABLES):
            self.notes[f"{shown(name)} was passed over: it {why}"] += 1
        else:
            self.notes[f"files were passed over: each {why}"] += 1


def list_files(path: Path) -> Listing:
    """The files of a folder and the members of the archives in it; or those of one archive; or those of the
    folder in which a file lies.

    Raises:
        JuratError: there are too many.
    """
    listing = Listing(path if path.is_dir() else path.parent)
    if path.is_file() and path.name.lower().endswith(ARCHIVES):
        _add_file(listing, path.name, str(path))
        _add_members(listing, path.name, str(path))
        return listing
    archives: list[tuple[str, str]] = []
    for name, file in _walk(listing):
        if _COMPRESSED.search(name):
            listing.notes[f"{shown(name)} is compressed and was not read; unpack it"] += 1
        elif _SPLIT.search(name.rpartition("/")[2]):
            listing.notes["parts of a split archive were not read; join and unpack them"] += 1
        elif _add_file(listing, name, file) and name.lower().endswith(ARCHIVES):
            archives.append((name, file))
    for name, file in archives:
        _add_members(listing, name, file)
    return listing


def _walk(listing: Listing) -> Iterator[tuple[str, str]]:
    """(name, path) of every file below the folder. Links to folders are followed, each folder once. Of a
    folder of the hub's cache the files of one snapshot are taken."""

    def fail(error: OSError) -> None:
        listing.notes[f"{shown(str(error.filename))} cannot be listed: {reason(error)}"] += 1

    seen: set[tuple[int, int]] = set()
    snapshots: dict[str, str] = {}
    for folder, folders, files in os.walk(listing.root, followlinks=True, onerror=fail):
        facts = os.stat(folder)
        if (facts.st_dev, facts.st_ino) in seen:
            listing.notes["folders were passed over that another link leads to"] += 1
            folders[:] = []
            continue
        seen.add((facts.st_dev, facts.st_ino))
        folders[:] = sorted(each for each in folders if not _is_hidden(each))
        if {"snapshots", "blobs"} <= set(folders):
            folders[:] = ["snapshots"]
            snapshots[os.path.join(folder, "snapshots")] = folder
        elif folder in snapshots:
            folders[:] = _snapshot(listing, snapshots[folder], folders)
        for file in sorted(files):
            path = os.path.join(folder, file)
            yield os.path.relpath(path, listing.root).replace(os.sep, "/"), path


def _snapshot(listing: Listing, folder: str, revisions: list[str]) -> list[str]:
    """The revision in the hub's cache that `refs/main` names, else the newest."""
    try:
        named = Path(folder, "refs", "main").read_text("utf-8").strip()
    except (OSError, UnicodeDecodeError):
        named = ""
    if named not in revisions and revisions:
        named = max(revisions, key=lambda each: os.stat(os.path.join(folder, "snapshots", each)).st_mtime_ns)
    if len(revisions) > 1:
        listing.notes[f"other revisions in the hub's cache were not read; {shown(named)} was"] += (
            len(revisions) - 1
        )
    return [named] if named else []


def _add_file(listing: Listing, name: str, path: str) -> bool:
    """Adds a file on this machine; returns whether it can be read."""
    why = None if _is_hidden(name.rpartition("/")[2]) else _why_unusable(name, path)
    if why is not None:
        listing.refuse(name, why)
        return False
    listing.add(name, LocalFile(path, most_bytes(name)))
    return name in listing.openers


def _why_unusable(name: str, path: str) -> str | None:
    try:
        facts = os.stat(path)
        if not stat.S_ISREG(facts.st_mode):
            return "is not a regular file"
        if facts.st_size == 0:
            return "is empty (0 bytes)"
        if not os.access(path, os.R_OK):
            return "cannot be read: permission denied"
        if facts.st_size <= _LONGEST_POINTER:
            with open(path, "rb") as file:
                if file.read(len(_POINTER)) == _POINTER:
                    return "is a pointer of Git LFS, not the file itself (git lfs pull fetches it)"
    except OSError as error:
        return "is a link that leads nowhere" if os.path.islink(path) else f"cannot be read: {reason(error)}"
    return None


def _add_members(listing: Listing, name: str, path: str) -> None:
    """Adds the members of an archive; files that lie unpacked beside it come first."""
    members = _zip_members if name.lower().endswith(".zip") else _tar_members
    try:
        members(listing, name, path)
    except (ImageError, zipfile.BadZipFile, NotImplementedError, *FAILURES) as error:
        listing.notes[f"{shown(name)} cannot be read to its end: {reason(error)}"] += 1


def _zip_members(listing: Listing, name: str, path: str) -> None:
    archive = cast("Any", _zip(path))
    entries = archive.infolist()
    members = [each for each in entries if not each.is_dir()]
    before = min((each.header_offset for each in entries), default=0)
    if before:
        what = f"{shown(name)} has {before:,} bytes before its first member that were not read"
        listing.notes[f"{what}; it may be two archives that were joined"] += 1
    for each in members:
        below = f"{name.rpartition('.')[0]}/{_decoded(each)}"
        why = _why_closed(each, archive.start_dir, name)
        if each.file_size == 0:
            why = "is empty (0 bytes)"
        if why is None:
            opener = ZipMember(path, each.filename, most_bytes(below))
            _add_member(listing, below, opener, f"{os.path.abspath(path)}#{each.filename}")
        else:
            listing.refuse(below, why)


def _tar_members(listing: Listing, name: str, path: str) -> None:
    size = os.path.getsize(path)
    with open_archive(path) as archive:
        if archive.packed:
            raise ImageError("it is compressed; unpack it")
        for each in archive:
            if isinstance(each, Damage):
                listing.notes[f"{shown(name)}: {each.problem}"] += 1
                continue
            below = f"{name.rpartition('.')[0]}/{each.name}"
            if each.isdir():
                continue
            if not each.isreg():
                listing.refuse(below, f"is a link or a device in {shown(name)}")
            elif each.size == 0:
                listing.refuse(below, "is empty (0 bytes)")
            elif each.offset_data + each.size > size:
                listing.refuse(below, f"is cut off: {shown(name)} ends within it")
            else:
                opener = FilePart(path, each.offset_data, each.size, most_bytes(below))
                _add_member(listing, below, opener, f"{os.path.abspath(path)}#{each.name}")


def _add_member(listing: Listing, name: str, opener: Opener, place: str) -> None:
    if name.lower().endswith(ARCHIVES) or _COMPRESSED.search(name):
        listing.refuse(name, "is an archive inside an archive; unpack the outer one")
    else:
        listing.add(name, opener, place)


def _why_closed(member: zipfile.ZipInfo, end: int, name: str) -> str | None:
    """Why the bytes of a ZIP member cannot be had."""
    if member.flag_bits & 1:
        return f"is encrypted in {shown(name)}; unpack it"
    if member.compress_type not in (
        zipfile.ZIP_STORED,
        zipfile.ZIP_DEFLATED,
        zipfile.ZIP_BZIP2,
        zipfile.ZIP_LZMA,
    ):
        return f"is compressed in a way that is not read, in {shown(name)}; unpack it"
    if member.header_offset + member.compress_size > end:
        return f"is cut off: {shown(name)} ends within it"
    return None


def _decoded(member: zipfile.ZipInfo) -> str:
    """The name of a member. Some tools write UTF-8 without the flag that says so."""
    if not member.flag_bits & _UTF8 and not member.filename.isascii():
        try:
            return member.filename.encode("cp437").decode("utf-8")
        except UnicodeError:
            pass
    return member.filename


def _zip(path: str) -> zipfile.ZipFile:
    # A file that is open in two processes has one position: each process opens its own.
    return _opened(path, os.stat(path).st_mtime_ns, os.getpid())


@lru_cache(maxsize=16)
def _opened(path: str, changed: int, process: int) -> zipfile.ZipFile:
    del changed, process  # keys of the cache only
    return zipfile.ZipFile(path)


def most_bytes(name: str) -> int:
    """The most bytes that a file may have: an image less than a table."""
    return DEFAULT_MAX_BYTES if is_image(name) else MOST_BYTES


def is_image(name: str) -> bool:
    """Whether a name ends as that of an image."""
    return os.path.splitext(name)[1].lower() in IMAGE_SUFFIXES


def _is_hidden(part: str) -> bool:
    """Whether a file or folder is one that systems leave behind: `.DS_Store`, `__MACOSX`, `..`."""
    return part.startswith(".") or part == "__MACOSX"
