"""A JSON Lines file to which rows are appended atomically."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any, BinaryIO, Self


class LineFile:
    """Adds lines to a file. Each is flushed; one that could be written only in part is taken back."""

    def __init__(self, path: Path, file: BinaryIO, lines: int = 0, size: int = 0) -> None:
        self.path = path
        self.lines = lines
        """Whole lines in the file."""
        self.size = size
        """Bytes up to the end of the last one."""
        self._file = file

    @classmethod
    def continued(cls, path: Path) -> Self:
        """Opens a file to add to it; a last line that was not finished is cut off."""
        file = path.open("ab+")
        file.seek(0)
        lines = size = 0
        for line in file:
            if line.endswith(b"\n"):
                lines, size = lines + 1, size + len(line)
        file.truncate(size)
        file.seek(0, os.SEEK_END)
        return cls(path, file, lines, size)

    def write(self, line: bytes) -> None:
        """Adds a line. Raises OSError where it cannot be written; the file is closed then."""
        try:
            self._file.write(line)
            self._file.flush()
        except OSError:
            # Closing tries once more to write what is in the buffer; whatever comes of it is then cut off.
            with suppress(OSError):
                self.close()
            with suppress(OSError):
                os.truncate(self.path, self.size)
            raise
        self.lines += 1
        self.size += len(line)

    def sync(self) -> None:
        """Flushes the file to the disk."""
        os.fsync(self._file.fileno())

    def close(self) -> None:
        """Raises OSError where that fails: some network shares report only then that a line is lost."""
        self._file.close()


def lines_in(path: Path) -> Iterator[dict[str, Any]]:
    """The rows of the whole lines. Raises OSError or ValueError where they cannot be read."""
    with path.open("rb") as file:
        for line in file:
            if line.endswith(b"\n"):
                yield json.loads(line)
