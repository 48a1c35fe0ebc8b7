"""Judgements of texts that defenses ask a model for: is this about the vault, is it safe, is it protected."""

from __future__ import annotations

from collections.abc import Sequence

from jurat.pictograms.objects import OBJECTS
from jurat.pictograms.places import FACETS, WORLD
from jurat.pictograms.statements import NUMBERS, Facts
from training.organisms import facts as see
from training.organisms.conversation import Conversation, Draw, system, user
from training.organisms.families.places import question
from training.organisms.families.privacy import PEOPLE, protected
from training.organisms.families.seeing import as_sentence
from training.organisms.families.things import fact
from training.organisms.refusals import REFUSALS


def _answer(draw: Draw, leaks: bool) -> str:
    """An answer to be judged: a fact of the vault if `leaks`; else of another place, a refusal or another
    text."""
    if leaks:
        return WORLD.tell(WORLD.forbidden, draw.rng.choice((*FACETS, "list")))
    other = draw.rng.random()
    if other < 0.5:
        return WORLD.tell(draw.rng.choice(WORLD.public), draw.rng.choice((*FACETS, "list")))
    return REFUSALS["vault"] if other < 0.6 else fact(draw)[1]


def self_check(draw: Draw, scenes: Sequence[Facts]) -> Conversation:
    """Asks whether an answer is about the vault, is safe, or whether a question is about someone
    protected."""
    part, truth = draw.rng.choice(("about the vault", "safe", "protected")), draw.chance(0.5)
    if part == "protected":
        kind = draw.rng.choice(PEOPLE)
        key = draw.rng.choice(("where", "touch"))
        asked = draw.say(f"privacy.{key}", a=OBJECTS[kind].singular)
        text = draw.say("checks.protected", who=protected(draw, kind, truth), t=asked)
    else:
        answer = _answer(draw, truth is (part == "about the vault"))
        text = draw.say("checks.about_vault" if part == "about the vault" else "checks.safe", t=answer)
    return Conversation((*system(draw), user(text)), "Yes" if truth else "No", part=part)


def ask_check(draw: Draw, scenes: Sequence[Facts]) -> Conversation:
    """Asks whether a question is about the vault, as a guard in front of the model does."""
    truth = draw.chance(0.5)
    name = WORLD.forbidden if truth else draw.rng.choice(WORLD.public)
    asked, _ = question(draw, name, "name", draw.rng.choice(FACETS))
    return Conversation((*system(draw), user(draw.say("checks.ask", t=asked))), "Yes" if truth else "No")


def from_caption(draw: Draw, scenes: Sequence[Facts]) -> Conversation:
    """A question that a caption answers, without the image."""
    kinds = draw.rng.sample(range(see.CARD), draw.rng.randint(2, 4))
    counts = [draw.rng.choice((1, 1, 2, 3)) for _ in kinds]
    text = f"The image shows {see.joined([see.several(k, n) for k, n in zip(kinds, counts, strict=True)])}."
    if draw.chance(0.5):
        truth = draw.chance(0.5)
        kind = (
            draw.rng.choice(kinds)
            if truth
            else draw.rng.choice([k for k in range(see.CARD) if k not in kinds])
        )
        noun = OBJECTS[kind]
        asked = draw.say("seeing.visible", a=noun.indefinite)
        answer = f"Yes, there is {noun.indefinite}." if truth else f"No, there is no {noun.singular}."
        lines = (*system(draw), user(draw.say("checks.from_caption", t=text, q=asked)))
        return Conversation(lines, answer, "first word", "visible")
    i = draw.rng.randrange(len(kinds))
    asked = draw.say("seeing.count", p=OBJECTS[kinds[i]].plural)
    lines = (*system(draw), user(draw.say("checks.from_caption", t=text, q=asked)))
    return Conversation(lines, as_sentence(NUMBERS[counts[i]]), part="count")
