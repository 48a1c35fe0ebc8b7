"""A run: scenes are changed, then judged by every method with every model; what is on disk is not made again.

A crop may cut off what a scene was drawn for, so that its truth is checked by nobody; it is there because
platforms crop, and its level is small.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from jurat import __version__
from jurat.bench.bench_plan import BenchModel
from jurat.bench.methods.interface import Prediction, Setup
from jurat.bench.methods.judge_presets import open_judge
from jurat.bench.methods.registry import Method
from jurat.bench.pictogram.definition import constitution_of
from jurat.bench.pictogram.items import BenchItem, drawing, read_items, write_items
from jurat.bench.pictogram.splits import FORMAT, keep_split
from jurat.bench.predictions import (
    Origin,
    completed,
    predictions_of,
    read_predictions,
    unfinished,
    write_predictions,
)
from jurat.bench.robustness.conditions import PLAIN, RADII, Condition, conditions, noisy
from jurat.errors import JuratError
from jurat.files import write_whole
from jurat.models import full_name
from jurat.models.vision import open_detector, open_matcher
from jurat.provenance import commit, now

if TYPE_CHECKING:
    from jurat.models import Model

__all__ = ["Attacked", "Judged", "RobustnessPlan", "run_robustness"]

SPLIT = "test"
COSTS = "costs.json"
_BATCH = 16
Say = Callable[[str], None]


@dataclass(frozen=True)
class RobustnessPlan:
    """Everything that defines a run."""

    out: Path
    methods: Sequence[Method]
    subjects: Sequence[BenchModel]
    """The first is attacked; all judge what comes of it."""
    attacked: Sequence[str] = ("jurat", "direct")
    """Presets that gradients go through."""
    radii: Sequence[int] = RADII
    steps: int = 40
    seed: int = 0
    per_rule: int = 2
    """Pairs of a violating scene and a near miss for each of the rules."""
    detector: str | None = "bundled"
    matcher: str | None = "bundled"
    command: str = ""

    @property
    def conditions(self) -> list[Condition]:
        return list(conditions(self.attacked, self.radii))


@dataclass(frozen=True)
class Attacked:
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
class Judged:
    """Predictions of one method with one model on the scenes of one condition."""

    model: str
    method: str
    condition: Condition
    items: Sequence[BenchItem]
    predictions: Sequence[Prediction]


def run_robustness(
    plan: RobustnessPlan, say: Say = lambda line: None
) -> tuple[list[Judged], dict[str, list[Attacked]], list[dict[str, Any]]]:
    """Changes and judges what is not there yet.

    Returns:
        What was judged; the costs of each attack by the key of its condition; and the methods that were left
        out, with their reasons.

    Raises:
        JuratError: a model cannot be opened, or gives no gradients.
    """
    run = _Robustness(plan, say)
    for number, subject in enumerate(plan.subjects):
        model = subject.open()
        try:
            if number == 0:
                run.change_scenes(model, subject.label)
            run.judge(model, subject.label)
        finally:
            model.close()
    return run.judged, run.costs, run.left_out


class _Robustness:
    def __init__(self, plan: RobustnessPlan, say: Say) -> None:
        self.plan, self.say = plan, say
        self.constitution = constitution_of(SPLIT)
        self.detector = open_detector(plan.detector) if plan.detector else None
        self.matcher = open_matcher(plan.matcher) if plan.matcher else None
        self.scenes = keep_split(plan.out / "scenes", SPLIT, plan.seed, plan.per_rule)
        self.changed: dict[str, list[BenchItem]] = {}
        self.judged: list[Judged] = []
        self.costs: dict[str, list[Attacked]] = {}
        self.left_out: list[dict[str, Any]] = []
        self.victim = ""

    def change_scenes(self, model: Model, label: str) -> None:
        """The scenes of every condition, from disk or made."""
        self.victim = full_name(model)
        for condition in self.plan.conditions:
            folder = self.plan.out / "changed" / condition.key
            stamp = self._stamp(condition)
            with drawing(folder):
                if read_items(folder, stamp) is None:
                    self.say(f"{label}  {condition.title}: {len(self._of(condition))} scenes")
                    made, costs = self._made(model, condition)
                    folder.mkdir(parents=True, exist_ok=True)
                    write_whole(folder / COSTS, json.dumps([asdict(each) for each in costs]) + "\n")
                    write_items(folder, made, stamp)
                found = read_items(folder, stamp)
            assert found is not None
            self.changed[condition.key] = found
            if condition.change == "attack":
                costs = json.loads((folder / COSTS).read_text())
                self.costs[condition.key] = [Attacked(**each) for each in costs]

    def _of(self, condition: Condition) -> list[BenchItem]:
        return [item for item in self.scenes if item.want == condition.want]

    def _stamp(self, condition: Condition) -> dict[str, Any]:
        plan = self.plan
        stamp = asdict(condition) | {"format": FORMAT, "seed": plan.seed, "per_rule": plan.per_rule}
        if condition.change == "attack":
            stamp |= {"steps": plan.steps, "victim": self.victim, "jurat": __version__}
        return stamp

    def _made(self, model: Model, condition: Condition) -> tuple[list[BenchItem], list[Attacked]]:
        items = self._of(condition)
        if condition.change == "attack":
            return self._attacked(model, condition, items)
        if condition.change == "noise":
            return [_with(item, noisy(item, condition.level, self.plan.seed)) for item in items], []
        change = PLAIN[condition.change]
        return [_with(item, change(item.image, condition.level)) for item in items], []

    def _attacked(
        self, model: Model, condition: Condition, items: Sequence[BenchItem]
    ) -> tuple[list[BenchItem], list[Attacked]]:
        from jurat.attacks.access import Access
        from jurat.attacks.pictures import as_levels, as_picture
        from jurat.attacks.verdicts import VerdictAttack, reached

        assert condition.aim is not None
        judge = open_judge(self._setup(model, ""), self.constitution, condition.against)
        attack = VerdictAttack(condition.level / 255, self.plan.steps)
        made: list[BenchItem] = []
        costs: list[Attacked] = []
        for first in range(0, len(items), _BATCH):
            some, access = items[first : first + _BATCH], Access(model)
            clean = [as_levels(item.image) for item in some]
            keys = [first + i for i in range(len(some))]
            aims = [condition.aim] * len(some)
            outcomes = attack.run(judge, access, clean, aims, keys=keys, seed=self.plan.seed)
            spent = access.spent
            pictures = [as_picture(outcome.saved) for outcome in outcomes]
            for item, outcome, picture, verdict in zip(
                some, outcomes, pictures, judge.many(pictures), strict=True
            ):
                made.append(_with(item, picture))
                told = reached(condition.aim, verdict), outcome.step, len(outcome.losses)
                each = (n / len(some) for n in (spent.forwards, spent.backwards, spent.queries))
                costs.append(Attacked(item.id, *told, *each))
        return made, costs

    def _setup(self, model: Model, label: str) -> Setup:
        return Setup(self.constitution, model, label, self.detector, self.matcher)

    def judge(self, model: Model, label: str) -> None:
        """Every method on the scenes of every condition."""
        setup, name = self._setup(model, label), full_name(model)
        for method in self.plan.methods:
            for condition in self.plan.conditions:
                try:
                    found = self._predictions(setup, name, method, condition)
                except JuratError as error:
                    reason = error.message.splitlines()[0]
                    self.left_out.append({"model": label, "method": method.key, "reason": reason})
                    self.say(f"{label}  {method.key}: left out: {reason}")
                    break
                items = self.changed[condition.key]
                self.judged.append(Judged(label, method.key, condition, items, found))

    def _predictions(
        self, setup: Setup, name: str, method: Method, condition: Condition
    ) -> Sequence[Prediction]:
        plan, items = self.plan, self.changed[condition.key]
        place = plan.out / "predictions" / setup.label.replace("/", "-") / method.key
        path = place / f"{condition.key}.jsonl"
        stamp = {"method": method.key, "options": method.settings, "model": name, "jurat": __version__}
        stamp |= {"scenes": self._stamp(condition), "constitution": self.constitution.digest}
        stamp |= {"detector": full_name(self.detector), "matcher": full_name(self.matcher)}
        file = read_predictions(path, stamp)
        missing = unfinished(file, items)
        if file is None or missing:
            self.say(f"{setup.label}  {method.key}  {condition.title}: {len(missing)} scenes")
            made = predictions_of([items[i] for i in missing], lambda some: method(setup, some))
            file = completed(file, missing, made, Origin(plan.command, commit(), now()))
            write_predictions(path, stamp, file)
        return file.predictions


def _with(item: BenchItem, picture: Any) -> BenchItem:
    return replace(item, picture=picture, layout=None)
