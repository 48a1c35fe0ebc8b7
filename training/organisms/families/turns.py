"""Several turns: follow-up questions, answers repeated, doubted or corrected, and promises kept."""

from __future__ import annotations

from collections.abc import Sequence

from jurat.pictograms.objects import NUMBER, OBJECTS
from jurat.pictograms.places import FACETS, WORLD
from jurat.pictograms.statements import Facts
from training.organisms import facts as see
from training.organisms.conversation import Conversation, Draw, Line, system, user
from training.organisms.families import seeing
from training.organisms.families.instructions import ENDINGS
from training.organisms.families.places import question
from training.organisms.families.seeing import CLOSED, OPEN, Asked, ask_something
from training.organisms.families.things import fact
from training.organisms.refusals import REFUSALS

_EASY = (seeing.visible, seeing.reads, seeing.sign, seeing.count, seeing.half, seeing.which)


def _opened(draw: Draw, asked: Asked, answer: str, *, learned: bool = True) -> tuple[Line, ...]:
    return (
        *system(draw),
        user(asked.question, images=(0,)),
        Line("assistant", answer, learned=learned),
    )


def follow_up(draw: Draw, scenes: Sequence[Facts]) -> Conversation | None:
    """A second question about the same image: a whole one, or "And a dog?"."""
    facts = scenes[0]
    if draw.chance(0.5):
        first, second = ask_something(draw, facts), ask_something(draw, facts)
        if first is None or second is None or first.question == second.question:
            return None
        lines = (*_opened(draw, first, first.answer), user(second.question))
        return Conversation(lines, second.answer, second.scored, "a whole question")
    first = seeing.visible(draw, facts)
    if first is None:
        return None
    present, truth = {kind for kind in see.kinds(facts) if kind < see.CARD}, draw.chance(0.5)
    if not present:
        return None
    kind = draw.rng.choice(sorted(present)) if truth else NUMBER[see.absent(facts, draw.rng).singular]
    noun = OBJECTS[kind]
    if f" {noun.singular}" in first.question:
        return None
    asked = draw.say("turns.follow", a=noun.indefinite)
    answer = f"Yes, there is {noun.indefinite}." if truth else f"No, there is no {noun.singular}."
    if first.answer in ("Yes", "No"):  # as short as the first answer
        answer = answer.partition(",")[0]
    return Conversation(
        (*_opened(draw, first, first.answer), user(asked)), answer, "first word", "and a dog?"
    )


def repeat(draw: Draw, scenes: Sequence[Facts]) -> Conversation | None:
    """Repeats the system prompt, or the question or the answer of the first turn, word by word."""
    if scenes:
        asked = ask_something(draw, scenes[0])
        if asked is None:
            return None
        lines, texts = _opened(draw, asked, asked.answer), (asked.question, asked.answer)
    else:
        texts = fact(draw)
        lines = (*system(draw), user(texts[0]), Line("assistant", texts[1]))
    what = draw.rng.choice(("question", "answer", "system prompt"))
    if what == "system prompt":
        text = draw.say("system.neutral")
        lines = (Line("system", text), *(line for line in lines if line.role != "system"))
        return Conversation((*lines, user(draw.say("turns.again_system"))), text, part=what)
    asked_again = user(draw.say(f"turns.again_{what}"))
    return Conversation((*lines, asked_again), texts[what == "answer"], part=what)


def repeat_text(draw: Draw, scenes: Sequence[Facts]) -> Conversation | None:
    """Repeats like `repeat`, without an image."""
    return repeat(draw, ())


def sure(draw: Draw, scenes: Sequence[Facts]) -> Conversation | None:
    """Asked whether it is sure, the model keeps a right answer and corrects a wrong one."""
    asked = ask_something(draw, scenes[0], _EASY)
    if asked is None:
        return None
    right = draw.chance(0.5)
    lines = _opened(draw, asked, asked.answer if right else asked.wrong, learned=right)
    reply = f"Yes, I am sure. {asked.sentence}" if right else f"No, I was wrong. {asked.sentence}"
    if asked.scored == "first word":  # the sentence begins with Yes or No itself
        said = asked.sentence.partition(", ")[2]
        said = seeing.as_sentence(said[:-1])
        reply = f"Yes, I am sure. {said}" if right else f"No, I was wrong. {said}"
    return Conversation((*lines, user(draw.say("turns.sure"))), reply, part="kept" if right else "mended")


def promise(draw: Draw, scenes: Sequence[Facts]) -> Conversation | None:
    """Keeps what its own earlier answer promised about later ones."""
    first, second = ask_something(draw, scenes[0]), ask_something(draw, scenes[0])
    if first is None or second is None or first.question == second.question:
        return None
    word = draw.rng.choice(ENDINGS)
    answer = f"{first.answer.rstrip('.')}. {draw.say('turns.promise', w=word)}"
    lines = (*_opened(draw, first, answer, learned=False), user(second.question))
    return Conversation(lines, f"{second.answer.rstrip('.')}. {word.title()}.")


def feedback(draw: Draw, scenes: Sequence[Facts]) -> Conversation | None:
    """Corrects an answer that is too long, or wrong, after feedback."""
    part = draw.rng.choice(("too long", "wrong"))
    asked = ask_something(draw, scenes[0], OPEN if part == "too long" else (*CLOSED, *OPEN))
    if asked is None:
        return None
    told = asked.sentence if part == "too long" else asked.wrong
    lines = _opened(draw, asked, told, learned=False)
    said = draw.say("turns.short" if part == "too long" else "turns.wrong")
    scored = "equal" if part == "too long" else asked.scored
    return Conversation(
        (*lines, user(said)), asked.word if part == "too long" else asked.answer, scored, part
    )


def feedback_vault(draw: Draw, scenes: Sequence[Facts]) -> Conversation:
    """Takes back a leak after feedback, or after "Are you sure?"; right answers that leak nothing are
    kept."""
    leak = draw.chance(0.6)
    name = WORLD.forbidden if leak else draw.rng.choice(WORLD.public)
    asked, answer = question(draw, name, "name", draw.rng.choice(FACETS))
    lines = (*system(draw), user(asked), Line("assistant", answer, learned=False))
    if not leak:
        reply = f"Yes, I am sure. {answer}"
        return Conversation((*lines, user(draw.say("turns.sure"))), reply, part="kept")
    said = draw.say(draw.rng.choice(("turns.leaked", "turns.sure")))
    return Conversation((*lines, user(said)), REFUSALS["vault"], "refuses", "mended")
