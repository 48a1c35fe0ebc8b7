"""Facts of a scene in the form that conversations use."""

from __future__ import annotations

import random
from collections import Counter

import numpy as np

from jurat.pictograms.objects import LOOKALIKES, OBJECTS, WORDS, Noun
from jurat.pictograms.scene import SIDE
from jurat.pictograms.statements import LEVEL, NUMBERS, Facts

CARD = len(OBJECTS)
MIDDLE = 10.0
"""Smallest distance of a centre from the middle, in scene units, for "at the left" or "at the right"."""


def kinds(facts: Facts) -> list[int]:
    """The class of each object."""
    return facts.kinds.tolist()


def words(facts: Facts) -> list[str]:
    """Words of the sign cards, from left to right."""
    order = np.argsort(facts.centres[:, 0])
    return [WORDS[facts.kinds[i] - CARD] for i in order if facts.kinds[i] >= CARD]


def singles(facts: Facts) -> list[int]:
    """Indices of the objects that are the only one of their class, without sign cards."""
    counted = Counter(kinds(facts))
    return [i for i, kind in enumerate(kinds(facts)) if kind < CARD and counted[kind] == 1]


def half(facts: Facts, i: int) -> str | None:
    """The half in which an object lies: left or right; None where that is not clear."""
    lead = float(facts.centres[i, 0]) - SIDE / 2
    return None if abs(lead) < MIDDLE else ("left" if lead < 0 else "right")


def toward(facts: Facts, i: int, j: int) -> str | None:
    """The side of object j on which i lies: left or right; None where that is not clear."""
    lead = float(facts.centres[i, 0] - facts.centres[j, 0])
    return None if abs(lead) < LEVEL else ("left" if lead < 0 else "right")


def touching(facts: Facts, i: int) -> set[int]:
    """The classes that touch an object."""
    return {int(facts.kinds[j]) for j in range(len(facts.kinds)) if j != i and facts.gaps[i, j] == 0}


def name(kind: int) -> str:
    """Name of a class with its article."""
    return OBJECTS[kind].indefinite if kind < CARD else f"a sign that reads {WORDS[kind - CARD]}"


def several(kind: int, count: int) -> str:
    """`count` of a class in words ("two dogs")."""
    if count == 1:
        return name(kind)
    if kind < CARD:
        return f"{NUMBERS[count]} {OBJECTS[kind].plural}"
    return f"{NUMBERS[count]} signs that read {WORDS[kind - CARD]}"


def entries(facts: Facts) -> list[str]:
    """Phrases on everything in a scene, from left to right, with equal things together."""
    order = [kinds(facts)[i] for i in np.argsort(facts.centres[:, 0])]
    counted = Counter(order)
    return [several(kind, counted[kind]) for kind in dict.fromkeys(order)]


def caption(facts: Facts) -> str:
    """One sentence that names everything in a scene."""
    return f"The image shows {joined(entries(facts))}."


def joined(names: list[str]) -> str:
    """Names joined by commas and "and"."""
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"


def absent(facts: Facts, rng: random.Random) -> Noun:
    """A random object that is absent; in more than half of the draws a look-alike of a present one."""
    there = set(kinds(facts))
    alike = sorted({k for i in there if i < CARD for k in LOOKALIKES[i]} - there)
    if alike and rng.random() < 0.6:
        return OBJECTS[rng.choice(alike)]
    return OBJECTS[rng.choice([k for k in range(CARD) if k not in there])]
