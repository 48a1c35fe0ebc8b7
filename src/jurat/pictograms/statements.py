"""The language of the pictogram world: statements about a scene, their wording and their truth.

A statement is a small value with a three-valued `truth`: True, False, or None where the scene leaves
it open (a gap that is neither a touch nor a miss, two centres almost level). `phrasings` writes it in
words, after the templates below, of which the last `HELD_OUT` of each kind are never used in training;
`jurat.pictograms.reading` reads it back.
"""

from __future__ import annotations

import tomllib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from importlib.resources import files
from typing import TYPE_CHECKING, Literal

import numpy as np

from jurat.pictograms.objects import CLASSES, OBJECTS, WORDS, Noun
from jurat.pictograms.scene import GAP, Scene

if TYPE_CHECKING:
    from numpy.typing import NDArray

HELD_OUT = 2
"""How many phrasings of each kind training never sees: the last ones."""
LEVEL = 14.0
"""Least difference of centres, in scene units, for "left of" and its kin to be true or false."""
LARGER = 1.3
"""Least ratio of drawn areas for "larger than" to be true or false."""
NUMBERS = ("zero", "one", "two", "three", "four", "five", "six", "seven")
UNKNOWN = CLASSES
"""Class number of an object that is none of this world's."""

Side = Literal["left of", "right of", "above", "below"]


@dataclass
class Facts:
    """What is true of a scene, without its pixels; n objects.

    The class number `UNKNOWN` stands for an object that this world has no name for: no noun names it.
    """

    kinds: NDArray[np.integer]  # (n,), class numbers
    centres: NDArray[np.floating]  # (n, 2)
    areas: NDArray[np.floating]  # (n,)
    gaps: NDArray[np.floating]  # (n, n)

    @classmethod
    def of(cls, scene: Scene) -> Facts:
        return cls(
            np.array(scene.kinds),
            np.array([(thing.x, thing.y) for thing in scene.objects]),
            np.array([thing.area for thing in scene.objects]),
            scene.gap,
        )

    def which(self, noun: Noun) -> list[int]:
        """Indices of the objects that a noun names."""
        return [i for i, kind in enumerate(self.kinds.tolist()) if kind in noun.classes]

    def pairs(self, first: Iterable[Noun], second: Iterable[Noun]) -> list[tuple[int, int]]:
        left = [i for noun in first for i in self.which(noun)]
        right = [j for noun in second for j in self.which(noun)]
        return [(i, j) for i in left for j in right if i != j]


@dataclass(frozen=True)
class Statement:
    """Base of all statements."""

    def truth(self, facts: Facts) -> bool | None:
        raise NotImplementedError

    @property
    def kind(self) -> str:
        """Key of `TEMPLATES`."""
        return type(self).__name__.lower()

    def slots(self, definite: bool) -> dict[str, str]:
        """The words that fill a template."""
        raise NotImplementedError

    def nouns(self) -> tuple[Noun, ...]:
        return ()

    def phrasings(self, *, definite: bool = False) -> list[str]:
        """Every way to say it, held-out ones last; the first is the canonical one."""
        words = self.slots(definite)
        return [_tidy(template.format_map(words)) for template in TEMPLATES[self.kind]]

    def __str__(self) -> str:
        return self.phrasings()[0]


@dataclass(frozen=True)
class Visible(Statement):
    """One of the nouns is visible."""

    any_of: tuple[Noun, ...]

    def truth(self, facts: Facts) -> bool | None:
        return any(facts.which(noun) for noun in self.any_of)

    def slots(self, definite: bool) -> dict[str, str]:
        first = self.any_of[0]
        return {"a": either(self.any_of, definite), "s": first.singular, "p": first.plural}

    def nouns(self) -> tuple[Noun, ...]:
        return self.any_of


