"""Expected values: the authors' `vqaEval.py` (GT-Vision-Lab/VQA, commit a013f00; its print statements as
calls), which was also compared on 20,000 random answers."""

from __future__ import annotations

import pytest

from jurat.metrics import normalize_answer, vqa_accuracy

CASES = {
    "number words are digits": ("Two", ["two"] * 3 + ["2"] * 2 + ["three"] * 5, 1.0),
    "two of ten": ("bread", ["bread"] * 2 + ["toast"] * 8, 0.6),
    "three of ten": ("the bread", ["bread"] * 3 + ["a loaf"] * 7, 0.9),
    "one of ten": ("none", ["0"] + ["many"] * 9, 0.3),
    "people who agree are compared as they wrote": ("Bread.", ["bread"] * 10, 0.0),
    "all agree": ("bread", ["bread"] * 10, 1.0),
    "a comma in a number": ("1,000 loaves", ["1000 loaves"] * 4 + ["many"] * 6, 1.0),
    "a hyphen inside a word is a space": ("x-ray", ["x ray"] * 5 + ["scan"] * 5, 1.0),
    "apostrophes of contractions": ("dont know", ["don't know"] * 2 + ["no"] * 8, 0.6),
    "an empty answer": ("", ["no"] * 10, 0.0),
}


@pytest.mark.parametrize("case", CASES)
def test_vqa_accuracy_equals_the_authors_script(case: str) -> None:
    answer, references, expected = CASES[case]

    assert vqa_accuracy(answer, references) == pytest.approx(expected)


def test_without_references_there_is_no_accuracy() -> None:
    assert vqa_accuracy("bread", []) is None


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("The red, ripe tomato!", "red ripe tomato"),
        ("yall'd've baked", "y'all'd've baked"),
        ("wed and ill", "wed and ill"),
        ("3.5 of ten.", "3.5 of 10"),
        ("red/blue", "red blue"),
        ("." * 40 + " end", "." * 8 + " end"),
    ],
)
def test_answers_are_normalised_as_in_the_authors_script(text: str, expected: str) -> None:
    assert normalize_answer(text) == expected
