"""Prompts of the diffusion model: plain texts that name what is in a scene."""

from __future__ import annotations

import random
from collections.abc import Sequence
from itertools import product

from jurat.pictograms.objects import GROUPS, NUMBER, OBJECTS, Noun
from training.diffusion.scenes import NAMES

ONE: tuple[str, ...] = (
    "{a}",
    "{n}",
    "a picture of {a}",
    "a drawing of {a}",
    "a picture with {a} in it",
    "there is {a} here",
    "one {n} alone",
)
"""Texts about one object: `n` is its name, `a` the name with its article."""
TWO: tuple[str, ...] = (
    "{a} and {b}",
    "{a} with {b}",
    "{a} next to {b}",
    "{a} beside {b}",
    "a picture of {a} and {b}",
    "a drawing of {a} with {b}",
    "there is {a} and {b} here",
)
"""Texts about two."""
GROUP = 0.15
"""Share of names that are a group's: "an animal" for a dog, so that a concept has more than one word."""
EMPTY = 0.1
"""Share of prompts that are empty, for classifier-free guidance (Ho & Salimans 2022, arXiv 2207.12598)."""


def write(kinds: Sequence[int], rng: random.Random, empty: float = EMPTY) -> str:
    """A prompt for a scene of one or two objects, in any order; a share `empty` of them are empty."""
    if rng.random() < empty:
        return ""
    nouns = [_noun(kind, rng) for kind in rng.sample(list(kinds), len(kinds))]
    return fill(rng.choice(ONE if len(nouns) == 1 else TWO), nouns)


def fill(form: str, nouns: Sequence[Noun]) -> str:
    """A form with the names of its objects."""
    return form.format(n=nouns[0].singular, a=nouns[0].indefinite, b=nouns[-1].indefinite)


def every_text() -> list[str]:
    """Texts that hold all words of all prompts, for the vocabulary."""
    nouns = [OBJECTS[NUMBER[name]] for name in NAMES]
    nouns += [group for name in NAMES for group in _groups(NUMBER[name])]
    return [fill(form, [noun, noun]) for form, noun in product((*ONE, *TWO), nouns)]


def _noun(kind: int, rng: random.Random) -> Noun:
    groups = _groups(kind)
    return rng.choice(groups) if groups and rng.random() < GROUP else OBJECTS[kind]


def _groups(kind: int) -> list[Noun]:
    return [group for group in GROUPS if kind in group.classes]
