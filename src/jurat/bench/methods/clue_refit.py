"""CLUE with its constants fitted on dev, so that its default constants cannot explain a loss.

One constant after the other takes the value of `GRID` that gives the best F1 of items on dev, twice
over. Models that remember are asked once: every later configuration is decided on what they answered.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from jurat.bench.methods.interface import Prediction, Setup, Tuning
from jurat.bench.methods.judge_presets import as_item, judge, open_judge, prediction_of
from jurat.bench.pictogram.items import BenchItem
from jurat.metrics import f1

if TYPE_CHECKING:
    from jurat.judge import Preset

GRID: dict[str, tuple[float, ...]] = {
    "accept": (0.2, 0.4, 0.6, 0.8, 0.9),
    "reject": (0.0, 0.3, 0.6, 0.9),
    "drop": (0.2, 0.4, 0.6, 0.8),
    "crop_below": (0.0, 0.01, 0.05),
}
"""Settings of the preset, and the values tried; the paper's are among them."""
ROUNDS = 2
MOST_PAIRS = 10
"""Pairs of scenes a rule that it is fitted on."""


def refit(setup: Setup, items: Sequence[BenchItem], *, preset: str) -> Iterator[Prediction]:
    """See the module's docstring; `preset` is the one whose constants are fitted."""
    fitted = setup.once(f"{preset}-refit", lambda: _fit(setup, preset))
    yield from judge(setup, items, preset=fitted.replace(name=f"{preset}-refit"))


def _fit(setup: Setup, preset: str) -> Preset:
    from jurat.judge.presets import find_preset

    whole = setup.labelled()
    tuning = Tuning(whole.constitution, [item for item in whole.items if item.pair < MOST_PAIRS])
    best = find_preset(preset)
    reached, tried = _reached(setup, tuning, best), 1
    for _ in range(ROUNDS):
        for name, values in GRID.items():
            for value in values:
                if best.setting(name) in (None, value):
                    continue
                settings: dict[str, Any] = {name: value}
                candidate = best.replace(**settings)
                found = _reached(setup, tuning, candidate)
                tried += 1
                if found > reached:
                    best, reached = candidate, found
    setup.tried[f"{preset}-refit"] = tried
    return best


def _reached(setup: Setup, tuning: Tuning, preset: Preset) -> float:
    """F1 at item level on dev."""
    bench = open_judge(setup, tuning.constitution, preset)
    said = [prediction_of(v).outcome for v in bench.stream(map(as_item, tuning.items))]
    truth = [int(bool(item.broken)) for item in tuning.items]
    return f1(np.array(truth), np.array(said))
