"""Models, detectors and matchers with cached answers, whose cost is reported as if nothing were cached.

The methods of the bench put mostly the same questions about the same images to the same model. An answer is
kept by the conversation (its words and pixels) and the question that it answers. When it is asked for again,
the model is not called; its tokens are those that asking would have read, and the `Clock` is put forward by
the seconds that it took, in proportion to tokens. So a method's row has what the method costs alone,
whichever methods ran before it. Images that are encoded, searched and scanned are counted by the methods
themselves.

The last digits of an answer depend on which questions shared its pass, as those of all packed answers do.
"""

from __future__ import annotations

import hashlib
import sys
import time
from collections import OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, ClassVar, Generic, TypeAlias, TypeVar, cast

from PIL import Image

from jurat.bench.cost import counter_of
from jurat.content import Chat, Failure, Reply, Usage
from jurat.judge.stages.reason import ReasonsIn
from jurat.models import (
    Answer,
    Disclaimer,
    DomainGate,
    Embedder,
    ImageFeatures,
    Inquiry,
    Model,
    StatementReader,
    UsageMeter,
    Vocabulary,
    YesNo,
)
from jurat.models.capabilities import Deterministic
from jurat.models.protocol import C
from jurat.models.wrapper import ModelWrapper

if TYPE_CHECKING:
    from jurat.models.vision import Box, Detector, Matcher

T = TypeVar("T")
U = TypeVar("U")
Key: TypeAlias = tuple[Any, ...]
Questions: TypeAlias = tuple[str, ...]

MOST = 100_000
"""Conversations that are kept of a model, and images of a detector or a matcher; those that were not asked
for the longest time go first."""


@dataclass
class Clock:
    """Elapsed seconds, and the seconds that would have elapsed without the cache."""

    owed: float = 0.0
    """What cached answers took when the model was asked."""

    def __call__(self) -> float:
        return time.perf_counter() + self.owed


class CachingModel(ModelWrapper):
    """Returns cached answers where there are any. It is called by one thread: what is measured runs alone."""

    passes: ClassVar = (Vocabulary, StatementReader, Disclaimer, UsageMeter, ReasonsIn, Deterministic)

    def __init__(self, inner: Model, clock: Clock) -> None:
        super().__init__(inner)
        self._clock = clock
        self._count = counter_of(inner)
        self._known: _LruCache[_ConversationAnswers] = _LruCache()
        self._tokens: dict[Key, Usage] = {}
        """Tokens of an inquiry, by its words and the sizes of its images."""
        self._chats: _Memo[Reply] = _Memo(clock)
        gate = inner.capability(DomainGate)
        self._gate = None if gate is None else _CachingGate(gate, clock)

    def capability(self, kind: type[C]) -> C | None:
        return cast(C, self._gate) if kind is DomainGate else super().capability(kind)

    def chat(self, chats: Sequence[Chat]) -> list[Reply]:
        keys = [_key(chat) if _is_greedy(chat) else None for chat in chats]
        return self._chats.of(keys, chats, self._inner.chat)

    def ask(self, inquiries: Sequence[Inquiry]) -> list[Answer]:
        keys = [(_key(inquiry.prefix), inquiry.questions) for inquiry in inquiries]
        put: dict[tuple[Key, Questions], Inquiry] = {}
        for key, inquiry in zip(keys, inquiries, strict=True):
            if key not in put and (missing := self._missing(key[0], inquiry)):
                put[key] = replace(inquiry, questions=missing)
        start = time.perf_counter()
        answers = self._inner.ask(list(put.values())) if put else []
        seconds = time.perf_counter() - start
        pace = seconds / max(1, sum(answer.usage.input_tokens for answer in answers))
        fresh = dict(zip(put, zip(put.values(), answers, strict=True), strict=True))
        for (key, _), (asked, answer) in fresh.items():
            self._keep(key, asked, answer, pace)
        # An inquiry that comes twice in one batch is fresh once.
        return [
            self._answer(key[0], inquiry, fresh.pop(key, None))
            for key, inquiry in zip(keys, inquiries, strict=True)
        ]

    def _missing(self, key: Key, inquiry: Inquiry) -> Questions:
        """The questions that have to be asked: none, some, or all."""
        known = self._known.get(key)
        if known is None:
            return inquiry.questions
        if inquiry.questions in known.whole:
            return ()
        if self._usage(inquiry) is None:
            return inquiry.questions
        return tuple(each for each in dict.fromkeys(inquiry.questions) if each not in known.answers)

    def _keep(self, key: Key, asked: Inquiry, answer: Answer, pace: float) -> None:
        known = self._known.get(key) or self._known.put(key, _ConversationAnswers())
        known.pace = pace
        if any(map(_may_pass, (answer.failure, *(each.failure for each in answer.answers)))):
            return
        if answer.failure is not None or self._count is None:
            known.whole[asked.questions] = answer
        elif len(answer.answers) == len(asked.questions):
            self._tokens[_shape(asked)] = answer.usage
            known.answers.update(zip(map(sys.intern, asked.questions), answer.answers, strict=True))

    def _answer(self, key: Key, inquiry: Inquiry, fresh: tuple[Inquiry, Answer] | None) -> Answer:
        """The answer to an inquiry; what of it was not asked just now is put on the clock."""
        known = self._known.get(key) or _ConversationAnswers()
        answers, paid = known.answers, 0
        if fresh is not None:
            asked, answer = fresh
            if answer.failure is not None or asked.questions == inquiry.questions:
                return answer
            answers = answers | dict(zip(asked.questions, answer.answers, strict=True))
            paid = answer.usage.input_tokens
        found = known.whole.get(inquiry.questions) or self._assembled(inquiry, answers)
        self._clock.owed += known.pace * (found.usage.input_tokens - paid)
        return found

    def _assembled(self, inquiry: Inquiry, answers: dict[str, YesNo]) -> Answer:
        if any(question not in answers for question in inquiry.questions):
            return self._inner.ask([inquiry])[0]  # it came twice in one batch, and failed there
        found = tuple(answers[question] for question in inquiry.questions)
        return Answer(found, usage=self._usage(inquiry) or Usage())

    def _usage(self, inquiry: Inquiry) -> Usage | None:
        """The tokens that asking would read; None where only asking tells."""
        if self._count is None:
            return None
        shape = _shape(inquiry)
        if shape not in self._tokens and (usage := self._count(inquiry)) is not None:
            self._tokens[shape] = usage
        return self._tokens.get(shape)


