"""Qi et al. 2023, "Visual adversarial examples jailbreak aligned large language models" (arXiv
2306.13213).

One picture for many requests: it makes a small corpus of texts likely as replies to the picture alone,
without a request, and is tested on requests that were never seen. The conversations of a goal's `train`
are therefore empty but for the picture, each with a text of the corpus as its target.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from jurat.attacks.access import Access
from jurat.attacks.cases import Goal
from jurat.attacks.constraints import Constraint
from jurat.attacks.method import PictureAttack, ball
from jurat.attacks.objectives import Continuation, Objective
from jurat.attacks.optimisers import Optimiser, Pgd
from jurat.attacks.samplers import Random, Sampler
from jurat.named_settings import Positive, Radius, Steps, setting

__all__ = ["Qi"]


@dataclass(frozen=True)
class Qi(PictureAttack):
    """Signed gradient descent over batches of texts, from noise within the ball."""

    random_start: ClassVar[bool] = True

    steps: Steps = setting(5000, "authors", "Steps.")
    rate: float = setting(1 / 255, "authors", "Step size, in [0, 1].")
    batch: Positive = setting(8, "authors", "Texts a step.")
    radius: Radius | None = setting(
        32 / 255, "authors", "Largest change of a value in [0, 1]: 16, 32 or 64/255; null: any picture."
    )
    every: Positive = setting(100, "authors", "Steps between checks; the authors save pictures as often.")

    def constraint(self, goal: Goal) -> Constraint:
        return ball(self.radius)

    def objectives(
        self, models: Sequence[Access], goals: Sequence[Goal], sampler: Sampler
    ) -> list[Objective]:
        cases = [goal.train for goal in goals]
        return [Continuation(models[0], cases, sampler=sampler, reduction="tokens")]

    def sampler(self) -> Sampler:
        return Random(self.batch)

    def optimiser(self) -> Optimiser:
        return Pgd(self.rate)
