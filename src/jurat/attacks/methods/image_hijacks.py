"""Bailey et al. 2023, "Image hijacks: adversarial images can control generative models at runtime" (arXiv
2309.00236).

Behaviour matching: x* = argmin sum over contexts c of the cross-entropy of B(c), a behaviour that maps a
context to the wanted reply: a fixed text, a call that leaks the context, the beginning of a reply that
obeys. In prompt matching B(c) is what the same model says, token by token, when a prompt is put before
the context.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import ClassVar, Literal

from jurat.attacks.access import Access
from jurat.attacks.cases import Case, Goal
from jurat.attacks.constraints import Constraint, FixedPatch, Linf, MovingPatch
from jurat.attacks.method import PictureAttack
from jurat.attacks.objectives import Continuation, Objective, PromptMatching
from jurat.attacks.optimisers import Optimiser, Sgd
from jurat.attacks.samplers import Random, Sampler
from jurat.errors import JuratError
from jurat.named_settings import Positive, Radius, Steps, setting

__all__ = ["ImageHijacks"]


@dataclass(frozen=True)
class ImageHijacks(PictureAttack):
    """Gradient descent with clipped gradients over random contexts."""

    steps: Steps = setting(500, "ours", "Steps; the authors go once through some 118,000 contexts.")
    contexts: Positive = setting(1, "authors", "Contexts a step.")
    rate: float = setting(0.03, "authors", "Step size.")
    clip: float = setting(20.0, "authors", "Largest L2 norm of a gradient.")
    within: Literal["ball", "patch", "moving-patch"] = setting("ball", "paper", "Which pictures are allowed.")
    radius: Radius = setting(8 / 255, "paper", "Of the ball: largest change of a value in [0, 1].")
    side: float = setting(
        60 / 224, "paper", "Of a patch: its side, as a share of the picture's shorter side."
    )
    left: float = setting(0.2, "authors", "Of a patch: its centre, as a share of the width.")
    top: float = setting(0.5, "authors", "Of a patch: its centre, as a share of the height.")
    match: Literal["replies", "prompt"] = setting("replies", "paper", "What is matched.")

    random_start: ClassVar[bool] = False

    def constraint(self, goal: Goal) -> Constraint:
        if self.within == "ball":
            return Linf(self.radius)
        height, width = goal.clean.shape[1:]
        side = max(1, round(self.side * min(height, width)))
        if self.within == "moving-patch":
            return MovingPatch(side)
        left, top = (
            min(max(0, round(share * extent) - side // 2), extent - side)
            for share, extent in ((self.left, width), (self.top, height))
        )
        return FixedPatch(left, top, side, side)

    def objectives(
        self, models: Sequence[Access], goals: Sequence[Goal], sampler: Sampler
    ) -> list[Objective]:
        cases = [goal.train for goal in goals]
        if self.match == "replies":
            return [Continuation(models[0], cases, sampler=sampler)]
        teachers: dict[int, Callable[[Case], Case]] = {}
        for goal in goals:
            if goal.teacher is None:
                raise JuratError(f"The goal {goal.name!r} has no prompt that is to be matched.")
            teachers |= dict.fromkeys(map(id, goal.train), goal.teacher)
        return [PromptMatching(models[0], cases, lambda case: teachers[id(case)](case), sampler=sampler)]

    def sampler(self) -> Sampler:
        return Random(self.contexts)

    def optimiser(self) -> Optimiser:
        return Sgd(self.rate, clip=self.clip)
