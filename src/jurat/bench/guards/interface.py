"""A guard model's answer on an image, and its translation to a prediction about a user's rules."""

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
    """A guard's answer on one image."""

    unsafe: bool | None
    """Whether the image is unsafe by the guard's own policy; None where its reply cannot be parsed."""
    score: float = math.nan
    """P(unsafe) by the guard's own policy, in [0, 1]; nan where it gives none."""
    categories: Mapping[str, float] = field(default_factory=dict[str, float])
    """Category -> its score in [0, 1]; nan where the guard gives none."""
    flagged: frozenset[str] = frozenset()
    """Categories that the image violates."""
    spending: Spending = field(default_factory=Spending)
    reason: str | None = None
    """Why nothing was decided."""


class Guard(Protocol):
    """A loaded guard model."""

    kind: str
    name: str
    """Folder or hub name, as the user gave it."""
    revision: str
    categories: Mapping[str, str]
    """Code -> what the category is about. The codes are rule ids where the guard is given the user's
    rules."""
    notes: Sequence[str]
    """Limits of such use that its authors name, for the report."""

    def look(self, images: Sequence[Image.Image]) -> list[GuardAnswer]:
        """One answer for each image. A failure is the `reason` of its own image and affects no other."""
        ...


def prediction_of(answer: GuardAnswer, categories_of: Mapping[str, Sequence[str]] | None) -> Prediction:
    """The prediction for an image.

    Args:
        categories_of: rule -> the categories mapped to it. The rule is broken if one of them is flagged, and
            its score is their largest. None uses the guard's own policy, without rules.

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

    A named category has the score P(unsafe). If the guard says safe, every category has P(unsafe). If it
    names some categories, each of the others has 1 - P(unsafe). If it says unsafe and names none, all scores
    are nan.
    """
    if unsafe and not flagged:
        return dict.fromkeys(categories, math.nan)
    return {c: score if c in flagged or not unsafe else 1 - score for c in categories}
