"""Judges several batches at once: while the model computes one, another is prepared or decided."""

from __future__ import annotations

import gc
import threading
import weakref
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from typing import TypeVar

LANE = "jurat-lane"
_leaving = threading.Event()

T = TypeVar("T")
R = TypeVar("R")


def in_lanes(step: Callable[[T], R], batches: Iterable[T], lanes: int) -> Iterator[R]:
    """`step` of every batch, in their order; in `lanes` threads, or without any thread for one lane.

    At most one batch more than there are lanes is taken, so that a free lane finds the next one ready.
    Batches are taken in the caller's thread. An exception of a step is raised in its place. When the iterator
    is closed, running steps are waited for, except after `leave`.
    """
    if lanes == 1:
        yield from map(step, batches)
        return
    pending: deque[Future[R]] = deque()
    pool = ThreadPoolExecutor(lanes, thread_name_prefix=LANE)
    try:
        for batch in batches:
            pending.append(pool.submit(step, batch))
            if len(pending) > lanes:
                yield pending.popleft().result()
        while pending:
            yield pending.popleft().result()
    finally:
        pool.shutdown(wait=not _leaving.is_set(), cancel_futures=True)


_locks: dict[int, threading.Lock] = {}
_making_locks = threading.Lock()


def lock_of(model: object) -> threading.Lock:
    """The lock of a detector or a matcher: it is called from one thread at a time, also if several judges
    share it. Models that cannot be weakly referenced share one lock."""
    with _making_locks:
        if (lock := _locks.get(id(model))) is not None:
            return lock
        try:
            weakref.finalize(model, _locks.pop, id(model), None)
        except TypeError:
            return _locks.setdefault(0, threading.Lock())
        return _locks.setdefault(id(model), threading.Lock())


def leave() -> None:
    """Stops waiting for running steps, since this process is about to end; `stay` undoes it."""
    _leaving.set()


def stay() -> None:
    _leaving.clear()


def at_work() -> bool:
    """Whether a lane is still computing."""
    return any(thread.name.startswith(LANE) for thread in threading.enumerate())


@contextmanager
def undisturbed() -> Generator[None]:
    """Freezes garbage collection of objects that exist at the start of the block.

    With torch and a model loaded these are hundreds of thousands, and each full collection stops every lane
    for a third of a second. The setting is process-wide, so commands use it and the library does not.
    """
    gc.freeze()
    try:
        yield
    finally:
        gc.unfreeze()
