"""From a row of a table to an item: which column is the image, which is the id, and what is carried along."""

from __future__ import annotations

import ast
import json
import os
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeAlias, cast

from jurat.content import ImageError, Item, LazyImage, Opener
from jurat.errors import JuratError
from jurat.sources.base import MOST_TEXT, LeftOut, SourceOptions
from jurat.sources.conversations import ConversationColumns, images_in
from jurat.sources.inline_images import bytes_in, picture_in, without_pictures
from jurat.sources.openers import InMemory, LocalFile, RemoteObject, Unreadable, local_path
from jurat.sources.passed_over import PassedOver
from jurat.sources.private_hosts import NO_PRIVATE_HOSTS, PrivateHosts
from jurat.sources.uris import absolute, check_uri, name_of, scheme_of
from jurat.text import one_line, recorded, shown, storable

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

WITHIN = (
    "bytes", "b64_json", "base64", "path", "url", "src", "uri", "image_url", "image", "file_name",
)  # fmt: skip
"""Keys of an object in a cell that hold the image; the first of them that holds something is taken."""

_LONGEST_PATH, _LONGEST_NAME = 4096, 255
"""Characters of a path, and of a part of it; a longer text is none."""
_WRITTEN = re.compile(r"""\s*(\[\s*(["'{]|b['"]|\])|\{\s*["'}]|b["'])""")
"""How lists, objects and bytes begin that a text holds, as JSON or as Python writes them."""
_DEEPEST = 4
"""Objects in a cell, one inside another."""


Images: TypeAlias = Sequence[Opener | LazyImage] | Callable[[], Sequence[LazyImage]]
"""Images of one row, as `Item.images` takes them."""


