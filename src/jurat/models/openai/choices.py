"""Reads the first choice of a chat completion: text, finish reason, first token's alternatives, usage."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, TypeAlias

from jurat.content import Failure, Usage
from jurat.models.openai.faults import filtered_finish
from jurat.models.openai.secrets import clean, without_key

if TYPE_CHECKING:
    from openai.types.chat import ChatCompletion

Logprobs: TypeAlias = tuple[tuple[str, float], ...]
"""Tokens, or names of questions, each with a logprob or a probability."""

CERTAIN = -1e-5
"""A token with a logprob above this is called certain."""
_ROUNDED, _MOST = 1e-3, 1.05
"""Upper bounds of a valid logprob and of a sum of probabilities."""
_THOUGHTS = re.compile(r"\A\s*<think>.*?(</think>\s*|\Z)", re.S)


@dataclass(frozen=True)
class Choice:
    """A reply's first choice."""

    text: str
    finish: str
    """Why it ends: "stop", "length" where the limit of tokens cut it off."""
    listed: Logprobs = ()
    """Alternatives of the first token, with their logprobs; empty where the server gives none."""
    usage: Usage = field(default_factory=Usage)


def read_choice(reply: ChatCompletion, usage: Usage | None = None) -> Choice | Failure:
    """A reply's first choice, or the failure. Never raises, although servers may leave out any field."""
    return replace(_read(reply), usage=usage or Usage())


def without_thoughts(text: str) -> str:
    """A reply's text without what the model thought first, where the server leaves that in; "" if nothing
    else is there."""
    text = _THOUGHTS.sub("", text)
    return text if text.strip() else ""


def _read(reply: ChatCompletion) -> Choice | Failure:
    choice = next(iter(reply.choices), None)
    message = getattr(choice, "message", None)
    if message is None:
        return Failure("unparsed", "The reply holds no choice.")
    finish = str(getattr(choice, "finish_reason", None) or "")
    refusal, text = getattr(message, "refusal", None), getattr(message, "content", None)
    if isinstance(refusal, str) and refusal.strip():
        return Failure("refused", f"The model refused: {clean(refusal)}.")
    if (why := filtered_finish(choice)) is not None:
        named = "" if why == "content_filter" else f" ({why})"
        return Failure("filtered", f"The server's content filter blocked the reply{named}.")
    text = without_key(text) if isinstance(text, str) else ""
    return Choice(text, finish, tuple(_listed(choice)))


def _listed(choice: Any) -> list[tuple[str, float]]:
    """(token, logprob) of each alternative of the first token, the chosen one among them; none if any of them
    is no logarithm of a probability. What is null or minus infinity has no probability."""
    content = getattr(getattr(choice, "logprobs", None), "content", None)
    if not isinstance(content, list) or not content:
        return []
    first: Any = content[0]
    entries = [_entry(entry) for entry in getattr(first, "top_logprobs", None) or ()]
    chosen = _entry(first)
    # Several tokens may look alike (a word with and without its mark), and all of them count.
    if not any(token == chosen[0] or logprob == chosen[1] for token, logprob in entries):
        entries.append(chosen)
    named = [(token, logprob) for token, logprob in entries if isinstance(token, str)]
    known = [(token, number) for token, logprob in named if (number := _number(logprob)) is not None]
    if len(known) < len(named):
        # Servers write null for what has no probability; beside a token that is not certain it hides one.
        nulls = all(logprob is None for _, logprob in named if _number(logprob) is None)
        if not nulls or not any(logprob > CERTAIN for _, logprob in known):
            return []
    if not all(logprob < _ROUNDED for _, logprob in known):
        return []
    listed = [(token, logprob) for token, logprob in known if logprob > -math.inf]
    return listed if sum(math.exp(logprob) for _, logprob in listed) < _MOST else []


def _entry(entry: Any) -> tuple[Any, Any]:
    return getattr(entry, "token", None), getattr(entry, "logprob", None)


def _number(value: object) -> float | None:
    """A finite number or minus infinity; None for anything else."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    return float(value) if abs(value) < 1e300 or value == -math.inf else None
