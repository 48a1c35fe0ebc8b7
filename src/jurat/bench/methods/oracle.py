"""Oracle clauses: each clause is answered by the scene's own facts, and the verdict follows by the rules'
logic. If it is ever wrong, the bench is broken."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence

from jurat.bench.cost import Spending
from jurat.bench.methods.interface import NotApplicable, Prediction, Setup
from jurat.bench.pictogram.items import BenchItem
from jurat.metrics import UNSURE
from jurat.pictograms.cases import rule_truth


def oracle(setup: Setup, items: Sequence[BenchItem]) -> Iterator[Prediction]:
    """See the module's docstring."""
    for item in items:
        if item.facts is None:
            raise NotApplicable("nothing is known of what the images show")
        truths = {rule.id: rule_truth(rule, item.facts) for rule in setup.constitution.rules}
        rules = {name: UNSURE if truth is None else int(truth) for name, truth in truths.items()}
        scores = {name: 0.5 if truth is None else float(truth) for name, truth in truths.items()}
        if item.soft is not None:
            scores[item.rule] = item.soft
        reason = "margin" if UNSURE in rules.values() and 1 not in rules.values() else None
        assert not any(math.isnan(score) for score in scores.values())
        yield Prediction.of_rules(rules, scores, Spending(flops=0.0), reason)
