"""From evidence to findings: pure functions, in three-valued logic (Kleene's strong one).

A clause holds if one of its alternatives holds. A rule is broken if all its clauses hold and not all of
its exceptions do. What a single statement's evidence says is `jurat.judge.statement_scoring`'s business.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace

from jurat.constitution import Rule
from jurat.content import Failure
from jurat.judge.calibrate.calibration import Calibration
from jurat.judge.evidence import Ledger, Located, Priors
from jurat.judge.logic import (
    GRAVITY,
    STAGES,
    all_of,
    any_of,
    first_stage,
    gravest,
    item_outcome,
    last_stage,
    rule_outcome,
)
from jurat.judge.plan import PlannedAlternative, PlannedClause, PlannedRule, questions
from jurat.judge.presets import Preset
from jurat.judge.rule_context import Case, Thresholds
from jurat.judge.statement_scoring import OPEN, Weighed, weigh
from jurat.judge.verdict import (
    Finding,
    Reason,
    RuleFinding,
    RuleOutcome,
    Stage,
)
from jurat.models import YesNo

__all__ = [
    "GRAVITY",
    "STAGES",
    "all_of",
    "any_of",
    "decide_rule",
    "first_stage",
    "gravest",
    "is_relevant",
    "item_outcome",
    "last_stage",
    "open_alternatives",
    "rule_outcome",
    "uncertain_alternatives",
    "undecided_rule",
]


def decide_rule(
    planned: PlannedRule,
    ledger: Ledger,
    priors: Priors,
    preset: Preset,
    *,
    frame: int = 0,
    calibration: Calibration | None = None,
) -> RuleFinding:
    """What the evidence about one image says of one rule."""
    if not is_relevant(planned, ledger):
        return _irrelevant(planned.rule, ledger.relevance[planned.rule.id], frame)
    case = Case(ledger, priors, preset, Thresholds.of(planned.rule, preset, calibration), calibration)
    # What a rule wants of later stages follows from what earlier ones gave it: so it is told in their order.
    if any(a.question in ledger.views for clause in planned.clauses for a in clause.alternatives):
        case = replace(case, viewed=frozenset(map(Located.of, _uncertain(planned, case))))
    finding = _finding(planned, case, frame)
    if open_ := frozenset(map(Located.of, _open(planned, finding))):
        case = replace(case, looked=open_)
        finding = _finding(planned, case, frame)
    if open_ := frozenset(map(Located.of, _open(planned, finding))):
        case = replace(case, reasoned=open_)
        finding = _finding(planned, case, frame)
    if preset.points and finding.outcome == "broken":
        finding = _finding(planned, replace(case, pointed=True), frame)
    return finding


def undecided_rule(planned: PlannedRule, failure: Failure, preset: Preset, *, frame: int = 0) -> RuleFinding:
    """What is said of a rule where the model could not answer about the image at all."""
    unanswered = YesNo(0.0, 0.0, failure)
    answers = dict.fromkeys(questions([planned]), unanswered)
    return decide_rule(planned, Ledger(answers=answers), {}, preset, frame=frame)


def is_relevant(planned: PlannedRule, ledger: Ledger) -> bool:
    """False only where the relevance stage found the image too unlike the rule's description."""
    cosine = ledger.relevance.get(planned.rule.id)
    return cosine is None or cosine > ledger.relevant_above


def uncertain_alternatives(
    planned: PlannedRule,
    ledger: Ledger,
    priors: Priors,
    preset: Preset,
    calibration: Calibration | None = None,
) -> Iterator[PlannedAlternative]:
    """What the views stage is to ask again: what is not certain, and matters to a rule that is not."""
    case = Case(ledger, priors, preset, Thresholds.of(planned.rule, preset, calibration), calibration)
    yield from _uncertain(planned, case)


def _uncertain(planned: PlannedRule, case: Case) -> Iterator[PlannedAlternative]:
    if case.preset.views is not None:
        certain = Thresholds(case.preset.views, 1 - case.preset.views)
        for one in _open(planned, _finding(planned, replace(case, thresholds=certain), 0)):
            # A text is not read otherwise beside a moved copy of the image; and what was not answered on the
            # image has nothing that an answer on a copy could be averaged with.
            if one.question.sees_image and case.answered(case.ledger.answers.get(one.question)):
                yield one


