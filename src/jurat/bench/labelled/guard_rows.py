"""Rows of guard models: their predictions, kept on disk, and the rules that a guard does not cover."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from jurat import __version__
from jurat.bench.guards.interface import prediction_of
from jurat.bench.labelled.measures import MethodRow
from jurat.bench.methods.interface import Prediction, in_batches
from jurat.bench.predictions import (
    Origin,
    PredictionFile,
    completed,
    predictions_of,
    read_predictions,
    unfinished,
    write_predictions,
)
from jurat.provenance import commit, now

if TYPE_CHECKING:
    from jurat.bench.bench_plan import BenchPlan
    from jurat.bench.guards.interface import Guard
    from jurat.bench.guards.registry import GuardChoice
    from jurat.bench.labelled.labelled_images import LabelledImages
    from jurat.bench.pictogram.items import BenchItem

BATCH = 8


@dataclass
class GuardRows:
    """Rows of the guards, with the facts and origins of each."""

    rows: list[MethodRow] = field(default_factory=list[MethodRow])
    facts: list[dict[str, Any]] = field(default_factory=list[dict[str, Any]])
    origins: list[Origin] = field(default_factory=list[Origin])


def guard_rows(plan: BenchPlan, guards: Sequence[GuardChoice], say: Callable[[str], None]) -> GuardRows:
    """Every guard on every image, under each constitution that it reads.

    Raises JuratError where a guard cannot be opened, or its map does not fit.
    """
    assert plan.labelled is not None
    found = GuardRows()
    for choice in guards:
        names = list(plan.labelled.constitutions)
        for name in names if choice.kind.reads_rules else names[:1]:
            guard = choice.open(plan.labelled.constitutions[name])
            file = _predictions(plan, choice, guard, name, say)
            covers = _covers(choice, guard, plan.labelled)
            found.rows.append(MethodRow(guard.kind, guard.name, name, file.predictions, covers, guard=True))
            found.facts.append(_facts(choice, guard, plan.labelled, covers))
            found.origins.append(file.origin)
    return found


def _categories_of(choice: GuardChoice, rules: Sequence[str]) -> dict[str, list[str]] | None:
    """Rule -> the guard's categories; None where the guard decides by its own policy, without rules."""
    if choice.kind.reads_rules:
        return {rule: [rule] for rule in rules}
    if choice.taxonomy is None or not choice.taxonomy.categories:
        return None
    return choice.taxonomy.categories_of(rules)


def _covers(choice: GuardChoice, guard: Guard, labelled: LabelledImages) -> list[str]:
    mapped = _categories_of(choice, labelled.rules)
    return [rule for rule in labelled.rated if mapped is None or rule in mapped]


def _predictions(
    plan: BenchPlan, choice: GuardChoice, guard: Guard, name: str, say: Callable[[str], None]
) -> PredictionFile:
    assert plan.labelled is not None
    items, rules = plan.labelled.items, plan.labelled.rules
    label = re.sub(r"[^\w.-]+", "-", f"{guard.kind}-{guard.name}").strip("-")
    path = plan.out / "predictions" / "guards" / label / f"{name}.jsonl"
    stamp = {
        "guard": guard.kind,
        "model": f"{guard.name}@{guard.revision}",
        "map": None if choice.taxonomy is None else choice.taxonomy.digest,
        "constitution": plan.labelled.constitutions[name].digest if choice.kind.reads_rules else rules,
        "items": plan.labelled.digest,
        "jurat": __version__,
    }
    file = read_predictions(path, stamp)
    missing = unfinished(file, items)
    if file is not None and not missing:
        return file
    say(f"{guard.name}  {name}  {guard.kind}: {len(missing):,} items")
    mapped = _categories_of(choice, rules)
    made = predictions_of([items[i] for i in missing], lambda some: _looked(guard, some, mapped))
    file = completed(file, missing, made, Origin(plan.command, commit(), now()))
    write_predictions(path, stamp, file)
    return file


def _looked(
    guard: Guard, items: Sequence[BenchItem], mapped: dict[str, list[str]] | None
) -> list[Prediction]:
    return [
        prediction_of(answer, mapped)
        for batch in in_batches(items, BATCH)
        for answer in guard.look([item.image for item in batch])
    ]


def _facts(
    choice: GuardChoice, guard: Guard, labelled: LabelledImages, covers: Sequence[str]
) -> dict[str, Any]:
    """What the guard is, what it covers, and how many violations lie outside of that."""
    mapped = _categories_of(choice, labelled.rules)
    used = {name for names in (mapped or {}).values() for name in names}
    outside = [rule for rule in labelled.rated if rule not in covers]
    unseen = sum(bool(item.broken) and not item.broken & set(covers) for item in labelled.items)
    return {
        "kind": guard.kind,
        "name": guard.name,
        "revision": guard.revision,
        "notes": list(guard.notes),
        "own_policy": mapped is None,
        "rules": list(covers),
        "unmapped_rules": outside,
        "unmapped_categories": (
            []
            if mapped is None
            else [f"{c} ({what})" for c, what in guard.categories.items() if c not in used]
        ),
        "images_broken_outside": unseen,
    }
