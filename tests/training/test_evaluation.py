"""Exams do not depend on the number of processes, are balanced, and parse what a model says in words."""

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


@pytest.mark.slow
def test_worker_processes_keep_the_order() -> None:
    made = in_order(square, itertools.count(), workers=2)
    assert list(itertools.islice(made, 400)) == [i * i for i in range(400)]


EXAM = ("visible", "relation", "touch")


@pytest.mark.slow
def test_exam_is_independent_of_workers() -> None:
    alone, together = (set_exam(4, seed=FIRST_SEED + 9, kinds=EXAM, workers=n) for n in (1, 2))
    assert alone.questions == together.questions
    assert all(
        np.array_equal(np.asarray(a), np.asarray(b))
        for a, b in zip(alone.images, together.images, strict=True)
    )


def test_exam_is_balanced() -> None:
    alone = set_exam(4, seed=FIRST_SEED + 9, kinds=EXAM, workers=1)
    tally = Counter((question.kind, question.truth) for question in alone.questions)
    sides = ("left of", "right of", "above", "below")
    assert tally == {(kind, truth): 2 for kind in ("visible", "touch", *sides) for truth in (True, False)}
    assert all(question.kind in sides for question in alone.questions if isinstance(question.statement, Lies))


def test_reasons_exist_for_the_trained_kinds_only() -> None:
    questioner = Questioner(random.Random(0))
    for _, facts in itertools.islice(pictures("as trained", 78), 12):
        for kind in ALL:
            if (drawn := questioner.draw(facts, kind)) is not None:
                assert (reason(drawn[1], drawn[2], facts) is not None) is (kind in KINDS)


def test_description_names_every_object_as_often_as_present() -> None:
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
def test_names_are_counted_in_a_description(text: str, names: dict[str, int]) -> None:
    assert named(text) == names