class CachingDetector:
    """Caches the inner detector's boxes by image and word."""

    def __init__(self, inner: Detector, clock: Clock) -> None:
        self._inner, self._clock = inner, clock
        self._found: _LruCache[_ImageBoxes] = _LruCache()
        self.name, self.revision = inner.name, inner.revision

    def detect(
        self, images: Sequence[Image.Image], words: Sequence[Sequence[str]]
    ) -> list[list[Box] | Failure]:
        keys = [_pixels(image) for image in images]
        missing: dict[int, list[str]] = {}
        for i, (key, wanted) in enumerate(zip(keys, words, strict=True)):
            known = self._found.get(key)
            new = [word for word in dict.fromkeys(wanted) if known is None or word not in known.by_word]
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
                found = self._found.get(keys[i]) or self._found.put(keys[i], _ImageBoxes({}, each))
                found.by_word.update({word: [box for box in row if box.word == word] for word in new})
        self._clock.owed += sum(self._found[key].seconds for i, key in enumerate(keys) if i not in missing)
        return [failed.get(i) or self._boxes(key, words[i]) for i, key in enumerate(keys)]

    def unknown_words(self, text: str) -> list[str]:
        """The words that the inner detector never learned, where it says so."""
        return self._inner.unknown_words(text) if isinstance(self._inner, Vocabulary) else []

    def _boxes(self, key: Key, words: Sequence[str]) -> list[Box]:
        boxes = [box for word in dict.fromkeys(words) for box in self._found[key].by_word[word]]
        return sorted(boxes, key=lambda box: -box.score)


