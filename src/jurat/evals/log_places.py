"""Which files are logs of Inspect's; imports nothing that reads them."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from pathlib import Path

from jurat.errors import JuratError
from jurat.text import shown

LOG_SUFFIXES = (".eval", ".json")
_START = re.compile(rb'\s*\{\s*"version"\s*:\s*\d+\s*,\s*"status"\s*:')
"""How Inspect begins a log in JSON."""


def is_log(path: Path) -> bool:
    """Whether a file is a log, or a folder that is no run of `jurat judge` has one."""
    if path.is_dir():
        return not (path / "_run.json").exists() and next(_inside(path), None) is not None
    return path.suffix == ".eval" or (path.suffix == ".json" and _begins_as_log(path))


def log_paths(paths: Sequence[Path]) -> list[Path]:
    """The logs of files and folders, each once; what is named as a file is taken as a log.

    Raises:
        JuratError: a folder holds no log.
    """
    return list(dict.fromkeys(file.resolve() for path in paths for file in _files(path)))


def _files(path: Path) -> Iterator[Path]:
    if not path.is_dir():
        yield path
        return
    found = sorted(_inside(path))
    if not found:
        raise JuratError(f"The folder {shown(str(path))} holds no log.")
    yield from found


def _inside(folder: Path) -> Iterator[Path]:
    files = (path for suffix in LOG_SUFFIXES for path in folder.rglob(f"*{suffix}"))
    return (path for path in files if path.is_file() and is_log(path))


def _begins_as_log(path: Path) -> bool:
    try:
        with path.open("rb") as file:
            return _START.match(file.read(200)) is not None
    except OSError:
        return False
