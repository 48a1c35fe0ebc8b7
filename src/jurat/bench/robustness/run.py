"""A run: scenes are changed, then judged as splits of the bench; what is on disk is not made again.

A crop may cut off what a scene was drawn for, and nothing checks its truth then; it is there because
platforms crop, and its level is small.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, Any, TypeAlias

from jurat import __version__
from jurat.bench.bench_plan import BenchModel, BenchPlan
from jurat.bench.bench_run import evaluate_all
from jurat.bench.evaluate import Progress
from jurat.bench.methods.interface import Setup
from jurat.bench.methods.judge_presets import open_judge
from jurat.bench.pictogram.definition import constitution_of
from jurat.bench.pictogram.items import BenchItem, drawing, read_items, write_items
from jurat.bench.pictogram.splits import FORMAT, keep_split
from jurat.bench.robustness.conditions import PLAIN, RADII, Condition, conditions, noisy
from jurat.bench.rulings import write_rulings
from jurat.errors import JuratError
from jurat.files import write_whole
from jurat.models import Differentiable, full_name

if TYPE_CHECKING:
    from pathlib import Path

    from PIL import Image

    from jurat.attacks.access import Access
    from jurat.attacks.verdicts import Aim
    from jurat.bench.methods.registry import Method
    from jurat.constitution import Constitution
    from jurat.models import Model

__all__ = [
    "SPLIT",
    "AttackCost",
    "RobustnessPlan",
    "attacked",
    "change_scenes",
    "check_attackable",
    "read_costs",
    "run_robustness",
    "unattacked",
]

SPLIT = "test"
"""The split of the bench whose scenes are changed."""
COSTS = "costs.json"
_BATCH = 16
Say = Callable[[str], None]
Change: TypeAlias = "Callable[[Condition, Sequence[BenchItem]], tuple[list[BenchItem], list[AttackCost]]]"
"""Changes scenes, and tells what the attack on each cost; nothing where it was none."""


@dataclass(frozen=True)
class AttackCost:
    """What an attack on one scene cost."""

    scene: str
    reached: bool
    """Whether the attacked judge gave the wanted verdict on the saved picture."""
    step: int
    """After how many steps the picture that was kept was found."""
    steps: int
    """Steps that were taken."""
    forwards: float
    """Mean over the scenes that were attacked together, like `backwards` and `queries`."""
    backwards: float
    queries: float


@dataclass(frozen=True)
class RobustnessPlan(BenchPlan):
    """Everything that defines a run. Each condition is a split; `splits` is not used. The first model is
    attacked, and all judge what comes of it."""

    per_rule: int = 2
    attacked: Sequence[str] = ("jurat", "direct")
    """Presets that gradients go through."""
    radii: Sequence[int] = RADII
    steps: int = 40
    victim: str = ""
    """NAME@REVISION of the first model; a run sets it."""

    @property
    def conditions(self) -> dict[str, Condition]:
        """By their keys."""
        return {each.key: each for each in conditions(self.attacked, self.radii)}

    def splits_of(self, subject: BenchModel) -> list[str]:
        return list(self.conditions)

    def methods_of(self, subject: BenchModel, split: str) -> list[Method]:
        return list(self.methods)

    def folder_of(self, split: str) -> Path:
        return self.out / "changed" / split

    def items_of(self, split: str) -> tuple[Constitution, Sequence[BenchItem]]:
        items = read_items(self.folder_of(split), self.stamp_of(split))
        if items is None:
            raise ValueError(f"{self.folder_of(split)} does not hold the scenes of this plan")
        return constitution_of(SPLIT), items

    def stamp_of(self, split: str) -> dict[str, Any]:
        condition = self.conditions[split]
        stamp = asdict(condition) | {"format": FORMAT, "seed": self.seed, "per_rule": self.per_rule}
        if condition.change == "attack":
            stamp |= {"steps": self.steps, "victim": self.victim, "jurat": __version__}
        return stamp


def run_robustness(plan: RobustnessPlan, say: Say = lambda line: None) -> tuple[RobustnessPlan, Progress]:
    """Changes and judges what is not there yet, and writes all rulings into `plan.out`.

    Returns:
        The plan with its victim, and what was judged and left out.

    Raises:
        JuratError: a model cannot be opened, or a preset cannot be attacked on the first one.
    """
    model = plan.subjects[0].open()
    try:
        if plan.attacked:
            from jurat.attacks.access import Access

            for preset in plan.attacked:  # before the first one is attacked for hours
                check_attackable(model, Access(model), preset)
        plan = replace(plan, victim=full_name(model))
        change_scenes(plan, partial(_changed, plan, model), say)
    finally:
        model.close()
    progress = evaluate_all(plan, say)
    write_rulings(plan.out, progress.evaluated)
    return plan, progress


def read_costs(plan: RobustnessPlan) -> dict[str, list[AttackCost]]:
    """What the attacks of a finished run cost, by the keys of their conditions."""
    attacks = [key for key, condition in plan.conditions.items() if condition.change == "attack"]
    return {
        key: [AttackCost(**each) for each in json.loads((plan.folder_of(key) / COSTS).read_text())]
        for key in attacks
    }


# --- scenes ----------------------------------------------------------------------------------------


def change_scenes(plan: RobustnessPlan, changed: Change, say: Say) -> None:
    """Makes the scenes of every condition that are not there, with what their attacks cost."""
    scenes = keep_split(plan.out / "scenes", SPLIT, plan.seed, plan.per_rule)
    for key, condition in plan.conditions.items():
        folder, stamp = plan.folder_of(key), plan.stamp_of(key)
        with drawing(folder):
            if read_items(folder, stamp) is not None:
                continue
            items = [item for item in scenes if item.want == condition.want]
            say(f"{condition.title}: {len(items)} scenes, {condition.want}")
            made, costs = changed(condition, items)
            folder.mkdir(parents=True, exist_ok=True)
            write_whole(folder / COSTS, json.dumps([asdict(each) for each in costs]) + "\n")
            write_items(folder, made, stamp)


def _changed(
    plan: RobustnessPlan, model: Model, condition: Condition, items: Sequence[BenchItem]
) -> tuple[list[BenchItem], list[AttackCost]]:
    if condition.change != "attack":
        return unattacked(condition, items, plan.seed), []
    from jurat.attacks.access import Access

    return attacked(model, lambda: Access(model), condition, items, steps=plan.steps, seed=plan.seed)


def check_attackable(model: Model, access: Access, preset: str) -> None:
    """Raises JuratError: there is no such preset, or no gradients go through it, the model or its gate."""
    import torch

    from jurat.attacks.verdicts import VerdictLoss

    constitution = constitution_of(SPLIT)
    VerdictLoss(open_judge(Setup(constitution, model, ""), constitution, preset), access, ["safe"])
    if model.capability(Differentiable) is None:
        raise JuratError(f"{model.name!r} gives no gradients.", hint="Local models do: hf/NAME_OR_PATH.")
    access.excess([torch.zeros(3, 64, 64)])


def unattacked(condition: Condition, items: Sequence[BenchItem], seed: int) -> list[BenchItem]:
    """The scenes as they are, after a plain change, or with noise."""
    if condition.change == "noise":
        return [_with(item, noisy(item, condition.level, seed)) for item in items]
    change = PLAIN[condition.change]
    return [_with(item, change(item.image, condition.level)) for item in items]


def attacked(
    model: Model,
    opened: Callable[[], Access],
    condition: Condition,
    items: Sequence[BenchItem],
    *,
    steps: int,
    seed: int,
) -> tuple[list[BenchItem], list[AttackCost]]:
    """The scenes after an attack, each with what it cost.

    Args:
        model: what the attacked judge asks; its verdict on the saved pictures decides.
        opened: opens what gradients go through, once for the scenes that are attacked together.

    Raises:
        JuratError: gradients do not go through the judge or the model.
    """
    from jurat.attacks.pictures import as_levels, as_picture
    from jurat.attacks.verdicts import VerdictAttack, reached

    assert condition.aim is not None
    constitution = constitution_of(SPLIT)
    judge = open_judge(Setup(constitution, model, ""), constitution, condition.against)
    attack = VerdictAttack(condition.level / 255, steps)
    made: list[BenchItem] = []
    costs: list[AttackCost] = []
    for first in range(0, len(items), _BATCH):
        some, access = items[first : first + _BATCH], opened()
        clean = [as_levels(item.image) for item in some]
        keys = [first + number for number in range(len(some))]
        aims: list[Aim] = [condition.aim] * len(some)
        outcomes = attack.run(judge, access, clean, aims, keys=keys, seed=seed)
        spent = [n / len(some) for n in (access.spent.forwards, access.spent.backwards, access.spent.queries)]
        pictures = [as_picture(outcome.saved) for outcome in outcomes]
        verdicts = judge.many(pictures)
        for item, outcome, picture, verdict in zip(some, outcomes, pictures, verdicts, strict=True):
            made.append(_with(item, picture))
            told = reached(condition.aim, verdict), outcome.step, len(outcome.losses)
            costs.append(AttackCost(item.id, *told, *spent))
    return made, costs


def _with(item: BenchItem, picture: Image.Image) -> BenchItem:
    return replace(item, picture=picture, layout=None)
