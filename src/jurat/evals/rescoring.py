"""Scores the stored replies of a log again, without the evaluated model."""

from __future__ import annotations

from collections.abc import Collection, Generator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import inspect_ai
from inspect_ai.log import EvalLog, read_eval_log, write_eval_log
from inspect_ai.model import get_model

from jurat.errors import JuratError
from jurat.evals.log_places import LOG_SUFFIXES
from jurat.evals.open_scorers import closing_scorers
from jurat.evals.scoring import scorers_of
from jurat.files import Locked, exists_already, file_errors, lock, make_folder, written_aside
from jurat.text import reason, shown


def read_log(path: Path, *, without: Collection[str] = ()) -> EvalLog:
    """A log of Inspect's, with its samples.

    Args:
        without: parts of samples that are not read.

    Raises:
        JuratError: there is none, it cannot be read, or it holds no samples.
    """
    log = _read(path, exclude_fields=set(without) or None)
    if not log.samples:
        why = {"success": None, "error": log.error.message.splitlines()[0] if log.error else None}
        hint = why.get(log.status, f"Its run did not end. To resume it: inspect eval-retry {path}")
        raise JuratError(f"The log {shown(str(path))} holds no samples.", hint=hint)
    return log


def read_header(path: Path) -> EvalLog:
    """A log without its samples. Raises JuratError where it cannot be read."""
    return _read(path, header_only=True)


def _read(path: Path, **options: Any) -> EvalLog:
    if not path.is_file():
        raise JuratError(f"There is no log {shown(str(path))}.")
    try:
        return read_eval_log(str(path), **options)
    except Exception as error:  # a damaged archive raises what its parts raise
        raise JuratError(f"{shown(str(path))} cannot be read as a log: {reason(error)}") from error


def score_again(log: EvalLog, scorers: Sequence[str], *, judge: str | None = None) -> EvalLog:
    """The log with the scores of further scorers beside those that it has.

    Args:
        log: as `read_log` gives it; it is changed.
        scorers: names with their options: "answer-safety?model=openai/NAME".
        judge: the model of those that take one and are not given another.

    Raises:
        JuratError: there is no such scorer, or it cannot be opened.
    """
    metrics: list[str] = (log.eval.metadata or {}).get("metrics") or []
    with closing_scorers():
        return inspect_ai.score(
            log,
            scorers_of(scorers, metrics, judge=judge),
            action="append",
            model=get_model("none"),  # else the evaluated model would be opened
            display="none",
            copy=False,
        )


def score_log(
    path: Path, scorers: Sequence[str], *, judge: str | None = None, out: Path | None = None
) -> Path:
    """Adds the scores of further scorers to a log, or writes it with them to another; returns its path.

    Raises:
        JuratError: the log cannot be read; a scorer cannot be opened; another process is at work on the log,
            or its run did not end; or the file cannot be written, or is there.
    """
    if out is None or out.resolve() == path.resolve():
        with _alone_at(path):
            found = read_log(path)
            if found.status == "started":
                raise JuratError(
                    f"The run of {shown(str(path))} did not end, or is not over: no scores were added to it.",
                    hint=f"To resume it: inspect eval-retry {path}. To score what is there: --out FILE",
                )
            write_log(score_again(found, scorers, judge=judge), path)
        return path
    if out.suffix not in LOG_SUFFIXES:
        raise JuratError(f"{shown(str(out))} is no name of a log: it ends in .eval or .json.")
    if out.exists():
        raise exists_already(out, "Give another name.")
    write_log(score_again(read_log(path), scorers, judge=judge), out)
    return out


def write_log(log: EvalLog, path: Path) -> None:
    """Writes a log whole, or not at all. Raises JuratError where that fails."""
    with file_errors(shown(str(path))):
        make_folder(path.parent)
        with written_aside(path) as aside:
            write_eval_log(log, str(aside), "json" if path.suffix == ".json" else "eval")


@contextmanager
def _alone_at(path: Path) -> Generator[None]:
    """A block in which no other process adds scores to a log. Raises JuratError where one does."""
    held = path.with_name(f".{path.name}.lock")
    try:
        with file_errors(shown(str(path))):
            release = lock(held)
    except Locked as error:
        hint = "Wait for it, or write another log: --out FILE"
        if error.leftover:
            hint += f". If there is none, remove {error.leftover}."
        raise JuratError(f"Another process is adding scores to {shown(str(path))}.", hint=hint) from error
    try:
        yield
    finally:
        with suppress(OSError):
            held.unlink(missing_ok=True)  # before it is released: a file that is held anew is another
        release()
