"""The stages of all models, read from `stages.toml`: what each teaches, how long, and what it begins from."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache, partial
from importlib import import_module
from importlib.resources import files
from pathlib import Path
from typing import Any

from jurat.models.hf.torchvision_import import prepare_torchvision
from training.loop import Lesson, Schedule

LESSONS: dict[str, str] = {
    "tower": "training.mllm.tower:TowerLesson",
    "joint": "training.mllm.joint:JointLesson",
    "gate": "training.mllm.gate:GateLesson",
    "detector": "training.owl.train:DetectorLesson",
    "matcher": "training.clip.train:MatcherLesson",
    "conversation": "training.organisms.lesson:ConversationLesson",
    "writer": "training.writer.train:WriterLesson",
}
"""Name of a lesson -> its class, which takes a `Task`."""
WEIGHTS = Path(__file__).parent / "weights"
"""Folder of the weights of stages that are done; in the repository, not in the wheel."""


@dataclass(frozen=True)
class Pool:
    """Scenes that are drawn ahead of training: `parts` folders of `size` scenes."""

    first: int
    """Scenes of part n, from 0, have the seeds from first + (n + 1) * 1,000,000 on; those to watch, from
    first + 900,000,000."""
    parts: int
    size: int
    watch: int


@dataclass(frozen=True)
class Stage:
    """One stage of training."""

    name: str
    lesson: str
    """A key of `LESSONS`."""
    schedule: Schedule
    parent: str | None
    """The stage whose weights it begins from."""
    eyes: str | None
    """The stage whose tower and projector it takes, if that is not its parent."""
    pool: str | None
    """A key of `pools()`."""
    settings: Mapping[str, Any]
    """What the lesson is told besides."""


@dataclass(frozen=True)
class Task:
    """A stage and where its inputs lie."""

    stage: Stage
    work: Path
    """Folder of scenes and checkpoints."""
    weights: Path
    """Folder of the stages that are done."""

    def pool(self) -> tuple[list[Path], Path]:
        """Folders of scenes to show, and the folder of scenes to watch."""
        assert self.stage.pool is not None
        root = self.work / "pools" / self.stage.pool
        return sorted(root.glob("train-[0-9][0-9][0-9]")), root / "watch"

    def parent(self) -> Path | None:
        """Folder of the parent's weights."""
        return None if self.stage.parent is None else self.weights / self.stage.parent

    def eyes(self) -> Path | None:
        """Folder of the weights that `Stage.eyes` names."""
        return None if self.stage.eyes is None else self.weights / self.stage.eyes


@cache
def data() -> dict[str, Any]:
    """What `stages.toml` holds."""
    return tomllib.loads(files("training").joinpath("stages.toml").read_text("utf-8"))


def pools() -> dict[str, Pool]:
    """By name."""
    return {name: Pool(**values) for name, values in data()["pools"].items()}


def stages(*, small: bool = False) -> dict[str, Stage]:
    """By name, parents first; `small` takes a few steps of each, to try the chain."""
    found: dict[str, Stage] = {}
    for name, values in data()["stages"].items():
        schedule = {key: values[key] for key in Schedule.__dataclass_fields__ if key in values}
        if small:
            schedule |= {"steps": 4, "batch": 8, "warm_up": 2}
        settings = {k: v for k, v in values.items() if k not in {*Schedule.__dataclass_fields__, *_OWN}}
        if small and "scenes" in settings:
            settings["scenes"] = 32
        parent, eyes = values.get("parent"), values.get("eyes")
        if missing := [each for each in (parent, eyes) if each is not None and each not in found]:
            raise ValueError(f"stages.toml: {name} begins from {missing[0]}, which is not above it.")
        found[name] = Stage(
            name, values["lesson"], Schedule(**schedule), parent, eyes, values.get("pool"), settings
        )
    return found


_OWN = {"lesson", "parent", "eyes", "pool"}


def has_children(name: str) -> bool:
    """Whether another stage begins from one; the weights of such stages are kept in the repository."""
    return any(name in (stage.parent, stage.eyes) for stage in stages().values())


def lineage_of(name: str) -> list[str]:
    """The stages that lead to one, and itself, in their order."""
    stage = stages()[name]
    before = [each for begin in (stage.parent, stage.eyes) if begin for each in lineage_of(begin)]
    return [*dict.fromkeys(before), name]


def lesson_of(task: Task) -> Lesson:
    """The lesson of a stage, ready to begin."""
    prepare_torchvision()
    module, _, name = LESSONS[task.stage.lesson].partition(":")
    return getattr(import_module(module), name)(task)


def maker_of(task: Task) -> partial[Lesson]:
    """`lesson_of` for `loop.train`, which builds the lesson in every process."""
    return partial(lesson_of, task)
