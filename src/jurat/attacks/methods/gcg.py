"""Zou et al. 2023, "Universal and transferable adversarial attacks on aligned language models" (GCG, arXiv
2307.15043).

A suffix for prompts that makes the beginning of the wanted reply likely. With several conversations in a
goal's `train` it is one suffix for all of them.
"""

from __future__ import annotations

from dataclasses import dataclass

from jurat.attacks.text import TextOptimiser
from jurat.attacks.text_method import TextAttack
from jurat.attacks.text_optimisers import GreedyCoordinate
from jurat.named_settings import Positive, Steps, setting

__all__ = ["Gcg"]


@dataclass(frozen=True)
class Gcg(TextAttack):
    """Greedy coordinate gradient on the mean cross-entropy of the targets, from exclamation marks."""

    steps: Steps = setting(500, "authors", "Steps.")
    candidates: Positive = setting(512, "authors", "Texts that are tried a step.")
    top: Positive = setting(256, "authors", "Tokens of each place that candidates are drawn from.")
    start: str | None = setting(
        "! ! ! ! ! ! ! ! ! ! ! ! ! ! ! ! ! ! ! !",
        "authors",
        "Text that it begins with; null: random tokens.",
    )
    stop: bool = setting(False, "authors", "Ends as soon as all validation prompts are answered as wanted.")
    ascii_only: bool = setting(True, "authors", "Takes tokens of printable ASCII characters only.")

    def optimiser(self) -> TextOptimiser:
        return GreedyCoordinate(self.candidates, self.top)
