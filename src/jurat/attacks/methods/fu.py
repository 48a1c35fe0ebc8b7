"""Fu et al. 2023, "Misusing tools in large language models with visual adversarial examples" (arXiv
2310.03185).

A picture that looks clean makes a model write a call of a tool, while the conversation looks normal.
Three terms are summed: the similarity of the pictures, the cross-entropy of the normal reply, and that of
the tool's call. Weights and step sizes could not be read anywhere; those here are ours.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from jurat.attacks.access import Access
from jurat.attacks.cases import Goal
from jurat.attacks.method import PictureAttack
from jurat.attacks.objectives import Continuation, Dissimilarity, Objective
from jurat.attacks.optimisers import Adam, Optimiser
from jurat.attacks.pictures import as_pixels
from jurat.attacks.samplers import Random, Sampler
from jurat.named_settings import Positive, Steps, setting

__all__ = ["Fu"]


@dataclass(frozen=True)
class Fu(PictureAttack):
    """Adam on three weighted terms, from the clean picture; no ball."""

    steps: Steps = setting(400, "ours", "Steps.")
    rate: float = setting(0.01, "ours", "Learning rate.")
    similar: float = setting(1.0, "ours", "Weight of 1 - SSIM.")
    reply: float = setting(0.3, "ours", "Weight of the replies that should stay (`Goal.kept`).")
    tool: float = setting(1.0, "ours", "Weight of the tool's call (`Goal.train`).")
    prompts: Positive = setting(2, "ours", "Conversations of each kind a step.")

    def objectives(
        self, models: Sequence[Access], goals: Sequence[Goal], sampler: Sampler
    ) -> list[Objective]:
        called = Continuation(models[0], [goal.train for goal in goals], sampler=sampler)
        alike = Dissimilarity([as_pixels(goal.clean) for goal in goals])
        total = self.tool * called + self.similar * alike
        if all(goal.kept for goal in goals):
            total += self.reply * Continuation(models[0], [goal.kept for goal in goals], sampler=sampler)
        return [total]

    def sampler(self) -> Sampler:
        return Random(self.prompts)

    def optimiser(self) -> Optimiser:
        return Adam(self.rate)