@dataclass(frozen=True)
class Touches(Statement):
    """The first touches one of the others; said as "a man with a guitar" where `said` is "with"."""

    first: Noun
    others: tuple[Noun, ...]
    said: Literal["", "with"] = field(default="", compare=False)

    @property
    def kind(self) -> str:
        return self.said or "touches"

    def truth(self, facts: Facts) -> bool | None:
        gaps = [facts.gaps[i, j] for i, j in facts.pairs([self.first], self.others)]
        if any(gap == 0 for gap in gaps):
            return True
        return None if any(gap < GAP for gap in gaps) else False

    def slots(self, definite: bool) -> dict[str, str]:
        names = {"a": _name(self.first, definite), "b": either(self.others, definite)}
        return names | {"s": self.first.singular, "t": _or([noun.singular for noun in self.others])}

    def nouns(self) -> tuple[Noun, ...]:
        return (self.first, *self.others)


@dataclass(frozen=True)
class Lies(Statement):
    """The centre of the first lies on a side of the centre of the other."""

    first: Noun
    side: Side
    other: Noun

    @property
    def kind(self) -> str:
        return self.side

    def truth(self, facts: Facts) -> bool | None:
        axis = 0 if self.side in ("left of", "right of") else 1
        sign = 1 if self.side in ("left of", "above") else -1
        lead = [
            sign * (facts.centres[j, axis] - facts.centres[i, axis])
            for i, j in facts.pairs([self.first], [self.other])
        ]
        if any(d >= LEVEL for d in lead):
            return True
        return None if any(d > -LEVEL for d in lead) else False

    def slots(self, definite: bool) -> dict[str, str]:
        return _two(self.first, self.other, definite)

    def nouns(self) -> tuple[Noun, ...]:
        return (self.first, self.other)


@dataclass(frozen=True)
class Count(Statement):
    """There are exactly, at least, or fewer than so many.

    `said` is another way to say it: "only one dog" (exactly one), "more than one dog" and "two or more
    dogs" (at least two).
    """

    how: Literal["exactly", "at least", "fewer than"]
    number: int
    noun: Noun
    said: Literal["", "only", "more than", "or more"] = field(default="", compare=False)

    @property
    def kind(self) -> str:
        return "one" if self.phrase.rsplit(" ", 1)[1] == "one" else "count"

    @property
    def phrase(self) -> str:
        """The number in words: "exactly two", "more than one", "two or more"."""
        if self.said == "or more":
            return f"{NUMBERS[self.number]} or more"
        if self.said == "more than":
            return f"more than {NUMBERS[self.number - 1]}"
        return f"{self.said or self.how} {NUMBERS[self.number]}"

    def truth(self, facts: Facts) -> bool | None:
        there = len(facts.which(self.noun))
        if self.how == "exactly":
            return there == self.number
        return (there >= self.number) is (self.how == "at least")

    def slots(self, definite: bool) -> dict[str, str]:
        name = self.noun.singular if self.kind == "one" else self.noun.plural
        return {"n": f"{self.phrase} {name}"}

    def nouns(self) -> tuple[Noun, ...]:
        return (self.noun,)


@dataclass(frozen=True)
class Reads(Statement):
    """A sign card reads the word."""

    word: str

    def truth(self, facts: Facts) -> bool | None:
        return len(OBJECTS) + WORDS.index(self.word) in facts.kinds.tolist()

    def slots(self, definite: bool) -> dict[str, str]:
        return {"w": self.word}


@dataclass(frozen=True)
class Larger(Statement):
    """The first is larger, by drawn area, than the other."""

    first: Noun
    other: Noun

    def truth(self, facts: Facts) -> bool | None:
        ratios = [facts.areas[i] / facts.areas[j] for i, j in facts.pairs([self.first], [self.other])]
        if any(ratio >= LARGER for ratio in ratios):
            return True
        return None if any(ratio > 1 / LARGER for ratio in ratios) else False

    def slots(self, definite: bool) -> dict[str, str]:
        return _two(self.first, self.other, definite)

    def nouns(self) -> tuple[Noun, ...]:
        return (self.first, self.other)


