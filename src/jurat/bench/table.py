"""Predictions to rows: every metric at item and rule level, with intervals, and paired differences.

Item level: unsafe or not, against whether any rule is broken. Rule level: each scene for the rule it
was drawn for, as in the paper's Table 4; `false_flags` is the share of the other (scene, rule) pairs
that are wrongly called broken. Someone's own images are measured by `jurat.bench.labelled`.
On `rare` all scenes are negatives, on `borderline` truth is soft, so what needs both kinds of scene, or a
hard truth, is null there.
"""

from __future__ import annotations

import math
from collections import Counter
from dataclasses import dataclass, fields
from functools import cached_property
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from jurat import metrics
from jurat.bench.cost import Spending
from jurat.metrics import UNSURE, Estimates, Interval, Table
from jurat.metrics.abstention import COVERAGES
from jurat.metrics.intervals import DRAWS, percentile
from jurat.metrics.paired import difference, percentile_difference, percentile_ratio
from jurat.metrics.rates import RATES
from jurat.metrics.shift import PREVALENCES

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from jurat.bench.methods.interface import Prediction
    from jurat.bench.pictogram.items import BenchItem

Level = Literal["item", "rule"]
LEVELS: tuple[Level, ...] = ("item", "rule")
INTERVALS = f"95%, percentile bootstrap over rule, then pair; {DRAWS:,} draws"
CURVE = tuple(np.linspace(0.05, 1.0, 20).round(2).tolist())
"""The coverages of `risk_curve`."""
REFUSED_SPLITS = ("redrawn",)
"""Whose scenes a model may refuse as outside its domain; what it lets through has figures of its own."""
COSTS = tuple(each.name for each in fields(Spending))


@dataclass(frozen=True)
class EvaluatedMethod:
    """One method's predictions on one split, with the items; of one model, or of several seeds of it."""

    preset: str
    ablate: tuple[str, ...]
    model: str
    split: str
    items: tuple[BenchItem, ...]
    predictions: tuple[Prediction, ...]
    seeds: tuple[str, ...] = ()
    """Training seed of each prediction's model; empty for a single one."""

    def __post_init__(self) -> None:
        if len(self.items) != len(self.predictions):
            raise ValueError(f"{self.preset}: {len(self.predictions)} predictions on {len(self.items)} items")

    @property
    def key(self) -> str:
        return "-no-".join((self.preset, *self.ablate))

    @property
    def seed_count(self) -> int:
        """Training seeds of the model; of several there are no intervals (`jurat.bench.seeds`)."""
        return len(set(self.seeds)) or 1

    @cached_property
    def _estimates(self) -> dict[Level, Estimates]:
        return {}

    def estimates(self, level: Level) -> Estimates:
        """The metrics of a level, each computed once."""
        if level not in self._estimates:
            self._estimates[level] = Estimates(self.table(level), DRAWS, nested=True)
        return self._estimates[level]

    def table(self, level: Level) -> Table:
        """One row an item, in clusters of rule and pair; at rule level for the item's own rule."""
        items = list(zip(self.items, self.predictions, self.seeds or ("",) * len(self.items), strict=True))
        own = level == "rule"
        rows = [(*each, each[0].rule if own else "", each[0].rule, each[0].pair) for each in items]
        factors = {"method": self.key, "model": self.model, "split": self.split, "level": level}
        return Table(
            np.array([f"{seed} {item.id} {rule}" for item, _, seed, rule, *_ in rows], np.str_),
            tuple(np.array([row[place] for row in rows], np.str_) for place in (4, 5)),
            np.array([_truth(item, rule) for item, _, _, rule, *_ in rows], float),
            np.array([_outcome(prediction, rule) for _, prediction, _, rule, *_ in rows], int),
            np.array([_score(prediction, rule) for _, prediction, _, rule, *_ in rows], float),
            {name: np.array([_cost(row[1], name) for row in rows], float) for name in COSTS},
            {name: np.full(len(rows), value) for name, value in factors.items()},
        )


def _truth(item: BenchItem, rule: str) -> float:
    """The truth of the rule, or of the item if no rule is given."""
    if item.soft is not None:
        return item.soft
    return float(rule in item.broken if rule else bool(item.broken))


def _outcome(prediction: Prediction, rule: str) -> int:
    return prediction.rules.get(rule, UNSURE) if rule else prediction.outcome


