"""Walks folders and globs in byte order, with no more in memory than the names in the folders it is in."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from fnmatch import translate
from unicodedata import normalize

from jurat.media.formats import MEDIA_SUFFIXES
from jurat.sources.openers import same_names
from jurat.sources.passed_over import APPLE_DOUBLE, PassedOver
from jurat.text import reason, shown

APPLE_MAGIC = (b"\0\5\x16\7", b"\0\5\x16\0")
"""How an AppleDouble or AppleSingle file begins."""


@dataclass(frozen=True)
class FoundPath:
    """A file that was found, or a folder that could not be listed."""

    path: str
    problem: str | None = None
    """Why there is nothing to read, in one line."""


def is_glob(path: str) -> bool:
    """Whether a path has a glob character."""
    return any(c in path for c in "*?[")


def walk_folder(folder: str, passed_over: PassedOver) -> Iterator[FoundPath]:
    """Images and videos under a folder, in byte order of their paths; what cannot be listed is a problem.

    Other files are counted in `passed_over`.
    """
    return _walk(folder, None, passed_over)


def walk_glob(pattern: str, passed_over: PassedOver) -> Iterator[FoundPath]:
    """What a pattern matches, in byte order; a problem if that is nothing.

    A file whose suffix the pattern leaves open must have one of an image or a video, or is counted in
    `passed_over`; a folder that matches is walked.
    """
    base, glob = _parse(pattern)
    if not os.path.isdir(base or os.curdir) and len(same := same_names(base)) == 1:
        base = os.path.join(same[0], "")
    if not os.path.isdir(base or os.curdir):
        yield FoundPath(pattern, f"no such folder: {shown(base)}")
        return
    nothing, before = True, passed_over.total
    states = glob.closure({0})
    for found in _walk(base, None if glob.accepts(states) else _GlobPosition(glob, states), passed_over):
        nothing = False
        yield found
    if nothing and passed_over.total == before:
        yield FoundPath(pattern, f"nothing matches: {shown(pattern)}")
    elif nothing:
        yield FoundPath(pattern, f"nothing with the suffix of an image or a video matches: {shown(pattern)}")


def _walk(root: str, place: _GlobPosition | None, passed_over: PassedOver) -> Iterator[FoundPath]:
    """Files under `root`: those that match from this place in a pattern on, or else by their suffix."""
    links = _Links()
    # A stack of its own: folders may lie deeper than Python's calls.
    stack: list[_Folder] = []
    folder = root
    while True:
        try:
            stack.append(_Folder(folder, place, links))
        except OSError as error:
            yield FoundPath(folder or os.curdir, f"the folder cannot be listed: {reason(error)}")
        while stack:
            key = next(stack[-1].entries, None)
            if key is None:
                stack.pop()
                links.above.pop()
                continue
            is_folder = key.endswith(b"/")
            name = os.fsdecode(key[:-1] if is_folder else key)
            path = os.path.join(stack[-1].path, name)
            if not is_folder:
                here = stack[-1].place
                if here is not None and not here.matches(name):
                    continue
                if not (_has_image_suffix(name) or (here is not None and here.glob.any_suffix)):
                    passed_over.file(path)
                elif name.startswith("._") and is_apple_double(path):
                    passed_over.add(APPLE_DOUBLE)
                else:
                    yield FoundPath(path)
                continue
            within = stack[-1].place.enter(name) if stack[-1].place else None
            pruned = within is not None and not within.states
            if not pruned and (not os.path.islink(path) or links.leads_in(path)):
                folder, place = path, within if within is None or not within.accepted else None
                break
        else:
            return


class _Folder:
    """A folder that is being walked, with its remaining names."""

    def __init__(self, path: str, place: _GlobPosition | None, links: _Links) -> None:
        self.path = path
        self.place = place
        identity = _identity(path or os.curdir)
        # One bytes object a name, a folder's with a slash behind it: they sort as whole paths do.
        with os.scandir(path or os.curdir) as found:
            self.entries = iter(sorted(os.fsencode(e.name) + (b"/" if _is_folder(e) else b"") for e in found))
        links.above.append(identity)


@dataclass
class _Links:
    """Prevents loops in a walk.

    A folder is known by its device and inode. A link to a folder is not entered if that folder is
    being walked already, or was entered through a link before: the number of folders walked stays finite.
    """

    above: list[tuple[int, int]] = field(default_factory=list[tuple[int, int]])
    entered: set[tuple[int, int]] = field(default_factory=set[tuple[int, int]])

    def leads_in(self, path: str) -> bool:
        """Whether to enter the folder behind this link."""
        try:
            here = _identity(path)
        except OSError:
            return False
        if here in self.above or here in self.entered:
            return False
        self.entered.add(here)
        return True


@dataclass(frozen=True)
class _Glob:
    """A pattern as an automaton over the parts of a path; a state is the number of parts matched."""

    parts: tuple[re.Pattern[str] | None, ...]
    """None is `**`."""
    any_suffix: bool
    """Whether the last part has a suffix, so that files of any suffix may match."""
    folders_only: bool

    def closure(self, states: set[int]) -> frozenset[int]:
        """The states with those that are reached where `**` matches no folder."""
        closed = set(states)
        for state in range(len(self.parts)):
            if state in closed and self.parts[state] is None:
                closed.add(state + 1)
        return frozenset(closed)

    def step(self, states: frozenset[int], name: str, is_folder: bool) -> frozenset[int]:
        following: set[int] = set()
        for state in states - {len(self.parts)}:
            part = self.parts[state]
            if part is None:
                if is_folder and not name.startswith("."):
                    following.add(state)
            elif part.match(name if name.isascii() else normalize("NFC", name)):
                following.add(state + 1)
        return self.closure(following)

    def accepts(self, states: frozenset[int]) -> bool:
        return len(self.parts) in states


@dataclass(frozen=True)
class _GlobPosition:
    """Position of a folder in a pattern."""

    glob: _Glob
    states: frozenset[int]

    @property
    def accepted(self) -> bool:
        return self.glob.accepts(self.states)

    def enter(self, folder: str) -> _GlobPosition:
        return _GlobPosition(self.glob, self.glob.step(self.states, folder, is_folder=True))

    def matches(self, file: str) -> bool:
        if self.glob.folders_only:
            return False
        return self.glob.accepts(self.glob.step(self.states, file, is_folder=False))


def _parse(pattern: str) -> tuple[str, _Glob]:
    """The leading folder without magic, as written, and the rest."""
    parts = pattern.split("/")
    first = next(i for i, part in enumerate(parts) if is_glob(part))
    base = "/".join(parts[:first]) + ("/" if first else "")
    rest = [part for part in parts[first:] if part]
    compiled = tuple(_part(part) for part in rest)
    return base, _Glob(compiled, any_suffix="." in rest[-1], folders_only=pattern.endswith("/"))


def _part(part: str) -> re.Pattern[str] | None:
    if part == "**":
        return None
    hidden = "" if part.startswith(".") else r"(?!\.)"
    return re.compile(hidden + translate(normalize("NFC", part)))


def _has_image_suffix(name: str) -> bool:
    return os.path.splitext(name)[1].lower() in MEDIA_SUFFIXES


def is_apple_double(path: str) -> bool:
    """Whether a file is an AppleDouble file of macOS, which belongs to the file of the same name without
    `._`.
    """
    try:
        if not os.path.isfile(path):  # a pipe would block
            return False
        with open(path, "rb") as file:
            return file.read(4) in APPLE_MAGIC
    except OSError:  # whoever reads it says so
        return False


def _is_folder(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_dir()
    except OSError:
        return False


def _identity(path: str) -> tuple[int, int]:
    status = os.stat(path)
    return status.st_dev, status.st_ino
