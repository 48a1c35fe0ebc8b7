"""Training seeds of one model: their rows together, with the range of their values in the place of intervals.

A bootstrap over two or three seeds gives intervals that cover less than their nominal level, so rows of
several seeds have none: they have the least and the largest value among the seeds.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from jurat.bench.table import EvaluatedMethod
from jurat.metrics.estimates import LESS

POOLED = "#all"
"""Ends the name of a model that stands for all of its training seeds."""
_GONE = ("accuracy_wilson",)
"""Fields that earlier versions wrote."""


def pooled(evaluated: Sequence[EvaluatedMethod]) -> list[EvaluatedMethod]:
    """The training seeds of one model together (labels alike up to a "#"), where each of them has a row."""
    groups: dict[tuple[str, str, str], list[EvaluatedMethod]] = {}
    seeds: dict[tuple[str, str], set[str]] = {}
    for each in evaluated:
        group = each.model.partition("#")[0]
        groups.setdefault((group, each.key, each.split), []).append(each)
        seeds.setdefault((group, each.split), set()).add(each.model)
    return [
        replace(
            members[0],
            model=f"{group}{POOLED}",
            items=tuple(item for each in members for item in each.items),
            predictions=tuple(prediction for each in members for prediction in each.predictions),
            seeds=tuple(each.model for each in members for _ in each.items),
        )
        for (group, _, split), members in groups.items()
        if len(members) == len(seeds[group, split]) > 1
    ]


def with_ranges(results: dict[str, Any]) -> dict[str, Any]:
    """The results, with a `*_range` in every row of several seeds and a `range` and the count of seeds in
    every difference of such rows. What earlier versions wrote there is dropped."""
    rows = [_without(row, _GONE) for row in results["rows"]]
    singles = {_of_row(row): row for row in rows if not _is_pooled(row)}
    differences = {_of_difference(each): each for each in results["paired"] if not _is_pooled(each)}
    return results | {
        "rows": [_row(row, singles) if _is_pooled(row) else row for row in rows],
        "paired": [_difference(e, differences) if _is_pooled(e) else e for e in results["paired"]],
    }


def _row(row: dict[str, Any], singles: dict[tuple[Any, ...], dict[str, Any]]) -> dict[str, Any]:
    group, *rest = _of_row(row)
    members = [one for (model, *key), one in singles.items() if key == rest and _is_seed(model, group)]
    ranges = {
        f"{name}_range": [min(values), max(values)]
        for name in row
        if (values := [one[name] for one in members if isinstance(one.get(name), float)])
        and len(values) == len(members)  # a range over fewer seeds than the row's would look narrower
        and f"{name}_ci" in members[0]
    }
    risks = [one["risk_at"]["0.9"] for one in members if one.get("risk_at")]
    if risks and len(risks) == len(members):
        ranges["risk_range"] = [min(risks), max(risks)]
    return {name: value for name, value in row.items() if not name.endswith(("_ci", "_range"))} | ranges


def _difference(entry: dict[str, Any], singles: dict[tuple[Any, ...], dict[str, Any]]) -> dict[str, Any]:
    group, *rest = _of_difference(entry)
    members = [one for (model, *key), one in singles.items() if key == rest and _is_seed(model, group)]
    values = [one["difference"] for one in members]
    signs = [_better(one) for one in members]
    seeds = {"better": signs.count(1), "worse": signs.count(-1), "of": len(members)}
    found = _without(entry, ("ratio_ci",)) | {"ci": [None, None], "seeds": seeds}
    return found | ({"range": [min(values), max(values)]} if values else {})


def _better(entry: dict[str, Any]) -> int:
    """1 where the interval lies on the better side of 0, -1 on the worse, 0 where it holds 0."""
    low, high = entry["ci"]
    if low is None:
        return 0
    side = (low > 0) - (high < 0)
    return -side if entry["metric"] in LESS else side


def _is_pooled(entry: dict[str, Any]) -> bool:
    return entry["model"].endswith(POOLED)


def _is_seed(model: str, pooled: str) -> bool:
    return model.partition("#")[0] == pooled.removesuffix(POOLED)


def _of_row(row: dict[str, Any]) -> tuple[Any, ...]:
    return row["model"], row["preset"], tuple(row["ablate"]), row["split"], row["level"]


def _of_difference(entry: dict[str, Any]) -> tuple[Any, ...]:
    return tuple(entry[name] for name in ("model", "a", "b", "split", "metric", "level"))


def _without(entry: dict[str, Any], names: tuple[str, ...]) -> dict[str, Any]:
    return {name: value for name, value in entry.items() if name not in names}
