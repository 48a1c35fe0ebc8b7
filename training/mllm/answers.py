"""Target replies in words: one-word answers, short reasons that end in JSON, descriptions.

A reason describes the scene before it answers: where each thing is that the statement names ("dog at three
four": column three and row four of eight), what is absent, how the things lie to each other or how many there
are; then the JSON that the judge reads. It is generated token by token, so it is short.
"""

from __future__ import annotations

import random

import numpy as np

from jurat.judge.prompts import REASON
from jurat.pictograms.objects import OBJECTS, WORDS, Noun
from jurat.pictograms.scene import SIDE
from jurat.pictograms.statements import (
    NUMBERS,
    UNKNOWN,
    All,
    Count,
    Facts,
    Larger,
    Lies,
    Not,
    Only,
    Reads,
    Statement,
    Touches,
    Visible,
)

ONE_WORD = "Answer with one word."
YES_NO = "Answer with Yes or No."
DESCRIBE = "Describe the image in one sentence."
TEXTS = (
    ONE_WORD,
    YES_NO,
    REASON,
    DESCRIBE,
    "in which column is it? in which row is it? how many are there? what touches it? nothing",
    "no at , also something . they touch. they do not touch. nothing else. no sign.",
    "the image shows a sign that reads .",
)
"""Texts that together hold all words of the answers and their questions."""
EIGHTHS = (*NUMBERS[1:], "eight")


def name(kind: int) -> str:
    """Name of a class with its article; "something" for a thing that this world has no name for."""
    if kind == UNKNOWN:
        return "something"
    return (
        OBJECTS[kind].indefinite if kind < len(OBJECTS) else f"a sign that reads {WORDS[kind - len(OBJECTS)]}"
    )


def _eighth(value: float) -> str:
    return EIGHTHS[min(7, max(0, int(value * 8 / SIDE)))]


def open_question(facts: Facts, rng: random.Random) -> tuple[str, str] | None:
    """A question with a one-word answer: where something is, how many there are, what it touches; None
    where the scene offers none."""
    kinds = facts.kinds.tolist()
    single = [i for i, kind in enumerate(kinds) if kind < len(OBJECTS) and kinds.count(kind) == 1]
    if not single:
        return None
    i = rng.choice(single)
    noun = OBJECTS[kinds[i]]
    chance = rng.random()
    if chance < 0.4:
        axis = rng.randrange(2)
        return f"In which {('column', 'row')[axis]} is {noun.definite}?", _eighth(facts.centres[i, axis])
    if chance < 0.6:
        things = [kind for kind in kinds if kind < len(OBJECTS)]
        counted = OBJECTS[rng.choice(things)] if rng.random() < 0.7 else noun
        return f"How many {counted.plural} are there?", NUMBERS[len(facts.which(counted))]
    touched = {kinds[j] for j in range(len(kinds)) if j != i and facts.gaps[i, j] == 0}
    if UNKNOWN in touched or len(touched) > 1 or (not touched and rng.random() < 0.6):
        return None
    kind = touched.pop() if touched else None
    if kind is None:
        return f"What touches {noun.definite}?", "nothing"
    return f"What touches {noun.definite}?", (
        OBJECTS[kind].singular if kind < len(OBJECTS) else WORDS[kind - len(OBJECTS)].lower()
    )


def reason(statement: Statement, truth: bool, facts: Facts) -> str:
    """A short chain of thought about a statement, ending in the JSON that the judge asks for."""
    parts = statement.parts if isinstance(statement, All) else (statement,)
    related = {noun for part in parts if not isinstance(part, Visible) for noun in part.nouns()}
    steps: list[str] = []
    for part in parts:
        if not (isinstance(part, Visible) and set(part.any_of) <= related):  # a relation looks for them too
            steps += _steps(part.part if isinstance(part, Not) else part, facts)
    steps = [step for n, step in enumerate(steps) if "touch" in step or step not in steps[:n]]
    rating = "Yes" if truth else "No"
    return f'{" ".join(steps)} {{"rating": "{rating}", "rationale": "{steps[-1]}"}}'


def _steps(part: Statement, facts: Facts) -> list[str]:
    """Observations that decide an atomic statement, as phrases."""
    match part:
        case Visible():
            return _found(part.any_of, facts)
        case Touches():
            return _touching(part, facts)
        case Lies():
            sign = 1 if part.side in ("right of", "below") else -1
            axis = 0 if part.side in ("left of", "right of") else 1
            return _compared(part.first, part.side, part.other, facts, sign * facts.centres[:, axis], part)
        case Larger():
            return _compared(part.first, "larger than", part.other, facts, np.log(facts.areas), part)
        case Count():
            return _counted(part.noun, facts)
        case Only():
            return _only(part.noun, facts)
        case Reads():
            return _signs(part.word, facts)
        case _:
            raise ValueError(f"no reasons are known for {part}")


