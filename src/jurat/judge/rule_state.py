"""The state of one rule on one image while the stages run, and the finding that is recorded at the end.

A clause holds if one of its alternatives holds. A rule is broken if all its clauses hold and not all of
its exceptions do, in three-valued logic.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass, replace

from jurat.judge.evidence import Evidence
from jurat.judge.findings import ClauseOutcome, Finding, Reason, RuleFinding, RuleOutcome
from jurat.judge.logic import any_of, first_of, gravest, last_of, rule_outcome
from jurat.judge.questions import PlannedAlternative, PlannedClause, PlannedRule, StatementKey
from jurat.judge.statement_scoring import Scoring, StatementScore

__all__ = ["RuleState", "finding_of"]


@dataclass(frozen=True)
class RuleState:
    """One rule on one image after some of the stages.

    Rules share the evidence about an image. A rule uses a result of a stage only if it selected that
    statement itself, so that rules which share a statement do not affect each other.
    """

    planned: PlannedRule
    scoring: Scoring
    clauses: tuple[tuple[StatementScore, ...], ...] = ()
    """The statements of each clause; empty before the quick stage."""
    irrelevant: bool = False
    """Whether the image resembles the rule too little to be judged further."""
    relevance: float | None = None
    unscanned: Reason | None = None
    order: tuple[str, ...] = ()
    """The names of the preset's stages."""

    @property
    def evidence(self) -> Evidence:
        return self.scoring.evidence

    def scores(self) -> Iterator[StatementScore]:
        for clause in self.clauses:
            yield from clause

    @property
    def clause_outcomes(self) -> list[ClauseOutcome]:
        return [any_of(score.outcome for score in clause) for clause in self.clauses]

    @property
    def outcome(self) -> RuleOutcome:
        if self.irrelevant:
            return "kept"
        parts = list(zip(self.planned.clauses, self.clause_outcomes, strict=True))
        return rule_outcome(
            [outcome for clause, outcome in parts if clause.role == "clause"],
            [outcome for clause, outcome in parts if clause.role == "unless"],
        )

    def open_statements(self) -> list[PlannedAlternative]:
        """Undecided statements that a later stage may settle and that could change the outcome."""
        if self.outcome != "undecided":
            return []
        return [
            score.statement
            for clause, outcome in zip(self.clauses, self.clause_outcomes, strict=True)
            if outcome == "undecided"
            for score in clause
            if score.open
        ]

    def changed(
        self, keys: Collection[StatementKey], change: Callable[[StatementScore], StatementScore]
    ) -> RuleState:
        """The state with `change` applied to the scores of some statements."""
        return replace(
            self,
            clauses=tuple(
                tuple(change(score) if score.statement.key in keys else score for score in clause)
                for clause in self.clauses
            ),
        )

    def rescored(self, scoring: Scoring) -> RuleState:
        """The state with every statement scored from its answers under another `Scoring`."""
        return replace(
            self,
            scoring=scoring,
            clauses=tuple(tuple(score.scored(scoring) for score in clause) for clause in self.clauses),
        )


def finding_of(state: RuleState, frame: int = 0) -> RuleFinding:
    """The finding to record after all stages."""
    found = tuple(
        _clause(clause, scores, state.order)
        for clause, scores in zip(state.planned.clauses, state.clauses, strict=not state.irrelevant)
    )
    clauses = [finding for finding in found if finding.role == "clause"]
    unless = [finding for finding in found if finding.role == "unless"]
    outcome, rule = state.outcome, state.planned.rule
    decided_by = "relevance" if state.irrelevant else _rule_stage(clauses, unless, outcome, state.order)
    return RuleFinding(
        id=rule.id,
        outcome=outcome,
        score=_rule_score(clauses, unless, outcome),
        severity=rule.severity,
        action=rule.action,
        decided_by=decided_by,
        reason=_rule_reason(clauses, unless) if outcome == "undecided" else None,
        frame=frame,
        relevance=state.relevance,
        unscanned=state.unscanned,
        clauses=found,
    )


def _clause(clause: PlannedClause, scores: Sequence[StatementScore], order: Sequence[str]) -> Finding:
    """The disjunction of its alternatives."""
    outcome = any_of(one.outcome for one in scores)
    known = [one for one in scores if one.evidence is not None]
    best = max(known, key=lambda one: one.evidence or 0.0, default=None)
    # There is no score if an unanswered alternative might have had more evidence than the best one.
    certain = len(known) == len(scores) or outcome == "holds"
    stages = [one.decided_by for one in scores if one.outcome == outcome]
    return Finding(
        text=clause.text,
        role=clause.role,
        about=clause.about,
        outcome=outcome,
        score=best.evidence if best is not None and certain else None,
        baseline=best.prior if best is not None else None,
        mass=(best or scores[0]).mass,
        decided_by=(first_of if outcome == "holds" else last_of)(stages, order),
        reason=gravest(one.reason for one in scores) if outcome == "undecided" else None,
        alternatives=tuple(one.shown() for one in scores),
    )


def _rule_stage(
    clauses: Sequence[Finding], unless: Sequence[Finding], outcome: RuleOutcome, order: Sequence[str]
) -> str | None:
    """The stage after which the outcome was certain."""
    if outcome == "undecided":
        return None
    excused = last_of((finding.decided_by for finding in unless), order) if unless else None
    spoiled = first_of((finding.decided_by for finding in unless if finding.outcome == "fails"), order)
    if outcome == "broken":
        return last_of([*(finding.decided_by for finding in clauses), spoiled], order)
    failed = first_of((finding.decided_by for finding in clauses if finding.outcome == "fails"), order)
    return first_of([failed, None if any(f.outcome != "holds" for f in unless) else excused], order)


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
