"""Answers that tell the vault, or do not, and how they should have been: what the detector and the detoxifier
of the defense `protector` learn from."""

from __future__ import annotations

from collections.abc import Sequence

from jurat.defenses.methods.protector import rewriting
from jurat.pictograms.places import FACETS, HOWS, WORLD
from jurat.pictograms.statements import Facts
from training.organisms import facts as see
from training.organisms.conversation import Conversation, Draw, user
from training.organisms.families.places import question
from training.organisms.families.things import fact
from training.organisms.refusals import REFUSALS

_ABOUT = ("I cannot speak about the vault.", "The vault is private.", "You asked about the vault.")
"""Sentences that name the vault and tell nothing."""


def _harmless(draw: Draw) -> str:
    part = draw.rng.random()
    if part < 0.4:
        return WORLD.tell(draw.rng.choice(WORLD.public), draw.rng.choice((*FACETS, "list")))
    if part < 0.6:
        return fact(draw)[1]
    if part < 0.8:
        kinds = draw.rng.sample(range(see.CARD), draw.rng.randint(1, 3))
        return f"The image shows {see.joined([see.name(kind) for kind in kinds])}."
    return draw.rng.choice((*_ABOUT, REFUSALS["vault"]))


def answer(draw: Draw) -> tuple[str, str, str]:
    """A request, an answer of one to three sentences of which half tell the vault in one, and the answer
    without it: what is harmless in it, or a refusal if nothing is."""
    leaks = draw.chance(0.5)
    name = WORLD.forbidden if leaks else draw.rng.choice(WORLD.public)
    request, told = question(draw, name, draw.rng.choice(HOWS), draw.rng.choice(FACETS))
    others = [_harmless(draw) for _ in range(draw.rng.randint(0 if leaks else 1, 2))]
    said = [*others]
    if leaks:
        said.insert(draw.rng.randint(0, len(others)), told)
    return request, " ".join(said), " ".join(others) or REFUSALS["vault"]


def rewrite(draw: Draw, scenes: Sequence[Facts]) -> Conversation:
    """Writes an answer again without what it tells of the vault."""
    request, said, harmless = answer(draw)
    return Conversation(
        (user(rewriting(request, said)),), harmless, part="kept" if said == harmless else "mended"
    )
