"""The language: what is written is read back, and its truth is that of the scene."""

from __future__ import annotations

import random

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jurat.pictograms.objects import NOUNS, NUMBER
from jurat.pictograms.reading import parse
from jurat.pictograms.scene import draw
from jurat.pictograms.statements import HELD_OUT, TEMPLATES, Facts
from training.questions import KINDS, Questioner, anything


def facts(
    *things: tuple[str, float, float, float], gaps: dict[tuple[int, int], float] | None = None
) -> Facts:
    """Facts of named objects at (x, y) with an area; all far apart unless `gaps` says otherwise."""
    apart = np.full((len(things), len(things)), 50.0)
    for (i, j), gap in (gaps or {}).items():
        apart[i, j] = apart[j, i] = gap
    return Facts(
        np.array([NUMBER[name] for name, *_ in things]),
        np.array([(x, y) for _, x, y, _ in things]).reshape(-1, 2),
        np.array([area for *_, area in things]),
        apart,
    )


NURSERY = facts(
    ("child", 30, 30, 900),
    ("axe", 60, 30, 500),
    ("dog", 30, 34, 880),
    ("dog", 90, 90, 400),
    gaps={(0, 1): 0, (1, 2): 3, (0, 2): 8},
)

TRUTHS = [
    ("A child is visible.", True),
    ("A cat is visible.", False),
    ("An animal is visible.", True),
    ("A cat, a horse or a dog is visible.", True),
    ("A child touches an axe.", True),
    ("The axe touches the child.", True),
    ("A child touches a dog.", False),
    ("A child touches a dagger, an axe or a cat.", True),
    ("A dog touches a weapon.", None),  # a gap of 3 is neither a touch nor a miss
    ("A child is left of an axe.", True),
    ("An axe is left of a child.", False),
    ("A child is above a dog.", True),  # the lower dog
    ("A child is right of a dog.", None),  # one dog level with it, one to its right
    ("A cat is below a child.", False),
    ("There are exactly two dogs.", True),
    ("There are at least three dogs.", False),
    ("There are at least two animals.", True),
    ("There is exactly one axe.", True),
    ("A sign reads FREE.", False),
    ("A child is larger than an axe.", True),
    ("An axe is larger than a child.", False),
    ("A child is larger than a dog.", True),
    ("Nothing but a dog is visible.", False),
    ("A child is visible and there are exactly two dogs.", True),
    ("A child is visible and a cat is visible and a dog touches a weapon.", False),
]


@pytest.mark.parametrize(("text", "truth"), TRUTHS)
def test_truth_of_statements_in_a_scene(text: str, truth: bool | None) -> None:
    assert parse(text).truth(NURSERY) is truth


@settings(max_examples=150, deadline=None)
@given(st.integers(0, 2**32), st.booleans())
def test_every_phrasing_parses_to_its_statement(seed: int, definite: bool) -> None:
    statement = anything(random.Random(seed))
    for phrase in statement.phrasings(definite=definite):
        assert parse(phrase) == statement, phrase


@pytest.mark.parametrize("kind", TEMPLATES)
def test_every_kind_has_six_phrasings_and_two_held_out(kind: str) -> None:
    assert HELD_OUT == 2
    assert len(set(TEMPLATES[kind])) == len(TEMPLATES[kind]) >= 6 + HELD_OUT


@pytest.mark.parametrize(
    "text",
    [
        "",
        "A unicorn is visible.",
        "A child eats a cake.",
        "Is it dangerous?",
        "There are at least two.",
        "A sign reads WET.",
    ],
)
def test_unknown_sentences_are_refused(text: str) -> None:
    with pytest.raises(ValueError, match="not a statement of the pictogram world"):
        parse(text)


def test_nouns_have_distinct_names() -> None:
    names = [name for noun in NOUNS.values() for name in {noun.singular, noun.plural}]
    assert len(names) == len(set(names))


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 2**32))
def test_drawn_questions_have_their_recorded_truth(seed: int) -> None:
    seen = Facts.of(draw(np.random.default_rng(seed)))
    questioner = Questioner(random.Random(seed))
    for kind in KINDS:
        for want in (True, False):
            drawn = questioner.draw(seen, kind, want)
            if drawn is not None:
                assert drawn[1].truth(seen) is drawn[2] is want


def test_questions_are_balanced() -> None:
    questioner = Questioner(random.Random(0))
    answers = [
        drawn[2]
        for seed in range(40)
        for seen in [Facts.of(draw(np.random.default_rng(seed)))]
        for _ in range(12)
        if (drawn := questioner.draw(seen)) is not None
    ]
    assert 0.45 < np.mean(answers) < 0.55
