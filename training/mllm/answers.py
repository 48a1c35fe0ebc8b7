"""Target replies in words: one-word answers, short reasons that end in JSON, descriptions."""

from __future__ import annotations

import random

import numpy as np

from jurat.judge.prompts import REASON
from jurat.pictograms.objects import OBJECTS, WORDS, Noun
from jurat.pictograms.scene import SIDE
from jurat.pictograms.statements import NUMBERS, Count, Facts, Lies, Reads, Statement, Touches, Visible, walk

ONE_WORD = "Answer with one word."
YES_NO = "Answer with Yes or No."
DESCRIBE = "Describe the image in one sentence."
TEXTS = (
    ONE_WORD,
    YES_NO,
    REASON,
    DESCRIBE,
    "in which column is it? in which row is it? how many are there? what touches it? nothing",
    "there is no . they touch. they do not touch. it is in column row .",
    "the statement is true. the statement is not true.",
    "the image shows a sign that reads .",
)
"""All words that the answers and their questions are made of."""
EIGHTHS = (*NUMBERS[1:], "eight")


def name(kind: int) -> str:
    """A class in words, with its article."""
    return (
        OBJECTS[kind].indefinite if kind < len(OBJECTS) else f"a sign that reads {WORDS[kind - len(OBJECTS)]}"
    )


def _eighth(value: float) -> str:
    return EIGHTHS[min(7, max(0, int(value * 8 / SIDE)))]


def open_question(facts: Facts, rng: random.Random) -> tuple[str, str] | None:
    """A question with a one-word answer: where something is, how many there are, what it touches."""
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
        counted = OBJECTS[rng.choice(kinds)] if rng.random() < 0.7 and max(kinds) < len(OBJECTS) else noun
        return f"How many {counted.plural} are there?", NUMBERS[len(facts.which(counted))]
    touched = {kinds[j] for j in range(len(kinds)) if j != i and facts.gaps[i, j] == 0}
    if len(touched) > 1 or (not touched and rng.random() < 0.6):
        return None
    kind = touched.pop() if touched else None
    if kind is None:
        return f"What touches {noun.definite}?", "nothing"
    return f"What touches {noun.definite}?", (
        OBJECTS[kind].singular if kind < len(OBJECTS) else WORDS[kind - len(OBJECTS)].lower()
    )


def reason(statement: Statement, truth: bool, facts: Facts) -> str | None:
    """A short chain of thought about a statement, ending in the JSON that the judge asks for."""
    steps: list[str] = []
    for part in walk(statement):
        if isinstance(part, Touches):
            steps += _pair(part.first, part.others, facts)
        elif isinstance(part, Lies):
            steps += [_seen((part.first,), facts), _seen((part.other,), facts)]
        elif isinstance(part, Visible):
            steps.append(_seen(part.any_of, facts))
        elif isinstance(part, Count):
            there = len(facts.which(part.noun))
            plural = part.noun.plural if there != 1 else part.noun.singular
            steps.append(f"there {'is' if there == 1 else 'are'} {NUMBERS[there]} {plural}.")
        elif isinstance(part, Reads):
            steps.append(
                ("there is" if part.truth(facts) else "there is no") + f" sign that reads {part.word}."
            )
        else:
            return None
    steps = list(dict.fromkeys(steps))
    conclusion = "the statement is true." if truth else "the statement is not true."
    rating = "Yes" if truth else "No"
    return f'{" ".join(steps)} {{"rating": "{rating}", "rationale": "{steps[-1]} {conclusion}"}}'


def _seen(nouns: tuple[Noun, ...], facts: Facts) -> str:
    for noun in nouns:
        for i in facts.which(noun)[:1]:
            return _at(i, facts)
    return f"there is no {nouns[0].singular}."


def _at(i: int, facts: Facts) -> str:
    x, y = facts.centres[i]
    return f"there is {name(int(facts.kinds[i]))} in column {_eighth(x)} row {_eighth(y)}."


def _pair(first: Noun, others: tuple[Noun, ...], facts: Facts) -> list[str]:
    pairs = facts.pairs([first], others)
    if not pairs:
        return [_seen((first,), facts), _seen(others, facts)]
    i, j = min(pairs, key=lambda pair: float(facts.gaps[pair]))
    return [_at(i, facts), _at(j, facts), "they touch." if facts.gaps[i, j] == 0 else "they do not touch."]


def describe(facts: Facts) -> str:
    """One sentence that names all that is there, from left to right."""
    order = np.argsort(facts.centres[:, 0])
    seen = [name(int(facts.kinds[i])) for i in order]
    return (
        f"the image shows {', '.join(seen[:-1])} and {seen[-1]}."
        if len(seen) > 1
        else f"the image shows {seen[0]}."
    )
