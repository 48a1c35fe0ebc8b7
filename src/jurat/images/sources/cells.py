"""From a row of a table to an item: which column is the image, which is the id, and what is carried along."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, cast

from jurat.errors import JuratError
from jurat.images.errors import ImageError, printable, recorded, shown
from jurat.images.item import Item, Member, Members
from jurat.images.openers import SEVERAL, Failed, File, Held, Remote
from jurat.images.remote import check_uri, name_of, scheme_of
from jurat.images.sources.base import SourceOptions

USUAL = (
    "image", "img", "jpg", "jpeg", "png", "webp", "bytes", "image_bytes",
    "image_path", "img_path", "path", "file_name", "filename", "file_path", "file",
    "uri", "image_uri", "url", "image_url", "images", "image_paths", "image_urls",
    "video", "mp4", "video_path", "video_url",
)  # fmt: skip
"""Names that a column of images has, in any case; the first that a table has is taken, bytes before URLs."""

CAPTIONS = ("caption", "captions", "txt", "text", "alt_text", "alt", "title")
"""Names that a column of captions has, in any case; the first that a table has is taken."""

MOST = 64
"""Images of one item."""

_LONGEST_PATH = 4096
_JSON_LIST = re.compile(r'\s*\[\s*("|\])')


@dataclass(frozen=True)
class Cells:
    """How the rows of one table become items."""

    place: str
    """The table, as the user wrote it."""
    column: str
    id_column: str | None
    root: str
    max_bytes: int
    caption_column: str | None = None
    local: bool = False
    """Whether URIs are left unread."""

    @classmethod
    def of(
        cls, place: str, names: Sequence[str], options: SourceOptions, images: Sequence[str] = ()
    ) -> Cells:
        """Chooses the columns of a table that has these.

        Args:
            images: columns that the file itself declares to be images.

        Raises:
            JuratError: it lacks a column that was named, or has none of the usual names.
        """
        lower = {name.lower(): name for name in reversed(names)}
        usual = next((lower[name] for name in USUAL if name in lower), None)
        column = options.column or next(iter(images), None) or usual
        for named in (column, options.id_column, options.caption_column):
            if named is not None and named not in names:
                raise _lacks(place, f"has no column {named!r}", names)
        if column is None:
            raise _lacks(place, "has no column with the usual name of images", names)
        # A URI's folder serves as well: what follows its last slash is left out.
        beside = name_of(place).rpartition("/")[0] if scheme_of(place) else os.path.dirname(place)
        root = options.root or beside
        usual = next((lower[name] for name in CAPTIONS if name in lower and lower[name] != column), None)
        caption = options.caption_column or usual
        return cls(place, column, options.id_column, root, options.max_bytes, caption, options.local)

    def item(
        self,
        number: int,
        row: Mapping[str, Any],
        lazily: Callable[[], bytes] | None = None,
        members: Callable[[], tuple[Member, ...]] | None = None,
    ) -> Item:
        """The item of a row.

        Args:
            number: of the row, from 0.
            row: may lack the image where `lazily` or `members` is given.
            lazily: reads the image's bytes.
            members: finds the images of a row of several.
        """
        where = f"{self.place}#{number}"
        cell = row.get(self.column)
        id, uri, opener = None, _absolute(self.place) + f"#{number}", lazily
        if opener is None and members is None and (listed := _listed(cell)) is not None:
            try:
                members = Members(self.members(listed, number))
            except ImageError as error:
                opener = Failed(error.message)
        if members is not None:
            opener = Failed(SEVERAL)
        if opener is None:
            id, uri, opener = self.opener(cell, number, uri)
        if self.id_column is not None:
            given = row.get(self.id_column)
            id = None if given is None or given == "" else as_text(given)
        columns = {
            printable(name): text
            for name, value in row.items()
            if name not in (self.column, self.id_column) and (text := as_text(value)) is not None
        }
        caption = columns.get(printable(self.caption_column or ""), "").strip() or None
        return Item(recorded(id or where), recorded(uri), opener, columns, members=members, caption=caption)

    def failed(self, number: int, problem: str) -> Item:
        """The item of a row that cannot be read."""
        where = f"{self.place}#{number}"
        return Item(recorded(where), recorded(f"{_absolute(self.place)}#{number}"), Failed(problem))

    def opener(self, cell: object, number: int, uri: str) -> tuple[str | None, str, Callable[[], bytes]]:
        """(id, uri, opener) of what a cell holds."""
        if isinstance(cell, dict):  # as `datasets` keeps images
            parts = cast("dict[str, object]", cell)
            data = parts.get("bytes")
            cell = data if data is not None else parts.get("path")
        if isinstance(cell, bytes):
            return None, uri, Held(cell, self.max_bytes)
        if cell is None or cell == "":
            return (
                None,
                uri,
                Failed(f"row {number} of {shown(self.place)} has no image: {self.column!r} is empty"),
            )
        if not isinstance(cell, str) or len(cell) > _LONGEST_PATH:
            kind = "a long text" if isinstance(cell, str) else type(cell).__name__
            problem = (
                f"row {number} of {shown(self.place)} has {kind} in {self.column!r}, no path, URI or bytes"
            )
            return None, uri, Failed(problem)
        uri, opener = _at(cell, self.root, self.max_bytes)
        if self.local and isinstance(opener, Remote):
            opener = Failed(f"it is not on this machine: {shown(uri)}")
        return cell, uri, opener

    def members(self, cells: Sequence[object], number: int) -> tuple[Member, ...]:
        """The images of a row whose cell holds a list; ImageError where that is none, or too long."""
        if not cells:
            raise ImageError(f"row {number} of {shown(self.place)} has no image: {self.column!r} is empty")
        if len(cells) > MOST:
            raise ImageError(
                f"row {number} of {shown(self.place)} has {len(cells):,} images,"
                f" more than the limit of {MOST}"
            )
        place = f"{_absolute(self.place)}#{number}"
        found = (self.opener(cell, number, f"{place}/{at}") for at, cell in enumerate(cells))
        return tuple(Member(recorded(uri), opener) for _, uri, opener in found)


def _listed(cell: object) -> Sequence[object] | None:
    """The parts of a cell that holds a list; text may hold one in JSON. None for a cell that holds none."""
    if isinstance(cell, list | tuple):
        return cast("Sequence[object]", cell)
    if isinstance(cell, str) and _JSON_LIST.match(cell):
        try:
            told: object = json.loads(cell)
        except (ValueError, RecursionError):
            return None
        return cast("list[object]", told) if isinstance(told, list) else None
    return None


def _at(text: str, root: str, max_bytes: int) -> tuple[str, Callable[[], bytes]]:
    if scheme_of(text) == "file":
        text = text[len("file://") :]
    if scheme_of(text) is None and scheme_of(root) is not None:
        if ".." in text.split("/") or text.startswith("/"):
            return text, Failed(f"a path that leaves the table's folder: {shown(text)}")
        text = f"{root.rstrip('/')}/{text}"
    if scheme_of(text) is None:
        path = os.path.join(root, text)
        return os.path.abspath(path), File(path, max_bytes)
    problem = check_uri(text)
    return text, Remote(text, max_bytes) if problem is None else Failed(problem)


def caption_in(columns: Mapping[str, str]) -> str | None:
    """The caption among carried columns, by its usual names; None where there is none."""
    lower = {name.lower(): name for name in reversed(list(columns))}
    return next((columns[lower[name]] for name in CAPTIONS if name in lower), None)


def as_text(value: Any) -> str | None:
    """A value of a column as the record carries it: text as it is, all else as JSON; no bytes, no null."""
    if value is None or isinstance(value, bytes):
        return None
    if isinstance(value, str):
        return printable(value)
    return json.dumps(value, ensure_ascii=False, default=_plain)


def _plain(value: object) -> object:
    return None if isinstance(value, bytes) else str(value)


def _absolute(place: str) -> str:
    return place if scheme_of(place) else os.path.abspath(place)


def _lacks(place: str, what: str, names: Sequence[str]) -> JuratError:
    listed = ", ".join(repr(name) for name in names[:20]) + (", ..." if len(names) > 20 else "")
    return JuratError(
        f"{shown(place)} {what}; it has {listed or 'none'}.",
        hint="Name the column of paths, URIs or bytes: --column NAME.",
    )
