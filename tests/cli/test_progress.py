"""Progress lines of a run whose output is a file or a pipe."""

from __future__ import annotations

import io
import re
import time

import pytest
from rich.console import Console

from jurat.cli import progress


@pytest.fixture
def log(monkeypatch: pytest.MonkeyPatch) -> io.StringIO:
    monkeypatch.setattr(progress, "EVERY", 0.05)
    return io.StringIO()


def watch(log: io.StringIO, items: int, total: int | None, *, shown: bool = True) -> list[str]:
    with progress.progress(Console(file=log, width=40), lambda: total, shown=shown) as advance:
        for _ in range(items):
            advance()
        time.sleep(0.3)
    printed = log.getvalue()
    time.sleep(0.1)
    assert log.getvalue() == printed, "a line after the end"
    return printed.splitlines()


def test_progress_line_has_count_rate_and_remaining_time(log: io.StringIO) -> None:
    lines = watch(log, 1200, 4800)
    assert len(lines) >= 2
    pattern = r"jurat: judging: 1,200 of 4,800 images, [\d,.]+ images/s, after 0:00:00, about 0:00:0\d left"
    assert re.fullmatch(pattern, lines[-1]), lines[-1]


def test_progress_line_omits_unknown_totals(log: io.StringIO) -> None:
    assert re.fullmatch(r"jurat: judging: 3 images, [\d.]+ images/s, after 0:00:00", watch(log, 3, None)[-1])


def test_progress_line_is_printed_before_the_first_row(log: io.StringIO) -> None:
    assert watch(log, 0, 10)[-1] == "jurat: judging: 0 of 10 images, 0.0 images/s, after 0:00:00"


def test_quiet_and_short_runs_print_nothing(log: io.StringIO, monkeypatch: pytest.MonkeyPatch) -> None:
    assert watch(log, 5, 5, shown=False) == []
    monkeypatch.setattr(progress, "EVERY", 60.0)
    assert watch(log, 5, 5) == []


def test_progress_goes_to_stderr_and_verdicts_to_stdout(jurat, pics, monkeypatch) -> None:
    monkeypatch.setattr(progress, "EVERY", 0.01)
    pace = "null?pace=0.05"
    result = jurat("judge", "pics", "--constitution", "colours.yaml", "--model", pace, "--out", "-")
    assert re.search(r"^jurat: judging: \d of 7 images", result.stderr, re.MULTILINE)
    assert "jurat: judging" not in result.stdout and len(result.stdout.splitlines()) == 7
