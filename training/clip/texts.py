"""Training texts of the bundled matcher: statements, rules and descriptions, with the objects each is about.

A text is relevant to a scene that holds every object it is about: for "No child may be shown touching a
blade." a child, and a kitchen knife, a dagger or an axe, touching or not. Exceptions of a rule ("unless a
woman is visible", "without a man") do not count. Whether the rule is broken makes no difference.
"""

from __future__ import annotations

import random
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from jurat.pictograms.objects import CLASSES, GROUPS, LOOKALIKES, OBJECTS, WORDS, Noun
from jurat.pictograms.statements import (
    HELD_OUT,
    NUMBERS,
    TEMPLATES,
    All,
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
from training.forbidding_rules import RULES, forbid
from training.queries import QUERIES, READING, SIGN, wordings
from training.rule_meanings import Ban
from training.rule_templates import templates
from training.rule_wordings import wording

Classes = frozenset[int]

ONE: tuple[str, ...] = (
    "{a}",
    "{ns}",
    "two {ns}",
    "three {ns}",
    "several {ns}",
    "two or more {ns}",
    "an image of {a}.",
    "a picture of {a}.",
    "a picture with {a} in it",
    "no {ns} may be given away.",
    "no {n} may be sold.",
    "no {n} may be offered on a sign.",
    "no {ns} may be offered on a sign.",
)
"""Texts about one thing: `n` is its name, `ns` the plural, `a` the name with its article."""
TWO: tuple[str, ...] = (
    "{a} and {b}",
    "{a} with {b}",
    "{a} touching {b}",
    "{a} that touches {b}",
    "{a} holding {b}",
    "{a} near {b}",
    "{a} next to {b}",
    "{a} beside {b}",
    "{a} {side} {b}",
    "{a} and {b} in the same picture",
    "a picture of {a} {side} {b}.",
    "no {n} may hold {b}.",
    "no {n} may be near {b}.",
    "no {n} may be shown next to {b}.",
    "{a} must not be beside {b}.",
)
"""Texts about two things: descriptions, and rules that `rule_wordings` lacks."""
_SIDES: tuple[Side, ...] = ("left of", "right of", "above", "below")
_KINDS = ("visible", "touches", *_SIDES, "count", "one", "reads", "larger", "only")
"""Kinds of statement that are written."""


@dataclass(frozen=True)
class Text:
    """A text and the classes of each thing it is about; one class of each thing must be there."""

    text: str
    about: tuple[Classes, ...]

    def relevant(self, present: set[int] | frozenset[int]) -> bool:
        return all(present & classes for classes in self.about)


def about(statement: Statement) -> tuple[Classes, ...]:
    """Classes of each thing that must be there for a statement to be relevant to a scene."""
    if isinstance(statement, All):
        return tuple(dict.fromkeys(classes for part in statement.parts for classes in about(part)))
    if isinstance(statement, Reads):
        return (frozenset({len(OBJECTS) + WORDS.index(statement.word)}),)
    if isinstance(statement, Visible):
        return (_any(statement.any_of),)
    if isinstance(statement, Touches):
        return (statement.first.classes, _any(statement.others))
    return tuple(noun.classes for noun in statement.nouns())


class TextSampler:
    """Writes texts about what is in a scene, and about things that nearly are."""

    def __init__(self, rng: random.Random, *, held_out: bool = False) -> None:
        """`held_out`: whether to use the wordings that training never sees."""
        self._rng = rng
        self._held_out = held_out

    def write(self, present: Sequence[int], count: int) -> list[Text]:
        """`count` texts about a scene that holds the classes `present`: some relevant, others nearly so."""
        return [self.one(present, self._rng.random() < 0.55) for _ in range(count)]

    def one(self, present: Sequence[int], relevant: bool) -> Text:
        """One text. If it is not to be relevant, one of the things it is about is absent; often that is a
        look-alike of one that is there."""
        size = self._rng.choices((1, 2, 3), (5, 6, 1))[0]
        nouns = [self._there(present) for _ in range(size)]
        if not relevant:
            nouns[self._rng.randrange(size)] = self._absent(present)
        distinct = [noun for i, noun in enumerate(nouns) if not noun.classes & _any(nouns[:i])]
        if SIGN in distinct or self._rng.random() < 0.2:
            return self._described(distinct[:2])
        parts = self._parts(distinct)
        things = tuple(dict.fromkeys(classes for part in parts for classes in about(part)))
        return Text((self._rule if self._rng.random() < 0.5 else self._statement)(parts), things)

    # --- which things --------------------------------------------------------------------------

    def _there(self, present: Sequence[int]) -> Noun:
        return self._named(self._rng.choice(present) if present else self._rng.randrange(CLASSES))

    def _absent(self, present: Sequence[int]) -> Noun:
        alike = [k for i in present for k in LOOKALIKES[i] if k not in present]
        near = alike and self._rng.random() < 0.5
        kind = self._rng.choice(alike if near else [k for k in range(CLASSES) if k not in present])
        noun = self._named(kind)
        there = noun.classes & set(present)  # a group, of which another member is there
        return (OBJECTS[kind] if kind < len(OBJECTS) else READING[kind - len(OBJECTS)]) if there else noun

    def _named(self, kind: int) -> Noun:
        if kind >= len(OBJECTS):
            return SIGN if self._rng.random() < 0.1 else READING[kind - len(OBJECTS)]
        groups = [group for group in GROUPS if kind in group.classes]
        return self._rng.choice(groups) if groups and self._rng.random() < 0.3 else OBJECTS[kind]

    def _other(self) -> Noun:
        return OBJECTS[self._rng.randrange(len(OBJECTS))]

    # --- what is said of them ------------------------------------------------------------------

    def _parts(self, nouns: Sequence[Noun]) -> list[Statement]:
        """Statements that together are about all of the nouns; a relation comes first, as in a rule."""
        rng = self._rng
        relation: list[Statement] = []
        reads = [Reads(WORDS[READING.index(noun)]) for noun in nouns if noun in READING]
        things = [noun for noun in nouns if noun not in READING]
        if len(things) > 1 and rng.random() < 0.8:
            first, second = things[:2]
            several = [second, *([self._other()] if rng.random() < 0.25 else [])]
            rng.shuffle(several)
            relations: tuple[Statement, ...] = (
                Touches(first, tuple(several)),
                Touches(first, (second,)),
                Lies(first, rng.choice(_SIDES), second),
                Larger(first, second),
            )
            relation = [rng.choice(relations)]
            things = things[2:]
        return [*relation, *(self._alone(noun, len(nouns) == 1) for noun in things), *reads]

    def _alone(self, noun: Noun, only: bool) -> Statement:
        rng = self._rng
        if rng.random() < 0.2:
            several = [noun, self._other()]
            rng.shuffle(several)
            return Visible(tuple(several))
        if only and noun.article and rng.random() < 0.4:
            least = rng.random() < 0.5
            return Count("at least" if least else "exactly", rng.choice((2, 3) if least else (1, 2, 3)), noun)
        return Only(noun) if only and rng.random() < 0.1 else Visible((noun,))

    # --- in which words ------------------------------------------------------------------------

    def _statement(self, parts: list[Statement]) -> str:
        rng = self._rng
        if len(parts) == 1 and isinstance(parts[0], Touches) and rng.random() < 0.2:  # as a rule's clauses do
            touch = parts[0]
            parts = [Visible((touch.first,)), Visible(touch.others), touch]
        statement = parts[0] if len(parts) == 1 else All(tuple(parts))
        phrases = statement.phrasings(definite=rng.random() < 0.2)
        return rng.choice(phrases[-HELD_OUT:] if self._held_out else phrases[:-HELD_OUT] or phrases)

    def _rule(self, parts: list[Statement]) -> str:
        rng = self._rng
        whole = parts[0] if len(parts) == 1 else All(tuple(parts))
        if (simple := forbid(whole)) and not self._held_out and rng.random() < 0.35:
            return rng.choice(simple)
        either = [
            tuple(Visible((noun,)) for noun in part.any_of) if isinstance(part, Visible) else (part,)
            for part in parts
        ]
        lonely = isinstance(parts[0], Only)
        absent = (self._apart(),) if not lonely and rng.random() < 0.12 else ()
        unless = ((self._apart(),),) if not lonely and rng.random() < 0.2 else ()
        return wording(Ban(tuple(either), absent, unless), rng, unseen=self._held_out)

    def _apart(self) -> Statement:
        """A statement for an exception, about anything."""
        noun = self._named(self._rng.randrange(CLASSES))
        return Visible((noun,)) if noun not in (*READING, SIGN) else Reads(self._rng.choice(WORDS))

    def _described(self, nouns: Sequence[Noun]) -> Text:
        rng = self._rng
        first, *rest = nouns
        words = {"n": first.singular, "ns": first.plural, "a": first.indefinite, "side": rng.choice(_SIDES)}
        things = [first.classes]
        if rest:
            others = [*rest, *([self._other()] if rng.random() < 0.2 else [])]
            rng.shuffle(others)
            words["b"] = " or ".join(noun.indefinite for noun in others)
            things.append(_any(others))
        template = rng.choice(TWO if rest else ONE)
        if template.endswith("on a sign."):
            things.append(SIGN.classes)
        text = template.format_map(words)
        return Text(text[0].upper() + text[1:], tuple(things))


def every_word() -> Iterator[str]:
    """Texts that hold every word of the language, for a vocabulary."""
    for lists in (*(TEMPLATES[kind] for kind in _KINDS), *RULES.values(), ONE, TWO, tuple(templates())):
        for template in lists:
            yield re.sub(r"\{\w*\}", " ", template)
    for noun in QUERIES:
        yield from wordings(noun)
    yield "a an the some one of or nor and , . ? exactly at least is are " + " ".join(
        (*_SIDES, *NUMBERS[1:4])
    )


def _any(nouns: Sequence[Noun]) -> Classes:
    return frozenset().union(*(noun.classes for noun in nouns))
