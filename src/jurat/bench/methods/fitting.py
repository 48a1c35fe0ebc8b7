"""Fits the few numbers of a baseline on labelled scenes of dev, and counts the configurations tried.

A score is an evidence e for each item and rule, on any scale. What is fitted: the cut above which a
rule counts as broken (the best F1 of items on dev), and the temperature that turns e - cut into a
probability (the least log-loss of rules on dev). Rules of dev are not those of test, so that only
numbers which all rules share can be carried over.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from statistics import median
from typing import TypeAlias, TypeVar

import numpy as np

from jurat.bench.cost import Spending
from jurat.bench.methods.interface import Prediction, Setup, Tuning
from jurat.metrics import UNSURE, f1, log_loss

V = TypeVar("V")
Evidence: TypeAlias = Mapping[str, float]
"""Evidence about one item, by rule; nan where a question was not answered."""

CUTS = 60
TEMPERATURES = (0.01, 0.02, 0.05, 0.1, 0.25, 0.5, 1.0, 2.0, 4.0)


@dataclass(frozen=True)
class ScoreScale:
    """From evidence to a probability: sigmoid((e - cut) / temperature)."""

    cut: float = 0.0
    temperature: float = 1.0

    def score(self, evidence: float) -> float:
        if math.isnan(evidence):
            return math.nan
        x = max(-60.0, min(60.0, (evidence - self.cut) / self.temperature))
        return 1 / (1 + math.exp(-x))


def predict(
    evidence: Evidence, scale: ScoreScale, spending: Spending, reason: str | None = None
) -> Prediction:
    """Decides each rule by its evidence; a rule without evidence is undecided."""
    scores = {name: scale.score(value) for name, value in evidence.items()}
    rules = {name: UNSURE if math.isnan(score) else int(score > 0.5) for name, score in scores.items()}
    return Prediction.of_rules(rules, scores, spending, reason)


def medians(rows: Sequence[Evidence], rules: Iterable[str]) -> dict[str, float]:
    """The median of each rule over the items that have one; 0 for none."""
    known = {name: [row[name] for row in rows if not math.isnan(row[name])] for name in rules}
    return {name: median(values) if values else 0.0 for name, values in known.items()}


def fit_best(
    setup: Setup, method: str, variants: Iterable[tuple[V, Sequence[Evidence]]]
) -> tuple[V, ScoreScale]:
    """The variant of a method whose evidence on dev reaches the best F1, the first of equals, and its scale.

    How many configurations were tried is noted in `setup.tried`.
    """
    tuning, tried = setup.labelled(), 0
    best: tuple[float, V, ScoreScale] | None = None
    for variant, evidence in variants:
        scale, reached, configurations = fit_scale(tuning, evidence)
        tried += configurations
        if best is None or reached > best[0]:
            best = reached, variant, scale
    assert best is not None
    setup.tried[method] = tried
    return best[1:]


def fit_scale(tuning: Tuning, evidence: Sequence[Evidence]) -> tuple[ScoreScale, float, int]:
    """The scale, the F1 of items that it reaches on dev, and how many configurations were tried."""
    rules = [rule.id for rule in tuning.constitution.rules]
    values = np.array([[row[name] for name in rules] for row in evidence], float)
    truth = np.array([[name in item.broken for name in rules] for item in tuning.items])
    known = values[~np.isnan(values)]
    if not len(known):
        return ScoreScale(), 0.0, 0
    worst = np.where(np.isnan(values), -np.inf, values).max(1)
    unanswered = np.isnan(values).any(1)
    cuts = np.unique(np.quantile(known, np.linspace(0.001, 0.999, CUTS)))
    # The middle between neighbours, so that a cut does not sit on a score.
    cuts = (cuts[1:] + cuts[:-1]) / 2 if len(cuts) > 1 else cuts
    broken = truth.any(1).astype(int)
    # As in `Prediction.of_rules`: unsafe by one rule, safe by all of them, else undecided.
    outcomes = [np.where(worst > cut, 1, np.where(unanswered, UNSURE, 0)) for cut in cuts]
    reached = [f1(broken, said) for said in outcomes]
    best = int(np.nanargmax(np.where(np.isnan(reached), -1, reached)))
    cut, flat, goal = float(cuts[best]), values.ravel(), truth.ravel().astype(float)
    spread = float(np.std(known)) or 1.0
    losses = {
        share: log_loss(goal, 1 / (1 + np.exp(-np.clip((flat - cut) / (share * spread), -60, 60))))
        for share in TEMPERATURES
    }
    share = min(losses, key=lambda each: losses[each])
    return ScoreScale(cut, share * spread), float(reached[best]), len(cuts) + len(TEMPERATURES)
