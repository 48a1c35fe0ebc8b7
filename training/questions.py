"""Statements to ask about a scene: every kind, as many true as false, with arguments that are not there.

`SHARES` says, as data, which forms of each kind are asked: what is near, what is absent, what looks alike. A
form that can be true and false is asked as often true as false, so that no form gives its answer away; a
relation is false where an argument is absent, so such forms have their counterpart in negated kinds, where
they are true.
"""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import NamedTuple

import numpy as np

from jurat.pictograms.objects import CLASSES, GROUPS, LOOKALIKES, OBJECTS, WORDS, Noun
from jurat.pictograms.scene import NEAR
from jurat.pictograms.statements import (
    LARGER,
    UNKNOWN,
    All,
    Count,
    Facts,
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

_OBJECTS = len(OBJECTS)
_COUNTABLE = tuple(noun for noun in GROUPS if noun.article)
_GROUPS_OF = tuple(tuple(g for g in GROUPS if i in g.classes) for i in range(_OBJECTS))
_SIDES: tuple[Side, ...] = ("left of", "right of", "above", "below")
MOST_ASKED = 5
"""The largest number in a question."""

KINDS: dict[str, float] = {
    "visible": 0.7,
    "group": 0.6,
    "any of": 0.7,
    "sign": 0.8,
    "count": 5.0,
    "relation": 2.6,
    "touch": 4.4,
    "group touch": 1.8,
    "larger": 1.6,
    "only": 1.4,
    "with": 0.8,
    "not visible": 1.2,
    "not touch": 1.6,
    "not relation": 0.9,
    "whole rule": 2.6,
}
"""Kinds of question, with how often training asks them."""

_NONE, _FIRST, _OTHER, _BOTH = "there", "first absent", "other absent", "both absent"

SHARES: dict[str, dict[str, tuple[float, float]]] = {
    "visible": {"there": (1, 0), "look-alike": (0, 0.6), "absent": (0, 0.4)},
    "group": {"there": (1, 0), "absent": (0, 1)},
    "any of": {"there": (1, 0), "absent": (0, 1)},
    "sign": {"there": (1, 0), "other word": (0, 0.8), "absent": (0, 0.2)},
    "count": {
        "exactly": (0.22, 0.20),
        "exactly, of many": (0.14, 0.14),
        "at least": (0.20, 0.16),
        "look-alikes": (0.16, 0.16),
        "absent": (0.06, 0.12),
        "only": (0.05, 0.05),
        "more than": (0.06, 0.06),
        "or more": (0.05, 0.05),
        "fewer than": (0.06, 0.06),
    },
    "relation": {"there": (1, 0.70), _FIRST: (0, 0.12), _OTHER: (0, 0.12), _BOTH: (0, 0.06)},
    "touch": {
        "there": (0.62, 0.08),
        "near miss": (0, 0.42),
        _FIRST: (0, 0.06),
        _OTHER: (0, 0.06),
        _BOTH: (0, 0.04),
        "list": (0.14, 0.12),
        "list, some absent": (0.24, 0.14),
        "list, all absent": (0, 0.05),
        "list, first absent": (0, 0.03),
    },
    "group touch": {
        "there": (1, 0.24),
        "near miss": (0, 0.54),
        _FIRST: (0, 0.08),
        _OTHER: (0, 0.08),
        _BOTH: (0, 0.06),
    },
    "larger": {"there": (1, 0.58), _FIRST: (0, 0.16), _OTHER: (0, 0.16), _BOTH: (0, 0.10)},
    "only": {"there": (1, 0.30), "stranger": (0, 0.50), "absent": (0, 0.20)},
    "with": {
        "there": (0.8, 0.12),
        "near miss": (0, 0.46),
        _FIRST: (0, 0.08),
        _OTHER: (0, 0.10),
        _BOTH: (0, 0.04),
        "list, some absent": (0.2, 0.2),
    },
    "not visible": {
        "there": (0, 0.50),
        "look-alike": (0.30, 0),
        "absent": (0.20, 0),
        "group": (0.15, 0.15),
        "neither": (0.25, 0.25),
        "sign": (0.10, 0.10),
    },
    "not touch": {
        "there": (0.12, 0.84),
        "near miss": (0.46, 0),
        _FIRST: (0.08, 0),
        _OTHER: (0.10, 0),
        _BOTH: (0.04, 0),
        "list": (0.08, 0.04),
        "list, some absent": (0.12, 0.12),
    },
    "not relation": {"there": (0.76, 1), _FIRST: (0.09, 0), _OTHER: (0.09, 0), _BOTH: (0.06, 0)},
    "whole rule": {
        "touch": (0.60, 0.44),
        "group touch": (0.25, 0.20),
        "together": (0.15, 0.15),
        "absent": (0, 0.21),
    },
}
"""Kind -> form -> its share of the true questions of that kind, and of the false ones. "there" is a form
with all that it names in the picture; "list" is "touches A, B or C"."""


class Drawn(NamedTuple):
    """A question about a scene."""

    kind: str
    statement: Statement
    truth: bool
    form: str


@dataclass
class Questioner:
    """Draws statements about a scene: true and false ones in balance within each kind, forms by `SHARES`."""

    rng: random.Random
    kinds: dict[str, float] = field(default_factory=lambda: KINDS)
    """Kinds of question with their weights."""
    asked: Counter[tuple[str, ...]] = field(default_factory=Counter[tuple[str, ...]])
    """How many questions were drawn: in all under (), by kind, by kind and truth ("True"), and by both and
    form."""

    def __post_init__(self) -> None:
        self._scene: _Scene | None = None

    def draw(
        self, facts: Facts, kind: str | None = None, want: bool | None = None, form: str | None = None
    ) -> Drawn | None:
        """A question; None where the scene offered none in a few tries."""
        if self._scene is None or self._scene.facts is not facts:
            self._scene = _Scene(facts)
        kind = kind or self._due_kind()
        lean = self.asked[kind, "True"] - self.asked[kind, "False"]
        wanted = want if want is not None else (lean < 0 if abs(lean) >= 2 else self.rng.random() < 0.5)
        for each in [form] if form else self._due_forms(kind, wanted):
            for _ in range(2):
                statement = _PROPOSE[kind](self._scene, self.rng, each, wanted)
                if statement is not None and statement.truth(facts) is wanted:
                    key = kind, str(wanted), each
                    self.asked.update(key[:n] for n in range(4))
                    return Drawn(kind, statement, wanted, each)
        return None

    def _due_kind(self) -> str:
        """A kind by its weight; up to twice as often one that scenes seldom offered."""
        share = (self.asked[()] + 50) / sum(self.kinds.values())
        weights = [w * min(2, (w * share + 3) / (self.asked[kind,] + 3)) for kind, w in self.kinds.items()]
        return self.rng.choices(list(self.kinds), weights)[0]

    def _due_forms(self, kind: str, truth: bool) -> list[str]:
        """The forms to try, those first that were asked least in proportion to their share, and none that
        was asked much too often."""
        total = self.asked[kind, str(truth)]
        due: dict[str, float] = {}
        for form, shares in SHARES[kind].items():
            share, asked = shares[not truth], self.asked[kind, str(truth), form]
            if share and asked <= 1.15 * share * total + 2:
                due[form] = (asked + self.rng.random()) / share
        return sorted(due, key=due.__getitem__)[:4]


def forms(kind: str, truth: bool) -> list[str]:
    """The forms of a kind that can have this truth."""
    return [form for form, shares in SHARES[kind].items() if shares[not truth]]


def chosen_kinds(rng: np.random.Generator) -> list[int] | None:
    """Classes of a scene that seldom comes by chance: two to six copies of one object, or members of one
    group and at most one stranger (for `Only`, and for counts of groups); in three of five cases None."""
    how = rng.random()
    if how < 0.2:
        kind, other = rng.integers(0, _OBJECTS, 2).tolist()
        return [kind] * int(rng.integers(2, 7)) + [other] * int(rng.integers(0, 2))
    if how < 0.4:
        members = sorted(GROUPS[int(rng.integers(len(GROUPS)))].classes)
        strangers = rng.integers(0, _OBJECTS, int(rng.integers(0, 2))).tolist()
        return rng.choice(members, int(rng.integers(1, 5))).tolist() + strangers
    return None


def anything(rng: random.Random) -> Statement:
    """A statement drawn without looking at any scene, for questions without an image."""
    a, b, c = rng.sample(OBJECTS, 3)
    group = rng.choice(GROUPS)
    side: Side = rng.choice(_SIDES)
    statement = rng.choice(
        [
            Visible((a,)),
            Visible((group,)),
            Visible((a, b)),
            Reads(rng.choice(WORDS)),
            _number(
                rng, a, rng.choice(("exactly", "at least", "only", "more than", "or more", "fewer than"))
            ),
            Lies(a, side, b),
            Touches(a, (b,)),
            Touches(a, (b, c)),
            Touches(a, (b,), "with"),
            Larger(a, b),
            Only(a),
            All((Visible((a,)), Visible((b, c)), Touches(a, (b, c)))),
        ]
    )
    negated = isinstance(statement, Visible | Reads | Lies | Touches | Larger) and rng.random() < 0.3
    return (
        Not(replace(statement, said="") if isinstance(statement, Touches) else statement)
        if negated
        else statement
    )


def _number(rng: random.Random, noun: Noun, how: str, number: int | None = None) -> Count:
    """A count said in some way; `number` is the smallest, or the exact, number that makes it true, or for
    "fewer than" the smallest that makes it false."""
    if number is None:
        number = 1 if how == "only" else rng.choice((2, 2, 3))
    match how:
        case "only":
            return Count("exactly", number, noun, "only")
        case "more than":
            return Count("at least", number, noun, "more than")
        case "or more":
            return Count("at least", number, noun, "or more")
        case "fewer than":
            return Count("fewer than", number, noun)
        case "exactly":
            return Count("exactly", number, noun)
        case _:
            return Count("at least", number, noun)


# --- what a scene offers ------------------------------------------------------------------------


class _Scene:
    """What there is to ask about in a scene. An object that this world has no name for is never asked about;
    where there is one, no group is named, since it may belong to it."""

    def __init__(self, facts: Facts) -> None:
        self.facts = facts
        self.kinds: list[int] = facts.kinds.tolist()
        self.things = [kind for kind in self.kinds if kind < _OBJECTS]
        self.present = frozenset(self.things)
        self.words = sorted({kind - _OBJECTS for kind in self.kinds if _OBJECTS <= kind < CLASSES})
        self.unknown = UNKNOWN in self.kinds

    @cached_property
    def gone(self) -> list[int]:
        return [kind for kind in range(_OBJECTS) if kind not in self.present]

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
                if a != b and max(a, b) < _OBJECTS:
                    gap = self.facts.gaps[i, j]
                    found["touch" if gap == 0 else "near miss" if gap < NEAR else "there"].append((i, j))
        return found

    def noun(self, rng: random.Random, group: float = 0.0) -> Noun | None:
        """What is there, by its own name or sometimes by a group's."""
        return self.named(rng.choice(self.things), rng, group) if self.things else None

    def named(self, kind: int, rng: random.Random, group: float) -> Noun:
        groups = _GROUPS_OF[kind]
        return rng.choice(groups) if groups and not self.unknown and rng.random() < group else OBJECTS[kind]

    def absent(self, rng: random.Random, group: float = 0.0, alike: float = 0.6) -> Noun:
        """What is not there; often a look-alike of something that is."""
        if self.other_groups and rng.random() < group:
            return rng.choice(self.other_groups)
        near = self.alike and rng.random() < alike
        return OBJECTS[rng.choice(self.alike if near else self.gone)]

    def two(self, rng: random.Random, form: str, group: float) -> tuple[Noun, Noun] | None:
        """Two things, of which those are there that the form says."""
        first = self.absent(rng, group) if form in (_FIRST, _BOTH) else self.noun(rng, group)
        other = self.absent(rng, group) if form in (_OTHER, _BOTH) else self.noun(rng, group)
        return None if first is None or other is None or first.classes & other.classes else (first, other)


# --- proposals, one a kind ---------------------------------------------------------------------


def _visible(scene: _Scene, rng: random.Random, form: str, truth: bool) -> Statement | None:
    if form == "there":
        noun = scene.noun(rng)
        return Visible((noun,)) if noun else None
    if form == "look-alike":
        return Visible((OBJECTS[rng.choice(scene.alike)],)) if scene.alike else None
    return Visible((scene.absent(rng, alike=0),))


def _group(scene: _Scene, rng: random.Random, form: str, truth: bool) -> Statement | None:
    fitting = scene.groups if truth else scene.other_groups
    return Visible((rng.choice(fitting),)) if fitting else None


def _any_of(scene: _Scene, rng: random.Random, form: str, truth: bool, most: int = 3) -> Statement | None:
    nouns = [scene.absent(rng) for _ in range(rng.choice((2, 2, most)))]
    if truth:
        noun = scene.noun(rng)
        if noun is None:
            return None
        nouns[rng.randrange(len(nouns))] = noun
    return Visible(tuple(nouns)) if len(set(nouns)) == len(nouns) else None


def _sign(scene: _Scene, rng: random.Random, form: str, truth: bool) -> Statement | None:
    if bool(scene.words) is (form == "absent"):
        return None
    fitting = scene.words if truth else [i for i in range(len(WORDS)) if i not in scene.words]
    return Reads(WORDS[rng.choice(fitting)]) if fitting else None


def _count(scene: _Scene, rng: random.Random, form: str, truth: bool) -> Statement | None:
    if form == "absent":
        how = "fewer than" if truth else rng.choice(("exactly", "exactly", "at least", "only", "more than"))
        noun = scene.absent(rng, 0.2)
        least = 2 if how in ("more than", "fewer than") else 1
        return (
            None
            if noun not in _COUNTED
            else _number(rng, noun, how, rng.choice((least, least, 2, 3)) if how != "only" else 1)
        )
    noun = _counted_noun(scene, rng, form)
    if noun is None:
        return None
    there = len(scene.facts.which(noun))
    how = rng.choice(("exactly", "exactly", "at least")) if form == "look-alikes" else form.split(",")[0]
    fitting = [n for n in range(1, MOST_ASKED + 1) if abs(n - there) <= 2]
    if how == "only":
        fitting = [n for n in fitting if n == 1]
    elif how in ("more than", "or more", "fewer than"):
        fitting = [n for n in fitting if n > 1]
    if form == "exactly, of many":
        fitting = [n for n in fitting if n > 2]
    told = [_number(rng, noun, how, n) for n in fitting]
    told = [statement for statement in told if statement.truth(scene.facts) is truth]
    if not told:
        return None
    if form == "look-alikes" and not truth:  # as many as there would be with those that look alike
        taken = there + sum(k in LOOKALIKES[min(noun.classes)] for k in scene.things)
        told = [s for s in told if there < s.number <= taken] or told
    # Far numbers, and the number one, are easy.
    return rng.choices(
        told, [(0.5 if s.number == 1 and how == "exactly" else 1) / (1 + abs(s.number - there)) for s in told]
    )[0]


_COUNTED = frozenset((*OBJECTS, *_COUNTABLE))


def _counted_noun(scene: _Scene, rng: random.Random, form: str) -> Noun | None:
    kinds = scene.things
    if form == "look-alikes":
        fitting = [
            OBJECTS[k] for k in scene.present if any(other in scene.present for other in LOOKALIKES[k])
        ]
        return rng.choice(fitting) if fitting else None
    groups = [group for group in scene.groups if group.article]
    if form == "exactly, of many":
        many = [OBJECTS[k] for k in sorted(scene.present) if kinds.count(k) > 2]
        many = many or [group for group in groups if sum(k in group.classes for k in kinds) > 2]
        return rng.choice(many) if many else None
    if groups and rng.random() < 0.3:
        return rng.choice(groups)
    several = [k for k in sorted(scene.present) if kinds.count(k) > 1]
    return OBJECTS[rng.choice(several)] if several and rng.random() < 0.6 else scene.noun(rng)


def _relation(scene: _Scene, rng: random.Random, form: str, truth: bool) -> Statement | None:
    pair = scene.two(rng, form, 0.15)
    if pair is None:
        return None
    statements = [Lies(pair[0], side, pair[1]) for side in rng.sample(_SIDES, 4)]
    return next((s for s in statements if s.truth(scene.facts) is truth), None)


def _near_pair(scene: _Scene, rng: random.Random, form: str, truth: bool) -> tuple[int, int] | None:
    """Two objects that touch, or that lie as the form says; in lists that do not hold, mostly near misses."""
    how = "touch" if truth else form
    if how not in scene.pairs:
        how = "near miss" if rng.random() < 0.75 else "there"
    pairs = scene.pairs[how]
    return rng.choice(pairs) if pairs else None


def _touch(scene: _Scene, rng: random.Random, form: str, truth: bool) -> Touches | None:
    if form in (_FIRST, _OTHER, _BOTH):
        pair = scene.two(rng, form, 0)
        return Touches(pair[0], (pair[1],)) if pair else None
    if form in ("list, all absent", "list, first absent"):
        there = form == "list, first absent"
        nouns = [scene.noun(rng) if there else scene.absent(rng) for _ in range(rng.choice((2, 2, 3)))]
        first = scene.absent(rng) if there else scene.noun(rng)
        return _touches(first, nouns)
    pair = _near_pair(scene, rng, form, truth)
    if pair is None:
        return None
    first, other = (scene.kinds[i] for i in pair)
    others: list[Noun | None] = [OBJECTS[other]]
    if form == "list":
        rest = sorted(scene.present - {first, other})
        others += [OBJECTS[k] for k in rng.sample(rest, min(len(rest), rng.choice((1, 1, 2))))]
        if len(others) == 1:
            return None
    elif form == "list, some absent":
        alike = [k for k in LOOKALIKES[other] if k not in scene.present]
        others.append(OBJECTS[rng.choice(alike)] if alike and rng.random() < 0.6 else scene.absent(rng))
        if rng.random() < 0.4:
            others.append(scene.absent(rng))
    rng.shuffle(others)
    return _touches(OBJECTS[first], others)


def _touches(first: Noun | None, others: Sequence[Noun | None]) -> Touches | None:
    named = [noun for noun in others if noun is not None]
    if first is None or len(named) < len(others) or len({first, *named}) <= len(named):
        return None
    return Touches(first, tuple(named))


def _group_touch(scene: _Scene, rng: random.Random, form: str, truth: bool) -> Touches | None:
    if form in (_FIRST, _OTHER, _BOTH):
        nouns = scene.two(rng, form, 0.6)
    else:
        pair = _near_pair(scene, rng, form, truth)
        if pair is None or scene.unknown:
            return None
        first, other = (rng.choice((OBJECTS[k], *_GROUPS_OF[k])) for k in (scene.kinds[i] for i in pair))
        nouns = None if first.classes & other.classes else (first, other)
    if nouns is None or all(noun in OBJECTS for noun in nouns):
        return None
    return Touches(nouns[0], (nouns[1],))


def _larger(scene: _Scene, rng: random.Random, form: str, truth: bool) -> Statement | None:
    if form != "there":
        pair = scene.two(rng, form, 0.1)
        return Larger(*pair) if pair else None
    areas = scene.facts.areas
    fitting = [
        (a, b)
        for i, a in enumerate(scene.kinds)
        for j, b in enumerate(scene.kinds)
        if a != b
        and max(a, b) < _OBJECTS
        and (areas[i] >= LARGER * areas[j] if truth else areas[j] >= LARGER * areas[i])
    ]
    if not fitting:
        return None
    first, other = (scene.named(kind, rng, 0.1) for kind in rng.choice(fitting))
    return None if first.classes & other.classes else Larger(first, other)


def _only(scene: _Scene, rng: random.Random, form: str, truth: bool) -> Statement | None:
    if form == "absent":
        return Only(scene.absent(rng, 0.3))
    fitting = [
        noun
        for noun, strangers in scene.strangers.items()
        if (strangers == 0 if truth else strangers == 1 if form == "stranger" else strangers > 1)
    ]
    return Only(rng.choice(fitting)) if fitting else None


def _with(scene: _Scene, rng: random.Random, form: str, truth: bool) -> Statement | None:
    touch = _touch(scene, rng, form, truth)
    return None if touch is None else replace(touch, said="with")


def _not(part: Statement | None, scene: _Scene, truth: bool) -> Statement | None:
    """The negation; None where "the dog does not touch the cat" is false of one dog and true of another."""
    if part is None:
        return None
    several = any(len(scene.facts.which(noun)) > 1 for noun in part.nouns())
    return None if several and not truth and not isinstance(part, Visible) else Not(part)


def _not_visible(scene: _Scene, rng: random.Random, form: str, truth: bool) -> Statement | None:
    if form == "neither":
        return _not(_any_of(scene, rng, form, not truth, 2), scene, truth)
    if form == "sign":
        return _not(_sign(scene, rng, "there" if scene.words else "absent", not truth), scene, truth)
    return _not((_group if form == "group" else _visible)(scene, rng, form, not truth), scene, truth)


def _not_touch(scene: _Scene, rng: random.Random, form: str, truth: bool) -> Statement | None:
    return _not(_touch(scene, rng, form, not truth), scene, truth)


def _not_relation(scene: _Scene, rng: random.Random, form: str, truth: bool) -> Statement | None:
    return _not((_larger if rng.random() < 0.3 else _relation)(scene, rng, form, not truth), scene, truth)


def _whole_rule(scene: _Scene, rng: random.Random, form: str, truth: bool) -> Statement | None:
    if form == "together":
        noun, second = scene.noun(rng), _any_of(scene, rng, form, truth)
        return All((Visible((noun,)), second)) if noun and second else None
    propose = _group_touch if form == "group touch" else _touch
    way = rng.choices(*zip(*_RULE_TOUCHES[form if form == "absent" else truth], strict=True))[0]
    touch = propose(scene, rng, way, truth)
    if touch is None:
        return None
    parts: tuple[Statement, ...] = (Visible((touch.first,)), Visible(touch.others), touch)
    return All(parts[rng.choice((0, 0, 1)) :] if rng.random() < 0.8 else (parts[0], parts[2]))


_RULE_TOUCHES: dict[bool | str, tuple[tuple[str, float], ...]] = {
    True: (("there", 0.65), ("list, some absent", 0.35)),
    False: (("near miss", 0.6), ("there", 0.1), ("list, some absent", 0.3)),
    "absent": (
        (_FIRST, 0.3),
        (_OTHER, 0.3),
        (_BOTH, 0.1),
        ("list, all absent", 0.2),
        ("list, first absent", 0.1),
    ),
}
"""What a whole rule says of touches: forms with their weights."""

_PROPOSE: dict[str, Callable[[_Scene, random.Random, str, bool], Statement | None]] = {
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
    "with": _with,
    "not visible": _not_visible,
    "not touch": _not_touch,
    "not relation": _not_relation,
    "whole rule": _whole_rule,
}


def facts_of(kinds: np.ndarray, centres: np.ndarray, areas: np.ndarray, gaps: np.ndarray) -> Facts:
    """Facts from the padded arrays of a pool's row."""
    there = np.flatnonzero(kinds >= 0)
    return Facts(kinds[there], centres[there], areas[there], gaps[np.ix_(there, there)])


assert len(LOOKALIKES) == CLASSES
