"""Exclusive contrasts: statements that cannot be true together with one, asked beside it.

A model that says Yes to "A dog is left of a cat." may say Yes to "A dog is right of a cat." as readily:
then it has seen both animals, and not where they are. So the evidence for a statement is held against that
for what excludes it. With l the log-odds of a statement c, debiased, and of its contrasts c'_1 .. c'_k,

    s = l(c) - log( (exp l(c'_1) + ... + exp l(c'_k)) / k )

Contrasts are made from the statement's own words, by the grammar of `jurat.judge.sentences`:

| kind | of | is |
|---|---|---|
| negation | A dog is visible. There is a dog. | No dog is visible. There is no dog. |
| | A child touches a dog. A man is asleep. | A child does not touch a dog. A man is not asleep. |
| opposite | A dog is left of a cat. | A dog is right of a cat. |
| swap | A dog is larger than a cat. | A cat is larger than a dog. |
| number | There are exactly two dogs. | There is exactly one dog. There are exactly three dogs. |
| | There are at least two dogs. | There is exactly one dog. There are no dogs. |

With several things of a name in view some of these can be true together: one dog may lie left of the
cat and one right of it. A statement of another form has none, and is weighed as it is.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Literal, get_args

from jurat.judge.sentences import (
    ALONE,
    NUMBERS,
    OPPOSITES,
    VERBS,
    Counted,
    Related,
    Sentence,
    Shown,
    plural,
    read,
    third_person,
)

Kind = Literal["negation", "opposite", "swap", "number"]
KINDS: tuple[Kind, ...] = get_args(Kind)

_THIRD = {third_person(verb): verb for verb in (*VERBS, *ALONE)}
_ARTICLE = re.compile(r"\b(?:an?|some) (?=\w)", re.IGNORECASE)
_NEGATIVE = re.compile(r"\b(no|not|never|nothing|nobody|none|neither|nor|without|cannot)\b|n['’]t\b", re.I)
_JOINED = re.compile(r"\b(and|or|that|which|who|whose|if|while|but)\b", re.IGNORECASE)


@dataclass(frozen=True)
class Contrast:
    """A statement that excludes another one."""

    kind: Kind
    text: str


@lru_cache(maxsize=4096)
def contrasts_of(text: str, kinds: Sequence[Kind] = KINDS) -> tuple[Contrast, ...]:
    """The contrasts of a statement, in the order of the table; none where it has none of these kinds."""
    if _NEGATIVE.search(text):
        return ()
    sentence = read(text)
    made = [
        Contrast(kind, _sentence(words))
        for kind, words in (_plain(text) if sentence is None else _of(sentence))
        if kind in kinds
    ]
    return tuple(
        {one.text.casefold(): one for one in made if one.text.casefold() != text.casefold()}.values()
    )


def against(log_odds: float, contrasts: Sequence[float]) -> float:
    """The log-odds of a statement held against those of its contrasts; as it is where there are none."""
    if not contrasts:
        return log_odds
    largest = max(contrasts)
    mean = sum(math.exp(each - largest) for each in contrasts) / len(contrasts)
    return log_odds - largest - math.log(mean)


def _of(sentence: Sentence) -> Iterator[tuple[Kind, str]]:
    match sentence:
        case Shown():
            yield from _not_shown(sentence)
        case Related():
            yield "negation", _not_related(sentence)
            yield from _other_way(sentence)
        case Counted():
            for number in _other_numbers(sentence):
                yield "number", _count(sentence, number)


def _plain(text: str) -> Iterator[tuple[Kind, str]]:
    """The negation of any other simple sentence: at its one "is" or "are", or at a verb that is known."""
    if _JOINED.search(text):
        return
    body = text.removesuffix(".")
    be = re.split(r" (is|are) ", body)
    verb = re.split(rf" ({'|'.join(_THIRD)})\b", body)
    if len(be) == 3:
        yield "negation", f"{be[0]} {be[1]} not {be[2]}"
    elif len(be) == 1 and len(verb) == 3:
        yield "negation", f"{verb[0]} does not {_THIRD[verb[1]]}{verb[2]}"


def _not_shown(sentence: Shown) -> Iterator[tuple[Kind, str]]:
    head, said, tail = sentence.said
    if not re.search(r"\bthe |\bone of ", said, re.IGNORECASE):
        yield "negation", f"{head}no {_uncapped(_ARTICLE.sub('', said))}{tail}"
    elif tail and not head:
        yield "negation", f"{said}{_verb_negated(tail)}"


def _not_related(sentence: Related) -> str:
    head, first, joint, relation, others, tail = sentence.said
    if head and _ARTICLE.match(first):
        return f"{head}no {_ARTICLE.sub('', first)}{joint}{relation} {others}{tail}"
    if not joint.strip():
        return f"{first} does not {sentence.relation} {others}{tail}"
    return f"{head}{first}{_verb_negated(joint)}{relation} {others}{tail}"


def _verb_negated(words: str) -> str:
    return re.sub(r"\b(is|are)\b", r"\1 not", words, count=1).replace("can be", "cannot be")


def _other_way(sentence: Related) -> Iterator[tuple[Kind, str]]:
    head, first, joint, relation, others, tail = sentence.said
    if sentence.relation not in OPPOSITES or sentence.relation in VERBS:
        return
    yield "opposite", f"{head}{first}{joint}{OPPOSITES[sentence.relation]} {others}{tail}"
    if len(sentence.others) == 1:
        yield "swap", f"{head}{others}{joint}{relation} {_uncapped(first)}{tail}"


def _other_numbers(sentence: Counted) -> Sequence[int]:
    n = sentence.number
    if sentence.how == "exactly":
        return [each for each in (n - 1, n + 1) if each >= 0]
    if sentence.how == "at most":
        return [n + 1]
    return [n - 1, 0] if n > 1 else [0] if n == 1 else []


def _count(sentence: Counted, number: int) -> str:
    head, said, _, tail = sentence.said
    # "There is no dog." of one, "There are no dogs." of several.
    several = number > 1 or (number == 0 and sentence.number > 1)
    noun = plural(sentence.noun) if several else sentence.noun
    digits = said.isdigit() or number >= len(NUMBERS)
    how = "no" if number == 0 else f"exactly {number if digits else NUMBERS[number]}"
    be = "are" if several else "is"
    return re.sub(r"\b(is|are)\b", be, head) + f"{how} {noun}" + re.sub(r"\b(is|are)\b", be, tail)


def _uncapped(words: str) -> str:
    """Without the capital letter of a sentence's first word."""
    return words[0].lower() + words[1:] if words[1:2].islower() or words[1:2] == " " else words


def _sentence(words: str) -> str:
    return f"{words[0].upper()}{words[1:]}."
