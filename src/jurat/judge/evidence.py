"""The evidence that stages collect about one image.

Stages write evidence and deciding reads nothing else, so that a verdict can be decided again from its record.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, TypeAlias

from jurat.content import Failure, Usage
from jurat.judge.item_texts import NO_TEXTS, ItemTexts
from jurat.judge.prompts import TextPart
from jurat.judge.questions import Question
from jurat.models import YesNo

if TYPE_CHECKING:
    from jurat.models.vision import Box

__all__ = ["CostCounter", "Evidence", "Priors"]

Priors: TypeAlias = Mapping[Question, YesNo]
"""The model's answers without an image."""


@dataclass
class CostCounter:
    """The cost of judging an image; the fields are those of `jurat.judge.verdict.Cost`."""

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
class Evidence:
    """The evidence about one image under one constitution."""

    found: defaultdict[str, dict[Any, Any]] = field(
        default_factory=lambda: defaultdict[str, dict[Any, Any]](dict)
    )
    """Results by stage name and key; None if the stage asked and got no result."""
    priors: Priors = field(default_factory=dict[Question, YesNo])
    texts: ItemTexts = NO_TEXTS
    """The item's."""
    unknown_texts: frozenset[TextPart] = frozenset()
    """Texts that the item may have although `texts` lacks them: a record holds only those that its rules are
    about."""
    boxes: dict[tuple[str, ...], tuple[Box, ...]] = field(
        default_factory=dict[tuple[str, ...], "tuple[Box, ...]"]
    )
    """Boxes of central objects in pixels, most confident first; empty if one could not be searched for."""
    relevant_above: float = 0.0
    """The matcher's recorded threshold; only for evidence that is read from a record."""
    failure: Failure | None = None
    """Why the model could not answer about the image at all."""
    cost: CostCounter = field(default_factory=CostCounter)

    @property
    def answers(self) -> dict[Question, YesNo]:
        """On the whole image."""
        return self.found["quick"]

    def may_ask(self, question: Question) -> bool:
        """False for a question about a text that the item lacks."""
        part = question.reads
        return part is None or self.texts.has(part) or part in self.unknown_texts
