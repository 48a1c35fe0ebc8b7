"""Constitutions built in Python: the shorthand, what is refused, ids, statements."""

from __future__ import annotations

import pickle
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from jurat.constitution import Clause, Constitution, Examples, Rule, Statement, make_id
from jurat.constitution.rules import MAX_ID

DOG, CAT, COW = "A dog is visible.", "A cat is visible.", "A cow is visible."


def rule(**fields: Any) -> Rule:
    return Rule(**{"rule": "No dog may be visible.", **fields})


def test_shorthand_means_statements_and_clauses() -> None:
    clauses = rule(clauses=[DOG, {"any of": [DOG, {"not": CAT}]}, {"not": COW}]).clauses
    assert clauses == (
        Clause(alternatives=(Statement(text=DOG),)),
        Clause(alternatives=(Statement(text=DOG), Statement(text=CAT, negated=True))),
        Clause(alternatives=(Statement(text=COW, negated=True),)),
    )


def test_mapping_clause_may_have_objects() -> None:
    clauses = rule(
        clauses=[
            {"statement": DOG, "objects": ["dog"]},
            {"any of": [CAT, COW], "objects": ["cat", " big  cow "]},
            {"not": "A child touches an axe.", "objects": None},
            {"statement": "A man is visible."},
        ]
    ).clauses
    assert [clause.objects for clause in clauses] == [("dog",), ("cat", "big cow"), (), ()]
    assert [clause.text for clause in clauses] == [
        DOG,
        "A cat is visible or A cow is visible.",
        "not: A child touches an axe.",
        "A man is visible.",
    ]
    assert clauses[0].key == rule(clauses=[DOG]).clauses[0].key
    assert clauses[3] == rule(clauses=["A man is visible."]).clauses[0]


def test_mapping_clause_may_have_about() -> None:
    given = [
        CAT,
        {"statement": DOG, "about": "caption"},
        {"any of": [CAT, COW], "about": "text_in_image"},
        {"not": COW, "about": "pair", "objects": ["cow"]},
        {"statement": DOG, "about": "image"},
    ]
    whole = rule(clauses=given)
    assert [clause.about for clause in whole.clauses] == [
        "image",
        "caption",
        "text_in_image",
        "pair",
        "image",
    ]
    assert [clause.text for clause in whole.clauses] == [
        CAT,
        "in the caption: A dog is visible.",
        "in the image's text: A cat is visible or A cow is visible.",
        "in image and caption: not: A cow is visible.",
        DOG,
    ]
    assert Rule.model_validate(whole.model_dump()) == whole
    assert whole.clauses[4] == rule(clauses=[DOG]).clauses[0]
    assert whole.model_dump()["clauses"][3] == {"not": COW, "about": "pair", "objects": ["cow"]}


def test_same_statement_about_caption_and_image_is_no_duplicate() -> None:
    rule(clauses=[DOG, {"statement": DOG, "about": "caption"}, {"not": DOG, "about": "text_in_image"}])
    rule(clauses=[DOG], unless=[{"statement": DOG, "about": "caption"}])
    for clauses in (
        [{"statement": DOG, "about": "pair"}] * 2,
        [{"statement": DOG, "about": "pair"}, {"not": DOG, "about": "pair"}],
    ):
        with pytest.raises(ValidationError):
            rule(clauses=clauses)


def test_shorthand_and_objects_mix() -> None:
    assert rule(clauses=(Clause(alternatives=(Statement(text=DOG),)), CAT)) == rule(clauses=[DOG, CAT])
    assert rule(clauses=[Statement(text=DOG, negated=True)]) == rule(clauses=[{"not": DOG}])
    assert rule(clauses=[{"any of": [Statement(text=DOG), CAT]}]) == rule(clauses=[{"any of": [DOG, CAT]}])


@pytest.mark.parametrize(
    ("clause", "text"),
    [
        (DOG, "A dog is visible."),
        ({"not": DOG}, "not: A dog is visible."),
        ({"any of": [DOG, CAT]}, "A dog is visible or A cat is visible."),
        ({"any of": [{"not": DOG}, CAT]}, "not: A dog is visible or A cat is visible."),
    ],
)
def test_clause_text_is_one_line(clause: object, text: str) -> None:
    assert rule(clauses=[clause]).clauses[0].text == text


def test_white_space_in_texts_is_collapsed() -> None:
    assert rule(clauses=["A dog\n  is   visible. "]).clauses[0].text == DOG


def test_paths_of_examples_stay_as_written() -> None:
    paths = ("a  b.png", "cafe\u0301.png", " c.png")
    assert Examples(broken=paths).broken == paths
    with pytest.raises(ValidationError, match="is empty"):
        Examples(kept=("",))


