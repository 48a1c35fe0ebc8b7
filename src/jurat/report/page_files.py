"""Where evidence and pictures go: into the page while they are few, else into files beside it."""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from jurat.errors import JuratError
from jurat.report.bundle import to_json
from jurat.report.thumbnails import Thumbnail

CHUNK = 64
"""Items whose evidence is loaded together."""
ONE_FILE = 1000
"""Items that a page of one file holds; more go into files beside it."""


@dataclass(frozen=True)
class Place:
    """Where a page goes."""

    page: Path
    files: Path
    """The folder beside it, if it needs one."""
    apart: bool
    """Whether it is to have one in any case."""

    @classmethod
    def at(cls, out: Path) -> Place:
        """A name that ends in .html or .htm is the page; any other one is a folder for it."""
        if out.suffix.lower() in (".html", ".htm") and not out.is_dir():
            return cls(out, out.with_name(f"{out.stem}_files"), False)
        return cls(out / "index.html", out / "files", True)

    def check(self, *, overwrite: bool) -> None:
        """Raises:
        JuratError: it is there already.
        """
        for path in (self.page, self.files):
            if path.exists() and not overwrite:
                raise JuratError(f"{path} is there already.", hint="--overwrite replaces it.")
        if self.files.exists() and not _is_ours(self.files):
            raise JuratError(
                f"{self.files} holds other things than the data of a page.",
                hint="Name another place with --out.",
            )


_OURS = re.compile(r"columns\.js|items-\d+\.js|picture-\d+\.webp")


def _is_ours(folder: Path) -> bool:
    """Whether a folder holds what a page has beside it and nothing else: only such a one is ever replaced."""
    return folder.is_dir() and all(path.is_file() and _OURS.fullmatch(path.name) for path in folder.iterdir())


class Store:
    """Takes items in their order, then pictures. A context: what is written aside goes away with an error."""

    def __init__(self, place: Place) -> None:
        self.place = place
        self.apart = place.apart
        self.pictures: dict[int, list[int]] = {}
        """Of each row that has one: its width and height."""
        self.missing: dict[int, str] = {}
        """Of each row whose picture was looked for in vain: why."""
        self._aside = place.files.with_name(f".{place.files.name}.{os.getpid()}.partial")
        self._open: list[str] = []
        self._chunks: list[str] = []
        self._urls: dict[int, str] = {}
        self._items = 0

    def __enter__(self) -> Store:
        return self

    def __exit__(self, *_: object) -> None:
        shutil.rmtree(self._aside, ignore_errors=True)

    def add(self, item: dict[str, Any]) -> None:
        """The evidence of the next row."""
        self._open.append(to_json(item))
        self._items += 1
        if len(self._open) == CHUNK:
            self._close()
        if not self.apart and self._items > ONE_FILE:
            self.apart = True
            for number, chunk in enumerate(self._chunks):
                self._write_chunk(number, chunk)

    def add_picture(self, row: int, found: Thumbnail) -> None:
        if found.data is None:
            self.missing[row] = found.missing
            return
        self.pictures[row] = [found.width, found.height]
        if self.apart:
            self._write(f"picture-{row}.webp", found.data)
        else:
            self._urls[row] = found.url or ""

    def blocks(self, columns: dict[str, Any]) -> Iterator[tuple[str, str]]:
        """Names and JSON of what the page itself holds; writes what lies beside it."""
        self._close()
        told = columns | {
            "chunk": CHUNK,
            "pictures": self.pictures,
            "missing": self.missing,
            "files": self.place.files.name if self.apart else None,
        }
        if self.apart:
            self._write("columns.js", f'jurat.keep("columns",{to_json(told)});\n'.encode())
            return
        yield "columns", to_json(told)
        for number, chunk in enumerate(self._chunks):
            yield f"items-{number}", chunk
        for row, url in self._urls.items():
            yield f"picture-{row}", to_json(url)

    def commit(self) -> None:
        """Puts the folder in its place."""
        if self.place.files.exists() and _is_ours(self.place.files):
            shutil.rmtree(self.place.files)
        if self._aside.exists():
            self._aside.replace(self.place.files)

    def _close(self) -> None:
        if not self._open:
            return
        chunk = f"[{','.join(self._open)}]"
        if self.apart:
            self._write_chunk((self._items - 1) // CHUNK, chunk)
        else:
            self._chunks.append(chunk)
        self._open = []

    def _write_chunk(self, number: int, chunk: str) -> None:
        self._write(f"items-{number}.js", f'jurat.keep("items-{number}",{chunk});\n'.encode())

    def _write(self, name: str, data: bytes) -> None:
        self._aside.mkdir(parents=True, exist_ok=True)
        (self._aside / name).write_bytes(data)
