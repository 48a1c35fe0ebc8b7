"""CLIP: the cosine of the image and of what a rule forbids, with one cut for all rules fitted on dev.

Centred, each rule's median cosine over unlabelled background images is taken off first, since
absolute cosines differ between texts more than between images.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from statistics import median

from jurat.bench.cost import Spending
from jurat.bench.methods.base import Ground, Ruling, Unfit, forbidden, in_batches
from jurat.bench.methods.fitting import Scale, fit_scale, ruling
from jurat.bench.pictogram.items import BenchItem
from jurat.constitution import Constitution
from jurat.content import Failure
from jurat.models.vision import Matcher


def match(ground: Ground, items: Sequence[BenchItem]) -> Iterator[Ruling]:
    """See the module's docstring; centred if that is better on dev."""
    if ground.matcher is None:
        raise Unfit("no matcher was named")
    matcher = ground.matcher()
    centred, scale = ground.once("clip", lambda: _fit(ground, matcher))
    off = (
        _medians(ground, matcher, ground.law, ground.backgrounds()) if centred and ground.backgrounds else {}
    )
    for cosines, spending, reason in _cosines(ground, matcher, ground.law, items):
        yield ruling(_less(cosines, off), scale, spending, reason)


def _fit(ground: Ground, matcher: Matcher) -> tuple[bool, Scale]:
    if ground.tuning is None or ground.backgrounds is None:
        raise Unfit("there are no labelled images to fit its cut on")
    tuning = ground.tuning()
    seen = [cosines for cosines, *_ in _cosines(ground, matcher, tuning.law, tuning.items)]
    off = _medians(ground, matcher, tuning.law, ground.backgrounds())
    plain = fit_scale(tuning, seen)
    centred = fit_scale(tuning, [_less(cosines, off) for cosines in seen])
    ground.tried["clip"] = plain[2] + centred[2]
    return (True, centred[0]) if centred[1] > plain[1] else (False, plain[0])


def _cosines(
    ground: Ground, matcher: Matcher, law: Constitution, items: Sequence[BenchItem]
) -> Iterator[tuple[dict[str, float], Spending, str | None]]:
    names, texts = [rule.id for rule in law.rules], [forbidden(rule) for rule in law.rules]
    for batch in in_batches(items):
        start = ground.clock()
        rows = matcher.match([item.image for item in batch], texts)
        spending = Spending(scans=1, seconds=(ground.clock() - start) / len(batch))
        for row in rows:
            if isinstance(row, Failure):
                yield dict.fromkeys(names, math.nan), spending, row.kind
            else:
                yield dict(zip(names, row, strict=True)), spending, None


def _medians(
    ground: Ground, matcher: Matcher, law: Constitution, items: Sequence[BenchItem]
) -> dict[str, float]:
    rows = [cosines for cosines, *_ in _cosines(ground, matcher, law, items)]
    known = {rule.id: [row[rule.id] for row in rows if not math.isnan(row[rule.id])] for rule in law.rules}
    return {name: median(values) if values else 0.0 for name, values in known.items()}


def _less(cosines: dict[str, float], off: dict[str, float]) -> dict[str, float]:
    return {name: value - off.get(name, 0.0) for name, value in cosines.items()}
