"""Merges several annotators into one truth, the majority for each image and rule, and measures agreement."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from jurat.metrics.agreement import gwet_ac1, krippendorff_alpha, raw_agreement
from jurat.metrics.intervals import DRAWS, Resampler, percentile

if TYPE_CHECKING:
    from jurat.bench.labelled.ratings import Rating
    from jurat.metrics.intervals import Interval


@dataclass(frozen=True)
class Votes:
    """The annotators' votes on one rule of one image."""

    by: Mapping[str, bool]
    """Annotator -> whether the image breaks it."""

    @property
    def broken(self) -> int:
        return sum(self.by.values())

    @property
    def majority(self) -> bool | None:
        """Whether most annotators see the rule broken; None for a tie."""
        kept = len(self.by) - self.broken
        return None if self.broken == kept else self.broken > kept

    @property
    def disagree(self) -> bool:
        return 0 < self.broken < len(self.by)


@dataclass
class ImageVotes:
    """All ratings of one image."""

    by_rule: dict[str, Votes] = field(default_factory=dict[str, Votes])
    contradictions: list[str] = field(default_factory=list[str])
    """One sentence for each annotator and rule with two opposite labels; neither counts."""

    @property
    def truth(self) -> dict[str, bool]:
        """Rule -> majority vote, without ties."""
        return {rule: said for rule, v in self.by_rule.items() if (said := v.majority) is not None}

    @property
    def ties(self) -> list[str]:
        return [rule for rule, votes in self.by_rule.items() if votes.majority is None]

    @property
    def disputed(self) -> list[str]:
        """Rules on which the annotators disagree, ties among them."""
        return [rule for rule, votes in self.by_rule.items() if votes.disagree]


def votes_of(ratings: Iterable[Rating]) -> ImageVotes:
    """The votes of one image. An annotator's later labels add to the earlier ones; opposite ones cancel."""
    said: dict[str, dict[str, bool]] = {}
    found = ImageVotes()
    cancelled: set[tuple[str, str]] = set()
    for rating in ratings:
        for rule, broken in rating.rules.items():
            if said.setdefault(rule, {}).setdefault(rating.annotator, broken) != broken:
                cancelled.add((rule, rating.annotator))
    for rule, who in sorted(cancelled):
        del said[rule][who]
        found.contradictions.append(f"{who or 'the file'} says of {rule!r} both that it is broken and not")
    found.by_rule = {rule: Votes(votes) for rule, votes in said.items() if votes}
    return found


@dataclass(frozen=True)
class Agreement:
    """Agreement of annotators on one rule, over the images that two or more of them rated."""

    rule: str
    images: int
    disputed: int
    raw: float
    """Share of agreeing pairs among all pairs of ratings of the same image, in [0, 1]."""
    alpha: float
    """Krippendorff's alpha for nominal data; nan where every rating is the same."""
    alpha_interval: Interval
    """95% percentile interval of a bootstrap over images."""
    ac1: float
    """Gwet's AC1, which stays meaningful where violations are rare; alpha then falls towards 0."""


def agreement(votes: Sequence[ImageVotes], rules: Sequence[str]) -> list[Agreement]:
    """One entry for each rule that two annotators rated on some image, in the order of `rules`."""
    found: list[Agreement] = []
    for rule in rules:
        each = [image.by_rule[rule] for image in votes if rule in image.by_rule]
        counts = np.array([[len(v.by) - v.broken, v.broken] for v in each if len(v.by) > 1], int)
        if len(counts):
            found.append(_agreement(rule, counts))
    return found


def _agreement(rule: str, counts: Any) -> Agreement:
    alpha = krippendorff_alpha(counts, [0, 1])
    draws: list[float] = []
    if not math.isnan(alpha):
        samples = Resampler(range(len(counts)), draws=DRAWS).samples()
        draws = [krippendorff_alpha(counts, [0, 1], "nominal", weights) for weights in samples]
    return Agreement(
        rule,
        len(counts),
        int((counts.min(1) > 0).sum()),
        raw_agreement(counts),
        alpha,
        percentile(draws),
        gwet_ac1(counts),
    )
