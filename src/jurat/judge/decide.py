"""From answers to findings: pure functions, in three-valued logic.

Let M be the score of a statement, P(Yes) / (P(Yes) + P(No)), and M0 the same without the image.

`log-odds`: the evidence for a statement is p = sigmoid(logit M - a clip(logit M0, -b, b)), with a the
preset's `debias` and b its `prior_limit`; for a negated one it is 1 - p. A clause's evidence is the
largest among its alternatives. It holds above `break_above` and fails below `keep_below`. The score of
a rule is the smallest among its clauses' evidence and, where it has exceptions, 1 minus the smallest
among theirs; an exception is decided by the same thresholds on that 1 minus. So a rule is broken exactly
if its score is above `break_above`, and kept exactly if it is below `keep_below`.

`clue`: a statement fails if M - M0 < -0.3 M0, holds if M - M0 > 0.8 (1 - M0), and is undecided
otherwise; the evidence shown is M. Thresholds of rules are not used.

What was not answered is undecided, whatever its numbers: it is never a No.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from jurat.constitution import Rule
from jurat.judge.plan import PlannedAlternative, PlannedClause, PlannedRule
from jurat.judge.presets import Preset
from jurat.judge.quick import Answers
from jurat.judge.verdict import (
    AlternativeScore,
    ClauseOutcome,
    Finding,
    ItemOutcome,
    Reason,
    RuleFinding,
    RuleOutcome,
)
from jurat.models import Failure, YesNo

GRAVITY: tuple[Reason, ...] = (
    "error",
    "out_of_domain",
    "refused",
    "filtered",
    "unparsed",
    "low_mass",
    "margin",
)
"""Of several reasons the first of these is given: what kept the model from answering before what it
answered."""

_SWAPPED: dict[ClauseOutcome, ClauseOutcome] = {"holds": "fails", "fails": "holds", "undecided": "undecided"}


@dataclass(frozen=True)
class Thresholds:
    """Below `keep` evidence fails, above `break_` it holds. `keep` is never larger than `break_`."""

    keep: float
    break_: float

    @classmethod
    def of(cls, rule: Rule, preset: Preset) -> Thresholds:
        """The rule's own where it has them. One that it leaves out is the preset's, and gives way to the
        one it has."""
        break_ = preset.break_above if rule.break_above is None else rule.break_above
        keep = preset.keep_below if rule.keep_below is None else rule.keep_below
        return cls(min(keep, break_), break_)

    def decide(self, evidence: float) -> ClauseOutcome:
        if evidence > self.break_:
            return "holds"
        return "fails" if evidence < self.keep else "undecided"


def decide_rule(
    planned: PlannedRule, answers: Answers, priors: Answers, preset: Preset, *, frame: int = 0
) -> RuleFinding:
    """What the answers about one image say of one rule."""
    thresholds = Thresholds.of(planned.rule, preset)
    findings = tuple(decide_clause(clause, answers, priors, preset, thresholds) for clause in planned.clauses)
    return _rule_finding(planned.rule, findings, frame)


def undecided_rule(planned: PlannedRule, failure: Failure, preset: Preset, *, frame: int = 0) -> RuleFinding:
    """What is said of a rule where the model could not answer about the image at all."""
    unanswered = YesNo(0.0, 0.0, failure)
    answers = {a.question: unanswered for clause in planned.clauses for a in clause.alternatives}
    return decide_rule(planned, answers, {}, preset, frame=frame)


def decide_clause(
    clause: PlannedClause, answers: Answers, priors: Answers, preset: Preset, thresholds: Thresholds
) -> Finding:
    """The disjunction of its alternatives."""
    weighed = [
        _weigh(
            alternative,
            answers[alternative.question],
            priors.get(alternative.question),
            preset,
            thresholds,
            clause.role,
        )
        for alternative in clause.alternatives
    ]
    outcome = any_of(one.shown.outcome for one in weighed)
    known = [one for one in weighed if one.evidence is not None]
    best = max(known, key=lambda one: one.evidence or 0.0, default=None)
    # An alternative that was not answered might have had more evidence than the best one has: then there
    # is no score.
    certain = len(known) == len(weighed) or outcome == "holds"
    return Finding(
        text=clause.text,
        role=clause.role,
        outcome=outcome,
        score=best.evidence if best is not None and certain else None,
        baseline=best.prior if best is not None else None,
        mass=best.shown.mass if best is not None else weighed[0].shown.mass,
        decided_by=None if outcome == "undecided" else "quick",
        reason=gravest(one.shown.reason for one in weighed) if outcome == "undecided" else None,
        alternatives=tuple(one.shown for one in weighed),
    )


def any_of(outcomes: Iterable[ClauseOutcome]) -> ClauseOutcome:
    """Three-valued OR: Kleene's strong logic, with `undecided` as its third value."""
    found = set(outcomes)
    return "holds" if "holds" in found else "undecided" if "undecided" in found else "fails"


