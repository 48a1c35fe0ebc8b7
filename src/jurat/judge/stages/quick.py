"""The quick stage: asks every statement about the whole image, all behind one prefix."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, ClassVar, Literal

from jurat.content import Failure
from jurat.judge.asking import ImageQuestions, ask, attempt, count
from jurat.judge.evidence import Evidence
from jurat.judge.findings import AlternativeScore, PresenceScore, RuleFinding
from jurat.judge.item_texts import MISSING
from jurat.judge.questions import PlannedAlternative, PlannedClause, PlannedRule, Question
from jurat.judge.rule_state import RuleState
from jurat.judge.stages.base import Models, Request, Stage, recorded_kind, recorded_statements
from jurat.judge.statement_scoring import PresenceAnswer, StatementScore
from jurat.models import DomainGate, YesNo

__all__ = ["Quick"]


@dataclass(frozen=True)
class Quick(Stage):
    """Asks every statement of the relevant rules. Every preset has it."""

    name: ClassVar[str] = "quick"
    every_image: ClassVar[bool] = True
    depends_on_thresholds: ClassVar[bool] = False

    asks: Literal["clauses", "rules"] = "clauses"
    """`clauses`: every statement. `rules`: each rule's text, and the statements of its exceptions."""
    presence: bool = False
    """Whether a relation counts only where the things it is between are visible; see
    `jurat.judge.presence`."""

    def select(self, rule: RuleState) -> Sequence[PlannedAlternative]:
        """All statements except those about a text that the item lacks."""
        return [one for one in rule.planned.alternatives if rule.evidence.may_ask(one.question)]

    def keys(self, target: PlannedAlternative) -> Sequence[Question]:
        return target.questions

    def run(self, models: Models, requests: Sequence[Request]) -> Sequence[Mapping[Any, Any]]:
        asked = [request for request in requests if request.keys]
        _refuse_foreign(models, [request for request in requests if not request.keys])
        sets = [ImageQuestions(each.image, each.keys, each.evidence.texts) for each in asked]
        answers: dict[int, Mapping[Question, YesNo]] = {}
        for request, entry in zip(asked, attempt(lambda some: ask(models.model, some), sets), strict=True):
            count(request.evidence, entry, any(question.sees_image for question in request.keys))
            if isinstance(entry, Failure):
                request.evidence.failure = entry
                continue
            answers[id(request)] = entry.answers
            models.measured |= any(not answer.stated for answer in entry.answers.values())
        priors = models.priors() if requests else {}
        for request in requests:
            request.evidence.priors = priors
        return [answers.get(id(request), {}) for request in requests]

    def apply(self, rule: RuleState, targets: Sequence[Any]) -> RuleState:
        clauses = tuple(
            tuple(_scored(rule, clause, one) for one in clause.alternatives)
            for clause in rule.planned.clauses
        )
        return replace(rule, clauses=clauses)

    def read(self, rule: PlannedRule, finding: RuleFinding, evidence: Evidence) -> None:
        priors = dict(evidence.priors)
        for statement, shown in recorded_statements(rule, finding):
            if shown.reason in MISSING.values():
                continue
            for question, each in recorded_questions(statement, shown):
                # Where a crop stood for the image, a reason on record is not that of the answer on the image.
                if question not in evidence.answers or getattr(each, "score_on_crop", None) is None:
                    evidence.answers[question] = recorded_answer(each)
                if each.baseline is not None:
                    priors[question] = YesNo(each.baseline, 1 - each.baseline)
                elif each.reason != "error":
                    # A prior that was not usable is recorded as null; one without mass is not usable either.
                    priors[question] = YesNo(0.0, 0.0)
        evidence.priors = priors


def recorded_questions(
    statement: PlannedAlternative, shown: AlternativeScore
) -> list[tuple[Question, AlternativeScore | PresenceScore]]:
    """The statement's question and those of its presence, with what is recorded of each."""
    beside = [(Question("statement", each.text), each) for each in shown.presence]
    return [(statement.question, shown), *beside]


def recorded_answer(shown: AlternativeScore | PresenceScore) -> YesNo:
    """The answer on the whole image."""
    if shown.mass is None:
        return YesNo(0.0, 0.0, Failure(recorded_kind(shown.reason), "As recorded."))
    score = 0.5 if shown.score is None else shown.score
    return YesNo(shown.mass * score, shown.mass * (1 - score), stated=bool(shown.stated))


def _scored(rule: RuleState, clause: PlannedClause, one: PlannedAlternative) -> StatementScore:
    answers = rule.evidence.answers
    answer = answers.get(one.question)
    if answer is None:
        reason = MISSING[one.question.reads or "caption"]
        return StatementScore(one, clause.role, rule.scoring, None, reason=reason)
    presence = tuple(
        PresenceAnswer(number, question, answers[question])
        for number, group in enumerate(one.presence)
        for question in group
    )
    return StatementScore(one, clause.role, rule.scoring, answer, answer, presence=presence).scored()


def _refuse_foreign(models: Models, unasked: Sequence[Request]) -> None:
    """Applies the model's domain gate to images to which no rule is relevant."""
    gate = models.model.capability(DomainGate)
    if gate is None:
        return
    found = attempt(gate.foreign, [request.image for request in unasked])
    for request, entry in zip(unasked, found, strict=True):
        request.evidence.failure = entry
