"""Meanings of rules in the pictogram world, which the writer learns to find in sentences.

A `Ban` is the meaning of a rule; `rule_wordings.wording` writes it as a sentence. About a sixth of all bans
are held out of training (`held_out`).
"""

from __future__ import annotations

import hashlib
import random
from dataclasses import dataclass

from jurat.constitution import Clause, Rule
from jurat.constitution import Statement as Line
from jurat.pictograms.objects import GROUPS, OBJECTS, WORDS, Noun
from jurat.pictograms.statements import (
    Count,
    Larger,
    Lies,
    Only,
    Reads,
    Side,
    Statement,
    Touches,
    Visible,
)

Either = tuple[Statement, ...]
"""Statements of one kind, of which one suffices; several only where they are `Visible` or `Reads`."""


@dataclass(frozen=True)
class Ban:
    """The meaning of a rule. It forbids that all of `parts` and nothing of `absent` is true, unless all of
    `unless` is."""

    parts: tuple[Either, ...]
    absent: Either = ()
    """Statements whose absence is forbidden: a rule without `parts` requires that one of them is true."""
    unless: tuple[Either, ...] = ()

    def rule(self, text: str) -> Rule:
        """The rule `text` with its clauses; their statements are in canonical wording."""
        missing = tuple(Clause(alternatives=(Line(text=str(s), negated=True),)) for s in self.absent)
        return Rule(
            rule=text,
            clauses=tuple(map(_clause, self.parts)) + missing,
            unless=tuple(map(_clause, self.unless)),
        )

    @property
    def shape(self) -> str:
        """Kinds of its statements by their roles: "touches + visible - reads / visible"."""
        return (
            " + ".join(sorted(kind_of(part) for part in self.parts))
            + (f" - {kind_of(self.absent)}" if self.absent else "")
            + (" / " + " & ".join(sorted(kind_of(each) for each in self.unless)) if self.unless else "")
        )


def held_out(ban: Ban) -> bool:
    """Whether training never sees this ban, because its shape is held out (one in eight of those that combine
    several statements) or its statements are (one in ten)."""
    several = len(ban.parts) + bool(ban.absent) + len(ban.unless) > 1
    if several and _lot(f"shape {ban.shape}") < 1 / 8:
        return True
    roles = [*ban.parts, ("-", *ban.absent), *(("/", *each) for each in ban.unless)]
    return _lot("; ".join(sorted(" ".join(map(str, role)) for role in roles))) < 1 / 10


def _lot(text: str) -> float:
    """A number in [0, 1) that depends on the text alone."""
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:4], "big") / 2**32


def kind_of(either: Either) -> str:
    return "lies" if isinstance(either[0], Lies) else either[0].kind.replace("one", "count")


def _clause(either: Either) -> Clause:
    return Clause(alternatives=tuple(Line(text=str(statement)) for statement in either))


# --- what to forbid ----------------------------------------------------------------------------

_SIDES: tuple[Side, ...] = ("left of", "right of", "above", "below")


def draw_ban(rng: random.Random) -> Ban:
    """A ban at random, whose nouns name different things."""
    stock = _Stock(rng)
    if rng.random() < 0.05:
        return Ban((), stock.either("visible" if rng.random() < 0.8 else "reads"))
    kinds = ("visible", "touches", "lies", "count", "reads", "larger", "only")
    first = rng.choices(kinds, (22, 24, 17, 15, 6, 10, 6))[0]
    if first == "only":
        return Ban((stock.either("only"),))
    parts = [stock.either(first)]
    absent: Either = ()
    unless: list[Either] = []
    if rng.random() < 0.3 and first != "reads":
        parts.append(stock.either(rng.choices(("visible", "reads"), (6, 4))[0]))
    if rng.random() < 0.2:
        absent = stock.either(rng.choices(("visible", "reads"), (8, 2))[0])
    if rng.random() < 0.33 and len(parts) + bool(absent) < 3:
        common = ("visible", "reads", "touches", "count", "lies")
        unless = [stock.either(rng.choices(common, (10, 4, 2, 2, 1))[0])]
        if rng.random() < 0.12 and len(parts) + bool(absent) == 1:
            unless.append(stock.either(rng.choice(("visible", "reads"))))
    return Ban(tuple(parts), absent, tuple(unless))


class _Stock:
    """Nouns and sign words, each handed out once."""

    def __init__(self, rng: random.Random) -> None:
        self.rng = rng
        self.used: frozenset[int] = frozenset()
        self.words = rng.sample(WORDS, len(WORDS))

    def noun(self, countable: bool = False) -> Noun:
        while True:
            noun = self.rng.choice(OBJECTS if self.rng.random() < 0.72 else GROUPS)
            if not noun.classes & self.used and (noun.article or not countable):
                self.used |= noun.classes
                return noun

    def nouns(self) -> tuple[Noun, ...]:
        return tuple(self.noun() for _ in range(self.rng.choices((1, 2, 3), (6, 3, 2))[0]))

    def either(self, kind: str) -> Either:
        match kind:
            case "visible":
                return tuple(Visible((noun,)) for noun in self.nouns())
            case "touches":
                return (Touches(self.noun(), self.nouns()),)
            case "lies":
                return (Lies(self.noun(), self.rng.choice(_SIDES), self.noun()),)
            case "count":
                if self.rng.random() < 0.65:
                    return (Count("at least", self.rng.choice((2, 3)), self.noun(countable=True)),)
                return (Count("exactly", self.rng.choice((1, 2, 3)), self.noun(countable=True)),)
            case "reads":
                return tuple(Reads(self.words.pop()) for _ in range(self.rng.choice((1, 1, 2))))
            case "larger":
                return (Larger(self.noun(), self.noun()),)
            case _:
                return (Only(self.noun()),)
