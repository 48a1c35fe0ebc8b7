"""Scores of statements: the numbers behind every decision.

Let M be the score of a statement, P(Yes) / (P(Yes) + P(No)), on the image; on a crop of it, where the object
is small; over the image and shifted copies, where it is not certain and the preset has views. Let M0 be the
same without the image, and M- with the central objects painted over.

`log-odds`: the evidence for a statement is p = sigmoid(logit M - a clip(logit M0, -b, b)), with a the
preset's `debias` and b its `prior_limit`; for a negated one it is 1 - p. A clause's evidence is the
largest among its alternatives. It holds above `break_above` and fails below `keep_below`. The score of
a rule is the smallest among its clauses' evidence and, where it has exceptions, 1 minus the smallest
among theirs; an exception is decided by the same thresholds on that 1 minus. So a rule is broken exactly
if its score is above `break_above`, and kept exactly if it is below `keep_below`.

With presence (`jurat.judge.presence`) p is the smallest of the relation's own and the largest of each group,
all debiased alike, and `clue` decides their conjunction. An unanswered presence question leaves the relation
undecided.

With a calibration it is p = sigmoid((logit M - a logit M0 - b) / T), with a, b and T as fitted.

`clue`: a statement fails if M - M0 < -0.3 M0, holds if M - M0 > 0.8 (1 - M0), and is undecided
otherwise; the evidence shown is M. Thresholds of rules are not used.

Later stages only decide what is undecided by then. With `log-odds` the evidence of such a statement moves to
the side of the thresholds that it was decided to.

A statement that was not answered is undecided whatever its numbers; it never counts as No.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Literal

from jurat.judge.calibrate.calibration import Calibration
from jurat.judge.decision import Decision, Thresholds
from jurat.judge.evidence import Evidence
from jurat.judge.findings import AlternativeScore, ClauseOutcome, PresenceScore, Reason
from jurat.judge.logic import SWAPPED, all_of, any_of, gravest
from jurat.judge.questions import PlannedAlternative, Question
from jurat.models import YesNo

__all__ = ["OPEN", "PresenceAnswer", "Scoring", "StatementScore"]

OPEN: frozenset[Reason] = frozenset({"margin", "low_mass"})
"""Reasons that later stages may settle; the others are failures and stay."""


@dataclass(frozen=True)
class Scoring:
    """How the statements of one rule are scored on one image."""

    decision: Decision
    thresholds: Thresholds
    evidence: Evidence
    calibration: Calibration | None = None

    def answered(self, answer: YesNo | None) -> bool:
        return answer is not None and answer.failure is None and answer.mass >= self.decision.min_mass

    def prior(self, question: Question, answer: YesNo) -> YesNo | None:
        """The usable language prior. An answer stated in text is no probability, and has none."""
        prior = None if answer.stated else self.evidence.priors.get(question)
        return prior if self.answered(prior) else None

    def unanswered(self, question: Question, answer: YesNo) -> Reason | None:
        """Why a statement cannot be decided whatever its score; None where it can."""
        if answer.failure is not None:
            return answer.failure.kind
        if answer.mass < self.decision.min_mass:
            return "low_mass"
        if not self.decision.needs_prior or answer.stated or self.prior(question, answer) is not None:
            return None
        # A prior that failed with an error may be answered later; one run must not mix scores with and
        # without it.
        prior = self.evidence.priors.get(question)
        if prior is None or (prior.failure is not None and prior.failure.kind == "error"):
            return "error"
        return self.decision.without_prior

    def assess(self, question: Question, answer: YesNo) -> tuple[float, ClauseOutcome]:
        prior = self.prior(question, answer)
        return self.decision.assess(question.label, answer, prior, self.calibration)


@dataclass(frozen=True)
class PresenceAnswer:
    """The answer to one presence question of a relation."""

    group: int
    """One question of each group must be true."""
    question: Question
    answer: YesNo
    over_views: YesNo | None = None

    @property
    def counts(self) -> YesNo:
        return self.over_views or self.answer

    def shown(self, scoring: Scoring) -> PresenceScore:
        prior = scoring.prior(self.question, self.counts)
        return PresenceScore(
            group=self.group,
            text=self.question.text,
            score=_score(self.answer),
            baseline=None if prior is None else prior.score,
            mass=_mass(self.answer),
            stated=self.answer.stated,
            score_over_views=None if self.over_views is None else self.over_views.score,
            reason=scoring.unanswered(self.question, self.counts),
        )


@dataclass(frozen=True)
class StatementScore:
    """The score of one statement of a rule after some of the stages."""

    statement: PlannedAlternative
    role: Literal["clause", "unless"]
    scoring: Scoring
    answer: YesNo | None
    """On the whole image; None if nothing was asked, since the item lacks the text that it is about."""
    counts: YesNo | None = None
    """The answer that is scored: on the image, on a crop, or over views."""
    answered_by: str = "quick"
    """The stage that is recorded if this answer decides."""
    presence: tuple[PresenceAnswer, ...] = ()
    evidence: float | None = None
    """Evidence that the alternative holds, after its negation, in [0, 1]; None if it was not answered."""
    outcome: ClauseOutcome = "undecided"
    reason: Reason | None = "no_caption"
    decided_by: str | None = None
    fixed: bool = False
    """Whether a stage settled it by other means than its score, or failed to."""
    recorded: Mapping[str, Any] = field(default_factory=dict[str, Any])
    """Fields of `AlternativeScore` that stages filled."""

    @property
    def open(self) -> bool:
        """Whether it is undecided and a later stage may settle it."""
        return self.outcome == "undecided" and self.reason in OPEN

    @property
    def prior(self) -> float | None:
        """M0; 1 - M0 for a negated statement."""
        if self.counts is None or (prior := self.scoring.prior(self.statement.question, self.counts)) is None:
            return None
        return 1 - prior.score if self.statement.negated else prior.score

    @property
    def mass(self) -> float | None:
        return None if self.answer is None else _mass(self.answer)

    def scored(self, scoring: Scoring | None = None) -> StatementScore:
        """The statement with evidence and outcome computed from its answers."""
        scoring = scoring or self.scoring
        if self.counts is None or self.fixed:
            return self
        question = self.statement.question
        asked = [(question, self.counts), *((each.question, each.counts) for each in self.presence)]
        reason = gravest(scoring.unanswered(*each) for each in asked)
        evidence, outcome = None, "undecided"
        if reason is None:
            evidence, outcome = self._weighed(scoring, self.counts)
            reason = "margin" if outcome == "undecided" else None
        decided_by = None if outcome == "undecided" else self.answered_by
        return replace(
            self, scoring=scoring, evidence=evidence, outcome=outcome, reason=reason, decided_by=decided_by
        )

    def with_answer(self, answer: YesNo, stage: str) -> StatementScore:
        """The statement with another answer to score; `stage` is recorded if that decides."""
        return replace(self, counts=answer, answered_by=stage).scored()

    def settled(self, true: bool, stage: str) -> StatementScore:
        """The statement decided by other means than its score; only an open statement changes."""
        if not self.open:
            return self
        outcome: ClauseOutcome = "holds" if true != self.statement.negated else "fails"
        evidence = self.scoring.decision.moved(self.evidence, outcome, self.role, self.scoring.thresholds)
        return replace(self, outcome=outcome, evidence=evidence, reason=None, decided_by=stage, fixed=True)

    def failed(self, reason: Reason) -> StatementScore:
        """The statement undecided for `reason`, since a stage failed on it; only an open one changes."""
        return replace(self, reason=reason, fixed=True) if self.open else self

    def noting(self, **fields: Any) -> StatementScore:
        """The statement with more recorded fields; entries of `found` are appended."""
        there = self.recorded
        more = {
            name: (*there.get(name, ()), *value) if name == "found" else value
            for name, value in fields.items()
        }
        return replace(self, recorded={**there, **more})

    def shown(self) -> AlternativeScore:
        """As it is recorded."""
        answer, question = self.answer, self.statement.question
        prior = None if self.counts is None else self.scoring.prior(question, self.counts)
        return AlternativeScore(
            text=question.text,
            negated=self.statement.negated,
            score=None if answer is None else _score(answer),
            baseline=None if prior is None else prior.score,
            mass=self.mass,
            stated=None if answer is None else answer.stated,
            outcome=self.outcome,
            reason=self.reason,
            decided_by=self.decided_by,
            presence=tuple(each.shown(self.scoring) for each in self.presence),
            **self.recorded,
        )

    def _weighed(self, scoring: Scoring, counts: YesNo) -> tuple[float, ClauseOutcome]:
        """The evidence that the alternative holds, and what that decides."""
        own = scoring.assess(self.statement.question, counts)
        groups: dict[int, list[tuple[float, ClauseOutcome]]] = {}
        for each in self.presence:
            groups.setdefault(each.group, []).append(scoring.assess(each.question, each.counts))
        evidence, outcome = _conjunction(own, list(groups.values()))
        if self.statement.negated:
            evidence, outcome = 1 - evidence, SWAPPED[outcome]
        return evidence, scoring.decision.decide(evidence, outcome, self.role, scoring.thresholds)


def _conjunction(
    own: tuple[float, ClauseOutcome], groups: Sequence[Sequence[tuple[float, ClauseOutcome]]]
) -> tuple[float, ClauseOutcome]:
    """Evidence and outcome of a statement together with one presence statement of each group."""
    score, outcome = own
    for group in groups:
        score = min(score, max(score for score, _ in group))
        outcome = all_of((outcome, any_of(outcome for _, outcome in group)))
    return score, outcome


def _score(answer: YesNo) -> float | None:
    return answer.score if answer.failure is None and answer.mass > 0 else None


def _mass(answer: YesNo) -> float | None:
    return answer.mass if answer.failure is None else None
