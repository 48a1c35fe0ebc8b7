"""The stages of all models, read from `stages.toml`: lesson, schedule, parents and pool of each."""

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
    "robust": "training.mllm.robust:RobustLesson",
    "detector": "training.owl.train:DetectorLesson",
    "matcher": "training.clip.train:MatcherLesson",
    "conversation": "training.organisms.lesson:ConversationLesson",
    "balanced": "training.organisms.balance:BalancedLesson",
    "writer": "training.writer.train:WriterLesson",
    "codec": "training.diffusion.codec:CodecLesson",
    "diffusion": "training.diffusion.train:DiffusionLesson",
}
"""Name of a lesson -> its class, which takes a `Task`."""
WEIGHTS = Path(__file__).parent / "weights"
"""Folder of the weights of finished stages; in the repository, not in the wheel."""
SMALL_POOL: dict[str, int] = {"parts": 1, "size": 384, "watch": 256}
"""Sizes of a pool of the small chain: nearly the fewest scenes among which each skill of the organisms finds
one that suits it."""
SMALL_SCHEDULE: dict[str, int] = {"steps": 2, "batch": 8, "warm_up": 1}
"""Schedule of a stage of the small chain."""
SMALL_SETTINGS: dict[str, int] = {"scenes": 32, "watched": 32}
"""Settings of a stage of the small chain; `scenes` only where a stage has it."""


@dataclass(frozen=True)
class Pool:
    """Scenes that are drawn ahead of training: `parts` folders of `size` scenes."""

    first: int
    """First seed: scenes of part n, counted from 0, have seeds from first + (n + 1) * 1,000,000 on, held-out
    scenes from first + 900,000,000 on."""
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
    """Name of the stage whose weights it begins from."""
    eyes: str | None
    """Name of the stage whose tower and projector it takes, if that is not its parent."""
    pool: str | None
    """A key of `pools()`."""
    settings: Mapping[str, Any]
    """Further settings of the lesson."""
    kept: bool = False
    """Whether its weights are kept in the repository although no stage begins from it."""


@dataclass(frozen=True)
class Task:
    """A stage with the folders of its inputs."""

    stage: Stage
    work: Path
    """Folder of scenes and checkpoints."""
    weights: Path
    """Folder of finished stages."""

    def pool(self) -> tuple[list[Path], Path]:
        """Folders of training scenes, and the folder of held-out scenes."""
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
    """Contents of `stages.toml`, with a stage for each point of a sweep and each of its seeds."""
    found = tomllib.loads(files("training").joinpath("stages.toml").read_text("utf-8"))
    for sweep, values in found["sweeps"].items():
        for point, settings in values["points"].items():
            for seed in values["seeds"]:
                found["stages"][f"{sweep}-{point}-{seed}"] = {**values["stage"], **settings, "seed": seed}
    return found


def pools(*, small: bool = False) -> dict[str, Pool]:
    """All pools by name; with `small`, of few scenes."""
    sizes = SMALL_POOL if small else {}
    return {name: Pool(**values | sizes) for name, values in data()["pools"].items()}


def repeated() -> dict[str, str]:
    """Stage that differs from an earlier one only by seed, order, pool or mix -> the earlier stage.

    Parents may differ likewise. The small chain leaves these stages out, since they run the same code: second
    and third lineages, second seeds, other orders of data, and all dose curves but the first.
    """
    found: dict[str, str] = {}
    firsts: dict[str, str] = {}
    for name, values in data()["stages"].items():
        rest = {key: value for key, value in values.items() if key not in _VARIED}
        rest |= {key: found.get(rest[key], rest[key]) for key in ("parent", "eyes") if key in rest}
        first = firsts.setdefault(repr(sorted(rest.items())), name)
        if first != name:
            found[name] = first
    return found


def stages(*, small: bool = False) -> dict[str, Stage]:
    """All stages by name, parents first; with `small`, of a few steps each."""
    found: dict[str, Stage] = {}
    for name, values in data()["stages"].items():
        schedule = {key: values[key] for key in Schedule.__dataclass_fields__ if key in values}
        settings = {k: v for k, v in values.items() if k not in {*Schedule.__dataclass_fields__, *_OWN}}
        if small:
            schedule |= SMALL_SCHEDULE
            settings |= {k: v for k, v in SMALL_SETTINGS.items() if k in settings or k != "scenes"}
        parent, eyes = values.get("parent"), values.get("eyes")
        if missing := [each for each in (parent, eyes) if each is not None and each not in found]:
            raise ValueError(f"stages.toml: {name} begins from {missing[0]}, which is not above it.")
        found[name] = Stage(
            name,
            values["lesson"],
            Schedule(**schedule),
            parent,
            eyes,
            values.get("pool"),
            settings,
            values.get("kept", False),
        )
    return found


_OWN = {"lesson", "parent", "eyes", "pool", "kept"}
_VARIED = {"seed", "order", "pool", "mix", "taught", "kept"}


def is_kept(name: str) -> bool:
    """Whether the weights of a stage are kept in the repository: another stage begins from it, or it says
    so."""
    known = stages()
    return known[name].kept or any(name in (stage.parent, stage.eyes) for stage in known.values())


def lineage_of(name: str) -> list[str]:
    """The ancestors of a stage and the stage itself, in order of training."""
    stage = stages()[name]
    before = [each for begin in (stage.parent, stage.eyes) if begin for each in lineage_of(begin)]
    return [*dict.fromkeys(before), name]


def lesson_of(task: Task) -> Lesson:
    """Builds the lesson of a stage."""
    prepare_torchvision()
    module, _, name = LESSONS[task.stage.lesson].partition(":")
    return getattr(import_module(module), name)(task)


def maker_of(task: Task) -> partial[Lesson]:
    """A function for `loop.train`, which builds the lesson in every process."""
    return partial(lesson_of, task)
