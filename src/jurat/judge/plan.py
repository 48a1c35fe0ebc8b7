"""Plans the questions of a constitution under a preset."""

from __future__ import annotations

from typing import Literal

from jurat.constitution import About, Clause, Constitution, Rule
from jurat.judge.presence import presence_of
from jurat.judge.presets import Preset
from jurat.judge.prompts import Kind
from jurat.judge.questions import PlannedAlternative, PlannedClause, PlannedRule, Question
from jurat.models import StatementReader

__all__ = ["plan"]

_ASKED: dict[About, Kind] = {
    "image": "statement",
    "caption": "caption",
    "pair": "pair",
    "text_in_image": "text_in_image",
    "prompt": "prompt",
    "response": "response",
    "conversation": "conversation",
}


def plan(
    constitution: Constitution, preset: Preset, reader: StatementReader | None = None
) -> tuple[PlannedRule, ...]:
    """One entry a rule. A rule without clauses, or any rule where the preset asks for rules, is one
    clause: its own text.

    `reader` is the capability of the model that will be asked; None if it lacks it.
    """
    return tuple(_plan_rule(rule, preset, reader) for rule in constitution.rules)


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
