"""Maps a function over tasks in several processes, results in order."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from itertools import islice
from typing import TypeVar

A = TypeVar("A")
T = TypeVar("T")

_BLOCK = 64
"""Number of tasks that a process is given at a time."""


def in_order(make: Callable[[A], T], tasks: Iterable[A], workers: int = 1) -> Iterator[T]:
    """Results of `make` for each task, in order; tasks may be endless. `make` and the results must pickle.

    At most two blocks of results are computed ahead. One worker is this process itself.
    """
    if workers <= 1:
        yield from map(make, tasks)
        return
    from multiprocessing import get_context

    remaining = iter(tasks)
    with get_context("spawn").Pool(workers) as pool:  # torch's threads do not survive a fork
        ahead: deque[Iterable[T]] = deque()
        while block := list(islice(remaining, _BLOCK * workers)):
            ahead.append(pool.imap(make, block, chunksize=8))
            if len(ahead) > 2:
                yield from ahead.popleft()
        for made in ahead:
            yield from made
