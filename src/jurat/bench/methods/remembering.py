"""Models, detectors and matchers that are asked anything only once: for fitting what is made of answers."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from PIL import Image

from jurat.models import Answer, Chat, Failure, Inquiry, Model, Reply, Vocabulary
from jurat.models.base import C

if TYPE_CHECKING:
    from jurat.models.vision import Box, Detector, Matcher


class Remembering:
    """Answers as the inner model did before; its capabilities are the inner model's own."""

    def __init__(self, inner: Model) -> None:
        self._inner = inner
        self._asked: dict[Any, Answer] = {}
        self._chatted: dict[Any, Reply] = {}
        self.name, self.revision, self.dtype = inner.name, inner.revision, inner.dtype

    def ask(self, inquiries: Sequence[Inquiry]) -> list[Answer]:
        keys = [(_key(inquiry.prefix), inquiry.questions) for inquiry in inquiries]
        new = {key: each for key, each in zip(keys, inquiries, strict=True) if key not in self._asked}
        if new:
            self._asked.update(zip(new, self._inner.ask(list(new.values())), strict=True))
        return [self._asked[key] for key in keys]

    def chat(self, chats: Sequence[Chat]) -> list[Reply]:
        keys = [_key(chat) for chat in chats]
        new = {key: each for key, each in zip(keys, chats, strict=True) if key not in self._chatted}
        if new:
            self._chatted.update(zip(new, self._inner.chat(list(new.values())), strict=True))
        return [self._chatted[key] for key in keys]

    def capability(self, kind: type[C]) -> C | None:
        return self._inner.capability(kind)


class RememberingDetector:
    """Finds what the inner detector found before."""

    def __init__(self, inner: Detector) -> None:
        self._inner = inner
        self._found: dict[Any, list[Box] | Failure] = {}
        self.name, self.revision = inner.name, inner.revision

    def detect(
        self, images: Sequence[Image.Image], words: Sequence[Sequence[str]]
    ) -> list[list[Box] | Failure]:
        keys = [(_pixels(image), tuple(said)) for image, said in zip(images, words, strict=True)]
        new = {key: image for key, image in zip(keys, images, strict=True) if key not in self._found}
        if new:
            found = self._inner.detect(list(new.values()), [said for _, said in new])
            self._found.update(zip(new, found, strict=True))
        return [self._found[key] for key in keys]


class RememberingMatcher:
    """Compares as the inner matcher did before."""

    def __init__(self, inner: Matcher) -> None:
        self._inner = inner
        self._rows: dict[Any, list[float] | Failure] = {}
        self.name, self.revision = inner.name, inner.revision
        self.relevant_above = inner.relevant_above

    def match(self, images: Sequence[Image.Image], texts: Sequence[str]) -> list[list[float] | Failure]:
        keys = [(_pixels(image), tuple(texts)) for image in images]
        new = {key: image for key, image in zip(keys, images, strict=True) if key not in self._rows}
        if new:
            self._rows.update(zip(new, self._inner.match(list(new.values()), texts), strict=True))
        return [self._rows[key] for key in keys]

    def unknown_words(self, text: str) -> list[str]:
        """The words that the inner matcher never learned, where it says so."""
        return self._inner.unknown_words(text) if isinstance(self._inner, Vocabulary) else []


def _key(chat: Chat) -> Any:
    """What the answer depends on: roles, texts, pixels and decoding settings."""
    parts: list[Any] = [replace(chat.generation, logits_processors=())]
    for turn in chat.turns:
        parts.append(turn.role)
        for part in turn.parts:
            parts.append(part if isinstance(part, str) else _pixels(part))
    return tuple(parts)


def _pixels(image: Image.Image) -> tuple[Any, ...]:
    return image.size, image.mode, hashlib.sha256(image.tobytes()).digest()
