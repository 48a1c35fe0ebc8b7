"""Statements that exclude a statement: how they are made, and what they do to its evidence."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jurat.constitution import Constitution, Rule
from jurat.errors import JuratError
from jurat.judge import PRESETS, Judge, Preset, verdict_to_row
from jurat.judge.contrasts import KINDS, against, contrasts_of
from jurat.judge.odds import sigmoid
from jurat.judge.presets import find_preset
from jurat.judge.sentences import Counted, Related, Shown, plural, read, singular
from jurat.judge.verdict import Verdict
from jurat.models import Failure, Vocabulary, YesNo

from .scripted import CROP, NONE, PAINTED, WHOLE, Finder, Scripted, box, white


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("A dog is visible.", Shown(("dog",))),
        ("There is a dog or the wine glass in the picture.", Shown(("dog", "wine glass"))),
        ("The image shows a beer, a glass of milk or some money.", Shown(("beer", "glass of milk", "money"))),
        ("Police officers are visible", Shown(("police officer",))),
        ("You can see a dog.", Shown(("dog",))),
        ("A dog is left of the cat.", Related("dog", "left of", ("cat",))),
        ("A child can be seen to the right of a car.", Related("child", "to the right of", ("car",))),
        ("A child touches an axe or a knife.", Related("child", "touch", ("axe", "knife"))),
        ("There is a child touching an axe in the image.", Related("child", "touch", ("axe",))),
        ("A man is riding a horse.", Related("man", "ride", ("horse",))),
        ("A cup is on the table.", Related("cup", "on", ("table",))),
        ("There are at least two kitchen knives.", Counted("at least", 2, "kitchen knife")),
        ("The image shows exactly 13 children.", Counted("exactly", 13, "child")),
        ("There is exactly one glass of milk.", Counted("exactly", 1, "glass of milk")),
        *(
            (text, None)
            for text in (
                "", ".", "A dog", "Nothing but a dog is visible.", "A dog is visible and a cat is visible.",
                "A sign that reads STOP is visible.", "A sign reads STOP.", "A dog is not visible.",
                "Is a dog visible?", "No dog is visible.", "It is raining.", "A dog on a mat.",
            )
        ),
    ],
)  # fmt: skip
def test_common_forms_are_read_and_others_left_alone(text: str, said: object) -> None:
    assert read(text) == said


@pytest.mark.parametrize(
    ("text", "contrasts"),
    [
        ("A dog is visible.", ["No dog is visible."]),
        ("The dog is visible.", ["The dog is not visible."]),
        ("There is a dog in the picture.", ["There is no dog in the picture."]),
        ("A child or a baby is visible.", ["No child or baby is visible."]),
        ("A child touches a kitchen knife.", ["A child does not touch a kitchen knife."]),
        ("A child is holding a cup.", ["A child is not holding a cup."]),
        ("The image shows a child holding a cup.", ["The image shows no child holding a cup."]),
        (
            "A dog is left of a cat.",
            ["A dog is not left of a cat.", "A dog is right of a cat.", "A cat is left of a dog."],
        ),
        (
            "The dog is larger than the cat.",
            [
                "The dog is not larger than the cat.",
                "The dog is smaller than the cat.",
                "The cat is larger than the dog.",
            ],
        ),
        ("There are exactly two dogs.", ["There is exactly one dog.", "There are exactly three dogs."]),
        ("Exactly 12 men are visible.", ["Exactly 11 men are visible.", "Exactly 13 men are visible."]),
        ("There are at least two dogs.", ["There is exactly one dog.", "There are no dogs."]),
        ("There is at least one dog.", ["There is no dog."]),
        ("There are at most two dogs.", ["There are exactly three dogs."]),
        ("A sign reads STOP.", ["A sign does not read STOP."]),
        ("A person is smoking.", ["A person is not smoking."]),
        ("Nothing but a dog is visible.", []),
        ("A dog is not visible.", []),
        ("A dog is asleep and a cat is awake.", []),
        ("Smoke rises.", []),
    ],
)
def test_contrasts_are_made_from_a_statements_own_words(text: str, contrasts: list[str]) -> None:
    assert [one.text for one in contrasts_of(text)] == contrasts


def test_kinds_can_be_left_out() -> None:
    assert [one.text for one in contrasts_of("A dog is left of a cat.", ("swap",))] == [
        "A cat is left of a dog."
    ]
    assert contrasts_of("A dog is visible.", ("swap", "number", "opposite")) == ()


WORDS = (
    "A", "dog", "cat", "is", "are", "left", "of", "at", "least", "two", "the", "touches", "no", "or", "and",
    ".", ",", "visible",
)  # fmt: skip


@given(st.text(max_size=60))
def test_no_text_is_too_strange(text: str) -> None:
    for one in contrasts_of(text):
        assert one.kind in KINDS and one.text.endswith(".") and one.text.casefold() != text.casefold()


@given(st.lists(st.sampled_from(WORDS)))
def test_words_in_any_order_are_read_or_left_alone(words: list[str]) -> None:
    contrasts_of(" ".join(words))


def test_plurals_and_singulars_of_our_own_words() -> None:
    for one, many in {
        "knife": "knives", "axe": "axes", "bus": "buses", "horse": "horses",
        "glass of milk": "glasses of milk",
        "police officer": "police officers", "box": "boxes", "baby": "babies", "toy": "toys",
        "watch": "watches",
        "person": "people", "wine glass": "wine glasses", "shoe": "shoes", "key": "keys",
    }.items():  # fmt: skip
        assert (singular(many), plural(one)) == (one, many)


# --- the formula ---------------------------------------------------------------------------------

odds = st.floats(-700, 700)


@given(odds)
def test_without_contrasts_a_statement_is_weighed_as_before(log_odds: float) -> None:
    assert against(log_odds, []) == log_odds


@given(odds, odds)
def test_one_contrast_is_a_difference(log_odds: float, other: float) -> None:
    assert against(log_odds, [other]) == pytest.approx(log_odds - other)


@given(st.floats(-20, 20), st.lists(st.floats(-20, 20), min_size=1, max_size=5))
def test_several_are_taken_by_their_mean(log_odds: float, others: list[float]) -> None:
    expected = log_odds - math.log(sum(map(math.exp, others)) / len(others))
    assert against(log_odds, others) == pytest.approx(expected, abs=1e-9)


# --- judged --------------------------------------------------------------------------------------

PLAIN = Preset("plain", "no debiasing")
HELD = PLAIN.plus(["contrasts"])
SIDE, RIGHT, NOT, SWAPPED = (
    "A dog is left of a cat.",
    "A dog is right of a cat.",
    "A dog is not left of a cat.",
    "A cat is left of a dog.",
)


class Taught(Scripted):
    """It knows which words it learned."""

    def capability(self, kind: type) -> object:  # pyright: ignore[reportIncompatibleMethodOverride]
        return self if kind is Vocabulary else None

    def unknown_words(self, text: str) -> list[str]:
        return [word for word in ("right", "not") if word in text.split()]


def judged(model: Scripted, *texts: object, preset: Preset = HELD, finder: Finder | None = None) -> Verdict:
    law = Constitution(name="law", rules=(Rule(id="r", rule="No.", clauses=texts),))  # pyright: ignore[reportArgumentType]
    return Judge(law, model, preset, detector=finder)(white())


def test_a_model_that_says_yes_to_everything_has_said_nothing() -> None:
    yes = {(text, WHOLE): 0.9 for text in (SIDE, RIGHT, NOT, SWAPPED)}
    verdict = judged(Scripted(yes), SIDE)
    assert (verdict.outcome, verdict.rules[0].score) == ("unsure", pytest.approx(0.5))
    assert judged(Scripted(yes), SIDE, preset=PLAIN).outcome == "unsafe"
    sure = {**yes, (RIGHT, WHOLE): 0.1, (NOT, WHOLE): 0.1, (SWAPPED, WHOLE): 0.1}
    assert judged(Scripted(sure), SIDE).outcome == "unsafe"


def test_contrasts_are_asked_behind_the_same_prefix_and_once() -> None:
    model = Scripted({(SIDE, WHOLE): 0.9})
    verdict = judged(model, SIDE, RIGHT)
    asked = [text for text, kind in model.asked if kind == WHOLE]
    assert len(asked) == len(set(asked)), "a contrast that is a statement of the rule is asked once"
    assert verdict.cost.images == 1


def test_a_reader_can_redo_it_from_the_record() -> None:
    preset = Preset("quarter", "debiased", debias=0.25).plus(["contrasts"])
    scores = {(SIDE, WHOLE): 0.9, (RIGHT, WHOLE): 0.2, (NOT, WHOLE): 0.3, (SWAPPED, WHOLE): 0.4}
    scores |= {(SIDE, NONE): 0.7, (RIGHT, NONE): 0.6, (NOT, NONE): 0.3, (SWAPPED, NONE): 0.5}
    (rule,) = verdict_to_row(judged(Scripted(scores), SIDE, preset=preset))["rules"]
    (one,) = rule["clauses"][0]["alternatives"]
    assert [each["kind"] for each in one["contrasts"]] == ["negation", "opposite", "swap"]

    def debiased(entry: dict[str, float]) -> float:
        logit = lambda p: math.log(p / (1 - p))  # noqa: E731
        return logit(entry["score"]) - 0.25 * logit(entry["baseline"])

    others = [math.exp(debiased(each)) for each in one["contrasts"]]
    redone = sigmoid(debiased(one) - math.log(sum(others) / len(others)))
    assert rule["score"] == pytest.approx(redone)


@pytest.mark.parametrize("wrong", [YesNo(0.1, 0.1), YesNo(0, 0, Failure("out_of_domain", "No."))])
def test_a_contrast_that_was_not_answered_does_not_count_and_says_why(wrong: YesNo) -> None:
    model = Scripted(
        {(SIDE, WHOLE): 0.9, (RIGHT, WHOLE): wrong, (NOT, WHOLE): wrong, (SWAPPED, WHOLE): wrong}
    )
    verdict = judged(model, SIDE)
    assert verdict.outcome == "unsafe", "weighed as without contrasts"
    (alternative,) = verdict.rules[0].clauses[0].alternatives
    reason = "low_mass" if wrong.failure is None else "out_of_domain"
    assert [one.reason for one in alternative.contrasts] == [reason] * 3


def test_a_contrast_with_words_that_the_model_never_learned_is_not_put() -> None:
    model = Taught({(SIDE, WHOLE): 0.9, (SWAPPED, WHOLE): 0.1})
    verdict = judged(model, SIDE)
    assert not any("right" in text or "not" in text for text, _ in model.asked)
    (alternative,) = verdict.rules[0].clauses[0].alternatives
    told = {one.text: (one.reason, one.score) for one in alternative.contrasts}
    assert told == {
        NOT: ("out_of_domain", None),
        RIGHT: ("out_of_domain", None),
        SWAPPED: (None, pytest.approx(0.1)),
    }
    assert (verdict.outcome, verdict.reason) == ("unsafe", None)


def test_copies_are_asked_about_contrasts_too() -> None:
    preset = Preset("looks", "second looks", views=0.02).plus(["contrasts"])
    scores = {(text, kind): 0.6 for text in (SIDE, NOT, SWAPPED) for kind in (WHOLE, PAINTED)}
    scores |= {(RIGHT, WHOLE): 0.6, (RIGHT, PAINTED): 0.9}
    verdict = judged(Scripted(scores), SIDE, preset=preset)
    (alternative,) = verdict.rules[0].clauses[0].alternatives
    over = {one.kind: one.score_over_views for one in alternative.contrasts}
    logit = lambda p: math.log(p / (1 - p))  # noqa: E731
    assert over["opposite"] == pytest.approx(sigmoid((logit(0.6) + 4 * logit(0.9)) / 5))
    assert over["swap"] == pytest.approx(0.6) == alternative.score_over_views


def test_what_is_seen_on_a_crop_is_weighed_without() -> None:
    preset = Preset("crop", "crops", crop_below=0.01).plus(["contrasts"])
    model = Scripted({(SIDE, WHOLE): 0.5, (SIDE, CROP): 0.95, (RIGHT, WHOLE): 0.99})
    verdict = judged(
        model, {"statement": SIDE, "objects": ["dog"]}, preset=preset, finder=Finder({"dog": [box("dog", 8)]})
    )
    assert verdict.outcome == "unsafe"
    assert verdict.rules[0].clauses[0].alternatives[0].contrasts == ()


def test_additions_are_named_in_the_preset_and_unknown_ones_refused() -> None:
    assert find_preset("jurat+contrasts+costs").name == "jurat+contrasts+costs"
    assert find_preset("jurat+contrasts").without(["contrasts"]).contrasts == ()
    assert find_preset("jurat") is PRESETS["jurat"]
    with pytest.raises(JuratError, match="There is no part 'contrast' to add") as raised:
        find_preset("jurat+contrast")
    assert raised.value.hint == "Did you mean 'contrasts'?"
    with pytest.raises(JuratError, match="'contrasts' adds nothing to the preset 'clue'"):
        find_preset("clue+contrasts")
