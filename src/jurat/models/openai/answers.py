"""What a server's reply says: text, or why there is none; closed questions from listed tokens or from JSON.

Measured: the first token's alternatives are listed with their logprobs. P(Yes) is the sum over those that
spell yes, as the local models sum over their vocabulary. An answer of which no token is listed is
not impossible but unlikely: it counts as the smallest listed probability, or as what the listed leave over if
that is less. A list that holds anything but logarithms of probabilities measures nothing, nor does one
that calls a token certain and tells nothing of the others.

Stated: several questions are asked at once, and answered by a JSON object from their numbers to Yes or No.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

from jurat.content import Failure, Usage
from jurat.models.hf.encoding import ANSWERS, WORD_STARTS
from jurat.models.json_replies import objects_in
from jurat.models.openai.calls import usage_of
from jurat.models.openai.dialect import LEAST_LISTED
from jurat.models.openai.faults import filtered_finish
from jurat.models.openai.secrets import clean, without_key
from jurat.models.protocol import YesNo

if TYPE_CHECKING:
    from openai.types.chat import ChatCompletion

_SPELLINGS = {
    mark + word: answer for answer, words in ANSWERS.items() for word in words for mark in WORD_STARTS
}
"""What a listed token may look like, and the answer that it spells."""
_NEVER = -50.0
"""At or below this a logprob tells nothing: no model in half precision computes one, and servers have -100,
-9999 or less for "very unlikely"."""
_CERTAIN = -1e-5
"""A logprob above this is that of a token that is called certain."""
_ROUNDED, _MOST = 1e-3, 1.05
"""No logprob is above the one, and no probabilities have a larger sum than the other."""
_ROUNDING = 1e-6
"""Of probabilities that a server computed in single precision."""
_SAID = {"yes": True, "true": True, "no": False, "false": False}


@dataclass(frozen=True)
class Said:
    """A reply's first choice."""

    text: str
    finish: str
    """Why it ends: "stop", "length" where the limit of tokens cut it off."""
    listed: tuple[tuple[str, float], ...] = ()
    """Alternatives of the first token, with their logprobs; empty where the server gives none."""
    usage: Usage = field(default_factory=Usage)


Basis: TypeAlias = Literal["measured", "stated"]


@dataclass(frozen=True)
class Part:
    """What one call said about some questions of an inquiry."""

    answers: list[YesNo]
    usage: Usage = field(default_factory=Usage)
    listed: tuple[tuple[str, float], ...] = ()
    """What its answers were measured from."""

    @property
    def failed(self) -> bool:
        return any(answer.failure is not None for answer in self.answers)

    @property
    def tokens(self) -> int:
        """Tokens that were read. Some servers leave those out of the count that they had in their cache."""
        read, cached = self.usage.input_tokens, self.usage.shared_tokens
        return read + cached if cached > read else read


def read(reply: ChatCompletion) -> Said | Failure:
    """A reply's first choice, or why it has none to use. Never raises: servers leave out any field."""
    said = _read(reply)
    return replace(said, usage=usage_of(reply))


def _read(reply: ChatCompletion) -> Said | Failure:
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
    return Said(text, finish, tuple(_listed(choice)))


def empty(said: Said) -> Failure:
    """Why a reply without text has none."""
    if said.finish == "length":
        return Failure("unparsed", "The limit of tokens cut the reply off before its first word.")
    return Failure("unparsed", "The reply is empty.")


def certain(listed: Sequence[tuple[str, float]]) -> str | None:
    """The token that a list calls certain without telling the others apart: they are missing, out of bounds,
    or all the same. Nothing was measured then; None where something was."""
    if not listed:
        return None
    token, top = max(listed, key=lambda entry: entry[1])
    rest = {logprob for other, logprob in listed if other != token and logprob > _NEVER}
    return token if top > _CERTAIN and len(rest) <= 1 else None


def spelled(token: str) -> bool | None:
    """The answer that a token spells; None where it is neither."""
    return {"yes": True, "no": False}.get(_SPELLINGS.get(token, ""))


def suffices(listed: Sequence[tuple[str, float]]) -> bool:
    """Whether P(Yes) + P(No) can be told: enough tokens are listed, or all that matter."""
    probabilities = [math.exp(min(0.0, logprob)) for _, logprob in listed if logprob > _NEVER]
    return len(probabilities) >= LEAST_LISTED or sum(probabilities) > 0.99


