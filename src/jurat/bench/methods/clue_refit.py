"""CLUE with its constants fitted on dev, so that nobody can say it lost by its numbers alone.

One constant after the other takes the value of `GRID` that gives the best F1 of items on dev, twice
over. Models that remember are asked once: every later configuration is decided on what they answered.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from jurat.bench.methods.base import Ground, Ruling, Tuning, Unfit
from jurat.bench.methods.presets import as_item, bench_preset, judge, open_judge, ruling_of
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
"""Fields of the preset, and what they may become; the paper's values are among them."""
ROUNDS = 2
MOST_PAIRS = 10
"""Pairs of scenes a rule that it is fitted on."""


def refit(ground: Ground, items: Sequence[BenchItem], *, preset: str) -> Iterator[Ruling]:
    """See the module's docstring; `preset` is the one whose constants are fitted."""
    fitted = ground.once(f"{preset}-refit", lambda: _fit(ground, preset))
    yield from judge(ground, items, preset=replace(fitted, name=f"{preset}-refit"))


def _fit(ground: Ground, preset: str) -> Preset:
    if ground.tuning is None:
        raise Unfit("there are no labelled images to fit it on")
    whole = ground.tuning()
    tuning = Tuning(whole.law, [item for item in whole.items if item.pair < MOST_PAIRS])
    best = bench_preset(preset)
    reached, tried = _reached(ground, tuning, best), 1
    for _ in range(ROUNDS):
        for name, values in GRID.items():
            for value in values:
                if not _matters(best, name) or getattr(best, name) == value:
                    continue
                candidate = replace(best, **{name: value})
                found = _reached(ground, tuning, candidate)
                tried += 1
                if found > reached:
                    best, reached = candidate, found
    ground.tried[f"{preset}-refit"] = tried
    return best


def _matters(preset: Preset, name: str) -> bool:
    return {"drop": preset.regions, "crop_below": preset.crop_below > 0 or preset.regions}.get(name, True)


def _reached(ground: Ground, tuning: Tuning, preset: Preset) -> float:
    """F1 of items on dev."""
    bench = open_judge(ground, tuning.law, preset)
    said = [ruling_of(v).outcome for v in bench.stream(map(as_item, tuning.items))]
    truth = [int(bool(item.broken)) for item in tuning.items]
    return f1(np.array(truth), np.array(said))
