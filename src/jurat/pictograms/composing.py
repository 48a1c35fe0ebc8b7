"""Draws scenes for which given statements hold, or just fail.

A near miss differs from a true scene in one thing: the two objects come close and do not touch, one is
swapped for its look-alike, there is one fewer of them, or the sign reads another word.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from jurat.pictograms.objects import LOOKALIKES, OBJECTS, WORDS, Noun
from jurat.pictograms.scene import MOST, Scene, Wish, draw, pick_kinds
from jurat.pictograms.statements import (
    All,
    Count,
    Facts,
    Larger,
    Lies,
    Not,
    Only,
    Reads,
    Statement,
    Touches,
    Visible,
)

Wanted = tuple[Statement, bool]
"""A statement, and whether it shall be true."""


def compose(wanted: Sequence[Wanted], rng: np.random.Generator, **options: Any) -> Scene:
    """Draws a scene in which each statement has the wanted truth; `options` go to `scene.draw`.

    Raises ValueError where no such scene was found in 120 tries (the statements may contradict).
    """
    wanted = [_positive(*each) for each in wanted]
    for attempt in range(0 if _contradict(wanted) else 120):
        plan = _Plan(rng)
        for statement, truth in wanted:
            plan.add(statement, truth)
        if len(plan.wishes) > MOST or (not plan.wishes and attempt > 90):
            continue
        if not any(isinstance(statement, Only) and truth for statement, truth in wanted):
            plan.crowd(attempt)
        try:
            scene = draw(rng, plan.wishes, **options)
        except RuntimeError:
            continue
        facts = Facts.of(scene)
        if all(statement.truth(facts) is truth for statement, truth in wanted):
            return scene
    order = "; ".join(f"{'' if truth else 'not: '}{statement}" for statement, truth in wanted)
    raise ValueError(f"found no scene for: {order}")


def near_miss(statement: Statement, rng: np.random.Generator, **options: Any) -> Scene:
    """Draws a scene for which the statement just fails: one of its parts, while the others hold."""
    parts = list(statement.parts) if isinstance(statement, All) else [statement]
    for turn in rng.permutation(len(parts)).tolist():
        try:
            return compose([(part, i != turn) for i, part in enumerate(parts)], rng, **options)
        except ValueError:  # this part cannot fail while the others hold
            continue
    raise ValueError(f"found no scene that just fails: {statement}")


def _positive(statement: Statement, truth: bool) -> Wanted:
    return (statement.part, not truth) if isinstance(statement, Not) else (statement, truth)


def _contradict(wanted: Sequence[Wanted]) -> bool:
    """Whether something must be there that must not: what touches, lies or is larger is visible."""
    banned = frozenset[int]().union(
        *(
            noun.classes
            for statement, truth in wanted
            if isinstance(statement, Visible) and not truth
            for noun in statement.any_of
        )
    )
    needed = [
        frozenset[int]().union(*(noun.classes for noun in nouns))
        for statement, truth in wanted
        if truth
        for nouns in _there(statement)
    ]
    return any(classes <= banned for classes in needed)


def _there(statement: Statement) -> list[tuple[Noun, ...]]:
    """Groups of nouns of which one must be visible for the statement to be true."""
    match statement:
        case Visible():
            return [statement.any_of]
        case Touches():
            return [(statement.first,), statement.others]
        case Lies() | Larger():
            return [(statement.first,), (statement.other,)]
        case _:
            return []


class _Plan:
    """Objects to wish for, shared between statements that speak of the same noun."""

    def __init__(self, rng: np.random.Generator) -> None:
        self.rng = rng
        self.wishes: list[Wish] = []
        self.by_noun: dict[Noun, int] = {}

    def add(self, statement: Statement, truth: bool) -> None:
        match statement:
            case All():
                for part in statement.parts:
                    self.add(*_positive(part, truth))
            case Visible():
                if truth:
                    self._have(self._choose(statement.any_of))
                else:
                    self._alike(statement.any_of)
            case Touches():
                first, other = self._have(statement.first), self._choose(statement.others)
                self._beside(other, first, "touch" if truth else "near")
            case Lies() | Larger():
                self._have(statement.first)
                self._have(statement.other)
            case Count():
                self._several(statement, truth)
            case Reads():
                words = [w for w in WORDS if (w == statement.word) is truth]
                self.wishes.append(Wish(len(OBJECTS) + WORDS.index(str(self.rng.choice(words)))))
            case Only():
                for _ in range(int(self.rng.integers(1, 4))):
                    self.wishes.append(Wish(self._member(statement.noun)))
                if not truth:
                    self.crowd(0, least=1)
            case _:
                raise ValueError(f"no scenes are known for {type(statement).__name__}")

    def crowd(self, attempt: int, least: int = 0) -> None:
        """Adds bystanders; fewer as attempts fail."""
        room = min(MOST - len(self.wishes), 3 if attempt < 60 else 1)
        if room >= least:
            for kind in pick_kinds(self.rng)[: int(self.rng.integers(least, room + 1))]:
                self.wishes.append(Wish(kind))

    def _member(self, noun: Noun) -> int:
        return int(self.rng.choice(sorted(noun.classes)))

    def _choose(self, nouns: Sequence[Noun]) -> Noun:
        """One of the nouns; one that is already there, if any."""
        there = [noun for noun in nouns if noun in self.by_noun]
        return there[0] if there else nouns[int(self.rng.integers(len(nouns)))]

    def _have(self, noun: Noun) -> int:
        if noun not in self.by_noun:
            fitting = [i for i, wish in enumerate(self.wishes) if wish.kind in noun.classes]
            self.by_noun[noun] = fitting[0] if fitting else len(self.wishes)
            if not fitting:
                self.wishes.append(Wish(self._member(noun)))
        return self.by_noun[noun]

    def _beside(self, noun: Noun, to: int, how: str) -> None:
        """Has `noun` placed by object number `to`, moving the wish behind it where it stood before."""
        at = self.by_noun.get(noun)
        if at is None:
            self.by_noun[noun] = len(self.wishes)
            self.wishes.append(Wish(self._member(noun), to, how))
        elif at > to:
            self.wishes[at] = Wish(self.wishes[at].kind, to, how)
        elif at < to:
            self.wishes[to] = Wish(self.wishes[to].kind, at, how)

    def _alike(self, nouns: Sequence[Noun]) -> None:
        banned = frozenset[int]().union(*(noun.classes for noun in nouns))
        alike = sorted({k for c in banned if c < len(OBJECTS) for k in LOOKALIKES[c]} - banned)
        if alike and self.rng.random() < 0.8:
            self.wishes.append(Wish(int(self.rng.choice(alike))))

    def _several(self, statement: Count, truth: bool) -> None:
        number = statement.number
        if statement.how == "fewer than":
            number -= truth
        elif not truth:
            number += -1 if statement.how == "at least" or self.rng.random() < 0.5 else 1
        elif statement.how == "at least" and self.rng.random() < 0.3:
            number += 1
        there = sum(wish.kind in statement.noun.classes for wish in self.wishes)
        kind = self._member(statement.noun)
        self.wishes += [Wish(kind) for _ in range(number - there)]
        if not truth:
            self._alike((statement.noun,))
