"""Reads items ahead of judging, many URIs at a time; stops if a source folder disappears."""

from __future__ import annotations

import os
import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future
from dataclasses import dataclass, field, replace
from itertools import chain
from queue import SimpleQueue

from jurat.content import ImageError, Item, LazyImage, Opener
from jurat.content.item import read_images
from jurat.sources.openers import InMemory, RemoteObject, Unreadable
from jurat.sources.protocol import SourceChanged, SourceOptions
from jurat.sources.uris import scheme_of
from jurat.text import shown

WORKERS = 16
"""Objects read at once."""
AHEAD, AHEAD_BYTES = 48, 1 << 30
"""Most objects, and about how many bytes, that are read before the first of them is judged."""
_POLL_SECONDS = 0.2
_READER = "jurat-reader"
_FIRST = 4
"""Objects read ahead before their size is known."""


@dataclass(frozen=True)
class SourceFolders:
    """The folders of the items, identified as they were when the run began."""

    identities: dict[str, tuple[int, int]] = field(default_factory=dict[str, tuple[int, int]])

    @classmethod
    def of(cls, paths: Iterable[str], options: SourceOptions) -> SourceFolders:
        """The folders among `paths`, and those that hold files among them."""
        folders: set[str] = set() if options.root is None else {options.root}
        for path in paths:
            if scheme_of(path) is None and os.path.exists(path):
                folders.add(path if os.path.isdir(path) else os.path.dirname(path) or os.curdir)
        found = {folder: _identity(folder) for folder in folders if scheme_of(folder) is None}
        return cls({folder: identity for folder, identity in found.items() if identity is not None})

    def check(self) -> None:
        """Raises SourceChanged where a folder is gone, or another one was mounted in its place."""
        for folder, identity in self.identities.items():
            if _identity(folder) != identity:
                raise SourceChanged(
                    f"{shown(folder)} is not there any more.",
                    hint="Verdicts so far are kept. Once it is back, rerun the same command.",
                )


def read_ahead(
    items: Iterable[Item], roots: SourceFolders, *, stopped: Callable[[], bool] = lambda: False
) -> Iterator[Item]:
    """The items in their order, with their bytes in memory, or with the reason why they cannot be read.

    Args:
        stopped: asked while waiting for a server; once it is true, there are no more items.

    Raises:
        SourceChanged: an item could not be read, and the folder that it was found in is gone.
    """
    ahead: deque[Future[Item]] = deque()
    readers = _Readers()
    room = _FIRST
    try:
        for item in chain(items, (None,)):
            remote = item is not None and _is_remote(item)
            if item is not None and remote:
                ahead.append(readers.submit(item))
            # What comes before an item that is read here, or before the end, is given first.
            while len(ahead) >= (room if remote else 1):
                if (read := _awaited(ahead.popleft(), stopped)) is None:
                    return
                room = _room(room, read)
                yield read
            if item is not None and not remote:
                read = _read(item)
                if any(isinstance(opener, Unreadable) for opener in _openers(read)):
                    roots.check()
                yield read
    finally:
        readers.close()


def _awaited(future: Future[Item], stopped: Callable[[], bool]) -> Item | None:
    """The item that was read; None once `stopped` is true."""
    while not stopped():
        try:
            return future.result(_POLL_SECONDS)
        except TimeoutError:
            continue
    return None


def at_work() -> bool:
    """Whether a prefetch thread is running, possibly left over from a run that stopped."""
    return any(thread.name == _READER for thread in threading.enumerate())


class _Readers:
    """Daemon threads that read items. The process exits without waiting for them, since a read may hang for
    minutes; it would wait for those of an executor."""

    def __init__(self) -> None:
        self._work: SimpleQueue[tuple[Item, Future[Item]] | None] = SimpleQueue()
        self._threads = 0
        self._closed = False

    def submit(self, item: Item) -> Future[Item]:
        """Reads an item when a thread is free."""
        future: Future[Item] = Future()
        self._work.put((item, future))
        if self._threads < WORKERS:
            self._threads += 1
            threading.Thread(target=self._run, name=_READER, daemon=True).start()
        return future

    def close(self) -> None:
        """Ends each thread after the item that it is reading."""
        self._closed = True
        for _ in range(self._threads):
            self._work.put(None)

    def _run(self) -> None:
        while (work := self._work.get()) is not None:
            item, future = work
            if not self._closed:
                try:
                    future.set_result(_read(item))
                except BaseException as error:  # whoever waits for it is to know
                    future.set_exception(error)


def _room(room: int, read: Item) -> int:
    """How many objects of this one's size may be read ahead; it shrinks at once, and doubles at most."""
    size = sum(len(opener.data) for opener in _openers(read) if isinstance(opener, InMemory))
    return max(1, min(AHEAD, room * 2, AHEAD_BYTES // max(size, 1)))


def _is_remote(item: Item) -> bool:
    return any(isinstance(opener, RemoteObject) for opener in _openers(item))


def _openers(item: Item) -> list[Opener]:
    """The openers of its images; none where the images are yet to be found."""
    return [] if callable(item.images) else [image.open for image in item.lazy_images()]


def _read(item: Item) -> Item:
    try:
        images = item.lazy_images()
        contents = zip(images, read_images(images), strict=True)
        return replace(
            item, images=tuple(LazyImage(i.uri, InMemory(data, len(data))) for i, data in contents)
        )
    except ImageError as error:
        return replace(item, images=(Unreadable(error.message),))
    except Exception:  # an item of someone else's may raise anything; whoever opens it will say so
        return item


def _identity(path: str) -> tuple[int, int] | None:
    try:
        status = os.stat(path)
    except OSError:
        return None
    return status.st_dev, status.st_ino
