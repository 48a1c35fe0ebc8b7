"""What a guard model gives for an image, and how that becomes a prediction about a user's rules."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol

from jurat.bench.cost import Spending
from jurat.bench.methods.interface import Prediction
from jurat.metrics import UNSURE

if TYPE_CHECKING:
    from PIL import Image


@dataclass(frozen=True)
class GuardAnswer:
    """What a guard says of one image."""

    unsafe: bool | None
    """By its own policy; None where its answer cannot be read."""
    score: float = math.nan
    """P(unsafe) by its own policy, in [0, 1]; nan where it gives none."""
    categories: Mapping[str, float] = field(default_factory=dict[str, float])
    """Category -> its score, nan where it gives none."""
    flagged: frozenset[str] = frozenset()
    """Categories that the image violates."""
    spending: Spending = field(default_factory=Spending)
    reason: str | None = None
    """Why nothing was decided."""


class Guard(Protocol):
    """A guard model that is open."""

    kind: str
    name: str
    """As the user names it."""
    revision: str
    categories: Mapping[str, str]
    """Code -> what it is about. Where the guard is given the user's rules, their ids."""
    notes: Sequence[str]
    """What its authors say of such use."""

    def look(self, images: Sequence[Image.Image]) -> list[GuardAnswer]:
        """One answer an image. What fails for one image is its `reason`, and nobody else's."""
        ...


def prediction_of(answer: GuardAnswer, categories_of: Mapping[str, Sequence[str]] | None) -> Prediction:
    """The prediction for an image.

    Args:
        categories_of: rule -> the categories that stand for it: it is broken if one of them is flagged, and
            its score is the largest of theirs. None takes the guard's own policy, without rules.

    A guard that calls an image unsafe and names no category decides no rule.
    """
    if categories_of is None or answer.unsafe is None:
        said = UNSURE if answer.unsafe is None else int(answer.unsafe)
        return Prediction(said, answer.score, spending=answer.spending, reason=answer.reason)
    if answer.unsafe and not answer.flagged:
        undecided = dict.fromkeys(categories_of, UNSURE)
        unknown = dict.fromkeys(categories_of, math.nan)
        return Prediction.of_rules(undecided, unknown, answer.spending, "no category")
    rules = {rule: int(any(c in answer.flagged for c in names)) for rule, names in categories_of.items()}
    scores = {rule: _largest(answer, names) for rule, names in categories_of.items()}
    return Prediction.of_rules(rules, scores, answer.spending, answer.reason)


def _largest(answer: GuardAnswer, names: Sequence[str]) -> float:
    known = [answer.categories[c] for c in names if not math.isnan(answer.categories.get(c, math.nan))]
    return max(known, default=math.nan)


def shared_out(
    categories: Sequence[str], flagged: frozenset[str], unsafe: bool, score: float
) -> dict[str, float]:
    """Scores of categories, for a guard that gives one probability and names what is violated.

    A named category has the probability of unsafe. Where the guard says safe, all categories share its doubt;
    where it names others, the remaining ones are as surely kept as the named ones are violated; where it says
    unsafe and names none, no score is known.
    """
    if unsafe and not flagged:
        return dict.fromkeys(categories, math.nan)
    return {c: score if c in flagged or not unsafe else 1 - score for c in categories}
