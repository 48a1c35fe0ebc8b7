"""Whether a model can do without an attack what a task needs: a success against one that cannot says
nothing."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from PIL import Image

from jurat.attacks.pictures import read_png
from jurat.bench.attacks.goals import Task, TaskGoal
from jurat.bench.attacks.pictures import GoalPictures
from jurat.content import Chat, Generation, Reply, Turn
from jurat.files import make_folder, write_whole
from jurat.models import full_name

if TYPE_CHECKING:
    from jurat.models import Model

__all__ = ["BAR", "Skill", "asked", "replies_in_batches", "skill_of"]

BAR = 0.8
"""Least share of replies that must be right. The exams of organisms ask for 0.8 to 0.95."""


@dataclass(frozen=True)
class Skill:
    """How often a model did what one part of `Able` asks for."""

    part: str
    """Which replies: "to clean pictures"."""
    right: int
    n: int

    @property
    def reached(self) -> bool:
        return self.right >= BAR * self.n

    def __str__(self) -> str:
        return f"{self.right} of {self.n} replies {self.part} are as the task needs them"


def asked(image: Image.Image, prompt: str, task: Task, *, begun: str = "") -> Chat:
    """A prompt about a picture; `begun` is the beginning of the reply."""
    turns = [Turn("user", (image, prompt)), *([Turn("assistant", (begun,))] if begun else [])]
    return Chat(tuple(turns), Generation(max_tokens=task.max_tokens))


def _read(path: Path, stamp: Mapping[str, Any]) -> list[Skill] | None:
    """What was measured under the same stamp; None where there is nothing."""
    try:
        found = json.loads(path.read_text())
        if found["stamp"] == stamp:
            return [Skill(**each) for each in found["skills"]]
    except (FileNotFoundError, ValueError, KeyError, TypeError):
        pass
    return None


def skill_of(
    path: Path, model: Model, task: Task, shown: Mapping[str, GoalPictures], stamp: Mapping[str, Any]
) -> list[Skill]:
    """The skills that a task needs, with the test prompts of all its goals, from `path` or measured now.

    Args:
        shown: the pictures of each goal, by its name.
        stamp: what else the replies depend on.
    """
    stamp = {"model": full_name(model), "dtype": model.dtype, "task": task.name, **stamp}
    if (found := _read(path, stamp)) is not None:
        return found
    able, present = task.able, task.able.present
    parts = [_share(model, task, shown, "to clean pictures", lambda _, reply: able.absent.holds(reply))]
    if present is not None:
        what = "to pictures of what is asked about"
        parts.append(_share(model, task, shown, what, lambda _, reply: present.holds(reply), present=True))
    if able.begun:
        parts.append(_share(model, task, shown, "that were begun with the target", _goes_on, begun=True))
    make_folder(path.parent)
    write_whole(path, json.dumps({"stamp": stamp, "skills": [asdict(each) for each in parts]}) + "\n")
    return parts


def _share(
    model: Model,
    task: Task,
    shown: Mapping[str, GoalPictures],
    what: str,
    right: Callable[[TaskGoal, Reply], bool],
    *,
    present: bool = False,
    begun: bool = False,
) -> Skill:
    chats: list[Chat] = []
    goals: list[TaskGoal] = []
    for goal in task.goals:
        paths = shown[goal.name].present if present else shown[goal.name].absent
        for image in map(read_png, paths):
            for prompt in task.prompts_of(goal).test:
                chats.append(asked(image, prompt, task, begun=goal.target if begun else ""))
                goals.append(goal)
    replies = replies_in_batches(model, chats)
    return Skill(
        what, sum(right(goal, reply) for goal, reply in zip(goals, replies, strict=True)), len(chats)
    )


def replies_in_batches(model: Model, chats: Sequence[Chat], size: int = 64) -> list[Reply]:
    """Replies to any number of conversations."""
    return [reply for i in range(0, len(chats), size) for reply in model.chat(chats[i : i + size])]


def _goes_on(goal: TaskGoal, reply: Reply) -> bool:
    wanted = goal.contains
    return reply.failure is None and wanted is not None and wanted.casefold() in reply.text.casefold()
