"""VQAScore on what a rule forbids: P(Yes) to "does this figure show ...?" (Lin et al. 2024, arXiv
2404.01291), one question a rule, with the cut fitted on dev where there is one.

The text is the rule's description, said positively. A model that does not know the template's words is
asked whether the description is true of the image, in words that it knows.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence

from jurat.bench.methods.closed_questions import STATEMENT, QuestionAnswers, put, wording_for
from jurat.bench.methods.fitting import Evidence, ScoreScale, fit_best, predict
from jurat.bench.methods.interface import Prediction, Setup, forbidden, in_batches
from jurat.bench.pictogram.items import BenchItem
from jurat.constitution import Constitution
from jurat.judge.prompts import Wording

TEMPLATE = Wording("", 'Does this figure show "{text}"? Please answer yes or no.')


def score(setup: Setup, items: Sequence[BenchItem]) -> Iterator[Prediction]:
    """See the module's docstring."""
    scale = setup.once("vqascore", lambda: _fit(setup))
    for odds, asked in _odds(setup, setup.constitution, items):
        yield predict(odds, scale, asked.spending, asked.reason)


def _fit(setup: Setup) -> ScoreScale:
    if setup.tuning is None:
        return ScoreScale()
    tuning = setup.tuning()
    evidence = [odds for odds, _ in _odds(setup, tuning.constitution, tuning.items)]
    return fit_best(setup, "vqascore", [(None, evidence)])[1]


def _odds(
    setup: Setup, constitution: Constitution, items: Sequence[BenchItem]
) -> Iterator[tuple[Evidence, QuestionAnswers]]:
    names = [rule.id for rule in constitution.rules]
    texts = [forbidden(rule) for rule in constitution.rules]
    wording = wording_for(setup.model, [TEMPLATE, STATEMENT], texts)
    for batch in in_batches(items):
        for asked in put(setup, [item.image for item in batch], wording, texts):
            odds = [math.nan if answer is None else answer.log_odds for answer in asked.answers]
            yield dict(zip(names, odds, strict=True)), asked
