"""Asks a model closed questions about images, and without an image for the language prior.

All questions about an image share one prefix. Answers are returned as they are; nothing is decided here.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from threading import Lock
from typing import TypeAlias, TypeVar

from PIL import Image

from jurat.content import Chat, Failure, Turn, Usage
from jurat.judge.evidence import Evidence
from jurat.judge.item_texts import NO_TEXTS, ItemTexts
from jurat.judge.prompts import LONGEST_TEXT, WORDINGS, Kind, TextPart, digest
from jurat.judge.questions import Question
from jurat.models import Answer, Inquiry, Model, Vocabulary, YesNo
from jurat.models.prior_cache import PriorCache
from jurat.models.protocol import ModelUnavailable, UnsupportedSetting

__all__ = [
    "Answers",
    "ImageAnswers",
    "ImageQuestions",
    "PriorAnswers",
    "ask",
    "attempt",
    "count",
    "failure_of",
    "turn_of",
]

_NAMED = 5
"""How many unknown words of a text a message lists."""

Answers: TypeAlias = Mapping[Question, YesNo]
"""What a model answered to each question about one image."""

W = TypeVar("W")
F = TypeVar("F")


@dataclass(frozen=True)
class ImageQuestions:
    """Questions about one image, about texts of its item, about both, or about neither."""

    image: Image.Image | None
    questions: tuple[Question, ...]
    texts: ItemTexts = NO_TEXTS


@dataclass(frozen=True)
class ImageAnswers:
    """The answers to the questions about one image, and what they cost."""

    answers: Answers
    usage: Usage


def ask(model: Model, requests: Sequence[ImageQuestions]) -> list[ImageAnswers | Failure]:
    """One entry a request, in order: its answers, or why the model could not answer about the image at all.

    Raises what the model raises.
    """
    vocabulary = model.capability(Vocabulary)
    inquiries: list[Inquiry] = []
    asked: list[list[tuple[list[Question], int | Failure]]] = []
    unseen: dict[tuple[str, tuple[str, ...]], int] = {}
    for request in requests:
        kinds = dict.fromkeys(question.kind for question in request.questions)
        groups: list[tuple[list[Question], int | Failure]] = []
        for kind in kinds:
            group = [question for question in request.questions if question.kind == kind]
            inquiry = inquiry_of(request, group)
            failure = None
            if not group[0].plain:
                failure = _unfit(request.texts, group[0].reads, inquiry.prefix, vocabulary)
            if failure is not None:
                groups.append((group, failure))
                continue
            # The frames of an item share its texts: what is asked about a text alone is asked once.
            place = len(inquiries)
            if not inquiry.prefix.images:
                place = unseen.setdefault((inquiry.prefix.turns[0].text, inquiry.questions), place)
            if place == len(inquiries):
                inquiries.append(inquiry)
            groups.append((group, place))
        asked.append(groups)
    replies = model.ask(inquiries) if inquiries else []
    if len(replies) != len(inquiries):
        raise RuntimeError(f"it gave {len(replies)} answers to {len(inquiries)} inquiries")
    counted: set[int] = set()
    return [_collect([(group, _reply(at, replies, counted)) for group, at in groups]) for groups in asked]


def attempt(step: Callable[[Sequence[W]], Sequence[F | Failure]], requests: Sequence[W]) -> list[F | Failure]:
    """Runs a step on a batch; if it raises, runs it on each request alone, so that only its cause fails.

    Raises:
        ModelUnavailable: the server is unreachable or rejects the credentials.
        UnsupportedSetting: the model cannot honour a decoding setting, whatever it is asked about.
    """
    if not requests:
        return []
    try:
        return list(step(requests))
    except (ModelUnavailable, UnsupportedSetting):
        raise
    except Exception as error:
        if len(requests) == 1:
            return [failure_of(error)]
    return [found for request in requests for found in attempt(step, [request])]


class PriorAnswers:
    """The model's language prior: its answers to the same questions with the image left out.

    They depend on the model and the wording only, so each is asked once and kept, also for later runs if the
    model is deterministic. An answer that failed with an error is asked again the next time.
    """

    def __init__(self, model: Model) -> None:
        self._model = model
        self._kept: dict[Question, YesNo] = {}
        self._asking = Lock()
        self._unbilled = Usage()
        self._cache = PriorCache.of(model, digest())

    def of(self, questions: Sequence[Question]) -> Answers:
        """The answers to some questions. Never raises because of the model: its errors are failures among the
        answers. Threads that ask at the same time wait for one another."""
        with self._asking:
            return self._of(questions)

    def bill(self) -> Usage:
        """What was spent on answers without an image since this was last called."""
        with self._asking:
            usage, self._unbilled = self._unbilled, Usage()
        return usage

    def _of(self, questions: Sequence[Question]) -> Answers:
        missing = tuple(question for question in questions if question not in self._kept)
        if self._cache is not None and missing:
            named = {_cache_key(question): question for question in missing}
            self._kept.update((named[name], a) for name, a in self._cache.read(named).items())
            missing = tuple(question for question in missing if question not in self._kept)
        if not missing:
            return self._kept
        found = self._ask(missing)
        if self._cache is not None:
            self._cache.add({_cache_key(q): a for q, a in found.items()})
        lasting = {q: a for q, a in found.items() if a.failure is None or a.failure.kind != "error"}
        self._kept.update(lasting)
        return {**self._kept, **found}

    def _ask(self, questions: tuple[Question, ...]) -> Answers:
        (entry,) = attempt(lambda requests: ask(self._model, requests), [ImageQuestions(None, questions)])
        self._unbilled += entry.usage
        if isinstance(entry, Failure):
            return {question: YesNo(0.0, 0.0, entry) for question in questions}
        return entry.answers


def count(evidence: Evidence, entry: ImageAnswers | Failure, images: int = 1) -> None:
    """Adds the cost of an answer; failures that a server charges for count too."""
    if not isinstance(entry, Failure) or entry.usage.input_tokens:
        evidence.cost.add(images, entry.usage)


def failure_of(error: Exception) -> Failure:
    """An exception of a model as a failure of one item."""
    text = str(error).strip()
    line = text.splitlines()[0][:300] if text else ""
    return Failure("error", f"The model raised {type(error).__name__}{': ' + line if line else ''}")


def turn_of(image: Image.Image | None, texts: ItemTexts, kind: Kind, text: str) -> Turn:
    """A user turn with the image and the item's text that questions of a kind are about, then `text`."""
    wording = WORDINGS[kind]
    seen = (image,) if image is not None and wording.image else ()
    read = None if wording.reads is None else texts.quoted(wording.reads)
    return Turn("user", (*seen, *(() if read is None else (read,)), text))


