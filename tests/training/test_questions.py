"""Questions: their truth equals an independent evaluation; they come in the shares that are declared."""

from __future__ import annotations

import random
from collections import Counter
from itertools import product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jurat.pictograms.objects import CLASSES, GROUPS, NOUNS, NUMBER, OBJECTS, WORDS
from jurat.pictograms.scene import GAP, NEAR, draw
from jurat.pictograms.statements import NUMBERS, UNKNOWN, Count, Facts, Not, Only, Touches, Visible
from training.questions import KINDS, MOST_ASKED, SHARES, Drawn, Questioner, forms


def random_facts(seed: int, unknown: float = 0.0) -> Facts:
    """Facts as of a scene, drawn without a picture: duplicates and members of one group are frequent."""
    rng = random.Random(seed)
    pool = sorted(rng.choice(GROUPS).classes) if rng.random() < 0.3 else range(CLASSES)
    kinds: list[int] = []
    while len(kinds) < rng.randint(1, 7):
        kinds.append(rng.choice(kinds) if kinds and rng.random() < 0.35 else rng.choice(pool))
    if rng.random() < unknown:
        kinds[rng.randrange(len(kinds))] = UNKNOWN
    n = len(kinds)
    gaps = np.zeros((n, n))
    for i in range(n):
        for j in range(i):
            gaps[i, j] = gaps[j, i] = rng.choice((0.0, rng.uniform(GAP, NEAR), rng.uniform(NEAR, 60)))
    places = [(rng.uniform(10, 118), rng.uniform(10, 118)) for _ in kinds]
    return Facts(np.array(kinds), np.array(places), np.array([rng.uniform(300, 1500) for _ in kinds]), gaps)


# --- an evaluation that shares no code with `jurat.pictograms.statements` ---------------------------


def named(kind: int, name: str) -> bool:
    """Whether the name, of an object or a group, is one of a class."""
    return kind < len(OBJECTS) and (OBJECTS[kind].singular == name or kind in NOUNS[name].classes)


def holds(text: str, facts: Facts) -> bool:
    """Whether a sentence in its canonical wording is true."""
    text = text.lower().rstrip(".").replace(" a ", " ").replace(" an ", " ")
    text = text.removeprefix("a ").removeprefix("an ")
    kinds = facts.kinds.tolist()
    every = range(len(kinds))

    def there(name: str) -> list[int]:
        return [i for i in every if named(kinds[i], name)]

    def names(listed: str) -> list[str]:
        return listed.replace(" or ", ", ").split(", ")

    def pairs(first: str, others: str) -> list[tuple[int, int]]:
        return [(i, j) for other in names(others) for i, j in product(there(first), there(other)) if i != j]

    if " and " in text:
        return all(holds(part, facts) for part in text.split(" and "))
    if text.startswith("neither "):
        return not any(there(name) for name in text[8:-11].replace(" nor ", ", ").split(", "))
    if text.startswith("no sign reads "):
        return not holds(text[3:].replace("sign", "a sign", 1), facts)
    if text.startswith("no ") and text.endswith(" is visible"):
        return not there(text[3:-11])
    if text.startswith("nothing but "):
        return bool(kinds) and all(named(kind, text[12:-11]) for kind in kinds)
    if "sign reads " in text:
        return len(OBJECTS) + WORDS.index(text.rsplit(" ", 1)[1].upper()) in kinds
    if text.startswith(("there are ", "there is ")):
        return counted(text.removeprefix("there are ").removeprefix("there is "), kinds)
    if " does not touch " in text:
        return not holds(text.replace("does not touch", "touches"), facts)
    if " is not " in text:
        return not holds(text.replace("is not", "is"), facts)
    if " touches " in text:
        return any(facts.gaps[i, j] == 0 for i, j in pairs(*text.split(" touches ")))
    if " is larger than " in text:
        return any(facts.areas[i] >= 1.3 * facts.areas[j] for i, j in pairs(*text.split(" is larger than ")))
    for side, (axis, sign) in {
        "left of": (0, 1),
        "right of": (0, -1),
        "above": (1, 1),
        "below": (1, -1),
    }.items():
        if f" is {side} " in text:
            return any(
                sign * (facts.centres[j, axis] - facts.centres[i, axis]) >= 14
                for i, j in pairs(*text.split(f" is {side} "))
            )
    if " with " in text:
        return holds(text.replace(" with ", " touches ").removesuffix(" is visible"), facts)
    assert text.endswith(" is visible"), text
    return any(there(name) for name in names(text[:-11]))


def counted(text: str, kinds: list[int]) -> bool:
    words = text.split()
    number = next(NUMBERS.index(word) for word in words if word in NUMBERS)
    how = text.replace(NUMBERS[number], "#", 1)
    name = how.replace("#", "", 1)
    for phrase in ("exactly", "at least", "fewer than", "more than", "only", "or more"):
        name = name.replace(f"{phrase} ", "").strip()
    noun = next(noun for noun in NOUNS.values() if name in (noun.singular, noun.plural))
    many = sum(named(kind, noun.singular) for kind in kinds)
    if how.startswith(("exactly", "only")):
        return many == number
    if how.startswith("fewer"):
        return many < number
    return many > number if how.startswith("more than") else many >= number


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 2**32))
def test_truth_equals_an_independent_evaluation(seed: int) -> None:
    facts = random_facts(seed, unknown=0.2)
    questioner = Questioner(random.Random(seed))
    for kind, truth in product(KINDS, (True, False)):
        for form in forms(kind, truth):
            drawn = questioner.draw(facts, kind, truth, form)
            if drawn is not None:
                assert drawn.statement.truth(facts) is drawn.truth is truth
                assert holds(str(drawn.statement), facts) is truth, str(drawn.statement)


