"""Three steps, each of which may run in another process: items are found, read, and their rows computed.

    find    paths -> parcels of items, which say where the bytes are      one process
    read    a parcel of items -> parcels of what workers take             any number, of processors
    compute a parcel of these -> rows, a batch at a time                  any number, one open worker each

`jurat.runs.engines.ray_engine` runs them on a cluster; there is nothing of Ray here. What goes from step to
step is pickled by one of our own processes and read by another, never taken from a user's file. Only images
that lie inside a table or a stream, and can be had only in passing, travel as bytes.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any, Generic, Protocol, TypeVar

from jurat.content import Item
from jurat.errors import JuratError
from jurat.runs.recorded_items import RecordedKeys, Shard, in_shard, numbered, unrecorded
from jurat.sources import SourceOptions, find_items
from jurat.sources.openers import FilePart, InMemory, LocalFile, RemoteObject, Unreadable
from jurat.sources.passed_over import PassedOver
from jurat.sources.prefetch import SourceFolders, read_ahead

FOUND_ITEMS, FOUND_BYTES = 256, 32 * 2**20
"""A parcel of items is closed when it has so many, or so many bytes of those that travel as bytes."""
LOAD_BATCHES, LOAD_BYTES = 4, 64 * 2**20
"""A parcel of loads is closed when it has so many of a worker's batches, so that a model with concurrent
calls can use them, or so many bytes, however few items that is."""


T = TypeVar("T")


@dataclass(frozen=True)
class PreparedItem:
    """An item prepared for a worker: read, and decoded if needed."""

    content: Any
    images: int = 0
    """How many images it adds to a batch; 0 where no model has to look."""
    bytes: int = 0


class Reader(Protocol):
    """Prepares items for workers. Can be pickled."""

    @property
    def batch_size(self) -> int:
        """Images that a worker computes together."""
        ...

    def read(self, item: Item) -> PreparedItem:
        """Reads and decodes an item, on any machine. An error becomes the item's row."""
        ...


class Worker(Protocol):
    """Computes rows, in one process."""

    def describe(self) -> object:
        """Description of the worker. Workers with equal descriptions compute the same rows."""
        ...

    def rows(self, loads: Sequence[PreparedItem]) -> Iterator[Sequence[dict[str, Any]]]:
        """A row for each prepared item, a batch at a time."""
        ...


class WorkerSpec(Protocol):
    """A worker as plain data: it can be pickled, and opened on any machine."""

    @property
    def uses_gpu(self) -> bool:
        """Whether a worker computes on a GPU where there is one."""
        ...

    def open(self) -> Worker:
        """Opens the worker in this process. Raises JuratError where it cannot."""
        ...


@dataclass(frozen=True)
class Job:
    """The items to compute rows for, and how they are read."""

    reader: Reader
    paths: tuple[str, ...]
    options: SourceOptions
    folder: str
    """Where relative paths begin, on every machine that has it."""
    roots: tuple[str, ...]
    """The folders that the items lie in. If one of them is gone, the run ends."""
    shard: Shard | None = None
    alone: bool = False
    """Each item has parcels of its own, so that one that kills its process takes no other with
    it."""
    given_up: str | None = None
    """Why no item is read any more, and each becomes an error."""

    @classmethod
    def of(
        cls, reader: Reader, paths: Sequence[str], options: SourceOptions, shard: Shard | None = None
    ) -> Job:
        """All items of some paths, or of one shard of them; relative paths begin in this folder."""
        roots = tuple(SourceFolders.of(list(paths), options).identities)
        return cls(reader, tuple(paths), options, os.getcwd(), roots, shard)


Key = Callable[[dict[str, Any]], bytes]
"""What identifies the item of a row, as `jurat.runs.RowSchema.key` does."""


class Engine(Protocol):
    """Workers that compute rows."""

    def rows(
        self, job: Job, recorded: Callable[[], RecordedKeys], key: Key
    ) -> Generator[tuple[dict[str, Any], ...]]:
        """Rows as they come, in any order; each item once, whatever becomes of workers.

        Args:
            recorded: tells which items have a row already; asked again if rows were lost.
            key: identifies the item of a row.
        """
        ...


@dataclass(frozen=True)
class StopReason:
    """The reason to end the run, as sent between processes."""

    kind: type[Exception]
    message: str
    hint: str | None = None
    exit_code: int = 2

    @classmethod
    def of(cls, error: Exception) -> StopReason:
        if not isinstance(error, JuratError):
            return cls(RuntimeError, f"unexpected {type(error).__name__}: {error}")
        ours = next(each for each in type(error).__mro__ if each.__module__.startswith("jurat."))
        return cls(ours, error.message, error.hint, error.exit_code)

    def error(self) -> Exception:
        """The error to raise in the leading process."""
        if not issubclass(self.kind, JuratError):
            return RuntimeError(f"{self.message}, in a worker")
        error = self.kind.__new__(self.kind)
        JuratError.__init__(error, self.message, hint=self.hint)
        error.exit_code = self.exit_code
        return error


