"""Concurrent calls of one model, each of a few items, become batches: for a service, evaluations, threads."""

from __future__ import annotations

import asyncio
import threading
import time
from collections import deque
from collections.abc import Iterable, Sequence
from concurrent.futures import Future, InvalidStateError
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any, cast

from PIL import Image

from jurat.content import Chat, Failure, Reply
from jurat.models.capabilities import (
    Defended,
    Deterministic,
    Disclaimer,
    DomainGate,
    StatementReader,
    UsageMeter,
    Vocabulary,
)
from jurat.models.protocol import (
    Answer,
    C,
    Inquiry,
    Model,
    ModelError,
    check_settings,
)
from jurat.models.wrapper import ModelWrapper


@dataclass(eq=False)
class _Call:
    """One call of a verb that waits for its results."""

    verb: str
    items: Sequence[Any]
    future: Future[list[Any]] = field(default_factory=Future[list[Any]])
    results: dict[int, Any] = field(default_factory=dict[int, Any])
    taken: int = 0
    """How many of its items are in a batch, or were."""
    since: float = field(default_factory=time.monotonic)

    @property
    def left(self) -> int:
        return len(self.items) - self.taken


class MicroBatcher(ModelWrapper):
    """A model that any number of threads and asyncio tasks may call at once. The inner model is called by one
    thread, with the items of all waiting calls in batches.

    A batch has items of one verb, taken from the waiting calls in turn: a call of many items does not delay
    calls of one. A call that is cancelled leaves the queue; its items in the batch under way are computed in
    vain. An exception of the model is raised in each call with an item in that batch. An unsupported setting
    is refused in the caller's thread and affects nobody else.

    `close` refuses further calls, waits until those in the queue are answered, and closes the inner model.
    """

    passes = (Vocabulary, StatementReader, Disclaimer, UsageMeter, Deterministic, Defended)

    def __init__(self, inner: Model, *, max_batch: int = 64, wait: float = 0.005) -> None:
        """
        Args:
            inner: the model; nothing else may call it unless it has `ConcurrencySupport`.
            max_batch: items of a batch, at most.
            wait: seconds that an item may wait for others while the model is free.
        """
        super().__init__(inner)
        if max_batch < 1:
            raise ValueError(f"max_batch is {max_batch}; it must be at least 1")
        self._gate = inner.capability(DomainGate)
        self._max_batch, self._wait = max_batch, wait
        self._queue: deque[_Call] = deque()
        self._changed = threading.Condition()
        self._closed = False
        self._worker = threading.Thread(target=self._work, name="jurat-micro-batcher", daemon=True)
        self._worker.start()

    def ask(self, inquiries: Sequence[Inquiry]) -> list[Answer]:
        return _result(self._submit("ask", inquiries))

    def chat(self, chats: Sequence[Chat]) -> list[Reply]:
        check_settings(self, chats)
        return _result(self._submit("chat", chats))

    def foreign(self, images: Sequence[Image.Image]) -> list[Failure | None]:
        """See `DomainGate`."""
        return _result(self._submit("foreign", images))

    async def ask_async(self, inquiries: Sequence[Inquiry]) -> list[Answer]:
        """`ask` for asyncio; cancelling the task cancels the call."""
        return await asyncio.wrap_future(self._submit("ask", inquiries))

    async def chat_async(self, chats: Sequence[Chat]) -> list[Reply]:
        """`chat` for asyncio; cancelling the task cancels the call."""
        check_settings(self, chats)
        return await asyncio.wrap_future(self._submit("chat", chats))

    def capability(self, kind: type[C]) -> C | None:
        if kind is DomainGate:
            return None if self._gate is None else cast(C, self)
        return super().capability(kind)

    def close(self) -> None:
        with self._changed:
            self._closed = True
            self._changed.notify_all()
        self._worker.join()
        super().close()

    def _submit(self, verb: str, items: Sequence[Any]) -> Future[list[Any]]:
        call = _Call(verb, items)
        with self._changed:
            if self._closed:
                raise ModelError(f"The model {self.name!r} was closed.")
            if items:
                self._queue.append(call)
                self._changed.notify_all()
            else:
                call.future.set_result([])
        return call.future

    def _work(self) -> None:
        while batch := self._next_batch():
            self._run(batch)

    def _next_batch(self) -> list[tuple[_Call, int]]:
        """Waits for calls; each entry is a call and the index of one of its items. Empty when closed."""
        with self._changed:
            while True:
                self._changed.wait_for(lambda: self._queue or self._closed)
                self._queue = deque(call for call in self._queue if not call.future.cancelled())
                if not self._queue:
                    if self._closed:
                        return []
                    continue
                first = self._queue[0]
                waiting = sum(call.left for call in self._queue if call.verb == first.verb)
                left = first.since + self._wait - time.monotonic()
                if waiting >= self._max_batch or left <= 0 or self._closed:
                    return self._take(first.verb)
                self._changed.wait(left)

    def _take(self, verb: str) -> list[tuple[_Call, int]]:
        """Items of a verb, one of each call in turn. Calls with more items go to the end of the queue, so
        that every other call moves forward with each batch."""
        turns = deque(call for call in self._queue if call.verb == verb)
        batch: list[tuple[_Call, int]] = []
        while turns and len(batch) < self._max_batch:
            call = turns.popleft()
            batch.append((call, call.taken))
            call.taken += 1
            if call.left:
                turns.append(call)
        served = {call for call, _ in batch}
        unserved = [call for call in self._queue if call not in served]
        self._queue = deque([*unserved, *(call for call in self._queue if call in served and call.left)])
        return batch

    def _run(self, batch: Sequence[tuple[_Call, int]]) -> None:
        verb = batch[0][0].verb
        model: Any = self._gate if verb == "foreign" else self._inner
        items = [call.items[at] for call, at in batch]
        try:
            results = getattr(model, verb)(items)
            if len(results) != len(items):
                raise ModelError(f"{self.name!r} gave {len(results)} results for {len(items)} items.")
        except BaseException as error:
            self._fail({call for call, _ in batch}, error)
            return
        for (call, at), result in zip(batch, results, strict=True):
            call.results[at] = result
            if len(call.results) == len(call.items):
                with suppress(InvalidStateError):  # it was cancelled
                    call.future.set_result([call.results[i] for i in range(len(call.items))])

    def _fail(self, calls: Iterable[_Call], error: BaseException) -> None:
        for call in calls:
            call.taken = len(call.items)
            with suppress(InvalidStateError):
                call.future.set_exception(error)
        with self._changed:
            self._queue = deque(call for call in self._queue if call.left)


def _result(future: Future[list[Any]]) -> list[Any]:
    try:
        return future.result()
    finally:
        future.cancel()  # of one that is done it changes nothing; Ctrl-C takes the call out of the queue
