"""What a build made, and what it left out."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import Any

from jurat.benchmarks.building.review import Review
from jurat.benchmarks.building.writing import Written


@dataclass(frozen=True)
class LeftOut:
    """A source, a draft or a sample that is not in the set."""

    id: str
    kind: str
    """Why, in a few words that many share: "duplicate"."""
    reason: str
    reply: str = ""
    """The writer's reply, where it could not be read."""


@dataclass
class BuildReport:
    """What a build made."""

    drafts: int = 0
    """Drafts that the writer was asked for."""
    kept: list[Written] = field(default_factory=list[Written])
    """Those whose samples are in the set."""
    waiting: list[tuple[Written, list[str]]] = field(default_factory=list[tuple[Written, list[str]]])
    """Doubtful ones that no reviewer, or as many for as against, decided; with the reasons."""
    left_out: list[LeftOut] = field(default_factory=list[LeftOut])
    review: Review = field(default_factory=Review)
    """Decisions about drafts of this build."""
    other_decisions: int = 0
    """Decisions about other drafts: the id has changed with the draft, or is wrong."""
    samples: Counter[tuple[str, str, str]] = field(default_factory=Counter[tuple[str, str, str]])
    """(dimension, builder, label) to number of samples."""
    writer: dict[str, int] = field(default_factory=dict[str, int])
    """Name and revision of the writer to number of its replies."""
    judge: dict[str, int] = field(default_factory=dict[str, int])
    asked: int = 0
    """Conversations with the writer and the judge in this run."""
    recorded: int = 0
    """Replies that earlier runs had recorded."""
    failed: int = 0
    """Drafts for which the writer failed; the same command asks again."""
    card: dict[str, Any] = field(default_factory=dict[str, Any])

    def leave_out(self, id: str, kind: str, reason: str, reply: str = "") -> None:
        self.left_out.append(LeftOut(id, kind, reason, reply))