@dataclass(frozen=True)
class StepBatch(Generic[T]):
    """Items, prepared items or rows passed from one step to the next, or the end of them."""

    contents: tuple[T, ...] = ()
    found: int | None = None
    """In the last parcel: how many items there were."""
    stop: StopReason | None = None
    """Why there are no more; without `found`: what made it impossible to read or compute these."""
    passed_over: PassedOver | None = None
    """In the last parcel: what was found and is no item."""


def find(job: Job, recorded: RecordedKeys) -> Iterator[StepBatch[Item]]:
    """All items of a job that are not recorded; the last parcel says how many they were.

    The first parcels are small, so that no reader waits for the first one to be full. Never raises.
    """
    found = size = 0
    most = 1 if job.alone else job.reader.batch_size
    page: list[Item] = []
    passed_over = PassedOver()
    try:
        enter(job.folder)
        for each in unrecorded(_items(job, passed_over), recorded):
            item, held = _travelling(each)
            page.append(item)
            found, size = found + 1, size + held
            if len(page) >= most or size >= FOUND_BYTES:
                yield StepBatch(tuple(page))
                page, size = [], 0
                most = most if job.alone else max(most, min(2 * most, FOUND_ITEMS))
        stop = None
    except Exception as error:
        stop = StopReason.of(error)
    if page:
        yield StepBatch(tuple(page))
    yield StepBatch(found=found, stop=stop, passed_over=passed_over)


def _items(job: Job, passed_over: PassedOver) -> Iterator[Item]:
    items = numbered(find_items(job.paths, options=job.options, passed_over=passed_over))
    return items if job.shard is None else in_shard(items, job.shard.number, job.shard.count)


def _travelling(item: Item) -> tuple[Item, int]:
    """The item in a form that another process can read, and how many bytes it carries."""
    light = (LocalFile, FilePart, RemoteObject, Unreadable)
    if not callable(item.images) and all(isinstance(image.open, light) for image in item.lazy_images()):
        return item, 0
    (read,) = read_ahead((item,), SourceFolders())
    openers = [image.open for image in read.lazy_images()]
    return read, sum(len(opener.data) for opener in openers if isinstance(opener, InMemory))


def read(items: StepBatch[Item], job: Job) -> Iterator[StepBatch[PreparedItem]]:
    """Reads and decodes items. Never raises."""
    if not items.contents:
        yield StepBatch(found=items.found, stop=items.stop, passed_over=items.passed_over)
        return
    most = 1 if job.alone else LOAD_BATCHES * job.reader.batch_size
    loads: list[PreparedItem] = []
    images = size = 0
    try:
        enter(job.folder)
        for item in _read_ahead(items.contents, job):
            loads.append(job.reader.read(item))
            images, size = images + loads[-1].images, size + loads[-1].bytes
            if images >= most or size >= LOAD_BYTES:
                yield StepBatch(tuple(loads))
                loads, images, size = [], 0, 0
    except Exception as error:
        yield StepBatch(tuple(loads), stop=StopReason.of(error))
        return
    if loads:
        yield StepBatch(tuple(loads))


def _read_ahead(items: Iterable[Item], job: Job) -> Iterator[Item]:
    if job.given_up is not None:
        return (replace(item, images=(Unreadable(job.given_up),)) for item in items)
    return read_ahead(items, _roots(job.folder, job.roots))


@lru_cache(maxsize=8)
def _roots(within: str, folders: tuple[str, ...]) -> SourceFolders:
    """The folders as this process, which is in `within`, first saw them: what identifies them differs between
    machines."""
    here = SourceFolders.of(folders, SourceOptions()).identities
    return SourceFolders({folder: here.get(folder, (-1, -1)) for folder in folders})


def compute(loads: StepBatch[PreparedItem], worker: Worker) -> Iterator[StepBatch[dict[str, Any]]]:
    """Computes rows; each batch's rows come when it is done. Never raises."""
    try:
        for rows in worker.rows(loads.contents):
            yield StepBatch(tuple(rows))
    except Exception as error:
        yield StepBatch(stop=StopReason.of(error))
        return
    if loads.found is not None or loads.stop is not None:
        yield StepBatch(found=loads.found, stop=loads.stop, passed_over=loads.passed_over)


def enter(folder: str) -> None:
    """Changes to the folder that relative paths start from, if this machine has it."""
    with suppress(OSError):
        os.chdir(folder)
