"""Statements to ask about a scene: every kind, as many true as false, with hard false ones.

At least a third of the false statements name a look-alike of an object in the scene; half of the false
touches are near misses; counts are asked where look-alikes are present.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np

from jurat.pictograms.objects import CLASSES, GROUPS, LOOKALIKES, NOUNS, OBJECTS, WORDS, Noun
from jurat.pictograms.scene import NEAR
from jurat.pictograms.statements import (
    All,
    Count,
    Facts,
    Larger,
    Lies,
    Only,
    Reads,
    Side,
    Statement,
    Touches,
    Visible,
)

_OBJECTS = len(OBJECTS)
_COUNTABLE = tuple(noun for noun in GROUPS if noun.article)
_GROUPS_OF = tuple(tuple(g for g in GROUPS if i in g.classes) for i in range(_OBJECTS))

KINDS: dict[str, float] = {
    "visible": 0.8,
    "group": 0.7,
    "any of": 0.8,
    "sign": 0.9,
    "count": 5.0,
    "relation": 2.6,
    "touch": 4.4,
    "group touch": 1.8,
    "larger": 1.2,
    "only": 0.7,
    "whole rule": 2.8,
}
"""Kinds of question, with how often training asks them."""


@dataclass
class Questioner:
    """Draws statements about a scene, keeping true and false ones in balance within each kind."""

    rng: random.Random
    kinds: dict[str, float] = field(default_factory=lambda: KINDS)
    """Kinds of question with their weights."""
    balance: dict[str, int] = field(default_factory=dict)

    def draw(
        self, facts: Facts, kind: str | None = None, want: bool | None = None
    ) -> tuple[str, Statement, bool] | None:
        """A kind, a statement and its truth; None where the scene offered none in a few tries."""
        kind = kind or self.rng.choices(list(self.kinds), list(self.kinds.values()))[0]
        lean = self.balance.get(kind, 0)
        wanted = want if want is not None else (lean < 0 if abs(lean) >= 2 else self.rng.random() < 0.5)
        for _ in range(6):
            statement = _PROPOSE[kind](facts, self.rng, wanted)
            if statement is not None and statement.truth(facts) is wanted:
                self.balance[kind] = lean + (1 if wanted else -1)
                return kind, statement, wanted
        return None


def anything(rng: random.Random) -> Statement:
    """A statement drawn without looking at any scene, for questions without an image."""
    a, b, c = (OBJECTS[rng.randrange(_OBJECTS)] for _ in range(3))
    group = rng.choice(GROUPS)
    side: Side = rng.choice(_SIDES)
    return rng.choice(
        [
            Visible((a,)),
            Visible((group,)),
            Visible((a, b)),
            Reads(rng.choice(WORDS)),
            Count(rng.choice(("exactly", "at least")), rng.choice((2, 3)), a),
            Lies(a, side, b),
            Touches(a, (b,)),
            Touches(a, (b, c)),
            Larger(a, b),
            Only(a),
            All((Visible((a,)), Visible((b, c)), Touches(a, (b, c)))),
        ]
    )


_SIDES: tuple[Side, ...] = ("left of", "right of", "above", "below")


# --- proposals, one a kind ---------------------------------------------------------------------


def _present(facts: Facts, rng: random.Random) -> Noun | None:
    there = [kind for kind in facts.kinds.tolist() if kind < _OBJECTS]
    return OBJECTS[rng.choice(there)] if there else None


def _absent(facts: Facts, rng: random.Random, near: float = 0.6) -> Noun:
    """A class that is not there; often a look-alike of one that is."""
    there = set(facts.kinds.tolist())
    if rng.random() < near:
        alike = [k for i in sorted(there) if i < _OBJECTS for k in LOOKALIKES[i] if k not in there]
        if alike:
            return OBJECTS[rng.choice(alike)]
    return OBJECTS[rng.choice([k for k in range(_OBJECTS) if k not in there])]


def _one_absent(facts: Facts, rng: random.Random) -> tuple[Noun, Noun] | None:
    """Something that is there and something that is not, or two that are not, in any order."""
    present = _absent(facts, rng) if rng.random() < 0.2 else _present(facts, rng)
    pair = [present, _absent(facts, rng)]
    rng.shuffle(pair)
    first, second = pair
    return None if first is None or second is None or first == second else (first, second)


def _visible(facts: Facts, rng: random.Random, want: bool) -> Statement | None:
    noun = _present(facts, rng) if want else _absent(facts, rng)
    return Visible((noun,)) if noun else None


def _group(facts: Facts, rng: random.Random, want: bool) -> Statement | None:
    there = set(facts.kinds.tolist())
    fitting = [noun for noun in GROUPS if bool(noun.classes & there) is want]
    return Visible((rng.choice(fitting),)) if fitting else None


def _any_of(facts: Facts, rng: random.Random, want: bool) -> Statement | None:
    nouns = [_absent(facts, rng) for _ in range(rng.choice((2, 2, 3)))]
    if want:
        noun = _present(facts, rng)
        if noun is None:
            return None
        nouns[rng.randrange(len(nouns))] = noun
    return Visible(tuple(nouns)) if len(set(nouns)) == len(nouns) else None


def _sign(facts: Facts, rng: random.Random, want: bool) -> Statement | None:
    there = {kind - _OBJECTS for kind in facts.kinds.tolist() if kind >= _OBJECTS}
    if not there and (want or rng.random() < 0.8):
        return None
    fitting = sorted(there) if want else [i for i in range(len(WORDS)) if i not in there]
    return Reads(WORDS[rng.choice(fitting)])


def _count(facts: Facts, rng: random.Random, want: bool) -> Statement | None:
    kinds = facts.kinds.tolist()
    if rng.random() < 0.3:
        noun = rng.choice([g for g in _COUNTABLE if g.classes & set(kinds)] or list(_COUNTABLE))
    else:
        several = sorted({kind for kind in kinds if kind < _OBJECTS and kinds.count(kind) > 1})
        noun = OBJECTS[rng.choice(several)] if several and rng.random() < 0.6 else _present(facts, rng)
        if noun is None:
            return None
    there = len(facts.which(noun))
    if rng.random() < 0.5:
        number = there if want else rng.choice([n for n in (1, 2, 3) if abs(n - there) == 1] or [3])
        if not 1 <= number <= 3 or (number == 1 and rng.random() < 0.5):
            return None
        return Count("exactly", number, noun)
    fitting = [n for n in (2, 3) if (there >= n) is want and abs(there - n) <= 2]
    return Count("at least", rng.choice(fitting), noun) if fitting else None


def _relation(facts: Facts, rng: random.Random, want: bool) -> Statement | None:
    if not want and rng.random() < 0.3:
        pair = _one_absent(facts, rng)
        return Lies(pair[0], rng.choice(_SIDES), pair[1]) if pair else None
    first, other = _noun_for(facts, rng, 0.15), _noun_for(facts, rng, 0.15)
    if first is None or other is None or first.classes & other.classes:
        return None
    statements = [Lies(first, side, other) for side in _SIDES]
    rng.shuffle(statements)
    return next((s for s in statements if s.truth(facts) is want), None)


def _noun_for(facts: Facts, rng: random.Random, group: float) -> Noun | None:
    """A noun for something that is there: its own name, or sometimes a group's."""
    noun = _present(facts, rng)
    if noun is not None and rng.random() < group:
        groups = _GROUPS_OF[min(noun.classes)]
        return rng.choice(groups) if groups else noun
    return noun


