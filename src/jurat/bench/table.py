"""Predictions to rows: every metric at item and rule level, with intervals, and paired differences.

Item level: unsafe or not, against whether any rule is broken. Rule level: each scene for the rule it
was drawn for, as in the paper's Table 4; `false_flags` is the share of the other (scene, rule) pairs
that are wrongly called broken. Of someone's own images every pair of image and rule counts.
On `rare` all scenes are negatives, on `borderline` truth is soft, so what needs both kinds of scene, or a
hard truth, is null there.
"""

from __future__ import annotations

import math
from collections import Counter
from dataclasses import dataclass, fields
from functools import cached_property, lru_cache
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from jurat import metrics
from jurat.bench.cost import Spending
from jurat.metrics import UNSURE, Interval, Resampler
from jurat.metrics.abstention import COVERAGES, Curves
from jurat.metrics.calibration_error import briers, log_losses
from jurat.metrics.intervals import percentile
from jurat.metrics.rates import RATES, rates
from jurat.metrics.shift import PREVALENCES

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from jurat.bench.methods.interface import Prediction
    from jurat.bench.pictogram.items import BenchItem

Level = Literal["item", "rule"]
LEVELS: tuple[Level, ...] = ("item", "rule")
DRAWS = 1000
INTERVALS = f"95%, percentile bootstrap over rule, then pair; {DRAWS:,} draws"
BLOCK = 2_000_000
"""Weights that are worked on at once."""
COVERED = 0.9
"""The coverage whose risk is the metric `risk`."""
CURVE = tuple(np.linspace(0.05, 1.0, 20).round(2).tolist())
"""The coverages of `risk_curve`."""
LESS = ("aurc", "risk", "brier", "log_loss")
"""Metrics of which less is better."""
SOFT = ("brier", "log_loss")
"""Metrics of scores against a truth that may be soft."""


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

    @cached_property
    def _arrays(self) -> dict[Level, Arrays]:
        return {}

    def arrays(self, level: Level) -> Arrays:
        """The arrays of a level, computed once."""
        if level not in self._arrays:
            self._arrays[level] = Arrays.of(self, level)
        return self._arrays[level]


