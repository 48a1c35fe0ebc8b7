"""Schlarmann and Hein 2023, "On the adversarial robustness of multi-modal foundation models" (arXiv
2308.10741).

Imperceptible changes that spoil a caption or an answer: the summed cross-entropy of the right text is
raised, or, with a target, that of a chosen text lowered. The budget is spent once on each reference text;
the worst picture for the model is kept, as the evaluation in the authors' later repository does.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from jurat.attacks.access import Access
from jurat.attacks.cases import Goal
from jurat.attacks.constraints import Constraint, Linf
from jurat.attacks.engine import Outcome
from jurat.attacks.method import PictureAttack, Wants
from jurat.attacks.objectives import Continuation, Objective, Untargeted
from jurat.attacks.optimisers import Apgd, Optimiser
from jurat.attacks.samplers import Sampler
from jurat.named_settings import Positive, Radius, Steps, setting

__all__ = ["SchlarmannHein"]


@dataclass(frozen=True)
class SchlarmannHein(PictureAttack):
    """Auto-PGD on reference texts, from the clean picture."""

    steps: Steps = setting(100, "authors", "Steps for each reference text.")
    radius: Radius = setting(
        4 / 255, "paper", "Largest change of a value in [0, 1]; 1/255 in the paper, too."
    )
    first: float = setting(1.0, "authors", "First step size, in radii.")
    targeted: bool = setting(False, "paper", "Makes the texts likely instead of unlikely.")
    references: Positive = setting(5, "authors", "Reference texts at most, one after the other.")

    @property
    def wants(self) -> Wants:
        return "target" if self.targeted else "reference"

    def constraint(self, goal: Goal) -> Constraint:
        return Linf(self.radius)

    def objectives(
        self, models: Sequence[Access], goals: Sequence[Goal], sampler: Sampler
    ) -> list[Objective]:
        kind = Continuation if self.targeted else Untargeted
        return [kind(models[0], [goal.train for goal in goals], sampler=sampler, reduction="sum")]

    def optimiser(self) -> Optimiser:
        return Apgd(self.first * self.radius, self.steps)

    def run(self, models: Sequence[Access], goals: Sequence[Goal], seed: int = 0) -> list[Outcome]:
        best: dict[int, Outcome] = {}
        for number in range(self.references):
            which = [i for i, goal in enumerate(goals) if number < len(goal.train)]
            # Each text alone is trained on, and all of them decide which picture is kept.
            some = [
                replace(
                    goals[i],
                    train=[goals[i].train[number]],
                    validation=goals[i].validation or goals[i].train,
                )
                for i in which
            ]
            if not some:
                break
            for i, outcome in zip(which, super().run(models, some, seed), strict=True):
                if i not in best or outcome.score < best[i].score:
                    best[i] = outcome
        return [best[i] for i in range(len(goals))]