@dataclass(frozen=True)
class Only(Statement):
    """Something is visible, and all of it is what the noun names."""

    noun: Noun

    def truth(self, facts: Facts) -> bool | None:
        return len(facts.kinds) > 0 and len(facts.which(self.noun)) == len(facts.kinds)

    def slots(self, definite: bool) -> dict[str, str]:
        return {"a": _name(self.noun, definite), "p": self.noun.plural}

    def nouns(self) -> tuple[Noun, ...]:
        return (self.noun,)


@dataclass(frozen=True)
class Not(Statement):
    """The part, a `Visible`, `Touches`, `Lies`, `Larger` or `Reads`, is false: also where what it names is
    not there."""

    part: Statement

    @property
    def kind(self) -> str:
        several = isinstance(self.part, Visible) and len(self.part.any_of) > 1
        return "neither" if several else f"not {self.part.kind}"

    def truth(self, facts: Facts) -> bool | None:
        truth = self.part.truth(facts)
        return None if truth is None else not truth

    def slots(self, definite: bool) -> dict[str, str]:
        if self.kind != "neither":
            return self.part.slots(definite)
        *first, last = [_name(noun, definite) for noun in self.part.nouns()]
        return {"a": ", ".join(first), "b": last}

    def nouns(self) -> tuple[Noun, ...]:
        return self.part.nouns()


@dataclass(frozen=True)
class All(Statement):
    """Every part is true."""

    parts: tuple[Statement, ...] = field(default=())

    def truth(self, facts: Facts) -> bool | None:
        truths = [part.truth(facts) for part in self.parts]
        if False in truths:
            return False
        return None if None in truths else True

    def nouns(self) -> tuple[Noun, ...]:
        return tuple(noun for part in self.parts for noun in part.nouns())

    def phrasings(self, *, definite: bool = False) -> list[str]:
        wordings = [part.phrasings(definite=definite and n > 0) for n, part in enumerate(self.parts)]
        return [
            " and ".join(_inner(sentence, n) for n, sentence in enumerate(sentences)) + "."
            for sentences in zip(*wordings, strict=False)
            if not any(sentence.endswith("?") for sentence in sentences)
        ]


def walk(statement: Statement) -> Iterator[Statement]:
    """The atomic statements of a statement."""
    if isinstance(statement, All):
        for part in statement.parts:
            yield from walk(part)
    else:
        yield statement


def _inner(sentence: str, position: int) -> str:
    body = sentence.rstrip(".")
    return body if position == 0 else body[0].lower() + body[1:]


def _name(noun: Noun, definite: bool) -> str:
    return noun.definite if definite else noun.indefinite


def either(nouns: tuple[Noun, ...], definite: bool) -> str:
    """The names as a list of alternatives: "a dog, a cat or a cow"."""
    return _or([_name(noun, definite) for noun in nouns])


def _or(names: list[str]) -> str:
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} or {names[-1]}"


def _two(first: Noun, other: Noun, definite: bool) -> dict[str, str]:
    names = {"a": _name(first, definite), "b": _name(other, definite)}
    return names | {"s": first.singular, "t": other.singular}


def _tidy(sentence: str) -> str:
    return sentence[0].upper() + sentence[1:]


_SIDES: dict[Side, str] = {
    "left of": "to the left of",
    "right of": "to the right of",
    "above": "higher than",
    "below": "lower than",
}


def _templates() -> dict[str, tuple[str, ...]]:
    data = tomllib.loads(files("jurat.pictograms").joinpath("templates.toml").read_text("utf-8"))
    templates: dict[str, tuple[str, ...]] = {}
    for kind, written in data.items():
        if kind.endswith("side"):
            for side, to in _SIDES.items():
                templates[kind.replace("side", side)] = tuple(
                    t.replace("{side}", side).replace("{to}", to) for t in written
                )
        else:
            templates[kind] = tuple(written)
    return templates


TEMPLATES = _templates()
"""Kind of statement -> its phrasings, the canonical one first."""
