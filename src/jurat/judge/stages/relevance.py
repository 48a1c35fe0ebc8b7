"""The relevance stage: which rules could an image break at all.

CLUE (arXiv 2501.00192, section 4.2) keeps a rule only if the cosine of the CLIP embeddings of the image
and of the rule's sentence is above a threshold: 0.22 with clip-vit-base-patch16. Here the text is the
rule's `description` where it has one, else its sentence; embeddings hardly notice that a sentence
forbids what it names.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from PIL import Image

from jurat.content import Failure
from jurat.judge.stages.quick import attempt
from jurat.models import Vocabulary

if TYPE_CHECKING:
    from jurat.constitution import Rule
    from jurat.models.vision import Matcher


@dataclass(frozen=True)
class Scanned:
    """What scanning one image gave. A rule of which nothing is known is not irrelevant: it is judged."""

    cosines: dict[str, float]
    """By a rule's id."""
    unscanned: dict[str, Failure]
    """Why there is none, of each other rule."""
    looked: bool = True
    """Whether the matcher looked at the image."""


def scan(matcher: Matcher, images: Sequence[Image.Image], rules: Sequence[Rule]) -> list[Scanned]:
    """One entry an image. A rule with a word that the matcher never learned is left out of the scan, so that
    the others have theirs."""
    strange = {rule.id: failure for rule in rules if (failure := _unknown(matcher, text_of(rule)))}
    known = [rule for rule in rules if rule.id not in strange]
    if not known:
        return [Scanned({}, strange, looked=False) for _ in images]
    texts = [text_of(rule) for rule in known]
    found = attempt(lambda some: matcher.match(some, texts), images)
    return [
        Scanned({}, strange | {rule.id: row for rule in known})
        if isinstance(row, Failure)
        else Scanned({rule.id: cosine for rule, cosine in zip(known, row, strict=True)}, strange)
        for row in found
    ]


def text_of(rule: Rule) -> str:
    """What an image is compared with."""
    return rule.description or rule.rule


def _unknown(matcher: Matcher, text: str) -> Failure | None:
    """A failure that names the words that the matcher never learned, if it says which words it knows."""
    if not isinstance(matcher, Vocabulary):
        return None
    words = matcher.unknown_words(text)
    named = ", ".join(repr(word) for word in words)
    return Failure("out_of_domain", f"The matcher never learned {named}.") if words else None
