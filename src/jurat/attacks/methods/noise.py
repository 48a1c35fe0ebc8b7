"""Random noise at the same budget: the control of every attack with gradients."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from jurat.attacks.access import Access
from jurat.attacks.cases import Goal
from jurat.attacks.constraints import Constraint
from jurat.attacks.engine import Outcome
from jurat.attacks.method import PictureAttack, Wants, ball, keys
from jurat.attacks.objectives import Objective, seeded
from jurat.attacks.pictures import as_pixels
from jurat.attacks.problem import Problem
from jurat.attacks.samplers import Sampler
from jurat.named_settings import Radius, Steps, setting

__all__ = ["Noise"]


@dataclass(frozen=True)
class Noise(PictureAttack):
    """Noise drawn uniformly from the constraint, once; it asks no model."""

    steps: Steps = setting(0, "ours", "It takes none.")
    radius: Radius | None = setting(
        8 / 255, "ours", "Largest change of a value in [0, 1]; null: any picture."
    )

    @property
    def wants(self) -> Wants:
        return "nothing"

    def constraint(self, goal: Goal) -> Constraint:
        return ball(self.radius)

    def objectives(
        self, models: Sequence[Access], goals: Sequence[Goal], sampler: Sampler
    ) -> list[Objective]:
        return []

    def run(self, models: Sequence[Access], goals: Sequence[Goal], seed: int = 0) -> list[Outcome]:
        clean = [as_pixels(goal.clean) for goal in goals]
        problem = Problem(clean, [self.constraint(goal) for goal in goals], [], keys=keys(goals))
        every = range(len(goals))
        drawn = [problem.constraints[i].random(clean[i], seeded(seed, problem.key(i))) for i in every]
        saved = problem.saved(problem.project(drawn, every), every, seed)
        return [Outcome(levels, 0, 0.0, ()) for levels in saved]
