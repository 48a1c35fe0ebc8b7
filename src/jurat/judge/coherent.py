"""Coherent rules: the probability that a rule is broken, over the truth assignments that its words allow.

Let y be the truth of a rule's distinct statements, s their log-odds, T a temperature, and E the
assignments that respect the entailments among them: a child touches an axe only where a child is visible.

    P(rule) = sum over y in E that break the rule of exp(y . s / T)  /  sum over y in E of exp(y . s / T)

Without entailments the statements are independent events, and the probability of a plain conjunction is the
product of sigmoid(s / T). The share of all assignments' weight that lies outside E is the rule's
incoherence: how much of what the model said cannot be.

The sums are exact up to `MOST` statements. With more the statements are taken as independent events.

One statement entails another where their words say so, by the grammar of `jurat.judge.sentences`; names must
be the same words, articles and plurals aside:

| statement | entails |
|---|---|
| A child touches an axe. A dog is left of a cat. | A child is visible. An axe is visible. |
| A dog is visible. | A dog or a cat is visible. |
| A child touches an axe. | A child touches an axe or a knife. |
| There are at least three dogs. | There are at least two dogs. A dog is visible. |
| There are exactly two dogs. | There are at least two dogs. There are at most three dogs. A dog is visible. |
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, TypeAlias

import numpy as np

from jurat.judge.odds import sigmoid
from jurat.judge.sentences import Counted, Related, Shown, read

if TYPE_CHECKING:
    from numpy.typing import NDArray

MOST = 12
"""Statements of a rule, at most, that are summed over exactly."""

Literals: TypeAlias = tuple[tuple[int, bool], ...]
"""A disjunction: statements by number, and whether each is wanted true."""


@dataclass(frozen=True)
class Formula:
    """When a rule is broken: all clauses hold, and not all exceptions do, where it has any."""

    statements: int
    clauses: tuple[Literals, ...]
    unless: tuple[Literals, ...] = ()
    entailments: tuple[tuple[int, int], ...] = ()
    """Pairs of which the first cannot be true without the second."""


@dataclass(frozen=True)
class Coherent:
    """What the statements come to together."""

    probability: float
    """That the rule is broken."""
    incoherence: float
    """Share of the weight that the entailments rule out; 0 where `exact` is False."""
    exact: bool


def combine(formula: Formula, log_odds: Sequence[float], temperature: float = 1.0) -> Coherent:
    """The probability of a rule, from the log-odds of its statements in their order."""
    if formula.statements > MOST:
        return Coherent(_independent(formula, log_odds, temperature), 0.0, False)
    assignments, allowed, broken = _tables(formula)
    weights = assignments @ (np.asarray(log_odds, float) / temperature)
    within = _log_sum(weights[allowed])
    probability = math.exp(_log_sum(weights[allowed & broken]) - within)
    incoherence = max(0.0, -math.expm1(within - _log_sum(weights)))
    return Coherent(min(1.0, probability), incoherence, True)


def entailments(statements: Sequence[str]) -> tuple[tuple[int, int], ...]:
    """Pairs of numbers of which the first statement cannot be true without the second."""
    read_ = [read(text) for text in statements]
    return tuple(
        (i, j)
        for i, one in enumerate(read_)
        for j, other in enumerate(read_)
        if i != j and one is not None and other is not None and one != other and _entails(one, other)
    )


def _entails(one: Shown | Related | Counted, other: Shown | Related | Counted) -> bool:
    match one, other:
        case Shown(), Shown():
            return set(one.things) <= set(other.things)
        case Related(), Shown():
            return one.first in other.things or set(one.others) <= set(other.things)
        case Related(), Related():
            same = (one.first, one.relation) == (other.first, other.relation)
            return same and set(one.others) <= set(other.others)
        case Counted(), Shown():
            return one.how != "at most" and one.number > 0 and one.noun in other.things
        case Counted(), Counted():
            return one.noun == other.noun and _more(one, other)
        case _:
            return False


def _more(one: Counted, other: Counted) -> bool:
    if other.how == "at least":
        return one.how != "at most" and one.number >= other.number
    return other.how == "at most" and one.how != "at least" and one.number <= other.number


@lru_cache(maxsize=256)
def _tables(formula: Formula) -> tuple[NDArray[np.float64], NDArray[np.bool_], NDArray[np.bool_]]:
    """Every assignment, (2^n, n), whether it is allowed, and whether it breaks the rule."""
    n = formula.statements
    truth = (np.arange(2**n)[:, None] >> np.arange(n)) & 1 == 1
    allowed = np.ones(2**n, bool)
    for i, j in formula.entailments:
        allowed &= ~truth[:, i] | truth[:, j]

    def holding(parts: Sequence[Literals]) -> NDArray[np.bool_]:
        each = [np.any([truth[:, i] == wanted for i, wanted in part], axis=0) for part in parts]
        return np.all([np.ones(2**n, bool), *each], axis=0)

    broken = holding(formula.clauses)
    if formula.unless:
        broken &= ~holding(formula.unless)
    return truth.astype(float), allowed, broken


def _log_sum(weights: NDArray[np.float64]) -> float:
    """log(sum(exp(weights))); minus infinity of nothing."""
    if not len(weights):
        return -math.inf
    largest = float(weights.max())
    return largest + math.log(float(np.exp(weights - largest).sum()))


def _independent(formula: Formula, log_odds: Sequence[float], temperature: float) -> float:
    true = [sigmoid(s / temperature) for s in log_odds]

    def all_hold(parts: Sequence[Literals]) -> float:
        return math.prod(1 - math.prod(1 - true[i] if wanted else true[i] for i, wanted in p) for p in parts)

    return all_hold(formula.clauses) * (1 - all_hold(formula.unless) if formula.unless else 1.0)
