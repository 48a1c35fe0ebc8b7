"""Answers against accepted texts: SQuAD's normal form, token F1, exact match, target strings."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jurat.metrics.answer_texts import normalised_answer, token_f1
from tests.metrics.named_values import columns, value_of


@pytest.mark.parametrize(
    ("text", "normal"),
    [
        # The steps of SQuAD's official script: lower case, no punctuation, no articles, single spaces.
        ("The  Cat's An  apple.", "cats apple"),
        ("a-b", "ab"),
        ("Theatre", "theatre"),
        ("the", ""),
        ("\tU.S.A. \n", "usa"),
        ("“Quoted”", "“quoted”"),  # only ASCII punctuation is dropped
    ],
)
def test_normal_form_is_that_of_squad(text, normal):
    assert normalised_answer(text) == normal


@pytest.mark.parametrize(
    ("answer", "answers", "f1"),
    [
        ("the big red bus", ["red bus", "bus"], 0.8),  # 2 common of 3 and 2: 2 x 2 / 5
        ("red red bus", ["red bus"], 0.8),  # repeated tokens count once each: 2 x 2 / 5
        ("the", ["a"], 1.0),  # both empty
        ("", ["bus"], 0.0),
        ("", ["the", "bus"], 0.0),  # an accepted answer that is empty counts only if there is no other
        ("bus", ["the", "tram"], 0.0),
    ],
)
def test_token_f1_takes_the_best_accepted_answer(answer, answers, f1):
    assert token_f1(answer, answers) == pytest.approx(f1)


def test_token_f1_and_exact_match_are_means_over_rows():
    rows = columns(answer=["A bus.", "big red bus", None], answers=['["bus", "tram"]', "red bus", "x"])
    f1 = value_of("token_f1", rows)
    assert (f1.value, f1.n, f1.left_out) == (pytest.approx(0.9), 2, {"missing answer": 1})
    assert value_of("exact_match", rows).value == 0.5


@pytest.mark.parametrize(
    ("answer", "mode", "part", "hit"),
    [
        ("Sure, here it is!", "exact", "reply", True),
        ("sure,  HERE it is", "exact", "reply", True),
        ("Sure, here it is: tea", "exact", "reply", False),
        ("Sure, here it is: tea", "prefix", "reply", True),
        ("I will not say 'Sure, here it is'.", "prefix", "reply", False),
        ("I will not say 'Sure, here it is'.", "contains", "reply", True),  # a refusal that quotes it
        ("\nNo.\nSure, here it is", "contains", "first_line", False),
        ("Ｓure, here it is", "exact", "reply", True),  # NFKC
        ("", "contains", "reply", False),
    ],
)
def test_target_strings_match_after_normalisation(answer, mode, part, hit):
    rows = columns(answer=[answer], targets=[["Bread", "Sure, here it is"]])
    assert value_of("string_match", rows, mode=mode, part=part).value == int(hit)


def test_empty_target_is_left_out_rather_than_found_everywhere():
    rows = columns(answer=["yes", "no"], targets=["yes", [" "]])
    found = value_of("string_match", rows)
    assert (found.value, found.n, found.left_out) == (1.0, 1, {"empty targets": 1})


@given(st.text(), st.lists(st.text(), min_size=1, max_size=3))
def test_token_f1_lies_in_0_to_1_and_is_1_for_an_accepted_answer(answer, answers):
    assert 0 <= token_f1(answer, answers) <= 1
    if normalised_answer(answer):
        assert token_f1(answer, [*answers, answer]) == 1


def test_vqa_accuracy_is_the_mean_over_rows():
    # 3 of 10 people said it: for those three 2 others did, 2/3; for the seven 3 did, 1: (3 x 2/3 + 7) / 10
    rows = columns(answer=["bread", "soup"], answers=[["bread"] * 3 + ["cake"] * 7] * 2)
    assert value_of("vqa_accuracy", rows).value == pytest.approx((0.9 + 0) / 2)


@pytest.mark.parametrize("name", ["token_f1", "exact_match", "vqa_accuracy"])
def test_empty_cell_of_accepted_answers_is_missing_and_no_answer(name):
    """An empty answer to a row without accepted answers would be right."""
    rows = [{"answer": "", "answers": ""}, {"answer": "x", "answers": ["x"] * 4}]
    found = value_of(name, rows)
    assert (found.n, found.left_out) == (1, {"missing answers": 1})


def test_empty_text_in_a_list_of_accepted_answers_is_one():
    """As SQuAD marks questions without an answer."""
    assert value_of("exact_match", [{"answer": "", "answers": [""]}]).value == 1.0
