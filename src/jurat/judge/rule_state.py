"""What is known of one rule on one image while the stages run."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass, field, replace

from jurat.judge.evidence import Evidence
from jurat.judge.findings import ClauseOutcome, Reason, RuleOutcome
from jurat.judge.logic import any_of, rule_outcome
from jurat.judge.questions import PlannedAlternative, PlannedRule, StatementKey
from jurat.judge.statement_scoring import Scoring, StatementScore

__all__ = ["RuleState"]


@dataclass(frozen=True)
class RuleState:
    """One rule on one image after some of the stages.

    Rules share the evidence about an image. A rule uses what a stage found only where it selected that
    itself, so that another rule that shares a statement does not change what is found for this one.
    """

    planned: PlannedRule
    scoring: Scoring
    clauses: tuple[tuple[StatementScore, ...], ...] = ()
    """The statements of each clause; empty before the quick stage."""
    irrelevant: bool = False
    """Whether the image is too unlike the rule for it to be judged further."""
    relevance: float | None = None
    unscanned: Reason | None = None
    order: tuple[str, ...] = field(default=())
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
        """Those that are undecided, that a later stage may settle, and that could change the outcome."""
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
        """The same with the scores of some statements changed."""
        return replace(
            self,
            clauses=tuple(
                tuple(change(score) if score.statement.key in keys else score for score in clause)
                for clause in self.clauses
            ),
        )

    def rescored(self, scoring: Scoring) -> RuleState:
        """The same with every statement scored from its answers in another way."""
        return replace(
            self,
            scoring=scoring,
            clauses=tuple(tuple(score.scored(scoring) for score in clause) for clause in self.clauses),
        )
