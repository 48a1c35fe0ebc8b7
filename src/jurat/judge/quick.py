"""The quick stage: closed questions about an image, all behind one prefix, and once without any image.

A pure step on a batch: images with their questions in, answers out. Nothing is decided here.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeAlias, TypeVar

from PIL import Image

from jurat.judge.plan import Question
from jurat.judge.prompts import RULE, STATEMENT, digest
from jurat.models import Answer, Chat, Failure, Inquiry, Model, Turn, YesNo
from jurat.models.base import ModelGone, Usage
from jurat.models.remembered import Remembered

WORDINGS = {"statement": STATEMENT, "rule": RULE}

Answers: TypeAlias = Mapping[Question, YesNo]
"""What a model answered to each question about one image."""

W = TypeVar("W")
F = TypeVar("F")


@dataclass(frozen=True)
class Want:
    """Questions about one image, or about none."""

    image: Image.Image | None
    questions: tuple[Question, ...]


@dataclass(frozen=True)
class Asked:
    """The answers to one want, and what they cost."""

    answers: Answers
    usage: Usage


def ask(model: Model, wants: Sequence[Want]) -> list[Asked | Failure]:
    """One entry a want, in order: its answers, or why the model could not answer about the image at all.

    Raises what the model raises.
    """
    inquiries: list[Inquiry] = []
    asked: list[list[list[Question]]] = []
    for want in wants:
        kinds = dict.fromkeys(question.kind for question in want.questions)
        groups = [[question for question in want.questions if question.kind == kind] for kind in kinds]
        inquiries += [_inquiry(want.image, group) for group in groups]
        asked.append(groups)
    replies = model.ask(inquiries) if inquiries else []
    if len(replies) != len(inquiries):
        raise RuntimeError(f"it gave {len(replies)} answers to {len(inquiries)} inquiries")
    following = iter(replies)
    return [_collect([(group, next(following)) for group in groups]) for groups in asked]


def attempt(step: Callable[[Sequence[W]], Sequence[F | Failure]], wants: Sequence[W]) -> list[F | Failure]:
    """A step on a batch; if it raises on several it is taken again one by one: only its cause fails.

    Raises:
        ModelGone: nobody will be answered any more.
    """
    if not wants:
        return []
    try:
        return list(step(wants))
    except ModelGone:
        raise
    except Exception as error:
        if len(wants) == 1:
            return [failure_of(error)]
    return [found for want in wants for found in attempt(step, [want])]


class Priors:
    """The model's language prior: its answers to the same questions with the image left out.

    They depend on the model and the wording only, so each is asked once and kept: for the next run too,
    where the model answers the same then. An answer that failed with an error is asked again the next time.
    """

    def __init__(self, model: Model) -> None:
        self._model = model
        self._kept: dict[Question, YesNo] = {}
        self._remembered = Remembered.of(model, digest())

    def of(self, questions: Sequence[Question]) -> Answers:
        """Never raises because of the model: what went wrong is a failure in the answers."""
        missing = tuple(question for question in questions if question not in self._kept)
        if self._remembered is not None and missing:
            named = {f"{question.kind} {question.text}": question for question in missing}
            self._kept.update((named[name], a) for name, a in self._remembered.known(named).items())
            missing = tuple(question for question in missing if question not in self._kept)
        if not missing:
            return self._kept
        found = self._ask(missing)
        if self._remembered is not None:
            self._remembered.add({f"{q.kind} {q.text}": a for q, a in found.items()})
        lasting = {q: a for q, a in found.items() if a.failure is None or a.failure.kind != "error"}
        self._kept.update(lasting)
        return {**self._kept, **found}

    def _ask(self, questions: tuple[Question, ...]) -> Answers:
        (entry,) = attempt(lambda wants: ask(self._model, wants), [Want(None, questions)])
        if isinstance(entry, Failure):
            return {question: YesNo(0.0, 0.0, entry) for question in questions}
        return entry.answers


def failure_of(error: Exception) -> Failure:
    """An exception of a model as a failure of one item."""
    text = str(error).strip()
    line = text.splitlines()[0][:300] if text else ""
    return Failure("error", f"The model raised {type(error).__name__}{': ' + line if line else ''}")


def _inquiry(image: Image.Image | None, questions: Sequence[Question]) -> Inquiry:
    wording = WORDINGS[questions[0].kind]
    turn = Turn("user", (wording.instruction,) if image is None else (image, wording.instruction))
    return Inquiry(Chat((turn,)), tuple(wording.ask(question.text) for question in questions))


def _collect(parts: Sequence[tuple[Sequence[Question], Answer]]) -> Asked | Failure:
    found: dict[Question, YesNo] = {}
    for questions, answer in parts:
        if answer.failure is not None:
            return answer.failure
        if len(answer.answers) != len(questions):
            given = f"{len(answer.answers)} answers to {len(questions)} questions"
            return Failure("error", f"The model gave {given}.")
        found.update((q, _sound(a)) for q, a in zip(questions, answer.answers, strict=True))
    usage = [answer.usage for _, answer in parts]
    return Asked(found, Usage(sum(u.input_tokens for u in usage), sum(u.output_tokens for u in usage)))


def _sound(answer: YesNo) -> YesNo:
    """The answer, or a failure where its numbers are no probabilities: what cannot be read is never an
    answer."""
    sound = all(math.isfinite(p) and p >= 0 for p in (answer.yes, answer.no)) and answer.mass <= 1.001
    if sound or answer.failure is not None:
        return answer
    return YesNo(0.0, 0.0, Failure("error", f"The model gave no probabilities: {answer.yes}, {answer.no}."))
