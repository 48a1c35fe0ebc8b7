"""Several batches in hand at once: while the model computes for one, another is prepared or decided."""

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

    One more batch than there are lanes is in hand at most, so that a lane that is done finds the next one
    there. Batches are taken in the caller's thread. Raises what a step raises, in its place; when the
    iterator is given up, the steps that have begun are waited for, but not after `leave`.
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
    """The lock of a detector or a matcher, which is called from one thread at a time, whichever judges have
    it. Models that cannot be weakly referenced share one."""
    with _making_locks:
        if (lock := _locks.get(id(model))) is not None:
            return lock
        try:
            weakref.finalize(model, _locks.pop, id(model), None)
        except TypeError:
            return _locks.setdefault(0, threading.Lock())
        return _locks.setdefault(id(model), threading.Lock())


def leave() -> None:
    """From now on steps that have begun are not waited for, since this process ends; `stay` undoes it."""
    _leaving.set()


def stay() -> None:
    _leaving.clear()


def at_work() -> bool:
    """Whether a lane that was given up is still computing."""
    return any(thread.name.startswith(LANE) for thread in threading.enumerate())


@contextmanager
def undisturbed() -> Generator[None]:
    """Inside, Python does not search what was there before for garbage.

    With torch and a model loaded these are hundreds of thousands of objects, and each full search of them
    stops every lane for a third of a second. The setting is the process's, so it is for commands, not for a
    library to make unasked.
    """
    gc.freeze()
    try:
        yield
    finally:
        gc.unfreeze()
