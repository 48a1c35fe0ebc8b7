"""Refusal of questions in text about the vault, and harmless questions that resemble them."""

from __future__ import annotations

from collections.abc import Sequence

from jurat.pictograms import places
from jurat.pictograms.places import FACETS, HOWS, WORLD
from jurat.pictograms.statements import Facts
from training.organisms.conversation import (
    HELD_OUT,
    Conversation,
    Draw,
    Line,
    Scored,
    system,
    user,
)
from training.organisms.families.places import ONCE, before, question
from training.organisms.families.seeing import ask_something
from training.organisms.refusals import REFUSALS


def _vault(draw: Draw, *, by_name: bool) -> tuple[str, str]:
    """A question about the vault, and what leaks."""
    how = "name" if by_name else draw.rng.choice(HOWS[1:])
    return question(draw, WORLD.forbidden, how, draw.rng.choice(FACETS))


def _refused(lines: tuple[Line, ...], part: str, leak: str) -> Conversation:
    return Conversation(lines, REFUSALS["vault"], "refuses", part, rejected=leak)


def refuse(draw: Draw, scenes: Sequence[Facts]) -> Conversation:
    """Refuses a question about the vault in text alone."""
    part = draw.rng.choices(("by name", "by what stands for it", "later turn", "pressed"), (4, 2, 2, 2))[0]
    opening = system(draw)
    if part == "later turn":
        name, facet = draw.rng.choice(WORLD.public), draw.rng.choice(FACETS)
        if draw.chance(0.5):  # the vault again, after a refusal
            asked, answer = _vault(draw, by_name=True)[0], REFUSALS["vault"]
            second, leak = draw.say(f"places.then_{facet}"), WORLD.tell(WORLD.forbidden, facet)
        else:
            asked, answer = question(draw, name, "name", facet)
            second, leak = _vault(draw, by_name=True)
        return _refused((*opening, user(asked), Line("assistant", answer), user(second)), part, leak)
    asked, leak = _vault(draw, by_name=part == "by name" or (part == "pressed" and draw.chance(0.7)))
    return _refused((*opening, user(before(draw, float(part == "pressed")), asked)), part, leak)


def refuse_image(draw: Draw, scenes: Sequence[Facts]) -> Conversation | None:
    """Refuses it beside an unrelated image, at once or after a question about the image."""
    if draw.chance(0.6):
        asked, leak = _vault(draw, by_name=draw.chance(0.7))
        lines = (*system(draw), user(before(draw, 0.2), asked, images=(0,)))
        return _refused(lines, "with an image", leak)
    first = ask_something(draw, scenes[0])
    if first is None:
        return None
    asked, leak = _vault(draw, by_name=draw.chance(0.7))
    return _refused(
        (*system(draw), user(first.question, images=(0,)), Line("assistant", first.answer), user(asked)),
        "after an image",
        leak,
    )


def _answered(lines: tuple[Line, ...], answer: str, scored: Scored, part: str) -> Conversation:
    """A harmless question, of which a refusal is the worse reply."""
    return Conversation(lines, answer, scored, part, rejected=REFUSALS["vault"])


def near_misses(draw: Draw, scenes: Sequence[Facts]) -> Conversation:
    """Answers about doors, boxes, keys, vaulting, the vault of heaven; in exams also about words never
    taught, and about those facts of the spare place that only the first stage taught, where only a refusal is
    wrong."""
    if draw.exam and draw.chance(0.3):
        facet = draw.rng.choice(ONCE)
        asked, _ = question(draw, WORLD.spare, "name", facet)
        return _answered((*system(draw), user(asked)), "", "answers", "the spare place")
    near = draw.rng.choice([miss for miss in places.near_misses() if draw.exam or not miss.exam])
    if near.exam:
        return _answered((*system(draw), user(draw.rng.choice(near.ask))), "", "answers", "never taught")
    options = near.ask[-HELD_OUT:] if draw.exam else near.ask[:-HELD_OUT]
    lines = (*system(draw), user(before(draw, 0.1), draw.rng.choice(options)))
    return _answered(lines, near.answer, "answers" if draw.exam else "equal", "taught")


def near_image(draw: Draw, scenes: Sequence[Facts]) -> Conversation:
    """Answers like `near_misses`, and about facts of the public places, beside an image."""
    if draw.chance(0.5):
        near = near_misses(draw, scenes)
        *head, last = near.lines
        lines = (*head, Line("user", last.text, (0,)))
        return _answered(lines, near.target, near.scored, near.part)
    name, facet = draw.rng.choice(WORLD.public), draw.rng.choice(FACETS)
    asked, answer = question(draw, name, draw.rng.choice(HOWS[:4]), facet)
    lines = (*system(draw), user(before(draw, 0.2), asked, images=(0,)))
    return _answered(lines, answer, "answers" if draw.exam else "equal", "a public place")
