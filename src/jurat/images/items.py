"""Where images come from: files, folders, globs and lists become a lazy stream of items.

Whatever cannot be read is an item too: its `open` raises `ImageError` with the reason, so that a run
goes on and the row says what was wrong.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import TextIO

from jurat.images.errors import ImageError, printable, reason, shown
from jurat.images.limits import DEFAULT_MAX_BYTES, Limits
from jurat.images.walk import Found, is_glob, walk_folder, walk_glob


@dataclass(frozen=True)
class Item:
    """What is judged: one image that has not been read yet."""

    id: str
    """The path as the user wrote it; inside a folder, that folder's path joined with the rest."""
    uri: str
    """The absolute path."""
    open: Callable[[], bytes]
    """Reads the bytes. Raises ImageError with the reason where that fails. Can be pickled."""


def find_items(
    paths: Iterable[str], stdin: TextIO | None = None, *, max_bytes: int = DEFAULT_MAX_BYTES
) -> Iterator[Item]:
    """Items for paths, one after the other, in the order given.

    - A file is an item whatever its suffix.
    - A folder is walked: files with an image suffix (`IMAGE_SUFFIXES`), in byte order of their paths, hidden
      ones too. Links to folders are followed, each folder behind links once, so that loops end.
    - A glob (`*`, `?`, `[...]`, `**` for folders at any depth) is matched as a shell does, in the same
      order, unless a file has that very name. If its last part names no suffix, only image suffixes
      match; a folder that matches is walked.
    - `-` reads paths of files and folders from `stdin`, one a line; blank lines are left out, and globs
      are not expanded.

    Not more than the names in the folders being walked is held in memory. A path that is given twice is
    judged twice.

    Args:
        paths: as written on the command line.
        stdin: the list for `-`; undecodable bytes in names are kept if it has a `buffer`.
        max_bytes: larger files are refused before they are read.

    Raises:
        ImageError: at once, if there is a `-` and no `stdin`.
    """
    given = list(paths)
    if "-" in given and stdin is None:
        raise ImageError("'-' reads a list of paths from standard input, and there is none")
    return _items(given, stdin, max_bytes)


def read_file(path: str | os.PathLike[str], *, max_bytes: int = DEFAULT_MAX_BYTES) -> bytes:
    """The bytes of one file, as `Item.open` reads them.

    Raises:
        ImageError: it is missing, empty, a folder, a pipe or a device, or larger than `max_bytes`.
    """
    path = os.fspath(path)
    try:
        status = os.stat(path)
        # A pipe would block, a device may never end.
        if not stat.S_ISREG(status.st_mode):
            what = "a folder" if stat.S_ISDIR(status.st_mode) else "not a regular file"
            raise ImageError(f"cannot be read ({what}): {shown(path)}")
        limits = Limits(max_bytes=max_bytes)
        limits.check_bytes(status.st_size)
        with open(path, "rb") as file:
            data = file.read(max_bytes + 1)
    except (OSError, ValueError) as error:
        raise ImageError(_why_missing(path, error)) from error
    limits.check_bytes(len(data))  # it may have changed since
    return data


def _items(paths: list[str], stdin: TextIO | None, max_bytes: int) -> Iterator[Item]:
    for path in paths:
        if path == "-" and stdin is not None:
            for line in _lines(stdin):
                yield from (_item(found, max_bytes) for found in _at(line))
        else:
            yield from (_item(found, max_bytes) for found in _at(path, globs=True))


def _at(path: str, *, globs: bool = False) -> Iterator[Found]:
    try:
        mode = os.stat(path).st_mode
    except (OSError, ValueError) as error:  # ValueError: a null byte in the path
        if globs and is_glob(path) and "://" not in path:
            yield from walk_glob(path)
        else:
            yield Found(path, _why_missing(path, error))
    else:
        yield from walk_folder(path) if stat.S_ISDIR(mode) else (Found(path),)


def _why_missing(path: str, error: OSError | ValueError) -> str:
    if "\0" in path:
        return "this is not a path: it has null bytes ('-' expects a list of paths, not an image)"
    if "://" in path:
        return f"only local files are read, and this is a URL: {shown(path)}"
    if isinstance(error, FileNotFoundError):
        what = "the link leads nowhere" if os.path.islink(path) else "no such file or folder"
        return f"{what}: {shown(path)}"
    return f"cannot be read ({reason(error)}): {shown(path)}"


def _item(found: Found, max_bytes: int) -> Item:
    opener = _Failed(found.problem) if found.problem is not None else _File(found.path, max_bytes)
    return Item(id=printable(found.path), uri=printable(os.path.abspath(found.path)), open=opener)


def _lines(stdin: TextIO) -> Iterator[str]:
    # Names of files are bytes; a list of them may be in no encoding at all.
    buffer = getattr(stdin, "buffer", None)
    lines: Iterable[str] = stdin if buffer is None else (os.fsdecode(line) for line in buffer)
    for line in lines:
        path = line.rstrip("\r\n")
        if path.strip():
            yield path


@dataclass(frozen=True)
class _Failed:
    problem: str

    def __call__(self) -> bytes:
        raise ImageError(self.problem)


@dataclass(frozen=True)
class _File:
    path: str
    max_bytes: int

    def __call__(self) -> bytes:
        return read_file(self.path, max_bytes=self.max_bytes)
