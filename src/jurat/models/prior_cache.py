"""Answers to questions without an image, kept on disk from one run to the next.

The language prior of a clause depends on the weights and the wording only. It is kept in one small file for
each model and wording, in the user's cache folder: a line for each answer, appended and never changed.
Questions are kept as digests, so that a policy cannot be read from a cache.

The environment variable `JURAT_CACHE` names another folder; `off` keeps nothing.
"""

from __future__ import annotations

import hashlib
import json
import logging
import math
import os
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path

from jurat.models.capabilities import Deterministic
from jurat.models.protocol import Model, YesNo

FOLDER = "JURAT_CACHE"
"""The environment variable that names the folder."""
_FORMAT = "1"
_LENGTH = 32

log = logging.getLogger("jurat.models")


class PriorCache:
    """One model's answers under one wording. A file that cannot be read or written is no error."""

    def __init__(self, file: Path) -> None:
        self.file = file
        self._answers: dict[str, YesNo] | None = None

    @classmethod
    def of(cls, model: Model, wording: str) -> PriorCache | None:
        """The cache of a model; None if it is not `Deterministic` or the cache is off."""
        pinned, folder = model.capability(Deterministic), cache_folder()
        if pinned is None or folder is None:
            return None
        return cls(folder / "priors" / f"{_digest(_FORMAT, pinned.pin, wording)}.jsonl")

    def read(self, questions: Mapping[str, object]) -> dict[str, YesNo]:
        """The answers kept for these questions."""
        if self._answers is None:
            self._answers = dict(self._lines())
        found = {question: self._answers.get(_digest(question)) for question in questions}
        return {question: answer for question, answer in found.items() if answer is not None}

    def add(self, answers: Mapping[str, YesNo]) -> None:
        """Keeps measured answers; failures and answers stated in text are left out."""
        lasting = {q: a for q, a in answers.items() if a.failure is None and not a.stated}
        if not lasting:
            return
        lines = [json.dumps({"question": _digest(q), "yes": a.yes, "no": a.no}) for q, a in lasting.items()]
        try:
            self.file.parent.mkdir(parents=True, exist_ok=True)
            # One append of whole lines, so that processes do not tear each other's; the newline in front ends
            # a line that a killed process may have left.
            with self.file.open("ab", buffering=0) as stream:
                stream.write(("\n" + "\n".join(lines) + "\n").encode())
        except OSError as problem:
            log.info("%s: priors are not kept: %s", self.file, problem)

    def _lines(self) -> Iterator[tuple[str, YesNo]]:
        try:
            lines = self.file.read_bytes().splitlines()
        except OSError:
            return
        for line in lines:
            try:
                row = json.loads(line)
                yield str(row["question"]), YesNo(_probability(row["yes"]), _probability(row["no"]))
            except (ValueError, KeyError, TypeError):
                continue  # torn, or not ours


def cache_folder() -> Path | None:
    """The cache folder; None if caching is off."""
    named = os.environ.get(FOLDER)
    if named is not None:
        return None if named.strip().lower() in ("", "off") else Path(named).expanduser()
    try:
        if sys.platform == "win32":
            base = Path(os.environ.get("LOCALAPPDATA") or Path.home() / "AppData" / "Local")
        elif sys.platform == "darwin":
            base = Path.home() / "Library" / "Caches"
        else:
            base = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    except RuntimeError:  # there is no home
        return None
    return base / "jurat"


def _probability(value: object) -> float:
    if not isinstance(value, float | int) or not math.isfinite(value) or not 0 <= value <= 1:
        raise ValueError(f"{value!r} is no probability")
    return float(value)


def _digest(*parts: str) -> str:
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()[:_LENGTH]
