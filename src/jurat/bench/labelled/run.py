"""`jurat bench labelled` as a function: judges images not judged yet, measures, and returns the results."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import numpy as np

from jurat.bench.bench_plan import BenchPlan
from jurat.bench.bench_run import evaluate_all, made_by, runs_of
from jurat.bench.evaluate import Progress
from jurat.bench.guards.registry import GuardChoice
from jurat.bench.labelled.folds import folds
from jurat.bench.labelled.guard_rows import GuardRows, guard_rows
from jurat.bench.labelled.labelled_images import LabelledImages
from jurat.bench.labelled.labelled_results import LabelledResults
from jurat.bench.labelled.measures import Measured, MethodRow, controls, costs, item_table, rule_table
from jurat.bench.labelled.more_labels import MORE, guarantee, narrowing
from jurat.bench.labelled.platt import before_and_after
from jurat.bench.labelled.truth import agreement
from jurat.bench.methods.registry import Method, rows_for
from jurat.errors import JuratError, require
from jurat.metrics import holm, join
from jurat.metrics.estimates import LESS
from jurat.metrics.paired import difference

if TYPE_CHECKING:
    from jurat.metrics import Table

COMPARED = ("forced f1", "aurc")
"""Metrics on which the first method is compared with the others."""
REWORDED = ("forced f1", "f1", "aurc")
"""Metrics on which two wordings of a constitution are compared."""
NARROWED = ("forced f1", "forced recall", "forced accuracy", "aurc")
_CALIBRATED = "jurat.bench.methods.calibrated:calibrated"


def methods_for(names: Sequence[str], ablate: Sequence[str], *, calibrated: bool) -> list[Method]:
    """The methods of a run. With `calibrated`, each preset that `jurat calibrate` can be fitted to also has a
    row in which it is fitted to the labels of the other folds.

    Raises JuratError for unknown names.
    """
    from jurat.judge.decision import LogOdds
    from jurat.judge.presets import find_preset

    chosen = rows_for(names, ablate)
    found: list[Method] = []
    for method in chosen:
        found.append(method)
        if not calibrated or method.ablate or "preset" not in method.options or method.fits:
            continue
        preset = find_preset(method.options["preset"])
        if isinstance(preset.decision, LogOdds) and preset.asks == "clauses":
            fitted = f"{method.summary}, with the calibration of the other folds"
            options = {"preset": method.options["preset"]}
            name = f"{method.name}+calibrate"
            found.append(Method(name, fitted, _CALIBRATED, options=options, fits=True))
    return found


def run_labelled(
    plan: BenchPlan, guards: Sequence[GuardChoice] = (), say: Callable[[str], None] = lambda line: None
) -> LabelledResults:
    """Computes missing predictions, and measures all methods and guards.

    `say` receives lines of progress. Methods that cannot be run are listed in `left_out`.

    Raises:
        JuratError: a model or guard cannot be opened, or nothing could be measured.
        MissingExtra: scipy is not installed.
    """
    require("jurat bench labelled", "local", "scipy")
    labelled = plan.labelled
    if labelled is None:
        raise ValueError("the plan has no labelled images")
    progress = evaluate_all(plan, say)
    guarded = guard_rows(plan, guards, say)
    rows = [
        MethodRow(each.key, each.model, each.split, each.predictions, labelled.rated)
        for each in progress.evaluated
    ]
    if not rows and not guarded.rows:
        first = progress.left_out[:1]
        why = first[0]["reason"] if first else "no method was named"
        raise JuratError(f"Nothing could be evaluated: {why}.")
    rows += guarded.rows
    say("working out intervals")
    shown = [*rows, *controls(labelled, next(iter(labelled.constitutions)))]
    fold_of = _folds(labelled, plan.folds)
    tables = {id(row): item_table(row, labelled) for row in shown}
    data = {
        "provenance": _provenance(plan, progress, guarded),
        "labels": labels_of(labelled),
        "rows": [_row(row, labelled, tables[id(row)], fold_of) for row in shown],
        "paired": _paired(rows, labelled),
        "wordings": _wordings(rows, labelled),
        "more_labels": _more(rows, labelled),
        "guards": guarded.facts,
        "left_out": progress.left_out,
    }
    rulings = join([*tables.values(), *(rule_table(row, labelled) for row in shown if row.tells_rules)])
    return LabelledResults(_plain(data), shown, labelled, rulings)


# --- labels --------------------------------------------------------------------------------------


def labels_of(labelled: LabelledImages) -> dict[str, Any]:
    """How the labels were read, what was skipped, and where annotators disagree."""
    read, votes = labelled.read, labelled.votes
    disputed = [
        {
            "item": item.id,
            "rule": rule,
            "broken": sorted(who for who, broken in of_item.by_rule[rule].by.items() if broken),
            "kept": sorted(who for who, broken in of_item.by_rule[rule].by.items() if not broken),
            "taken_for": {True: "broken", False: "kept", None: "tie"}[of_item.by_rule[rule].majority],
        }
        for item, of_item in zip(labelled.items, votes, strict=True)
        for rule in of_item.disputed
    ]
    people = {who for of_item in votes for rule in of_item.by_rule.values() for who in rule.by}
    return {
        "layout": read.layout,
        "images": len(labelled.items),
        "unreadable": [item.id for item in labelled.items if item.unreadable is not None],
        "broken": sum(bool(item.broken) for item in labelled.items),
        "annotators": sorted(people - {""}),
        "by_rule": {
            rule: {
                "labels": sum(rule in of_item.truth for of_item in votes),
                "broken": sum(of_item.truth.get(rule, False) for of_item in votes),
                "ties": sum(rule in of_item.ties for of_item in votes),
            }
            for rule in labelled.rules
        },
        "without_labels": [rule for rule in labelled.rules if rule not in labelled.rated],
        "agreement": [asdict(each) for each in agreement(votes, labelled.rules)],
        "disputed": disputed,
        "skipped": [asdict(each) for each in read.skipped],
        "unread_columns": list(read.unread),
        "notes": list(read.notes),
    }


# --- rows ----------------------------------------------------------------------------------------


def _folds(labelled: LabelledImages, count: int) -> dict[str, int]:
    """Group of equal images -> fold; all in fold 0 where `count` is 0."""
    numbers = folds(labelled.items, count) if count else [0] * len(labelled.items)
    return {str(item.pair): fold for item, fold in zip(labelled.items, numbers, strict=True)}


def _row(row: MethodRow, labelled: LabelledImages, table: Table, fold_of: dict[str, int]) -> dict[str, Any]:
    found: dict[str, Any] = {
        "method": row.method,
        "model": row.model,
        "constitution": row.constitution,
        "guard": row.guard,
        "control": row.control,
        "covers": list(row.covers),
        "item": Measured(table).summary(),
        "calibration": {} if row.control else {"item": _calibration(table, fold_of)},
        "costs": costs(row),
        "reasons": dict(Counter(p.reason for p in row.predictions if p.reason is not None)),
    }
    if row.tells_rules:
        pairs = rule_table(row, labelled)
        found["rules"] = Measured(pairs).summary()
        if not row.control:
            found["calibration"]["rules"] = _calibration(pairs, fold_of)
        found["by_rule"] = {rule: Measured(rule_table(row, labelled, rule)).summary() for rule in row.covers}
    return found


def _calibration(table: Table, fold_of: dict[str, int]) -> dict[str, Any]:
    return before_and_after(table, [fold_of[group] for group in table.clusters[0].tolist()])


def _paired(rows: Sequence[MethodRow], labelled: LabelledImages) -> list[dict[str, Any]]:
    """Compares the first row of each model and constitution with the others, and with the guards on the rules
    that they cover; p is corrected by Holm over the comparisons of one first row."""
    leads: dict[tuple[str, str], MethodRow] = {}
    for row in rows:
        if not row.guard:
            leads.setdefault((row.model, row.constitution), row)
    found: list[dict[str, Any]] = []
    for (model, constitution), lead in leads.items():
        others = [
            row
            for row in rows
            if row is not lead and (row.guard or (row.model, row.constitution) == (model, constitution))
        ]
        family = [
            entry
            for other in others
            for entry in _differences(lead.limited(other.covers), other, labelled, COMPARED)
        ]
        found += _with_holm(family)
    return found


def _wordings(rows: Sequence[MethodRow], labelled: LabelledImages) -> list[dict[str, Any]]:
    """Compares each method under the first constitution with itself under the others; p by Holm over all."""
    first, *others = labelled.constitutions
    known = {(row.method, row.model, row.constitution): row for row in rows}
    family: list[dict[str, Any]] = []
    for (method, model, constitution), row in known.items():
        for other in others if constitution == first else ():
            if (against := known.get((method, model, other))) is not None:
                family += _differences(row, against, labelled, REWORDED)
    return _with_holm(family)


def _differences(
    a: MethodRow, b: MethodRow, labelled: LabelledImages, names: Sequence[str]
) -> Iterator[dict[str, Any]]:
    """Paired differences a - b on the same images."""
    one, other = (Measured(item_table(row, labelled)) for row in (a, b))
    for name in names if len(one.table) else ():
        (first, metric), (second, _) = one.of(name), other.of(name)
        gap = difference(first, second, metric)
        yield {
            "a": _named(a),
            "b": _named(b),
            "metric": name,
            "less_is_better": metric in LESS,
            "n": gap.n,
            "rules": len(b.covers),
            "values": [one.value(name), other.value(name)],
            "difference": gap.value,
            "low": gap.interval.low,
            "high": gap.interval.high,
            "p": gap.p,
        }


def _named(row: MethodRow) -> dict[str, str]:
    return {"method": row.method, "model": row.model, "constitution": row.constitution}


def _with_holm(family: list[dict[str, Any]]) -> list[dict[str, Any]]:
    adjusted = holm([each["p"] for each in family])
    return [each | {"p_holm": p} for each, p in zip(family, adjusted, strict=True)]


def _more(rows: Sequence[MethodRow], labelled: LabelledImages) -> dict[str, Any]:
    """Expected gain from `MORE` further labels: narrower intervals of the first row, bounds of every rule."""
    measured = Measured(item_table(rows[0], labelled))
    n = len(measured.table)
    intervals = {name: narrowing(measured.value(name), measured.interval(name), n) for name in NARROWED if n}
    guarantees: list[dict[str, Any]] = []
    for rule in labelled.rated:
        said = [votes.truth[rule] for votes in labelled.votes if rule in votes.truth]
        guarantees.append(asdict(guarantee(rule, len(said), sum(said))))
    return {"more": MORE, "row": _named(rows[0]), "n": n, "intervals": intervals, "rules": guarantees}


def _provenance(plan: BenchPlan, progress: Progress, guarded: GuardRows) -> dict[str, Any]:
    labelled = plan.labelled
    assert labelled is not None
    return {
        **made_by(plan.command),
        "models": progress.models,
        "guards": {f"{each['kind']} · {each['name']}": each["revision"] for each in guarded.facts},
        **progress.vision,
        "constitutions": {name: each.digest for name, each in labelled.constitutions.items()},
        "images": labelled.digest[:12],
        "labels": labelled.labels_digest[:12],
        "folds": plan.folds,
        "calibration": None if plan.calibration is None else plan.calibration.digest,
        "runs": runs_of([*progress.origins, *guarded.origins]),
    }


def _plain(value: Any) -> Any:
    """Plain data for JSON: null for what could not be computed, intervals as two numbers."""
    if isinstance(value, dict):
        return {str(key): _plain(each) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(each) for each in value]
    if isinstance(value, float | np.floating):
        return None if math.isnan(value) else float(f"{value:.6g}")
    return int(value) if isinstance(value, np.integer) else value
