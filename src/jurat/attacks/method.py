"""What attacks on pictures share: what they need of a goal, and how they are run."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, ClassVar, Literal

from jurat.attacks.access import Access, Compute
from jurat.attacks.cases import Goal
from jurat.attacks.constraints import Box, Constraint, Linf
from jurat.attacks.engine import Check, Checked, Outcome, by_loss, optimise
from jurat.attacks.objectives import Objective
from jurat.attacks.optimisers import Optimiser
from jurat.attacks.pictures import as_picture, as_pixels
from jurat.attacks.problem import Problem
from jurat.attacks.samplers import All, Sampler
from jurat.attacks.submission import replies_to
from jurat.named_settings import Positive, Settings, Steps, setting

__all__ = ["PictureAttack", "Wants", "ball", "keys"]

Wants = Literal["target", "reference", "trigger", "nothing"]


def ball(radius: float | None) -> Constraint:
    """`Linf`, or any picture where there is no radius."""
    return Box() if radius is None else Linf(radius)


@dataclass(frozen=True)
class PictureAttack(Settings):
    """An attack on pictures, put together from the parts of the engine.

    A subclass is a dataclass of settings. Override `objectives` and `optimiser`, and what else differs:

        @dataclass(frozen=True)
        class Mine(PictureAttack):
            steps: Steps = setting(100, "ours", "Steps.")
            radius: Radius = setting(8 / 255, "ours", "Largest change of a value.")

            def constraint(self, goal):
                return Linf(self.radius)

            def objectives(self, models, goals, sampler):
                return [Continuation(models[0], [goal.train for goal in goals], sampler=sampler)]

            def optimiser(self):
                return Pgd(1 / 255)
    """

    random_start: ClassVar[bool] = False
    """Whether it begins at a random picture within the constraint."""
    stops: ClassVar[bool] = False
    """Whether it ends for a picture as soon as the validation prompts are answered as wanted."""

    @property
    def wants(self) -> Wants:
        """What a goal must say: a "target" to be written, a "reference" that is not to be written any more, a
        "trigger" to look like, or "nothing"."""
        return "target"

    steps: Steps = setting(100, "ours", "Steps.")
    every: Positive = setting(10, "ours", "Steps between checks on validation prompts.")

    def constraint(self, goal: Goal) -> Constraint:
        """The pictures that may be submitted; any by default."""
        return Box()

    def objectives(
        self, models: Sequence[Access], goals: Sequence[Goal], sampler: Sampler
    ) -> list[Objective]:
        """What is lowered on the conversations `train` of the goals; one objective for each surrogate, where
        there are several."""
        raise NotImplementedError

    def sampler(self) -> Sampler:
        """Which conversations a step takes; all by default."""
        return All()

    def optimiser(self) -> Optimiser:
        raise NotImplementedError

    def run(self, models: Sequence[Access], goals: Sequence[Goal], seed: int = 0) -> list[Outcome]:
        """The best picture for each goal.

        Args:
            models: the victim, or the surrogates of an attack that transfers; they share one `Compute`.
        """
        problem = Problem(
            [as_pixels(goal.clean) for goal in goals],
            [self.constraint(goal) for goal in goals],
            self.objectives(models, goals, self.sampler()),
            _shared(models),
            keys(goals),
        )
        return optimise(
            problem,
            self.optimiser(),
            self.steps,
            check=self.check(models, goals, seed),
            every=self.every,
            random_start=self.random_start,
            seed=seed,
        )

    def validation(self, models: Sequence[Access], goals: Sequence[Goal]) -> list[Objective]:
        """What saved pictures are scored by, on the conversations `train` of goals that hold the validation
        prompts there; what is lowered, by default."""
        return self.objectives(models, goals, All())

    def check(self, models: Sequence[Access], goals: Sequence[Goal], seed: int) -> Check:
        """The objectives on all validation prompts; with `stops`, done where each is answered as wanted."""
        validated = [replace(goal, train=goal.validation or goal.train) for goal in goals]
        score = by_loss(self.validation(models, validated), seed, keys(goals))
        if not self.stops:
            return score

        def check(saved: Sequence[Any], which: Sequence[int]) -> list[Checked]:
            found = score(saved, which)
            asked = [(validated[i], as_picture(levels)) for i, levels in zip(which, saved, strict=True)]
            made = replies_to(models[0], [(goal.train, picture) for goal, picture in asked])
            return [
                Checked(
                    each.score,
                    all(
                        reply.failure is None and goal.succeeded(case, reply)
                        for case, reply in zip(goal.train, replies, strict=True)
                    ),
                )
                for each, (goal, _), replies in zip(found, asked, made, strict=True)
            ]

        return check


def keys(goals: Sequence[Goal]) -> list[int]:
    """`Draw.keys` of goals."""
    return [number if goal.key is None else goal.key for number, goal in enumerate(goals)]


def _shared(models: Sequence[Access]) -> Compute:
    if any(model.spent is not models[0].spent for model in models):
        raise ValueError("The models of an attack count in one Compute.")
    return models[0].spent
