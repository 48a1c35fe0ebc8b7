"""The closed questions of a constitution, rule by rule, before they are put into words."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Literal

from jurat.constitution import About, Rule
from jurat.judge.prompts import WORDINGS, Kind, TextPart

__all__ = [
    "PlannedAlternative",
    "PlannedClause",
    "PlannedRule",
    "Question",
    "StatementKey",
    "askers",
    "negated",
    "questions",
]


@dataclass(frozen=True)
class Question:
    """A closed question before it is put into words."""

    kind: Kind
    """Yes means that the statement is true, or that the rule is broken."""
    text: str

    @property
    def plain(self) -> bool:
        """Whether it is about the image, as a whole."""
        return self.kind in ("statement", "rule")

    @property
    def sees_image(self) -> bool:
        return WORDINGS[self.kind].image

    @property
    def reads(self) -> TextPart | None:
        """The text of the item that it is about, alone or with the image."""
        return WORDINGS[self.kind].reads

    @property
    def label(self) -> str:
        """Its text, with its kind if it is not about the image."""
        return self.text if self.plain else f"{self.text} ({self.kind})"


@dataclass(frozen=True)
class StatementKey:
    """A question with the objects that its answer depends on.

    Two rules may ask the same question and name different objects; each then has its own evidence, so that
    no rule changes what is found for another.
    """

    question: Question
    objects: tuple[str, ...]


@dataclass(frozen=True)
class PlannedAlternative:
    """One statement of a clause, or a whole rule, as it is to be asked."""

    question: Question
    negated: bool
    """Whether the clause holds if the answer is No."""
    objects: tuple[str, ...] = ()
    """The central objects of the clause, which a detector looks for."""
    presence: tuple[tuple[Question, ...], ...] = ()
    """Presence questions: one of each group must be true for the statement to be. Empty if the preset asks
    none."""

    @cached_property
    def key(self) -> StatementKey:
        return StatementKey(self.question, self.objects)

    @property
    def questions(self) -> tuple[Question, ...]:
        """Its own question and those of `presence`."""
        return (self.question, *(question for group in self.presence for question in group))


@dataclass(frozen=True)
class PlannedClause:
    text: str
    role: Literal["clause", "unless"]
    alternatives: tuple[PlannedAlternative, ...]
    about: About = "image"


@dataclass(frozen=True)
class PlannedRule:
    rule: Rule
    clauses: tuple[PlannedClause, ...]
    """Those that make it broken, then its exceptions."""

    @cached_property
    def alternatives(self) -> tuple[PlannedAlternative, ...]:
        return tuple(one for clause in self.clauses for one in clause.alternatives)

    def changed(self, change: Callable[[PlannedAlternative], PlannedAlternative]) -> PlannedRule:
        """The rule with `change` applied to each statement."""
        clauses = (
            replace(clause, alternatives=tuple(map(change, clause.alternatives))) for clause in self.clauses
        )
        return replace(self, clauses=tuple(clauses))

    @property
    def plain(self) -> bool:
        """Whether all of it is about the image. If not, the image need not resemble what the rule forbids."""
        return all(one.question.plain for one in self.alternatives)


def questions(rules: Sequence[PlannedRule]) -> tuple[Question, ...]:
    """Every distinct question once, in order of first appearance."""
    return tuple(
        dict.fromkeys(question for rule in rules for one in rule.alternatives for question in one.questions)
    )


def askers(rules: Sequence[PlannedRule], question: Question) -> Iterator[str]:
    """Ids of the rules that ask a question."""
    for rule in rules:
        if any(question in one.questions for one in rule.alternatives):
            yield rule.rule.id


def negated(rules: Sequence[PlannedRule], question: Question) -> Iterator[bool]:
    """For each statement that asks a question, whether it is negated."""
    for rule in rules:
        yield from (one.negated for one in rule.alternatives if one.question == question)
