"""Search in the space of text embeddings: a suffix is optimised as vectors, and then projected to the nearest
tokens. All settings are ours."""

from __future__ import annotations

from dataclasses import dataclass

from jurat.attacks.text import TextOptimiser
from jurat.attacks.text_method import TextAttack
from jurat.attacks.text_optimisers import EmbeddingSearch
from jurat.named_settings import Positive, Steps, setting

__all__ = ["Search"]


@dataclass(frozen=True)
class Search(TextAttack):
    """Adam on embeddings, from random tokens; the best projection on validation prompts is kept."""

    steps: Steps = setting(500, "ours", "Steps.")
    rate: float = setting(0.1, "ours", "Learning rate, in standard deviations of the embeddings.")
    every: Positive = setting(5, "ours", "Steps between checks on validation prompts.")

    def optimiser(self) -> TextOptimiser:
        return EmbeddingSearch(self.rate)
