"""Writing files: whole or not at all, without replacing others, one process at a time; errors of one line."""

from __future__ import annotations

import os
import re
import secrets
from collections.abc import Callable, Generator
from contextlib import contextmanager, suppress
from errno import EINVAL, ENOLCK, ENOTDIR, ENOTSUP, EOPNOTSUPP
from pathlib import Path
from zlib import crc32

from jurat.errors import JuratError
from jurat.text import reason


def count_rows(count: int) -> str:
    """ "1 row is", "1,024 rows are"."""
    return "1 row is" if count == 1 else f"{count:,} rows are"


def exists_already(
    path: Path, hint: str = "Give another name, or --overwrite if the command has that option."
) -> JuratError:
    """The error for a file that must not be replaced."""
    return JuratError(f"{path} already exists and was not changed.", hint=hint)


def check_free(path: Path, *, overwrite: bool) -> None:
    """Checks an output path of a command that has --overwrite.

    Raises:
        JuratError: the path exists and is not to be replaced.
    """
    if path.exists() and not overwrite:
        raise exists_already(path, "--overwrite replaces it.")


@contextmanager
def file_errors(path: Path | str, rows: int | None = None) -> Generator[None]:
    """Turns errors of the file system into a JuratError of one line, which tells how many rows were kept."""
    try:
        yield
    except FileExistsError as error:
        raise exists_already(Path(path)) from error
    except OSError as error:
        kept = "" if rows is None else f"; {count_rows(rows)} whole in it"
        raise JuratError(f"{path} cannot be written: {reason(error)}{kept}.") from error


def make_folder(folder: Path) -> None:
    """Makes a folder and those above it, if need be."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except FileExistsError as error:
        raise NotADirectoryError(ENOTDIR, f"{folder} is not a folder") from error


def check_folder(folder: Path) -> None:
    """Raises JuratError where a folder can neither be written into nor made."""
    whole = folder.absolute()
    there = next(
        each for each in (whole, *whole.parents) if os.path.exists(each)
    )  # False of what may not be looked at
    if not there.is_dir():
        raise JuratError(f"{folder} cannot be written: {there} is not a folder.")
    if not os.access(there, os.W_OK | os.X_OK):
        raise JuratError(f"{folder} cannot be written: {there} is read-only.")


def file_name(text: str) -> str:
    """A name for a file or folder; no other text has it."""
    plain = re.sub(r"[^\w.-]+", "-", text)
    return plain if plain == text else f"{plain[:60]}-{crc32(text.encode()):08x}"


def beside(path: Path, suffix: str) -> Path:
    """A hidden name in the same folder that no other process uses."""
    return path.with_name(f".{path.name}.{os.getpid()}-{secrets.token_hex(4)}.{suffix}")


@contextmanager
def written_aside(path: Path, *, replace: bool = True) -> Generator[Path]:
    """A hidden name beside `path` to write to. When the block ends, the file is synced and renamed to `path`;
    when it raises, the file is removed and `path` stays as it was.

    Raises:
        FileExistsError: `path` exists and is not to be replaced.
    """
    aside = beside(path, "writing")
    try:
        yield aside
        with aside.open("rb+") as file:
            os.fsync(file.fileno())
        move(aside, path, replace=replace)
    finally:
        with suppress(OSError):
            aside.unlink(missing_ok=True)
    sync_folder(path.parent)


def write_whole(path: Path, text: str) -> None:
    """Writes a text file aside and renames it; makes its folder if need be."""
    make_folder(path.parent)
    with written_aside(path) as aside:
        aside.write_text(text, encoding="utf-8")


def move(source: Path, target: Path, *, replace: bool = False) -> None:
    """Renames within a folder.

    Raises:
        FileExistsError: `target` exists and is not to be replaced. Where the file system has hard links
            no other process can come in between.
    """
    if replace:
        source.replace(target)
        return
    try:
        os.link(source, target)
    except FileExistsError:
        raise
    except OSError:  # no hard links here
        if target.exists():
            raise FileExistsError(target) from None
        source.replace(target)
    else:
        source.unlink()


def move_to_free_name(source: Path, target: Path) -> Path:
    """Renames to `target`, or to `target-2`, `target-3` ... if that exists; returns the name it got."""
    name, number = target, 1
    while True:
        try:
            move(source, name)
            return name
        except FileExistsError:
            number += 1
            name = target.with_name(f"{target.name}-{number}")


def sync_folder(folder: Path) -> None:
    """Makes a rename in `folder` last through a power cut, where the system can."""
    with suppress(OSError):
        handle = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)


class Locked(Exception):
    """Another process holds a lock. `leftover` is the file to remove if that process was killed, on a file
    system without locks; else None."""

    def __init__(self, leftover: Path | None) -> None:
        super().__init__("locked by another process")
        self.leftover = leftover


_NO_LOCKS = frozenset((ENOTSUP, EOPNOTSUPP, ENOLCK, EINVAL))
"""What a file system without locks answers. ENOSYS is not among them: filelock handles that itself."""


def lock(path: Path, *, wait: bool = False) -> Callable[[], None]:
    """Locks a file, which is created if need be, and returns the function that unlocks it. The system unlocks
    it too when this process ends.

    On a file system without locks a second file, `NAME.held`, marks the lock while it is held; a caller that
    would `wait` continues without a lock there, since a killed process leaves that file behind.

    Raises:
        Locked: another process holds the lock, and the caller does not `wait`.
    """
    from filelock import FileLock, SoftFileLock, Timeout

    leftover = None
    held: FileLock | SoftFileLock = FileLock(path, timeout=-1 if wait else 0, thread_local=False)
    try:
        try:
            held.acquire()
        except OSError as error:
            if isinstance(error, Timeout) or error.errno not in _NO_LOCKS:
                raise
            if wait:
                return lambda: None
            leftover = path.with_name(f"{path.name}.held")
            held = SoftFileLock(leftover, timeout=0, thread_local=False)
            held.acquire()
    except Timeout:
        raise Locked(leftover) from None
    return held.release
