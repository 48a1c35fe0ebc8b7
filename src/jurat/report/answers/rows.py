"""A sample on the page: what was asked, what each model answered, and what each scorer said of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

STATES = ("error", "refused", "unparsed", "unscored", "scored")
"""States of a judgement, the one to look at first at the front; of a sample, that of its first judgement in
this order. `unscored`: no scorer was asked."""


@dataclass(frozen=True)
class Judged:
    """What one scorer said of one answer."""

    scorer: str
    state: str
    """One of `STATES`."""
    label: str | None = None
    """None unless the state is `scored`."""
    event: bool | None = None
    """Whether it is the scorer's positive label; None without a label."""
    about: str = ""
    """What the scorer's positive label is evidence of; judgements about one thing are compared."""
    reason: str = ""


@dataclass(frozen=True)
class Given:
    """The answer of one model."""

    by: str
    """The model, and what else tells it from the others."""
    text: str
    note: str = ""
    """How the reply ended, where it is not as it should: "cut off", "refused: ...", "error: ..."."""
    judgements: Sequence[Judged] = ()


@dataclass
class SampleRow:
    """One sample, or one of its replies where it has several."""

    name: str
    asked: Sequence[tuple[str, str]]
    """Role and text of each turn."""
    facts: Mapping[str, str]
    """What can be filtered by: category, group, set."""
    answers: list[Given] = field(default_factory=list[Given])

    @property
    def judgements(self) -> list[Judged]:
        return [one for answer in self.answers for one in answer.judgements]

    @property
    def state(self) -> str:
        """The first of `STATES` that a judgement has."""
        return min((one.state for one in self.judgements), key=STATES.index, default="unscored")

    @property
    def unanimous(self) -> bool | None:
        """Whether the judgements about each event are all alike; None where fewer than two are decided."""
        events: dict[str, list[bool]] = {}
        for one in self.judgements:
            if one.event is not None:
                events.setdefault(one.about, []).append(one.event)
        compared = [some for some in events.values() if len(some) > 1]
        return all(len(set(some)) == 1 for some in compared) if compared else None
