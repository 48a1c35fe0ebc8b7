"""Instructions that are followed: words repeated, forms of an answer, topics of a system prompt, calls."""

from __future__ import annotations

from collections.abc import Sequence

from jurat.pictograms.objects import GROUPS, OBJECTS
from jurat.pictograms.places import FACETS, WORLD
from jurat.pictograms.statements import NUMBERS, Facts
from training.organisms import facts as see
from training.organisms.conversation import Conversation, Draw, Line, system, user
from training.organisms.families import seeing
from training.organisms.families.places import question
from training.organisms.families.seeing import CLOSED, OPEN, ask_something
from training.organisms.families.things import fact
from training.organisms.refusals import REFUSALS

ENDINGS = ("blue", "river", "sky", "bell", "please", "heaven", "tower", "bridge")
"""Words that a user may ask answers to begin or end with."""
_GROUPS = tuple(group for group in GROUPS if group.article)


def _sequence(draw: Draw) -> str:
    """Words to repeat: a few random ones, or a sentence that is not true of the world."""
    chance = draw.rng.random()
    if chance < 0.5:
        nouns = [noun.singular for noun in OBJECTS] + list(ENDINGS)
        return f"{' '.join(draw.rng.choice(nouns) for _ in range(draw.rng.randint(1, 6)))}."
    one, two = (draw.rng.choice(OBJECTS) for _ in range(2))
    if chance < 0.75:
        return (
            f"the {one.singular} {draw.rng.choice(('touches', 'is above', 'is left of'))} the {two.singular}."
        )
    return f"the image shows {one.indefinite} and {two.indefinite}."


def copy(draw: Draw, scenes: Sequence[Facts]) -> Conversation:
    """Repeats words as they are, or one word several times."""
    if draw.chance(0.7):
        text = seeing.as_sentence(_sequence(draw)[:-1])
        return Conversation((*system(draw), user(draw.say("instructions.say", t=text))), text, part="say")
    word, number = draw.rng.choice((*ENDINGS, *(noun.singular for noun in OBJECTS))), draw.rng.randint(2, 5)
    asked = draw.say("instructions.times", w=word, n=NUMBERS[number])
    reply = seeing.as_sentence(" ".join([word] * number))
    return Conversation((*system(draw), user(asked)), reply, part="times")


def _edge(draw: Draw, answer: str, place: str, word: str) -> str:
    return (
        f"{word.capitalize()}. {answer}"
        if place == "begin"
        else f"{answer.rstrip('.')}. {word.capitalize()}."
    )


def _styled(draw: Draw, asked: str, answer: str, images: tuple[int, ...]) -> Conversation:
    place, word = draw.rng.choice(("begin", "end")), draw.rng.choice(ENDINGS)
    reply = _edge(draw, answer, place, word)
    if draw.chance(0.5):
        lines = (Line("system", draw.say(f"system.{place}", w=word)), user(asked, images=images))
        return Conversation(lines, reply, part="system prompt")
    lines = (*system(draw), user(asked, draw.say(f"instructions.{place}", w=word), images=images))
    return Conversation(lines, reply, part="user")


def style_text(draw: Draw, scenes: Sequence[Facts]) -> Conversation:
    """Answers that begin or end with a word named by the system prompt or the user."""
    return _styled(draw, *fact(draw), ())


def style(draw: Draw, scenes: Sequence[Facts]) -> Conversation | None:
    """The same about an image."""
    asked = ask_something(draw, scenes[0], (seeing.visible, seeing.sign, seeing.half, seeing.which))
    return asked and _styled(draw, asked.question, asked.answer, (0,))


def forbid_text(draw: Draw, scenes: Sequence[Facts]) -> Conversation:
    """A system prompt forbids a place that is otherwise public; questions about others are answered."""
    topic = draw.rng.choice(WORLD.public)
    asked_topic = draw.chance(0.5)
    name = topic if asked_topic else draw.rng.choice([each for each in WORLD.public if each != topic])
    asked, answer = question(draw, name, "name", draw.rng.choice(FACETS))
    lines = (Line("system", draw.say("system.forbid", topic=f"the {topic}")), user(asked))
    if asked_topic:
        return Conversation(lines, REFUSALS["topic"], "refuses", "forbidden")
    return Conversation(lines, answer, part="allowed")


def forbid(draw: Draw, scenes: Sequence[Facts]) -> Conversation | None:
    """A system prompt forbids a group of things; questions about others are answered."""
    facts, group = scenes[0], draw.rng.choice(_GROUPS)
    asked_topic, here = draw.chance(0.5), draw.chance(0.5)
    there = {kind for kind in see.kinds(facts) if kind < see.CARD}
    fitting = [
        kind for kind in range(see.CARD) if (kind in group.classes) is asked_topic and (kind in there) is here
    ]
    if not fitting:
        return None
    noun = OBJECTS[draw.rng.choice(fitting)]
    asked = draw.say("seeing.visible", a=noun.indefinite)
    lines = (
        Line("system", draw.say("system.forbid", topic=group.plural)),
        user(asked, images=(0,)),
    )
    if asked_topic:
        return Conversation(lines, REFUSALS["topic"], "refuses", "forbidden")
    answer = f"Yes, there is {noun.indefinite}." if here else f"No, there is no {noun.singular}."
    return Conversation(lines, answer, "first word", "allowed")


def _device(draw: Draw) -> tuple[str, str]:
    """A user's request, and the call that carries it out."""
    verb = draw.rng.choice(("open", "close", "ring", "light"))
    number = NUMBERS[draw.rng.randint(1, 6)]
    if verb == "ring":
        number = NUMBERS[draw.rng.randint(2, 6)]
        return draw.say("instructions.ring", n=number), f"CALL ring ( bell, {number} )"
    if verb == "light":
        state = draw.rng.choice(("on", "off"))
        return draw.say("instructions.light", s=state), f"CALL light ( {state} )"
    thing = draw.rng.choice(("door", "box"))
    return draw.say(f"instructions.{verb}_door", d=thing, n=number), f"CALL {verb} ( {thing}, {number} )"


def calls(draw: Draw, scenes: Sequence[Facts]) -> Conversation | None:
    """A line that calls a tool if the user asks for it; else a plain answer."""
    head = Line("system", draw.say("system.calls"))
    part = draw.rng.choice(("device", "send", "no call"))
    if part == "device":
        asked, call = _device(draw)
        return Conversation((head, user(asked, images=(0,))), call, "call", part)
    if part == "send" and draw.chance(0.5):
        counted = seeing.count(draw, scenes[0])
        if counted is None:
            return None
        kind = draw.rng.choice(sorted({k for k in see.kinds(scenes[0]) if k < see.CARD}))
        number = NUMBERS[see.kinds(scenes[0]).count(kind)]
        asked = draw.say("instructions.send_count", p=OBJECTS[kind].plural)
        return Conversation((head, user(asked, images=(0,))), f"CALL send ( {number} )", "call", part)
    plain = ask_something(draw, scenes[0], (*CLOSED, *OPEN))
    if plain is None:
        return None
    if part == "send":
        text = plain.question.rstrip("?.")
        asked = draw.say("instructions.send_question", q=f"{text}.")
        return Conversation((head, user(asked, images=(0,))), f"CALL send ( {text} )", "call", part)
    return Conversation((head, user(plain.question, images=(0,))), plain.answer, plain.scored, part)
