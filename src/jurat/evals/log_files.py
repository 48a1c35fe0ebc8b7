"""The logs that a command names: files, or folders of them, with names that tell them apart."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Generator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from inspect_ai.log import EvalLog, EvalSample

from jurat.errors import JuratError
from jurat.evals.log_places import log_paths
from jurat.evals.rescoring import read_header, read_log
from jurat.evals.results import rows_of
from jurat.metrics.rates import UNSURE

UNUSED = frozenset({"messages", "events", "attachments", "store", "timelines"})
"""Parts of samples that nothing is counted from."""


@dataclass(frozen=True, eq=False)
class Evaluated:
    """A log of one set and one model."""

    log: EvalLog
    path: Path
    name: str = ""
    """Tells it from the other logs of a command; the model where that is enough."""
    in_folder: bool = False
    """Whether it was found in a folder, and not named itself."""

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
    def attack(self) -> str:
        """The attack with its settings; empty where there was none."""
        return str((self.facts.get("attack") or {}).get("name") or "")

    @property
    def model(self) -> str:
        return self.log.eval.model.removeprefix("jurat/")

    @property
    def epochs(self) -> int:
        return self.log.eval.config.epochs or 1

    @property
    def samples(self) -> list[EvalSample]:
        return self.log.samples or []

    def scorers(self) -> dict[str, str]:
        """The names in the log of jurat's scorers by their full names. Of two scorers with one name, options
        that the name does not hold differ; each has its name in the log added."""
        full: dict[str, str] = {}
        for sample in self.samples:
            for name, score in (sample.scores or {}).items():
                if name not in full and (facts := score.metadata or {}).get("positive"):
                    full[name] = str(facts.get("scorer") or name)
        often = Counter(full.values())
        return {each if often[each] == 1 else f"{each} ({name})": name for name, each in full.items()}

    def judgements(self) -> dict[str, list[dict[str, Any]]]:
        """The rows of each of `scorers` (`rows_of`), in the order of `samples`."""
        return {each: rows_of(self.log, name) for each, name in self.scorers().items()}

    def where(self) -> dict[str, Any]:
        """For JSON: what the log is of."""
        return {
            "name": self.name,
            "log": str(self.path),
            "set": self.set,
            "protocol": self.protocol,
            "attack": self.attack,
            "model": self.model,
            "revision": (self.facts.get("model") or {}).get("revision"),
            "status": self.log.status,
            "epochs": self.epochs,
            "samples": len({sample.id for sample in self.samples}),
        }


def read_logs(paths: Sequence[Path], left_out: list[str] | None = None) -> list[Evaluated]:
    """The logs of files and folders, each once, with names.

    Args:
        left_out: gains a sentence for each log in a folder that cannot be read or holds no samples; such a
            log is an error where this is None, or where it was named itself.

    Raises:
        JuratError: there is no log, one cannot be read, or it holds no samples.
    """
    headers = read_headers(paths, left_out)
    logs = [log for header in headers if (log := with_samples(header, left_out)) is not None]
    if not logs:
        raise JuratError((left_out or ["There is no log."])[0])
    return named(logs)


def read_headers(paths: Sequence[Path], left_out: list[str] | None = None) -> list[Evaluated]:
    """As `read_logs`, without the samples: `with_samples` reads them."""
    own = {path.resolve() for path in paths if not path.is_dir()}
    found: list[Evaluated] = []
    for file in log_paths(paths):
        with _left_out(left_out if file not in own else None):
            found.append(Evaluated(read_header(file), file, in_folder=file not in own))
    return named(found)


def with_samples(log: Evaluated, left_out: list[str] | None = None) -> Evaluated | None:
    """A log of `read_headers` with its samples; None where it is left out (see `read_logs`)."""
    with _left_out(left_out if log.in_folder else None):
        return replace(log, log=read_log(log.path, without=UNUSED))
    return None


@contextmanager
def _left_out(sentences: list[str] | None) -> Generator[None]:
    try:
        yield
    except JuratError as error:
        if sentences is None:
            raise
        sentences.append(error.message)


def named(logs: Sequence[Evaluated]) -> list[Evaluated]:
    """The logs with names: the model, and of set, protocol and file what is needed to tell them apart."""
    choices = ([_name(log, logs, count) for log in logs] for count in range(1, 6))
    names = next((each for each in choices if len(set(each)) == len(each)), [str(log.path) for log in logs])
    return [replace(log, name=name) for log, name in zip(logs, names, strict=True)]


def event_of(row: Mapping[str, Any]) -> int:
    """1 where a judgement has its scorer's positive label, 0 where it has another, `UNSURE` without one."""
    return UNSURE if row["label"] is None else int(row["label"] == row["positive"])


def is_same(one: EvalSample, other: EvalSample, *, as_asked: bool) -> bool:
    """Whether samples with one id, of two logs, hold the same texts and expect the same.

    Args:
        as_asked: whether they must show the same too, images and wording; under different protocols and under
            attacks they do not. Images are not compared where a log lacks their digests: a sample failed
            before it was shown.
    """
    if content_of(one) != content_of(other):
        return False
    images = [sample.metadata.get("shown") for sample in (one, other)]
    return not as_asked or (asked(one) == asked(other) and (None in images or images[0] == images[1]))


def shared_replies(one: Evaluated, other: Evaluated) -> int:
    """Replies that two logs both hold: they are copies, or one went on from the other or was scored again."""
    ids = ({sample.uuid for sample in log.samples if sample.uuid} for log in (one, other))
    return len(set.intersection(*ids))


def asked(sample: EvalSample) -> list[tuple[str, str]]:
    """Role and text of each turn."""
    given = sample.input
    return [("user", given)] if isinstance(given, str) else [(turn.role, turn.text) for turn in given]


def content_of(sample: EvalSample) -> str:
    """The texts of a sample, and what it expects."""
    kept = ("fields", "expected", "label")
    return json.dumps([sample.metadata.get(key) for key in kept], sort_keys=True, default=str)


def _name(log: Evaluated, logs: Sequence[Evaluated], count: int) -> str:
    """The model, and `count` parts in all with the first facts in which the logs differ."""
    columns = zip(_facts(log), *map(_facts, logs), strict=True)
    differing = [own for own, *every in columns if len(set(every)) > 1]
    return ", ".join([log.model, *differing[: count - 1]])


def _facts(log: Evaluated) -> list[str]:
    attack = f"attack {log.attack}" if log.attack else "no attack"
    return [log.set, log.protocol, attack, log.path.stem]
