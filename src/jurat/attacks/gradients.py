"""Estimates of the gradient that an optimiser steps along: exact, over random changes, from losses alone."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from jurat.attacks.problem import Batch, Change

__all__ = ["Averaged", "Evolution", "Exact", "Gradient", "spectrum_change"]


class Gradient:
    """An estimate of the gradient. Override `estimate`: losses (n,) and a slope for each variable, of all
    objectives or of one of them by its number."""

    def estimate(self, batch: Batch, objective: int | None = None) -> tuple[Tensor, list[Tensor]]:
        raise NotImplementedError


class Exact(Gradient):
    """The gradient itself."""

    def estimate(self, batch: Batch, objective: int | None = None) -> tuple[Tensor, list[Tensor]]:
        return batch.problem.gradient(batch.variables, batch.which, batch.draw, objective=objective)


class Averaged(Gradient):
    """The mean gradient over random changes of the picture (expectation over transformation, Athalye et al.
    2018). With `spectrum_change` it is the spectrum simulation attack."""

    def __init__(self, change: Change, samples: int) -> None:
        self.change, self.samples = change, samples

    def estimate(self, batch: Batch, objective: int | None = None) -> tuple[Tensor, list[Tensor]]:
        given = batch.variables, batch.which, batch.draw
        made = [
            batch.problem.gradient(*given, objective=objective, change=self.change)
            for _ in range(self.samples)
        ]
        slopes = [torch.stack(each).mean(0) for each in zip(*(slopes for _, slopes in made), strict=True)]
        return torch.stack([losses for losses, _ in made]).mean(0), slopes


class Evolution(Gradient):
    """A gradient from losses alone (natural evolution strategies, Ilyas et al. 2018): the mean of random
    directions, weighted by the difference of the losses to their two sides.

    Args:
        pairs: directions; each costs two losses.
        scale: how far to the sides, in [0, 1].
    """

    def __init__(self, pairs: int = 25, scale: float = 0.01) -> None:
        self.pairs, self.scale = pairs, scale

    def estimate(self, batch: Batch, objective: int | None = None) -> tuple[Tensor, list[Tensor]]:
        problem, which, variables, draw = batch.problem, batch.which, batch.variables, batch.draw
        slopes = [torch.zeros_like(variable) for variable in variables]
        seen: list[Tensor] = []
        for _ in range(self.pairs):
            directions = [
                torch.randn(v.shape, generator=draw.generator(i))
                for i, v in zip(which, variables, strict=True)
            ]
            sides = [
                problem.losses(
                    problem.project(
                        [v + side * self.scale * d for v, d in zip(variables, directions, strict=True)], which
                    ),
                    which,
                    draw,
                    objective=objective,
                )
                for side in (1, -1)
            ]
            for slope, direction, weight in zip(slopes, directions, sides[0] - sides[1], strict=True):
                slope += weight * direction / (2 * self.scale * self.pairs)
            seen.extend(sides)
        return torch.stack(seen).mean(0), slopes


def spectrum_change(deviation: float = 16 / 255, spread: float = 0.5) -> Change:
    """A random change in the frequency domain (SSA, Long et al. 2022): noise of `deviation` is added, and
    each coefficient of the cosine transform is multiplied by a factor in [1 - spread, 1 + spread]."""

    def change(picture: Tensor, generator: torch.Generator) -> Tensor:
        noisy = picture + deviation * torch.randn(picture.shape, generator=generator)
        rows, columns = (_cosines(extent) for extent in picture.shape[1:])
        spectrum = rows @ noisy @ columns.T
        factors = 1 + spread * (2 * torch.rand(picture.shape, generator=generator) - 1)
        return rows.T @ (spectrum * factors) @ columns

    return change


def _cosines(extent: int) -> Tensor:
    """The orthonormal DCT-II as a matrix (extent, extent)."""
    order = torch.arange(extent, dtype=torch.float32)
    waves = torch.cos(math.pi / extent * (order + 0.5) * order[:, None]) * math.sqrt(2 / extent)
    waves[0] /= math.sqrt(2)
    return waves
