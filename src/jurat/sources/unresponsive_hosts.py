"""Gives up servers that do not answer, for a minute after a few timeouts in a row."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from threading import Lock

MOST, SECONDS = 3, 60.0
"""Timeouts in a row before a server is given up, and for how many seconds."""


@dataclass
class TimeoutCounter:
    """Counts the timeouts of each server. Thread-safe."""

    _times: dict[str, int] = field(default_factory=dict[str, int])
    """In a row, by server."""
    _until: dict[str, float] = field(default_factory=dict[str, float])
    """Until when a server is given up, on the monotonic clock."""
    _lock: Lock = field(default_factory=Lock)

    def given_up(self, host: str) -> str | None:
        """Why a server is not asked at present, in one line; None if it may be asked."""
        with self._lock:
            until = self._until.get(host)
            if until is None or time.monotonic() >= until:
                return None
            return (
                f"the server did not answer {self._times[host]} times in a row and is given up for a minute"
            )

    def failed(self, host: str, error: BaseException) -> None:
        """Counts a failed request, if it was a timeout."""
        if not _ran_out_of_time(error):
            return
        with self._lock:
            self._times[host] = self._times.get(host, 0) + 1
            if self._times[host] >= MOST:
                self._until[host] = time.monotonic() + SECONDS

    def answered(self, host: str) -> None:
        """Resets the count of a server that answers."""
        with self._lock:
            self._times.pop(host, None)
            self._until.pop(host, None)


HANGING = TimeoutCounter()
"""Shared by this process."""


def _ran_out_of_time(error: BaseException | None) -> bool:
    """Whether an error, or one of its causes, is a timeout of any backend."""
    depth = 0
    while error is not None and depth < 5:
        if isinstance(error, TimeoutError) or "Timeout" in type(error).__name__:
            return True
        error, depth = error.__cause__, depth + 1
    return False