def all_of(outcomes: Iterable[ClauseOutcome]) -> ClauseOutcome:
    """Three-valued AND."""
    return _SWAPPED[any_of(_SWAPPED[outcome] for outcome in outcomes)]


def rule_outcome(clauses: Iterable[ClauseOutcome], unless: Sequence[ClauseOutcome]) -> RuleOutcome:
    """Broken if all clauses hold and not all exceptions do; a rule without exceptions has none that hold."""
    excepted: ClauseOutcome = all_of(unless) if unless else "fails"
    names: dict[ClauseOutcome, RuleOutcome] = {"holds": "broken", "fails": "kept", "undecided": "undecided"}
    return names[all_of([*clauses, _SWAPPED[excepted]])]


def item_outcome(rules: Iterable[RuleFinding]) -> ItemOutcome:
    """Unsafe if a rule is broken, safe if all are kept, else unsure."""
    outcomes = {rule.outcome for rule in rules}
    return "unsafe" if "broken" in outcomes else "safe" if outcomes == {"kept"} else "unsure"


def gravest(reasons: Iterable[Reason | None]) -> Reason | None:
    """The first of `GRAVITY` among the reasons; None if there is none."""
    given = set(reasons)
    return next((reason for reason in GRAVITY if reason in given), None)


def debiased(log_odds: float, prior_log_odds: float | None, preset: Preset) -> float:
    """The log-odds of a statement with a share of its bounded language prior taken off; no prior takes off
    nothing."""
    if prior_log_odds is None:
        return log_odds
    bounded = max(-preset.prior_limit, min(preset.prior_limit, prior_log_odds))
    return log_odds - preset.debias * bounded


def sigmoid(x: float) -> float:
    """1 / (1 + exp(-x)), for any finite x."""
    return 1 / (1 + math.exp(-x)) if x >= 0 else math.exp(x) / (1 + math.exp(x))


@dataclass(frozen=True)
class _Weighed:
    """An alternative as it is shown, and what it adds to its clause."""

    shown: AlternativeScore
    evidence: float | None
    """That the alternative holds, its negation counted in; None if it was not answered."""
    prior: float | None
    """The same without the image, before any debiasing."""


