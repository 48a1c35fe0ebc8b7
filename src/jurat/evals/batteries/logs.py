"""The logs of a battery's folder: which cell each is of, and how much of it is there."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast
from urllib.parse import urlsplit
from urllib.request import url2pathname

from inspect_ai.log import EvalLog, EvalSample, read_eval_log, recover_eval_log
from pydantic import TypeAdapter

from jurat.models import DefenseCost
from jurat.text import reason, shown

log = logging.getLogger(__name__)

CELL = "cell"
"""The entry in a log's metadata with what determines its cell."""
DEFENSES = "defenses"
"""The entry in a log's metadata with what the model's defenses added, the outermost first."""


@dataclass(frozen=True)
class CellLogs:
    """The logs of a folder by the digest of their cell."""

    paths: dict[str, list[Path]] = field(default_factory=dict[str, "list[Path]"])
    determinants: dict[str, dict[str, Any]] = field(default_factory=dict[str, "dict[str, Any]"])
    """Digest of each cell that has a log, to what determined it."""
    recover: bool = True
    """Whether logs of runs that were killed are completed; no other process must be at work on them."""

    @classmethod
    def of(cls, folder: Path, *, recover: bool = True) -> CellLogs:
        """Reads the heads of all logs in a folder. One that cannot be read is left there, with a warning."""
        found = cls(recover=recover)
        for path in sorted(folder.glob("*.eval")):
            head = _readable(path, header_only=True)
            cell = None if head is None else (head.eval.metadata or {}).get(CELL)
            if isinstance(cell, dict) and "digest" in cell:
                facts: dict[str, Any] = dict(cell)
                digest = str(facts.pop("digest"))
                found.paths.setdefault(digest, []).append(path)
                found.determinants[digest] = facts
        return found

    def add(self, digest: str, determinants: dict[str, Any], location: str) -> None:
        """Adds the log of a cell that was run."""
        self.paths.setdefault(digest, []).append(local_path(location))
        self.determinants[digest] = determinants

    def best(self, digest: str) -> EvalLog | None:
        """The log of a cell with most replies, with its samples; None where there is none. What a process
        that was killed had finished and not yet written is recovered."""
        found = [_whole(path, self.recover) for path in self.paths.get(digest, ())]
        logs = [each for each in found if each is not None]
        return max(logs, key=lambda one: (len(replied(one)), one.eval.created), default=None)

    def closest(self, determinants: dict[str, Any]) -> list[str]:
        """Why a cell without a log has none although another of the same set, protocol and model has: the
        names of what is different now."""
        same = ("set", "protocol", "model", "attack", "defense")
        differences = [
            [name for name in determinants if determinants[name] != other.get(name)]
            for other in self.determinants.values()
            if all(determinants[name] == other.get(name) for name in same)
        ]
        return min(differences, key=len, default=[])

    def remove_others(self, digest: str, kept: str) -> None:
        """Removes the logs of a cell that another, which is complete, took over."""
        for path in self.paths.get(digest, ()):
            if path.resolve() != local_path(kept).resolve():
                path.unlink(missing_ok=True)
        self.paths[digest] = [local_path(kept)]


def defense_costs(log: EvalLog) -> tuple[DefenseCost, ...]:
    """What the defenses of a log's model added to its replies, the outermost first; none where it has none.
    Of a run that was killed they lack what it had not written: `items` counts what they are about."""
    found = (log.eval.metadata or {}).get(DEFENSES) or ()
    return TypeAdapter(tuple[DefenseCost, ...]).validate_python(cast(Any, found))


def replied(log: EvalLog) -> list[EvalSample]:
    """The samples of a log that have a reply; a failed one is asked for again."""
    return [sample for sample in log.samples or [] if sample.error is None]


def is_finished(log: EvalLog) -> bool:
    """Whether the run of a log ended by itself."""
    return log.status == "success"


def _whole(path: Path, recover: bool) -> EvalLog | None:
    """A log with its samples; None where it cannot be read."""
    found = _readable(path)
    if found is None or found.status != "started" or not recover:
        return found
    try:
        recovered = recover_eval_log(str(path), overwrite=True)
    except Exception as error:
        # Nothing was finished and not yet written; or what recovery needs is gone.
        log.info("%s: nothing more is recovered: %s", path, reason(error))
        return found
    return recovered if recovered.samples is not None else _readable(path)


def _readable(path: Path, *, header_only: bool = False) -> EvalLog | None:
    try:
        return read_eval_log(str(path), header_only=header_only)
    except Exception as error:  # a damaged archive raises what its parts raise
        log.warning("%s cannot be read as a log, and is not used: %s", shown(str(path)), reason(error))
        return None


def local_path(location: str) -> Path:
    """The file of a log's location, which may be a URI."""
    if not location.startswith("file:"):
        return Path(location)
    return Path(url2pathname(urlsplit(location).path))


def scored_names(log: EvalLog) -> Iterator[tuple[str, str]]:
    """The scores of a log: (name, identity of the scorer), the latest last."""
    seen: dict[str, str] = {}
    for sample in log.samples or []:
        for name, score in (sample.scores or {}).items():
            if name not in seen and (identity := (score.metadata or {}).get("identity")):
                seen[name] = str(identity)
    yield from seen.items()
