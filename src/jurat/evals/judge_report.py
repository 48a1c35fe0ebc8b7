"""What the judge-swap report holds: how judges agree with each other and with people, what each is worth, the
rates before and after their mistakes are corrected, and which conclusions do not depend on the judge."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from jurat.evals.log_files import Evaluated
from jurat.evals.pairs import PairedRates, ends, number
from jurat.evals.people import Labelled
from jurat.metrics.claims import ALPHA
from jurat.metrics.correction import Correction, Sampling
from jurat.metrics.intervals import Interval
from jurat.metrics.metric_value import MetricValue


@dataclass(frozen=True)
class Agreement:
    """Two raters on the replies that both decided."""

    raters: tuple[str, str]
    values: Mapping[str, MetricValue]
    """By the names in `COEFFICIENTS`."""
    left_out: int
    """Replies that one of them did not decide, of those that both were asked about."""

    def facts(self) -> dict[str, Any]:
        """For JSON."""
        values = {name: value.facts() for name, value in self.values.items()}
        return {"raters": list(self.raters), "left_out": self.left_out, **values}


@dataclass(frozen=True)
class Share:
    """A share of labelled replies."""

    right: int
    n: int
    interval: Interval
    """Wilson's, over clusters."""

    @property
    def value(self) -> float:
        """nan where n is 0."""
        return self.right / self.n if self.n else math.nan

    def facts(self) -> dict[str, Any]:
        """For JSON."""
        interval = ends(self.interval) if self.n else None
        return {"value": number(self.value), "right": self.right, "n": self.n, "interval": interval}


@dataclass(frozen=True)
class Judge:
    """What one judge is worth by the labels, over all logs."""

    name: str
    positive: str
    models: tuple[str, ...]
    """NAME@REVISION of the models that judged."""
    states: Mapping[str, int]
    """`scored`, and why there is no label, to the number of replies."""
    sensitivity: Share
    """Share that the judge calls the event, among the replies it decided and people labelled as the event."""
    specificity: Share
    """Share that it calls no event, among those it decided and people labelled as none."""
    undecided: int
    """Labelled replies that the judge did not decide."""

    def facts(self) -> dict[str, Any]:
        """For JSON."""
        return {
            "judge": self.name,
            "event": self.positive,
            "models": list(self.models),
            "states": dict(self.states),
            "sensitivity": self.sensitivity.facts(),
            "specificity": self.specificity.facts(),
            "labelled_undecided": self.undecided,
        }


@dataclass(frozen=True)
class JudgedRate:
    """The rate of the event in one log, or a category of it, by one judge."""

    log: str
    judge: str
    category: str | None
    raw: float
    """Share of the decided replies; nan without any."""
    interval: Interval
    n: int
    undecided: int
    correction: Correction | None
    """None without labels."""

    def facts(self) -> dict[str, Any]:
        """For JSON, with every estimate."""
        facts: dict[str, Any] = {
            "log": self.log,
            "judge": self.judge,
            "category": self.category,
            "raw": number(self.raw),
            "interval": ends(self.interval),
            "n": self.n,
            "undecided": self.undecided,
        }
        return facts | ({} if self.correction is None else _correction_facts(self.correction))


@dataclass(frozen=True)
class Conclusion:
    """What the judges say of two logs."""

    a: str
    b: str
    under: Mapping[str, PairedRates]
    """By judge, with Holm's p over the pairs of logs."""
    problem: str = ""
    """Why the two cannot be compared."""

    def sign(self, judge: str) -> int:
        """1 where the judge shows the event to be more frequent in a, -1 in b, 0 where it shows neither."""
        found = self.under[judge]
        if not found.adjusted < ALPHA:
            return 0
        return int(np.sign(found.difference.value))

    @property
    def verdict(self) -> str:
        """ "survives", "depends on the judge", "reversed by a judge", "nothing shown", "one judge" or "not
        compared"."""
        if self.problem:
            return "not compared"
        signs = {self.sign(judge) for judge in self.under}
        if signs == {0}:
            return "nothing shown"
        if len(self.under) == 1:
            return "one judge"
        if {1, -1} <= signs:
            return "reversed by a judge"
        return "survives" if len(signs) == 1 else "depends on the judge"

    def facts(self) -> dict[str, Any]:
        """For JSON."""
        under = {
            judge: {"shows": ["b higher", "nothing", "a higher"][self.sign(judge) + 1], **found.facts()}
            for judge, found in self.under.items()
        }
        return {
            "a": self.a,
            "b": self.b,
            "verdict": self.verdict,
            "problem": self.problem or None,
            "under": under,
        }


@dataclass(frozen=True)
class JudgeSwap:
    """The report."""

    logs: Sequence[Evaluated]
    judges: Sequence[Judge]
    left_out: Mapping[str, str]
    """Scorers that are not among the judges, and why."""
    no_reply: int
    """Replies that are missing or failed, and that no judge decided."""
    labels: Labelled | None
    sampling: Sampling
    sampling_reason: str
    agreements: Sequence[Agreement]
    rates: Sequence[JudgedRate]
    by_category: Sequence[JudgedRate]
    conclusions: Sequence[Conclusion]

    @property
    def enough(self) -> list[JudgedRate]:
        """The rates of categories with enough labels to correct the judge by them."""
        return [
            rate
            for rate in self.by_category
            if rate.correction is not None and rate.correction.headline not in ("none", "labels")
        ]

    def facts(self) -> dict[str, Any]:
        """For JSON."""
        return {
            "logs": [log.where() for log in self.logs],
            "judges": [judge.facts() for judge in self.judges],
            "scorers_left_out": dict(self.left_out),
            "no_reply": self.no_reply,
            "labels": None if self.labels is None else self.labels.facts(),
            "sampling": self.sampling,
            "sampling_reason": self.sampling_reason,
            "agreement": [each.facts() for each in self.agreements],
            "rates": [each.facts() for each in self.rates],
            "by_category": [each.facts() for each in self.by_category],
            "conclusions": [each.facts() for each in self.conclusions],
        }


def _correction_facts(found: Correction) -> dict[str, Any]:
    best = found.best
    return {
        "corrected": None if best is None else number(best.value),
        "corrected_interval": None if best is None else ends(best.interval),
        "method": found.headline,
        "why": found.why,
        "labels": found.labels,
        "more_labels_to_halve": found.more_labels,
        "estimates": {
            name: {
                "value": number(each.value),
                "interval": ends(each.interval),
                "sampled_as_needed": each.valid,
                "problem": each.problem or None,
            }
            for name, each in found.estimates.items()
        },
    }