def _touch_pair(facts: Facts, rng: random.Random, want: bool) -> tuple[int, int] | None:
    """Two objects that touch, or that nearly do (half and more of the time that they do not)."""
    count = len(facts.kinds)
    pairs = [
        (i, j)
        for i in range(count)
        for j in range(count)
        if i != j and max(facts.kinds[i], facts.kinds[j]) < _OBJECTS
    ]
    if want:
        pairs = [(i, j) for i, j in pairs if facts.gaps[i, j] == 0]
    else:
        apart = [(i, j) for i, j in pairs if facts.gaps[i, j] > 0]
        near = [(i, j) for i, j in apart if facts.gaps[i, j] < NEAR]
        pairs = near if near and rng.random() < 0.75 else apart
    return rng.choice(pairs) if pairs else None


def _touch(facts: Facts, rng: random.Random, want: bool) -> Statement | None:
    if not want and rng.random() < 0.15:
        pair = _one_absent(facts, rng)
        return Touches(pair[0], (pair[1],)) if pair else None
    touching = _touch_pair(facts, rng, want)
    if touching is None:
        return None
    first, other = (OBJECTS[int(facts.kinds[i])] for i in touching)
    if first == other:
        return None
    others = [other]
    if rng.random() < 0.35:
        others += rng.sample([OBJECTS[k] for k in LOOKALIKES[min(other.classes)]] or [_absent(facts, rng)], 1)
        if rng.random() < 0.4:
            others.append(_absent(facts, rng))
        rng.shuffle(others)
    return Touches(first, tuple(others)) if len({first, *others}) == len(others) + 1 else None