def _weigh(
    alternative: PlannedAlternative,
    answer: YesNo,
    prior: YesNo | None,
    preset: Preset,
    thresholds: Thresholds,
    role: str,
) -> _Weighed:
    usable = prior if prior is not None and prior.failure is None and prior.mass >= preset.min_mass else None
    reason = _unanswered(answer, prior, usable, preset)
    outcome: ClauseOutcome = "undecided"
    evidence = None
    if reason is None:
        holds, outcome = _judge_statement(answer, usable, preset)
        evidence = 1 - holds if alternative.negated else holds
        if preset.decides == "log-odds":
            # An exception that holds speaks for keeping the rule, so it is its negation that is put to the
            # thresholds.
            flipped = role == "unless"
            outcome = thresholds.decide(1 - evidence if flipped else evidence)
            outcome = _SWAPPED[outcome] if flipped else outcome
        elif alternative.negated:
            outcome = _SWAPPED[outcome]
        reason = "margin" if outcome == "undecided" else None
    asked = answer.failure is None and answer.mass > 0
    shown = AlternativeScore(
        text=alternative.question.text,
        negated=alternative.negated,
        score=answer.score if asked else None,
        baseline=usable.score if usable is not None else None,
        mass=answer.mass if answer.failure is None else None,
        outcome=outcome,
        reason=reason,
    )
    before = None if usable is None else 1 - usable.score if alternative.negated else usable.score
    return _Weighed(shown, evidence, before)


def _unanswered(answer: YesNo, prior: YesNo | None, usable: YesNo | None, preset: Preset) -> Reason | None:
    """Why a statement cannot be decided whatever its score; None where it can."""
    if answer.failure is not None:
        return answer.failure.kind
    if answer.mass < preset.min_mass:
        return "low_mass"
    if not preset.needs_prior or usable is not None:
        return None
    # A prior that could not be had today may be had tomorrow: scores with and without it must not mix in
    # one run.
    if prior is None or (prior.failure is not None and prior.failure.kind == "error"):
        return "error"
    # A model that never answers without an image has no prior to take off. The paper's rule is not defined
    # then.
    return "low_mass" if preset.decides == "clue" else None


def _judge_statement(answer: YesNo, prior: YesNo | None, preset: Preset) -> tuple[float, ClauseOutcome]:
    """The evidence that a statement as put is true, and, for `clue`, its outcome."""
    if preset.decides == "log-odds":
        prior_log_odds = prior.log_odds if prior is not None else None
        return sigmoid(debiased(answer.log_odds, prior_log_odds, preset)), "undecided"
    m0 = prior.score if prior is not None else 0.5
    return answer.score, _clue(answer.score, m0, preset)


def _clue(m: float, m0: float, preset: Preset) -> ClauseOutcome:
    if m - m0 > preset.accept * (1 - m0):
        return "holds"
    return "fails" if m - m0 < -preset.reject * m0 else "undecided"


def _rule_finding(rule: Rule, findings: tuple[Finding, ...], frame: int) -> RuleFinding:
    clauses = [finding for finding in findings if finding.role == "clause"]
    unless = [finding for finding in findings if finding.role == "unless"]
    outcome = rule_outcome([finding.outcome for finding in clauses], [finding.outcome for finding in unless])
    return RuleFinding(
        id=rule.id,
        outcome=outcome,
        score=_rule_score(clauses, unless, outcome),
        severity=rule.severity,
        action=rule.action,
        decided_by=None if outcome == "undecided" else "quick",
        reason=_rule_reason(clauses, unless) if outcome == "undecided" else None,
        frame=frame,
        clauses=findings,
    )


def _rule_score(clauses: Sequence[Finding], unless: Sequence[Finding], outcome: RuleOutcome) -> float | None:
    """The smallest evidence; None where a clause without a score might have had less, and it matters."""
    parts = [finding.score for finding in clauses]
    if unless:
        failing = [1 - finding.score for finding in unless if finding.score is not None]
        certain = len(failing) == len(unless) or any(finding.outcome == "fails" for finding in unless)
        parts.append(max(failing) if failing and certain else None)
    known = [part for part in parts if part is not None]
    return min(known) if known and (len(known) == len(parts) or outcome == "kept") else None


def _rule_reason(clauses: Sequence[Finding], unless: Sequence[Finding]) -> Reason | None:
    """The gravest among the findings that stand in the way; exceptions do not once one of them fails."""
    excepted = [] if any(finding.outcome == "fails" for finding in unless) else unless
    return gravest(finding.reason for finding in (*clauses, *excepted))
