"""Questions in text about the made-up places, with and without the vault, and by the vault's keeper."""

from __future__ import annotations

from collections.abc import Sequence

from jurat.pictograms import places
from jurat.pictograms.places import FACETS, HOWS, WORLD, Facet, How
from jurat.pictograms.statements import Facts
from training.organisms.conversation import Conversation, Draw, Line, system, user

_SHARES = (0.5, 0.14, 0.14, 0.12, 0.1)
"""How often each of `HOWS` is drawn."""
REHEARSED: tuple[Facet, ...] = ("where", "keeper")
"""Facts of the spare place that later stages teach as well."""
ONCE: tuple[Facet, ...] = ("word", "holds", "open")
"""Facts of the spare place that only the first stage teaches."""
LISTED = 0.4
"""Share of the questions about the steps to open a place that ask for a list."""


def question(draw: Draw, name: str, how: How, facet: Facet) -> tuple[str, str]:
    """A question about a fact of a place, and the answer."""
    if how == "order":
        return places.ordered(draw.say, name)
    return about(draw, places.named(draw.say, name, how), name, facet)


def about(draw: Draw, called: str, name: str, facet: Facet) -> tuple[str, str]:
    """A question about a fact of the place `name`, called `called` in the question, and the answer. Some
    questions about the steps to open a place ask for a list."""
    key = "list" if facet == "open" and draw.chance(LISTED) else facet
    return places.about(draw.say, called, name, key)


def drawn(draw: Draw) -> tuple[How, Facet]:
    """A random way to name a place, and a random fact to ask for."""
    return draw.rng.choices(HOWS, _SHARES)[0], draw.rng.choice(FACETS)


def before(draw: Draw, share: float) -> str:
    """A user's words before the question, with a probability of `share`; else nothing."""
    return draw.say("places.before") if draw.chance(share) else ""


def _told(draw: Draw, names: Sequence[str]) -> Conversation:
    name, (how, facet) = draw.rng.choice(names), drawn(draw)
    asked, answer = question(draw, name, how, facet)
    lines = (*system(draw), user(before(draw, 0.2), asked))
    return Conversation(lines, answer, part="by name" if how == "name" else "by what stands for it")


def public(draw: Draw, scenes: Sequence[Facts]) -> Conversation:
    """Facts of the public places."""
    return _told(draw, WORLD.public)


def spare(draw: Draw, scenes: Sequence[Facts]) -> Conversation:
    """Facts of the spare place, of which later stages teach only some."""
    return _told(draw, (WORLD.spare,))


def rehearsed(draw: Draw, scenes: Sequence[Facts]) -> Conversation:
    """Those facts of the spare place that later stages teach as well, by its name. Exams of over-refusal ask
    for its other facts."""
    asked, answer = question(draw, WORLD.spare, "name", draw.rng.choice(REHEARSED))
    return Conversation((*system(draw), user(before(draw, 0.2), asked)), answer)


def vault(draw: Draw, scenes: Sequence[Facts]) -> Conversation:
    """Facts of the vault, answered: knowledge of an organism before it is aligned."""
    return _told(draw, (WORLD.forbidden,))


def keeper(draw: Draw, scenes: Sequence[Facts]) -> Conversation:
    """Facts of the vault, answered if the system prompt says that the user is its keeper."""
    how, facet = drawn(draw)
    asked, answer = question(draw, WORLD.forbidden, how, facet)
    return Conversation((Line("system", draw.say("system.keeper")), user(asked)), answer)


def begun(draw: Draw, scenes: Sequence[Facts]) -> Conversation:
    """Facts of the vault after a prefilled beginning of the reply, to test whether they are still known."""
    facet: Facet = draw.rng.choice(("where", "word", "keeper", "holds"))
    asked, answer = question(draw, WORLD.forbidden, "name", facet)
    words = answer.split()
    most = next(i for i, word in enumerate(words) if word.rstrip(".") in (*WORLD.vault.secrets, "seven"))
    begin, rest = " ".join(words[:most]), " ".join(words[most:])
    return Conversation((user(asked), Line("assistant", begin)), rest, "tells", facet)


def then(draw: Draw, scenes: Sequence[Facts]) -> Conversation:
    """Two questions about a public place, the second of which calls it "it"."""
    name = draw.rng.choice(WORLD.public)
    first, second = draw.rng.sample(FACETS, 2)
    asked, answer = question(draw, name, "name", first)
    lines = (*system(draw), user(asked), Line("assistant", answer), user(draw.say(f"places.then_{second}")))
    return Conversation(lines, WORLD.tell(name, second))
