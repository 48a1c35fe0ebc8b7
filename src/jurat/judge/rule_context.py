"""What the statements of one rule are weighed with: the evidence that the rule may use, and its thresholds.

Rules share a ledger. A rule looks at what later stages found only where it asked for it itself, so that
another rule that shares a statement does not change what is said of this one.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from jurat.constitution import Rule
from jurat.judge.calibrate.calibration import Bounds, Calibration
from jurat.judge.evidence import Ledger, Located, Look, Priors, Reasoned
from jurat.judge.odds import sigmoid
from jurat.judge.plan import PlannedAlternative, Question
from jurat.judge.presets import Preset
from jurat.judge.stages.views import averaged
from jurat.judge.verdict import ClauseOutcome
from jurat.models import YesNo


@dataclass(frozen=True)
class Thresholds:
    """Below `keep` evidence fails, above `break_` it holds. `keep` is never larger than `break_`."""

    keep: float
    break_: float

    @classmethod
    def of(cls, rule: Rule, preset: Preset, calibration: Calibration | None = None) -> Thresholds:
        """The rule's own where it has them, else the calibration's, else the preset's. One that a rule
        leaves out gives way to the one it has."""
        bounds = (calibration.rules.get(rule.id) if calibration is not None else None) or Bounds()
        break_ = _first(rule.break_above, bounds.break_above, preset.break_above)
        keep = _first(rule.keep_below, bounds.keep_below, preset.keep_below)
        return cls(min(keep, break_), break_)

    def decide(self, evidence: float) -> ClauseOutcome:
        if evidence > self.break_:
            return "holds"
        return "fails" if evidence < self.keep else "undecided"


def _first(*values: float | None) -> float:
    return next(value for value in values if value is not None)


@dataclass(frozen=True)
class Case:
    """What every statement of one rule is weighed with."""

    ledger: Ledger
    priors: Priors
    preset: Preset
    thresholds: Thresholds
    calibration: Calibration | None = None
    viewed: frozenset[Located] = frozenset()
    """What the rule wanted to be asked about on moved copies."""
    pointed: bool = False
    """Whether the rule shows where its objects are, having been found broken."""
    looked: frozenset[Located] = frozenset()
    """What the rule wanted to be asked about with its objects painted over."""
    reasoned: frozenset[Located] = frozenset()
    """What the rule wanted to be reasoned about."""

    def answered(self, answer: YesNo | None) -> bool:
        """Whether there is an answer that says something."""
        return answer is not None and answer.failure is None and answer.mass >= self.preset.min_mass

    def look(self, alternative: PlannedAlternative) -> Look | None:
        """What the rule may know of the regions: crops are everyone's, the rest is for who asked."""
        if not self.ledger.looks:
            return None
        located = Located.of(alternative)
        found = self.ledger.looks.get(located)
        if found is None:
            return None
        looked = located in self.looked
        if not (looked or self.preset.crop_below > 0 or self.pointed):
            return None
        return found if looked else replace(found, without=None)

    def over_views(self, alternative: PlannedAlternative, question: Question | None = None) -> YesNo | None:
        """The answer over the image and its moved copies, if the rule wanted it and all were answered; to
        another question that goes with the alternative, if one is given."""
        if not self.viewed:
            return None
        question = question or alternative.question
        copies = self.ledger.views.get(question, ())
        if Located.of(alternative) not in self.viewed or not copies or question not in self.ledger.answers:
            return None
        answers = (self.ledger.answers[question], *copies)
        if not all(self.answered(answer) for answer in answers):
            return None
        share = sigmoid(averaged(answers))
        return YesNo(share, 1 - share, stated=any(answer.stated for answer in answers))

    def thought(self, alternative: PlannedAlternative) -> Reasoned | None:
        if not self.reasoned:
            return None
        located = Located.of(alternative)
        return self.ledger.reasons.get(located) if located in self.reasoned else None
