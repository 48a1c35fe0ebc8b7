"""What is to be asked for a constitution under a preset: each distinct question once."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

from jurat.constitution import Clause, Constitution, Rule
from jurat.judge.contrasts import Kind, contrasts_of
from jurat.judge.presets import Preset


@dataclass(frozen=True)
class Question:
    """A closed question, before it is worded."""

    kind: Literal["statement", "rule"]
    """Yes means that the statement is true, or that the rule is broken."""
    text: str


@dataclass(frozen=True)
class PlannedAlternative:
    question: Question
    negated: bool
    """True where the clause wants No for an answer."""
    objects: tuple[str, ...] = ()
    """The central objects of the clause: what a detector is to look for."""
    contrasts: tuple[tuple[Kind, Question], ...] = ()
    """What excludes the statement, where the preset holds it against that."""


@dataclass(frozen=True)
class PlannedClause:
    text: str
    role: Literal["clause", "unless"]
    alternatives: tuple[PlannedAlternative, ...]


@dataclass(frozen=True)
class PlannedRule:
    rule: Rule
    clauses: tuple[PlannedClause, ...]
    """Those that make it broken, then its exceptions."""


def plan(constitution: Constitution, preset: Preset) -> tuple[PlannedRule, ...]:
    """One entry a rule. A rule without clauses, or any rule where the preset asks for rules, is one
    clause: its own text."""
    return tuple(_plan_rule(rule, preset) for rule in constitution.rules)


def questions(rules: Sequence[PlannedRule]) -> tuple[Question, ...]:
    """Every distinct question once, in order of first appearance."""
    return tuple(
        dict.fromkeys(a.question for rule in rules for clause in rule.clauses for a in clause.alternatives)
    )


def askers(rules: Sequence[PlannedRule], question: Question) -> Iterator[str]:
    """Ids of the rules that put a question."""
    for rule in rules:
        if any(a.question == question for clause in rule.clauses for a in clause.alternatives):
            yield rule.rule.id


def _plan_rule(rule: Rule, preset: Preset) -> PlannedRule:
    if rule.clauses and preset.asks == "clauses":
        clauses = tuple(_plan_clause(clause, "clause", preset) for clause in rule.clauses)
    else:
        whole = PlannedAlternative(Question("rule", rule.rule), negated=False)
        clauses = (PlannedClause(rule.rule, "clause", (whole,)),)
    unless = tuple(_plan_clause(clause, "unless", preset) for clause in rule.unless)
    return PlannedRule(rule, clauses + unless)


def _plan_clause(clause: Clause, role: Literal["clause", "unless"], preset: Preset) -> PlannedClause:
    kinds = preset.contrasts if preset.decides == "log-odds" else ()
    alternatives = tuple(
        PlannedAlternative(
            Question("statement", s.text),
            s.negated,
            clause.objects,
            tuple((one.kind, Question("statement", one.text)) for one in contrasts_of(s.text, kinds)),
        )
        for s in clause.alternatives
    )
    return PlannedClause(clause.text, role, alternatives)
