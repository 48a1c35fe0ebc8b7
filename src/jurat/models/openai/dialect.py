"""What an OpenAI-compatible server takes of what a call asks for.

Servers differ. A `Dialect` begins with all that is wanted, and gives way where the server refuses something
by name; what was learned so holds for every later call.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from typing import Any, Literal

TOP_LOGPROBS = (20, 10, 5)
"""Tokens to list: the protocol's most, then what some servers have as their own limit."""
LEAST_LISTED = 3
"""With fewer listed tokens P(Yes) + P(No) is not known well enough to be called measured."""
LEAST_TOKENS = 16
"""The least that some gateways hand on."""
FORMATS = ("json_schema", "json_object", "none")
_TOO_LONG = re.compile(
    r"too (large|long|many)|context (length|window|size)|maximum (context|model) length", re.I
)


@dataclass(frozen=True)
class Wish:
    """What a call asks for besides the messages."""

    max_tokens: int
    temperature: float = 0.0
    seed: int | None = None
    measured: bool = False
    """Whether the first token's alternatives are wanted, with their logprobs."""
    schema: dict[str, Any] | None = None
    """A JSON schema that the reply is to follow."""


@dataclass(frozen=True)
class Dialect:
    """What a server takes, as far as it is known."""

    top_logprobs: int = TOP_LOGPROBS[0]
    """How many tokens it lists; 0 if it gives no logprobs."""
    limit: Literal["max_tokens", "max_completion_tokens"] = "max_tokens"
    least_tokens: int = 1
    temperature: bool = True
    seed: bool = True
    format: str = FORMATS[0]

    def settings(self, wish: Wish) -> dict[str, Any]:
        """The wish as this server is asked for it."""
        made: dict[str, Any] = {self.limit: max(wish.max_tokens, self.least_tokens)}
        if self.temperature:
            made["temperature"] = wish.temperature
        if self.seed and wish.seed is not None:
            made["seed"] = wish.seed
        if wish.measured:
            made |= {"logprobs": True, "top_logprobs": self.top_logprobs}
        if wish.schema is not None and self.format == "json_schema":
            schema = {"name": "answers", "strict": True, "schema": wish.schema}
            made["response_format"] = {"type": "json_schema", "json_schema": schema}
        elif wish.schema is not None and self.format == "json_object":
            made["response_format"] = {"type": "json_object"}
        return made

    def without(self, refusal: str, sent: dict[str, Any]) -> Dialect | None:
        """The dialect that avoids what a refusal names; None if it names nothing of what was `sent`."""
        if "response_format" in sent and re.search(r"response_format|json_?schema|json_?object", refusal):
            return replace(self, format=FORMATS[FORMATS.index(self.format) + 1])
        if "logprobs" in sent and "logprobs" in refusal:
            return replace(self, top_logprobs=_fewer(refusal, self.top_logprobs))
        # That a conversation is too long is about this one, not about what the server takes.
        if not _TOO_LONG.search(refusal):
            if self.limit == "max_tokens" and "max_completion_tokens" in refusal:
                return replace(self, limit="max_completion_tokens")
            if sent[self.limit] < LEAST_TOKENS and re.search(r"max_(completion_|output_)?tokens", refusal):
                return replace(self, least_tokens=LEAST_TOKENS)
        if "temperature" in sent and "temperature" in refusal:
            return replace(self, temperature=False)
        if "seed" in sent and "seed" in refusal:
            return replace(self, seed=False)
        return None


def _fewer(refusal: str, asked: int) -> int:
    """How many logprobs to ask for after a refusal: its own limit if it names one, else a step less."""
    limits = [int(number) for number in re.findall(r"\b\d{1,2}\b", refusal) if 0 < int(number) < asked]
    if limits:
        return max(limits) if max(limits) >= LEAST_LISTED else 0
    if not re.search(r"less|great|most|max|range|between|exceed|large|many|allowed value", refusal):
        return 0
    return next((step for step in TOP_LOGPROBS if step < asked), 0)
