"""One event loop in a thread of its own, for a model whose calls are asynchronous and whose verbs are not."""

from __future__ import annotations

import asyncio
import threading
import weakref
from collections.abc import Awaitable, Callable, Coroutine
from concurrent.futures import CancelledError
from typing import Any, TypeVar

from jurat.models.protocol import ModelError

T = TypeVar("T")


class BackgroundLoop:
    """Starts its thread at the first call, also from several threads at once; works in a notebook too."""

    def __init__(self) -> None:
        self._guard = threading.Lock()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread: threading.Thread | None = None
        self._closed = False

    def run(self, coroutine: Coroutine[Any, Any, T]) -> T:
        """Runs a coroutine to its end. Ctrl-C in the caller cancels it, and with it the calls under way.

        Raises:
            ModelError: the loop was closed, before or meanwhile.
        """
        try:
            future = asyncio.run_coroutine_threadsafe(coroutine, self._started())
        except BaseException:
            coroutine.close()
            raise
        try:
            return future.result()
        except CancelledError:
            raise ModelError("The model was closed.") from None
        finally:
            future.cancel()  # does nothing to one that has ended

    def close(self, last: Callable[[], Awaitable[None]] | None = None) -> None:
        """Cancels what is under way, awaits `last`, and ends the loop and its thread. May be called again."""
        with self._guard:
            self._closed = True
            loop, thread = self._loop, self._thread
            self._loop = self._thread = None
        if loop is None or thread is None:
            return
        try:
            asyncio.run_coroutine_threadsafe(_end(last), loop).result()
        finally:
            _stop(loop)
            thread.join()

    def _started(self) -> asyncio.AbstractEventLoop:
        with self._guard:
            if self._closed:
                raise ModelError("The model was closed.")
            if self._loop is None:
                self._loop = asyncio.new_event_loop()
                self._thread = threading.Thread(
                    target=_serve, args=(self._loop,), name="jurat-server-calls", daemon=True
                )
                self._thread.start()
                # Ends the thread of a model that nobody closed: the thread does not refer to this object.
                weakref.finalize(self, _stop, self._loop)
            return self._loop


async def _end(last: Callable[[], Awaitable[None]] | None) -> None:
    others = asyncio.all_tasks() - {asyncio.current_task()}
    for task in others:
        task.cancel()
    await asyncio.gather(*others, return_exceptions=True)
    if last is not None:
        await last()


def _serve(loop: asyncio.AbstractEventLoop) -> None:
    # At its end the runner cancels all tasks, ends the threads of `asyncio.to_thread` and closes the loop.
    with asyncio.Runner(loop_factory=lambda: loop) as runner:
        runner.get_loop().run_forever()


def _stop(loop: asyncio.AbstractEventLoop) -> None:
    if not loop.is_closed():
        loop.call_soon_threadsafe(loop.stop)