def open_alternatives(
    planned: PlannedRule,
    ledger: Ledger,
    priors: Priors,
    preset: Preset,
    calibration: Calibration | None = None,
) -> Iterator[PlannedAlternative]:
    """What is undecided, could be settled by looking again, and could change the rule's outcome."""
    yield from _open(planned, decide_rule(planned, ledger, priors, preset, calibration=calibration))


def _open(planned: PlannedRule, finding: RuleFinding) -> Iterator[PlannedAlternative]:
    if finding.outcome != "undecided":
        return
    for clause, found in zip(planned.clauses, finding.clauses, strict=True):
        if found.outcome == "undecided":
            for alternative, shown in zip(clause.alternatives, found.alternatives, strict=True):
                if shown.outcome == "undecided" and shown.reason in OPEN:
                    yield alternative


def _finding(planned: PlannedRule, case: Case, frame: int) -> RuleFinding:
    findings = tuple(
        _clause(clause, [weigh(alternative, clause.role, case) for alternative in clause.alternatives])
        for clause in planned.clauses
    )
    finding = _rule_finding(planned.rule, findings, frame, case.ledger.relevance.get(planned.rule.id))
    failure = case.ledger.unscanned.get(planned.rule.id)
    return finding if failure is None else finding.model_copy(update={"unscanned": failure.kind})


def _clause(clause: PlannedClause, weighed: Sequence[Weighed]) -> Finding:
    """The disjunction of its alternatives."""
    outcome = any_of(one.shown.outcome for one in weighed)
    known = [one for one in weighed if one.evidence is not None]
    best = max(known, key=lambda one: one.evidence or 0.0, default=None)
    # An alternative that was not answered might have had more evidence than the best one has: then there
    # is no score.
    certain = len(known) == len(weighed) or outcome == "holds"
    stages: list[Stage | None] = [one.shown.decided_by for one in weighed if one.shown.outcome == outcome]
    return Finding(
        text=clause.text,
        role=clause.role,
        about=clause.about,
        outcome=outcome,
        score=best.evidence if best is not None and certain else None,
        baseline=best.prior if best is not None else None,
        mass=best.shown.mass if best is not None else weighed[0].shown.mass,
        decided_by=first_stage(stages) if outcome == "holds" else last_stage(stages),
        reason=gravest(one.shown.reason for one in weighed) if outcome == "undecided" else None,
        alternatives=tuple(one.shown for one in weighed),
    )


def _rule_finding(
    rule: Rule, findings: tuple[Finding, ...], frame: int, relevance: float | None
) -> RuleFinding:
    clauses = [finding for finding in findings if finding.role == "clause"]
    unless = [finding for finding in findings if finding.role == "unless"]
    outcome = rule_outcome([finding.outcome for finding in clauses], [finding.outcome for finding in unless])
    return RuleFinding(
        id=rule.id,
        outcome=outcome,
        score=_rule_score(clauses, unless, outcome),
        severity=rule.severity,
        action=rule.action,
        decided_by=_rule_stage(clauses, unless, outcome),
        reason=_rule_reason(clauses, unless) if outcome == "undecided" else None,
        frame=frame,
        relevance=relevance,
        clauses=findings,
    )


def _irrelevant(rule: Rule, relevance: float, frame: int) -> RuleFinding:
    return RuleFinding(
        id=rule.id,
        outcome="kept",
        score=None,
        severity=rule.severity,
        action=rule.action,
        decided_by="relevance",
        reason=None,
        frame=frame,
        relevance=relevance,
        clauses=(),
    )


def _rule_stage(clauses: Sequence[Finding], unless: Sequence[Finding], outcome: RuleOutcome) -> Stage | None:
    """The stage after which the outcome was certain."""
    if outcome == "undecided":
        return None
    excused = last_stage(finding.decided_by for finding in unless) if unless else None
    spoiled = first_stage(finding.decided_by for finding in unless if finding.outcome == "fails")
    if outcome == "broken":
        return last_stage([*(finding.decided_by for finding in clauses), spoiled])
    failed = first_stage(finding.decided_by for finding in clauses if finding.outcome == "fails")
    return first_stage([failed, None if any(f.outcome != "holds" for f in unless) else excused])


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