@dataclass(frozen=True)
class TableRows:
    """How the rows of one table become items."""

    place: str
    """The table, as the user wrote it."""
    column: str
    id_column: str | None
    root: str
    max_bytes: int
    caption_column: str | None = None
    caption_named: bool = False
    """Whether the user named the column of captions."""
    conversation: ConversationColumns = field(default_factory=ConversationColumns)
    local: bool = False
    """Whether URIs are left unread."""
    private_hosts: PrivateHosts = NO_PRIVATE_HOSTS
    """The hosts of private addresses that URIs may lead to."""
    passed_over: PassedOver = field(default_factory=PassedOver, compare=False, repr=False)
    """Counts conversations that cannot be read."""

    @property
    def images_in_turns(self) -> bool:
        """Whether the images are parts of the conversation, since there is no column of images."""
        return self.column == self.conversation.turns

    @property
    def most_text(self) -> int:
        """Characters of a cell that may hold an image in base64."""
        return self.max_bytes * 4 // 3 + 4096

    @classmethod
    def of(
        cls,
        place: str,
        names: Sequence[str],
        options: SourceOptions,
        passed_over: PassedOver,
        images: Sequence[str] = (),
    ) -> TableRows:
        """Chooses the columns of a table that has these.

        Args:
            passed_over: counts conversations that cannot be read.
            images: columns that the file itself declares to be images.

        Raises:
            JuratError: it lacks a column that was named, or has none of the usual names.
        """
        lower = {name.lower(): name for name in reversed(names)}
        usual = next((lower[name] for name in USUAL if name in lower), None)
        conversation = ConversationColumns.of(names, options)
        column = options.column or next(iter(images), None) or usual or conversation.turns
        for named in (column, options.id_column, options.caption_column, *conversation.all):
            if named is not None and named not in names:
                raise _lacks(place, f"has no column {named!r}", names)
        if column is None:
            raise _lacks(place, "has no column with the usual name of images", names)
        # A URI's folder serves as well: what follows its last slash is left out.
        beside = name_of(place).rpartition("/")[0] if scheme_of(place) else os.path.dirname(place)
        root = options.root or beside
        usual = next((lower[name] for name in CAPTIONS if name in lower and lower[name] != column), None)
        caption = options.caption_column or usual
        return cls(
            place,
            column,
            options.id_column,
            root,
            options.max_bytes,
            caption,
            caption_named=options.caption_column is not None,
            conversation=conversation,
            passed_over=passed_over,
            local=options.local,
            private_hosts=options.private_hosts,
        )

    def item(
        self,
        number: int,
        row: Mapping[str, Any],
        images: Images | None = None,
    ) -> Item:
        """The item of a row.

        Args:
            number: of the row, from 0.
            row: may lack the image where `images` are given.
            images: that are read later, each or all of them.
        """
        where = f"{self.place}#{number}"
        id, uri = None, f"{absolute(self.place)}#{number}"
        if images is None:
            cell = row.get(self.column)
            cell = images_in(cell) if self.images_in_turns else _inside(cell)
            if (listed := _listed(cell)) is None:
                id, uri, opener = self.opener(cell, number, uri)
                images = (opener,)
            else:
                images = self._listed_images(listed, number)
        if self.id_column is not None:
            id = as_text(row.get(self.id_column))
            id = None if isinstance(id, LeftOut) else id
        left_out = (None if self.images_in_turns else self.column, self.id_column)
        columns = {
            storable(name): text
            for name, value in row.items()
            if name not in left_out and (text := as_text(value)) is not None
        }
        caption = columns.get(storable(self.caption_column or ""), "")
        if isinstance(caption, LeftOut):
            if self.caption_named:  # the image is not to be judged without it
                problem = f"row {number} of {shown(self.place)} has a caption that is too long: {caption}"
                images = (Unreadable(problem),)
            caption = ""
        try:
            turns = self.conversation.read(row, self.passed_over)
        except ImageError as error:
            images, turns = (Unreadable(f"row {number} of {shown(self.place)} has {error.message}"),), ()
        return Item(
            images, recorded(id or where), recorded(uri), caption.strip() or None, turns, columns=columns
        )

    def failed(self, number: int, problem: str) -> Item:
        """The item of a row that cannot be read."""
        where = f"{self.place}#{number}"
        return Item((Unreadable(problem),), recorded(where), recorded(f"{absolute(self.place)}#{number}"))

    def opener(self, cell: object, number: int, uri: str) -> tuple[str | None, str, Callable[[], bytes]]:
        """(id, uri, opener) of what a cell holds."""
        try:
            found = self._found(_inside(cell))
        except ImageError as error:
            return None, uri, Unreadable(f"row {number} of {shown(self.place)} has {error.message}")
        if isinstance(found, bytes):
            return None, uri, InMemory(found, self.max_bytes)
        uri, opener = _at(found, self.root, self.max_bytes, self.private_hosts)
        if self.local and isinstance(opener, RemoteObject):
            opener = Unreadable(f"it is not on this machine: {shown(uri)}")
        if found.isdecimal() and isinstance(opener, LocalFile) and not os.path.lexists(opener.path):
            what = f"row {number} of {shown(self.place)} has the number {found} in {self.column!r}, no path"
            opener = Unreadable(
                f"{what}; if it is the index of another row, whose image is meant, write that here"
            )
        return found, uri, opener

    def _found(self, cell: object) -> bytes | str:
        """The bytes, path or URI in a cell; ImageError, to follow "row 3 has", for one that has none."""
        column = repr(self.column)
        if isinstance(cell, LeftOut):
            raise ImageError(f"a text in {column} that is too long: {cell}")
        if isinstance(cell, list | tuple):
            data = bytes_in(cast("Sequence[object]", cell))
            cell = cell if data is None else data
        if isinstance(cell, bytes):
            return cell
        if cell is None or cell == "":
            raise ImageError(f"no image: {column} is empty")
        if isinstance(cell, dict):
            keys = ", ".join(
                repr(one_line(str(key), most=40)) for key in list(cast("dict[str, object]", cell))[:8]
            )
            raise ImageError(
                f"an object with the keys {keys} in {column}, none of which holds a path, URI or bytes:"
                f" {', '.join(WITHIN)}"
                if keys
                else f"no image: {column} is an empty object"
            )
        if not isinstance(cell, str):
            raise ImageError(f"{type(cell).__name__} in {column}, no path, URI or bytes")
        if (picture := picture_in(cell, self.max_bytes)) is not None:
            return picture
        if _is_too_long(cell):
            begin = one_line(cell[:40], most=24)
            told = f"{len(cell):,} characters that begin with {begin!r}"
            raise ImageError(f"a long text in {column}, no path, URI or bytes: {told}")
        return cell

    def _listed_images(self, cells: Sequence[object], number: int) -> Images:
        try:
            return self.images(cells, number)
        except ImageError as error:
            return (Unreadable(error.message),)

    def images(self, cells: Sequence[object], number: int) -> tuple[LazyImage, ...]:
        """The images of a row whose cell holds a list; ImageError where that is none, or too long."""
        if not cells:
            why = f"none in {self.column!r}" if self.images_in_turns else f"{self.column!r} is empty"
            raise ImageError(f"row {number} of {shown(self.place)} has no image: {why}")
        if len(cells) > MOST:
            raise ImageError(
                f"row {number} of {shown(self.place)} has {len(cells):,} images,"
                f" more than the limit of {MOST}"
            )
        place = f"{absolute(self.place)}#{number}"
        found = (self.opener(cell, number, f"{place}/{at}") for at, cell in enumerate(cells))
        return tuple(LazyImage(recorded(uri), opener) for _, uri, opener in found)


