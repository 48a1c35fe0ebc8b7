"""The objects of the pictogram world, their groups, sign words and habits; the data is `objects.toml`."""

from __future__ import annotations

import random
import tomllib
from dataclasses import dataclass
from importlib.resources import files
from typing import Any

WORDS = ("STOP", "FREE", "SALE", "EXIT", "OPEN", "HELP")
"""What sign cards can read."""


@dataclass(frozen=True)
class Noun:
    """A word for an object or for a group of objects, with the classes that it names."""

    singular: str
    plural: str
    classes: frozenset[int]
    article: str = ""
    """Empty for a mass noun ("money")."""

    @property
    def indefinite(self) -> str:
        return f"{self.article} {self.singular}".strip()

    @property
    def definite(self) -> str:
        return f"the {self.singular}"


_DATA: dict[str, Any] = tomllib.loads(files("jurat.pictograms").joinpath("objects.toml").read_text("utf-8"))


def _article(name: str) -> str:
    return "an" if name[0] in "aeio" else "a"  # no name here begins with a "u" that sounds like one


_FLAT: list[tuple[str, str, int]] = [tuple(row) for rows in _DATA["objects"].values() for row in rows]

OBJECTS: tuple[Noun, ...] = tuple(
    Noun(name, plural, frozenset({i}), "an" if name == "umbrella" else _article(name))
    for i, (name, plural, _) in enumerate(_FLAT)
)
"""One noun a class; the index is the class number. Sign cards follow as classes len(OBJECTS)..."""
CODE_POINTS: tuple[int, ...] = tuple(code for _, _, code in _FLAT)
CLASSES = len(OBJECTS) + len(WORDS)
"""How many classes a scene can hold: objects, then one sign card a word."""

NUMBER: dict[str, int] = {noun.singular: i for i, noun in enumerate(OBJECTS)}
"""Object name -> class number."""


def _groups() -> tuple[Noun, ...]:
    members = {group: [name for name, _, _ in rows] for group, rows in _DATA["objects"].items() if group}
    members |= _DATA["extra_groups"]
    return tuple(
        Noun(
            group,
            _DATA["plurals"].get(group, group + "s"),
            frozenset(NUMBER[name] for name in names),
            "" if group == "money" else _article(group),
        )
        for group, names in members.items()
    )


GROUPS: tuple[Noun, ...] = _groups()
"""A group's name means any of its members."""

NOUNS: dict[str, Noun] = {noun.singular: noun for noun in (*OBJECTS, *GROUPS)}

LOOKALIKES: tuple[tuple[int, ...], ...] = tuple(
    tuple(sorted(other for noun in GROUPS if i in noun.classes for other in noun.classes if other != i))
    for i in range(len(OBJECTS))
) + tuple(tuple(len(OBJECTS) + j for j in range(len(WORDS)) if j != i) for i in range(len(WORDS)))
"""For each class, those it is easily taken for: members of a common group; for a sign card, other words."""

HABITS: dict[str, tuple[str, ...]] = {name: tuple(others) for name, others in _DATA["habits"].items()}
"""What goes with what here, as in any corpus: at `scene.HABIT_RATE`, an object brings a companion."""


def _held_apart(share: float = 0.08) -> frozenset[frozenset[int]]:
    """Pairs drawn among the objects that are neither of a kind nor go together by habit, without those that
    `met` names."""
    together = {frozenset((NUMBER[a], NUMBER[b])) for a, others in HABITS.items() for b in others}
    pairs = [
        frozenset((a, b))
        for a in range(len(OBJECTS))
        for b in range(a)
        if b not in LOOKALIKES[a] and frozenset((a, b)) not in together
    ]
    met = {frozenset((NUMBER[a], NUMBER[b])) for a, others in _DATA["met"].items() for b in others}
    return frozenset(random.Random(1).sample(pairs, round(share * len(pairs)))) - met


HELD_APART: frozenset[frozenset[int]] = _held_apart()
"""Unordered pairs of class numbers that no scene of training holds both of, to test what a model makes of
objects that it knows but never saw together."""
