"""Runs what is missing of a battery, and scores again where only scorers changed."""

from __future__ import annotations

import logging
import traceback
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import closing, contextmanager, suppress
from dataclasses import asdict, dataclass, field, replace
from itertools import groupby
from pathlib import Path
from time import monotonic
from typing import Any

import inspect_ai
from inspect_ai.log import EvalLog, read_eval_log

from jurat.errors import JuratError
from jurat.evals.batteries.battery_file import Battery
from jurat.evals.batteries.cells import Cell, Facts, cells_of, digest_of
from jurat.evals.batteries.logs import (
    CELL,
    DEFENSES,
    CellLogs,
    defense_costs,
    is_finished,
    local_path,
    replied,
    scored_names,
)
from jurat.evals.open_scorers import closing_scorers
from jurat.evals.provider import JuratModel
from jurat.evals.rescoring import score_again, write_log
from jurat.files import Locked, file_errors, lock, make_folder
from jurat.models import Defended, DefenseCost
from jurat.text import counted, one_line

log = logging.getLogger(__name__)

LOGS = "logs"
"""The folder of the logs in a battery's folder."""
LOCK = ".lock"
"""The file by which one process at a time changes a battery's folder."""


@dataclass(frozen=True)
class Plan:
    """What a cell is waiting for."""

    cell: Cell
    determinants: dict[str, Any] | None = None
    identities: tuple[str, ...] = ()
    """Identities of its scorers, as scores record them."""
    log: EvalLog | None = None
    """The log of the cell with most replies, if it has one."""
    waits: tuple[str, ...] = ()
    """Why it is not done, a phrase each; empty for a cell that is done."""
    failure: str | None = None
    """Why it cannot be run."""

    @property
    def digest(self) -> str:
        """Digest of what determines its replies."""
        return digest_of(self.determinants or {})

    @property
    def state(self) -> str:
        """For people."""
        return f"failed: {self.failure}" if self.failure else "; ".join(self.waits) or "done"


@dataclass(frozen=True)
class Outcome:
    """What became of a cell."""

    plan: Plan
    log: EvalLog | None = None
    scores: dict[str, str] = field(default_factory=dict[str, str])
    """The identity of each of its scorers to the name of its scores in the log."""
    failure: str | None = None
    """Why it has no numbers."""
    stopped: bool = False
    """Whether it was interrupted, or not begun because another was."""


class Busy(JuratError):
    """Another process runs a battery in the folder."""


def run_battery(
    battery: Battery, folder: Path, *, tell: Callable[[str], None] = print, progress: bool = False
) -> Iterator[Outcome]:
    """Evaluates what is missing, cell by cell; the outcome of each, those that were done before among them.

    A reply that was given is never asked for again: a run that was stopped or killed is resumed, and failed
    replies are asked for again. A cell that fails does not end the others.

    Args:
        folder: where the logs are.
        tell: is told what each cell is waiting for, and what was done.
        progress: shows Inspect's own display.

    Raises:
        JuratError: another process is at work in the folder, or it cannot be made.
    """
    with file_errors(folder):
        make_folder(folder / LOGS)
    try:
        release = lock(folder / LOCK)
    except Locked as error:
        left = f"If none is, remove {error.leftover}." if error.leftover else None
        raise Busy(f"Another process runs a battery in {folder}.", hint=left) from error
    try:
        with closing_scorers():
            yield from _run_all(battery, folder / LOGS, tell, progress)
    finally:
        release()


def plans_of(battery: Battery, folder: Path) -> Iterator[Plan]:
    """What each cell of a battery is waiting for, without running any."""
    with _alone(folder) as alone, closing_scorers(), closing(_model_by_model(battery)) as cells:
        facts, logs = Facts(), CellLogs.of(folder / LOGS, recover=alone)
        for cell in cells:
            yield replace(_plan(cell, facts, logs), log=None)


@contextmanager
def _alone(folder: Path) -> Generator[bool]:
    """Whether no other process changes the folder, nor may while the block lasts."""
    if not folder.is_dir():
        yield False
        return
    try:
        release = lock(folder / LOCK)
    except Locked:
        log.warning("Another process runs a battery in %s; what it has not written is not counted.", folder)
        yield False
    except OSError:  # a folder that cannot be written
        yield False
    else:
        try:
            yield True
        finally:
            release()


