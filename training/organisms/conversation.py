"""A conversation to learn from, or to be examined on, as plain data; and what its wordings are drawn with."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Literal, TypeVar

from pydantic import RootModel

from jurat.content import Chat, Generation, Role, Turn
from jurat.yaml_files import read_yaml

if TYPE_CHECKING:
    from PIL import Image

HELD_OUT = 2
"""Wordings of each list that training never uses, the last ones; exams use no others."""
LONGEST_REPLY = 40
"""Tokens of a reply at most."""
WORDINGS = Path(__file__).parent / "wordings"

Scored = Literal["equal", "first word", "kinds", "refuses", "answers", "tells", "call"]
"""How a reply is scored; see `training.organisms.scoring`."""
T = TypeVar("T")


@dataclass(frozen=True)
class Line:
    """One turn of a conversation."""

    role: Role
    text: str
    images: tuple[int, ...] = ()
    """Which images of the conversation stand before the text, counted from 0."""
    learned: bool = True
    """Of an assistant's turn: whether training predicts it. A wrong or leaked answer that the next turns
    mend is only read."""


@dataclass(frozen=True)
class Conversation:
    """Turns up to the user's last one, and the reply to learn."""

    lines: tuple[Line, ...]
    target: str
    scored: Scored = "equal"
    part: str = ""
    """The part of the skill that it belongs to. A skill is as good as its weakest part."""
    accepted: tuple[str, ...] = ()
    """Other replies that are right."""

    @property
    def images(self) -> int:
        """How many images it shows."""
        return len({number for line in self.lines for number in line.images})

    def chat(self, images: Sequence[Image.Image], most: int = LONGEST_REPLY + 8) -> Chat:
        """The conversation for a model, with greedy decoding of at most `most` tokens."""
        turns = [
            Turn(line.role, (*(images[number] for number in line.images), line.text)) for line in self.lines
        ]
        return Chat(tuple(turns), Generation(max_tokens=most))


class _Lists(RootModel[dict[str, list[str]]]):
    pass


@cache
def wordings(family: str) -> dict[str, list[str]]:
    """The lists of a file of `wordings`, each with more than `HELD_OUT` entries."""
    lists = read_yaml(WORDINGS / f"{family}.yaml", _Lists, "file of wordings").root
    short = [name for name, some in lists.items() if len(some) < HELD_OUT + 3 or len(set(some)) < len(some)]
    if short:
        raise ValueError(f"{family}.yaml needs more, or different, wordings of: {', '.join(short)}")
    return lists


@dataclass
class Draw:
    """Draws wordings: those of training, or the ones that were held out of it."""

    rng: random.Random
    exam: bool = False

    def some(self, options: Sequence[T]) -> T:
        """One of a list of wordings."""
        return self.rng.choice(options[-HELD_OUT:] if self.exam else options[:-HELD_OUT])

    def say(self, key: str, **slots: str) -> str:
        """A wording of the list `FILE.LIST`, with its slots filled."""
        family, name = key.split(".")
        text = self.some(wordings(family)[name]).format_map(slots)
        return text[0].upper() + text[1:]

    def chance(self, share: float) -> bool:
        return self.rng.random() < share


def user(*texts: str, images: tuple[int, ...] = ()) -> Line:
    """A user's turn of the texts that are not empty."""
    return Line("user", " ".join(filter(None, texts)), images)


def system(draw: Draw, share: float = 0.2) -> tuple[Line, ...]:
    """At times a system prompt that changes nothing."""
    return (Line("system", draw.say("system.neutral")),) if draw.chance(share) else ()
