"""Threads that Inspect's event loop waits for, and batches from single calls."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import Future, InvalidStateError
from contextlib import suppress
from typing import Generic, TypeVar

from anyio import CapacityLimiter
from anyio.to_thread import run_sync

T = TypeVar("T")
R = TypeVar("R")


async def in_thread(work: Callable[[], R]) -> R:
    """`work` in a thread of its own, which the caller waits for; one that is cancelled abandons it."""
    # anyio's own limit is forty threads, fewer than the requests that a batch waits for.
    return await run_sync(work, abandon_on_cancel=True, limiter=CapacityLimiter(1))


class Batches(Generic[T, R]):
    """Single calls from any number of tasks and threads, passed on in batches by one thread, which ends when
    nothing is left to do."""

    def __init__(
        self, work: Callable[[Sequence[T]], Sequence[R]], *, most: int = 64, wait: float = 0.005
    ) -> None:
        """
        Args:
            work: gives one result for each item, in order. What it raises, each call of the batch raises.
            most: items of a batch, at most.
            wait: seconds that a batch waits for further items.
        """
        self._work, self._most, self._wait = work, most, wait
        self._calls: deque[tuple[T, Future[R]]] = deque()
        self._changed = threading.Condition()
        self._is_running = False

    def submit(self, item: T) -> Future[R]:
        """The result of one item, which is in the next batch."""
        future: Future[R] = Future()
        with self._changed:
            self._calls.append((item, future))
            self._changed.notify()
            if not self._is_running:
                threading.Thread(target=self._run, name="jurat-batches", daemon=True).start()
                self._is_running = True
        return future

    def _run(self) -> None:
        while batch := self._next():
            if waiting := [call for call in batch if not call[1].cancelled()]:
                self._answer(waiting)

    def _next(self) -> list[tuple[T, Future[R]]]:
        """The next batch; empty where nothing came within the time that one waits."""
        with self._changed:
            self._changed.wait_for(lambda: len(self._calls) >= self._most, self._wait)
            size = min(self._most, len(self._calls))
            self._is_running = size > 0
            return [self._calls.popleft() for _ in range(size)]

    def _answer(self, batch: Sequence[tuple[T, Future[R]]]) -> None:
        try:
            results = list(self._work([item for item, _ in batch]))
            if len(results) != len(batch):
                raise RuntimeError(f"{len(results)} results for {len(batch)} items")
        except BaseException as error:
            for _, future in batch:
                with suppress(InvalidStateError):
                    future.set_exception(error)
            return
        for (_, future), result in zip(batch, results, strict=True):
            with suppress(InvalidStateError):  # it was cancelled
                future.set_result(result)
