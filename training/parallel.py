"""Work that is shared by several processes: a function mapped over tasks, or called for ranges of items."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from itertools import islice, pairwise
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


def in_shares(work: Callable[[int, int], None], count: int, workers: int = 1) -> None:
    """Calls `work(first, last)` for equal ranges of 0 .. count - 1, one in each process; `work` must pickle.

    One worker is this process itself.

    Raises:
        RuntimeError: a process failed.
    """
    if workers <= 1:
        work(0, count)
        return
    from multiprocessing import get_context

    edges = [count * worker // workers for worker in range(workers + 1)]
    make = get_context("spawn").Process
    processes = [make(target=work, args=share) for share in pairwise(edges)]
    for process in processes:
        process.start()
    for process in processes:
        process.join()
    if any(process.exitcode for process in processes):
        raise RuntimeError("a process failed; its share of the work is not done")
