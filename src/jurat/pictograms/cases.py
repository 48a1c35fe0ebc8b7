"""Truth of a constitution's rules for a scene, and scenes that break or just keep a rule."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

import numpy as np

from jurat.constitution import Clause, Constitution, Rule
from jurat.pictograms.composing import Wanted, compose
from jurat.pictograms.reading import parse
from jurat.pictograms.scene import Scene
from jurat.pictograms.statements import Facts


def clause_truth(clause: Clause, facts: Facts) -> bool | None:
    """Three-valued truth of a clause: one of its alternatives suffices."""
    truths = []
    for statement in clause.alternatives:
        truth = parse(statement.text).truth(facts)
        truths.append(truth if truth is None else truth is not statement.negated)
    if True in truths:
        return True
    return None if None in truths else False


def rule_truth(rule: Rule, facts: Facts) -> bool | None:
    """Whether the scene breaks the rule: all clauses hold, and not all of its exceptions."""

    def every(clauses: tuple[Clause, ...]) -> bool | None:
        truths = [clause_truth(clause, facts) for clause in clauses]
        return False if False in truths else (None if None in truths else True)

    broken = every(rule.clauses)
    excepted = every(rule.unless) if rule.unless else False
    if broken is False or excepted is True:
        return False
    return None if broken is None or excepted is None else True


def broken_rules(constitution: Constitution, facts: Facts) -> frozenset[str] | None:
    """The ids of the rules that a scene breaks, by the constitution's own clauses; None where one is left
    open."""
    truths = {rule.id: rule_truth(rule, facts) for rule in constitution.rules}
    return None if None in truths.values() else frozenset(name for name, truth in truths.items() if truth)


@dataclass(frozen=True)
class Case:
    """A scene drawn for one rule, with what the whole constitution says of it."""

    scene: Scene
    rule: str
    """Id of the rule it was drawn for."""
    want: Literal["broken", "near miss"]
    broken: frozenset[str]
    """Ids of all rules that the scene breaks."""


def draw_case(
    constitution: Constitution,
    rule: Rule,
    want: Literal["broken", "near miss"],
    rng: np.random.Generator,
    **options: object,
) -> Case:
    """Draws a scene that breaks a rule, or one that keeps it by a hair (one clause fails, the others hold).

    Scenes of which some rule's truth is open are drawn again. Raises ValueError where a clause is not a
    statement of this world, or where no scene was found.
    """
    problem: ValueError | None = None
    for _ in range(40):
        wanted = _wanted(rule, want, rng)
        try:
            scene = compose(wanted, rng, **options)
        except ValueError as trouble:
            problem = trouble
            continue
        broken = broken_rules(constitution, Facts.of(scene))
        problem = ValueError(f"every scene drawn for rule {rule.id!r} left some rule open")
        if broken is not None and (rule.id in broken) is (want == "broken"):
            return Case(scene, rule.id, want, broken)
    raise ValueError(f"no scene for rule {rule.id!r} as {want!r}: {problem}")


def draw_cases(constitution: Constitution, count: int, seed: int, **options: object) -> Iterator[Case]:
    """`count` cases: the rules in turn, half broken and half near misses."""
    rng = np.random.default_rng(seed)
    for i in range(count):
        rule = constitution.rules[(i // 2) % len(constitution.rules)]
        yield draw_case(constitution, rule, "broken" if i % 2 == 0 else "near miss", rng, **options)


def _wanted(rule: Rule, want: Literal["broken", "near miss"], rng: np.random.Generator) -> list[Wanted]:
    """Statements and the truth each shall have."""
    fails = -1 if want == "broken" else int(rng.integers(len(rule.clauses) + bool(rule.unless)))
    wanted: list[Wanted] = []
    for i, clause in enumerate(rule.clauses):
        wanted += _clause_wanted(clause, i != fails, rng)
    spared = int(rng.integers(len(rule.unless))) if rule.unless else -1
    for i, clause in enumerate(rule.unless):
        holds = fails == len(rule.clauses) or i != spared
        wanted += _clause_wanted(clause, holds, rng)
    return wanted


def _clause_wanted(clause: Clause, holds: bool, rng: np.random.Generator) -> list[Wanted]:
    alternatives = clause.alternatives
    if holds:
        alternatives = (alternatives[int(rng.integers(len(alternatives)))],)
    return [(parse(statement.text), holds is not statement.negated) for statement in alternatives]