def _model_by_model(battery: Battery) -> Generator[Cell]:
    """The cells of a battery. A model is closed behind the last of its cells."""
    for _, group in groupby(cells_of(battery), key=lambda cell: repr(cell.model)):
        cells = list(group)
        try:
            yield from cells
        finally:
            with suppress(Exception):  # it could not be opened
                cells[0].served.api.close()


def _run_all(battery: Battery, logs: Path, tell: Callable[[str], None], progress: bool) -> Iterator[Outcome]:
    facts, found, stopped = Facts(), CellLogs.of(logs), False
    with closing(_model_by_model(battery)) as cells:
        for cell in cells:
            plan = Plan(cell, waits=("not begun",)) if stopped else _plan(cell, facts, found)
            tell(f"{cell.label}: {plan.state}")
            start = monotonic()
            outcome = Outcome(plan, stopped=True) if stopped else _run(plan, found, logs, progress)
            stopped = outcome.stopped
            if plan.waits and not stopped:
                told = f"failed: {outcome.failure}" if outcome.failure else "done"
                tell(f"  {told} in {monotonic() - start:.1f} s")
            yield outcome


def _plan(cell: Cell, facts: Facts, logs: CellLogs) -> Plan:
    """What a cell is waiting for. Reads its log, and opens its model and its scorers."""
    try:
        determinants = facts.determinants(cell)
        identities = tuple(facts.scorer(name, cell.part.judge) for name in cell.scorers)
        found = logs.best(digest_of(determinants))
    except Exception as error:  # a set or a model of a third party may raise anything
        return Plan(cell, failure=_why(error))
    waits = tuple(_waits(determinants, identities, found, logs))
    return Plan(cell, determinants, identities, found, waits)


def _waits(
    determinants: dict[str, Any], identities: Sequence[str], found: EvalLog | None, logs: CellLogs
) -> Iterator[str]:
    wanted = _wanted(determinants, found)
    if found is None:
        changed = logs.closest(determinants)
        yield counted(wanted, "reply", "replies") + (f" ({', '.join(changed)} changed)" if changed else "")
        return
    missing = wanted - len(replied(found))
    if missing or not is_finished(found):
        yield f"{missing:,} of {counted(wanted, 'reply', 'replies')}"
    for identity in _unscored(found, identities) if replied(found) else ():
        yield f"scores of {identity.split()[0]}"


def _unscored(log: EvalLog, identities: Sequence[str]) -> list[str]:
    """The scorers without scores in a log. One that gave no label to any reply is among them: its judge may
    have been unreachable."""
    names = {identity: name for name, identity in scored_names(log)}
    return [identity for identity in dict.fromkeys(identities) if not _is_scored(log, names.get(identity))]


def _is_scored(log: EvalLog, name: str | None) -> bool:
    if name is None:
        return False
    scores = [score for sample in replied(log) if (score := (sample.scores or {}).get(name))]
    missing = len(replied(log)) - len(scores)
    failed = all((score.metadata or {}).get("state") == "error" for score in scores)
    return not missing and not (scores and failed)


def _run(plan: Plan, logs: CellLogs, folder: Path, progress: bool) -> Outcome:
    if plan.failure is not None:
        return Outcome(plan, failure=plan.failure)
    try:
        return _completed(plan, logs, folder, progress)
    except Exception as error:  # of one cell; the others are run
        return Outcome(plan, failure=_why(error))


def _completed(plan: Plan, logs: CellLogs, folder: Path, progress: bool) -> Outcome:
    found = plan.log
    if found is None or not is_finished(found) or len(replied(found)) < _wanted(plan.determinants, found):
        earlier, before = found, _costs(plan.cell)
        found = _evaluated(plan, found, folder, progress)
        if found is not None and before:
            added = [cost.since(than) for cost, than in zip(_costs(plan.cell), before, strict=True)]
            found = _with_costs(found, added, earlier)
        if found is not None:
            logs.add(plan.digest, plan.determinants or {}, found.location)
        if found is None or found.status == "cancelled":
            return Outcome(plan, stopped=True)
        if is_finished(found):
            logs.remove_others(plan.digest, found.location)
    if found.status == "error":
        why = one_line(found.error.message) if found.error else "Inspect ended it with an error"
        return Outcome(plan, found, failure=why)
    if not replied(found):
        errors = [sample.error.message for sample in found.samples or [] if sample.error]
        return Outcome(plan, found, failure=f"no reply: {one_line(errors[0]) if errors else 'no samples'}")
    found = _scored(plan, found)
    names = {identity: name for name, identity in scored_names(found)}
    scores = {identity: names[identity] for identity in plan.identities if identity in names}
    labelled = any(
        score.metadata and score.metadata.get("label") is not None
        for sample in found.samples or []
        for name, score in (sample.scores or {}).items()
        if name in scores.values()
    )
    return Outcome(plan, found, scores, None if labelled else "no reply could be scored")


