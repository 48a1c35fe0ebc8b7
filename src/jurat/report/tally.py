"""Counts verdicts as they come: what the closing table and the page's summary are made of."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field

from jurat.judge.verdict import ItemOutcome, RuleOutcome, Verdict

OUTCOMES: tuple[ItemOutcome, ...] = ("unsafe", "unsure", "error", "safe")
"""The order in which a person wants to read them."""

SEVERITY_RANK = {"critical": 0, "high": 1, "medium": 2, "low": 3}
"""Sorts severities, the gravest first; a rule without one comes last."""


MEANINGS: dict[str, str] = {
    "margin": "the scores lie between the thresholds",
    "low_mass": "the model answered neither Yes nor No",
    "refused": "the model refused to answer",
    "filtered": "a filter held the answer back",
    "unparsed": "the answer could not be read",
    "no_caption": "the rules ask about a caption, and there is none",
    "no_conversation": "the rules ask about a prompt or a response, and there is none",
    "out_of_domain": "the image or the words are outside what the model knows",
    "error": "the image could not be judged",
}
"""Of each reason, for a person."""

MOST_NOTES = 5
"""Different notes that are kept; a model may remark something else on each item."""


@dataclass
class RuleCount:
    """How the items came out under one rule."""

    id: str
    severity: str | None
    outcomes: Counter[RuleOutcome] = field(default_factory=Counter[RuleOutcome])


@dataclass
class Tally:
    """Running counts over verdicts. Its size depends on the rules, not on the number of items.

    `rules` are (id, severity) pairs that are to be listed even where no verdict names them.
    """

    outcomes: Counter[ItemOutcome] = field(default_factory=Counter[ItemOutcome])
    reasons: Counter[tuple[ItemOutcome, str]] = field(default_factory=Counter[tuple[ItemOutcome, str]])
    """Of the items that are `unsure` or `error`: (outcome, reason) -> items."""
    notes: Counter[str] = field(default_factory=Counter[str])
    """What models remarked, the first few different ones."""
    in_part: int = 0
    """Items that are not `unsafe`, and of which some frames or pages were not looked at: those of a file that
    has more than `--max-frames`, or a video of which that is less than `--fps` asks for."""
    _rules: dict[str, RuleCount] = field(default_factory=dict[str, RuleCount])

    @classmethod
    def of(cls, rules: Iterable[tuple[str, str | None]]) -> Tally:
        """A tally that lists these rules, given as (id, severity), whatever the verdicts say."""
        return cls(_rules={id: RuleCount(id, severity) for id, severity in rules})

    def add(self, verdict: Verdict) -> None:
        """Counts one verdict."""
        self.outcomes[verdict.outcome] += 1
        if verdict.outcome in ("unsure", "error"):
            self.reasons[verdict.outcome, verdict.reason or "not given"] += 1
        if verdict.outcome in ("safe", "unsure") and _seen_in_part(verdict):
            self.in_part += 1
        if verdict.note and (verdict.note in self.notes or len(self.notes) < MOST_NOTES):
            self.notes[verdict.note] += 1
        for finding in verdict.rules:
            count = self._rules.setdefault(finding.id, RuleCount(finding.id, finding.severity))
            count.outcomes[finding.outcome] += 1

    @property
    def items(self) -> int:
        """How many verdicts were counted."""
        return self.outcomes.total()

    @property
    def rules(self) -> list[RuleCount]:
        """The rules: what most items broke first, then by severity, then in the constitution's order."""
        return sorted(
            self._rules.values(),
            key=lambda rule: (-rule.outcomes["broken"], SEVERITY_RANK.get(rule.severity or "", 4)),
        )


def _seen_in_part(verdict: Verdict) -> bool:
    """Whether frames or pages were left out; of a video, only those that `fps` asks for count."""
    if verdict.frames_in_file is not None:
        return verdict.frames_in_file > verdict.frames
    return (verdict.duration or 0) * (verdict.fps or 0) > verdict.frames + 1
