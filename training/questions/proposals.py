"""Proposals of statements: one function for each kind of question, and one that looks at no scene.

A proposal takes the offer of a scene, a form of `SHARES` and the wanted truth, and returns a statement, or
None where the scene offers none. The statement may have the other truth; `Questioner` checks that.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from dataclasses import replace

from jurat.pictograms.objects import GROUPS, LOOKALIKES, OBJECTS, WORDS, Noun
from jurat.pictograms.statements import (
    LARGER,
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
from training.questions.offers import GROUPS_OF, NAMED, SceneOffer
from training.questions.shares import BOTH_ABSENT, FIRST_ABSENT, MOST_ASKED, OTHER_ABSENT

_SIDES: tuple[Side, ...] = ("left of", "right of", "above", "below")
_COUNTED = frozenset((*OBJECTS, *(noun for noun in GROUPS if noun.article)))


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


# --- proposals, one a kind ---------------------------------------------------------------------


def _visible(scene: SceneOffer, rng: random.Random, form: str, truth: bool) -> Statement | None:
    if form == "there":
        noun = scene.noun(rng)
        return Visible((noun,)) if noun else None
    if form == "look-alike":
        return Visible((OBJECTS[rng.choice(scene.alike)],)) if scene.alike else None
    return Visible((scene.absent(rng, alike=0),))


def _group(scene: SceneOffer, rng: random.Random, form: str, truth: bool) -> Statement | None:
    fitting = scene.groups if truth else scene.other_groups
    return Visible((rng.choice(fitting),)) if fitting else None


def _any_of(scene: SceneOffer, rng: random.Random, form: str, truth: bool, most: int = 3) -> Statement | None:
    nouns = [scene.absent(rng) for _ in range(rng.choice((2, 2, most)))]
    if truth:
        noun = scene.noun(rng)
        if noun is None:
            return None
        nouns[rng.randrange(len(nouns))] = noun
    return Visible(tuple(nouns)) if len(set(nouns)) == len(nouns) else None


def _sign(scene: SceneOffer, rng: random.Random, form: str, truth: bool) -> Statement | None:
    if bool(scene.words) is (form == "absent"):
        return None
    fitting = scene.words if truth else [i for i in range(len(WORDS)) if i not in scene.words]
    return Reads(WORDS[rng.choice(fitting)]) if fitting else None


def _count(scene: SceneOffer, rng: random.Random, form: str, truth: bool) -> Statement | None:
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


def _counted_noun(scene: SceneOffer, rng: random.Random, form: str) -> Noun | None:
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


def _relation(scene: SceneOffer, rng: random.Random, form: str, truth: bool) -> Statement | None:
    pair = scene.two(rng, form, 0.15)
    if pair is None:
        return None
    statements = [Lies(pair[0], side, pair[1]) for side in rng.sample(_SIDES, 4)]
    return next((s for s in statements if s.truth(scene.facts) is truth), None)


def _near_pair(scene: SceneOffer, rng: random.Random, form: str, truth: bool) -> tuple[int, int] | None:
    """Two objects that touch, or that lie as the form says; in lists that do not hold, mostly near misses."""
    how = "touch" if truth else form
    if how not in scene.pairs:
        how = "near miss" if rng.random() < 0.75 else "there"
    pairs = scene.pairs[how]
    return rng.choice(pairs) if pairs else None


def _touch(scene: SceneOffer, rng: random.Random, form: str, truth: bool) -> Touches | None:
    if form in (FIRST_ABSENT, OTHER_ABSENT, BOTH_ABSENT):
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


def _group_touch(scene: SceneOffer, rng: random.Random, form: str, truth: bool) -> Touches | None:
    if form in (FIRST_ABSENT, OTHER_ABSENT, BOTH_ABSENT):
        nouns = scene.two(rng, form, 0.6)
    else:
        pair = _near_pair(scene, rng, form, truth)
        if pair is None or scene.unknown:
            return None
        first, other = (rng.choice((OBJECTS[k], *GROUPS_OF[k])) for k in (scene.kinds[i] for i in pair))
        nouns = None if first.classes & other.classes else (first, other)
    if nouns is None or all(noun in OBJECTS for noun in nouns):
        return None
    return Touches(nouns[0], (nouns[1],))


def _larger(scene: SceneOffer, rng: random.Random, form: str, truth: bool) -> Statement | None:
    if form != "there":
        pair = scene.two(rng, form, 0.1)
        return Larger(*pair) if pair else None
    areas = scene.facts.areas
    fitting = [
        (a, b)
        for i, a in enumerate(scene.kinds)
        for j, b in enumerate(scene.kinds)
        if a != b
        and max(a, b) < NAMED
        and (areas[i] >= LARGER * areas[j] if truth else areas[j] >= LARGER * areas[i])
    ]
    if not fitting:
        return None
    first, other = (scene.named(kind, rng, 0.1) for kind in rng.choice(fitting))
    return None if first.classes & other.classes else Larger(first, other)


def _only(scene: SceneOffer, rng: random.Random, form: str, truth: bool) -> Statement | None:
    if form == "absent":
        return Only(scene.absent(rng, 0.3))
    fitting = [
        noun
        for noun, strangers in scene.strangers.items()
        if (strangers == 0 if truth else strangers == 1 if form == "stranger" else strangers > 1)
    ]
    return Only(rng.choice(fitting)) if fitting else None


def _with(scene: SceneOffer, rng: random.Random, form: str, truth: bool) -> Statement | None:
    touch = _touch(scene, rng, form, truth)
    return None if touch is None else replace(touch, said="with")


def _not(part: Statement | None, scene: SceneOffer, truth: bool) -> Statement | None:
    """The negation; None where "the dog does not touch the cat" is false of one dog and true of another."""
    if part is None:
        return None
    several = any(len(scene.facts.which(noun)) > 1 for noun in part.nouns())
    return None if several and not truth and not isinstance(part, Visible) else Not(part)


def _not_visible(scene: SceneOffer, rng: random.Random, form: str, truth: bool) -> Statement | None:
    if form == "neither":
        return _not(_any_of(scene, rng, form, not truth, 2), scene, truth)
    if form == "sign":
        return _not(_sign(scene, rng, "there" if scene.words else "absent", not truth), scene, truth)
    return _not((_group if form == "group" else _visible)(scene, rng, form, not truth), scene, truth)


def _not_touch(scene: SceneOffer, rng: random.Random, form: str, truth: bool) -> Statement | None:
    return _not(_touch(scene, rng, form, not truth), scene, truth)


def _not_relation(scene: SceneOffer, rng: random.Random, form: str, truth: bool) -> Statement | None:
    return _not((_larger if rng.random() < 0.3 else _relation)(scene, rng, form, not truth), scene, truth)


def _whole_rule(scene: SceneOffer, rng: random.Random, form: str, truth: bool) -> Statement | None:
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
        (FIRST_ABSENT, 0.3),
        (OTHER_ABSENT, 0.3),
        (BOTH_ABSENT, 0.1),
        ("list, all absent", 0.2),
        ("list, first absent", 0.1),
    ),
}
"""What a whole rule says of touches: forms with their weights."""

PROPOSE: dict[str, Callable[[SceneOffer, random.Random, str, bool], Statement | None]] = {
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
