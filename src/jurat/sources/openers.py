"""Functions that read an image's bytes. All can be pickled, so that another process may call them."""

from __future__ import annotations

import os
import re
import stat
from dataclasses import dataclass
from functools import lru_cache
from typing import BinaryIO
from unicodedata import normalize
from urllib.parse import unquote

from jurat.content import ImageError
from jurat.media.limits import DEFAULT_MAX_BYTES, Limits
from jurat.sources.private_hosts import NO_PRIVATE_HOSTS, PrivateHosts
from jurat.sources.remote import read_uri
from jurat.text import reason, shown


def read_file(path: str | os.PathLike[str], *, max_bytes: int = DEFAULT_MAX_BYTES) -> bytes:
    """The bytes of one file, as `Item.read` reads them.

    Raises:
        ImageError: it is missing, empty, a folder, a pipe or a device, or larger than `max_bytes`.
    """
    path = os.fspath(path)
    limits = Limits(max_bytes=max_bytes)
    try:
        with open_regular(path) as file:
            limits.check_bytes(os.fstat(file.fileno()).st_size)
            data = file.read(max_bytes + 1)
    except FileNotFoundError as error:
        same = same_names(path)
        if len(same) != 1 or same[0] == path:
            raise ImageError(why_missing(path, error)) from error
        return read_file(same[0], max_bytes=max_bytes)
    except (OSError, ValueError) as error:
        raise ImageError(why_missing(path, error)) from error
    limits.check_bytes(len(data))  # it may have changed since
    return data


def open_regular(path: str) -> BinaryIO:
    """Opens a file for reading.

    Raises:
        ImageError: it is a folder, or a pipe or a device, which might never answer.
    """
    # Without O_NONBLOCK the call itself waits until someone writes to a pipe.
    file = os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0))
    mode = os.fstat(file).st_mode
    if stat.S_ISREG(mode):
        return os.fdopen(file, "rb")
    os.close(file)
    what = "a folder" if stat.S_ISDIR(mode) else "not a regular file"
    raise ImageError(f"cannot be read ({what}): {shown(path)}")


def why_missing(path: str, error: OSError | ValueError) -> str:
    """One line that says why a path cannot be read."""
    if "\0" in path:
        return "this is not a path: it has null bytes ('-' expects a list of paths, not an image)"
    if isinstance(error, FileNotFoundError):
        what = "the link leads nowhere" if os.path.islink(path) else "no such file or folder"
        alike = len(same_names(path))
        more = (
            f" ({alike} files are there whose names look the same, in other Unicode forms)" if alike else ""
        )
        return f"{what}: {shown(path)}{more}"
    return f"cannot be read ({reason(error)}): {shown(path)}"


def same_names(path: str) -> list[str]:
    """The paths that exist and read the same as one that does not: the same letters in other Unicode forms.

    Some systems write an accent as a character of its own, some do not; archives carry names between them.
    """
    if path.isascii():
        return []
    found = ["/" if path.startswith("/") else ""]
    for part in filter(None, path.split("/")):
        below = [os.path.join(folder, name) for folder in found for name in _alike(folder, part)]
        found = below[:_MOST_ALIKE]
    return found


_MOST_ALIKE = 8


def _alike(folder: str, name: str) -> list[str]:
    if os.path.lexists(os.path.join(folder, name)):
        return [name]
    try:
        changed = os.stat(folder or os.curdir).st_mtime_ns
        return (
            [] if name.isascii() else _by_form(folder or os.curdir, changed).get(normalize("NFC", name), [])
        )
    except OSError:
        return []


@lru_cache(maxsize=4)
def _by_form(folder: str, changed: int) -> dict[str, list[str]]:
    """Names in a folder that are not ASCII, by their composed Unicode form; `changed` is its time stamp."""
    names: dict[str, list[str]] = {}
    for name in os.listdir(folder):
        if not name.isascii():
            names.setdefault(normalize("NFC", name), []).append(name)
    return names


def local_path(uri: str) -> str | None:
    """The path that a file URI names; None for what is no file URI.

    Its text may be a path as it stands, since a name may hold a real `%20`, or be percent-encoded.
    """
    found = _FILE_URI.fullmatch(uri)
    if found is None:
        return None
    host, path = found.groups()
    if host is not None and host.lower() not in ("", "localhost"):
        path = host + path  # `file://a.png` is a relative path: no URI by the standard, but people write it
    return path if os.path.lexists(path) else unquote(path)


_FILE_URI = re.compile(r"file:(?=/)(?://([^/]*))?(.*)", re.IGNORECASE | re.DOTALL)


@dataclass(frozen=True)
class Unreadable:
    """Raises the reason why an image cannot be read."""

    problem: str

    def __call__(self) -> bytes:
        raise ImageError(self.problem)


@dataclass(frozen=True)
class LocalFile:
    """A file on this machine."""

    path: str
    max_bytes: int = DEFAULT_MAX_BYTES

    def __call__(self) -> bytes:
        return read_file(self.path, max_bytes=self.max_bytes)


@dataclass(frozen=True)
class FilePart:
    """A part of a file: a member of an archive that is not compressed."""

    path: str
    start: int
    size: int
    max_bytes: int = DEFAULT_MAX_BYTES

    def __call__(self) -> bytes:
        Limits(max_bytes=self.max_bytes).check_bytes(self.size)
        try:
            with open_regular(self.path) as file:
                file.seek(self.start)
                data = file.read(self.size)
        except OSError as error:
            raise ImageError(why_missing(self.path, error)) from error
        if len(data) < self.size:
            raise ImageError(f"{shown(self.path)} ends within it: the archive is cut off")
        return data


@dataclass(frozen=True)
class InMemory:
    """Bytes in memory."""

    data: bytes
    max_bytes: int = DEFAULT_MAX_BYTES

    def __call__(self) -> bytes:
        Limits(max_bytes=self.max_bytes).check_bytes(len(self.data))
        return self.data


@dataclass(frozen=True)
class RemoteObject:
    """An object behind a URI."""

    uri: str
    max_bytes: int = DEFAULT_MAX_BYTES
    private_hosts: PrivateHosts = NO_PRIVATE_HOSTS
    """The private hosts that it may lead to."""

    def __call__(self) -> bytes:
        return read_uri(self.uri, max_bytes=self.max_bytes, private_hosts=self.private_hosts)
