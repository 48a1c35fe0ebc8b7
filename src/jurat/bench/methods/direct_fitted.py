"""One question a rule, with debiasing and a threshold fitted on dev: the strongest plain baseline.

Evidence: e = l - a l0 - b, with l the log-odds of "is this rule broken", l0 the same without an image,
and b the median of l - a l0 over unlabelled background images (batch calibration, arXiv 2309.17249,
per rule and in log-odds; violations being rare, the median stands for images that keep the rule).
The share a, whether b is taken off, the cut and the temperature are chosen on dev.
Exceptions are asked as statements, as the judge's `direct` does: e = min(e of the rule, -l of each).
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np

from jurat.bench.cost import Spending
from jurat.bench.methods.closed_questions import RULE, STATEMENT, prior, put, wording_for
from jurat.bench.methods.fitting import Evidence, ScoreScale, fit_best, medians, predict
from jurat.bench.methods.interface import Prediction, Setup, in_batches
from jurat.bench.pictogram.items import BenchItem
from jurat.constitution import Clause, Constitution

SHARES = (0.0, 0.25, 0.5, 0.75, 1.0)


@dataclass(frozen=True)
class RawLogOdds:
    """Log-odds of one item before the prior and the median are subtracted."""

    rules: dict[str, float]
    unless: dict[str, float]
    """Evidence that an exception holds; only of rules that have one."""
    spending: Spending
    reason: str | None


def direct(setup: Setup, items: Sequence[BenchItem]) -> Iterator[Prediction]:
    """See the module's docstring."""
    (share, centred), scale = setup.once("direct-fitted", lambda: _fit(setup))
    priors = _priors(setup, setup.constitution)
    background = _background(setup, setup.constitution) if centred else []
    offsets = _offsets(background, priors, share, centred)
    for each in raw(setup, setup.constitution, items):
        yield predict(_evidence(each, priors, share, offsets), scale, each.spending, each.reason)


def _fit(setup: Setup) -> tuple[tuple[float, bool], ScoreScale]:
    tuning = setup.labelled()
    priors = _priors(setup, tuning.constitution)
    background = _background(setup, tuning.constitution)
    seen = list(raw(setup, tuning.constitution, tuning.items))

    def evidence(share: float, centred: bool) -> list[Evidence]:
        offsets = _offsets(background, priors, share, centred)
        return [_evidence(each, priors, share, offsets) for each in seen]

    variants = itertools.product(SHARES, (False, True))
    return fit_best(setup, "direct-fitted", ((each, evidence(*each)) for each in variants))


def _background(setup: Setup, constitution: Constitution) -> list[RawLogOdds]:
    return list(raw(setup, constitution, () if setup.backgrounds is None else setup.backgrounds()))


def raw(setup: Setup, constitution: Constitution, items: Sequence[BenchItem]) -> Iterator[RawLogOdds]:
    """Asks every rule, and the statements of exceptions, about every item."""
    rules = [rule.rule for rule in constitution.rules]
    wording_for(setup.model, [RULE], rules)
    excepting = [rule for rule in constitution.rules if rule.unless]
    said = [s.text for rule in excepting for clause in rule.unless for s in clause.alternatives]
    for batch in in_batches(items):
        images = [item.image for item in batch]
        broken = put(setup, images, RULE, rules)
        spared = put(setup, images, STATEMENT, said) if said else [None] * len(batch)
        for first, second in zip(broken, spared, strict=True):
            odds = {
                rule.id: math.nan if answer is None else answer.log_odds
                for rule, answer in zip(constitution.rules, first.answers, strict=True)
            }
            unless: dict[str, float] = {}
            spending, reason = first.spending, first.reason
            if second is not None:
                known = dict(
                    zip(said, (math.nan if a is None else a.log_odds for a in second.answers), strict=True)
                )
                unless = {
                    rule.id: float(np.min([_most(clause, known) for clause in rule.unless]))
                    for rule in excepting
                }
                # The image is the same one, so it counts once, as it does for the judge.
                spending = spending + replace(second.spending, images=0)
                reason = reason or second.reason
            yield RawLogOdds(odds, unless, spending, reason)


def spared(evidence: float, unless: float | None) -> float:
    """Evidence that a rule is broken and its exception does not hold; nan where either was not answered."""
    return evidence if unless is None else float(np.minimum(evidence, -unless))


def _most(clause: Clause, known: dict[str, float]) -> float:
    """The largest log-odds of its alternatives; nan where one was not answered."""
    return float(np.max([-known[s.text] if s.negated else known[s.text] for s in clause.alternatives]))


def _priors(setup: Setup, constitution: Constitution) -> dict[str, float]:
    rules = [rule.rule for rule in constitution.rules]
    return dict(zip((rule.id for rule in constitution.rules), prior(setup.model, RULE, rules), strict=True))


def _offsets(
    background: Sequence[RawLogOdds], priors: dict[str, float], share: float, centred: bool
) -> dict[str, float]:
    if not centred:
        return dict.fromkeys(priors, 0.0)
    residuals = [
        {name: each.rules[name] - share * prior for name, prior in priors.items()} for each in background
    ]
    return medians(residuals, priors)


def _evidence(each: RawLogOdds, priors: Evidence, share: float, offsets: Evidence) -> Evidence:
    found = {name: odds - share * priors[name] - offsets[name] for name, odds in each.rules.items()}
    return {name: spared(value, each.unless.get(name)) for name, value in found.items()}
