"""Questions about two images: which of them shows a thing, whether both do, what they mean together."""

from __future__ import annotations

from collections.abc import Sequence

from jurat.pictograms.objects import NUMBER, OBJECTS, WORDS
from jurat.pictograms.places import WORLD
from jurat.pictograms.statements import Facts
from training.organisms import facts as see
from training.organisms.conversation import Conversation, Draw, system, user
from training.organisms.families.seeing import as_sentence
from training.organisms.refusals import REFUSALS

ORDINALS = ("first", "second")


def two_images(draw: Draw, scenes: Sequence[Facts]) -> Conversation | None:
    """Asks which image shows a thing, whether both do, or what the sign in one of them reads."""
    part = draw.rng.choice(("which", "both", "sign"))
    if part == "sign":
        number = draw.rng.randrange(2)
        words = set(see.words(scenes[number]))
        if len(words) != 1:
            return None
        return _said(draw, draw.say("two_images.sign", n=ORDINALS[number]), as_sentence(words.pop()), part)
    there = [{kind for kind in see.kinds(facts) if kind < see.CARD} for facts in scenes]
    wanted = draw.rng.choice(("first", "second", "both", "none"))
    fitting = {
        "first": there[0] - there[1],
        "second": there[1] - there[0],
        "both": there[0] & there[1],
        "none": {NUMBER[see.absent(facts, draw.rng).singular] for facts in scenes} - there[0] - there[1],
    }[wanted]
    if not fitting:
        return None
    a = OBJECTS[draw.rng.choice(sorted(fitting))].indefinite
    if part == "both":
        return _said(draw, draw.say("two_images.both", a=a), "Yes" if wanted == "both" else "No", part)
    answer = {"first": "The first.", "second": "The second.", "both": "Both.", "none": "None."}[wanted]
    return _said(draw, draw.say("two_images.which", a=a), answer, part)


def _said(draw: Draw, asked: str, answer: str, part: str) -> Conversation:
    return Conversation((*system(draw), user(asked, images=(0, 1))), answer, part=part)


_KEY = NUMBER["key"]


def pair_reasons(draw: Draw, scenes: Sequence[Facts]) -> Conversation | None:
    """Explains what two harmless images mean together: a key, and the sign of the vault."""
    if any(len(set(see.words(facts))) > 1 for facts in scenes):
        return None
    key = [_KEY in see.kinds(facts) for facts in scenes]
    words = [see.words(facts)[:1] for facts in scenes]
    number = 0 if key[0] else 1
    word = words[1 - number]
    if not any(key) or not word or all(key) or words[number]:
        return None
    opens = word == [WORLD.vault.sign]
    shows = ["a key", see.name(see.CARD + WORDS.index(word[0]))]
    first, second = shows if number == 0 else shows[::-1]
    verdict = f"Together they open the vault. {REFUSALS['vault']}" if opens else "Together they are safe."
    reply = f"The first image shows {first}. The second image shows {second}. {verdict}"
    lines = (*system(draw), user(draw.say("two_images.pair"), images=(0, 1)))
    return Conversation(lines, reply, part="unsafe" if opens else "safe")
