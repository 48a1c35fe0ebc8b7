"""The logs that a command names: files, or folders of them, with names that tell them apart."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from inspect_ai.log import EvalLog, EvalSample

from jurat.errors import JuratError
from jurat.evals.rescoring import read_log
from jurat.evals.results import rows_of
from jurat.metrics.rates import UNSURE
from jurat.text import shown

LOG_SUFFIXES = (".eval", ".json")
_START = re.compile(rb'\s*\{\s*"version"\s*:\s*\d+\s*,\s*"status"\s*:')
"""How Inspect begins a log in JSON."""
UNUSED = frozenset({"messages", "events", "attachments", "store", "timelines"})
"""Parts of samples that nothing is counted from."""


@dataclass(frozen=True, eq=False)
class Evaluated:
    """A log of one set and one model."""

    log: EvalLog
    path: Path
    name: str = ""
    """Tells it from the other logs of a command; the model where that is enough."""

    @property
    def facts(self) -> Mapping[str, Any]:
        """What our task wrote into the log; empty where another task made it."""
        return self.log.eval.metadata or {}

    @property
    def set(self) -> str:
        return str(self.facts.get("set") or self.log.eval.task)

    @property
    def protocol(self) -> str:
        return str(self.facts.get("protocol") or "none")

    @property
    def model(self) -> str:
        return self.log.eval.model.removeprefix("jurat/")

    @property
    def epochs(self) -> int:
        return self.log.eval.config.epochs or 1

    @property
    def samples(self) -> list[EvalSample]:
        return self.log.samples or []

    def judgements(self) -> dict[str, list[dict[str, Any]]]:
        """The rows of each scorer of ours (`rows_of`) by its full name, in the order of `samples`. Of two
        scorers with one name, options that the name does not hold differ; each is told by its name in the
        log."""
        names = dict.fromkeys(name for sample in self.samples for name in sample.scores or {})
        found = {name: rows_of(self.log, name) for name in names}
        ours = {name: rows for name, rows in found.items() if any(row["positive"] for row in rows)}
        full = {name: next(str(r["scorer"]) for r in rows if r["positive"]) for name, rows in ours.items()}
        often = Counter(full.values())
        return {
            full[name] if often[full[name]] == 1 else f"{full[name]} ({name})": rows
            for name, rows in ours.items()
        }

    def where(self) -> dict[str, Any]:
        """For JSON: what the log is of."""
        return {
            "name": self.name,
            "log": str(self.path),
            "set": self.set,
            "protocol": self.protocol,
            "model": self.model,
            "revision": (self.facts.get("model") or {}).get("revision"),
            "status": self.log.status,
            "epochs": self.epochs,
            "samples": len({sample.id for sample in self.samples}),
        }


def read_logs(paths: Sequence[Path], *, without: Collection[str] = UNUSED) -> list[Evaluated]:
    """The logs of files and folders, each once, with names.

    Args:
        without: parts of samples that are not read.

    Raises:
        JuratError: there is no log, one cannot be read, or it holds no samples.
    """
    files = list(dict.fromkeys(file.resolve() for path in paths for file in _files(path)))
    return named([Evaluated(read_log(file, without=without), file) for file in files])


def is_log(path: Path) -> bool:
    """Whether a file is a log of Inspect's, or a folder has one."""
    if path.is_dir():
        return not (path / "_run.json").exists() and next(_inside(path), None) is not None
    return path.suffix in LOG_SUFFIXES and _begins_as_log(path)


def named(logs: Sequence[Evaluated]) -> list[Evaluated]:
    """The logs with names: the model, and of set, protocol and file what is needed to tell them apart."""
    choices = ([_name(log, logs, count) for log in logs] for count in range(1, 5))
    names = next((each for each in choices if len(set(each)) == len(each)), [str(log.path) for log in logs])
    return [Evaluated(log.log, log.path, name) for log, name in zip(logs, names, strict=True)]


def event_of(row: Mapping[str, Any]) -> int:
    """1 where a judgement has its scorer's positive label, 0 where it has another, `UNSURE` without one."""
    return UNSURE if row["label"] is None else int(row["label"] == row["positive"])


def content_of(sample: EvalSample) -> str:
    """What a sample asks and expects: equal where two logs have the same sample."""
    kept = ("fields", "expected", "label")
    return json.dumps([sample.metadata.get(key) for key in kept], sort_keys=True, default=str)


def _name(log: Evaluated, logs: Sequence[Evaluated], count: int) -> str:
    """The model, and `count` parts in all with the first facts in which the logs differ."""
    columns = zip(_facts(log), *map(_facts, logs), strict=True)
    differing = [own for own, *every in columns if len(set(every)) > 1]
    return ", ".join([log.model, *differing[: count - 1]])


def _facts(log: Evaluated) -> list[str]:
    return [log.set, log.protocol, log.path.stem]


def _files(path: Path) -> Iterator[Path]:
    if not path.is_dir():
        yield path
        return
    found = sorted(_inside(path))
    if not found:
        raise JuratError(f"The folder {shown(str(path))} holds no log.")
    yield from found


def _inside(folder: Path) -> Iterator[Path]:
    files = (path for suffix in LOG_SUFFIXES for path in folder.rglob(f"*{suffix}"))
    return (path for path in files if path.is_file() and is_log(path))


def _begins_as_log(path: Path) -> bool:
    if path.suffix == ".eval":
        return True
    try:
        with path.open("rb") as file:
            return _START.match(file.read(200)) is not None
    except OSError:
        return False
