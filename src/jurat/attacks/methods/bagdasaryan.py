"""Bagdasaryan et al. 2023, "(Ab)using images and sounds for indirect instruction injection in multi-modal
LLMs" (arXiv 2307.10490).

The first reply is made to be a text of the attacker's: the text itself, or an instruction to the model
itself that stays in the conversation and steers later replies. The target grows: a step on its first
token, one on its first two, and so on; one time through all of them is an epoch.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from torch import Tensor

from jurat.attacks.access import Access
from jurat.attacks.cases import Goal
from jurat.attacks.constraints import Box, Constraint, Rows
from jurat.attacks.method import PictureAttack
from jurat.attacks.objectives import Continuation, GrowingTarget, Objective
from jurat.attacks.optimisers import Optimiser, Pgd
from jurat.attacks.problem import Batch
from jurat.attacks.samplers import Sampler
from jurat.named_settings import Positive, Steps, setting

__all__ = ["Bagdasaryan"]

_LEVEL = 0.27
"""Standard deviation that pixels are divided by, on average over CLIP's channels. The authors' step is in the
normalised space; here it is in [0, 1]."""


@dataclass(frozen=True)
class Bagdasaryan(PictureAttack):
    """Signed gradients on a growing target, with a rate that falls along a cosine; no ball."""

    steps: Steps = setting(1000, "ours", "Steps; the authors take 100 epochs, each a step a token.")
    rate: float = setting(0.01 * _LEVEL, "authors", "First step size, in [0, 1]; theirs is 0.01, normalised.")
    last: float = setting(1e-4 * _LEVEL, "authors", "Last step size.")
    rows: Positive | None = setting(None, "authors", "Topmost rows of pixels that may change; null: all.")

    def constraint(self, goal: Goal) -> Constraint:
        return Box() if self.rows is None else Rows(self.rows)

    def objectives(
        self, models: Sequence[Access], goals: Sequence[Goal], sampler: Sampler
    ) -> list[Objective]:
        return [GrowingTarget(models[0], [goal.train for goal in goals], sampler=sampler)]

    def validation(self, models: Sequence[Access], goals: Sequence[Goal]) -> list[Objective]:
        return [Continuation(models[0], [goal.train for goal in goals])]

    def optimiser(self) -> Optimiser:
        return _FallingPgd(self.rate, self.last, self.steps)


class _FallingPgd(Pgd):
    """Signed gradient descent with a rate that falls along a cosine from `first` to `last`."""

    def __init__(self, first: float, last: float, steps: int) -> None:
        super().__init__(first)
        self.first, self.last, self.steps = first, last, steps

    def step(self, batch: Batch) -> tuple[list[Tensor], Tensor]:
        share = (1 + math.cos(math.pi * batch.draw.step / max(1, self.steps))) / 2
        self.rate = self.last + (self.first - self.last) * share
        return super().step(batch)
