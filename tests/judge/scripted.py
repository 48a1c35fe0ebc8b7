"""A model, a detector and a matcher whose every answer is written down beforehand.

They are third-party implementations of the protocols, so that whole runs of the stages can be worked out
by hand.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from PIL import Image

from jurat.content import Chat, Failure, Reply, Usage
from jurat.models import Answer, Inquiry, YesNo
from jurat.models.vision import Box

WHOLE, NONE, PAINTED, CROP = "whole", "none", "painted", "crop"


def white() -> Image.Image:
    """A white picture, 100 x 100, with a red square where `box` has its boxes."""
    image = Image.new("RGB", (100, 100), "white")
    image.paste("red", (10, 10, 50, 50))
    return image


def kind_of(images: Sequence[Image.Image]) -> str:
    """What is shown: `white`, a part of it, or it with something painted over."""
    if not images:
        return NONE
    if images[0].size != (100, 100):
        return CROP
    return WHOLE if images[0].tobytes() == white().tobytes() else PAINTED


@dataclass
class Scripted:
    """Answers by statement and by what is shown; replies by statement."""

    scores: Mapping[tuple[str, str], float | YesNo | Failure | Exception]
    """By statement and kind of picture; 0.5 where it says nothing."""
    replies: Mapping[str, str | Failure | Exception | list[str]] = field(default_factory=dict)
    """By statement; a list for turn after turn."""
    name: str = "scripted"
    revision: str = "1"
    dtype: str = "none"
    asked: list[tuple[str, str]] = field(default_factory=list)
    chatted: list[str] = field(default_factory=list)

    def ask(self, inquiries: Sequence[Inquiry]) -> list[Answer]:
        return [self._answer(inquiry) for inquiry in inquiries]

    def _answer(self, inquiry: Inquiry) -> Answer:
        kind, found = kind_of(inquiry.prefix.images), []
        for question in inquiry.questions:
            text = question.split(": ", 1)[1]
            self.asked.append((text, kind))
            said = self.scores.get((text, kind), 0.5)
            if isinstance(said, Exception):
                raise said
            if isinstance(said, Failure):
                return Answer(failure=said)
            found.append(said if isinstance(said, YesNo) else YesNo(said, 1 - said))
        return Answer(tuple(found), usage=Usage(10 * len(found)))

    def chat(self, chats: Sequence[Chat]) -> list[Reply]:
        return [self._reply(chat) for chat in chats]

    def _reply(self, chat: Chat) -> Reply:
        opening = chat.turns[0].text
        text = next((name for name in self.replies if name in opening), opening)
        self.chatted.append(text)
        said: Any = self.replies.get(text, "I do not know.")
        if isinstance(said, list):
            said = said[(len(chat.turns) - 1) // 2]
        if isinstance(said, Exception):
            raise said
        if isinstance(said, Failure):
            return Reply(failure=said)
        return Reply(said, Usage(20, 5))

    def capability(self, kind: type) -> None:
        return None


@dataclass
class Finder:
    """A detector that finds each word where it is told to."""

    boxes: Mapping[str, Sequence[Box]] | Failure | Exception
    name: str = "finder"
    revision: str = "1"
    searched: list[tuple[str, ...]] = field(default_factory=list)

    def detect(
        self, images: Sequence[Image.Image], words: Sequence[Sequence[str]]
    ) -> list[list[Box] | Failure]:
        self.searched += [tuple(some) for some in words]
        if isinstance(self.boxes, Exception):
            raise self.boxes
        return [self.boxes if isinstance(self.boxes, Failure) else self._of(some) for some in words]

    def _of(self, words: Sequence[str]) -> list[Box]:
        assert not isinstance(self.boxes, Failure | Exception)
        return [box for word in words for box in self.boxes.get(word, ())]


@dataclass
class Alike:
    """A matcher that finds images like the texts that it is told."""

    cosine: Callable[[str], float]
    relevant_above: float = 0.22
    failing: Failure | Exception | None = None
    name: str = "alike"
    revision: str = "1"

    def match(self, images: Sequence[Image.Image], texts: Sequence[str]) -> list[list[float] | Failure]:
        if isinstance(self.failing, Exception):
            raise self.failing
        return [self.failing or [self.cosine(text) for text in texts] for _ in images]


def box(word: str, side: float = 40, score: float = 0.9, at: float = 10) -> Box:
    return Box(at, at, at + side, at + side, score, word)