# --- what is asked ----------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def drawn() -> tuple[Questioner, list[tuple[Facts, Drawn]]]:
    """Questions about 1,200 made-up scenes."""
    questioner = Questioner(random.Random(5))
    found: list[tuple[Facts, Drawn]] = []
    for seed in range(1200):
        facts = random_facts(seed)
        found += [(facts, one) for _ in range(12) if (one := questioner.draw(facts)) is not None]
    return questioner, found


def test_shares_add_up_to_one() -> None:
    for kind, table in SHARES.items():
        for truth in (0, 1):
            assert sum(shares[truth] for shares in table.values()) == pytest.approx(1), kind
    assert SHARES.keys() == KINDS.keys()


def test_kinds_and_forms_come_in_their_shares(drawn: tuple[Questioner, list[tuple[Facts, Drawn]]]) -> None:
    _, questions = drawn
    kinds = Counter(one.kind for _, one in questions)
    tally = Counter((one.kind, one.truth, one.form) for _, one in questions)
    truths = Counter((one.kind, one.truth) for _, one in questions)
    for kind, weight in KINDS.items():
        assert kinds[kind] / len(questions) == pytest.approx(weight / sum(KINDS.values()), rel=0.35, abs=0.02)
        assert abs(truths[kind, True] - truths[kind, False]) <= 2
        for form, shares in SHARES[kind].items():
            for truth, share in zip((True, False), shares, strict=True):
                of_form = tally[kind, truth, form] / truths[kind, truth]
                assert of_form == pytest.approx(share, abs=0.12), (kind, form, truth)


def test_forms_that_can_be_either_are_balanced(drawn: tuple[Questioner, list[tuple[Facts, Drawn]]]) -> None:
    tally = Counter((one.kind, one.form, one.truth) for _, one in drawn[1])
    for kind, form in {(kind, form) for kind, form, _ in tally}:
        true, false = SHARES[kind][form]
        if true == false:
            counts = tally[kind, form, True], tally[kind, form, False]
            assert min(counts) >= 0.7 * max(counts), (kind, form, counts)


def test_half_of_false_touches_are_near_misses(drawn: tuple[Questioner, list[tuple[Facts, Drawn]]]) -> None:
    near = [
        min((facts.gaps[pair] for pair in facts.pairs([touch.first], touch.others)), default=99) < NEAR
        for facts, one in drawn[1]
        if one.kind in ("touch", "group touch", "with") and not one.truth
        for touch in [one.statement]
        if isinstance(touch, Touches)
    ]
    assert len(near) > 300 and 0.45 < np.mean(near) < 0.65


def test_counts_are_asked_up_to_five_also_of_more(
    drawn: tuple[Questioner, list[tuple[Facts, Drawn]]],
) -> None:
    counts = [(facts, one) for facts, one in drawn[1] if isinstance(one.statement, Count)]
    assert {one.statement.number for _, one in counts} == set(range(1, MOST_ASKED + 1))
    three_of_more = [
        one
        for facts, one in counts
        if one.statement.how == "exactly"
        and one.statement.number == 3
        and len(facts.which(one.statement.noun)) > 3
    ]
    assert three_of_more and not any(one.truth for one in three_of_more)
    assert {one.statement.said for _, one in counts} == {"", "only", "more than", "or more"}


def facts_of_names(*names: str) -> Facts:
    n = len(names)
    kinds = [UNKNOWN if name == "?" else NUMBER[name] for name in names]
    places = np.stack([np.arange(n) * 25.0, np.zeros(n)], 1)
    return Facts(np.array(kinds), places, np.ones(n), np.full((n, n), 40.0) * (1 - np.eye(n)))


def test_only_is_asked_with_one_stranger_in_kind() -> None:
    facts = facts_of_names("dog", "cat", "horse", "man")
    asked = [Questioner(random.Random(i)).draw(facts, "only", False, "stranger") for i in range(20)]
    assert {str(one.statement) for one in asked if one} == {"Nothing but an animal is visible."}


def test_lists_name_things_that_are_there_and_do_not_touch() -> None:
    facts = facts_of_names("dog", "cat", "horse", "man")
    one = Questioner(random.Random(1)).draw(facts, "touch", False, "list")
    assert one is not None and isinstance(one.statement, Touches)
    assert len(one.statement.others) > 1 and all(map(facts.which, one.statement.others))
    first = Questioner(random.Random(1)).draw(facts, "touch", False, "list, first absent")
    assert first is not None and not facts.which(first.statement.nouns()[0])


def test_unknown_objects_are_never_asked_about() -> None:
    facts = facts_of_names("dog", "?", "dog")
    questioner = Questioner(random.Random(2))
    asked = [one for _ in range(300) if (one := questioner.draw(facts)) is not None]
    assert asked
    for one in asked:
        parts = [one.statement.part if isinstance(one.statement, Not) else one.statement]
        assert not any(noun in GROUPS for part in parts for noun in part.nouns())
        assert not (isinstance(one.statement, Only) and one.truth)
    assert Only(OBJECTS[NUMBER["dog"]]).truth(facts) is False
    assert not any(
        Visible((noun,)).truth(facts) for noun in NOUNS.values() if NUMBER["dog"] not in noun.classes
    )


def test_drawn_questions_of_real_scenes_cover_all_kinds() -> None:
    questioner = Questioner(random.Random(0))
    for seed in range(30):
        facts = Facts.of(draw(np.random.default_rng(seed)))
        for _ in range(25):
            questioner.draw(facts)
    assert all(questioner.asked[kind,] for kind in KINDS)