def _score(prediction: Prediction, rule: str) -> float:
    return prediction.scores.get(rule, math.nan) if rule else prediction.score


def _cost(prediction: Prediction, name: str) -> float:
    value = getattr(prediction.spending, name)
    return math.nan if value is None else value


def title_of(row: dict[str, Any]) -> str:
    """How tables and figures name a row's method: "jurat − views"."""
    return row["preset"] + "".join(f" − {part}" for part in row["ablate"])


def row(evaluated: EvaluatedMethod, level: Level, *, recall_on_test: float = math.nan) -> dict[str, Any]:
    """One line of `results.json`. `recall_on_test` is what the precision at a prevalence is worked out
    with, on `rare`."""
    found, several = evaluated.estimates(level), evaluated.seed_count > 1
    values: dict[str, Any] = {
        "preset": evaluated.preset,
        "ablate": list(evaluated.ablate),
        "model": evaluated.model,
        "split": evaluated.split,
        "level": level,
        "n": len(found.table),
        "seeds": evaluated.seed_count,
    }
    values |= _rates(found) | _abstention(found) | _calibration(found.table)
    if evaluated.split in REFUSED_SPLITS and level == "item":
        values |= _let_through(evaluated, found.table)
    if several:
        values = {name: value for name, value in values.items() if not name.endswith("_ci")}
    if evaluated.split == "rare" and level == "item":
        alarms = 1 - values["accuracy"]
        values["precision_at"] = {
            str(p): metrics.precision_at(p, recall_on_test, alarms) for p in PREVALENCES
        }
    if level == "rule":
        values["false_flags"] = _false_flags(evaluated)
    values["reasons"] = dict(Counter(r.reason for r in evaluated.predictions if r.reason is not None))
    values["by"] = _parts(evaluated, found)
    return plain(values | {name: _mean(column) for name, column in found.table.costs.items()})


def _rates(found: Estimates) -> dict[str, Any]:
    values: dict[str, Any] = {}
    truth = found.table.truth
    both = found.hard and 0 < truth.sum() < len(truth)
    for name in RATES:
        usable = found.hard and (both or name == "accuracy")
        values[name] = found.value(name) if usable else math.nan
        if usable and len(truth):
            values[f"{name}_ci"] = _ci(found.percentile_interval(name))
    return values | {"unsure": metrics.unsure_share(found.table.said)}


def _abstention(found: Estimates) -> dict[str, Any]:
    if not found.hard or np.isnan(found.table.score).all():
        return {"aurc": math.nan}
    curves = found.curves()
    return {
        "forced_f1": found.value("forced_f1"),
        "forced_f1_ci": _ci(found.percentile_interval("forced_f1")),
        "aurc": found.value("aurc"),
        "risk_at": {str(c): float(curves.risks_at(c)[0]) for c in COVERAGES},
        "risk_curve": [float(curves.risks_at(c)[0]) for c in CURVE],
        "aurc_ci": _ci(found.percentile_interval("aurc")),
        "risk_ci": _ci(found.percentile_interval("risk")),
    }


def _calibration(table: Table) -> dict[str, Any]:
    return {
        "ece": metrics.calibration_error(table.truth, table.score),
        "brier": metrics.brier(table.truth, table.score),
        "log_loss": metrics.log_loss(table.truth, table.score),
        "unscored": float(np.isnan(table.score).mean()) if len(table) else math.nan,
    }


def _let_through(evaluated: EvaluatedMethod, table: Table) -> dict[str, Any]:
    """How many items the model did not refuse as out of its domain, and the shares of these that were judged
    rightly and wrongly, the others being unsure; Wilson's intervals in clusters of rules."""
    refused = [each.outcome == UNSURE and each.reason == "out_of_domain" for each in evaluated.predictions]
    through = ~np.array(refused, bool)
    true, said, rules = table.truth[through], table.said[through], table.clusters[0][through]
    values: dict[str, Any] = {"let_through": len(said)}
    for name, hits in (("right", said == true), ("wrong", (said != true) & (said != UNSURE))):
        values[f"{name}_of_these"] = float(hits.mean()) if len(hits) else math.nan
        values[f"{name}_of_these_ci"] = _ci(metrics.clustered_rate(hits.astype(float), rules.tolist()))
    return values


