"""Handles Ctrl-C: the first one finishes and writes the current batch, the second one stops at once.

Where a file has been decoding for long, the first time is enough: nobody knows when it would be finished.
"""

from __future__ import annotations

import signal
import sys
from collections.abc import Generator, Iterable, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import TypeVar

LONG = 2.0
"""Seconds of decoding that are not waited for."""

T = TypeVar("T")


class StopRequest:
    """Whether a stop was requested."""

    asked = False

    def before(self, items: Iterable[T]) -> Iterator[T]:
        """The items until a stop is requested."""
        for item in items:
            if self.asked:
                return
            yield item


def _decodes_for_long() -> bool:
    pool = sys.modules.get("jurat.media.decoder_pool")
    return pool is not None and pool.decoding_for() > LONG


@contextmanager
def stopping(*, quiet: bool) -> Generator[StopRequest]:
    """Inside, a first SIGINT or SIGTERM sets `asked`, and a second one raises KeyboardInterrupt; so does a
    first one while a file has been decoding for more than `LONG` seconds."""
    from jurat.judge.concurrency import leave, stay

    stop = StopRequest()

    def handle(number: int, frame: FrameType | None) -> None:
        if stop.asked or _decodes_for_long():
            leave()
            raise KeyboardInterrupt
        stop.asked = True
        if not quiet:
            sys.stderr.write("jurat: finishing the current batch; Ctrl-C again stops at once.\n")
            sys.stderr.flush()

    before: dict[int, object] = {}
    try:
        for number in (signal.SIGINT, signal.SIGTERM):
            # A process that a shell started with Ctrl-C ignored keeps ignoring it.
            if signal.getsignal(number) not in (signal.SIG_IGN, None):
                before[number] = signal.signal(number, handle)
    except ValueError:  # not in the main thread: there signals are someone else's
        pass
    try:
        yield stop
    finally:
        stay()
        for number, handler in before.items():
            signal.signal(number, handler)  # pyright: ignore[reportArgumentType]
