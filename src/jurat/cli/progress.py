"""The progress line of a long run: how many, how fast, how long still. Nothing where nobody watches."""

from __future__ import annotations

from collections.abc import Generator, Iterable
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


class Advance(Protocol):
    """Says that one more item is done."""

    def __call__(self) -> None: ...


@contextmanager
def progress(console: Console, paths: list[str], *, shown: bool) -> Generator[Advance]:
    """A progress line on `console` while the body runs, if it is a terminal and `shown`.

    The items of `paths` are counted beside the run, so that it starts at once; a list on standard
    input cannot be counted, and has no remaining time.
    """
    if not shown or not console.is_terminal:
        yield lambda: None
        return
    columns = (
        TextColumn("judging"),
        BarColumn(),
        MofNCompleteColumn(),
        _Rate(),
        TimeRemainingColumn(compact=True),
    )
    with Progress(*columns, console=console, transient=True) as bar:
        task = bar.add_task("judging", total=None)
        if "-" not in paths:
            Thread(target=lambda: bar.update(task, total=_count(paths)), daemon=True).start()
        yield lambda: bar.advance(task)


def _count(paths: Iterable[str]) -> int:
    from jurat.images import find_items

    return sum(1 for _ in find_items(paths))


class _Rate(ProgressColumn):
    def render(self, task: Task) -> Text:
        return Text("" if task.speed is None else f"{task.speed:,.1f} images/s", style="dim")
