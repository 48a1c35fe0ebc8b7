"""Limits torch to one thread, for networks too small to gain from several."""

from __future__ import annotations

import threading
from collections.abc import Generator
from contextlib import contextmanager

_changing = threading.Lock()
_mine = threading.local()
_inside = 0
_before = 0


@contextmanager
def one_thread() -> Generator[None]:
    """Inside, the calling thread computes with one thread of torch; afterwards with as many as before. Also a
    decorator.

    Torch's default is a thread a core. With networks of a few million parameters these spend their time
    waiting for each other, the more so where a container has fewer cores than the machine shows. Each thread
    of Python has its own number, and setting it also sets what later threads begin with: so every thread puts
    it back when it leaves, and none that did not enter is changed.
    """
    import torch

    global _inside, _before
    with _changing:
        _mine.depth = getattr(_mine, "depth", 0) + 1
        if _mine.depth == 1:
            if _inside == 0:
                _before = torch.get_num_threads()
            _inside += 1
            torch.set_num_threads(1)
    try:
        yield
    finally:
        with _changing:
            _mine.depth -= 1
            if _mine.depth == 0:
                _inside -= 1
                torch.set_num_threads(_before)
