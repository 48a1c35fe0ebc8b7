"""Examinations: the same whoever draws them, balanced, and fair to what a model says in words."""

from __future__ import annotations

import itertools
import random
from collections import Counter

import numpy as np
import pytest

from jurat.pictograms.statements import Lies
from training.mllm.answers import describe, reason
from training.mllm.evaluation import FIRST_SEED, pictures, set_exam
from training.mllm.reply_evaluation import KINDS, named, there
from training.mllm.tokenizer import build_tokenizer
from training.parallel import in_order
from training.questions import KINDS as ALL
from training.questions import Questioner


def square(number: int) -> int:
    return number * number


def test_several_processes_make_the_same_in_the_same_order() -> None:
    made = in_order(square, itertools.count(), workers=2)
    assert list(itertools.islice(made, 400)) == [i * i for i in range(400)]


def test_an_exam_is_the_same_however_many_processes_draw_it() -> None:
    kinds = ("visible", "relation", "touch")
    alone, together = (set_exam(4, seed=FIRST_SEED + 9, kinds=kinds, workers=n) for n in (1, 2))
    assert alone.questions == together.questions
    assert all(
        np.array_equal(np.asarray(a), np.asarray(b))
        for a, b in zip(alone.images, together.images, strict=True)
    )
    tally = Counter((question.kind, question.truth) for question in alone.questions)
    sides = ("left of", "right of", "above", "below")
    assert tally == {(kind, truth): 2 for kind in ("visible", "touch", *sides) for truth in (True, False)}
    assert all(question.kind in sides for question in alone.questions if isinstance(question.statement, Lies))


def test_reasons_are_asked_for_where_training_gives_them() -> None:
    questioner = Questioner(random.Random(0))
    for _, facts in itertools.islice(pictures("as trained", 78), 12):
        for kind in ALL:
            if (drawn := questioner.draw(facts, kind)) is not None:
                assert (reason(drawn[1], drawn[2], facts) is not None) is (kind in KINDS)


def test_a_description_names_what_is_there_as_often_as_it_is_there() -> None:
    tokenizer = build_tokenizer()
    for _, facts in itertools.islice(pictures("as trained", 77), 25):
        ids = tokenizer(describe(facts), add_special_tokens=False)["input_ids"]
        assert named(tokenizer.decode(ids)) == there(facts)


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ("the image shows a dog.", {"a dog": 1}),
        (
            "The image shows a dog , a dog and a sign that reads FREE .",
            {"a dog": 2, "a sign that reads free": 1},
        ),
        ("", {"": 1}),
    ],
)
def test_the_names_in_a_description(text: str, names: dict[str, int]) -> None:
    assert named(text) == names
