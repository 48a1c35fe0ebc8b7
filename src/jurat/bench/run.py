"""A run of the bench: every method on every split with every model, kept as it goes, then the table."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

from jurat.bench.judge_splits import judge_model
from jurat.bench.labelled_images import SPLIT as LABELLED
from jurat.bench.plan import Outcome, Plan
from jurat.bench.provenance import provenance
from jurat.bench.scene_slice import slice_of
from jurat.bench.seeds import POOLED, with_ranges
from jurat.bench.table import LEVELS, Judged, flip_row, paired, row
from jurat.bench.worker_processes import side_by_side

LEADS = ("jurat", "clue", "quick")
"""Presets that every other row is compared with."""
PAIRED = ("f1", "aurc", "risk", "accuracy", "brier")


def run_bench(plan: Plan, say: Callable[[str], None] = lambda line: None) -> dict[str, Any]:
    """Runs what is not there yet and gives the whole as `results.json` holds it.

    `say` is told what is being done, one line each. Raises JuratError where a model cannot be opened;
    what one method cannot do is told in `left_out`, and the others go on.
    """
    if plan.workers > 1 and len(plan.subjects) > 1:
        side_by_side(judge_model, plan, say)
    outcome = Outcome()
    for subject in plan.subjects:
        judge_model(plan, subject, outcome, say)
    judged = [*outcome.judged, *_pooled(outcome.judged)]
    say("working out intervals")
    return with_ranges(
        {
            "provenance": provenance(plan, outcome),
            "rows": _rows(judged),
            "paired": _paired(judged),
            "slice": slice_of(outcome.judged),
        }
    )


def _pooled(judged: Sequence[Judged]) -> list[Judged]:
    """The training seeds of one model together (labels alike up to a "#"), where each of them has a row."""
    groups: dict[tuple[str, str, str], list[Judged]] = {}
    seeds: dict[tuple[str, str], set[str]] = {}
    for each in judged:
        group = each.model.partition("#")[0]
        groups.setdefault((group, each.key, each.split), []).append(each)
        seeds.setdefault((group, each.split), set()).add(each.model)
    pooled: list[Judged] = []
    for (group, _, split), members in groups.items():
        if len(members) == len(seeds[group, split]) > 1:
            first = members[0]
            pooled.append(
                Judged(
                    first.preset,
                    first.ablate,
                    f"{group}{POOLED}",
                    split,
                    tuple(item for each in members for item in each.items),
                    tuple(ruling for each in members for ruling in each.rulings),
                    tuple(each.model for each in members for _ in each.items),
                )
            )
    return pooled


def _rows(judged: Sequence[Judged]) -> list[dict[str, Any]]:
    known = {(each.model, each.key, each.split): each for each in judged}
    rows: list[dict[str, Any]] = []
    for each in judged:
        test = known.get((each.model, each.key, "test"))
        for level in LEVELS:
            if level == "rule" and not _tells_rules(each):
                continue
            on_test = math.nan if test is None else test.arrays("item").value("recall")
            values = row(each, level, recall_on_test=on_test)
            if each.split == "flip" and level == "rule" and test is not None:
                values |= flip_row(test, each)
            rows.append(values)
    return rows


def _tells_rules(judged: Judged) -> bool:
    told = any(ruling.rules for ruling in judged.rulings)
    return told and (judged.split == LABELLED or any(item.rule for item in judged.items))


def _paired(judged: Sequence[Judged]) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = []
    groups: dict[tuple[str, str], list[Judged]] = {}
    for each in judged:
        groups.setdefault((each.model, each.split), []).append(each)
    for members in groups.values():
        known = {each.key: each for each in members}
        for lead in LEADS:
            if lead not in known:
                continue
            for other in members:
                if other.key in LEADS[: LEADS.index(lead) + 1]:
                    continue
                entries = (paired(known[lead], other, metric) for metric in PAIRED)
                found += [entry for entry in entries if entry is not None]
    return found
