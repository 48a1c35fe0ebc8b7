"""A method's predictions on labelled images as tables of judgements, and the numbers of a table.

*Strict* counts an undecided verdict as an error. *Forced* decides it by its score, and counts it as an error
only where it has none. Both are computed on the same items.

Intervals are 95%, over groups of equal images. Recall, precision and accuracy have Wilson intervals
(`metrics.clustered_rate`); precision is taken over hits and negatives not called kept. F1 is 2 p / (1 + p)
for the share p of hits among hits, misses and false alarms, so its interval is the Wilson interval of p,
transformed: it does not shrink to a point where nothing was wrong. AURC has a bootstrap interval.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from jurat import metrics
from jurat.bench.cost import Spending
from jurat.bench.methods.interface import Prediction
from jurat.metrics import UNSURE, Estimates, Interval, Table, clustered_rate
from jurat.metrics.rates import RATES

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from jurat.bench.labelled.labelled_images import LabelledImages

COSTS = ("images", "question_tokens", "generated_tokens", "flops", "seconds")
_NONE = Interval(math.nan, math.nan)


@dataclass(frozen=True)
class MethodRow:
    """One method with one model under one constitution."""

    method: str
    model: str
    constitution: str
    predictions: Sequence[Prediction]
    """One prediction for each labelled image, in their order."""
    covers: Sequence[str]
    """Ids of the rules it is measured on: those with labels; for a guard, those mapped to its categories."""
    guard: bool = False
    control: bool = False
    """Whether it is a constant answer, for comparison."""

    @property
    def name(self) -> str:
        return f"{self.method} · {self.model}" if self.model else self.method

    @property
    def tells_rules(self) -> bool:
        return any(prediction.rules for prediction in self.predictions)

    def limited(self, covers: Sequence[str]) -> MethodRow:
        """This row, measured on some of its rules only."""
        return replace(self, covers=[rule for rule in self.covers if rule in covers])


def item_table(row: MethodRow, labelled: LabelledImages) -> Table:
    """One judgement an image: does it break a rule that the row covers? Images with a rule that has no
    label, or a tie, are left out unless another rule is broken."""
    said = [_of_item(prediction, row, labelled) for prediction in row.predictions]
    truths = [_item_truth(votes.truth, row.covers) for votes in labelled.votes]
    kept = [i for i, truth in enumerate(truths) if truth is not None]
    return _table(row, labelled, [(i, "", truths[i], said[i].outcome, said[i].score) for i in kept])


def rule_table(row: MethodRow, labelled: LabelledImages, rule: str | None = None) -> Table:
    """One judgement for each image and rule with a label; `rule` limits it to one."""
    entries = [
        (
            i,
            name,
            votes.truth[name],
            prediction.rules.get(name, UNSURE),
            prediction.scores.get(name, math.nan),
        )
        for i, (votes, prediction) in enumerate(zip(labelled.votes, row.predictions, strict=True))
        for name in row.covers
        if name in votes.truth and rule in (None, name)
    ]
    return _table(row, labelled, entries)


def _of_item(prediction: Prediction, row: MethodRow, labelled: LabelledImages) -> Prediction:
    """The prediction of whether a covered rule is broken."""
    if not prediction.rules or set(row.covers) >= prediction.rules.keys():
        return prediction
    rules = {name: said for name, said in prediction.rules.items() if name in row.covers}
    scores = {name: score for name, score in prediction.scores.items() if name in row.covers}
    return Prediction.of_rules(rules, scores, prediction.spending, prediction.reason)


def _item_truth(truth: Mapping[str, bool], covers: Sequence[str]) -> bool | None:
    known = [truth[rule] for rule in covers if rule in truth]
    return True if any(known) else False if covers and len(known) == len(covers) else None


def _table(row: MethodRow, labelled: LabelledImages, entries: Sequence[tuple[Any, ...]]) -> Table:
    items = [labelled.items[i] for i, *_ in entries]
    spent = [row.predictions[i].spending for i, *_ in entries]
    factors = {
        "method": [row.method] * len(entries),
        "model": [row.model] * len(entries),
        "constitution": [row.constitution] * len(entries),
        "rule": [rule for _, rule, *_ in entries],
        "reason": [row.predictions[i].reason or "" for i, *_ in entries],
    }
    units = [
        f"{item.id}\n{rule}" if rule else item.id for item, (_, rule, *_) in zip(items, entries, strict=True)
    ]
    return Table(
        np.array(units, np.str_),
        (np.array([str(item.pair) for item in items], np.str_),),
        np.array([float(truth) for _, _, truth, *_ in entries], float),
        np.array([outcome for *_, outcome, _ in entries], int),
        np.array([score for *_, score in entries], float),
        {name: np.array([_cost(each, name) for each in spent], float) for name in COSTS},
        {name: np.array(column, np.str_) for name, column in factors.items()},
    )


def _cost(spending: Spending, name: str) -> float:
    value = getattr(spending, name)
    return math.nan if value is None else float(value)


class Measured:
    """The numbers of a table, each computed once."""

    def __init__(self, table: Table) -> None:
        self.table = table

    @cached_property
    def strict(self) -> Estimates:
        return Estimates(self.table)

    @cached_property
    def forced(self) -> Estimates:
        """Estimates where each undecided verdict is decided by its score, at one half."""
        said, score = self.table.said, self.table.score
        leaning = np.where(np.isnan(score), UNSURE, (score > 0.5).astype(int))
        return Estimates(replace(self.table, said=np.where(said == UNSURE, leaning, said)))

    def value(self, metric: str) -> float:
        """A metric: one of `RATES`, "forced " and one of them, or "aurc"; nan where it is undefined."""
        estimates, name = self.of(metric)
        return estimates.value(name)

    def of(self, metric: str) -> tuple[Estimates, str]:
        """The estimates that hold a metric, and its name in them."""
        name = metric.removeprefix("forced ")
        return (self.strict if name == metric else self.forced), name

    def interval(self, metric: str) -> Interval:
        """The 95% interval; nan where the metric is undefined."""
        estimates, name = self.of(metric)
        if math.isnan(estimates.value(name)):
            return _NONE
        if name == "aurc":
            return estimates.interval("aurc")
        return rate_interval(estimates.table, name)

    def numbers(self, *names: str) -> dict[str, Any]:
        """Value and interval of each named metric."""
        return {
            name: {"value": self.value(name), "low": interval.low, "high": interval.high}
            for name in names
            for interval in (self.interval(name),)
        }

    def summary(self) -> dict[str, Any]:
        """All published numbers of the table, by name."""
        table = self.table
        if not len(table):
            return {"n": 0, "positives": 0}
        rates = (*RATES, *(f"forced {name}" for name in RATES), "aurc")
        return {
            "n": len(table),
            "groups": len(np.unique(table.clusters[0])),
            "positives": int(table.truth.sum()),
            "undecided": metrics.unsure_share(table.said),
            "unscored": float(np.isnan(table.score).mean()),
            **self.numbers(*rates),
            "risk at 90%": self.strict.value("risk"),
        }


def rate_interval(table: Table, name: str) -> Interval:
    """The 95% interval of one of `RATES` over the table's groups."""
    truth, said = table.truth.astype(int), table.said
    right, group = said == truth, table.clusters[0]
    hits = (truth == 1) & right
    # A hit, a miss, or a negative that was not called kept.
    counted: dict[str, NDArray[np.bool_]] = {
        "accuracy": np.ones(len(truth), bool),
        "recall": truth == 1,
        "precision": hits | ((truth == 0) & ~right),
        "f1": (truth == 1) | ~right,
    }
    there = counted[name]
    interval = clustered_rate(right[there].astype(float), group[there].tolist())
    if name != "f1":
        return interval
    return Interval(*(2 * p / (1 + p) for p in (interval.low, interval.high)))


def costs(row: MethodRow) -> dict[str, float]:
    """Mean costs of an image, by name; nan where the cost of an image is unknown."""
    return {name: float(np.mean([_cost(each.spending, name) for each in row.predictions])) for name in COSTS}


def controls(labelled: LabelledImages, constitution: str) -> list[MethodRow]:
    """Rows of constant answers, the baselines that a method has to beat."""
    return [
        MethodRow(
            f"always {word}",
            "",
            constitution,
            [
                Prediction(said, float(said), dict.fromkeys(labelled.rated, said),
                           dict.fromkeys(labelled.rated, float(said)), Spending(flops=0.0))
                for _ in labelled.items
            ],
            labelled.rated,
            control=True,
        )
        for word, said in (("unsafe", 1), ("safe", 0))
    ]  # fmt: skip
