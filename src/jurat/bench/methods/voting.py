"""Plain voting at equal FLOPs: `direct`, asked on as many views of the image as the judge's budget buys,
rounded up, so that it never has less.

A view is the image scaled a little and brightened or darkened a little, never turned or mirrored, so
that every statement stays as true as it was. The log-odds of the views are averaged.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import replace

import numpy as np
from PIL import Image, ImageEnhance

from jurat.bench.methods.direct_fitted import RawLogOdds, raw, spared
from jurat.bench.methods.fitting import ScoreScale, predict
from jurat.bench.methods.interface import BATCH, NotApplicable, Prediction, Setup, in_batches
from jurat.bench.pictogram.items import BenchItem

MOST_VIEWS = 16
SCALES, LIGHTS = (0.8, 1.25), (0.85, 1.15)


def vote(setup: Setup, items: Sequence[BenchItem], *, budget: str) -> Iterator[Prediction]:
    """`budget` is the method whose FLOPs an item it may spend, and its own `direct` is what a view costs."""
    if setup.reference is None:
        raise NotApplicable("no other method's cost is known")
    wanted, single = setup.reference(budget), setup.reference("direct")
    if not math.isfinite(wanted) or not single > 0:
        raise NotApplicable(f"the FLOPs of {budget!r} and of 'direct' are not known")
    count = min(MOST_VIEWS, max(1, math.ceil(wanted / single - 1e-9)))
    for batch in in_batches(items, max(1, BATCH // count)):
        views = [replace(item, picture=view) for item in batch for view in _views(item, count)]
        seen = list(raw(setup, setup.constitution, views))
        yield from (_mean(seen[first : first + count]) for first in range(0, len(seen), count))


def _views(item: BenchItem, count: int) -> Iterator[Image.Image]:
    image = item.image
    yield image
    for number in range(1, count):
        rng = np.random.default_rng([number, item.pair])
        side = round(image.width * rng.uniform(*SCALES)), round(image.height * rng.uniform(*SCALES))
        scaled = image.resize(side, Image.Resampling.BICUBIC)
        yield ImageEnhance.Brightness(scaled).enhance(float(rng.uniform(*LIGHTS)))


def _mean(views: Sequence[RawLogOdds]) -> Prediction:
    evidence: dict[str, float] = {}
    for name in views[0].rules:
        odds = [spared(view.rules[name], view.unless.get(name)) for view in views]
        known = [value for value in odds if not math.isnan(value)]
        evidence[name] = sum(known) / len(known) if known else math.nan
    spending = sum((view.spending for view in views[1:]), start=views[0].spending)
    open_ = any(math.isnan(value) for value in evidence.values())
    return predict(evidence, ScoreScale(), spending, views[0].reason if open_ else None)