def test_model_dump_round_trips() -> None:
    constitution = Constitution(
        name="p",
        version="1",
        rules=(
            rule(clauses=[{"any of": [DOG, {"not": CAT}]}], unless=[{"not": COW}], severity="high"),
            rule(
                id="objects",
                description="a dog",
                clauses=[
                    {"statement": DOG, "objects": ["dog"]},
                    {"any of": [CAT, COW], "objects": ["cat"]},
                    {"not": "A man is visible.", "objects": ["man"]},
                ],
            ),
            rule(id="b", keep_below=0.1, break_above=1, examples=Examples(broken=("a.png",))),
        ),
    )
    assert Constitution.model_validate(constitution.model_dump()) == constitution
    assert Constitution.model_validate_json(constitution.model_dump_json()) == constitution
    assert pickle.loads(pickle.dumps(constitution)) == constitution


@pytest.mark.parametrize(
    ("fields", "code", "loc"),
    [
        ({"rule": " "}, "empty", ("rule",)),
        ({"clauses": [DOG, DOG.upper()]}, "duplicate-clause", ("clauses",)),
        ({"clauses": [{"any of": []}]}, "empty", ("clauses", 0, "alternatives")),
        ({"clauses": [{"text": DOG}]}, "type", ("clauses", 0)),
        ({"clauses": [["A."]]}, "type", ("clauses", 0)),
        ({"clauses": [DOG, {"not": DOG}]}, "never-broken", ("clauses",)),
        ({"clauses": [{"not": DOG, "any of": [CAT]}]}, "type", ("clauses", 0)),
        ({"clauses": [{"statement": DOG, "alternatives": [CAT]}]}, "unknown-key", ("clauses", 0)),
        (
            {"clauses": [{"statement": DOG, "objects": ["a", "A"]}]},
            "duplicate-object",
            ("clauses", 0, "objects"),
        ),
        ({"clauses": [{"not": DOG, "objects": [1]}]}, "string_type", ("clauses", 0, "objects", 0)),
        ({"description": " "}, "empty", ("description",)),
        ({"keep_below": 0.9, "break_above": 0.1}, "thresholds-order", ("break_above",)),
        ({"keep_below": float("nan")}, "finite_number", ("keep_below",)),
        ({"keep_below": "0.5"}, "float_type", ("keep_below",)),
        ({"clause": [DOG]}, "extra_forbidden", ("clause",)),
    ],
)
def test_malformed_values_are_refused(fields: dict[str, Any], code: str, loc: tuple[str | int, ...]) -> None:
    with pytest.raises(ValidationError) as caught:
        rule(**fields)
    errors = [(error["type"], error["loc"]) for error in caught.value.errors()]
    assert (code, loc) in errors


def test_duplicate_rule_ids_are_refused() -> None:
    with pytest.raises(ValidationError, match="has the id of rule 1"):
        Constitution(name="p", rules=(rule(), rule()))


def test_models_are_frozen() -> None:
    constitution = Constitution(name="p", rules=(rule(),))
    with pytest.raises(ValidationError, match="frozen"):
        constitution.name = "q"


@pytest.mark.parametrize("key", ["keep_below", "break_above"])
def test_omitted_threshold_stays_none(key: str) -> None:
    other = {"keep_below": "break_above", "break_above": "keep_below"}[key]
    alone = rule(**{key: 0.5})
    assert getattr(alone, key) == 0.5
    assert getattr(alone, other) is None


def test_statements_are_distinct_and_in_order() -> None:
    constitution = Constitution(
        name="p",
        rules=(
            rule(clauses=[DOG, {"any of": [CAT, {"not": COW}]}], unless=[{"not": CAT}]),
            rule(id="b", clauses=[COW]),
            rule(id="c"),
        ),
    )
    assert list(constitution.statements()) == [DOG, CAT, COW]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("No child may be shown touching a blade.", "no-child-may-be-shown-touching-a-blade"),
        ("No dogs!", "no-dogs"),
        ("R2: no 3 cats", "r2-no-3-cats"),
    ],
)
def test_id_is_the_slug_of_the_text(text: str, expected: str) -> None:
    assert make_id(text) == rule(rule=text).id == expected


def test_texts_without_a_slug_get_a_hash() -> None:
    head = "No person may be shown standing near the edge of"
    assert make_id(f"{head} a roof.") != make_id(f"{head} a cliff.")
    assert make_id("犬は禁止。") != make_id("猫は禁止。")
    assert make_id("犬は禁止。").startswith("rule-")
    assert make_id("No café.") != make_id("No cafe.")


@given(st.text(min_size=1, max_size=200).map(lambda text: " ".join(text.split())).filter(bool))
def test_every_text_gives_a_valid_id(text: str) -> None:
    made = make_id(text)
    assert made == make_id(text)
    assert len(made) <= MAX_ID
    assert rule(id=made).id == made
