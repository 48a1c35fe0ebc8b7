"""VQAScore on what a rule forbids: P(Yes) to "does this figure show ...?" (Lin et al. 2024, arXiv
2404.01291), one question a rule, with the cut fitted on dev where there is one.

The text is the rule's description, said positively. A model that does not know the template's words is
asked whether the description is true of the image, in words that it knows.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence

from jurat.bench.methods.asking import STATEMENT, Asked, put, wording_for
from jurat.bench.methods.base import Ground, Ruling, forbidden, in_batches
from jurat.bench.methods.fitting import Scale, fit_scale, ruling
from jurat.bench.pictogram.items import BenchItem
from jurat.constitution import Constitution
from jurat.judge.prompts import Wording

TEMPLATE = Wording("", 'Does this figure show "{text}"? Please answer yes or no.')


def score(ground: Ground, items: Sequence[BenchItem]) -> Iterator[Ruling]:
    """See the module's docstring."""
    scale = ground.once("vqascore", lambda: _fit(ground))
    for odds, asked in _odds(ground, ground.law, items):
        yield ruling(odds, scale, asked.spending, asked.reason)


def _fit(ground: Ground) -> Scale:
    if ground.tuning is None:
        return Scale()
    tuning = ground.tuning()
    found = [odds for odds, _ in _odds(ground, tuning.law, tuning.items)]
    scale, _, ground.tried["vqascore"] = fit_scale(tuning, found)
    return scale


def _odds(
    ground: Ground, law: Constitution, items: Sequence[BenchItem]
) -> Iterator[tuple[dict[str, float], Asked]]:
    names = [rule.id for rule in law.rules]
    texts = [forbidden(rule) for rule in law.rules]
    wording = wording_for(ground.model, [TEMPLATE, STATEMENT], texts)
    for batch in in_batches(items):
        for asked in put(ground, [item.image for item in batch], wording, texts):
            odds = [math.nan if answer is None else answer.log_odds for answer in asked.answers]
            yield dict(zip(names, odds, strict=True)), asked
