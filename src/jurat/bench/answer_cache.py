"""Models, detectors and matchers that are asked anything only once, and charged for as if asked every time.

The methods of the bench put mostly the same questions about the same images to the same model. An answer
is kept by the conversation (its words and pixels) and the question that it answers. Where it is wanted again,
nothing is asked, but the tokens are those that asking would have read, and the `Clock` is put forward by
the seconds that it took, in proportion to tokens. So a method costs in its row what it costs alone, whoever
came before it. Images that are encoded, searched and scanned are counted by the methods themselves.

The last digits of an answer hang on which questions shared its pass, as those of all packed answers do.
"""

from __future__ import annotations

import hashlib
import sys
import time
from collections import OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Generic, TypeAlias, TypeVar, cast

from PIL import Image

from jurat.bench.cost import counter_of
from jurat.content import Chat, Failure, Reply, Usage
from jurat.models import (
    Answer,
    Disclaimer,
    DomainGate,
    Inquiry,
    Model,
    ModelWrapper,
    StatementReader,
    UsageMeter,
    Vocabulary,
)
from jurat.models.prior_cache import Deterministic
from jurat.models.protocol import C, YesNo

if TYPE_CHECKING:
    from jurat.models.vision import Box, Detector, Matcher

T = TypeVar("T")
Key: TypeAlias = tuple[Any, ...]
Questions: TypeAlias = tuple[str, ...]

MOST = 100_000
"""Conversations that are remembered of a model, and images of a detector or a matcher; those that were not
wanted for longest go first."""


@dataclass
class Clock:
    """Seconds that passed, and those that would have passed had nothing been remembered."""

    owed: float = 0.0
    """What remembered answers took when they were asked for."""

    def __call__(self) -> float:
        return time.perf_counter() + self.owed


class Remembering(ModelWrapper):
    """A model that answers as it did before. It has no `ConcurrencySupport`: what is measured runs alone."""

    passes = (Vocabulary, StatementReader, Disclaimer, UsageMeter, Deterministic)

    def __init__(self, inner: Model, clock: Clock) -> None:
        super().__init__(inner)
        self._clock = clock
        self._count = counter_of(inner)
        self._said: _Lately[_Said] = _Lately()
        self._forms: dict[Key, Usage] = {}
        """Tokens of an inquiry, by its words and the sizes of its images."""
        self._chats: _Lately[tuple[Reply, float]] = _Lately()
        gate = inner.capability(DomainGate)
        self._gate = None if gate is None else _Gate(gate, clock)

    def ask(self, inquiries: Sequence[Inquiry]) -> list[Answer]:
        wanted = [(_key(inquiry.prefix), inquiry.questions) for inquiry in inquiries]
        put: dict[tuple[Key, Questions], Inquiry] = {}
        for name, inquiry in zip(wanted, inquiries, strict=True):
            if name not in put and (missing := self._missing(name[0], inquiry)):
                put[name] = replace(inquiry, questions=missing)
        start = time.perf_counter()
        replies = self._inner.ask(list(put.values())) if put else []
        took = time.perf_counter() - start
        pace = took / max(1, sum(reply.usage.input_tokens for reply in replies))
        fresh = dict(zip(put, zip(put.values(), replies, strict=True), strict=True))
        for (key, _), (asked, reply) in fresh.items():
            self._keep(key, asked, reply, pace)
        # What comes twice in one batch is fresh once.
        return [
            self._answer(name[0], inquiry, fresh.pop(name, None))
            for name, inquiry in zip(wanted, inquiries, strict=True)
        ]

    def chat(self, chats: Sequence[Chat]) -> list[Reply]:
        keys = [_key(chat) if _greedy(chat) else (number,) for number, chat in enumerate(chats)]
        new = {key: chat for key, chat in zip(keys, chats, strict=True) if self._chats.get(key) is None}
        start = time.perf_counter()
        replies = self._inner.chat(list(new.values())) if new else []
        each = (time.perf_counter() - start) / max(1, len(new))
        fresh = {key: (reply, each) for key, reply in zip(new, replies, strict=True)}
        for key, entry in fresh.items():
            if _greedy(new[key]) and not _passes(entry[0].failure):
                self._chats.put(key, entry)
        return [self._replied(fresh.get(key) or self._chats[key], new.pop(key, None)) for key in keys]

    def capability(self, kind: type[C]) -> C | None:
        return cast(C, self._gate) if kind is DomainGate else super().capability(kind)

    def _missing(self, key: Key, inquiry: Inquiry) -> Questions:
        """What has to be asked for an inquiry: nothing, some of its questions, or all."""
        said = self._said.get(key)
        if said is None:
            return inquiry.questions
        if inquiry.questions in said.whole:
            return ()
        if self._usage(inquiry) is None:
            return inquiry.questions
        return tuple(each for each in dict.fromkeys(inquiry.questions) if each not in said.answers)

    def _keep(self, key: Key, asked: Inquiry, reply: Answer, pace: float) -> None:
        said = self._said.get(key) or self._said.put(key, _Said())
        said.pace = pace
        if any(map(_passes, (reply.failure, *(answer.failure for answer in reply.answers)))):
            return
        if reply.failure is not None or self._count is None:
            said.whole[asked.questions] = reply
        elif len(reply.answers) == len(asked.questions):
            self._forms[_form(asked)] = reply.usage
            said.answers.update(zip(map(sys.intern, asked.questions), reply.answers, strict=True))

    def _answer(self, key: Key, inquiry: Inquiry, fresh: tuple[Inquiry, Answer] | None) -> Answer:
        """The answer to an inquiry; what of it was not asked just now is put on the clock."""
        said = self._said.get(key) or _Said()
        known, paid = said.answers, 0
        if fresh is not None:
            asked, reply = fresh
            if reply.failure is not None or asked.questions == inquiry.questions:
                return reply
            known, paid = (
                known | dict(zip(asked.questions, reply.answers, strict=True)),
                reply.usage.input_tokens,
            )
        answer = said.whole.get(inquiry.questions) or self._put_together(inquiry, known)
        self._clock.owed += said.pace * (answer.usage.input_tokens - paid)
        return answer

    def _put_together(self, inquiry: Inquiry, known: dict[str, YesNo]) -> Answer:
        if any(question not in known for question in inquiry.questions):
            return self._inner.ask([inquiry])[0]  # it came twice in one batch, and failed there
        answers = tuple(known[question] for question in inquiry.questions)
        return Answer(answers, usage=self._usage(inquiry) or Usage())

    def _usage(self, inquiry: Inquiry) -> Usage | None:
        """The tokens that asking would read; None where that cannot be told without asking."""
        if self._count is None:
            return None
        form = _form(inquiry)
        if form not in self._forms and (usage := self._count(inquiry)) is not None:
            self._forms[form] = usage
        return self._forms.get(form)

    def _replied(self, entry: tuple[Reply, float], new: Chat | None) -> Reply:
        reply, took = entry
        if new is None:
            self._clock.owed += took
        return reply