def measured(listed: Iterable[tuple[str, float]]) -> YesNo:
    """P(Yes) and P(No) from the listed tokens of one position; see the module's docstring.

    Where neither is listed both count as the bound, so that together they stay a small mass.
    """
    kept = [(token, math.exp(min(0.0, logprob))) for token, logprob in listed if logprob > _NEVER]
    mass = {"yes": 0.0, "no": 0.0}
    for token, probability in kept:
        if (answer := _SPELLINGS.get(token)) is not None:
            mass[answer] += probability
    missing = [answer for answer, probability in mass.items() if probability == 0.0]
    if kept and missing:
        left = max(_ROUNDING, 1.0 - math.fsum(probability for _, probability in kept))
        bound = min(min(probability for _, probability in kept), left / len(missing))
        mass.update(dict.fromkeys(missing, bound))
    total = mass["yes"] + mass["no"]
    scale = 1 / total if total > 1 else 1.0  # the server's rounding
    return YesNo(mass["yes"] * scale, mass["no"] * scale)


def schema(count: int) -> dict[str, Any]:
    """The JSON schema of the answers to `count` questions."""
    names = [str(number) for number in range(1, count + 1)]
    return {
        "type": "object",
        "properties": {name: {"type": "string", "enum": ["Yes", "No"]} for name in names},
        "required": names,
        "additionalProperties": False,
    }


def instruction(questions: Sequence[str]) -> str:
    """The questions, numbered, and how to answer all of them at once."""
    numbered = [f"{number}. {question}" for number, question in enumerate(questions, start=1)]
    example = json.dumps({str(number): "Yes or No" for number in range(1, len(questions) + 1)})
    return "\n".join(
        [
            *numbered,
            "Answer each of these by itself, as if it alone had been asked. "
            f"Reply with a JSON object and nothing else, of this form: {example}",
        ]
    )


def stated(said: Said, count: int) -> list[YesNo]:
    """The answers to `count` questions as a reply states them; an `unparsed` failure for each that it does
    not."""
    found = parse(said.text, count)
    if found:
        why = "The reply leaves this question out, or answers it by neither Yes nor No."
    elif not said.text.strip():
        why = empty(said).reason
    elif said.finish == "length":
        why = "The limit of tokens cut the reply off before its JSON was whole."
    else:
        why = f"The reply is not the JSON that was asked for: {clean(said.text)}"
    missing = YesNo(0.0, 0.0, Failure("unparsed", why), stated=True)
    return [
        YesNo(1.0 * found[number], 1.0 * (not found[number]), stated=True) if number in found else missing
        for number in range(1, count + 1)
    ]


def parse(text: str, count: int) -> dict[int, bool]:
    """Answers by question number, from 1, out of the last JSON object of `text` that has any.

    The object may stand in a fence or behind other words. A number that it answers in two ways is left out.
    """
    for pairs in objects_in(text, list):
        if found := _answers(pairs, count):
            return found
    return {}


def _answers(pairs: Any, count: int) -> dict[int, bool]:
    found: dict[int, set[bool]] = {}
    for name, value in pairs:
        number = int(name) if name.isascii() and name.isdigit() and len(name) < 6 else 0
        said = value if isinstance(value, bool) else _SAID.get(_word(value))
        if 1 <= number <= count and said is not None:
            found.setdefault(number, set()).add(said)
    return {number: said.pop() for number, said in found.items() if len(said) == 1}


def _word(value: Any) -> str:
    return value.strip().rstrip(".").lower() if isinstance(value, str) else ""


def _listed(choice: Any) -> list[tuple[str, float]]:
    """(token, logprob) of each alternative of the first token, the chosen one among them; none if any of them
    is no logarithm of a probability. What is null or minus infinity has no probability."""
    content = getattr(getattr(choice, "logprobs", None), "content", None)
    if not isinstance(content, list) or not content:
        return []
    first: Any = content[0]
    told: Any = getattr(first, "top_logprobs", None)
    entries = [_entry(entry) for entry in told or ()]
    chosen = _entry(first)
    # Several tokens may look alike (a word with and without its mark), and all of them count.
    if not any(token == chosen[0] or logprob == chosen[1] for token, logprob in entries):
        entries.append(chosen)
    named = [(token, logprob) for token, logprob in entries if isinstance(token, str)]
    known = [(token, number) for token, logprob in named if (number := _number(logprob)) is not None]
    if len(known) < len(named):
        # Servers write null for what has no probability; beside a token that is not certain it hides one.
        nulls = all(logprob is None for _, logprob in named if _number(logprob) is None)
        if not nulls or not any(logprob > _CERTAIN for _, logprob in known):
            return []
    if not all(logprob < _ROUNDED for _, logprob in known):
        return []
    listed = [(token, logprob) for token, logprob in known if logprob > -math.inf]
    return listed if sum(math.exp(logprob) for _, logprob in listed) < _MOST else []


def _entry(entry: Any) -> tuple[Any, Any]:
    return getattr(entry, "token", None), getattr(entry, "logprob", None)


def _number(value: object) -> float | None:
    """A number as JSON has it; None for what is none, or has no end."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    return float(value) if abs(value) < 1e300 or value == -math.inf else None
