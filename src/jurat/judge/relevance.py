"""The relevance stage: which rules could an image break at all.

CLUE (arXiv 2501.00192, section 4.2) keeps a rule only if the cosine of the CLIP embeddings of the image
and of the rule's sentence is above a threshold: 0.22 with clip-vit-base-patch16. Here the text is the
rule's `description` where it has one, else its sentence; embeddings hardly notice that a sentence
forbids what it names.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from PIL import Image

from jurat.judge.quick import attempt
from jurat.models import Failure

if TYPE_CHECKING:
    from jurat.constitution import Rule
    from jurat.models.vision import Matcher


def scan(
    matcher: Matcher, images: Sequence[Image.Image], rules: Sequence[Rule]
) -> list[dict[str, float] | Failure]:
    """One entry an image: the cosine for each rule's id, or why there is none.

    An image that cannot be scanned is not irrelevant: its rules are all to be judged.
    """
    texts = [rule.description or rule.rule for rule in rules]
    found = attempt(lambda some: matcher.match(some, texts), images)
    return [
        row if isinstance(row, Failure) else {r.id: c for r, c in zip(rules, row, strict=True)}
        for row in found
    ]
