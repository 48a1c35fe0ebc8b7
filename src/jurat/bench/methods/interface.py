"""Input and output of a bench method: `Setup` and one `Prediction` per item."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, TypeVar

from jurat.bench.answer_cache import Clock
from jurat.bench.cost import Spending
from jurat.bench.pictogram.items import BenchItem
from jurat.errors import JuratError
from jurat.metrics import UNSURE

if TYPE_CHECKING:
    from jurat.constitution import Constitution, Rule
    from jurat.judge.calibrate.calibration import Calibration
    from jurat.models import Model
    from jurat.models.vision import Detector, Matcher

T = TypeVar("T")
BATCH = 16


class NotApplicable(JuratError):
    """A method cannot be run fairly with this model or these items; its row is left out, with the reason."""


@dataclass(frozen=True)
class Prediction:
    """A method's result for one item."""

    outcome: int
    """1: unsafe, 0: safe, `UNSURE`: not decided."""
    score: float
    """Evidence that it is unsafe, in [0, 1], 0.5 where the method would change its mind; nan for none."""
    rules: Mapping[str, int] = field(default_factory=dict[str, int])
    """The outcome of each rule, by id; empty where the method does not tell them apart."""
    scores: Mapping[str, float] = field(default_factory=dict[str, float])
    """The score of each rule."""
    spending: Spending = field(default_factory=Spending)
    reason: str | None = None
    """Why it was not decided, in the judge's words; None where it was."""

    @property
    def failed(self) -> bool:
        """Whether the item failed for a transient reason."""
        return self.outcome == UNSURE and self.reason == "error"

    @classmethod
    def of_rules(
        cls,
        rules: Mapping[str, int],
        scores: Mapping[str, float],
        spending: Spending,
        reason: str | None = None,
    ) -> Prediction:
        """Unsafe if a rule is broken, safe if all are kept; the score is the largest of a rule's."""
        outcomes = set(rules.values())
        outcome = 1 if 1 in outcomes else 0 if outcomes == {0} else UNSURE
        known = [score for score in scores.values() if not math.isnan(score)]
        certain = len(known) == len(scores) or outcome == 1
        score = max(known) if known and certain else math.nan
        return cls(outcome, score, dict(rules), dict(scores), spending, reason)


@dataclass(frozen=True)
class Tuning:
    """Data that a method may be fitted on."""

    constitution: Constitution
    items: Sequence[BenchItem]


@dataclass
class Setup:
    """The constitution, the models and the data for fitting that a method gets."""

    constitution: Constitution
    model: Model
    label: str
    """The model's name in the rows."""
    detector: Detector | None = None
    matcher: Matcher | None = None
    tuning: Callable[[], Tuning] | None = None
    """Draws labelled items of the dev split; None where there are none to tune on."""
    backgrounds: Callable[[], Sequence[BenchItem]] | None = None
    """Unlabelled items, for what is fitted without labels."""
    reference: Callable[[str], float] | None = None
    """FLOPs an item that another method took on these items."""
    tried: dict[str, int] = field(default_factory=dict[str, int])
    """How many configurations a method tried on dev; written into the results."""
    fitted: dict[str, Any] = field(default_factory=dict[str, Any])
    """What `once` keeps, for one model over all splits."""
    clock: Clock = field(default_factory=Clock)
    """What seconds are read from, since answers may be cached."""
    calibration: Calibration | None = None
    """That presets judge with."""

    def once(self, key: str, fit: Callable[[], T]) -> T:
        """The result of `fit`, computed once for all splits."""
        if key not in self.fitted:
            self.fitted[key] = fit()
        return self.fitted[key]

    def labelled(self) -> Tuning:
        """The labelled items to fit on. Raises NotApplicable where there are none."""
        if self.tuning is None:
            raise NotApplicable("there are no labelled images to fit it on")
        return self.tuning()


def in_batches(items: Iterable[T], size: int = BATCH) -> Iterator[list[T]]:
    """Lists of `size` items, the last one perhaps shorter."""
    rest = iter(items)
    while batch := list(itertools.islice(rest, size)):
        yield batch


def decided(score: float, cut: float = 0.5) -> int:
    """1 above the cut, 0 up to it, `UNSURE` where there is no score."""
    return UNSURE if math.isnan(score) else int(score > cut)


def all_of(scores: Iterable[float]) -> float:
    """The least of some scores, for what needs all of them. Where one is nan it is the least of the others if
    that is at most one half, since the whole can only be less; else nan."""
    known, has_unknown = _known(scores)
    least = min(known, default=1.0)
    return math.nan if has_unknown and least > 0.5 else least


def any_of(scores: Iterable[float]) -> float:
    """The largest of some scores, for what needs one of them. Where one is nan it is the largest of the
    others if that is above one half, since the whole can only be more; else nan."""
    known, has_unknown = _known(scores)
    largest = max(known, default=0.0)
    return math.nan if has_unknown and largest <= 0.5 else largest


def _known(scores: Iterable[float]) -> tuple[list[float], bool]:
    values = list(scores)
    known = [value for value in values if not math.isnan(value)]
    return known, len(known) < len(values)


def forbidden(rule: Rule) -> str:
    """What a rule forbids, said positively: its description.

    Raises NotApplicable where it has none: a prohibition is no description of an image.
    """
    if not rule.description:
        raise NotApplicable(f"rule {rule.id!r} has no description")
    return rule.description
