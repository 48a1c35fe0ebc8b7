"""Counts of verdicts, for the closing table of `jurat judge` and the summary of a page."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from jurat.judge.calibrate.calibration import UNBOUNDED
from jurat.judge.verdict import ItemOutcome, RuleOutcome, Verdict

if TYPE_CHECKING:
    from jurat.metrics import Interval

OUTCOMES: tuple[ItemOutcome, ...] = ("unsafe", "unsure", "error", "safe")
"""Outcomes, those to look at first at the front."""

SEVERITY_RANK = {"critical": 0, "high": 1, "medium": 2, "low": 3}
"""Sort keys of severities, the gravest first; a rule without one comes last."""

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
"""Reasons in words."""

MOST_NOTES = 5
"""Most notes that are kept: a model may note something else on each item."""


@dataclass
class RuleCount:
    """Outcomes of the items under one rule."""

    id: str
    severity: str | None
    outcomes: Counter[RuleOutcome] = field(default_factory=Counter[RuleOutcome])

    @property
    def share(self) -> float:
        """The share of items that break the rule."""
        return self.outcomes["broken"] / (self.outcomes.total() or 1)

    @property
    def interval(self) -> Interval:
        """Wilson's 95% interval of that share."""
        from jurat.metrics import wilson

        return wilson(self.outcomes["broken"], self.outcomes.total())


@dataclass
class Tally:
    """Running counts over verdicts. Its size depends on the rules, not on the number of items."""

    outcomes: Counter[ItemOutcome] = field(default_factory=Counter[ItemOutcome])
    reasons: Counter[tuple[ItemOutcome, str]] = field(default_factory=Counter[tuple[ItemOutcome, str]])
    """(outcome, reason) -> items, of the outcomes `unsure` and `error`."""
    notes: Counter[str] = field(default_factory=Counter[str])
    """Notes of models -> items; the first few different ones."""
    transferred: int = 0
    """Items judged with thresholds that were transferred from another model, without a bound."""
    in_part: int = 0
    """Items other than `unsafe` with frames or pages that were not judged: files with more than
    `--max-frames`, and videos of which that is less than `--fps` asks for."""
    _rules: dict[str, RuleCount] = field(default_factory=dict[str, RuleCount])

    @classmethod
    def of(cls, rules: Iterable[tuple[str, str | None]]) -> Tally:
        """A tally that lists these (id, severity) pairs even if no verdict names them."""
        return cls(_rules={id: RuleCount(id, severity) for id, severity in rules})

    def add(self, verdict: Verdict) -> None:
        """Counts one verdict."""
        self.outcomes[verdict.outcome] += 1
        if verdict.outcome in ("unsure", "error"):
            self.reasons[verdict.outcome, verdict.reason or "not given"] += 1
        if verdict.outcome in ("safe", "unsure") and _judged_in_part(verdict):
            self.in_part += 1
        if verdict.note and (verdict.note in self.notes or len(self.notes) < MOST_NOTES):
            self.notes[verdict.note] += 1
        self.transferred += verdict.thresholds_from is not None
        for finding in verdict.rules:
            count = self._rules.setdefault(finding.id, RuleCount(finding.id, finding.severity))
            count.outcomes[finding.outcome] += 1

    @property
    def remarks(self) -> list[str]:
        """What has to be said of the verdicts as a whole."""
        items = "" if self.transferred == self.items else f" ({self.transferred:,} of {self.items:,} items)"
        return [f"{UNBOUNDED.removesuffix('.')}{items}."] if self.transferred else []

    @property
    def items(self) -> int:
        """Number of verdicts."""
        return self.outcomes.total()

    @property
    def rules(self) -> list[RuleCount]:
        """Rules by the number of items that break them, then by severity, then as in the constitution."""
        return sorted(
            self._rules.values(),
            key=lambda rule: (-rule.outcomes["broken"], SEVERITY_RANK.get(rule.severity or "", 4)),
        )


def _judged_in_part(verdict: Verdict) -> bool:
    """Whether frames or pages were left out; for a video, of those that `fps` asks for."""
    if verdict.frames_in_file is not None:
        return verdict.frames_in_file > verdict.frames
    return (verdict.duration or 0) * (verdict.fps or 0) > verdict.frames + 1


def outcomes_in_words(tally: Tally) -> str:
    """ "24 unsafe, 2 unsure, 0 error, 14 safe"."""
    return ", ".join(f"{tally.outcomes[outcome]:,} {outcome}" for outcome in OUTCOMES)
