"""Conversations for training and exams as plain data, and the drawing of their wordings."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal, TypeVar

from jurat.content import Chat, Generation, Role, Turn
from jurat.pictograms import places
from jurat.pictograms.places import HELD_OUT, filled

if TYPE_CHECKING:
    from PIL import Image

LONGEST_REPLY = 40
"""Largest number of tokens in a reply."""
WORDINGS = Path(__file__).parent / "wordings"
"""Folder of the wordings that only training and exams use."""

Scored = Literal["equal", "first word", "kinds", "refuses", "answers", "tells", "call"]
"""How a reply is scored; see `training.organisms.scoring`."""
T = TypeVar("T")


@dataclass(frozen=True)
class Line:
    """One turn of a conversation."""

    role: Role
    text: str
    images: tuple[int, ...] = ()
    """Numbers of the conversation's images before the text, counted from 0."""
    learned: bool = True
    """Whether training predicts an assistant's turn. False for a wrong or leaking answer that later turns
    correct."""


@dataclass(frozen=True)
class Conversation:
    """Turns up to the user's last one, and the reply to learn."""

    lines: tuple[Line, ...]
    target: str
    scored: Scored = "equal"
    part: str = ""
    """Part of the skill that it belongs to. A skill is judged by its weakest part."""
    accepted: tuple[str, ...] = ()
    """Other right replies."""
    rejected: str = ""
    """A worse reply to the same turns: a leak for a refusal, a refusal for an answer, a false answer for a
    true one; empty where there is none. Preference training and feedback use it."""

    @property
    def images(self) -> int:
        """Number of images in the conversation."""
        return len({number for line in self.lines for number in line.images})

    def chat(self, images: Sequence[Image.Image], most: int = LONGEST_REPLY + 8) -> Chat:
        """The conversation for a model, with greedy decoding of at most `most` tokens."""
        turns = [
            Turn(line.role, (*(images[number] for number in line.images), line.text)) for line in self.lines
        ]
        return Chat(tuple(turns), Generation(max_tokens=most))


def wordings(family: str) -> dict[str, list[str]]:
    """Lists of a file of wordings by name: one of `WORDINGS`, or of those about places, which jurat has."""
    return places.wordings(family, WORDINGS if (WORDINGS / f"{family}.yaml").exists() else places.WORDINGS)


@dataclass
class Draw:
    """Draws wordings: those of training, or those held out of it."""

    rng: random.Random
    exam: bool = False

    def some(self, options: Sequence[T]) -> T:
        """One of a list of wordings."""
        return self.rng.choice(options[-HELD_OUT:] if self.exam else options[:-HELD_OUT])

    def say(self, key: str, **slots: str) -> str:
        """A wording of the list named `FILE.LIST`, with its slots filled."""
        family, name = key.split(".")
        return filled(self.some(wordings(family)[name]), **slots)

    def chance(self, share: float) -> bool:
        return self.rng.random() < share


def user(*texts: str, images: tuple[int, ...] = ()) -> Line:
    """A user's turn of the texts that are not empty."""
    return Line("user", " ".join(filter(None, texts)), images)


def system(draw: Draw, share: float = 0.2) -> tuple[Line, ...]:
    """A system prompt that changes nothing, with a probability of `share`; else none."""
    return (Line("system", draw.say("system.neutral")),) if draw.chance(share) else ()
