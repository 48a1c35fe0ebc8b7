"""Answers to closed questions, read from a server's replies: from listed tokens or from JSON.

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
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, TypeAlias

from jurat.content import Failure, Usage
from jurat.models.answer_spellings import ANSWERS, WORD_STARTS
from jurat.models.json_replies import objects_in
from jurat.models.openai.call_settings import LEAST_LISTED
from jurat.models.openai.choices import CERTAIN, Choice, Logprobs
from jurat.models.openai.secrets import clean
from jurat.models.protocol import Answer, YesNo

_SPELLINGS = {
    mark + word: answer for answer, words in ANSWERS.items() for word in words for mark in WORD_STARTS
}
"""What a listed token may look like, and the answer that it spells."""
_NEVER = -50.0
"""At or below this a logprob tells nothing: no model in half precision computes one, and servers have -100,
-9999 or less for "very unlikely"."""
_ROUNDING = 1e-6
"""Rounding error of probabilities that a server computed in single precision."""
_WORDS = {"yes": True, "true": True, "no": False, "false": False}

Basis: TypeAlias = Literal["measured", "stated"]


class NoLogprobs(Exception):
    """The server gives no logprobs."""


@dataclass(frozen=True)
class CallAnswers:
    """The answers of one call to some questions of an inquiry."""

    answers: list[YesNo]
    usage: Usage = field(default_factory=Usage)
    numbers: Logprobs = ()
    """The server's numbers that the answers were measured from."""

    @property
    def failed(self) -> bool:
        return any(answer.failure is not None for answer in self.answers)

    @property
    def has_error(self) -> bool:
        """Whether asking again may help."""
        return any(answer.failure is not None and answer.failure.kind == "error" for answer in self.answers)

    @property
    def tokens(self) -> int:
        """Tokens that were read. Some servers leave those out of the count that they had in their cache."""
        read, cached = self.usage.input_tokens, self.usage.shared_tokens
        return read + cached if cached > read else read


def failed_call(failure: Failure, count: int, *, stated: bool = False) -> CallAnswers:
    """A call that answered none of `count` questions."""
    return CallAnswers([YesNo(0.0, 0.0, failure, stated)] * count, failure.usage)


def joined(calls: Sequence[CallAnswers], basis: Basis) -> Answer:
    """The answer to an inquiry whose questions were answered by these calls."""
    found = tuple(answer for call in calls for answer in call.answers)
    basis = "stated" if all(answer.stated for answer in found) else basis
    usage = sum((call.usage for call in calls), Usage())
    failures = [answer.failure for answer in found if answer.failure is not None]
    if len(failures) == len(found) and len({failure.kind for failure in failures}) == 1:
        return Answer((), basis, usage, failures[0])
    return Answer(found, basis, usage)


def empty_reply(choice: Choice) -> Failure:
    """The failure of a reply without text."""
    if choice.finish == "length":
        return Failure("unparsed", "The limit of tokens cut the reply off before its first word.")
    return Failure("unparsed", "The reply is empty.")


def certain_token(listed: Logprobs) -> str | None:
    """The token that a list calls certain without telling the others apart: they are missing, out of bounds,
    or all the same. Nothing was measured then; None where something was."""
    if not listed:
        return None
    token, top = max(listed, key=lambda entry: entry[1])
    rest = {logprob for other, logprob in listed if other != token and logprob > _NEVER}
    return token if top > CERTAIN and len(rest) <= 1 else None


def answer_spelled_by(token: str) -> bool | None:
    """The answer that a token spells; None if it is neither Yes nor No."""
    return {"yes": True, "no": False}.get(_SPELLINGS.get(token, ""))


def enough_listed(listed: Logprobs) -> bool:
    """Whether P(Yes) + P(No) is known: enough tokens are listed, or their sum is nearly 1."""
    probabilities = [math.exp(min(0.0, logprob)) for _, logprob in listed if logprob > _NEVER]
    return len(probabilities) >= LEAST_LISTED or sum(probabilities) > 0.99


def measured_answer(listed: Logprobs) -> YesNo:
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


def answer_schema(count: int) -> dict[str, Any]:
    """The JSON schema of the answers to `count` questions."""
    names = [str(number) for number in range(1, count + 1)]
    return {
        "type": "object",
        "properties": {name: {"type": "string", "enum": ["Yes", "No"]} for name in names},
        "required": names,
        "additionalProperties": False,
    }


def numbered_questions(questions: Sequence[str]) -> str:
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


def stated_answers(choice: Choice, count: int) -> list[YesNo]:
    """The answers to `count` questions as a reply states them; an `unparsed` failure for each that it does
    not."""
    found = parse_answers(choice.text, count)
    if found:
        why = "The reply leaves this question out, or answers it by neither Yes nor No."
    elif not choice.text.strip():
        why = empty_reply(choice).reason
    elif choice.finish == "length":
        why = "The limit of tokens cut the reply off before its JSON was whole."
    else:
        why = f"The reply is not the JSON that was asked for: {clean(choice.text)}"
    missing = YesNo(0.0, 0.0, Failure("unparsed", why), stated=True)
    return [
        YesNo(1.0 * found[number], 1.0 * (not found[number]), stated=True) if number in found else missing
        for number in range(1, count + 1)
    ]


def parse_answers(text: str, count: int) -> dict[int, bool]:
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
        answer = value if isinstance(value, bool) else _WORDS.get(_word(value))
        if 1 <= number <= count and answer is not None:
            found.setdefault(number, set()).add(answer)
    return {number: answers.pop() for number, answers in found.items() if len(answers) == 1}


def _word(value: Any) -> str:
    return value.strip().rstrip(".").lower() if isinstance(value, str) else ""
