"""What is to be asked for a constitution under a preset: each distinct question once."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

from jurat.constitution import About, Clause, Constitution, Rule
from jurat.judge.presence import presence_of
from jurat.judge.presets import Preset
from jurat.judge.prompts import WORDINGS, Kind, TextPart
from jurat.models import StatementReader

_ASKED: dict[About, Kind] = {
    "image": "statement",
    "caption": "caption",
    "pair": "pair",
    "text_in_image": "text_in_image",
    "prompt": "prompt",
    "response": "response",
    "conversation": "conversation",
}


@dataclass(frozen=True)
class Question:
    """A closed question, before it is worded."""

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
        """Its text, and what it is about where that is not the image."""
        return self.text if self.plain else f"{self.text} ({self.kind})"


@dataclass(frozen=True)
class PlannedAlternative:
    question: Question
    negated: bool
    """True where the clause wants No for an answer."""
    objects: tuple[str, ...] = ()
    """The central objects of the clause: what a detector is to look for."""
    presence: tuple[tuple[Question, ...], ...] = ()
    """What must be true for the statement to be, where the preset asks that of relations: one of each
    group."""

    @property
    def asked_beside(self) -> tuple[Question, ...]:
        """All questions of `presence`."""
        return tuple(question for group in self.presence for question in group)


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

    @property
    def plain(self) -> bool:
        """Whether all of it is about the image: else the image may look like nothing that it forbids."""
        return all(a.question.plain for clause in self.clauses for a in clause.alternatives)


def plan(
    constitution: Constitution, preset: Preset, reader: StatementReader | None = None
) -> tuple[PlannedRule, ...]:
    """One entry a rule. A rule without clauses, or any rule where the preset asks for rules, is one
    clause: its own text.

    `reader` is the capability of the model that is to be asked, None where it has none.
    """
    return tuple(_plan_rule(rule, preset, reader) for rule in constitution.rules)


def questions(rules: Sequence[PlannedRule]) -> tuple[Question, ...]:
    """Every distinct question once, in order of first appearance."""
    return tuple(
        dict.fromkeys(
            question
            for rule in rules
            for clause in rule.clauses
            for a in clause.alternatives
            for question in (a.question, *a.asked_beside)
        )
    )


def askers(rules: Sequence[PlannedRule], question: Question) -> Iterator[str]:
    """Ids of the rules that put a question."""
    for rule in rules:
        if any(
            question in (a.question, *a.asked_beside) for clause in rule.clauses for a in clause.alternatives
        ):
            yield rule.rule.id


def negated(rules: Sequence[PlannedRule], question: Question) -> Iterator[bool]:
    """Whether a question is wanted false, for each clause that puts it."""
    for rule in rules:
        for clause in rule.clauses:
            yield from (one.negated for one in clause.alternatives if one.question == question)


def _plan_rule(rule: Rule, preset: Preset, reader: StatementReader | None) -> PlannedRule:
    if rule.clauses and preset.asks == "clauses":
        clauses = tuple(_plan_clause(clause, "clause", preset, reader) for clause in rule.clauses)
    else:
        clauses = (_plan_whole(rule),)
    unless = tuple(_plan_clause(clause, "unless", preset, reader) for clause in rule.unless)
    return PlannedRule(rule, clauses + unless)


def _plan_whole(rule: Rule) -> PlannedClause:
    """The rule's text as one clause. Where clauses are about the caption and others about the conversation,
    it is asked of the image with each: either may break it."""
    abouts = {clause.about for clause in rule.clauses}
    kinds: list[Kind] = []
    if abouts & {"caption", "pair"}:
        kinds.append("rule_on_pair")
    if abouts & {"prompt", "response", "conversation"}:
        kinds.append("rule_on_conversation")
    about: About = "image" if not kinds else "pair" if kinds == ["rule_on_pair"] else "conversation"
    whole = tuple(PlannedAlternative(Question(kind, rule.rule), negated=False) for kind in kinds or ["rule"])
    return PlannedClause(rule.rule, "clause", whole, about)


def _plan_clause(
    clause: Clause, role: Literal["clause", "unless"], preset: Preset, reader: StatementReader | None
) -> PlannedClause:
    asked = _ASKED[clause.about]
    held = preset.presence and asked == "statement"
    alternatives = tuple(
        PlannedAlternative(
            Question(asked, s.text),
            s.negated,
            clause.objects,
            _presence(s.text, clause, reader) if held else (),
        )
        for s in clause.alternatives
    )
    return PlannedClause(clause.text, role, alternatives, clause.about)


def _presence(
    statement: str, clause: Clause, reader: StatementReader | None
) -> tuple[tuple[Question, ...], ...]:
    groups = presence_of(statement, clause.objects, reader)
    return tuple(tuple(Question("statement", text) for text in group) for group in groups)