def _cache_key(question: Question) -> str:
    """The question with the digest of its wording."""
    asked = question.kind if question.plain else f"{question.kind} {digest([question.kind])}"
    return f"{asked} {question.text}"


def inquiry_of(request: ImageQuestions, questions: Sequence[Question]) -> Inquiry:
    """The inquiry of some of a request's questions, which are of one kind."""
    kind = questions[0].kind
    turn = turn_of(request.image, request.texts, kind, WORDINGS[kind].instruction)
    return Inquiry(Chat((turn,)), tuple(WORDINGS[kind].ask(question.text) for question in questions))


def _unfit(
    texts: ItemTexts, read: TextPart | None, prefix: Chat, vocabulary: Vocabulary | None
) -> Failure | None:
    """Why a question about more than the image cannot be asked; None where it can."""
    size = 0 if read is None else texts.size(read)
    if size > LONGEST_TEXT:
        return Failure(
            "error", f"The {read} has {size:,} characters, more than the limit of {LONGEST_TEXT:,}."
        )
    unknown = vocabulary.unknown_words(prefix.turns[0].text) if vocabulary is not None else []
    if not unknown:
        return None
    named = ", ".join(repr(word) for word in unknown[:_NAMED]) + (" and more" if unknown[_NAMED:] else "")
    return Failure("out_of_domain", f"The model never learned {named}.")


def _reply(at: int | Failure, replies: Sequence[Answer], counted: set[int]) -> Answer:
    """The answer to an inquiry; its tokens count once."""
    if isinstance(at, Failure):
        return Answer(failure=at)
    if at in counted:
        return replace(replies[at], usage=Usage())
    counted.add(at)
    return replies[at]


def _collect(parts: Sequence[tuple[Sequence[Question], Answer]]) -> ImageAnswers | Failure:
    """The answers to one request. A failure on the image fails all questions about it; questions about texts
    fail on their own."""
    found: dict[Question, YesNo] = {}
    failed = {group[0].kind: failure for group, answer in parts if (failure := _failure(group, answer))}
    blind = next((failure for kind, failure in failed.items() if kind in ("statement", "rule")), None)
    if failed and (len(failed) == len(parts) or (blind and all(group[0].plain for group, _ in parts))):
        return replace(blind or next(iter(failed.values())), usage=_total(parts))
    for questions, answer in parts:
        failure = (blind if questions[0].plain else None) or failed.get(questions[0].kind)
        if failure is not None:
            found.update(dict.fromkeys(questions, YesNo(0.0, 0.0, failure)))
        else:
            found.update((q, _sound(a)) for q, a in zip(questions, answer.answers, strict=True))
    return ImageAnswers(found, _total(parts))


def _total(parts: Sequence[tuple[Sequence[Question], Answer]]) -> Usage:
    return sum((answer.usage for _, answer in parts), Usage())


def _failure(questions: Sequence[Question], answer: Answer) -> Failure | None:
    if answer.failure is None and len(answer.answers) != len(questions):
        return Failure(
            "error", f"The model gave {len(answer.answers)} answers to {len(questions)} questions."
        )
    return answer.failure


def _sound(answer: YesNo) -> YesNo:
    """The answer, or a failure if its numbers are not probabilities."""
    if answer.sound or answer.failure is not None:
        return answer
    return YesNo(0.0, 0.0, Failure("error", f"The model gave no probabilities: {answer.yes}, {answer.no}."))