class RememberingDetector:
    """Finds what the inner detector found before, word by word."""

    def __init__(self, inner: Detector, clock: Clock) -> None:
        self._inner, self._clock = inner, clock
        self._found: _Lately[_Found] = _Lately()
        self.name, self.revision = inner.name, inner.revision

    def detect(
        self, images: Sequence[Image.Image], words: Sequence[Sequence[str]]
    ) -> list[list[Box] | Failure]:
        keys = [_pixels(image) for image in images]
        missing: dict[int, list[str]] = {}
        for i, (key, said) in enumerate(zip(keys, words, strict=True)):
            known = self._found.get(key)
            new = [word for word in dict.fromkeys(said) if known is None or word not in known.boxes]
            if new or known is None:
                missing[i] = new
        start = time.perf_counter()
        rows = self._inner.detect([images[i] for i in missing], list(missing.values())) if missing else []
        each = (time.perf_counter() - start) / max(1, len(missing))
        failed: dict[int, Failure] = {}
        for (i, new), row in zip(missing.items(), rows, strict=True):
            if isinstance(row, Failure):
                failed[i] = row
            else:
                found = self._found.get(keys[i]) or self._found.put(keys[i], _Found({}, each))
                found.boxes.update({word: [box for box in row if box.word == word] for word in new})
        self._clock.owed += sum(self._found[key].seconds for i, key in enumerate(keys) if i not in missing)
        return [
            failed.get(i) or self._boxes(key, said)
            for i, (key, said) in enumerate(zip(keys, words, strict=True))
        ]

    def unknown_words(self, text: str) -> list[str]:
        """The words that the inner detector never learned, where it says so."""
        return self._inner.unknown_words(text) if isinstance(self._inner, Vocabulary) else []

    def _boxes(self, key: Key, words: Sequence[str]) -> list[Box]:
        boxes = [box for word in dict.fromkeys(words) for box in self._found[key].boxes[word]]
        return sorted(boxes, key=lambda box: -box.score)


