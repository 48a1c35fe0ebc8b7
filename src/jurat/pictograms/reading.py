"""Reads sentences of the pictogram world: what the templates of `statements` write, also joined by "and"."""

from __future__ import annotations

import re
from functools import cache, lru_cache
from typing import get_args

from jurat.pictograms.objects import NOUNS, WORDS, Noun
from jurat.pictograms.statements import (
    NUMBERS,
    TEMPLATES,
    All,
    Count,
    Larger,
    Lies,
    Not,
    Only,
    Reads,
    Side,
    Statement,
    Touches,
    Visible,
)

_SIDES: tuple[Side, ...] = get_args(Side)


@lru_cache(maxsize=4096)
def parse(text: str) -> Statement:
    """Reads a statement in any phrasing of the language.

    Raises ValueError where the sentence, or a name in it, is not of this world.
    """
    statement = _parse(" ".join(text.split()))
    if statement is None:
        raise ValueError(
            f"not a statement of the pictogram world: {text!r}; "
            'try "A child touches a kitchen knife." or see docs/pictograms.md'
        )
    return statement


def _parse(sentence: str) -> Statement | None:
    for kind, pattern in _patterns():
        match = pattern.fullmatch(sentence)
        if match and (statement := _build(kind, match.groupdict())) is not None:
            return statement
    for joint in re.finditer(r",? and ", sentence):
        left = _parse(sentence[: joint.start()] + ".")
        right = _parse(sentence[joint.end() :]) if left is not None else None
        if left is not None and right is not None:
            parts = (
                part for side in (left, right) for part in (side.parts if isinstance(side, All) else (side,))
            )
            return All(tuple(parts))
    return None


@cache
def _patterns() -> tuple[tuple[str, re.Pattern[str]], ...]:
    phrase = r"[a-z ,]+?"  # which names there are is looked up, not matched
    number = r"(?:exactly|at least|fewer than|only|more than) [a-z]+|[a-z]+ or more"
    slots = dict.fromkeys("abstp", phrase) | {"n": f"(?:{number}) {phrase}", "w": "|".join(WORDS)}
    return tuple(
        (
            kind,
            re.compile(
                re.sub(r"\\\{(\w)\\\}", lambda m: f"(?P<{m[1]}>{slots[m[1]]})", re.escape(template)),
                re.IGNORECASE,
            ),
        )
        for kind, templates in TEMPLATES.items()
        for template in templates
    )


@cache
def _counted() -> dict[str, Noun]:
    return {name: noun for noun in NOUNS.values() for name in (noun.plural, noun.singular)}


@cache
def _plurals() -> dict[str, Noun]:
    return {noun.plural: noun for noun in NOUNS.values()}


def _nouns(phrase: str) -> tuple[Noun, ...]:
    """The nouns of a list such as "a beer, a cocktail or the wine glass"; empty where a name is unknown."""
    parts = re.split(r",? or |, ", phrase.lower())
    nouns = [NOUNS.get(re.sub(r"^(?:an?|the|some|one of) ", "", part)) for part in parts]
    return tuple(noun for noun in nouns if noun) if all(nouns) else ()


def _count_of(phrase: str) -> Count | None:
    match = re.fullmatch(
        r"(?:(exactly|at least|fewer than|only|more than) ([a-z]+)|([a-z]+) (or more)) (.+)", phrase.lower()
    )
    if match is None or match[5] not in _counted() or (match[2] or match[3]) not in NUMBERS:
        return None
    number, noun = NUMBERS.index(match[2] or match[3]), _counted()[match[5]]
    match match[1] or match[4]:
        case "only":
            return Count("exactly", number, noun, "only")
        case "more than":
            return Count("at least", number + 1, noun, "more than")
        case "or more":
            return Count("at least", number, noun, "or more")
        case "exactly":
            return Count("exactly", number, noun)
        case "at least":
            return Count("at least", number, noun)
        case _:
            return Count("fewer than", number, noun)


def _build(kind: str, groups: dict[str, str]) -> Statement | None:
    if kind.startswith("not "):
        part = _build(kind.removeprefix("not "), groups)
        return None if part is None else Not(part)
    if kind == "reads":
        return Reads(groups["w"].upper())
    if kind in ("count", "one"):
        return _count_of(groups["n"])
    if "p" in groups:
        plural = _plurals().get(groups["p"].lower())
        a = (plural,) if plural else ()
    else:
        a = _nouns(groups.get("a") or groups["s"])
    b = _nouns(groups.get("b") or groups.get("t", ""))
    if kind == "neither":
        return Not(Visible(a + b)) if a and len(b) == 1 else None
    if kind == "visible" and a:
        return Visible(a)
    if kind == "only" and len(a) == 1:
        return Only(a[0])
    if kind in ("touches", "with") and len(a) == 1 and b:
        return Touches(a[0], b, "with" if kind == "with" else "")
    if len(a) != 1 or len(b) != 1:
        return None
    if kind == "larger":
        return Larger(a[0], b[0])
    return Lies(a[0], kind, b[0]) if kind in _SIDES else None
