"""The ways to an item's bytes; all can be pickled, so that a worker may read what another process found."""

from __future__ import annotations

import os
import stat
from dataclasses import dataclass

from jurat.images.errors import ImageError, reason, shown
from jurat.images.limits import DEFAULT_MAX_BYTES, Limits

SEVERAL = "it has several images, which are read by Item.read"
"""Why there are no bytes of an item of several images."""


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
        raise ImageError(why_missing(path, error)) from error
    limits.check_bytes(len(data))  # it may have changed since
    return data


def why_missing(path: str, error: OSError | ValueError) -> str:
    """One line on why there is nothing at a path."""
    if "\0" in path:
        return "this is not a path: it has null bytes ('-' expects a list of paths, not an image)"
    if isinstance(error, FileNotFoundError):
        what = "the link leads nowhere" if os.path.islink(path) else "no such file or folder"
        return f"{what}: {shown(path)}"
    return f"cannot be read ({reason(error)}): {shown(path)}"


@dataclass(frozen=True)
class Failed:
    """Nothing to read, and why."""

    problem: str

    def __call__(self) -> bytes:
        raise ImageError(self.problem)


@dataclass(frozen=True)
class File:
    """A file on this machine."""

    path: str
    max_bytes: int = DEFAULT_MAX_BYTES

    def __call__(self) -> bytes:
        return read_file(self.path, max_bytes=self.max_bytes)


@dataclass(frozen=True)
class Slice:
    """A part of a file: a member of an archive that is not compressed."""

    path: str
    start: int
    size: int
    max_bytes: int = DEFAULT_MAX_BYTES

    def __call__(self) -> bytes:
        Limits(max_bytes=self.max_bytes).check_bytes(self.size)
        try:
            with open(self.path, "rb") as file:
                file.seek(self.start)
                data = file.read(self.size)
        except OSError as error:
            raise ImageError(why_missing(self.path, error)) from error
        if len(data) < self.size:
            raise ImageError(f"{shown(self.path)} ends within it: the archive is cut off")
        return data


@dataclass(frozen=True)
class Held:
    """Bytes that were read already."""

    data: bytes
    max_bytes: int = DEFAULT_MAX_BYTES

    def __call__(self) -> bytes:
        Limits(max_bytes=self.max_bytes).check_bytes(len(self.data))
        return self.data


@dataclass(frozen=True)
class Remote:
    """An object behind a URI."""

    uri: str
    max_bytes: int = DEFAULT_MAX_BYTES

    def __call__(self) -> bytes:
        from jurat.images.remote import read_uri

        return read_uri(self.uri, max_bytes=self.max_bytes)
