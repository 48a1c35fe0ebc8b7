"""Scores the stored replies of a log again, without the evaluated model."""

from __future__ import annotations

import os
from collections.abc import Collection, Sequence
from pathlib import Path
from typing import Any

import inspect_ai
from inspect_ai.log import EvalLog, read_eval_log, write_eval_log
from inspect_ai.model import get_model

from jurat.errors import JuratError
from jurat.evals.scoring import scorers_of
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
        hint = why.get(log.status, f"Its run did not end. To go on: inspect eval-retry {path}")
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
    return inspect_ai.score(
        log,
        scorers_of(scorers, metrics, judge=judge),
        action="append",
        model=get_model("none"),  # else the evaluated model would be opened
        display="none",
        copy=False,
    )


def write_log(log: EvalLog, path: Path) -> None:
    """Writes a log whole, or not at all. Raises JuratError where that fails."""
    beside = path.with_name(f"{path.stem}.part-{os.getpid()}{path.suffix or '.eval'}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        write_eval_log(log, str(beside))
        os.replace(beside, path)
    except OSError as error:
        beside.unlink(missing_ok=True)
        raise JuratError(f"{shown(str(path))} cannot be written: {reason(error)}") from error
