"""Pictures under attack: what they may become, and what is lowered."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor

from jurat.attacks.access import Compute
from jurat.attacks.constraints import Constraint
from jurat.attacks.objectives import Draw, Objective, seeded

__all__ = ["Batch", "Change", "Problem"]

Change = Callable[[Tensor, torch.Generator], Tensor]
"""A random change of a picture before the model sees it, differentiable."""


@dataclass(frozen=True)
class Problem:
    """Pictures under attack: what they may become, and what is lowered."""

    clean: Sequence[Tensor]
    """Clean pictures: float32 (3, H, W) in [0, 1], on whole levels of 255. Sizes may differ."""
    constraints: Sequence[Constraint]
    """One a picture."""
    objectives: Sequence[Objective]
    """What is lowered, summed: one objective, or one for each surrogate model."""
    spent: Compute = field(default_factory=Compute)
    """What the models of the objectives count in, too."""
    keys: Sequence[int] = ()
    """See `Draw.keys`."""

    def key(self, picture: int) -> int:
        """What, with the seed, determines all that is random about a picture."""
        return self.keys[picture] if self.keys else picture

    def gradient(
        self,
        variables: Sequence[Tensor],
        which: Sequence[int],
        draw: Draw,
        *,
        objective: int | None = None,
        change: Change | None = None,
    ) -> tuple[Tensor, list[Tensor]]:
        """Losses (n,) of n pictures and the gradient of each with respect to its variable.

        Args:
            variables: those of the pictures whose numbers are `which`.
            objective: the number of the only one that is taken; None sums all.
            change: applied to each picture before it is shown.
        """
        free = [variable.detach().requires_grad_() for variable in variables]
        before = self.spent.forwards
        losses = self._losses(free, which, draw, objective, change)
        slopes = torch.autograd.grad(losses.sum(), free)
        self.spent.backwards += self.spent.forwards - before
        return losses.detach(), list(slopes)

    @torch.no_grad()
    def losses(
        self,
        variables: Sequence[Tensor],
        which: Sequence[int],
        draw: Draw,
        *,
        objective: int | None = None,
    ) -> Tensor:
        """Losses (n,) without gradients."""
        return self._losses(variables, which, draw, objective, None)

    def _losses(
        self,
        variables: Sequence[Tensor],
        which: Sequence[int],
        draw: Draw,
        objective: int | None,
        change: Change | None,
    ) -> Tensor:
        pictures = [
            self.constraints[i].render(variable, self.clean[i], draw.generator(i))
            for i, variable in zip(which, variables, strict=True)
        ]
        if change is not None:
            pictures = [
                change(picture, draw.generator(i)).clamp(0, 1)
                for i, picture in zip(which, pictures, strict=True)
            ]
        chosen = self.objectives if objective is None else [self.objectives[objective]]
        return torch.stack([each.losses(pictures, which, draw) for each in chosen]).sum(0)

    def project(self, variables: Sequence[Tensor], which: Sequence[int]) -> list[Tensor]:
        """The nearest variables that the constraints allow."""
        return [
            self.constraints[i].project(variable.detach(), self.clean[i])
            for i, variable in zip(which, variables, strict=True)
        ]

    def saved(self, variables: Sequence[Tensor], which: Sequence[int], seed: int) -> list[Tensor]:
        """The pictures as they are saved, uint8; what is random in them depends on seed and picture."""
        found = [
            self.constraints[i].to_uint8(variable, self.clean[i], seeded(seed, self.key(i)))
            for i, variable in zip(which, variables, strict=True)
        ]
        for i, levels in zip(which, found, strict=True):
            original = self.clean[i].mul(255).round().to(torch.uint8)
            if not self.constraints[i].contains(levels, original):
                raise RuntimeError(f"A picture left {self.constraints[i]!r} when it was rounded to 8 bits.")
        return found


@dataclass(frozen=True)
class Batch:
    """The pictures that a step is made on."""

    problem: Problem
    which: Sequence[int]
    """Numbers of the pictures, n of them, among those of the problem."""
    variables: Sequence[Tensor]
    """One for each of them."""
    draw: Draw
