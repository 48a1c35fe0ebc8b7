"""From evidence to findings: pure functions, in three-valued logic (Kleene's strong one).

A clause holds if one of its alternatives holds. A rule is broken if all its clauses hold and not all of
its exceptions do. What a single statement's evidence says is `jurat.judge.weigh`'s business.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any

from jurat.constitution import Rule
from jurat.judge.calibration import Calibration
from jurat.judge.case import Case, Thresholds
from jurat.judge.coherent import Coherent, Formula, combine, entailments
from jurat.judge.ledger import Ledger, Located, Priors
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
from jurat.judge.odds import logit
from jurat.judge.plan import PlannedAlternative, PlannedClause, PlannedRule, questions
from jurat.judge.presets import Preset
from jurat.judge.verdict import (
    Coherence,
    Entailment,
    Finding,
    Reason,
    RuleFinding,
    RuleOutcome,
    Stage,
)
from jurat.judge.weigh import OPEN, Weighed, weigh
from jurat.models import Failure, YesNo

__all__ = [
    "GRAVITY",
    "STAGES",
    "accepted_alternatives",
    "all_of",
    "any_of",
    "decide_rule",
    "first_stage",
    "gravest",
    "is_relevant",
    "item_outcome",
    "last_stage",
    "next_alternatives",
    "open_alternatives",
    "rule_outcome",
    "uncertain_alternatives",
    "undecided_rule",
]

LEAST_CHANCE = 1e-3
"""That a clause settles its rule, where its evidence leaves it less."""
EXACT = 1e-9
"""A probability must be beyond a threshold by more than this, so that rounding decides nothing."""


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
    finding = _with(planned, case, frame)
    if preset.placebos > 0 and finding.outcome == "broken":
        case = replace(case, checked=frozenset(map(Located.of, _accepted(planned, finding))))
        finding = _with(planned, case, frame)
    if open_ := frozenset(map(Located.of, _open(planned, finding))):
        case = replace(case, looked=open_)
        finding = _with(planned, case, frame)
    while open_ := frozenset(map(Located.of, _next(planned, finding, preset))) - case.reasoned:
        case = replace(case, reasoned=case.reasoned | open_)
        finding = _with(planned, case, frame)
        if not preset.ordered or not open_ <= ledger.reasons.keys():
            break
    if preset.points and finding.outcome == "broken":
        finding = _with(planned, replace(case, pointed=True), frame)
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
        plain = _plain(planned, replace(case, thresholds=certain), 0)
        for one in _open(planned, plain):
            # A caption is not read otherwise in a moved copy of the image; and what was not answered on the
            # image has nothing that an answer on a copy could be averaged with.
            if one.question.sees_image and case.answered(case.ledger.answers.get(one.question)):
                yield one


def accepted_alternatives(
    planned: PlannedRule,
    ledger: Ledger,
    priors: Priors,
    preset: Preset,
    calibration: Calibration | None = None,
) -> Iterator[PlannedAlternative]:
    """What is to be compared with placebos: what holds, in the clauses of a rule that would be broken."""
    finding = decide_rule(planned, ledger, priors, preset, calibration=calibration)
    if finding.outcome == "broken":
        yield from _accepted(planned, finding)


def _accepted(planned: PlannedRule, finding: RuleFinding) -> Iterator[PlannedAlternative]:
    for clause, found in zip(planned.clauses, finding.clauses, strict=True):
        for alternative, shown in zip(clause.alternatives, found.alternatives, strict=True):
            if clause.role == "clause" and shown.outcome == "holds" and not alternative.negated:
                yield alternative


def open_alternatives(
    planned: PlannedRule,
    ledger: Ledger,
    priors: Priors,
    preset: Preset,
    calibration: Calibration | None = None,
) -> Iterator[PlannedAlternative]:
    """What is undecided, could be settled by looking again, and could change the rule's outcome."""
    yield from _open(planned, decide_rule(planned, ledger, priors, preset, calibration=calibration))


def next_alternatives(
    planned: PlannedRule,
    ledger: Ledger,
    priors: Priors,
    preset: Preset,
    calibration: Calibration | None = None,
) -> Iterator[PlannedAlternative]:
    """Those of `open_alternatives` that are to be reasoned about next: all, or of an ordered preset those of
    one clause."""
    finding = decide_rule(planned, ledger, priors, preset, calibration=calibration)
    yield from _next(planned, finding, preset)


