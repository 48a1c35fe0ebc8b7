"""Checks that a server looks at the pictures that it is sent.

Some gateways drop pictures, always or now and then, and send the text alone; the model behind them answers as
it would without a picture. Such answers must not become verdicts, so two things are checked:

- once, beside the first picture that is answered: answers about a red picture and a blue one differ;
- for every question about a picture: its answer differs from the one to the same text without the picture
  (the language prior, asked once), and the server counts more tokens if it counts pictures at all.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import TypeAlias

from PIL import Image

from jurat.content import Failure, Turn, Usage
from jurat.models.openai.closed_answers import Basis, CallAnswers, NoLogprobs, failed_call
from jurat.models.openai.messages import data_urls
from jurat.models.openai.server import Server
from jurat.models.protocol import ModelUnavailable, YesNo

log = logging.getLogger("jurat.models")

INSTRUCTION = "Is the following statement true of this image? Answer with Yes or No."
RED, OTHER = "Statement: The image is red.", "Statement: One and one is two."
"""RED is asked about a red picture, a blue one and none; OTHER about none, to learn whether answers ever
change."""
SQUARE = (112, 112)

_NEAR = 0.125
"""In log-odds: answers to the same tokens in bfloat16 may differ by this much."""
_TRIES = 3
_TEXTS = 8
"""Number of conversation texts of which all questions are checked. Of further texts (captions), only the
first questions are."""
_KEPT = 4096
"""Calls without a picture whose answers are kept."""

Ask: TypeAlias = Callable[[Sequence[Turn], Sequence[str], Sequence[str], Basis], Awaitable[CallAnswers]]
"""Asks questions in one call: turns, questions, the images' data URLs, and the basis that the answers should
have. Raises NoLogprobs where that is `measured` and cannot be had."""


@dataclass
class _Kept:
    """An answer without an image, or the wait for it."""

    lock: asyncio.Lock = field(default_factory=asyncio.Lock)
    call: CallAnswers = field(default_factory=lambda: CallAnswers([]))
    """Empty until it was asked."""
    reported: bool = False
    """Whether its usage is part of an answer."""


class SightCheck:
    """See the module's docstring."""

    def __init__(self, server: Server, ask: Ask) -> None:
        self._server, self._ask = server, ask
        self._kept: dict[tuple[tuple[str, ...], tuple[str, ...], Basis], _Kept] = {}
        self._texts: set[tuple[str, ...]] = set()
        self._lock = asyncio.Lock()
        self._tries = 0
        self._done = False
        self._counts = False
        """Whether the server counts tokens for an image."""
        self._others: tuple[CallAnswers, ...] = ()
        """Its answers without an image from the check."""

    async def prior(self, turns: Sequence[Turn], questions: Sequence[str], basis: Basis) -> CallAnswers:
        """The answers to questions of a conversation without images. Their cost is reported once."""
        kept = await self._without_images(turns, questions, basis)
        reported, kept.reported = kept.reported, True
        return replace(kept.call, usage=Usage()) if reported else kept.call

    async def _without_images(self, turns: Sequence[Turn], questions: Sequence[str], basis: Basis) -> _Kept:
        """Asked once, and again after an error."""
        bare = tuple(Turn(turn.role, tuple(p for p in turn.parts if isinstance(p, str))) for turn in turns)
        key = (tuple(turn.text for turn in bare), tuple(questions), basis)
        kept = self._kept.setdefault(key, _Kept())
        if len(self._kept) > _KEPT:
            del self._kept[next(iter(self._kept))]
        async with kept.lock:
            if not kept.call.answers or kept.call.has_error:
                kept.call, kept.reported = await self._ask(bare, questions, (), basis), False
            return kept

    async def look(self) -> None:
        """Shows the server a red and a blue picture, once.

        Raises:
            ModelUnavailable: it answers the same about both.
        """
        if self._done:
            return
        async with self._lock:
            if not self._done:
                await self._look()

    async def _look(self) -> None:
        red = await self._ask_about("red", RED)
        blue, none, other = await asyncio.gather(
            self._ask_about("blue", RED), self._ask_about(None, RED), self._ask_about(None, OTHER)
        )
        self._tries += 1
        if any(call.failed for call in (red, blue, none, other)):
            self._done = self._tries >= _TRIES
            if self._done:
                self._unknown("it does not answer questions about plain pictures")
            return
        self._done = True
        self._others = (none, other)
        self._counts = max(red.tokens, blue.tokens) > none.tokens
        if not _near(red, blue):
            return
        listens = not _same(none, other) or none.tokens != other.tokens
        if listens and (_same(red, blue) or not self._counts):
            counted = "" if not red.tokens else f", and counts {_tokens(red, none)}"
            raise ModelUnavailable(
                f"{self._server.model!r} at {self._server.address} cannot judge: it does not seem to look at "
                f"pictures: it answers the same about a red one and a blue one{counted}.",
                hint="Does a gateway before it drop pictures, or does the model take none?",
            )
        self._unknown("it answers the same about a red one and a blue one, and nearly everything else")

    async def _ask_about(self, colour: str | None, question: str) -> CallAnswers:
        """A question about a plain picture, or about none, in whichever way the server answers."""
        shown = () if colour is None else (Image.new("RGB", SQUARE, colour),)
        turns = (Turn("user", (*shown, INSTRUCTION)),)
        urls = await data_urls(shown, self._server.serving)
        if isinstance(urls, Failure):
            return failed_call(urls, 1)
        try:
            return await self._ask(turns, (question,), urls, "measured")
        except NoLogprobs:
            return await self._ask(turns, (question,), urls, "stated")

    async def checked(
        self,
        turns: Sequence[Turn],
        groups: Sequence[Sequence[str]],
        calls: Sequence[CallAnswers],
        basis: Basis,
    ) -> list[CallAnswers]:
        """The calls, one for each group of questions about images; calls for which the server ignored the
        image hold failures."""
        await self.look()
        text = tuple(turn.text for turn in turns)
        if text not in self._texts and len(self._texts) < _TEXTS:
            self._texts.add(text)
        due = len(groups) if text in self._texts else 1
        if not self._others or (basis == "stated" and not self._counts):
            due = 0  # the check was inconclusive
        kept = [self._without_images(turns, group, basis) for group in groups[:due]]
        plain = [each.call for each in await asyncio.gather(*kept)]
        found = list(calls)
        for at, without in enumerate(plain):
            others = (*self._others, *plain[:at], *plain[at + 1 :])
            if self._dropped(found[at], without, others):
                found[at] = _unseen(found[at], without)
        return found

    def _dropped(self, call: CallAnswers, without: CallAnswers, others: Sequence[CallAnswers]) -> bool:
        """Whether answers are those without the image; `others` are answers to other questions."""
        # Of a server that answers everything alike, an equal answer shows nothing.
        measured = call.numbers and not call.answers[0].stated
        if measured and _same(call, without) and not any(_same(without, other) for other in others):
            return True
        return self._counts and _near(call, without) and call.tokens <= without.tokens

    def _unknown(self, why: str) -> None:
        log.warning("whether %s looks at pictures could not be checked: %s.", self._server.model, why)


