"""The protocol of sources (files that hold many items), their options and errors."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from typing import BinaryIO, Protocol, Self

from jurat.content import ImageError, Item
from jurat.errors import JuratError
from jurat.media.limits import DEFAULT_MAX_BYTES
from jurat.sources.openers import Unreadable, open_regular, why_missing
from jurat.sources.passed_over import PassedOver
from jurat.sources.private_hosts import NO_PRIVATE_HOSTS, PrivateHosts
from jurat.sources.remote import open_uri, stamp_uri
from jurat.sources.uris import absolute, scheme_of
from jurat.text import recorded, shown

MOST_TEXT = 1 << 18
"""Most characters of a text that an item carries; a longer one is replaced by a `OmittedText`."""


class OmittedText(str):
    """Placeholder for a text that is too long to copy into a record."""

    @classmethod
    def of(cls, size: int, unit: str = "characters") -> Self:
        """The placeholder for a text of this size."""
        return cls(f"(left out: {size:,} {unit}, more than the limit of {MOST_TEXT:,})")


@dataclass(frozen=True)
class SourceOptions:
    """How the rows of tables are read."""

    column: str | None = None
    """The column of paths, URIs or bytes; None looks for one by its usual names. For tar shards, the suffix
    of the members that are images."""
    id_column: str | None = None
    """The column of the items' ids."""
    root: str | None = None
    """Where relative paths in a table begin; None is the table's own folder."""
    max_bytes: int = DEFAULT_MAX_BYTES
    """Larger files are refused before they are read."""
    caption_column: str | None = None
    """The column of captions; None looks for one by its usual names, and does without."""
    conversation_column: str | None = None
    """The column of lists of turns, each with its role and content; None as for captions."""
    prompt_column: str | None = None
    """The column of prompts; None as for captions."""
    response_column: str | None = None
    """The column of responses; None as for captions."""
    local: bool = False
    """Whether URIs in tables are left unread."""
    allow_private_hosts: bool = False
    """Whether http(s):// URIs in tables and lists, and redirects, may lead to this machine and to private
    networks."""
    named_hosts: frozenset[tuple[str, int]] = frozenset()
    """(host, port) of private hosts that are allowed all the same, since the user typed them."""

    @property
    def private_hosts(self) -> PrivateHosts:
        """The private hosts that may be connected to."""
        return PrivateHosts(self.allow_private_hosts, self.named_hosts)


class Source(Protocol):
    """A file that holds items."""

    def items(self, passed_over: PassedOver) -> Iterator[Item]:
        """In the file's order. What is wrong with a row is an item that raises ImageError when it is read.

        Args:
            passed_over: counts what is in the file and no item.

        Raises:
            ImageError: the file, or the rest of it, cannot be read.
            JuratError: it has no column of the name that was given.
        """
        ...

    def count(self) -> int | None:
        """Number of items; None if counting would take a pass over the file."""
        ...


@dataclass
class FileSource:
    """A source in one file, at a path or URI; nothing is read before its items are taken."""

    place: str
    options: SourceOptions

    def open(self) -> BinaryIO:
        """Opens the file, seekable. Raises ImageError with the reason if that fails."""
        return open_place(self.place, self.options.private_hosts)

    def count(self) -> int | None:
        return None


class SourceChanged(JuratError):
    """A file or folder changed, or went away, while it was being read."""


def unreadable(place: str, problem: str) -> Item:
    """The item for a file of items that cannot be read, or not to its end."""
    return Item((Unreadable(problem),), recorded(place), recorded(absolute(place)))


def open_place(place: str, private_hosts: PrivateHosts = NO_PRIVATE_HOSTS) -> BinaryIO:
    """Opens a path or a URI as a seekable file. Raises ImageError with the reason if that fails."""
    if scheme_of(place) is not None:
        return open_uri(place, private_hosts)
    try:
        return open_regular(place)
    except (OSError, ValueError) as error:
        raise ImageError(why_missing(place, error)) from error


def stamp(place: str, private_hosts: PrivateHosts = NO_PRIVATE_HOSTS) -> tuple[object, ...] | None:
    """The size and time of a file, which change when it is written."""
    if scheme_of(place) is not None:
        return stamp_uri(place, private_hosts)
    try:
        status = os.stat(place)
    except OSError:
        return None
    return status.st_size, status.st_mtime_ns


def unchanged(
    place: str, items: Iterator[Item], private_hosts: PrivateHosts = NO_PRIVATE_HOSTS
) -> Iterator[Item]:
    """The items of a file as long as the file stays as it is.

    Raises:
        SourceChanged: it was written to, replaced or taken away while it was read.
    """
    local = scheme_of(place) is None
    before = stamp(place, private_hosts)

    def check() -> None:
        if stamp(place, private_hosts) != before:
            raise SourceChanged(
                f"{shown(place)} changed, or went away, while it was being read.",
                hint="Verdicts so far are kept. Once the file no longer changes, rerun the same command.",
            )

    try:
        for item in items:
            if local:  # a question to a server for every row would be too many
                check()
            yield item
    except Exception:
        check()
        raise
    check()