def _wanted(determinants: dict[str, Any] | None, log: EvalLog | None) -> int:
    """Replies of a cell. Under an attack those to the samples that could be attacked, which its log tells;
    before there is one, those to all."""
    assert determinants is not None
    facts = {} if log is None else log.eval.metadata or {}
    samples = (facts.get("data") or {}).get("samples") if facts.get("attack") else None
    return (determinants["samples"] if samples is None else samples) * determinants["replies a sample"]


def _evaluated(plan: Plan, before: EvalLog | None, folder: Path, progress: bool) -> EvalLog | None:
    """The log of a cell: of a new run, or of one that resumes another log. None where
    Ctrl-C stopped it."""
    cell = plan.cell
    settings: dict[str, Any] = {
        "log_dir": str(folder),
        "display": "rich" if progress else "none",
        "log_level": "warning",
        # Each sample that is finished is kept at once, so that a process may be killed at any time.
        "log_realtime": True,
        "log_model_api": False,
        "score_display": False,
    }
    if before is None:
        found = inspect_ai.eval(
            cell.task,
            model=cell.served,
            task_args=cell.task_args,
            metadata={CELL: {"digest": plan.digest, **(plan.determinants or {})}},
            **settings,
        )
    else:
        # The copy may have been moved, and scorers may be others by now.
        before.eval.task_args = before.eval.task_args_passed = cell.task_args
        try:
            found = inspect_ai.eval_retry(before, **settings)
        except IndexError as error:
            # After Ctrl-C there are no logs, of which Inspect takes the first.
            if traceback.extract_tb(error.__traceback__)[-1].name != "eval_retry_async":
                raise
            return None
    return read_eval_log(found[0].location) if found else None


def _costs(cell: Cell) -> tuple[DefenseCost, ...]:
    """What the defenses of a cell's model added since it was opened."""
    api = cell.served.api
    assert isinstance(api, JuratModel)
    defended = api.unbatched().capability(Defended)
    return () if defended is None else defended.defenses


def _with_costs(log: EvalLog, added: Sequence[DefenseCost], earlier: EvalLog | None) -> EvalLog:
    """The log with what defenses added to its replies, those that it took over from an earlier log among
    them."""
    known = () if earlier is None else defense_costs(earlier)
    whole = [now + before for now, before in zip(added, known, strict=True)] if known else added
    log.eval.metadata = {**(log.eval.metadata or {}), DEFENSES: [asdict(cost) for cost in whole]}
    write_log(log, local_path(log.location))
    return read_eval_log(log.location)


def _scored(plan: Plan, log: EvalLog) -> EvalLog:
    """The log with the scores of all scorers of the cell."""
    asked = [
        name
        for name, identity in zip(plan.cell.scorers, plan.identities, strict=True)
        if identity in _unscored(log, plan.identities)
    ]
    if not asked:
        return log
    location = log.location
    _drop_scores(log, _unscored(log, plan.identities))
    found = score_again(log, asked, judge=plan.cell.part.judge)
    write_log(found, local_path(location))
    return read_eval_log(location)


def _drop_scores(log: EvalLog, identities: Sequence[str]) -> None:
    """Removes scores of scorers that are to score again."""
    names = [name for name, identity in scored_names(log) if identity in identities]
    for sample in log.samples or []:
        for name in names:
            (sample.scores or {}).pop(name, None)


def _why(error: Exception) -> str:
    return one_line(error.message if isinstance(error, JuratError) else f"{type(error).__name__}: {error}")
