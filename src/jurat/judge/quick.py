"""The quick stage's questions: each distinct one once an image, all behind one prefix, and once without
any image.

A pure step on a batch: images and questions in, answers out. Nothing is decided here.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import TypeAlias

from PIL import Image

from jurat.judge.plan import Question
from jurat.judge.prompts import RULE, STATEMENT
from jurat.models import Answer, Chat, Failure, Inquiry, Model, Turn, YesNo

WORDINGS = {"statement": STATEMENT, "rule": RULE}

Answers: TypeAlias = Mapping[Question, YesNo]
"""What a model answered to each question about one image."""


def ask(
    model: Model, images: Sequence[Image.Image], questions: Sequence[Question]
) -> list[Answers | Failure]:
    """One entry an image, in order: its answers, or why the model could not answer about it at all.

    Raises what the model raises.
    """
    return _ask(model, [(image,) for image in images], questions)


class Priors:
    """The model's language prior: its answers to the same questions with the image left out.

    They depend on the model and the wording only, so each is asked once and kept. An answer that
    failed with an error is asked again the next time.
    """

    def __init__(self, model: Model) -> None:
        self._model = model
        self._kept: dict[Question, YesNo] = {}

    def of(self, questions: Sequence[Question]) -> Answers:
        """Never raises because of the model: what went wrong is a failure in the answers."""
        missing = [question for question in questions if question not in self._kept]
        if not missing:
            return self._kept
        found = self._ask(missing)
        lasting = {q: a for q, a in found.items() if a.failure is None or a.failure.kind != "error"}
        self._kept.update(lasting)
        return {**self._kept, **found}

    def _ask(self, questions: Sequence[Question]) -> dict[Question, YesNo]:
        try:
            entry = _ask(self._model, [()], questions)[0]
        except Exception as error:
            entry = failure_of(error)
        if isinstance(entry, Failure):
            return {question: YesNo(0.0, 0.0, entry) for question in questions}
        return dict(entry)


def failure_of(error: Exception) -> Failure:
    """An exception of a model as a failure of one item."""
    text = str(error).strip()
    line = text.splitlines()[0][:300] if text else ""
    return Failure("error", f"The model raised {type(error).__name__}{': ' + line if line else ''}")


def _ask(
    model: Model, contexts: Sequence[tuple[Image.Image, ...]], questions: Sequence[Question]
) -> list[Answers | Failure]:
    kinds = list(dict.fromkeys(question.kind for question in questions))
    asked = {kind: [question for question in questions if question.kind == kind] for kind in kinds}
    inquiries = [_inquiry(context, kind, asked[kind]) for context in contexts for kind in kinds]
    replies = model.ask(inquiries)
    if len(replies) != len(inquiries):
        raise RuntimeError(f"it gave {len(replies)} answers to {len(inquiries)} inquiries")
    return [
        _collect(
            [(asked[kind], reply) for kind, reply in zip(kinds, replies[at : at + len(kinds)], strict=True)]
        )
        for at in range(0, len(replies), len(kinds))
    ]


def _inquiry(images: tuple[Image.Image, ...], kind: str, questions: Sequence[Question]) -> Inquiry:
    wording = WORDINGS[kind]
    turn = Turn("user", (*images, wording.instruction))
    return Inquiry(Chat((turn,)), tuple(wording.ask(question.text) for question in questions))


def _collect(parts: Sequence[tuple[Sequence[Question], Answer]]) -> Answers | Failure:
    found: dict[Question, YesNo] = {}
    for questions, answer in parts:
        if answer.failure is not None:
            return answer.failure
        if len(answer.answers) != len(questions):
            given = f"{len(answer.answers)} answers to {len(questions)} questions"
            return Failure("error", f"The model gave {given}.")
        found.update((q, _sound(a)) for q, a in zip(questions, answer.answers, strict=True))
    return found


def _sound(answer: YesNo) -> YesNo:
    """The answer, or a failure where its numbers are no probabilities: what cannot be read is never an
    answer."""
    sound = all(math.isfinite(p) and p >= 0 for p in (answer.yes, answer.no)) and answer.mass <= 1.001
    if sound or answer.failure is not None:
        return answer
    return YesNo(0.0, 0.0, Failure("error", f"The model gave no probabilities: {answer.yes}, {answer.no}."))