@dataclass(frozen=True)
class Arrays:
    """Truth, outcomes and scores of one level; all of length n."""

    truth: NDArray[np.float64]
    """0 or 1; in between where it is soft."""
    outcomes: NDArray[np.int64]
    scores: NDArray[np.float64]
    clusters: tuple[list[str], list[int]]
    """Rule and pair of each."""
    seeds: int = 1
    """Training seeds of the model; of several there are no intervals (`jurat.bench.seeds`)."""

    @classmethod
    def of(cls, evaluated: EvaluatedMethod, level: Level) -> Arrays:
        items = list(zip(evaluated.items, evaluated.predictions, strict=True))
        if level == "rule" and evaluated.split == "labelled":
            # Every rule of every image; an image without any answer is undecided under each.
            names = dict.fromkeys(name for _, prediction in items for name in prediction.rules)
            rows = [(*each, name, each[0].id, number) for number, each in enumerate(items) for name in names]
        else:
            own = level == "rule"
            rows = [(*each, each[0].rule if own else "", each[0].rule, each[0].pair) for each in items]
        return cls(
            np.array([_truth(item, rule) for item, _, rule, *_ in rows], float),
            np.array([_outcome(prediction, rule) for _, prediction, rule, *_ in rows], int),
            np.array([_score(prediction, rule) for _, prediction, rule, *_ in rows], float),
            ([cluster for *_, cluster, _ in rows], [pair for *_, pair in rows]),
            len(set(evaluated.seeds)) or 1,
        )

    @cached_property
    def hard(self) -> bool:
        return bool(np.isin(self.truth, (0, 1)).all())

    @property
    def forced(self) -> NDArray[np.bool_]:
        """Which would be wrong if everything were decided: what is unsure goes by its score, and is wrong
        without one."""
        leaning = np.where(np.isnan(self.scores), UNSURE, (self.scores > 0.5).astype(int))
        return np.where(self.outcomes == UNSURE, leaning, self.outcomes) != self.truth

    def samples(self) -> NDArray[np.int32]:
        """Weights of the bootstrap samples; shape (draws, n). Equal items get equal ones."""
        rules, pairs = self.clusters
        return _samples(tuple(rules), tuple(pairs), DRAWS)

    def value(self, metric: str) -> float:
        """A metric, by its name in `_group`."""
        return float(self._group(metric, np.ones((1, len(self.truth))))[metric][0])

    def spread(self, metric: str) -> NDArray[np.float64]:
        """A metric over the bootstrap samples, computed once."""
        if metric not in self._spreads:
            samples = self.samples()
            step = max(1, BLOCK // max(1, samples.shape[1]))
            parts = [self._group(metric, samples[i : i + step]) for i in range(0, len(samples), step)]
            self._spreads.update({name: np.concatenate([p[name] for p in parts]) for name in parts[0]})
        return self._spreads[metric]

    def interval(self, metric: str) -> list[float]:
        """The 95% interval of a metric."""
        return _ci(percentile(self.spread(metric).tolist()))

    @cached_property
    def _spreads(self) -> dict[str, NDArray[np.float64]]:
        return {}

    def _group(self, metric: str, weights: NDArray[Any]) -> dict[str, NDArray[np.float64]]:
        """A metric and those that are worked out with it, of each sample of `weights` (samples, n)."""
        if metric in RATES:
            return rates(self.truth.astype(int), self.outcomes, weights)
        if metric in SOFT:
            return {
                "brier": briers(self.truth, self.scores, weights),
                "log_loss": log_losses(self.truth, self.scores, weights),
            }
        curves = Curves.of(self.forced, metrics.confidence(self.scores), weights)
        return {"aurc": curves.areas(), "risk": curves.risks_at(COVERED)}


def _truth(item: BenchItem, rule: str) -> float:
    """The truth of the rule, or of the item if no rule is given."""
    if item.soft is not None:
        return item.soft
    return float(rule in item.broken if rule else bool(item.broken))


def _outcome(prediction: Prediction, rule: str) -> int:
    return prediction.rules.get(rule, UNSURE) if rule else prediction.outcome


def _score(prediction: Prediction, rule: str) -> float:
    return prediction.scores.get(rule, math.nan) if rule else prediction.score


def title_of(row: dict[str, Any]) -> str:
    """How tables and figures name a row's method: "jurat − views"."""
    return row["preset"] + "".join(f" − {part}" for part in row["ablate"])


def row(evaluated: EvaluatedMethod, level: Level, *, recall_on_test: float = math.nan) -> dict[str, Any]:
    """One line of `results.json`. `recall_on_test` is what the precision at a prevalence is worked out
    with, on `rare`."""
    found = evaluated.arrays(level)
    values: dict[str, Any] = {
        "preset": evaluated.preset,
        "ablate": list(evaluated.ablate),
        "model": evaluated.model,
        "split": evaluated.split,
        "level": level,
        "n": len(found.truth),
        "seeds": len(set(evaluated.seeds)) or 1,
    }
    values |= _rates(found) | _abstention(found) | _calibration(found)
    if evaluated.split == "rare" and level == "item":
        alarms = 1 - values["accuracy"]
        values["precision_at"] = {
            str(p): metrics.precision_at(p, recall_on_test, alarms) for p in PREVALENCES
        }
    if level == "rule":
        values["false_flags"] = _false_flags(evaluated)
    values["reasons"] = dict(Counter(r.reason for r in evaluated.predictions if r.reason is not None))
    values["by"] = _parts(evaluated, found)
    return _plain(values | _spending(evaluated))


@lru_cache(maxsize=8)
def _samples(rules: tuple[str, ...], pairs: tuple[int, ...], draws: int) -> NDArray[np.int32]:
    return Resampler(rules, pairs, draws=draws).weights()


def _rates(found: Arrays) -> dict[str, Any]:
    values: dict[str, Any] = {}
    both = found.hard and 0 < found.truth.sum() < len(found.truth)
    for name in RATES:
        usable = found.hard and (both or name == "accuracy")
        values[name] = found.value(name) if usable else math.nan
        if usable and len(found.truth) and found.seeds == 1:
            values[f"{name}_ci"] = found.interval(name)
    return values | {"unsure": metrics.unsure_share(found.outcomes)}


def _abstention(found: Arrays) -> dict[str, Any]:
    if not found.hard or np.isnan(found.scores).all():
        return {"aurc": math.nan}
    curves = Curves.of(found.forced, metrics.confidence(found.scores), np.ones((1, len(found.truth))))
    values = {
        "aurc": found.value("aurc"),
        "risk_at": {str(c): float(curves.risks_at(c)[0]) for c in COVERAGES},
        "risk_curve": [float(curves.risks_at(c)[0]) for c in CURVE],
    }
    if found.seeds == 1:
        values |= {"aurc_ci": found.interval("aurc"), "risk_ci": found.interval("risk")}
    return values


def _calibration(found: Arrays) -> dict[str, Any]:
    return {
        "ece": metrics.calibration_error(found.truth, found.scores),
        "brier": metrics.brier(found.truth, found.scores),
        "log_loss": metrics.log_loss(found.truth, found.scores),
        "unscored": float(np.isnan(found.scores).mean()) if len(found.scores) else math.nan,
    }


def _false_flags(evaluated: EvaluatedMethod) -> float:
    wrong = others = 0
    for item, prediction in zip(evaluated.items, evaluated.predictions, strict=True):
        for name, outcome in prediction.rules.items():
            if name != item.rule and name not in item.broken:
                others += 1
                wrong += outcome == 1
    return wrong / others if others else math.nan


def _parts(evaluated: EvaluatedMethod, found: Arrays) -> dict[str, dict[str, float]]:
    """Accuracy by rule, by level of difficulty and by companions: where it fails."""
    if not found.hard or len(found.truth) != len(evaluated.items):
        return {}
    wrong = found.outcomes != found.truth
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


def _spending(evaluated: EvaluatedMethod) -> dict[str, Any]:
    """Mean costs per item."""
    spent = [prediction.spending for prediction in evaluated.predictions]
    means: dict[str, Any] = {}
    for each in fields(Spending):
        values = [getattr(one, each.name) for one in spent]
        known = [value for value in values if value is not None]
        means[each.name] = sum(known) / len(known) if known and len(known) == len(values) else math.nan
    return means


def flip_row(test: EvaluatedMethod, flipped: EvaluatedMethod) -> dict[str, Any]:
    """The flip score of the rule that each scene was drawn for, with its interval, over the scenes that both
    splits hold; nothing where there is none."""
    before = {name: i for i, name in enumerate(_names(test))}
    both = [(before[name], i) for i, name in enumerate(_names(flipped)) if name in before]
    if not both:
        return {}
    a, b = test.arrays("rule"), flipped.arrays("rule")
    first, second = (np.array(column) for column in zip(*both, strict=True))
    pairs = a.truth[first].astype(int), a.outcomes[first], b.truth[second].astype(int), b.outcomes[second]
    score = metrics.flip_score(*pairs)
    if math.isnan(score) or b.seeds > 1:
        return {} if math.isnan(score) else {"flip_score": score}
    draws = [metrics.flip_score(*pairs, sample) for sample in b.samples()[:, second]]
    return _plain({"flip_score": score, "flip_score_ci": _ci(percentile(draws))})


def _names(evaluated: EvaluatedMethod) -> list[tuple[str, str]]:
    """Seed and scene of each item, whichever split shows it."""
    seeds = evaluated.seeds or ("",) * len(evaluated.items)
    return [(seed, item.id.partition("/")[2]) for seed, item in zip(seeds, evaluated.items, strict=True)]


def paired(
    a: EvaluatedMethod, b: EvaluatedMethod, metric: str, level: Level = "item"
) -> dict[str, Any] | None:
    """The difference a - b on the same items, with its interval; None where one of them is undefined.

    Of recall, precision, accuracy and F1 more is better; of those in `LESS` less.
    """
    if [item.id for item in a.items] != [item.id for item in b.items] or a.seeds != b.seeds:
        raise ValueError(f"{a.key} and {b.key} did not judge the same items")
    one, other = a.arrays(level), b.arrays(level)
    if not one.hard and metric not in SOFT:
        return None
    difference = one.value(metric) - other.value(metric)
    if math.isnan(difference):
        return None
    entry: dict[str, Any] = {"a": a.key, "b": b.key, "model": a.model, "split": a.split, "level": level}
    entry |= {"metric": metric, "difference": difference}
    if one.seeds > 1:
        return _plain(entry | {"ci": [math.nan, math.nan]})
    entry["ci"] = _ci(percentile((one.spread(metric) - other.spread(metric)).tolist()))
    return _plain(entry | (_ratio(one, other) if metric == "risk" else {}))


def _ratio(one: Arrays, other: Arrays) -> dict[str, Any]:
    """The ratio of two risks at `COVERED`, with its interval; an end is null where the second risk can be
    0."""
    if other.value("risk") == 0:
        return {}
    risks, others = one.spread("risk"), other.spread("risk")
    with np.errstate(divide="ignore", invalid="ignore"):
        low, high = _ci(percentile((risks / others).tolist()))
    ends = [math.nan if math.isinf(end) else end for end in (low, high)]
    return {"ratio": one.value("risk") / other.value("risk"), "ratio_ci": ends}


def _ci(interval: Interval) -> list[float]:
    return [interval.low, interval.high]


def _plain(value: Any) -> Any:
    """JSON has no nan: null stands for what could not be computed."""
    if isinstance(value, dict):
        return {str(key): _plain(each) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(each) for each in value]
    if isinstance(value, float | np.floating):
        return None if math.isnan(value) else float(value)
    return int(value) if isinstance(value, np.integer) else value
