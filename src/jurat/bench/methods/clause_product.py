"""The clauses as independent events: P(rule) is the product of its clauses' probabilities, that of a
clause 1 minus the product of its alternatives' complements, and of the exceptions the complement of
theirs. No prior, no thresholds but one half. A rule with an unanswered clause is undecided, unless its other
clauses already make it improbable: the product can only be less."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence

from jurat.bench.methods.closed_questions import STATEMENT, put, wording_for
from jurat.bench.methods.interface import NotApplicable, Prediction, Setup, decided, in_batches
from jurat.bench.pictogram.items import BenchItem
from jurat.constitution import Clause, Rule


def product(setup: Setup, items: Sequence[BenchItem]) -> Iterator[Prediction]:
    """See the module's docstring."""
    bare = [rule.id for rule in setup.constitution.rules if not rule.clauses]
    if bare:
        raise NotApplicable(f"rule {bare[0]!r} has no clauses")
    said = list(setup.constitution.statements())
    wording = wording_for(setup.model, [STATEMENT], said)
    for batch in in_batches(items):
        for asked in put(setup, [item.image for item in batch], wording, said):
            known = {
                text: math.nan if answer is None else answer.score
                for text, answer in zip(said, asked.answers, strict=True)
            }
            scores = {rule.id: _rule(rule, known) for rule in setup.constitution.rules}
            rules = {name: decided(score) for name, score in scores.items()}
            yield Prediction.of_rules(rules, scores, asked.spending, asked.reason)


def _rule(rule: Rule, known: dict[str, float]) -> float:
    """P(broken); where a factor is not known the product of the others if that is at most one half, else
    nan."""
    factors = list(_clauses(rule.clauses, known))
    if rule.unless:
        factors.append(1 - math.prod(_clauses(rule.unless, known)))
    most = math.prod(factor for factor in factors if not math.isnan(factor))
    return math.nan if any(map(math.isnan, factors)) and most > 0.5 else most


def _clauses(clauses: Iterable[Clause], known: dict[str, float]) -> Iterator[float]:
    for clause in clauses:
        failing = math.prod(known[s.text] if s.negated else 1 - known[s.text] for s in clause.alternatives)
        yield 1 - failing
