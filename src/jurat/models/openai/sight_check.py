"""Whether a server looks at the pictures that it is sent.

Gateways drop a picture and send the text alone, always or now and then, and the model behind them answers all
the same: as it would without a picture. A judge that was shown nothing says nothing, so two things are
checked:

- once, beside the first picture that is answered: about a red picture and a blue one the answers differ;
- for every question about a picture: its answer is not the one to the same text without the picture, which is
  the language prior and is asked once, and the server counts more tokens where it counts pictures at all.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import NoReturn, TypeAlias

from PIL import Image

from jurat.content import Failure, Turn
from jurat.models.openai.answers import Basis, Part
from jurat.models.protocol import YesNo

log = logging.getLogger("jurat.models")

INSTRUCTION = "Is the following statement true of this image? Answer with Yes or No."
RED, OTHER = "Statement: The image is red.", "Statement: One and one is two."
"""What is asked of a red picture, of a blue one and of none; and what else is asked of none, to learn whether
anything changes what the server says."""
SQUARE = (112, 112)

_ALIKE = "it says of a red one what it says of a blue one"
_NEAR = 0.125
"""In log-odds: answers to the same tokens differ by as much where they are computed in bfloat16."""
_TRIES = 3
_TEXTS = 8
"""Conversations without their pictures of which all questions are checked. Where there are more, each has a
text of its own (a caption), and only its first question is."""
_KEPT = 4096
"""Answers without a picture that are kept."""

Put: TypeAlias = Callable[[Sequence[Turn], Sequence[str], Basis], Awaitable[Part]]
"""Asks without pictures; raises `jurat.models.openai.calls.Unmeasured` where there are no logprobs."""
LookInto: TypeAlias = Callable[[Sequence[Turn], str], Awaitable[Part]]
"""Asks one question, about pictures or without, in whichever way the server answers."""


@dataclass
class _Kept:
    """An answer without a picture, once it is there."""

    lock: asyncio.Lock = field(default_factory=asyncio.Lock)
    part: Part | None = None


class Sight:
    """See the module's docstring; `gone` ends the run."""

    def __init__(self, name: str, put: Put, look_into: LookInto, gone: Callable[[str], NoReturn]) -> None:
        self._name, self._put, self._look_into, self._gone = name, put, look_into, gone
        self._kept: dict[tuple[tuple[str, ...], tuple[str, ...], Basis], _Kept] = {}
        self._texts: set[tuple[str, ...]] = set()
        self._lock = asyncio.Lock()
        self._tries = 0
        self._done = False
        self._counts = False
        """Whether the server counts tokens for a picture."""
        self._others: tuple[Part, ...] = ()
        """What it said without a picture when it was looked into."""

    async def plain(self, turns: Sequence[Turn], questions: Sequence[str], basis: Basis) -> Part:
        """The answers without the pictures of a conversation; asked once."""
        bare = tuple(Turn(turn.role, tuple(p for p in turn.parts if isinstance(p, str))) for turn in turns)
        key = (tuple(turn.text for turn in bare), tuple(questions), basis)
        kept = self._kept.setdefault(key, _Kept())
        if len(self._kept) > _KEPT:
            del self._kept[next(iter(self._kept))]
        async with kept.lock:
            part = kept.part or await self._put(bare, questions, basis)
            if not part.failed:
                kept.part = part
            return part

    async def look(self) -> None:
        """Shows the server a red picture and a blue one, unless that was done.

        Raises:
            ModelGone: what it says of the one is what it says of the other.
        """
        if self._done:
            return
        async with self._lock:
            if not self._done:
                await self._look()

    async def _look(self) -> None:
        def ask(colour: str | None, question: str) -> Awaitable[Part]:
            shown = () if colour is None else (Image.new("RGB", SQUARE, colour),)
            return self._look_into((Turn("user", (*shown, INSTRUCTION)),), question)

        red = await ask("red", RED)
        blue, none, other = await asyncio.gather(ask("blue", RED), ask(None, RED), ask(None, OTHER))
        self._tries += 1
        if any(part.failed for part in (red, blue, none, other)):
            self._done = self._tries >= _TRIES
            if self._done:
                self._unknown("it does not answer what it is asked about plain pictures")
            return
        self._done = True
        self._others = (none, other)
        self._counts = max(red.tokens, blue.tokens) > none.tokens
        if not _near(red, blue):
            return
        listens = not _same(none, other) or none.tokens != other.tokens
        if listens and (_same(red, blue) or not self._counts):
            counted = "" if not red.tokens else f", and counts {_tokens(red, none)}"
            self._gone(
                "it does not seem to look at pictures: it says of a red one what it says of a blue one"
                + counted
            )
        self._unknown(
            "it says of a red one what it says of a blue one, and hardly anything changes its answers"
        )

    async def checked(
        self, turns: Sequence[Turn], groups: Sequence[Sequence[str]], parts: Sequence[Part], basis: Basis
    ) -> list[Part]:
        """The parts, each the answer to one group of questions about pictures; a failure where the server did
        not look at them."""
        await self.look()
        text = tuple(turn.text for turn in turns)
        if text not in self._texts and len(self._texts) < _TEXTS:
            self._texts.add(text)
        due = len(groups) if text in self._texts else 1
        if not self._others or (basis == "stated" and not self._counts):
            due = 0  # nothing could be learned from it
        plain = await asyncio.gather(*(self.plain(turns, group, basis) for group in groups[:due]))
        found = list(parts)
        for at, without in enumerate(plain):
            others = (*self._others, *plain[:at], *plain[at + 1 :])
            if self._dropped(found[at], without, others):
                found[at] = _unseen(found[at], without)
        return found

    def _dropped(self, part: Part, without: Part, others: Sequence[Part]) -> bool:
        """Whether an answer is the one without a picture: `others` are those to other questions."""
        if part.failed or without.failed:
            return False
        # Where the server says the same to everything, that it says so again tells nothing.
        measured = part.listed and not part.answers[0].stated
        if measured and _same(part, without) and not any(_same(without, other) for other in others):
            return True
        return self._counts and _near(part, without) and part.tokens <= without.tokens

    def _unknown(self, why: str) -> None:
        log.warning("whether %s looks at pictures could not be checked: %s.", self._name, why)


def _same(one: Part, other: Part) -> bool:
    """Whether two answers are equal to the last digit."""
    if one.listed or other.listed:
        return sorted(one.listed) == sorted(other.listed)
    return [answer.yes for answer in one.answers] == [answer.yes for answer in other.answers]


def _near(one: Part, other: Part) -> bool:
    """Whether they are equal but for the noise of the arithmetic."""
    pairs = zip(one.answers, other.answers, strict=True)
    return all(a.stated == b.stated and abs(a.log_odds - b.log_odds) <= _NEAR for a, b in pairs)


def _unseen(part: Part, without: Part) -> Part:
    counted = f" It counts {_tokens(part, without)}." if part.tokens else ""
    why = "The server does not seem to have looked at the picture: it answers as it does without one."
    failure = Failure("error", why + counted)
    return replace(part, answers=[YesNo(0.0, 0.0, failure, a.stated) for a in part.answers])


def _tokens(part: Part, without: Part) -> str:
    if part.tokens == without.tokens:
        return f"{part.tokens:,} tokens with one and without"
    return f"{part.tokens:,} tokens with one and {without.tokens:,} without"
