"""The text counterpart of Qi et al. 2023, "Visual adversarial examples jailbreak aligned large language
models" (arXiv 2306.13213), from the authors' repository.

The same objective as for a picture: a corpus of texts is made likely as replies to the attacked text alone.
The conversations of a goal's `train` hold `SPAN` alone, each with a text of the corpus as its target; success
is measured on conversations in which requests follow.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from jurat.attacks.objectives import Reduction
from jurat.attacks.samplers import Random, Sampler
from jurat.attacks.text import TextOptimiser
from jurat.attacks.text_method import TextAttack
from jurat.attacks.text_optimisers import TokenByToken
from jurat.content import SPAN
from jurat.named_settings import Positive, Steps, setting

__all__ = ["QiText"]

_LENGTH, _ROUNDS = 32, 500


@dataclass(frozen=True)
class QiText(TextAttack):
    """Token by token, over batches of texts, from random tokens."""

    reduction: ClassVar[Reduction] = "tokens"

    steps: Steps = setting(_ROUNDS * _LENGTH, "authors", "Steps, each at one token: 500 rounds of 32.")
    batch: Positive = setting(8, "authors", "Texts a step.")
    candidates: Positive = setting(100, "authors", "Tokens that are tried a step.")
    length: Positive = setting(_LENGTH, "authors", "Random tokens that it begins with.")
    ascii_only: bool = setting(False, "authors", "Takes tokens of printable ASCII characters only.")
    every: Positive = setting(
        _LENGTH, "authors", "Steps between checks; the authors look at a reply as often."
    )

    def training_text(self, prompt: str) -> str:
        return SPAN

    def submitted_text(self, prompt: str) -> str:
        return f"{SPAN} | {prompt}"

    def sampler(self) -> Sampler:
        return Random(self.batch)

    def optimiser(self) -> TextOptimiser:
        return TokenByToken(self.candidates)
