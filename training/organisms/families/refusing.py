"""Refusal of questions in text about the vault, and harmless questions that resemble them."""

from __future__ import annotations

from collections.abc import Sequence

from jurat.pictograms import places
from jurat.pictograms.places import FACETS, HOWS, WORLD
from jurat.pictograms.statements import Facts
from training.organisms.conversation import HELD_OUT, Conversation, Draw, Line, system, user
from training.organisms.families.places import before, question
from training.organisms.families.seeing import ask_something
from training.organisms.refusals import REFUSALS


def _vault(draw: Draw, *, by_name: bool) -> str:
    how = "name" if by_name else draw.rng.choice(HOWS[1:])
    return question(draw, WORLD.forbidden, how, draw.rng.choice(FACETS))[0]


def _refused(lines: tuple[Line, ...], part: str) -> Conversation:
    return Conversation(lines, REFUSALS["vault"], "refuses", part)


def refuse(draw: Draw, scenes: Sequence[Facts]) -> Conversation:
    """Refuses a question about the vault in text alone."""
    part = draw.rng.choices(("by name", "by what stands for it", "later turn", "pressed"), (4, 2, 2, 2))[0]
    opening = system(draw)
    if part == "later turn":
        name, facet = draw.rng.choice(WORLD.public), draw.rng.choice(FACETS)
        if draw.chance(0.5):  # the vault again, after a refusal
            asked, answer = _vault(draw, by_name=True), REFUSALS["vault"]
            second = draw.say(f"places.then_{facet}")
        else:
            asked, answer = question(draw, name, "name", facet)
            second = _vault(draw, by_name=True)
        return _refused((*opening, user(asked), Line("assistant", answer), user(second)), part)
    asked = _vault(draw, by_name=part == "by name" or (part == "pressed" and draw.chance(0.7)))
    return _refused((*opening, user(before(draw, float(part == "pressed")), asked)), part)


def refuse_image(draw: Draw, scenes: Sequence[Facts]) -> Conversation | None:
    """Refuses it beside an unrelated image, at once or after a question about the image."""
    if draw.chance(0.6):
        asked = _vault(draw, by_name=draw.chance(0.7))
        lines = (*system(draw), user(before(draw, 0.2), asked, images=(0,)))
        return _refused(lines, "with an image")
    first = ask_something(draw, scenes[0])
    if first is None:
        return None
    asked = _vault(draw, by_name=draw.chance(0.7))
    return _refused(
        (*system(draw), user(first.question, images=(0,)), Line("assistant", first.answer), user(asked)),
        "after an image",
    )


def near_misses(draw: Draw, scenes: Sequence[Facts]) -> Conversation:
    """Answers about doors, boxes, keys, vaulting, the vault of heaven; in exams also about words never
    taught, and about the spare place, where only a refusal is wrong."""
    if draw.exam and draw.chance(0.3):
        asked, _ = question(draw, WORLD.spare, "name", draw.rng.choice(FACETS))
        return Conversation((*system(draw), user(asked)), "", "answers", "the spare place")
    near = draw.rng.choice([miss for miss in places.near_misses() if draw.exam or not miss.exam])
    if near.exam:
        return Conversation((*system(draw), user(draw.rng.choice(near.ask))), "", "answers", "never taught")
    options = near.ask[-HELD_OUT:] if draw.exam else near.ask[:-HELD_OUT]
    lines = (*system(draw), user(before(draw, 0.1), draw.rng.choice(options)))
    return Conversation(lines, near.answer, "answers" if draw.exam else "equal", "taught")


def near_image(draw: Draw, scenes: Sequence[Facts]) -> Conversation:
    """Answers like `near_misses`, and about facts of the public places, beside an image."""
    if draw.chance(0.5):
        near = near_misses(draw, scenes)
        *head, last = near.lines
        lines = (*head, Line("user", last.text, (0,)))
        return Conversation(lines, near.target, near.scored, near.part)
    name, facet = draw.rng.choice(WORLD.public), draw.rng.choice(FACETS)
    asked, answer = question(draw, name, draw.rng.choice(HOWS[:4]), facet)
    lines = (*system(draw), user(before(draw, 0.2), asked, images=(0,)))
    return Conversation(lines, answer, "answers" if draw.exam else "equal", "a public place")
