"""Scenes to order, for a statement and for a constitution."""

from __future__ import annotations

import numpy as np
import pytest

from jurat.constitution import load_constitution
from jurat.pictograms.cases import draw_cases, rule_truth
from jurat.pictograms.composing import compose, near_miss
from jurat.pictograms.reading import parse
from jurat.pictograms.statements import Facts

STATEMENTS = [
    "A child touches a kitchen knife.",
    "A child is visible.",
    "A beer or a cocktail is visible.",
    "There are at least two dogs.",
    "There are exactly three coins.",
    "A sign reads FREE.",
    "A dog is left of a car.",
    "A snake is above a child.",
    "The dog is larger than the cat.",
    "Nothing but a person is visible.",
    "Neither a dog nor a cat is visible.",
    "The dog does not touch the cat.",
    "There are fewer than three dogs.",
    "A man with a guitar is visible and no dog is visible.",
    "A child is visible and a beer or a cocktail is visible and the child touches the beer or the cocktail.",
]


@pytest.mark.parametrize("text", STATEMENTS)
def test_composed_scenes_hold_and_near_misses_fail(text: str) -> None:
    statement, rng = parse(text), np.random.default_rng(1)
    for _ in range(3):
        assert statement.truth(Facts.of(compose([(statement, True)], rng))) is True
        assert statement.truth(Facts.of(near_miss(statement, rng))) is False


def test_near_miss_of_touch_has_the_objects_close_by() -> None:
    statement = parse("A child touches a kitchen knife.")
    seen = Facts.of(near_miss(statement, np.random.default_rng(5)))
    pairs = seen.pairs([statement.first], statement.others)
    assert pairs and min(seen.gaps[pair] for pair in pairs) < 13


def test_contradictory_statements_are_refused() -> None:
    wanted = [(parse("A child is visible."), False), (parse("A child touches an axe."), True)]
    with pytest.raises(ValueError, match="found no scene for: not: A child is visible"):
        compose(wanted, np.random.default_rng(0))


def test_nursery_cases_are_half_broken_and_list_broken_rules() -> None:
    constitution = load_constitution("shelf:nursery")
    cases = list(draw_cases(constitution, 2 * len(constitution.rules), seed=3))
    for case in cases:
        seen = Facts.of(case.scene)
        assert case.broken == {rule.id for rule in constitution.rules if rule_truth(rule, seen)}
        assert (case.rule in case.broken) is (case.want == "broken")
    assert [case.want for case in cases[:2]] == ["broken", "near miss"]
    assert {case.rule for case in cases} == {rule.id for rule in constitution.rules}