class CachingMatcher:
    """Caches the inner matcher's results."""

    def __init__(self, inner: Matcher, clock: Clock) -> None:
        self._inner = inner
        self._once: _Memo[list[float] | Failure] = _Memo(clock)
        self._clock = clock
        self.name, self.revision = inner.name, inner.revision
        self.relevant_above = inner.relevant_above

    def match(self, images: Sequence[Image.Image], texts: Sequence[str]) -> list[list[float] | Failure]:
        keys = [(*_pixels(image), *texts) for image in images]
        return self._once.of(keys, images, lambda some: self._inner.match(some, texts))

    def unknown_words(self, text: str) -> list[str]:
        """The words that the inner matcher never learned, where it says so."""
        return self._inner.unknown_words(text) if isinstance(self._inner, Vocabulary) else []

    def capability(self, kind: type[C]) -> C | None:
        """The inner matcher's embeddings, cached; None for anything else."""
        ask = getattr(self._inner, "capability", None)
        inner = ask(Embedder) if kind is Embedder and ask is not None else None
        return None if inner is None else cast(C, _CachingEmbedder(inner, self._clock))


class _CachingEmbedder:
    """Caches the embeddings of images; texts are not needed by any method."""

    def __init__(self, inner: Embedder, clock: Clock) -> None:
        self._inner = inner
        self._once: _Memo[ImageFeatures] = _Memo(clock)

    def images(self, images: Sequence[Image.Image]) -> list[ImageFeatures]:
        return self._once.of([_pixels(image) for image in images], images, self._inner.images)


class _CachingGate:
    """Caches the inner gate's results."""

    def __init__(self, inner: DomainGate, clock: Clock) -> None:
        self._inner = inner
        self._once: _Memo[Failure | None] = _Memo(clock)

    def foreign(self, images: Sequence[Image.Image]) -> list[Failure | None]:
        return self._once.of([_pixels(image) for image in images], images, self._inner.foreign)


# --- what is kept --------------------------------------------------------------------------------


@dataclass
class _ConversationAnswers:
    """Cached answers about one conversation."""

    answers: dict[str, YesNo] = field(default_factory=dict[str, YesNo])
    """By question, whichever it was asked with."""
    whole: dict[Questions, Answer] = field(default_factory=dict[Questions, Answer])
    """By all questions of an inquiry: failures, and all answers of a model whose tokens only asking tells."""
    pace: float = 0.0
    """Seconds a token when it was last asked."""


@dataclass
class _ImageBoxes:
    """Cached boxes of one image."""

    by_word: dict[str, list[Box]]
    seconds: float


class _LruCache(Generic[T]):
    """The `MOST` most recently used values, by key."""

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


class _Memo(Generic[T]):
    """Results computed once per key; the time that a cached result saves is added to the clock."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._kept: _LruCache[tuple[T, float]] = _LruCache()

    def of(
        self, keys: Sequence[Key | None], inputs: Sequence[U], work: Callable[[Sequence[U]], list[T]]
    ) -> list[T]:
        """A result an input; None as a key stands for what is computed every time."""
        named = [(number,) if key is None else key for number, key in enumerate(keys)]
        cacheable = set(keys)
        new = {key: each for key, each in zip(named, inputs, strict=True) if self._kept.get(key) is None}
        start = time.perf_counter()
        made = work(list(new.values())) if new else []
        seconds = (time.perf_counter() - start) / max(1, len(new))
        fresh = {key: (value, seconds) for key, value in zip(new, made, strict=True)}
        for key, entry in fresh.items():
            if key in cacheable and not _may_pass(entry[0]):
                self._kept.put(key, entry)
        found: list[T] = []
        for key in named:
            value, seconds = fresh.get(key) or self._kept[key]
            if new.pop(key, None) is None:
                self._clock.owed += seconds
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


def _shape(inquiry: Inquiry) -> Key:
    """What the number of tokens depends on."""
    turns = ((t.role, *(p if isinstance(p, str) else p.size for p in t.parts)) for t in inquiry.prefix.turns)
    return (*turns, inquiry.questions)


def _pixels(image: Image.Image) -> Key:
    return image.size, image.mode, hashlib.blake2b(image.tobytes(), digest_size=16).digest()


def _is_greedy(chat: Chat) -> bool:
    """Whether its reply is deterministic."""
    return chat.generation.temperature == 0 and not chat.generation.logits_processors


def _may_pass(result: object) -> bool:
    """Whether it is, or holds, a transient failure."""
    failure = result if isinstance(result, Failure) else getattr(result, "failure", None)
    return isinstance(failure, Failure) and failure.kind == "error"
