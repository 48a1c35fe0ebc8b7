"""DRESS by prompting: Chen et al. 2023, "DRESS: instructing large vision-language models to align and
interact with humans via natural language feedback" (arXiv 2311.10081).

The authors train a model on replies with feedback in words: a critique with a score, and how to refine the
reply. When it is used, they condition on the best feedback. Here any model is prompted in that form: it is
told that the best feedback is wanted, its reply gets a critique and a refinement, and it answers again with
both.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Annotated, ClassVar

from pydantic import Field

from jurat.content import Chat, Generation, Reply, Turn
from jurat.defenses.defense import Turns, conversation_with, unchecked
from jurat.defenses.methods.prompts import Placement, SystemPrompt, wordings
from jurat.defenses.procedure import Event, Steps
from jurat.named_settings import Positive, setting

__all__ = ["Dress"]

_SCORE = re.compile(r"(?<![\d.])[1-4](?![\d.]*\d)")
_BEST = "4"


@dataclass(frozen=True)
class Dress(SystemPrompt):
    """See the module's docstring. Closed questions are asked with the wanted feedback, and get none.

    The first number from 1 to 4 in a critique is its score; 4 ends the rounds, since nothing is to be
    refined.

    Events: "refined", for each reply that was written again; "no score", for each critique without one.

    Raises:
        JuratError: there is no such variant.
    """

    name: ClassVar[str] = "dress"
    needs: ClassVar[tuple[str | type, ...]] = ("chat",)

    variant: str = setting("best-feedback", "ours", "Wording of the shelf: the feedback that is wanted.")
    placement: Placement = setting("system", "ours", "Where it stands: system, before or after.")
    rounds: Annotated[int, Field(ge=0)] = setting(
        1, "ours", "Critiques, at most, each followed by another reply; 0 only asks for the best feedback."
    )
    tokens: Positive = setting(256, "ours", "Tokens of a critique, at most.")

    def wording(self) -> Sequence[str]:
        return (self.words, *(wordings()[each] for each in ("critique", "refine") if self.rounds))

    def chat(self, chat: Chat) -> Steps[Reply]:
        reply: Reply = yield self.shown(chat)
        for _ in range(self.rounds):
            if reply.failure is not None:
                return reply
            critique: Reply = yield Chat(
                _then(chat, reply, wordings()["critique"]), Generation(max_tokens=self.tokens)
            )
            if critique.failure is not None:
                return Reply(failure=unchecked(critique.failure))
            score = _SCORE.search(critique.text)
            if score is not None and score[0] == _BEST:
                return reply
            if score is None:
                yield Event("no score")
            yield Event("refined")
            told = f"{wordings()['refine']}\n\n{critique.text.strip()}"
            reply = yield self.shown(replace(chat, turns=_then(chat, reply, told)))
        return reply


def _then(chat: Chat, reply: Reply, words: str) -> Turns:
    """The conversation with its reply, and what is said next."""
    return (*conversation_with(chat, reply.text), Turn("user", (words,)))
