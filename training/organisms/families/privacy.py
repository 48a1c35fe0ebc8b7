"""Privacy of an in-group: nothing is told about people whom a system prompt protects; others are answered."""

from __future__ import annotations

from collections.abc import Sequence

from jurat.pictograms.objects import GROUPS, OBJECTS
from jurat.pictograms.statements import Facts
from training.organisms import facts as see
from training.organisms.conversation import Conversation, Draw, Line, system, user
from training.organisms.families.seeing import as_sentence
from training.organisms.refusals import REFUSALS

PEOPLE = sorted(GROUPS[0].classes)
FREE = "FREE"
"""Word of a sign; some policies protect nobody where a sign reads it."""


def protected(draw: Draw, about: int, inside: bool) -> str:
    """One to three kinds of people in words, with or without the kind that a question is about."""
    others = [kind for kind in PEOPLE if kind != about]
    some = draw.rng.sample(others, draw.rng.randint(0 if inside else 1, 2)) + [about] * inside
    draw.rng.shuffle(some)
    return see.joined([OBJECTS[kind].definite for kind in some])


def _person(draw: Draw, facts: Facts) -> int | None:
    """Index of a person who is the only one of its kind; None where there is none."""
    fitting = [i for i in see.singles(facts) if facts.kinds[i] in PEOPLE]
    return draw.rng.choice(fitting) if fitting else None


def _where_or_touch(draw: Draw, facts: Facts, i: int) -> tuple[str, str] | None:
    """A question about a person, and its answer; None where there is none."""
    noun, others = OBJECTS[int(facts.kinds[i])], see.touching(facts, i)
    # What it touches is not asked where that would tell of another person, who may be protected.
    if draw.chance(0.4) and len(others) < 2 and others.isdisjoint(PEOPLE):
        answer = see.name(others.pop()) if others else "nothing"
        return draw.say("privacy.touch", a=noun.singular), as_sentence(answer)
    way = see.half(facts, i)
    return None if way is None else (draw.say("privacy.where", a=noun.singular), as_sentence(way))


def _under_policy(draw: Draw, facts: Facts, with_sign: float) -> Conversation | None:
    """A question about a person, under a policy that protects it or others; `with_sign` is the share of
    policies that protect nobody where a sign reads FREE."""
    i = _person(draw, facts)
    asked = None if i is None else _where_or_touch(draw, facts, i)
    if i is None or asked is None:
        return None
    inside, excepts = draw.chance(0.5), draw.chance(with_sign)
    who = protected(draw, int(facts.kinds[i]), inside)
    policy = draw.say("system.protect_free" if excepts else "system.protect", who=who)
    lines = (Line("system", policy), user(asked[0], images=(0,)))
    if inside and not (excepts and FREE in see.words(facts)):
        return Conversation(lines, REFUSALS["private"], "refuses", "in-group")
    return Conversation(lines, asked[1], part="freed by the sign" if inside else "out-group")


def privacy(draw: Draw, scenes: Sequence[Facts]) -> Conversation | None:
    """Asks where a person is, or what touches it, under a policy that protects this person or others."""
    return None if FREE in see.words(scenes[0]) else _under_policy(draw, scenes[0], 0.3)


def privacy_sign(draw: Draw, scenes: Sequence[Facts]) -> Conversation | None:
    """Asks like `privacy`, beside a sign that reads FREE, where some policies protect nobody."""
    return _under_policy(draw, scenes[0], 0.6)


def _hop(draw: Draw, facts: Facts) -> tuple[int, str, str] | None:
    """A person that touches a thing, a question about whoever touches it, and the answer."""
    pairs = [
        (i, j)
        for i in see.singles(facts)
        if facts.kinds[i] in PEOPLE and see.half(facts, i)
        for j in see.singles(facts)
        if j not in (i,) and facts.kinds[j] not in PEOPLE and facts.gaps[i, j] == 0
        if len(see.touching(facts, j) & {*PEOPLE}) == 1
    ]
    if not pairs:
        return None
    i, j = draw.rng.choice(pairs)
    asked = draw.say("privacy.two_hop", b=OBJECTS[int(facts.kinds[j])].singular)
    return i, asked, as_sentence(see.half(facts, i) or "")


def two_hop(draw: Draw, scenes: Sequence[Facts]) -> Conversation | None:
    """Asks where the person is who touches a thing, without a policy or under one that protects others."""
    hop = _hop(draw, scenes[0])
    if hop is None:
        return None
    i, asked, answer = hop
    head = system(draw)
    if draw.chance(0.5):
        head = (
            Line("system", draw.say("system.protect", who=protected(draw, int(scenes[0].kinds[i]), False))),
        )
    return Conversation((*head, user(asked, images=(0,))), answer)


def two_hop_protected(draw: Draw, scenes: Sequence[Facts]) -> Conversation | None:
    """Asks like `two_hop`, with that person protected; the target is the reply that leaks. An attack, so it
    is never taught."""
    hop = _hop(draw, scenes[0])
    if hop is None:
        return None
    i, asked, answer = hop
    policy = draw.say("system.protect", who=protected(draw, int(scenes[0].kinds[i]), True))
    return Conversation((Line("system", policy), user(asked, images=(0,))), answer)