def _false_flags(evaluated: EvaluatedMethod) -> float:
    wrong = others = 0
    for item, prediction in zip(evaluated.items, evaluated.predictions, strict=True):
        for name, outcome in prediction.rules.items():
            if name != item.rule and name not in item.broken:
                others += 1
                wrong += outcome == 1
    return wrong / others if others else math.nan


def _parts(evaluated: EvaluatedMethod, found: Estimates) -> dict[str, dict[str, float]]:
    """Accuracy by rule, by level of difficulty and by companions: where it fails."""
    if not found.hard or len(found.table) != len(evaluated.items):
        return {}
    wrong = found.table.said != found.table.truth
    keys: dict[str, list[str]] = {
        "rule": [item.rule for item in evaluated.items],
        "level": [item.level for item in evaluated.items],
        "companions": [str(item.companions or "") for item in evaluated.items],
    }
    parts: dict[str, dict[str, float]] = {}
    for name, values in keys.items():
        groups = [value for value in dict.fromkeys(values) if value]
        column = np.array(values)
        if len(groups) > 1:
            parts[name] = {value: float(1 - wrong[column == value].mean()) for value in groups}
    return parts


def _mean(column: NDArray[np.float64]) -> float:
    """nan where a value is not known, or there is none."""
    return float(column.mean()) if len(column) else math.nan


def flip_row(test: EvaluatedMethod, flipped: EvaluatedMethod) -> dict[str, Any]:
    """The flip score of the rule that each scene was drawn for, with its interval, over the scenes that both
    splits hold; nothing where there is none."""
    before = {name: i for i, name in enumerate(_names(test))}
    both = [(before[name], i) for i, name in enumerate(_names(flipped)) if name in before]
    if not both:
        return {}
    a, b = test.table("rule"), flipped.estimates("rule")
    first, second = (np.array(column) for column in zip(*both, strict=True))
    before_flip, after = a.take(first), b.table.take(second)
    pairs = before_flip.truth.astype(int), before_flip.said, after.truth.astype(int), after.said
    score = metrics.flip_score(*pairs)
    if math.isnan(score) or flipped.seed_count > 1:
        return {} if math.isnan(score) else {"flip_score": score}
    draws = [metrics.flip_score(*pairs, sample) for sample in b.samples()[:, second]]
    return plain({"flip_score": score, "flip_score_ci": _ci(percentile(draws))})


def _names(evaluated: EvaluatedMethod) -> list[tuple[str, str]]:
    """Seed and scene of each item, whichever split shows it."""
    seeds = evaluated.seeds or ("",) * len(evaluated.items)
    return [(seed, item.id.partition("/")[2]) for seed, item in zip(seeds, evaluated.items, strict=True)]


def paired(
    a: EvaluatedMethod, b: EvaluatedMethod, metric: str, level: Level = "item"
) -> dict[str, Any] | None:
    """The difference a - b on the same items, with its interval and p; None where one of them is undefined.

    Of recall, precision, accuracy and F1 more is better; of those in `LESS` less.
    """
    one, other = a.estimates(level), b.estimates(level)
    try:
        value, interval = percentile_difference(one, other, metric)
    except ValueError as problem:
        raise ValueError(f"{a.key} and {b.key}: {problem}") from problem
    if math.isnan(value):
        return None
    entry: dict[str, Any] = {"a": a.key, "b": b.key, "model": a.model, "split": a.split, "level": level}
    entry |= {"metric": metric, "difference": value}
    if a.seed_count > 1:
        return plain(entry | {"ci": [math.nan, math.nan]})
    entry |= {"ci": _ci(interval), "p": difference(one, other, metric).p}
    if metric == "risk" and other.value("risk") > 0:
        ratio, ends = percentile_ratio(one, other, "risk")
        entry |= {"ratio": ratio, "ratio_ci": _ci(ends)}
    return plain(entry)


def _ci(interval: Interval) -> list[float]:
    return [interval.low, interval.high]


def plain(value: Any) -> Any:
    """JSON has no nan: null stands for what could not be computed."""
    if isinstance(value, dict):
        return {str(key): plain(each) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return [plain(each) for each in value]
    if isinstance(value, float | np.floating):
        return None if math.isnan(value) else float(value)
    return int(value) if isinstance(value, np.integer) else value
