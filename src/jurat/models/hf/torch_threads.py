"""One thread of torch's for networks so small that several only wait for each other."""

from __future__ import annotations

from collections.abc import Generator
from contextlib import contextmanager
from threading import Lock

_changing = Lock()
_inside = 0
_before = 0


@contextmanager
def one_thread() -> Generator[None]:
    """Inside, torch computes with one thread a caller; afterwards with as many as before. Also a decorator.

    Torch's default is a thread a core. With networks of a few million parameters these spend their time
    waiting for each other, the more so where a container has fewer cores than the machine shows. The number
    belongs to the process, and is put back when the last of several callers leaves.
    """
    import torch

    global _inside, _before
    with _changing:
        if _inside == 0:
            _before = torch.get_num_threads()
        _inside += 1
        if torch.get_num_threads() != 1:  # each thread of Python has a number of its own
            torch.set_num_threads(1)
    try:
        yield
    finally:
        with _changing:
            _inside -= 1
            if _inside == 0 and _before != 1:
                torch.set_num_threads(_before)
