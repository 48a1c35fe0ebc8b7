"""The judge under attack, undefended and defended: scenes are changed, then judged; what is on disk is not
made again."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Any

from pydantic import TypeAdapter

from jurat.bench.bench_plan import BenchModel, BenchPlan
from jurat.bench.defenses.plan import NONE, DefensesPlan, Subject
from jurat.bench.defenses.threats import Adaptive, InjectedPlan, PicturesPlan
from jurat.bench.evaluate import Progress, evaluate_model
from jurat.bench.injection.suite import load_suite
from jurat.bench.pictogram.items import BenchItem
from jurat.bench.robustness.conditions import Condition
from jurat.bench.robustness.run import (
    AttackCost,
    attacked,
    change_scenes,
    check_attackable,
    read_costs,
    unattacked,
)
from jurat.bench.table import EvaluatedMethod
from jurat.defenses import defend, open_defense
from jurat.errors import JuratError
from jurat.files import write_whole
from jurat.models import Defended, DefenseCost, full_name
from jurat.models.model_spec import DEFENDED_BY

if TYPE_CHECKING:
    from pathlib import Path

    from jurat.attacks.access import Access
    from jurat.models import Model

__all__ = ["JudgedPart", "LeftOut", "judge_pictures", "judge_texts", "merged", "prices_of"]

Say = Callable[[str], None]
PRICES = "prices.json"


@dataclass(frozen=True)
class LeftOut:
    """A model under a defense, or an attack on it, that was not run."""

    model: str
    defense: str
    what: str
    """"all", "gradients through it", or a method and a split."""
    reason: str


@dataclass
class JudgedPart:
    """What a judge with one model, as it is and under each defense, said of one part."""

    model: str
    plan: BenchPlan
    progress: Progress
    said: dict[tuple[str, str], dict[str, EvaluatedMethod]] = field(
        default_factory=dict[tuple[str, str], dict[str, EvaluatedMethod]]
    )
    """(method, defense) -> split -> predictions."""
    left_out: list[LeftOut] = field(default_factory=list[LeftOut])
    costs: dict[str, list[AttackCost]] = field(default_factory=dict[str, list[AttackCost]])
    """What attacks cost, by condition."""
    ways: dict[str, str] = field(default_factory=dict[str, str])
    """How gradients go through each defense that they go through."""


def judge_pictures(plan: DefensesPlan, model: BenchModel, say: Say) -> JudgedPart:
    """Scenes with noise and attacks, judged with one model. Raises JuratError where it cannot be opened."""
    folder = plan.out / "pictures" / model.label.replace("/", "-")
    opened = model.open()
    left_out: list[LeftOut] = []
    try:
        attacks, ways = _attackable(plan, model.label, opened, left_out)
        mine = PicturesPlan(
            folder,
            plan.methods,
            plan.subjects(model),
            seed=plan.seed,
            per_rule=plan.per_rule,
            detector=plan.detector,
            matcher=plan.matcher,
            command=plan.command,
            attacked=attacks,
            radii=plan.radii,
            steps=plan.steps,
            victim=full_name(opened),
            through=tuple(ways),
            draws=plan.draws,
        )
        change_scenes(mine, partial(_changed, mine, opened), say)
    finally:
        opened.close()
    part = JudgedPart(model.label, mine, Progress(), left_out=left_out, ways=ways)
    _evaluate(part, folder, say)
    part.costs = read_costs(mine)
    return part


def judge_texts(plan: DefensesPlan, model: BenchModel, say: Say) -> JudgedPart:
    """Scenes with orders in them, judged with one model. Raises JuratError where it cannot be opened, or a
    channel or method does not fit."""
    folder = plan.out / "texts" / model.label.replace("/", "-")
    mine = InjectedPlan(
        folder,
        plan.methods,
        plan.subjects(model),
        seed=plan.seed,
        detector=plan.detector,
        matcher=plan.matcher,
        command=plan.command,
        suite=load_suite().only(plan.channels),
        scenes=plan.scenes,
    )
    part = JudgedPart(model.label, mine, Progress())
    _evaluate(part, folder, say)
    return part


# --- judging -------------------------------------------------------------------------------------


def _evaluate(part: JudgedPart, folder: Path, say: Say) -> None:
    """Judges everything with each subject; a defense that cannot be put on the model is left out."""
    subjects = [each for each in part.plan.subjects if isinstance(each, Subject)]
    for subject in subjects:
        try:
            evaluate_model(part.plan, subject, part.progress, say)
        except JuratError as problem:
            if subject.defense == NONE:
                raise
            part.left_out.append(LeftOut(part.model, subject.defense, "all", problem.message))
            say(f"{subject.label}: left out: {problem.message}")
        else:
            _keep_prices(folder, subject)
        finally:
            subject.opened.clear()  # its weights
    by_label = {each.label: each for each in subjects}
    for each in part.progress.evaluated:
        part.said.setdefault((each.key, by_label[each.model].defense), {})[each.split] = each
    for each in part.progress.left_out:
        what = f"{'-no-'.join((each['preset'], *each['ablate']))}, {each['split']}"
        subject = by_label[each["model"]]
        part.left_out.append(LeftOut(part.model, subject.defense, what, each["reason"]))


def _keep_prices(folder: Path, subject: Subject) -> None:
    """Adds what the defenses of an opened subject did to what is on disk: predictions that are there are not
    made again, and what they cost stays known."""
    defended = subject.opened[-1].capability(Defended)
    now = () if defended is None else defended.defenses
    if not now or not now[0].items:
        return
    known = _read_prices(folder)
    before = known.get(subject.label, ())
    # A file that a defense reads may have been fitted anew since: its digest is in the name.
    same = [cost.defense for cost in before] == [cost.defense for cost in now]
    whole = [a + b for a, b in zip(now, before, strict=True)] if same else list(now)
    written = {name: [asdict(cost) for cost in costs] for name, costs in known.items()}
    written[subject.label] = [asdict(cost) for cost in whole]
    write_whole(folder / PRICES, json.dumps(written, indent=1) + "\n")


def _read_prices(folder: Path) -> dict[str, tuple[DefenseCost, ...]]:
    if not (folder / PRICES).is_file():
        return {}
    found = json.loads((folder / PRICES).read_text())
    return TypeAdapter(dict[str, tuple[DefenseCost, ...]]).validate_python(found)


def prices_of(part: JudgedPart) -> dict[str, tuple[DefenseCost, ...]]:
    """Defense -> what it added so far, the outermost of several first."""
    known = _read_prices(part.plan.out)
    return {
        each.defense: known[each.label]
        for each in part.plan.subjects
        if isinstance(each, Subject) and each.label in known
    }


# --- attacks -------------------------------------------------------------------------------------


def _attackable(
    plan: DefensesPlan, label: str, model: Model, left_out: list[LeftOut]
) -> tuple[tuple[str, ...], dict[str, str]]:
    """The presets that can be attacked without a defense, and the defenses that attacks can go through, with
    the way; what cannot be is added to `left_out`."""
    from jurat.attacks.defended_access import way_through

    presets: list[str] = []
    for preset in plan.attacked:
        why = _obstacle(model, preset)
        if why is None:
            presets.append(preset)
        else:
            left_out.append(LeftOut(label, NONE, f"attack on {preset}", why))
    ways: dict[str, str] = {}
    for name in plan.defenses if presets else ():
        try:
            defenses = [open_defense(each) for each in name.split(DEFENDED_BY)]
            ways_of = [way_through(each) for each in defenses]
            defend(model, defenses)
        except JuratError as problem:
            left_out.append(LeftOut(label, name, "gradients through it", problem.message))
        else:
            ways[name] = max(ways_of, key=_VAGUER.index)
    return tuple(presets), ways


_VAGUER = ("exact", "in expectation", "straight-through")


def _obstacle(model: Model, preset: str) -> str | None:
    """Why a judge cannot be attacked by its gradients; None where it can."""
    try:
        check_attackable(model, _access(model, ()), preset)
    except JuratError as problem:
        return problem.message
    return None


def _changed(
    plan: PicturesPlan, model: Model, condition: Condition, items: Sequence[BenchItem]
) -> tuple[list[BenchItem], list[AttackCost]]:
    if condition.change != "attack":
        return unattacked(condition, items, plan.seed), []
    named = condition.through.split(DEFENDED_BY) if isinstance(condition, Adaptive) else ()
    opened = partial(_access, model, named, draws=plan.draws, seed=plan.seed)
    judged = defend(model, named)
    return attacked(judged, opened, condition, items, steps=plan.steps, seed=plan.seed)


def _access(model: Model, defenses: Sequence[str], **settings: Any) -> Access:
    from jurat.attacks.defended_access import DefendedAccess

    return DefendedAccess(model, [open_defense(each) for each in defenses], **settings)


def merged(left_out: Sequence[LeftOut]) -> list[dict[str, Any]]:
    """What was left out, each reason once, with how often it stands there."""
    found: dict[tuple[str, str, str], list[str]] = {}
    for each in left_out:
        found.setdefault((each.model, each.defense, each.reason), []).append(each.what)
    return [
        {"model": model, "defense": defense, "reason": reason, "what": what[:3], "count": len(what)}
        for (model, defense, reason), what in found.items()
    ]
