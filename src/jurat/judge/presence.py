"""Presence questions: whether the things that a relation names are in the image.

"A ball is larger than a horse." is false without a horse, but models often say Yes all the same. So a preset
with `presence` also asks, in the same pass, whether each thing that a relation names is visible, and takes
the smallest of the answers. For a list, "A child touches a cup or a glass.", it asks about each thing and
takes the largest of these: models say Yes if all of them are visible and none is touched.

A model with a grammar of its own says what a statement names (`jurat.models.StatementReader`). For other
models the clause's `objects` are used: a statement that names two or more of them is treated as a relation
between them, unless it contains a negation or a likeness ("a bottle shaped like a gun"). Things joined by
"or" and commas are alternatives, of which one suffices; a statement with an "or" elsewhere gets no presence
questions.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from jurat.models import StatementReader

_NO_RELATION = re.compile(
    r"\b(?:no|not|never|none|nor|neither|without|instead|except|absent|missing|like|as|resembl\w+|looks?|depict\w*"
    r"|pictures?|drawings?|photos?|images?|print\w*|painted|toy|fake|if|rather|\w+n['’]t)\b"
)
"""Words after which the things that a statement names need not be visible."""
_BETWEEN = re.compile(r"(?:\s*,|\s+or\b|,\s*or\b)+\s*(?:an?|the|some)?\s*")
"""Between two alternatives."""
_DETERMINER = re.compile(r"\b(an?|the|some|one|two|three|several|many)\s+(?:\w+\s+)?$")


Groups = tuple[tuple[str, ...], ...]
"""Groups of statements; one of each group must be true."""


def presence_of(statement: str, objects: Sequence[str], reader: StatementReader | None) -> Groups:
    """The presence statements that must be true for `statement` to be.

    Args:
        objects: the central objects of its clause.
        reader: the model's, if it has one; then `objects` are not used.
    """
    return reader.presence(statement) if reader is not None else _of_objects(statement, objects)


def _of_objects(statement: str, objects: Sequence[str]) -> Groups:
    text = statement.lower()
    named = sorted(filter(None, (_place(one.lower(), text) for one in objects)))
    if _NO_RELATION.search(text):
        return ()
    groups: list[list[tuple[int, int]]] = []
    for place in named:
        if groups and place[0] < groups[-1][-1][1]:
            continue  # a part of the object before: "knife" in "kitchen knife"
        if groups and _BETWEEN.fullmatch(text[groups[-1][-1][1] : place[0]]):
            groups[-1].append(place)
        else:
            groups.append([place])
    ends = [0, *(one[-1][1] for one in groups)]
    starts = [*(one[0][0] for one in groups), len(text)]
    outside = " ".join(text[end:start] for end, start in zip(ends, starts, strict=True))
    if len(groups) < 2 or re.search(r"\bor\b", outside):
        return ()
    shown = (f"The image shows {_or([_noun(text, at) for at in one])}." for one in groups)
    return tuple((each,) for each in dict.fromkeys(shown))


def _place(name: str, text: str) -> tuple[int, int] | None:
    """Begin and end of the first place where a text names an object."""
    match = re.search(rf"(?<!\w){re.escape(name)}(?:e?s)?(?!\w)", text)
    return match.span() if match else None


def _noun(text: str, place: tuple[int, int]) -> str:
    """An object as the statement names it, with an article where it has one."""
    name = text[place[0] : place[1]]
    before = _DETERMINER.search(text[: place[0]])
    if before is None or before[1] in ("the", "some"):
        return name if before is None else f"{before[1]} {name}"
    if before[1] not in ("a", "an", "one"):
        return f"{before[1]} {name}"
    return f"{'an' if name[0] in 'aeiou' else 'a'} {name}"


def _or(names: Sequence[str]) -> str:
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} or {names[-1]}"