def _next(planned: PlannedRule, finding: RuleFinding, preset: Preset) -> Iterator[PlannedAlternative]:
    """Of an ordered preset the clause that costs least for each chance to settle the rule comes first."""
    open_ = list(_open(planned, finding))
    if not preset.ordered or not open_:
        yield from open_
        return
    costs: list[tuple[float, list[PlannedAlternative]]] = []
    for clause, found in zip(planned.clauses, finding.clauses, strict=True):
        mine = [one for one in clause.alternatives if one in open_] if found.outcome == "undecided" else []
        if mine:
            share = 0.5 if found.score is None else found.score
            settles = 1 - share if clause.role == "clause" else share
            costs.append((len(mine) / max(settles, LEAST_CHANCE), mine))
    yield from min(costs, key=lambda cost: cost[0])[1]


def _open(planned: PlannedRule, finding: RuleFinding) -> Iterator[PlannedAlternative]:
    if finding.outcome != "undecided":
        return
    for clause, found in zip(planned.clauses, finding.clauses, strict=True):
        if found.outcome == "undecided":
            for alternative, shown in zip(clause.alternatives, found.alternatives, strict=True):
                if shown.outcome == "undecided" and shown.reason in OPEN:
                    yield alternative


def _with(planned: PlannedRule, case: Case, frame: int) -> RuleFinding:
    weighed = _weigh(planned, case)
    finding = _finding(planned, case, weighed, frame)
    return _cohered(planned, case, weighed, finding) if case.preset.coherent else finding


def _plain(planned: PlannedRule, case: Case, frame: int) -> RuleFinding:
    """The finding by three-valued logic, whether the preset's rules are coherent or not."""
    return _finding(planned, case, _weigh(planned, case), frame)


def _weigh(planned: PlannedRule, case: Case) -> list[list[Weighed]]:
    return [
        [weigh(alternative, clause.role, case) for alternative in clause.alternatives]
        for clause in planned.clauses
    ]


def _finding(
    planned: PlannedRule, case: Case, weighed: Sequence[Sequence[Weighed]], frame: int
) -> RuleFinding:
    findings = tuple(_clause(clause, some) for clause, some in zip(planned.clauses, weighed, strict=True))
    finding = _rule_finding(planned.rule, findings, frame, case.ledger.relevance.get(planned.rule.id))
    told: dict[str, Any] = {}
    if (failure := case.ledger.unscanned.get(planned.rule.id)) is not None:
        told["unscanned"] = failure.kind
    if case.preset.costs:
        told |= {"keep_below": case.thresholds.keep, "break_above": case.thresholds.break_}
    return finding.model_copy(update=told) if told else finding


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


def _cohered(
    planned: PlannedRule, case: Case, weighed: Sequence[Sequence[Weighed]], finding: RuleFinding
) -> RuleFinding:
    """The finding by the probability of the rule; as it is where a statement failed, or a placebo keeps one
    from holding: what was not answered has none."""
    each = [one for some in weighed for one in some]
    if any(one.evidence is None or one.vetoed or one.shown.reason not in (None, *OPEN) for one in each):
        return finding
    labels = [one.question.label for clause in planned.clauses for one in clause.alternatives]
    texts = list(dict.fromkeys(labels))
    log_odds = dict.fromkeys(texts, 0.0)
    for label, one in zip(labels, each, strict=True):
        held = logit(one.evidence or 0.0)
        log_odds[label] = -held if one.shown.negated else held
    formula = _formula(planned, texts)
    found = combine(formula, list(log_odds.values()), case.preset.temperature)
    outcome = _coherent_outcome(found, case)
    return finding.model_copy(
        update={
            "outcome": outcome,
            "score": found.probability,
            "decided_by": None if outcome == "undecided" else _latest(each),
            "reason": "margin" if outcome == "undecided" else None,
            "coherence": Coherence(
                method="exact" if found.exact else "independent",
                incoherence=found.incoherence,
                entailments=tuple(
                    Entailment(statement=texts[i], entails=texts[j]) for i, j in formula.entailments
                ),
            ),
        }
    )


def _formula(planned: PlannedRule, texts: Sequence[str]) -> Formula:
    number = {text: i for i, text in enumerate(texts)}
    parts = {
        role: tuple(
            tuple((number[one.question.label], not one.negated) for one in clause.alternatives)
            for clause in planned.clauses
            if clause.role == role
        )
        for role in ("clause", "unless")
    }
    return Formula(len(texts), parts["clause"], parts["unless"], entailments(texts))


def _coherent_outcome(found: Coherent, case: Case) -> RuleOutcome:
    if found.incoherence > case.preset.incoherent_above:
        return "undecided"
    if found.probability > case.thresholds.break_ + EXACT:
        return "broken"
    return "kept" if found.probability < case.thresholds.keep - EXACT else "undecided"


def _latest(weighed: Sequence[Weighed]) -> Stage | None:
    """The last stage that any statement's evidence comes from."""
    seen: list[Stage | None] = [
        "views" if one.shown.score_over_views is not None else "quick" for one in weighed
    ]
    return last_stage([*seen, *(one.shown.decided_by for one in weighed)])


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
