"""The progress line of a long run: how many, how fast, how long still. Nothing where nobody watches."""

from __future__ import annotations

from collections.abc import Callable, Generator
from contextlib import contextmanager
from threading import Thread
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


class Advance(Protocol):
    """Says that one more item is done."""

    def __call__(self) -> None: ...


@contextmanager
def progress(
    console: Console, count: Callable[[], int | None], *, shown: bool, doing: str = "judging"
) -> Generator[Advance]:
    """A progress line on `console` while the body runs, if it is a terminal and `shown`.

    The items are counted beside the run, so that it starts at once; where `count` gives None there is no
    remaining time.
    """
    if not shown or not console.is_terminal:
        yield lambda: None
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


def _counted(count: Callable[[], int | None]) -> int | None:
    try:
        return count()
    except JuratError:  # the run says what is wrong, in its place
        return None


class _Rate(ProgressColumn):
    def render(self, task: Task) -> Text:
        return Text("" if task.speed is None else f"{task.speed:,.1f} images/s", style="dim")
