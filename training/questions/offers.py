"""What a scene offers to ask about."""

from __future__ import annotations

import random
from functools import cached_property

from jurat.pictograms.objects import CLASSES, GROUPS, LOOKALIKES, OBJECTS, Noun
from jurat.pictograms.scene import NEAR
from jurat.pictograms.statements import UNKNOWN, Facts
from training.questions.shares import BOTH_ABSENT, FIRST_ABSENT, OTHER_ABSENT

NAMED = len(OBJECTS)
"""Number of classes of objects; those of sign cards follow."""
GROUPS_OF = tuple(tuple(group for group in GROUPS if kind in group.classes) for kind in range(NAMED))
"""Groups that each class belongs to."""


class SceneOffer:
    """What there is to ask about in a scene. An object that this world has no name for is never asked about;
    where there is one, no group is named, since it may belong to it."""

    def __init__(self, facts: Facts) -> None:
        self.facts = facts
        self.kinds: list[int] = facts.kinds.tolist()
        self.things = [kind for kind in self.kinds if kind < NAMED]
        self.present = frozenset(self.things)
        self.words = sorted({kind - NAMED for kind in self.kinds if NAMED <= kind < CLASSES})
        self.unknown = UNKNOWN in self.kinds

    @cached_property
    def gone(self) -> list[int]:
        return [kind for kind in range(NAMED) if kind not in self.present]

    @cached_property
    def alike(self) -> list[int]:
        """Classes that are not there, once for each that is there and looks like it."""
        return [k for i in sorted(self.present) for k in LOOKALIKES[i] if k not in self.present]

    @cached_property
    def groups(self) -> list[Noun]:
        """Groups of which something is there."""
        return [] if self.unknown else [group for group in GROUPS if group.classes & self.present]

    @cached_property
    def other_groups(self) -> list[Noun]:
        return [] if self.unknown else [group for group in GROUPS if not group.classes & self.present]

    @cached_property
    def strangers(self) -> dict[Noun, int]:
        """What is there, by its own name and by those of groups -> how many other things are."""
        nouns = (*(OBJECTS[kind] for kind in sorted(self.present)), *self.groups)
        return {noun: sum(kind not in noun.classes for kind in self.kinds) for noun in nouns}

    @cached_property
    def pairs(self) -> dict[str, list[tuple[int, int]]]:
        """Indices of two objects of different classes, by how they lie: "touch", "near miss" or "there"."""
        found: dict[str, list[tuple[int, int]]] = {"touch": [], "near miss": [], "there": []}
        for i, a in enumerate(self.kinds):
            for j, b in enumerate(self.kinds):
                if a != b and max(a, b) < NAMED:
                    gap = self.facts.gaps[i, j]
                    found["touch" if gap == 0 else "near miss" if gap < NEAR else "there"].append((i, j))
        return found

    def noun(self, rng: random.Random, group: float = 0.0) -> Noun | None:
        """What is there, by its own name or sometimes by a group's."""
        return self.named(rng.choice(self.things), rng, group) if self.things else None

    def named(self, kind: int, rng: random.Random, group: float) -> Noun:
        groups = GROUPS_OF[kind]
        return rng.choice(groups) if groups and not self.unknown and rng.random() < group else OBJECTS[kind]

    def absent(self, rng: random.Random, group: float = 0.0, alike: float = 0.6) -> Noun:
        """What is not there; often a look-alike of something that is."""
        if self.other_groups and rng.random() < group:
            return rng.choice(self.other_groups)
        near = self.alike and rng.random() < alike
        return OBJECTS[rng.choice(self.alike if near else self.gone)]

    def two(self, rng: random.Random, form: str, group: float) -> tuple[Noun, Noun] | None:
        """Two things, of which those are there that the form says."""
        first = self.absent(rng, group) if form in (FIRST_ABSENT, BOTH_ABSENT) else self.noun(rng, group)
        other = self.absent(rng, group) if form in (OTHER_ABSENT, BOTH_ABSENT) else self.noun(rng, group)
        return None if first is None or other is None or first.classes & other.classes else (first, other)