def _same(one: CallAnswers, other: CallAnswers) -> bool:
    """Whether two answers are equal to the last digit."""
    if one.failed and not one.numbers:
        return False
    if one.numbers or other.numbers:
        return sorted(one.numbers) == sorted(other.numbers)
    return [answer.yes for answer in one.answers] == [answer.yes for answer in other.answers]


def _near(one: CallAnswers, other: CallAnswers) -> bool:
    """Whether two answers are equal up to arithmetic noise, as far as both answered."""
    both = [(a, b) for a, b in zip(one.answers, other.answers, strict=True) if not (a.failure or b.failure)]
    return bool(both) and all(a.stated == b.stated and abs(a.log_odds - b.log_odds) <= _NEAR for a, b in both)


def _unseen(call: CallAnswers, without: CallAnswers) -> CallAnswers:
    counted = f" It counts {_tokens(call, without)}." if call.tokens else ""
    why = "The server does not seem to have looked at the picture: it answers as it does without one."
    failure = Failure("error", why + counted)
    return replace(call, answers=[YesNo(0.0, 0.0, failure, a.stated) for a in call.answers])


def _tokens(call: CallAnswers, without: CallAnswers) -> str:
    if call.tokens == without.tokens:
        return f"{call.tokens:,} tokens with one and without"
    return f"{call.tokens:,} tokens with one and {without.tokens:,} without"
