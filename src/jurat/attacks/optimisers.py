"""How an attack moves its variables."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import torch
from torch import Tensor

from jurat.attacks.gradients import Exact, Gradient
from jurat.attacks.problem import Batch, Problem

__all__ = ["Adam", "Apgd", "CommonWeakness", "Optimiser", "Pgd", "RandomSearch", "Rate", "Sgd"]

Rate = float | Sequence[float]
"""A step size: one, or one for each picture."""


def _of(rate: Rate, picture: int) -> float:
    return rate if isinstance(rate, float | int) else rate[picture]


class Optimiser:
    """Moves variables so that their losses fall.

    To write one, override `move`, which gets gradients and returns new variables before projection; or
    `step`, where one gradient is not enough. State is kept by picture, set up in `begin`:

        class Half(Optimiser):
            def move(self, batch, slopes, losses):
                return [v - 0.5 * s for v, s in zip(batch.variables, slopes)]
    """

    def __init__(self, gradient: Gradient | None = None) -> None:
        self.gradient = gradient or Exact()

    def begin(self, problem: Problem, variables: Sequence[Tensor]) -> None:
        """Called once, with the variables of all pictures."""

    def step(self, batch: Batch) -> tuple[list[Tensor], Tensor]:
        """New variables, projected, and the losses (n,) before the step."""
        losses, slopes = self.gradient.estimate(batch)
        return batch.problem.project(self.move(batch, slopes, losses), batch.which), losses

    def move(self, batch: Batch, slopes: Sequence[Tensor], losses: Tensor) -> list[Tensor]:
        raise NotImplementedError


class Pgd(Optimiser):
    """A step of size `rate` in the steepest direction of the constraint's norm: the sign of the gradient for
    `Linf` (Madry et al. 2018). With `momentum`, of the running sum of gradients that are divided by their L1
    norm (Dong et al. 2018)."""

    def __init__(self, rate: Rate, *, momentum: float = 0.0, gradient: Gradient | None = None) -> None:
        self.rate, self.momentum = rate, momentum
        super().__init__(gradient)

    def begin(self, problem: Problem, variables: Sequence[Tensor]) -> None:
        self._running = [torch.zeros_like(variable) for variable in variables]

    def move(self, batch: Batch, slopes: Sequence[Tensor], losses: Tensor) -> list[Tensor]:
        moved: list[Tensor] = []
        for i, variable, slope in zip(batch.which, batch.variables, slopes, strict=True):
            if self.momentum:
                unit = slope / slope.abs().sum().clamp_min(1e-12)
                self._running[i] = slope = self.momentum * self._running[i] + unit
            moved.append(variable - _of(self.rate, i) * batch.problem.constraints[i].steepest(slope))
        return moved


class Sgd(Optimiser):
    """Plain gradient descent; `clip` is the largest L2 norm of a gradient (Bailey et al. 2023: rate 0.03,
    clip 20)."""

    def __init__(self, rate: Rate, *, clip: float = math.inf, gradient: Gradient | None = None) -> None:
        self.rate, self.clip = rate, clip
        super().__init__(gradient)

    def move(self, batch: Batch, slopes: Sequence[Tensor], losses: Tensor) -> list[Tensor]:
        scales = [min(1.0, self.clip / max(1e-12, float(slope.norm()))) for slope in slopes]
        return [
            variable - _of(self.rate, i) * scale * slope
            for i, variable, slope, scale in zip(batch.which, batch.variables, slopes, scales, strict=True)
        ]


class Adam(Optimiser):
    """Kingma and Ba 2015, with their constants."""

    def __init__(self, rate: Rate, *, gradient: Gradient | None = None) -> None:
        self.rate = rate
        super().__init__(gradient)

    def begin(self, problem: Problem, variables: Sequence[Tensor]) -> None:
        self._first = [torch.zeros_like(variable) for variable in variables]
        self._second = [torch.zeros_like(variable) for variable in variables]
        self._steps = [0] * len(variables)

    def move(self, batch: Batch, slopes: Sequence[Tensor], losses: Tensor) -> list[Tensor]:
        moved: list[Tensor] = []
        for i, variable, slope in zip(batch.which, batch.variables, slopes, strict=True):
            self._steps[i] += 1
            self._first[i] = 0.9 * self._first[i] + 0.1 * slope
            self._second[i] = 0.999 * self._second[i] + 0.001 * slope**2
            first = self._first[i] / (1 - 0.9 ** self._steps[i])
            second = self._second[i] / (1 - 0.999 ** self._steps[i])
            moved.append(variable - _of(self.rate, i) * first / (second.sqrt() + 1e-8))
        return moved


@dataclass
class _Descent:
    """What Auto-PGD knows of one picture."""

    rate: float
    before: Tensor
    best: Tensor
    best_loss: float = math.inf
    best_slope: Tensor | None = None
    last_loss: float = math.inf
    improved: int = 0
    """Steps since the last checkpoint after which the loss was lower than after the one before."""
    halved: bool = True
    checkpoint_loss: float = math.inf
    taken: int = 0
    checkpoints: list[int] = field(default_factory=list[int])


class Apgd(Optimiser):
    """Auto-PGD (Croce and Hein 2020, algorithm 1): momentum 0.75, and a step that is halved, from the best
    point on, where the loss has stalled.

    Args:
        rate: the first step size; twice the radius in the paper, once in Schlarmann and Hein's code.
        steps: how many there will be, from which the checkpoints follow: after 22% of them, then at intervals
            that are 3% of them shorter each time, and at least 6%.
    """

    def __init__(self, rate: Rate, steps: int, *, gradient: Gradient | None = None) -> None:
        self.rate, self.steps = rate, steps
        super().__init__(gradient)

    def begin(self, problem: Problem, variables: Sequence[Tensor]) -> None:
        self._state = [
            _Descent(_of(self.rate, i), variable, variable, checkpoints=self._checkpoints())
            for i, variable in enumerate(variables)
        ]

    def _checkpoints(self) -> list[int]:
        percents = [0, 22]
        while percents[-1] < 100:
            percents.append(percents[-1] + max(percents[-1] - percents[-2] - 3, 6))
        return [math.ceil(percent * self.steps / 100) for percent in percents]

    def move(self, batch: Batch, slopes: Sequence[Tensor], losses: Tensor) -> list[Tensor]:
        return [
            self._moved(batch.problem, i, variable, slope, loss)
            for i, variable, slope, loss in zip(
                batch.which, batch.variables, slopes, losses.tolist(), strict=True
            )
        ]

    def _moved(self, problem: Problem, i: int, variable: Tensor, slope: Tensor, loss: float) -> Tensor:
        state = self._state[i]
        state.improved += loss < state.last_loss
        state.last_loss = loss
        if loss < state.best_loss:
            state.best, state.best_loss, state.best_slope = variable, loss, slope
        if state.taken in state.checkpoints[1:] and self._stalled(state):
            state.rate /= 2
            variable, slope = state.best, state.best_slope if state.best_slope is not None else slope
            state.before = variable
        constraint, clean = problem.constraints[i], problem.clean[i]
        ahead = constraint.project(variable - state.rate * constraint.steepest(slope), clean)
        share = 0.75 if state.taken else 1.0
        moved = variable + share * (ahead - variable) + (1 - share) * (variable - state.before)
        state.before, state.taken = variable, state.taken + 1
        return moved

    def _stalled(self, state: _Descent) -> bool:
        """Whether the step is halved at this checkpoint."""
        at = state.checkpoints.index(state.taken)
        few = state.improved < 0.75 * (state.taken - state.checkpoints[at - 1])
        stuck = not state.halved and state.best_loss == state.checkpoint_loss
        state.halved, state.checkpoint_loss, state.improved = few or stuck, state.best_loss, 0
        return state.halved


class CommonWeakness(Optimiser):
    """CWA (Chen et al. 2024), as Dong et al. 2023 use it for transfer: within a step it goes through the
    surrogates, one objective each, with momentum on gradients of unit L2 norm; then it moves by `rate` in the
    sign of a running sum of what the surrogates changed.

    Args:
        rate: outer step. inner: step for each surrogate, large enough to reach the edge of the constraint.
        momentum: of both.
    """

    def __init__(
        self, rate: Rate, *, inner: float = 250.0, momentum: float = 1.0, gradient: Gradient | None = None
    ) -> None:
        self.rate, self.inner, self.momentum = rate, inner, momentum
        super().__init__(gradient)

    def begin(self, problem: Problem, variables: Sequence[Tensor]) -> None:
        self._inner = [torch.zeros_like(variable) for variable in variables]
        self._outer = [torch.zeros_like(variable) for variable in variables]

    def step(self, batch: Batch) -> tuple[list[Tensor], Tensor]:
        problem, which = batch.problem, batch.which
        inside, total = list(batch.variables), torch.zeros(len(which))
        for number in range(len(problem.objectives)):
            losses, slopes = self.gradient.estimate(replace(batch, variables=inside), number)
            total += losses
            for k, (i, slope) in enumerate(zip(which, slopes, strict=True)):
                self._inner[i] = self.momentum * self._inner[i] + slope / slope.norm().clamp_min(1e-12)
                inside[k] = inside[k] - self.inner * self._inner[i]
            inside = problem.project(inside, which)
        moved: list[Tensor] = []
        for i, variable, reached in zip(which, batch.variables, inside, strict=True):
            change = variable - reached
            self._outer[i] = self.momentum * self._outer[i] + change / change.abs().sum().clamp_min(1e-12)
            moved.append(variable - _of(self.rate, i) * self._outer[i].sign())
        return problem.project(moved, which), total


class RandomSearch(Optimiser):
    """Tries a random change and keeps it where the loss falls: a square of the picture is moved by twice
    `rate`, up or down in each channel, in the manner of the square attack (Andriushchenko et al. 2020).

    Args:
        share: the square's share of the picture.
    """

    def __init__(self, rate: Rate, *, share: float = 0.1) -> None:
        super().__init__()
        self.rate, self.share = rate, share

    def begin(self, problem: Problem, variables: Sequence[Tensor]) -> None:
        self._losses = [math.nan] * len(variables)

    def step(self, batch: Batch) -> tuple[list[Tensor], Tensor]:
        problem, which, variables, draw = batch.problem, batch.which, batch.variables, batch.draw
        if new := [k for k, i in enumerate(which) if math.isnan(self._losses[i])]:
            begun = problem.losses([variables[k] for k in new], [which[k] for k in new], draw)
            for k, loss in zip(new, begun.tolist(), strict=True):
                self._losses[which[k]] = loss
        tried = problem.project(
            [
                self._tried(v, _of(self.rate, i), draw.generator(i))
                for i, v in zip(which, variables, strict=True)
            ],
            which,
        )
        losses = problem.losses(tried, which, draw)
        kept: list[Tensor] = []
        for i, variable, other, loss in zip(which, variables, tried, losses.tolist(), strict=True):
            better = loss < self._losses[i]
            self._losses[i] = min(loss, self._losses[i])
            kept.append(other if better else variable)
        return kept, torch.tensor([self._losses[i] for i in which])

    def _tried(self, variable: Tensor, rate: float, generator: torch.Generator) -> Tensor:
        height, width = variable.shape[1:]
        side = max(1, round(math.sqrt(self.share * height * width)))
        high, wide = min(side, height), min(side, width)
        top = int(torch.randint(0, height - high + 1, (), generator=generator))
        left = int(torch.randint(0, width - wide + 1, (), generator=generator))
        signs = 2.0 * torch.randint(0, 2, (3, 1, 1), generator=generator) - 1
        changed = variable.clone()
        changed[:, top : top + high, left : left + wide] += 2 * rate * signs
        return changed
