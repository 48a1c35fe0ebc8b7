"""The loop of every attack on pictures: many pictures at once, each within a constraint of its own.

An attack is a `Problem` (clean pictures, constraints, objectives), an optimiser and a number of steps.
Iterates are rounded to 8 bits and checked on the way; the best checked one is the outcome, not the last.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor

from jurat.attacks.objectives import Draw, Objective, seeded
from jurat.attacks.optimisers import Optimiser
from jurat.attacks.pictures import as_pixels
from jurat.attacks.problem import Batch, Problem

__all__ = ["Check", "Checked", "Outcome", "by_loss", "optimise"]


@dataclass(frozen=True)
class Checked:
    """How good a saved picture is for the attacker."""

    score: float
    """Lower is better."""
    done: bool = False
    """Whether the attack on this picture ends here."""


class Check(Protocol):
    """Scores saved pictures, on prompts that the attack does not train on."""

    def __call__(self, saved: Sequence[Tensor], which: Sequence[int]) -> Sequence[Checked]: ...


@dataclass(frozen=True)
class Outcome:
    """The best checked picture of an attack."""

    saved: Tensor
    """uint8 (3, H, W)."""
    step: int
    """After how many steps it was found; 0 is the start."""
    score: float
    """Its score by the check."""
    losses: tuple[float, ...]
    """The loss before each step that was taken."""


def optimise(
    problem: Problem,
    optimiser: Optimiser,
    steps: int,
    *,
    check: Check | None = None,
    every: int = 10,
    random_start: bool = False,
    seed: int = 0,
) -> list[Outcome]:
    """Attacks all pictures of a problem, and returns the best checked one of each.

    Args:
        check: by default the loss of the objectives on the saved picture (`by_loss`).
        every: steps between checks; the start and the end are checked, too.
        random_start: begins at a random picture within the constraint, and not at the clean one.
    """
    check = check or by_loss(problem.objectives, seed, problem.keys)
    count = len(problem.clean)
    variables = _start(problem, random_start, seed)
    optimiser.begin(problem, variables)
    best: list[Outcome | None] = [None] * count
    losses: list[list[float]] = [[] for _ in range(count)]
    which = list(range(count))
    with problem.spent.timed():
        for step in range(steps + 1):
            if step % every == 0 or step == steps:
                which = _checked(problem, check, variables, which, step, best, seed)
            if step == steps or not which:
                break
            draw = Draw(step, seed, problem.keys)
            moved, found = optimiser.step(Batch(problem, which, [variables[i] for i in which], draw))
            for i, variable, loss in zip(which, moved, found.tolist(), strict=True):
                variables[i] = variable
                losses[i].append(loss)
    return [
        Outcome(each.saved, each.step, each.score, tuple(all_losses))
        for each, all_losses in zip(best, losses, strict=True)
        if each is not None
    ]


def by_loss(objectives: Sequence[Objective], seed: int = 0, keys: Sequence[int] = ()) -> Check:
    """The check by objectives: their summed loss on the saved picture, with the same draw each time."""

    def check(saved: Sequence[Tensor], which: Sequence[int]) -> Sequence[Checked]:
        draw = Draw(0, seed, keys)
        pictures = [as_pixels(levels) for levels in saved]
        with torch.no_grad():
            parts = [each.losses(pictures, which, draw) for each in objectives]
        return [Checked(score) for score in torch.stack(parts).sum(0).tolist()]

    return check


def _start(problem: Problem, random_start: bool, seed: int) -> list[Tensor]:
    begun = [
        constraint.random(clean, seeded(seed, problem.key(i))) if random_start else constraint.begin(clean)
        for i, (constraint, clean) in enumerate(zip(problem.constraints, problem.clean, strict=True))
    ]
    return problem.project(begun, range(len(begun)))


def _checked(
    problem: Problem,
    check: Check,
    variables: Sequence[Tensor],
    which: Sequence[int],
    step: int,
    best: list[Outcome | None],
    seed: int,
) -> list[int]:
    """Keeps the pictures that are better than the best before; returns the numbers of those not done."""
    saved = problem.saved([variables[i] for i in which], which, seed)
    going: list[int] = []
    for i, levels, found in zip(which, saved, check(saved, which), strict=True):
        before = best[i]
        if before is None or found.done or found.score < before.score:
            best[i] = Outcome(levels, step, found.score, ())
        if not found.done:
            going.append(i)
    return going
