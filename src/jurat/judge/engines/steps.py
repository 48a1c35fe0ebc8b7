"""Judging in three steps, each of which may run in another process: items are found, read, and judged.

    find_pages      paths -> pages of items, which say where the bytes are    one process
    read_page       a page -> parcels of decoded images                       any number, of processors
    judge_parcel    a parcel -> rows, a batch at a time                       any number, one open judge each

`jurat.judge.engines.ray_engine` puts them on workers; there is nothing of Ray here. What goes from
step to step is pickled by one of our own processes and read by another, never taken from a user's file.
Only images that lie inside a table or a stream, and can be had only in passing, travel as bytes.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any, Literal

from jurat.content import Item
from jurat.errors import JuratError
from jurat.judge.hash_list_verdicts import KnownItem, find_known, known_verdict
from jurat.judge.judge import Judge
from jurat.judge.loading import Loaded, load_item
from jurat.judge.record import verdict_to_row
from jurat.media import Sampling
from jurat.media.hash_list import Known
from jurat.models import ModelGone
from jurat.runs.recorded_items import Recorded, in_shard, numbered, unrecorded
from jurat.sources import SourceOptions, find_items
from jurat.sources.openers import Failed, File, Held, Remote, Slice
from jurat.sources.passed_over import PassedOver
from jurat.sources.prefetch import Roots, read_ahead

PAGE_ITEMS, PAGE_BYTES = 256, 32 * 2**20
"""A page is closed when it has so many items, or so many bytes of those that travel as bytes."""
PARCEL_BATCHES, PARCEL_BYTES = 4, 64 * 2**20
"""A parcel is closed when it has so many of a judge's batches, so that a model with lanes can fill them, or
so many bytes of pixels, however few images that is."""


@dataclass(frozen=True)
class Wanted:
    """Which items are to be judged, and how they are read."""

    paths: tuple[str, ...]
    options: SourceOptions
    folder: str
    """Where relative paths begin, on every machine that has it."""
    roots: tuple[str, ...]
    """The folders that the items lie in. Where one of them is gone, the run had better end."""
    sampling: Sampling
    batch_size: int
    shard: tuple[int, int] | None = None
    """(I, N): part I of N, from 1."""
    known: Known | None = None
    reads_texts: bool = False
    """Whether rules ask about captions or conversations, which a list of allowed pictures says nothing of."""
    alone: bool = False
    """Each item has a page and a parcel of its own, so that one that brings a process down takes no other
    with it."""
    given_up: str | None = None
    """Why no item is read any more, and each becomes an error."""


@dataclass(frozen=True)
class Stop:
    """What ends the run, as one process tells another."""

    kind: Literal["wrong", "gone", "bug"]
    message: str
    hint: str | None = None
    exit_code: int = 2

    @classmethod
    def of(cls, error: Exception) -> Stop:
        if not isinstance(error, JuratError):
            return cls("bug", f"unexpected {type(error).__name__}: {error}")
        kind = "gone" if isinstance(error, ModelGone) else "wrong"
        return cls(kind, error.message, error.hint, error.exit_code)

    def error(self) -> Exception:
        """To be raised where the run is led."""
        if self.kind == "bug":
            return RuntimeError(f"{self.message}, in a worker")
        error = (ModelGone if self.kind == "gone" else JuratError)(self.message, hint=self.hint)
        error.exit_code = self.exit_code
        return error


@dataclass(frozen=True)
class Page:
    """Items to be read; or the end of them."""

    items: tuple[Item, ...] = ()
    found: int | None = None
    """How many there were, on the last page."""
    stop: Stop | None = None
    """Why there are no more, though there should be."""
    passed_over: PassedOver | None = None
    """What was found and is no item, on the last page."""


@dataclass(frozen=True)
class Parcel:
    """Images that a judge is given at once, and what is known already; or the end, as pages have it."""

    loaded: tuple[Loaded, ...] = ()
    settled: tuple[KnownItem, ...] = ()
    found: int | None = None
    stop: Stop | None = None
    """Without `found`: what made it impossible to read on, or to judge."""
    passed_over: PassedOver | None = None


@dataclass(frozen=True)
class Rows:
    """Verdicts as rows; or the end, as parcels have it."""

    rows: tuple[dict[str, Any], ...] = ()
    found: int | None = None
    stop: Stop | None = None
    passed_over: PassedOver | None = None


def find_pages(wanted: Wanted, recorded: Recorded) -> Iterator[Page]:
    """Pages of all items that are wanted and not recorded, then one that says how many they were.

    The first pages are small, so that no reader waits for the first one to be full. Never raises.
    """
    found = size = 0
    most = 1 if wanted.alone else wanted.batch_size
    page: list[Item] = []
    passed_over = PassedOver()
    try:
        enter(wanted.folder)
        for each in unrecorded(_items(wanted, passed_over), recorded):
            item, held = _travelling(each)
            page.append(item)
            found, size = found + 1, size + held
            if len(page) >= most or size >= PAGE_BYTES:
                yield Page(tuple(page))
                page, size = [], 0
                most = most if wanted.alone else max(most, min(2 * most, PAGE_ITEMS))
        stop = None
    except Exception as error:
        stop = Stop.of(error)
    if page:
        yield Page(tuple(page))
    yield Page(found=found, stop=stop, passed_over=passed_over)


def _items(wanted: Wanted, passed_over: PassedOver) -> Iterator[Item]:
    items = numbered(find_items(wanted.paths, options=wanted.options, passed_over=passed_over))
    return items if wanted.shard is None else in_shard(items, *wanted.shard)


def _travelling(item: Item) -> tuple[Item, int]:
    """The item, as it can be read in another process, and how many bytes go with it."""
    light = (File, Slice, Remote, Failed)
    if not callable(item.images) and all(isinstance(image.open, light) for image in item.lazy_images()):
        return item, 0
    (read,) = read_ahead((item,), Roots())
    openers = [image.open for image in read.lazy_images()]
    return read, sum(len(opener.data) for opener in openers if isinstance(opener, Held))


def read_page(page: Page, wanted: Wanted) -> Iterator[Parcel]:
    """Reads and decodes the items of a page. Never raises."""
    if not page.items:
        yield Parcel(found=page.found, stop=page.stop, passed_over=page.passed_over)
        return
    most = 1 if wanted.alone else PARCEL_BATCHES * wanted.batch_size
    loaded: list[Loaded] = []
    settled: list[KnownItem] = []
    frames = size = 0
    try:
        enter(wanted.folder)
        for item in _read(page.items, wanted):
            known = find_known(item, wanted.known, wanted.sampling, reads_texts=wanted.reads_texts)
            if known is not None:
                settled.append(known)
                continue
            loaded.append(load_item(item, wanted.sampling))
            frames += max(1, len(loaded[-1].frames))
            size += loaded[-1].bytes
            if frames >= most or size >= PARCEL_BYTES:
                yield Parcel(tuple(loaded), tuple(settled))
                loaded, settled, frames, size = [], [], 0, 0
    except Exception as error:
        yield Parcel(tuple(loaded), tuple(settled), stop=Stop.of(error))
        return
    if loaded or settled:
        yield Parcel(tuple(loaded), tuple(settled))


def _read(items: Iterable[Item], wanted: Wanted) -> Iterator[Item]:
    if wanted.given_up is not None:
        return (replace(item, images=(Failed(wanted.given_up),)) for item in items)
    return read_ahead(items, _roots(wanted.folder, wanted.roots))


@lru_cache(maxsize=8)
def _roots(within: str, folders: tuple[str, ...]) -> Roots:
    """The folders as this process, which is in `within`, first saw them: what identifies them differs between
    machines."""
    here = Roots.of(folders, SourceOptions()).identities
    return Roots({folder: here.get(folder, (-1, -1)) for folder in folders})


def judge_parcel(parcel: Parcel, judge: Judge) -> Iterator[Rows]:
    """Judges a parcel; each batch's rows come when it is done. Never raises."""
    try:
        if parcel.settled:
            yield Rows(tuple(verdict_to_row(known_verdict(judge, each)) for each in parcel.settled))
        for verdicts in judge.stream_batches(parcel.loaded):
            yield Rows(tuple(map(verdict_to_row, verdicts)))
    except Exception as error:
        yield Rows(stop=Stop.of(error))
        return
    if parcel.found is not None or parcel.stop is not None:
        yield Rows(found=parcel.found, stop=parcel.stop, passed_over=parcel.passed_over)


def enter(folder: str) -> None:
    """Goes where relative paths begin, if this machine has that folder."""
    with suppress(OSError):
        os.chdir(folder)
