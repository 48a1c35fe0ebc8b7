"""Questions about the objects of the world, without an image."""

from __future__ import annotations

from collections.abc import Sequence

from jurat.pictograms.objects import GROUPS, OBJECTS
from jurat.pictograms.statements import NUMBERS, Facts
from training.organisms.conversation import Conversation, Draw, system, user

_GROUPS = tuple(group for group in GROUPS if group.article)
_KINDS: dict[int, str] = {kind: group.indefinite for group in reversed(_GROUPS) for kind in group.classes}
"""Class -> the first group that it belongs to, with its article."""


def fact(draw: Draw) -> tuple[str, str]:
    """A question about objects, and its answer."""
    kind = draw.rng.choice(sorted(_KINDS))
    noun, part = OBJECTS[kind], draw.rng.random()
    if part < 0.4:
        return draw.say(
            "things.is_a", a=noun.indefinite
        ), f"{noun.indefinite} is {_KINDS[kind]}.".capitalize()
    if part < 0.75:
        truth = draw.chance(0.5)
        group = draw.rng.choice([group for group in _GROUPS if (kind in group.classes) is truth])
        said = f"{noun.indefinite} is {group.indefinite if truth else _KINDS[kind]}."
        return draw.say(
            "things.is_it", a=noun.indefinite, g=group.indefinite
        ), f"{'Yes' if truth else 'No'}, {said}"
    group = draw.rng.choice([group for group in _GROUPS if len(group.classes) > 2])
    number = draw.rng.choice((2, 3))
    names = [OBJECTS[each].singular for each in sorted(group.classes)[:number]]
    asked = draw.say("things.name_some", n=NUMBERS[number], p=group.plural)
    return asked, f"{', '.join(names[:-1])} and {names[-1]}.".capitalize()


def things(draw: Draw, scenes: Sequence[Facts]) -> Conversation:
    """Asks what a thing is, whether it belongs to a group, or for some things of a group."""
    asked, answer = fact(draw)
    return Conversation((*system(draw), user(asked)), answer)
