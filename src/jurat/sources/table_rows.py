"""Converts rows of tables to items, by the columns of image, id, texts and other values."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeAlias

from jurat.content import ImageError, Item, LazyImage, Opener
from jurat.errors import JuratError
from jurat.sources.cells import as_text, image_in, image_list, unwrap
from jurat.sources.conversations import ConversationColumns, images_in
from jurat.sources.openers import InMemory, LocalFile, RemoteObject, Unreadable, local_path
from jurat.sources.passed_over import PassedOver
from jurat.sources.protocol import OmittedText, SourceOptions
from jurat.sources.uris import absolute, check_uri, name_of, scheme_of
from jurat.text import recorded, shown, storable

IMAGES = (
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

Images: TypeAlias = Sequence[Opener | LazyImage] | Callable[[], Sequence[LazyImage]]
"""Images of one row, as `Item.images` takes them."""


@dataclass(frozen=True)
class TableRows:
    """Converts the rows of one table to items."""

    place: str
    """The table, as the user wrote it."""
    options: SourceOptions
    column: str = ""
    """The column of the images."""
    caption_column: str | None = None
    conversation: ConversationColumns = field(default_factory=ConversationColumns)
    passed_over: PassedOver = field(default_factory=PassedOver, compare=False, repr=False)
    """Counts conversations that cannot be read."""

    @classmethod
    def of(
        cls,
        place: str,
        names: Sequence[str],
        options: SourceOptions,
        passed_over: PassedOver,
        images: Sequence[str] = (),
    ) -> TableRows:
        """Chooses among the columns of a table.

        Args:
            names: of its columns.
            images: columns that the file itself declares to be images.

        Raises:
            JuratError: it lacks a column that was named, or has no images under any of the usual names.
        """
        lower = {name.lower(): name for name in reversed(names)}
        usual = next((lower[name] for name in IMAGES if name in lower), None)
        conversation = ConversationColumns.of(names, options)
        column = options.column or next(iter(images), None) or usual or conversation.turns
        for named in (column, options.id_column, options.caption_column, *conversation.all):
            if named is not None and named not in names:
                raise _lacks(place, f"has no column {named!r}", names)
        if column is None:
            raise _lacks(place, "has no column with the usual name of images", names)
        usual = next((lower[name] for name in CAPTIONS if name in lower and lower[name] != column), None)
        return cls(place, options, column, options.caption_column or usual, conversation, passed_over)

    @property
    def images_in_turns(self) -> bool:
        """Whether the images are parts of the conversation, since there is no column of images."""
        return self.column == self.conversation.turns

    @property
    def most_text(self) -> int:
        """Most characters of a cell that may hold an image in base64."""
        return self.options.max_bytes * 4 // 3 + 4096

    @property
    def root(self) -> str:
        """The folder in which relative paths begin."""
        if self.options.root:
            return self.options.root
        if scheme_of(self.place) is None:
            return os.path.dirname(self.place)
        return name_of(self.place).rpartition("/")[0]  # up to the last slash of a URI

    def item(self, number: int, row: Mapping[str, Any], images: Images | None = None) -> Item:
        """The item of a row.

        Args:
            number: of the row, from 0.
            row: may lack the image where `images` are given.
            images: that are read later, each or all of them.
        """
        id, uri = None, self._uri(number)
        if images is None:
            id, uri, images = self._images(row, number)
        options = self.options
        if options.id_column is not None:
            id = as_text(row.get(options.id_column))
            id = None if isinstance(id, OmittedText) else id
        left_out = (None if self.images_in_turns else self.column, options.id_column)
        columns = {
            storable(name): text
            for name, value in row.items()
            if name not in left_out and (text := as_text(value)) is not None
        }
        caption, problem = columns.get(storable(self.caption_column or ""), ""), None
        if isinstance(caption, OmittedText):
            # An image is not judged without the caption that the user named.
            problem = None if options.caption_column is None else f"a caption that is too long: {caption}"
            caption = ""
        try:
            turns = self.conversation.read(row, self.passed_over)
        except ImageError as error:
            problem, turns = error.message, ()
        if problem is not None:
            images = (Unreadable(f"{self._row(number)} has {problem}"),)
        id = recorded(id or f"{self.place}#{number}")
        return Item(images, id, recorded(uri), caption.strip() or None, turns, columns)

    def failed(self, number: int, problem: str) -> Item:
        """The item of a row that cannot be read."""
        return Item((Unreadable(problem),), recorded(f"{self.place}#{number}"), recorded(self._uri(number)))

    def images(self, cells: Sequence[object], number: int) -> tuple[LazyImage, ...]:
        """The images of a row whose cell holds a list. Raises ImageError where it is empty or too long."""
        if not cells:
            why = f"none in {self.column!r}" if self.images_in_turns else f"{self.column!r} is empty"
            raise ImageError(f"{self._row(number)} has no image: {why}")
        if len(cells) > MOST:
            raise ImageError(f"{self._row(number)} has {len(cells):,} images, more than the limit of {MOST}")
        found = (self.opener(cell, number, f"{self._uri(number)}/{at}") for at, cell in enumerate(cells))
        return tuple(LazyImage(recorded(uri), opener) for _, uri, opener in found)

    def opener(self, cell: object, number: int, uri: str) -> tuple[str | None, str, Opener]:
        """(id, URI, opener) of the image in a cell; `uri` is that of bytes in it."""
        try:
            found = image_in(unwrap(cell), self.column, self.options.max_bytes)
        except ImageError as error:
            return None, uri, Unreadable(f"{self._row(number)} has {error.message}")
        if isinstance(found, bytes):
            return None, uri, InMemory(found, self.options.max_bytes)
        uri, opener = self._open_at(found)
        if found.isdecimal() and isinstance(opener, LocalFile) and not os.path.lexists(opener.path):
            opener = Unreadable(
                f"{self._row(number)} has the number {found} in {self.column!r}, no path; if it is the index"
                " of another row, whose image is meant, write that here"
            )
        return found, uri, opener

    def _images(self, row: Mapping[str, Any], number: int) -> tuple[str | None, str, Images]:
        """(id, URI, images) of a row."""
        cell = row.get(self.column)
        cells = images_in(cell) if self.images_in_turns else image_list(unwrap(cell))
        if cells is None:
            id, uri, opener = self.opener(cell, number, self._uri(number))
            return id, uri, (opener,)
        try:
            return None, self._uri(number), self.images(cells, number)
        except ImageError as error:
            return None, self._uri(number), (Unreadable(error.message),)

    def _open_at(self, text: str) -> tuple[str, Opener]:
        """(path or URI, opener) of what a text names."""
        text, root, options = local_path(text) or text, self.root, self.options
        if scheme_of(text) is None and scheme_of(root) is not None:
            if ".." in text.split("/") or text.startswith("/"):
                return text, Unreadable(f"a path that leaves the table's folder: {shown(text)}")
            text = f"{root.rstrip('/')}/{text}"
        if scheme_of(text) is None:
            path = os.path.join(root, text)
            return os.path.abspath(path), LocalFile(path, options.max_bytes)
        if (problem := check_uri(text)) is not None:
            return text, Unreadable(problem)
        if options.local:
            return text, Unreadable(f"it is not on this machine: {shown(text)}")
        return text, RemoteObject(text, options.max_bytes, options.private_hosts)

    def _uri(self, number: int) -> str:
        return f"{absolute(self.place)}#{number}"

    def _row(self, number: int) -> str:
        return f"row {number} of {shown(self.place)}"


def caption_in(columns: Mapping[str, str]) -> str | None:
    """The caption among carried columns, by its usual names; None where there is none."""
    lower = {name.lower(): name for name in reversed(list(columns))}
    return next((columns[lower[name]] for name in CAPTIONS if name in lower), None)


def _lacks(place: str, what: str, names: Sequence[str]) -> JuratError:
    listed = ", ".join(repr(name) for name in names[:20]) + (", ..." if len(names) > 20 else "")
    return JuratError(
        f"{shown(place)} {what}; it has {listed or 'none'}.",
        hint="Name the column of paths, URIs or bytes: --column NAME.",
    )