def _inside(cell: object) -> object:
    """What a cell holds: that of `{"bytes": ...}`, as `datasets` keeps images, of `{"url": ...}` and so on;
    also where these are written as text, in JSON or as Python prints them."""
    if isinstance(cell, str) and _WRITTEN.match(cell):
        cell = _read(cell)
    for _ in range(_DEEPEST):
        if not isinstance(cell, dict):
            break
        parts = cast("dict[str, object]", cell)
        there = [parts[key] for key in WITHIN if key in parts]
        if not there:
            break
        cell = next((part for part in there if part is not None and part != ""), None)
    return cell


def _read(text: str) -> object:
    """What a text is in JSON, or else in Python; the text where it is neither."""
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        pass
    try:
        return ast.literal_eval(text.strip())
    except (ValueError, SyntaxError, RecursionError, MemoryError):
        return text


def _listed(cell: object) -> Sequence[object] | None:
    """The parts of a cell that holds a list of images; None for one that holds none."""
    if not isinstance(cell, list | tuple):
        return None
    parts = cast("Sequence[object]", cell)
    return None if bytes_in(parts) is not None else parts


def _is_too_long(text: str) -> bool:
    """Whether a text is no path and no URI that anyone has, but content."""
    if len(text) > _LONGEST_PATH:
        return True
    return scheme_of(text) is None and any(
        len(part.encode("utf-8", "replace")) > _LONGEST_NAME for part in text.split("/")
    )


def _at(text: str, root: str, max_bytes: int, private_hosts: PrivateHosts) -> tuple[str, Callable[[], bytes]]:
    text = local_path(text) or text
    if scheme_of(text) is None and scheme_of(root) is not None:
        if ".." in text.split("/") or text.startswith("/"):
            return text, Unreadable(f"a path that leaves the table's folder: {shown(text)}")
        text = f"{root.rstrip('/')}/{text}"
    if scheme_of(text) is None:
        path = os.path.join(root, text)
        return os.path.abspath(path), LocalFile(path, max_bytes)
    problem = check_uri(text)
    return text, RemoteObject(text, max_bytes, private_hosts) if problem is None else Unreadable(problem)


def caption_in(columns: Mapping[str, str]) -> str | None:
    """The caption among carried columns, by its usual names; None where there is none."""
    lower = {name.lower(): name for name in reversed(list(columns))}
    return next((columns[lower[name]] for name in CAPTIONS if name in lower), None)


def as_text(value: Any) -> str | None:
    """A value of a column as the record carries it: text as it is, all else as JSON; no bytes, no null.

    A picture in it, as a data URL or in base64, is replaced by `...`, and what is longer than `MOST_TEXT`
    characters by a `LeftOut`.
    """
    if value is None or value == "" or isinstance(value, bytes | LeftOut):
        return value if isinstance(value, LeftOut) else None if value != "" else ""
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, default=_plain)
    text = storable(without_pictures(text))
    return text if len(text) <= MOST_TEXT else LeftOut.of(len(text))


def _plain(value: object) -> object:
    return None if isinstance(value, bytes) else str(value)


def _lacks(place: str, what: str, names: Sequence[str]) -> JuratError:
    listed = ", ".join(repr(name) for name in names[:20]) + (", ..." if len(names) > 20 else "")
    return JuratError(
        f"{shown(place)} {what}; it has {listed or 'none'}.",
        hint="Name the column of paths, URIs or bytes: --column NAME.",
    )
