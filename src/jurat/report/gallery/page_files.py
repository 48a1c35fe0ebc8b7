"""Where evidence and pictures go: into the page while they are few, else into a folder beside it."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from jurat.errors import JuratError
from jurat.files import beside, check_free
from jurat.report.gallery.thumbnails import Thumbnail

CHUNK = 64
"""Items whose evidence is loaded together."""
ONE_FILE = 1000
"""Most items of a page that is one file; pages of more have a folder beside them."""


@dataclass(frozen=True)
class Place:
    """Output paths of a page."""

    page: Path
    files: Path
    """The folder beside the page, if it needs one."""
    apart: bool
    """Whether the page has that folder however few its items are."""

    @classmethod
    def at(cls, out: Path) -> Place:
        """A name that ends in .html or .htm is the page; any other one is a folder for it."""
        if out.suffix.lower() in (".html", ".htm") and not out.is_dir():
            return cls(out, out.with_name(f"{out.stem}_files"), False)
        return cls(out / "index.html", out / "files", True)

    def check(self, *, overwrite: bool) -> None:
        """Raises:
        JuratError: the page or its folder exists and is not to be replaced, or the folder holds other files.
        """
        for path in (self.page, self.files):
            check_free(path, overwrite=overwrite)
        if self.files.exists() and not _is_ours(self.files):
            raise JuratError(
                f"{self.files} holds other things than the data of a page.",
                hint="Name another place with --out.",
            )


_OURS = re.compile(r"columns\.js|items-\d+\.js|picture-\d+\.webp")


def _is_ours(folder: Path) -> bool:
    """Whether a folder holds only what pages put there. Other folders are never replaced."""
    return folder.is_dir() and all(path.is_file() and _OURS.fullmatch(path.name) for path in folder.iterdir())


def to_json(value: Any) -> str:
    """JSON that can stand inside a script element, whatever its texts hold."""
    text = json.dumps(value, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    return text.translate(_ESCAPES)


_ESCAPES = {ord(c): f"\\u{ord(c):04x}" for c in "<>&\u2028\u2029"}


class Store:
    """Evidence and pictures of a page's rows, added in order. A context manager: files written aside are
    removed unless `commit` was called."""

    def __init__(self, place: Place) -> None:
        self.place = place
        self.apart = place.apart
        self.pictures: dict[int, list[int]] = {}
        """Row -> width and height of its picture."""
        self.missing: dict[int, str] = {}
        """Row -> why it has no picture."""
        self._aside = beside(place.files, "partial")
        self._open: list[str] = []
        self._chunks: list[str] = []
        self._urls: dict[int, str] = {}
        self._items = 0

    def __enter__(self) -> Store:
        return self

    def __exit__(self, *_: object) -> None:
        shutil.rmtree(self._aside, ignore_errors=True)

    def add(self, item: Mapping[str, Any]) -> None:
        """Adds the evidence of the next row."""
        self._open.append(to_json(item))
        self._items += 1
        if len(self._open) == CHUNK:
            self._close()
        if not self.apart and self._items > ONE_FILE:
            self.apart = True
            for number, chunk in enumerate(self._chunks):
                self._write_data(f"items-{number}", chunk)

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
        """Names and JSON of the data in the page itself. Data beside the page is written on the way."""
        self._close()
        columns = columns | {
            "chunk": CHUNK,
            "pictures": self.pictures,
            "missing": self.missing,
            "files": self.place.files.name if self.apart else None,
        }
        if self.apart:
            self._write_data("columns", to_json(columns))
            return
        yield "columns", to_json(columns)
        for number, chunk in enumerate(self._chunks):
            yield f"items-{number}", chunk
        for row, url in self._urls.items():
            yield f"picture-{row}", to_json(url)

    def commit(self) -> None:
        """Moves the folder into its place, over that of an earlier page."""
        if self.place.files.exists() and _is_ours(self.place.files):
            shutil.rmtree(self.place.files)
        if self._aside.exists():
            self._aside.replace(self.place.files)

    def _close(self) -> None:
        if not self._open:
            return
        chunk = f"[{','.join(self._open)}]"
        if self.apart:
            self._write_data(f"items-{(self._items - 1) // CHUNK}", chunk)
        else:
            self._chunks.append(chunk)
        self._open = []

    def _write_data(self, name: str, data: str) -> None:
        self._write(f"{name}.js", f'jurat.keep("{name}",{data});\n'.encode())

    def _write(self, name: str, data: bytes) -> None:
        self._aside.mkdir(parents=True, exist_ok=True)
        (self._aside / name).write_bytes(data)
