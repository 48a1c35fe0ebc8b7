"""Carlini et al. 2023, "Are aligned neural networks adversarially aligned?" (arXiv 2306.15447).

The beginning of the wanted reply is made likely, x* = argmin - log p(y_1..k | x, q), and the model goes on by
itself. Any picture may be submitted; its distance from the clean one is reported as a measure of robustness.
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
from jurat.attacks.samplers import Sampler
from jurat.named_settings import Radius, Steps, setting

__all__ = ["Carlini"]


@dataclass(frozen=True)
class Carlini(PictureAttack):
    """Projected gradient descent on the beginning of a reply, from a random picture to the first success."""

    random_start: ClassVar[bool] = True
    stops: ClassVar[bool] = True

    steps: Steps = setting(500, "recalled", "Steps at most.")
    rate: float = setting(0.2, "recalled", "Step size, in [0, 1].")
    radius: Radius | None = setting(None, "recalled", "Largest change of a value in [0, 1]; null: any.")

    def constraint(self, goal: Goal) -> Constraint:
        return ball(self.radius)

    def objectives(
        self, models: Sequence[Access], goals: Sequence[Goal], sampler: Sampler
    ) -> list[Objective]:
        return [Continuation(models[0], [goal.train for goal in goals], sampler=sampler, reduction="sum")]

    def optimiser(self) -> Optimiser:
        return Pgd(self.rate)