class RememberingMatcher:
    """Compares as the inner matcher did before."""

    def __init__(self, inner: Matcher, clock: Clock) -> None:
        self._inner = inner
        self._once: _Once[list[float] | Failure] = _Once(clock)
        self.name, self.revision = inner.name, inner.revision
        self.relevant_above = inner.relevant_above

    def match(self, images: Sequence[Image.Image], texts: Sequence[str]) -> list[list[float] | Failure]:
        keys = [(*_pixels(image), *texts) for image in images]
        return self._once.of(keys, images, lambda some: self._inner.match(some, texts))

    def unknown_words(self, text: str) -> list[str]:
        """The words that the inner matcher never learned, where it says so."""
        return self._inner.unknown_words(text) if isinstance(self._inner, Vocabulary) else []


class _Gate:
    """Tells foreign images as the inner gate did before."""

    def __init__(self, inner: DomainGate, clock: Clock) -> None:
        self._inner = inner
        self._once: _Once[Failure | None] = _Once(clock)

    def foreign(self, images: Sequence[Image.Image]) -> list[Failure | None]:
        return self._once.of([_pixels(image) for image in images], images, self._inner.foreign)


# --- what is kept --------------------------------------------------------------------------------


@dataclass
class _Said:
    """What a model answered about one conversation."""

    answers: dict[str, YesNo] = field(default_factory=dict[str, YesNo])
    """By question, whichever it was asked with."""
    whole: dict[Questions, Answer] = field(default_factory=dict[Questions, Answer])
    """By all questions of an inquiry: failures, and whatever a model says whose tokens cannot be told
    without asking."""
    pace: float = 0.0
    """Seconds a token when it was last asked."""


@dataclass
class _Found:
    """What a detector found in one image."""

    boxes: dict[str, list[Box]]
    """By word."""
    seconds: float


class _Lately(Generic[T]):
    """The last `MOST` values that were wanted, by key."""

    def __init__(self) -> None:
        self._values: OrderedDict[Key, T] = OrderedDict()

    def __getitem__(self, key: Key) -> T:
        return self._values[key]

    def get(self, key: Key) -> T | None:
        if key not in self._values:
            return None
        self._values.move_to_end(key)
        return self._values[key]

    def put(self, key: Key, value: T) -> T:
        self._values[key] = value
        while len(self._values) > MOST:
            self._values.popitem(last=False)
        return value


class _Once(Generic[T]):
    """What is worked out of an image, once an image."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._kept: _Lately[tuple[T, float]] = _Lately()

    def of(
        self,
        keys: Sequence[Key],
        images: Sequence[Image.Image],
        work: Callable[[Sequence[Image.Image]], list[T]],
    ) -> list[T]:
        new = {key: image for key, image in zip(keys, images, strict=True) if self._kept.get(key) is None}
        start = time.perf_counter()
        made = work(list(new.values())) if new else []
        each = (time.perf_counter() - start) / max(1, len(new))
        fresh = {key: (value, each) for key, value in zip(new, made, strict=True)}
        for key, entry in fresh.items():
            if not (isinstance(entry[0], Failure) and _passes(entry[0])):
                self._kept.put(key, entry)
        found: list[T] = []
        for key in keys:
            value, took = fresh.get(key) or self._kept[key]
            if new.pop(key, None) is None:
                self._clock.owed += took
            found.append(value)
        return found


# --- keys ----------------------------------------------------------------------------------------


def _key(chat: Chat) -> Key:
    """What the answer depends on: roles, texts, pixels and decoding settings."""
    parts: list[Any] = [replace(chat.generation, logits_processors=())]
    for turn in chat.turns:
        parts.append(turn.role)
        parts += [part if isinstance(part, str) else _pixels(part) for part in turn.parts]
    return tuple(parts)


def _form(inquiry: Inquiry) -> Key:
    """What the number of tokens depends on."""
    turns = ((t.role, *(p if isinstance(p, str) else p.size for p in t.parts)) for t in inquiry.prefix.turns)
    return (*turns, inquiry.questions)


def _pixels(image: Image.Image) -> Key:
    return image.size, image.mode, hashlib.blake2b(image.tobytes(), digest_size=16).digest()


def _greedy(chat: Chat) -> bool:
    """Whether it is continued the same way each time."""
    return chat.generation.temperature == 0 and not chat.generation.logits_processors


def _passes(failure: Failure | None) -> bool:
    """Whether a failure may not come again."""
    return failure is not None and failure.kind == "error"
