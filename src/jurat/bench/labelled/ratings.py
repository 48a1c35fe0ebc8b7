"""One annotator's labels of one image, and the translation of a file's labels to rules."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from difflib import get_close_matches
from typing import Any, cast

from jurat.errors import JuratError
from jurat.text import one_line

SAFE = ("safe", "none")
"""Labels that say that an image breaks no rule."""
_YES = frozenset(("1", "true", "yes", "y", "t", "broken", "unsafe"))
_NO = frozenset(("0", "false", "no", "n", "f", "kept", "safe"))
_NO_VOTE = frozenset(("", "null", "none", "nan", "na", "n/a", "-", "?", "skip", "unsure"))
_BETWEEN = re.compile(r"[;,|\n]")


@dataclass(frozen=True)
class Rating:
    """One annotator's labels of one image, from one row or cell."""

    file: str
    """The image's name in the file of labels."""
    annotator: str
    """Name of the annotator; empty where the file names none."""
    rules: Mapping[str, bool]
    """Rule id -> whether the image breaks it. A rule that is not in it was not rated."""
    place: str
    """Where the rating stands, for messages: "labels.csv, line 3"."""


@dataclass(frozen=True)
class Skipped:
    """A row, cell or file that gave no label."""

    place: str
    reason: str


@dataclass
class Ratings:
    """All ratings of a file of labels, and how they were read."""

    layout: str
    """Detected layout, for messages: "one column a rule"."""
    ratings: list[Rating] = field(default_factory=list[Rating])
    skipped: list[Skipped] = field(default_factory=list[Skipped])
    unread: tuple[str, ...] = ()
    """Names of columns that were not read."""
    notes: list[str] = field(default_factory=list[str])
    """Remarks on how the labels were read, for the report."""

    def skip(self, place: str, reason: str) -> None:
        self.skipped.append(Skipped(place, one_line(reason)))


class CellProblem(Exception):
    """A cell that cannot be read as labels; its row is skipped."""


@dataclass(frozen=True)
class LabelNames:
    """Translates labels to ids of rules."""

    rules: Sequence[str]
    """Ids of the constitution's rules."""
    renamed: Mapping[str, str] = field(default_factory=dict[str, str])
    """Label -> rule id, or "safe"."""
    ignored: frozenset[str] = frozenset()
    """Labels that are no rule here."""

    def __post_init__(self) -> None:
        for label, rule in self.renamed.items():
            if rule not in self.rules and rule.lower() not in SAFE:
                raise JuratError(
                    f"--rename {label}={rule}: {rule!r} is not a rule of the constitution.",
                    hint=f"Its rules are {', '.join(self.rules)}.",
                )

    def knows(self, label: str) -> bool:
        return self._found(label) is not None

    def rule(self, label: str, place: str) -> str:
        """The id of a rule; "safe" for none, "" for a label that is ignored.

        Raises:
            JuratError: the label is no rule. Taking it for "breaks nothing" would make it a wrong label.
        """
        found = self._found(label)
        if found is not None:
            return found
        close = get_close_matches(label.lower(), [rule.lower() for rule in self.rules], 1)
        meant = f" Is it {close[0]!r}?" if close else ""
        raise JuratError(
            f"{place}: {one_line(label)!r} is not a rule of the constitution.{meant}",
            hint=f"If it is one under another name: --rename {one_line(label)!r}=RULE. If it belongs to "
            f"another policy: --ignore-label {one_line(label)!r}.",
        )

    def _found(self, label: str) -> str | None:
        if label in self.renamed:
            return self.renamed[label] if self.renamed[label] in self.rules else SAFE[0]
        if label in self.ignored:
            return ""
        if label in self.rules:
            return label
        folded = label.casefold()
        if folded in SAFE:
            return SAFE[0]
        alike = [rule for rule in self.rules if rule.casefold() == folded]
        return alike[0] if len(alike) == 1 else None

    def broken(self, cell: Any, place: str) -> dict[str, bool]:
        """Every rule of the constitution, broken if the cell names it: "weapon;alcohol", a list, or nothing.

        Raises:
            CellProblem: it names a rule and "safe", or is no list of labels.
            JuratError: a label is no rule.
        """
        named = {self.rule(label, place) for label in self._labels(cell)} - {""}
        if SAFE[0] in named and len(named) > 1:
            raise CellProblem(f"{SAFE[0]!r} and {sorted(named - {SAFE[0]})[0]!r} at once")
        return {rule: rule in named for rule in self.rules}

    def _labels(self, cell: Any) -> list[str]:
        if cell is None:
            return []
        if isinstance(cell, str) and cell.lstrip().startswith(("[", "{")):
            try:
                cell = json.loads(cell)
            except ValueError as error:
                raise CellProblem(f"not JSON: {error}") from error
        if isinstance(cell, Mapping):  # as Label Studio writes several choices
            cell = cast("Mapping[str, Any]", cell).get("choices")
        if isinstance(cell, str):
            return list(self._parts(cell))
        if isinstance(cell, Sequence):
            parts = [part for part in cast("Sequence[Any]", cell) if part is not None]
            if all(isinstance(part, str) for part in parts):
                return [part.strip() for part in parts if part.strip()]
        raise CellProblem(f"{one_line(repr(cell))} is no list of labels")

    def _parts(self, cell: str) -> list[str]:
        """Labels between separators; spaces separate too where the whole is no label."""
        whole = [part.strip() for part in _BETWEEN.split(cell)]
        parts = [[part] if self.knows(part) else part.split() for part in whole if part]
        # "Weapon visible" that nobody knows is reported as it is written, not by its first word.
        return [
            word
            for part, words in zip(filter(None, whole), parts, strict=True)
            for word in (words if all(map(self.knows, words)) else [part])
        ]


def vote(cell: Any) -> bool | None:
    """Yes or No in a cell of its own; None for no vote.

    Raises:
        CellProblem: it is neither.
    """
    if cell is None or isinstance(cell, bool):
        return cell
    if isinstance(cell, int | float):
        if cell != cell:
            return None
        if cell in (0, 1):
            return bool(cell)
        raise CellProblem(f"{cell:g} is neither 0 nor 1")
    text = str(cell).strip().lower()
    if text in _NO_VOTE:
        return None
    if text in _YES or text in ("1.0",):
        return True
    if text in _NO or text in ("0.0",):
        return False
    raise CellProblem(f"{one_line(text)!r} is neither yes nor no")
