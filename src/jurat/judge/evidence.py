"""What the stages have established about one image so far, statement by statement.

Stages write evidence into a ledger; `decide` reads it and nothing else, so that every verdict can be
decided again from what its record holds.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from jurat.content import Failure, Usage
from jurat.judge.item_texts import NO_TEXTS, ItemTexts
from jurat.judge.plan import PlannedAlternative, Question
from jurat.models import YesNo

if TYPE_CHECKING:
    from PIL import Image

    from jurat.judge.verdict import RuleFinding
    from jurat.models.vision import Box


@dataclass(frozen=True)
class Located:
    """A question with the objects that its answer should hang on.

    Two rules may put one question and name other objects for it; each then has its own evidence, so that
    no rule changes what is said of another.
    """

    question: Question
    objects: tuple[str, ...]

    @classmethod
    def of(cls, alternative: PlannedAlternative) -> Located:
        return cls(alternative.question, alternative.objects)


@dataclass(frozen=True)
class Look:
    """What looking at the regions of the central objects gave."""

    boxes: tuple[Box, ...] = ()
    """Of the central objects, in pixels of the image, most confident first."""
    crop: Image.Image | None = None
    """Stands for the image where the object is small."""
    on_crop: YesNo | None = None
    """The answer on the crop."""
    without: YesNo | None = None
    """The answer with the boxes painted over."""
    failure: Failure | None = None
    """Why there are no boxes, where the detector failed."""


@dataclass(frozen=True)
class Reasoned:
    """What reasoning in words came to."""

    rating: bool | None
    """Whether the statement is true; None where that could not be read from the reply."""
    rationale: str = ""
    failure: Failure | None = None


@dataclass
class Spent:
    """What judging an image took; see `jurat.judge.verdict.Cost`."""

    images: int = 0
    question_tokens: int = 0
    generated_tokens: int = 0
    detections: int = 0
    scans: int = 0
    money: float | None = None
    """None where no price is known."""

    def add(self, images: int, usage: Usage) -> None:
        self.images += images
        self.question_tokens += usage.input_tokens
        self.generated_tokens += usage.output_tokens
        if usage.money is not None:
            self.money = (self.money or 0.0) + usage.money


@dataclass
class Ledger:
    """The evidence about one image under one constitution."""

    texts: ItemTexts = NO_TEXTS
    """Of the item."""
    relevance: dict[str, float] = field(default_factory=dict)
    """Of each rule, by its id: the cosine of image and description; empty where nothing was scanned."""
    relevant_above: float = 0.0
    """Rules with a cosine up to this are not judged further."""
    unscanned: dict[str, Failure] = field(default_factory=dict)
    """Why a rule, by its id, was not scanned where others were to be."""
    answers: dict[Question, YesNo] = field(default_factory=dict)
    views: dict[Question, tuple[YesNo, ...]] = field(default_factory=dict)
    """The answers on moved copies of the image."""
    looks: dict[Located, Look] = field(default_factory=dict)
    reasons: dict[Located, Reasoned] = field(default_factory=dict)
    settled: dict[str, RuleFinding] = field(default_factory=dict)
    """What was decided of rules, by their ids, that no stage has more evidence for."""
    failure: Failure | None = None
    """Why the model could not answer about the image at all."""
    spent: Spent = field(default_factory=Spent)


Priors = Mapping[Question, YesNo]
"""The model's answers without an image."""
