"""What attacks are judged on: the saved picture, read back and sent to the model as any user sends one."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from PIL import Image

from jurat.attacks.access import Access
from jurat.attacks.cases import Case, Goal
from jurat.attacks.pictures import WINDOW, as_levels, as_pixels, read_png, similarity
from jurat.content import Chat, Reply

__all__ = ["Distance", "Submitted", "distance", "replies_to", "submit"]


@dataclass(frozen=True)
class Distance:
    """How far a saved picture is from the clean one."""

    linf: int
    """Largest difference of a value, in levels of 255."""
    l2: float
    """Euclidean distance over all values in [0, 1]; it grows with the size of the picture."""
    ssim: float
    """In [-1, 1]; 1 if equal (see `pictures.similarity`). nan where a side is shorter than its window."""


@dataclass(frozen=True)
class Submitted:
    """What the model replied to a saved picture."""

    goal: Goal
    file: Path
    replies: tuple[Reply, ...]
    """One for each case of `goal.test`."""
    distance: Distance

    @property
    def successes(self) -> int:
        """Cases in which the model did what the attacker wants. Failures are none."""
        return sum(
            reply.failure is None and self.goal.succeeded(case, reply)
            for case, reply in zip(self.goal.test, self.replies, strict=True)
        )

    @property
    def failures(self) -> int:
        """Cases to which the model gave no reply."""
        return sum(reply.failure is not None for reply in self.replies)


def submit(model: Access, goals: Sequence[Goal], files: Sequence[Path]) -> list[Submitted]:
    """Asks the model about the saved picture of each goal, with the goal's test prompts."""
    pictures = [read_png(file) for file in files]
    made = replies_to(model, [(goal.test, picture) for goal, picture in zip(goals, pictures, strict=True)])
    return [
        Submitted(goal, file, tuple(replies), distance(picture, goal))
        for goal, file, picture, replies in zip(goals, files, pictures, made, strict=True)
    ]


def replies_to(model: Access, asked: Sequence[tuple[Sequence[Case], Image.Image]]) -> list[list[Reply]]:
    """The replies to some conversations about each picture, in one batch."""
    chats = [_about(case, picture) for cases, picture in asked for case in cases]
    replies = iter(model.chat(chats))
    return [[next(replies) for _ in cases] for cases, _ in asked]


def distance(picture: Image.Image, goal: Goal) -> Distance:
    """Between a saved picture and the clean one of its goal, of equal size."""
    saved = as_levels(picture)
    levels = (saved.int() - goal.clean.int()).abs()
    alike = math.nan
    if min(saved.shape[1:]) >= WINDOW:
        alike = float(similarity(as_pixels(saved)[None], as_pixels(goal.clean)[None])[0])
    return Distance(int(levels.max()), float((levels.double() / 255).norm()), alike)


def _about(case: Case, picture: Image.Image) -> Chat:
    """The conversation with the picture in its place."""
    at = -1
    turns = list(case.chat.turns)
    for number, turn in enumerate(turns):
        parts = list(turn.parts)
        for k, part in enumerate(parts):
            if not isinstance(part, str) and (at := at + 1) == case.place:
                parts[k] = picture
        turns[number] = replace(turn, parts=tuple(parts))
    return replace(case.chat, turns=tuple(turns))