def _group_touch(facts: Facts, rng: random.Random, want: bool) -> Statement | None:
    pair = _touch_pair(facts, rng, want)
    if pair is None:
        return None
    choices = [(OBJECTS[int(facts.kinds[i])], *_GROUPS_OF[int(facts.kinds[i])]) for i in pair]
    first, other = (rng.choice(nouns) for nouns in choices)
    if first.classes & other.classes or (len(first.classes) == 1 and len(other.classes) == 1):
        return None
    return Touches(first, (other,))


def _larger(facts: Facts, rng: random.Random, want: bool) -> Statement | None:
    first, other = _present(facts, rng), _present(facts, rng)
    return None if first is None or other is None or first == other else Larger(first, other)


def _only(facts: Facts, rng: random.Random, want: bool) -> Statement | None:
    kinds = set(facts.kinds.tolist())
    if want:
        fitting = [noun for noun in NOUNS.values() if kinds <= noun.classes]
        return Only(rng.choice(fitting)) if fitting else None
    noun = _noun_for(facts, rng, 0.6)
    return Only(noun) if noun else None


def _whole_rule(facts: Facts, rng: random.Random, want: bool) -> Statement | None:
    touch = (_touch if rng.random() < 0.7 else _group_touch)(facts, rng, want)
    if not isinstance(touch, Touches) or rng.random() < 0.15:
        first, second = _visible(facts, rng, True), _any_of(facts, rng, want)
        return All((first, second)) if first and second else None
    parts: tuple[Statement, ...] = (Visible((touch.first,)), Visible(touch.others), touch)
    return All(parts[rng.choice((0, 0, 1)) :] if rng.random() < 0.8 else (parts[0], parts[2]))


_PROPOSE: dict[str, Callable[[Facts, random.Random, bool], Statement | None]] = {
    "visible": _visible,
    "group": _group,
    "any of": _any_of,
    "sign": _sign,
    "count": _count,
    "relation": _relation,
    "touch": _touch,
    "group touch": _group_touch,
    "larger": _larger,
    "only": _only,
    "whole rule": _whole_rule,
}


def facts_of(kinds: np.ndarray, centres: np.ndarray, areas: np.ndarray, gaps: np.ndarray) -> Facts:
    """Facts from the padded arrays of a pool's row."""
    there = np.flatnonzero(kinds >= 0)
    return Facts(kinds[there], centres[there], areas[there], gaps[np.ix_(there, there)])


assert len(LOOKALIKES) == CLASSES
