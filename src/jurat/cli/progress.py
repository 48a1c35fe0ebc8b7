"""Progress of a long run: count, rate and remaining time. A bar on a terminal, lines in a log."""

from __future__ import annotations

import time
from collections.abc import Callable, Generator
from contextlib import contextmanager
from datetime import timedelta
from threading import Event, Thread
from typing import Protocol

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    ProgressColumn,
    Task,
    TextColumn,
    TimeRemainingColumn,
)
from rich.text import Text

from jurat.errors import JuratError

EVERY = 30.0
"""Seconds between two lines where there is no terminal; a run that ends earlier prints none."""


class Advance(Protocol):
    """Reports one more finished item."""

    def __call__(self) -> None: ...


@contextmanager
def progress(
    console: Console, count: Callable[[], int | None], *, shown: bool, doing: str = "judging"
) -> Generator[Advance]:
    """Progress on `console` while the body runs, if `shown`: a bar on a terminal; elsewhere (a log, a job's
    output) a line every `EVERY` seconds.

    The items are counted beside the run, so that it starts at once; where `count` gives None there is no
    remaining time.
    """
    if not shown:
        yield lambda: None
        return
    if not console.is_terminal:
        with _Lines(console, count, doing) as lines:
            yield lines.advance
        return
    columns = (
        TextColumn(doing),
        BarColumn(),
        MofNCompleteColumn(),
        _Rate(),
        TimeRemainingColumn(compact=True),
    )
    with Progress(*columns, console=console, transient=True) as bar:
        task = bar.add_task(doing, total=None)
        Thread(target=lambda: bar.update(task, total=_counted(count)), daemon=True).start()
        yield lambda: bar.advance(task)


class _Lines:
    """Prints a line every `EVERY` seconds, also while nothing advances: a log shows that the run waits."""

    def __init__(self, console: Console, count: Callable[[], int | None], doing: str) -> None:
        self._console, self._count, self._doing = console, count, doing
        self._done, self._total, self._began = 0, None, time.monotonic()
        self._over = Event()

    def advance(self) -> None:
        self._done += 1

    def __enter__(self) -> _Lines:
        Thread(target=self._counting, daemon=True).start()
        Thread(target=self._printing, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()

    def _counting(self) -> None:
        self._total = _counted(self._count)

    def _printing(self) -> None:
        while not self._over.wait(EVERY):
            try:
                self._console.print(Text(self._line()), soft_wrap=True)
            except (OSError, ValueError):  # nobody reads it any more, or it is closed
                return

    def _line(self) -> str:
        seconds = time.monotonic() - self._began
        rate, left = self._done / seconds, None if self._total is None else self._total - self._done
        line = f"jurat: {self._doing}: {self._done:,}"
        line += "" if self._total is None else f" of {self._total:,}"
        line += f" images, {rate:,.1f} images/s, after {_clock(seconds)}"
        return line if left is None or not self._done else f"{line}, about {_clock(left / rate)} left"


def _clock(seconds: float) -> str:
    return str(timedelta(seconds=round(max(0.0, seconds))))


def _counted(count: Callable[[], int | None]) -> int | None:
    try:
        return count()
    except JuratError:  # the run says what is wrong, in its place
        return None


class _Rate(ProgressColumn):
    def render(self, task: Task) -> Text:
        return Text("" if task.speed is None else f"{task.speed:,.1f} images/s", style="dim")