def _at(i: int, facts: Facts) -> str:
    """Column and row of an object."""
    x, y = facts.centres[i]
    return f"{_eighth(x)} {_eighth(y)}"


def _seen(noun: Noun, i: int, facts: Facts) -> str:
    return f"{noun.singular} at {_at(i, facts)}."


def _which(noun: Noun, facts: Facts) -> list[int]:
    """Indices of the objects that a noun names, from left to right."""
    return sorted(facts.which(noun), key=lambda i: float(facts.centres[i, 0]))


def _found(nouns: tuple[Noun, ...], facts: Facts) -> list[str]:
    """Phrases on the nouns that are absent, then on the first that is there."""
    steps: list[str] = []
    for noun in nouns:
        if places := _which(noun, facts):
            return [*steps, _seen(noun, places[0], facts)]
        steps.append(f"no {noun.singular}.")
    return steps


def _touching(part: Touches, facts: Facts) -> list[str]:
    """Phrases on the first thing and what it touches, or on each of the others that it does not touch."""
    if not facts.which(part.first):
        return [f"no {part.first.singular}."]
    nearest = {
        noun: min(pairs, key=lambda pair: float(facts.gaps[pair]))
        for noun in part.others
        if (pairs := facts.pairs([part.first], [noun]))
    }
    for noun, (i, j) in nearest.items():
        if facts.gaps[i, j] == 0:
            return [_seen(part.first, i, facts), _seen(noun, j, facts), "they touch."]
    steps: list[str] = []
    for noun in part.others:
        if noun in nearest:
            i, j = nearest[noun]
            steps += [_seen(part.first, i, facts), _seen(noun, j, facts), "they do not touch."]
        else:
            steps += [*_found((part.first,), facts)[: not steps], f"no {noun.singular}."]
    return steps


def _compared(
    first: Noun, how: str, other: Noun, facts: Facts, values: np.ndarray, part: Lies | Larger
) -> list[str]:
    """Phrases on the pair that comes closest to making a comparison true, and on whether it does."""
    pairs = facts.pairs([first], [other])
    if not pairs:
        return [*_found((first,), facts), *(_found((other,), facts) if facts.which(first) else [])]
    i, j = max(pairs, key=lambda pair: float(values[pair[0]] - values[pair[1]]))
    is_not = "" if part.truth(facts) else "not "
    return [
        _seen(first, i, facts),
        _seen(other, j, facts),
        f"{first.singular} {is_not}{how} {other.singular}.",
    ]


def _counted(noun: Noun, facts: Facts) -> list[str]:
    places = _which(noun, facts)
    if not places:
        return [f"no {noun.singular}."]
    name = noun.singular if len(places) == 1 else noun.plural
    return [f"{name} at {', '.join(_at(i, facts) for i in places)}.", f"{NUMBERS[len(places)]} {name}."]


def _only(noun: Noun, facts: Facts) -> list[str]:
    """Phrases on where the noun is, and where something else is."""
    if not facts.which(noun):
        return [f"no {noun.singular}."]
    others = [i for i, kind in enumerate(facts.kinds.tolist()) if kind not in noun.classes]
    if not others:
        return [*_found((noun,), facts), "nothing else."]
    i = min(others, key=lambda i: float(facts.centres[i, 0]))
    return [*_found((noun,), facts), f"also {_short(int(facts.kinds[i]))} at {_at(i, facts)}."]


def _signs(word: str, facts: Facts) -> list[str]:
    """Phrases on the sign with the word, or on every other sign."""
    signs = [i for i, kind in enumerate(facts.kinds.tolist()) if len(OBJECTS) <= kind < UNKNOWN]
    wanted = [i for i in signs if WORDS[int(facts.kinds[i]) - len(OBJECTS)] == word]
    return [f"{_short(int(facts.kinds[i]))} at {_at(i, facts)}." for i in wanted[:1] or signs] or ["no sign."]


def _short(kind: int) -> str:
    if len(OBJECTS) <= kind < UNKNOWN:
        return f"sign {WORDS[kind - len(OBJECTS)].lower()}"
    return "something" if kind == UNKNOWN else OBJECTS[kind].singular


def describe(facts: Facts) -> str:
    """One sentence that names all that is there, from left to right."""
    order = np.argsort(facts.centres[:, 0])
    seen = [name(int(facts.kinds[i])) for i in order]
    return (
        f"the image shows {', '.join(seen[:-1])} and {seen[-1]}."
        if len(seen) > 1
        else f"the image shows {seen[0]}."
    )
