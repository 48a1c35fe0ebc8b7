"""The two decision rules: how a score becomes an outcome.

Sources: CLUE is arXiv 2501.00192 (CVPR 2025), section 4, Algorithm 1 and appendix. Dividing by a power of the
language prior is VisualGPTScore's (Lin et al. 2024, arXiv 2306.01879); subtracting in log-odds is its form
for two answers.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar, TypeAlias

from jurat.constitution import Rule
from jurat.judge.calibrate.calibration import Bounds, Calibration
from jurat.judge.logic import SWAPPED
from jurat.judge.verdict import ClauseOutcome, Reason
from jurat.models import YesNo

__all__ = ["Clue", "Decision", "LogOdds", "Thresholds", "debiased", "sigmoid"]


@dataclass(frozen=True)
class Thresholds:
    """Below `keep` evidence fails, above `break_` it holds. `keep` is never larger than `break_`."""

    keep: float
    break_: float

    def decide(self, evidence: float) -> ClauseOutcome:
        if evidence > self.break_:
            return "holds"
        return "fails" if evidence < self.keep else "undecided"


@dataclass(frozen=True)
class LogOdds:
    """The debiased probability against two thresholds."""

    kind: ClassVar[str] = "log-odds"

    debias: float = 0.0
    """Share of the language prior's log-odds that is subtracted, in [0, 1]; 0 asks for no prior."""
    prior_limit: float = 2.0
    """The prior's log-odds count as at most this, either way: a prior can move a score by `debias` x this."""
    keep_below: float = 0.2
    """A clause whose evidence is below it fails, unless its rule says otherwise. In [0, 1]."""
    break_above: float = 0.8
    """A clause whose evidence is above it holds, unless its rule says otherwise. In [0, 1]."""
    min_mass: float = 0.5
    """With less P(Yes) + P(No) than this a question counts as not answered. In [0, 1]."""

    without_prior: ClassVar[Reason | None] = None
    """Why a statement is undecided if the model does not answer its prior; None if it is decided without."""

    @property
    def needs_prior(self) -> bool:
        return self.debias > 0

    def without_debiasing(self) -> LogOdds:
        return LogOdds(0.0, self.prior_limit, self.keep_below, self.break_above, self.min_mass)

    def thresholds(self, rule: Rule, calibration: Calibration | None = None) -> Thresholds:
        """The rule's own thresholds, else the calibration's, else these. If a rule sets only one and the two
        would cross, the other is moved to it."""
        bounds = (calibration.rules.get(rule.id) if calibration is not None else None) or Bounds()
        break_ = _first(rule.break_above, bounds.break_above, self.break_above)
        keep = _first(rule.keep_below, bounds.keep_below, self.keep_below)
        return Thresholds(min(keep, break_), break_)

    def assess(
        self, label: str, answer: YesNo, prior: YesNo | None, calibration: Calibration | None
    ) -> tuple[float, ClauseOutcome]:
        """The evidence that a statement as asked is true; thresholds decide it later."""
        before = prior.log_odds if prior is not None else None
        if calibration is not None and not answer.stated:
            shifted = answer.log_odds - calibration.debias * (before or 0.0)
            return sigmoid(
                (shifted - calibration.shifts.get(label, 0.0)) / calibration.temperature
            ), "undecided"
        return sigmoid(debiased(answer.log_odds, before, self)), "undecided"

    def decide(
        self, evidence: float, outcome: ClauseOutcome, role: str, thresholds: Thresholds
    ) -> ClauseOutcome:
        """The outcome of a statement by its evidence, negation counted in."""
        # An exception that holds keeps the rule, so the thresholds apply to its negation.
        if role == "unless":
            return SWAPPED[thresholds.decide(1 - evidence)]
        return thresholds.decide(evidence)

    def moved(
        self, evidence: float | None, outcome: ClauseOutcome, role: str, thresholds: Thresholds
    ) -> float | None:
        """The evidence moved to the side of the thresholds that a later stage decided; the order of scores on
        that side is kept."""
        keep, break_ = thresholds.keep, thresholds.break_
        if role == "unless":
            keep, break_ = 1 - break_, 1 - keep
        share = 0.5 if evidence is None else evidence
        return break_ + (1 - break_) * (0.5 + share / 2) if outcome == "holds" else keep * share / 2


@dataclass(frozen=True)
class Clue:
    """The rule of CLUE, as printed: M against the language prior M0. Thresholds of rules are not used."""

    kind: ClassVar[str] = "clue"

    uses_prior: bool = True
    """False takes the likelier answer instead, and asks for no prior."""
    reject: float = 0.3
    """A statement fails if M - M0 < -reject x M0."""
    accept: float = 0.8
    """A statement holds if M - M0 > accept x (1 - M0)."""
    min_mass: float = 0.5
    """With less P(Yes) + P(No) than this a question counts as not answered. In [0, 1]."""

    without_prior: ClassVar[Reason | None] = "low_mass"

    @property
    def needs_prior(self) -> bool:
        return self.uses_prior

    def without_debiasing(self) -> Clue:
        return Clue(False, self.reject, self.accept, self.min_mass)

    def thresholds(self, rule: Rule, calibration: Calibration | None = None) -> Thresholds:
        return Thresholds(0.0, 1.0)

    def assess(
        self, label: str, answer: YesNo, prior: YesNo | None, calibration: Calibration | None
    ) -> tuple[float, ClauseOutcome]:
        """M, and the outcome of a statement as asked."""
        m = answer.score
        if not self.uses_prior or prior is None:
            return m, "holds" if m > 0.5 else "fails"
        m0 = prior.score
        if m - m0 > self.accept * (1 - m0):
            return m, "holds"
        return m, "fails" if m - m0 < -self.reject * m0 else "undecided"

    def decide(
        self, evidence: float, outcome: ClauseOutcome, role: str, thresholds: Thresholds
    ) -> ClauseOutcome:
        return outcome

    def moved(
        self, evidence: float | None, outcome: ClauseOutcome, role: str, thresholds: Thresholds
    ) -> float | None:
        return evidence


Decision: TypeAlias = LogOdds | Clue


def debiased(log_odds: float, prior_log_odds: float | None, decision: LogOdds) -> float:
    """The log-odds of a statement with a share of its bounded language prior subtracted; without a prior
    nothing is."""
    if prior_log_odds is None:
        return log_odds
    bounded = max(-decision.prior_limit, min(decision.prior_limit, prior_log_odds))
    return log_odds - decision.debias * bounded


def sigmoid(x: float) -> float:
    """The probability of log-odds: 1 / (1 + exp(-x)), for any finite x."""
    return 1 / (1 + math.exp(-x)) if x >= 0 else math.exp(x) / (1 + math.exp(x))


def _first(*values: float | None) -> float:
    return next(value for value in values if value is not None)
