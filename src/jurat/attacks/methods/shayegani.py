"""Shayegani et al. 2023, "Jailbreak in pieces" (arXiv 2307.14539).

Only the vision encoder is used: the features of a picture are brought close to those of a trigger, and a
general question about the picture does the rest. The trigger of a goal is a text, embedded by the
encoder's own text tower, or an image: of the words, of a thing, or of both.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar, Literal

import torch
from torch import Tensor

from jurat.attacks.access import Access
from jurat.attacks.cases import Goal
from jurat.attacks.constraints import Constraint
from jurat.attacks.engine import Check, Checked
from jurat.attacks.method import PictureAttack, Wants, ball
from jurat.attacks.objectives import Features, Objective
from jurat.attacks.optimisers import Adam, Optimiser
from jurat.attacks.pictures import as_levels, as_pixels
from jurat.attacks.samplers import Sampler
from jurat.errors import JuratError
from jurat.named_settings import Radius, Steps, setting

__all__ = ["Shayegani"]


@dataclass(frozen=True)
class Shayegani(PictureAttack):
    """Adam on the distance of features, from noise."""

    random_start: ClassVar[bool] = True

    steps: Steps = setting(1000, "ours", "Steps at most.")
    rate: float = setting(0.01, "ours", "Learning rate.")
    until: float = setting(0.3, "paper", "Distance at which it ends.")
    part: Literal["pooled", "patches"] = setting(
        "pooled",
        "paper",
        "Features that are matched: the tower's summary, or its patches, which LLaVA reads.",
    )
    radius: Radius | None = setting(None, "paper", "Largest change of a value in [0, 1]; null: any picture.")

    @property
    def wants(self) -> Wants:
        return "trigger"

    def constraint(self, goal: Goal) -> Constraint:
        return ball(self.radius)

    def objectives(
        self, models: Sequence[Access], goals: Sequence[Goal], sampler: Sampler
    ) -> list[Objective]:
        return [Features(models[0], [self._target(models[0], goal) for goal in goals], part=self.part)]

    @torch.no_grad()
    def _target(self, model: Access, goal: Goal) -> Tensor:
        if goal.trigger is None:
            raise JuratError(f"The goal {goal.name!r} has no trigger, a text or an image, to match.")
        if not isinstance(goal.trigger, str):
            (found,) = model.features([as_pixels(as_levels(goal.trigger))])
            return found.pooled if self.part == "pooled" else found.patches
        if self.part == "patches":
            raise JuratError("A text has no patches; its trigger needs part='pooled'.")
        return model.texts([goal.trigger])[0]

    def check(self, models: Sequence[Access], goals: Sequence[Goal], seed: int) -> Check:
        score = super().check(models, goals, seed)

        def check(saved: Sequence[Tensor], which: Sequence[int]) -> list[Checked]:
            return [Checked(each.score, each.score < self.until) for each in score(saved, which)]

        return check

    def optimiser(self) -> Optimiser:
        return Adam(self.rate)
