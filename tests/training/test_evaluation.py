"""Exams do not depend on the number of processes, are balanced, and parse what a model says in words."""

from __future__ import annotations

import itertools
import random
from collections import Counter

import numpy as np
import pytest

from jurat.judge.stages.reason import read_rating
from jurat.pictograms.objects import NUMBER, OBJECTS
from jurat.pictograms.reading import parse
from jurat.pictograms.statements import UNKNOWN, Facts, Lies, Only
from training.mllm.answers import describe, reason
from training.mllm.evaluation import FIRST_SEED, pictures, set_exam
from training.mllm.reply_evaluation import named, there
from training.mllm.tokenizer import Words, build_tokenizer
from training.parallel import in_order
from training.questions import KINDS, Questioner


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
    alone = set_exam(20, seed=FIRST_SEED + 9, kinds=EXAM, workers=1)
    assert all(question.common for question in alone.questions)
    tally = Counter((question.kind, question.truth) for question in alone.questions)
    assert all(tally[kind, truth] == 10 for kind in ("visible",) for truth in (True, False))
    sides = [question for question in alone.questions if isinstance(question.statement, Lies)]
    assert {question.kind for question in sides} == {"left of", "right of", "above", "below"}
    assert abs(sum(1 if question.truth else -1 for question in sides)) <= 2 and len(sides) >= 76


def test_exam_asks_every_form() -> None:
    exam = set_exam(2, seed=FIRST_SEED + 9, kinds=("touch", "larger"), per_form=4)
    tally = Counter((question.form, question.truth) for question in exam.questions)
    assert tally["touch: list, all absent", False] == tally["larger: both absent", False] == 4
    assert tally["touch: list", True] == tally["touch: list", False] == 2
    assert not tally["larger: both absent", True]
    assert sum(question.common for question in exam.questions) < len(exam.questions)


def test_reasons_of_every_kind_look_before_they_answer() -> None:
    words, questioner = Words(build_tokenizer()), Questioner(random.Random(0))
    lengths: list[int] = []
    for _, facts in itertools.islice(pictures("as trained", 78), 12):
        for kind in KINDS:
            if (drawn := questioner.draw(facts, kind)) is not None:
                said = words.tokenizer.decode(ids := words.ids(reason(drawn.statement, drawn.truth, facts)))
                rating = read_rating(said)
                assert rating is not None and rating.rating is drawn.truth and rating.rationale
                assert not said.startswith("{")
                lengths.append(len(ids))
    assert len(lengths) > 120 and np.mean(lengths) < 25 and max(lengths) <= 64


SCENE = Facts(
    np.array([NUMBER[name] for name in ("dog", "man", "dog")] + [UNKNOWN]),
    np.array([(10.0, 10.0), (40.0, 12.0), (100.0, 120.0), (60.0, 60.0)]),
    np.array([900.0, 1300.0, 400.0, 500.0]),
    np.array([[0, 0, 60, 50], [0, 0, 60, 50], [60, 60, 0, 9], [50, 50, 9, 0]], float),
)


@pytest.mark.parametrize(
    ("text", "steps"),
    [
        ("A dog touches a man.", "dog at one one. man at three one. they touch."),
        ("A dog touches a cat or a man.", "dog at one one. man at three one. they touch."),
        ("A cat touches a man.", "no cat."),
        ("A man touches a cat or a bird.", "man at three one. no cat. no bird."),
        ("There are exactly three dogs.", "dogs at one one, seven eight. two dogs."),
        ("There is only one man.", "man at three one. one man."),
        ("There are fewer than two cats.", "no cat."),
        ("A man is larger than a dog.", "man at three one. dog at seven eight. man larger than dog."),
        ("A man is not left of a dog.", "man at three one. dog at seven eight. man left of dog."),
        ("Nothing but an animal is visible.", "animal at one one. also man at three one."),
        ("Neither a cat nor a bird is visible.", "no cat. no bird."),
        ("A sign reads STOP.", "no sign."),
        (
            "A dog is visible and a man is visible and a dog touches a man.",
            "dog at one one. man at three one. they touch.",
        ),
    ],
)
def test_reasons_say_where_and_how_many(text: str, steps: str) -> None:
    statement = parse(text)
    truth = statement.truth(SCENE)
    assert truth is not None
    rating = "Yes" if truth else "No"
    said = reason(statement, truth, SCENE)
    assert said.startswith(f'{steps} {{"rating": "{rating}", "rationale": "')


def test_what_has_no_name_is_something() -> None:
    assert describe(SCENE) == "the image shows a dog, a man, something and a dog."
    near = Facts(SCENE.kinds[2:], SCENE.centres[2:], SCENE.areas[2:], SCENE.gaps[2:, 2:])
    assert "also something at four four." in reason(Only(OBJECTS[NUMBER["dog"]]), False, near)


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
