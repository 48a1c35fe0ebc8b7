"""A preset of the judge with the calibration that `jurat calibrate` fits to labelled images."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace

from jurat.bench.methods.interface import NotApplicable, Prediction, Setup
from jurat.bench.methods.judge_presets import as_item, judge, open_judge
from jurat.bench.pictogram.items import BenchItem
from jurat.errors import JuratError

NOT_ASKED = ("relevance", "regions", "crop")
"""Parts that `jurat calibrate` leaves out."""


def calibrated(setup: Setup, items: Sequence[BenchItem], *, preset: str) -> Iterator[Prediction]:
    """Fits the calibration to the setup's labelled images, then judges `items` with it.

    Raises NotApplicable where a calibration cannot be fitted.
    """
    from jurat.judge.calibrate.fit import fit

    tuning = setup.labelled()
    plain = replace(setup, calibration=None)
    labels = {item.id: item.broken for item in tuning.items}
    try:
        fitting = open_judge(plain, tuning.constitution, preset, NOT_ASKED)
        fitted = fit(fitting, map(as_item, tuning.items), labels)
    except JuratError as problem:
        raise NotApplicable(problem.message.splitlines()[0]) from problem
    yield from judge(replace(plain, calibration=fitted.calibration), items, preset=preset)
