"""Objects that the bundled detector can be asked for, and their wordings."""

from __future__ import annotations

import random

from jurat.pictograms.objects import CLASSES, GROUPS, OBJECTS, WORDS, Noun

_CARDS = range(len(OBJECTS), CLASSES)
SIGN = Noun("sign", "signs", frozenset(_CARDS), "a")
"""A sign card, whatever it reads."""
READING: tuple[Noun, ...] = tuple(
    Noun(f"sign that reads {word}", f"signs that read {word}", frozenset({kind}), "a")
    for kind, word in zip(_CARDS, WORDS, strict=True)
)
QUERIES: tuple[Noun, ...] = (*OBJECTS, *GROUPS, SIGN, *READING)
"""Everything that the detector can find."""
_OTHER = ("sign with the word {}", "sign reading {}")


def wordings(noun: Noun) -> list[str]:
    """Every way to ask for a noun; the canonical one, its bare name, comes first."""
    names = [noun.singular, noun.plural]
    if noun in READING:
        word = WORDS[min(noun.classes) - len(OBJECTS)]
        names += [other.format(word) for other in _OTHER]
    first = [] if not noun.article else [f"{noun.article} {noun.singular}"]
    return [*names, *first, f"the {noun.singular}", f"some {noun.plural if noun.article else noun.singular}"]


def ask(rng: random.Random) -> list[str]:
    """One wording for each of `QUERIES`: its bare name half of the time."""
    return [noun.singular if rng.random() < 0.5 else rng.choice(wordings(noun)) for noun in QUERIES]
