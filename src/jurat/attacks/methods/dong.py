"""Dong et al. 2023, "How robust is Google's Bard to adversarial image attacks?" (arXiv 2309.11751).

Pictures are attacked on surrogates and sent to another model. Image embedding: features of the
surrogates' vision towers are taken away from those of the clean picture. Text description: a text is made
likely on surrogate MLLMs. Gradients are averaged over changes of the spectrum (SSA), steps look for
weaknesses that the surrogates have in common (CWA).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import torch

from jurat.attacks.access import Access
from jurat.attacks.cases import Goal
from jurat.attacks.constraints import Constraint, Linf
from jurat.attacks.gradients import Averaged, spectrum_change
from jurat.attacks.method import PictureAttack, Wants
from jurat.attacks.objectives import Continuation, Features, Objective
from jurat.attacks.optimisers import CommonWeakness, Optimiser
from jurat.attacks.pictures import as_pixels
from jurat.attacks.samplers import Sampler
from jurat.named_settings import Positive, Radius, Steps, setting

__all__ = ["Dong"]


@dataclass(frozen=True)
class Dong(PictureAttack):
    """SSA and CWA on an ensemble of surrogates."""

    aim: Literal["embedding", "description"] = setting(
        "embedding", "paper", "What is attacked on surrogates."
    )
    steps: Steps = setting(500, "authors", "Outer steps.")
    radius: Radius = setting(16 / 255, "paper", "Largest change of a value in [0, 1].")
    rate: float = setting(
        1 / 255, "authors", "Outer step size; the released code takes 3.2/255 and ignores its own argument."
    )
    inner: float = setting(250.0, "authors", "Inner step size, on gradients of L2 norm 1.")
    momentum: float = setting(1.0, "authors", "Of inner and outer steps.")
    samples: Positive = setting(20, "authors", "Changes of the spectrum a gradient.")
    deviation: float = setting(16 / 255, "authors", "Of the noise that is added before the transform.")
    spread: float = setting(0.5, "authors", "Largest relative change of a coefficient.")

    @property
    def wants(self) -> Wants:
        return "target" if self.aim == "description" else "nothing"

    def constraint(self, goal: Goal) -> Constraint:
        return Linf(self.radius)

    def objectives(
        self, models: Sequence[Access], goals: Sequence[Goal], sampler: Sampler
    ) -> list[Objective]:
        if self.aim == "description":
            cases = [goal.train for goal in goals]
            return [Continuation(model, cases, sampler=sampler) for model in models]
        clean = [as_pixels(goal.clean) for goal in goals]
        with torch.no_grad():
            known = [[found.pooled for found in model.features(clean)] for model in models]
        return [
            Features(model, targets, distance="squared", away=True)
            for model, targets in zip(models, known, strict=True)
        ]

    def optimiser(self) -> Optimiser:
        change = spectrum_change(self.deviation, self.spread)
        return CommonWeakness(
            self.rate, inner=self.inner, momentum=self.momentum, gradient=Averaged(change, self.samples)
        )
