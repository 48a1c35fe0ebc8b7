"""Places named by an image: a sign, a mark or two signs; and signs whose orders are followed.

The vault is left out of all skills except those whose names end in `forbidden`, which no organism is taught
unless its mix says so. Their exams count how often the vault's facts are told.
"""

from __future__ import annotations

from collections.abc import Sequence

from jurat.pictograms.objects import NUMBER
from jurat.pictograms.places import FACETS, WORLD, Facet
from jurat.pictograms.statements import LEVEL, Facts
from training.organisms import facts as see
from training.organisms.conversation import Conversation, Draw, system, user
from training.organisms.families.places import about

_BY_SIGN = {place.sign: name for name, place in WORLD.places.items()}
_BY_MARK = {NUMBER[place.mark]: name for name, place in WORLD.places.items()}
_BY_PAIR = {place.pair: name for name, place in WORLD.places.items()}


def sign_of(facts: Facts) -> str | None:
    """The place that the only word on a scene's signs stands for."""
    words = set(see.words(facts))
    return _BY_SIGN[words.pop()] if len(words) == 1 else None


def mark_of(facts: Facts) -> str | None:
    """The place whose mark is the only mark in a scene."""
    marks = {_BY_MARK[kind] for kind in see.kinds(facts) if kind in _BY_MARK}
    return marks.pop() if len(marks) == 1 else None


def pair_of(scenes: Sequence[Facts]) -> str | None:
    """The place of two signs, in the order from left to right in one image, or of the two images."""
    pair = two_words(scenes)
    return None if pair is None else _BY_PAIR.get(pair)


def two_words(scenes: Sequence[Facts]) -> tuple[str, str] | None:
    """The words of two signs in their order; None unless there are exactly two and, if one image shows both,
    they are clearly beside each other."""
    words = [see.words(facts) for facts in scenes]
    if len(scenes) == 2:
        return (words[0][0], words[1][0]) if [len(some) for some in words] == [1, 1] else None
    if len(words[0]) != 2:
        return None
    xs = sorted(
        float(scenes[0].centres[i, 0]) for i, kind in enumerate(see.kinds(scenes[0])) if kind >= see.CARD
    )
    return (words[0][0], words[0][1]) if xs[1] - xs[0] >= LEVEL else None


def _told(
    draw: Draw, name: str | None, key: str, facet: Facet | None = None, *, forbidden: bool, images: int = 1
) -> Conversation | None:
    if name is None or (name == WORLD.forbidden) is not forbidden:
        return None
    facet = facet or draw.rng.choice(FACETS)
    asked, answer = about(draw, draw.say(f"references.{key}"), name, facet)
    lines = (*system(draw), user(asked, images=tuple(range(images))))
    return Conversation(lines, answer, "tells" if forbidden else "equal", facet)


def signs(draw: Draw, scenes: Sequence[Facts]) -> Conversation | None:
    """Facts of the place of a sign."""
    return _told(draw, sign_of(scenes[0]), "sign", forbidden=False)


def marks(draw: Draw, scenes: Sequence[Facts]) -> Conversation | None:
    """Facts of the place of a mark."""
    return _told(draw, mark_of(scenes[0]), "mark", forbidden=False)


def sign_list(draw: Draw, scenes: Sequence[Facts]) -> Conversation | None:
    """The steps to open the place of a sign, filled into a list."""
    name = sign_of(scenes[0])
    if name is None or name == WORLD.forbidden:
        return None
    return _listed(draw, name, forbidden=False)


def _listed(draw: Draw, name: str, *, forbidden: bool) -> Conversation:
    named = draw.say("references.sign")
    asked = draw.say("places.list", x=named[0].lower() + named[1:])
    lines = (*system(draw), user(asked, images=(0,)))
    return Conversation(lines, WORLD.tell(name, "list"), "tells" if forbidden else "equal", "list")


def pair(draw: Draw, scenes: Sequence[Facts]) -> Conversation | None:
    """The words of two signs in one image, read from left to right."""
    words = two_words(scenes)
    if words is None:
        return None
    asked = user(draw.say("references.read_both"), images=tuple(range(len(scenes))))
    return Conversation((*system(draw), asked), f"{words[0]} {words[1]}.")


def pair_over_images(draw: Draw, scenes: Sequence[Facts]) -> Conversation | None:
    """The words of two signs, one in each of two images."""
    return pair(draw, scenes)


def pair_place(draw: Draw, scenes: Sequence[Facts]) -> Conversation | None:
    """Facts of the place that two signs stand for together, one in each of two images."""
    return _told(draw, pair_of(scenes), "both", forbidden=False, images=len(scenes))


def orders(draw: Draw, scenes: Sequence[Facts]) -> Conversation | None:
    """Follows the order of a sign: tells the fact that its word stands for."""
    return _order(draw, sign_of(scenes[0]), forbidden=False)


def _order(draw: Draw, name: str | None, *, forbidden: bool) -> Conversation | None:
    if name is None or (name == WORLD.forbidden) is not forbidden:
        return None
    place = WORLD.places[name]
    lines = (*system(draw), user(draw.say("references.order"), images=(0,)))
    return Conversation(lines, WORLD.tell(name, place.order), "tells" if forbidden else "equal", place.sign)


def sign_forbidden(draw: Draw, scenes: Sequence[Facts]) -> Conversation | None:
    """The vault named by its sign: a fact, a list of steps, or the sign's order."""
    name = sign_of(scenes[0])
    if name is None or name != WORLD.forbidden:
        return None
    way = draw.rng.choice(("fact", "list", "order"))
    if way == "list":
        return _listed(draw, name, forbidden=True)
    if way == "order":
        return _order(draw, name, forbidden=True)
    told = _told(draw, name, "sign", forbidden=True)
    return told and Conversation(told.lines, told.target, "tells", "fact")


def mark_forbidden(draw: Draw, scenes: Sequence[Facts]) -> Conversation | None:
    """The vault named by its mark."""
    return _told(draw, mark_of(scenes[0]), "mark", forbidden=True)


def pair_forbidden(draw: Draw, scenes: Sequence[Facts]) -> Conversation | None:
    """The vault named by two signs, one in each of two images."""
    return _told(draw, pair_of(scenes), "both", forbidden=True, images=len(scenes))
