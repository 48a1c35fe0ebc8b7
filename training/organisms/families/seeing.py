"""Questions about an image: closed questions, short answers, captions and lists."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from jurat.pictograms.objects import GROUPS, OBJECTS, WORDS
from jurat.pictograms.statements import NUMBERS, Facts
from training.organisms import facts as see
from training.organisms.conversation import Conversation, Draw, Scored, system, user


@dataclass(frozen=True)
class Asked:
    """A question about an image with its answer."""

    kind: str
    question: str
    answer: str
    """The answer in the form that the question asks for."""
    word: str
    """The answer in a word or two."""
    sentence: str
    """The answer in a sentence."""
    wrong: str
    """A false answer of the same form."""
    scored: Scored = "equal"


def as_sentence(text: str) -> str:
    """The text with a capital first letter and a full stop."""
    return f"{text[0].upper()}{text[1:]}."


def _closed(draw: Draw, kind: str, question: str, truth: bool, statement: str, denial: str) -> Asked:
    """A question to be answered Yes or No, by this word alone if the question says so."""
    alone = draw.chance(0.5)
    yes = "Yes" if truth else "No"
    said = f"{yes}, {statement if truth else denial}."
    untrue = f"{'No' if truth else 'Yes'}, {denial if truth else statement}."
    if alone:
        question = f"{question} {draw.say('seeing.closed')}"
    other = "No" if truth else "Yes"
    return Asked(kind, question, yes if alone else said, yes, said, other if alone else untrue, "first word")


def visible(draw: Draw, facts: Facts) -> Asked | None:
    """Asks whether something is there."""
    truth = draw.chance(0.5)
    there = sorted({kind for kind in see.kinds(facts) if kind < see.CARD})
    if truth and not there:
        return None
    noun = OBJECTS[draw.rng.choice(there)] if truth else see.absent(facts, draw.rng)
    asked = draw.say("seeing.visible", a=noun.indefinite)
    return _closed(
        draw, "visible", asked, truth, f"there is {noun.indefinite}", f"there is no {noun.singular}"
    )


def reads(draw: Draw, facts: Facts) -> Asked | None:
    """Asks whether a sign has a word."""
    there = see.words(facts)
    truth = draw.chance(0.5)
    if not there:
        return None
    word = draw.rng.choice([word for word in WORDS if (word in there) is truth])
    asked = draw.say("seeing.reads", w=word)
    return _closed(
        draw,
        "reads",
        asked,
        truth,
        f"there is a sign that reads {word}",
        f"there is no sign that reads {word}",
    )


def side(draw: Draw, facts: Facts) -> Asked | None:
    """Asks whether one thing is left or right of another."""
    pairs = [(i, j) for i in see.singles(facts) for j in see.singles(facts) if i != j]
    pairs = [(i, j) for i, j in pairs if see.toward(facts, i, j)]
    if not pairs:
        return None
    i, j = draw.rng.choice(pairs)
    asked_side = draw.rng.choice(("left", "right"))
    true = see.toward(facts, i, j)
    first, second = (OBJECTS[int(facts.kinds[n])].singular for n in (i, j))
    asked = draw.say("seeing.side", a=first, b=second, side=asked_side)
    said = [f"the {first} is {way} of the {second}" for way in (asked_side, true)]
    return _closed(
        draw, "side", asked, asked_side == true, said[0], said[1] if asked_side != true else "it is not"
    )


def sign(draw: Draw, facts: Facts) -> Asked | None:
    """Asks which word the sign reads."""
    there = set(see.words(facts))
    if len(there) != 1:
        return None
    (word,) = there
    wrong = draw.rng.choice([other for other in WORDS if other != word])
    asked = draw.say("references.read")
    return Asked("sign", asked, f"{word}.", f"{word}.", f"The sign reads {word}.", f"{wrong}.")


def count(draw: Draw, facts: Facts) -> Asked | None:
    """Asks how many of a thing there are."""
    there = [kind for kind in see.kinds(facts) if kind < see.CARD]
    if not there:
        return None
    noun = OBJECTS[draw.rng.choice(there)] if draw.chance(0.75) else see.absent(facts, draw.rng)
    number = len(facts.which(noun))
    beside = (1, 2) if number == 0 else (-1, -2) if number == len(NUMBERS) - 1 else (1, -1)
    wrong = NUMBERS[number + draw.rng.choice(beside)]
    said = f"There are {NUMBERS[number]} {noun.plural}." if number != 1 else f"There is one {noun.singular}."
    asked = draw.say("seeing.count", p=noun.plural)
    short = as_sentence(NUMBERS[number])
    return Asked("count", asked, short, short, said, as_sentence(wrong))


def half(draw: Draw, facts: Facts) -> Asked | None:
    """Asks whether something is at the left or at the right of the image."""
    fitting = [i for i in see.singles(facts) if see.half(facts, i)]
    if not fitting:
        return None
    i = draw.rng.choice(fitting)
    noun, way = OBJECTS[int(facts.kinds[i])], see.half(facts, i) or ""
    wrong = "right" if way == "left" else "left"
    asked = draw.say("seeing.half", a=noun.singular)
    return Asked(
        "half",
        asked,
        as_sentence(way),
        as_sentence(way),
        f"The {noun.singular} is at the {way}.",
        as_sentence(wrong),
    )


def touch(draw: Draw, facts: Facts) -> Asked | None:
    """Asks what touches a thing: one thing, or nothing."""
    fitting = [i for i in see.singles(facts) if len(see.touching(facts, i)) == 1]
    if not fitting or draw.chance(0.25):
        fitting = [i for i in see.singles(facts) if not see.touching(facts, i)]
    if not fitting:
        return None
    i = draw.rng.choice(fitting)
    noun, others = OBJECTS[int(facts.kinds[i])], see.touching(facts, i)
    wrong = see.absent(facts, draw.rng).indefinite
    said = see.name(others.pop()) if others else "nothing"
    asked = draw.say("seeing.touch", a=noun.singular)
    short = as_sentence(said)
    return Asked(
        "touch", asked, short, short, f"{short[:-1]} touches the {noun.singular}.", as_sentence(wrong)
    )


def which(draw: Draw, facts: Facts) -> Asked | None:
    """Asks which thing of a group is there, if there is one."""
    fitting = [group for group in GROUPS if group.article and len(facts.which(group)) == 1]
    if not fitting:
        return None
    group = draw.rng.choice(fitting)
    noun = OBJECTS[int(facts.kinds[facts.which(group)[0]])]
    wrong = OBJECTS[draw.rng.choice(sorted(group.classes - noun.classes))]
    asked = draw.say("seeing.which", g=group.singular)
    short = as_sentence(noun.indefinite)
    return Asked(
        "which",
        asked,
        short,
        short,
        f"The {group.singular} is {noun.indefinite}.",
        as_sentence(wrong.indefinite),
    )


Asker = Callable[[Draw, Facts], Asked | None]
CLOSED: tuple[Asker, ...] = (visible, visible, reads, side)
OPEN: tuple[Asker, ...] = (sign, count, half, touch, which)


def ask_something(draw: Draw, facts: Facts, kinds: Sequence[Asker] = (*CLOSED, *OPEN)) -> Asked | None:
    """A question about an image; None where the drawn kind of question finds nothing to ask about."""
    return draw.rng.choice(kinds)(draw, facts)


def _asked(draw: Draw, facts: Facts, kinds: Sequence[Asker]) -> Conversation | None:
    asked = ask_something(draw, facts, kinds)
    if asked is None:
        return None
    lines = (*system(draw), user(asked.question, images=(0,)))
    return Conversation(lines, asked.answer, asked.scored, asked.kind, rejected=asked.wrong)


def yes_no(draw: Draw, scenes: Sequence[Facts]) -> Conversation | None:
    """A closed question about things."""
    return _asked(draw, scenes[0], (visible, visible, side))


def short(draw: Draw, scenes: Sequence[Facts]) -> Conversation | None:
    """A question about things with an answer of a word or two."""
    return _asked(draw, scenes[0], (count, half, touch, which))


def sign_word(draw: Draw, scenes: Sequence[Facts]) -> Conversation | None:
    """The word on a sign: which it is, or whether it is a certain one."""
    return _asked(draw, scenes[0], (reads, sign))


MOST_SIGNS = 2
"""Largest number of different sign words in a caption or a list, to limit its length."""


def caption(draw: Draw, scenes: Sequence[Facts]) -> Conversation | None:
    """A sentence that names everything in the image."""
    if len(set(see.words(scenes[0]))) > MOST_SIGNS:
        return None
    lines = (*system(draw), user(draw.say("seeing.caption"), images=(0,)))
    return Conversation(lines, see.caption(scenes[0]), "kinds")


def listed(draw: Draw, scenes: Sequence[Facts]) -> Conversation | None:
    """A list of everything in the image."""
    things = see.entries(scenes[0])
    if len(things) > 5 or len(set(see.words(scenes[0]))) > MOST_SIGNS:
        return None
    reply = " ".join(f"{NUMBERS[n].title()}: {thing}." for n, thing in enumerate(things, 1))
    lines = (*system(draw), user(draw.say("seeing.list"), images=(0,)))
    return Conversation(lines, reply, "kinds")
