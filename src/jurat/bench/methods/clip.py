"""CLIP: the cosine of the image and of what a rule forbids, with one cut for all rules fitted on dev.

Centred, each rule's median cosine over unlabelled background images is taken off first, since
absolute cosines differ between texts more than between images.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence

from jurat.bench.cost import Spending
from jurat.bench.methods.fitting import Evidence, ScoreScale, fit_best, medians, predict
from jurat.bench.methods.interface import NotApplicable, Prediction, Setup, forbidden, in_batches
from jurat.bench.pictogram.items import BenchItem
from jurat.constitution import Constitution
from jurat.content import Failure


def match(setup: Setup, items: Sequence[BenchItem]) -> Iterator[Prediction]:
    """See the module's docstring; centred if that is better on dev."""
    if setup.matcher is None:
        raise NotApplicable("no matcher was named")
    centred, scale = setup.once("clip", lambda: _fit(setup))
    offsets = _offsets(setup, setup.constitution) if centred else {}
    for cosines, spending, reason in _cosines(setup, setup.constitution, items):
        yield predict(_less(cosines, offsets), scale, spending, reason)


def _fit(setup: Setup) -> tuple[bool, ScoreScale]:
    tuning = setup.labelled()
    plain = [cosines for cosines, *_ in _cosines(setup, tuning.constitution, tuning.items)]
    offsets = _offsets(setup, tuning.constitution)
    return fit_best(setup, "clip", [(False, plain), (True, [_less(each, offsets) for each in plain])])


def _cosines(
    setup: Setup, constitution: Constitution, items: Sequence[BenchItem]
) -> Iterator[tuple[Evidence, Spending, str | None]]:
    assert setup.matcher is not None
    names = [rule.id for rule in constitution.rules]
    texts = [forbidden(rule) for rule in constitution.rules]
    for batch in in_batches(items):
        start = setup.clock()
        rows = setup.matcher.match([item.image for item in batch], texts)
        spending = Spending(scans=1, seconds=(setup.clock() - start) / len(batch))
        for row in rows:
            if isinstance(row, Failure):
                yield dict.fromkeys(names, math.nan), spending, row.kind
            else:
                yield dict(zip(names, row, strict=True)), spending, None


def _offsets(setup: Setup, constitution: Constitution) -> dict[str, float]:
    backgrounds = setup.backgrounds() if setup.backgrounds else ()
    rows = [cosines for cosines, *_ in _cosines(setup, constitution, backgrounds)]
    return medians(rows, (rule.id for rule in constitution.rules))


def _less(cosines: Evidence, offsets: Evidence) -> Evidence:
    return {name: value - offsets.get(name, 0.0) for name, value in cosines.items()}
