"""Which conversations, out of those of a picture, a step of an attack takes."""

from __future__ import annotations

from collections.abc import Sequence

import torch

from jurat.attacks.cases import Case

__all__ = ["All", "Random", "Rotation", "Sampler"]


class Sampler:
    """Override `choose`: at least one of `cases`; the same for the same step and generator."""

    def choose(self, cases: Sequence[Case], step: int, generator: torch.Generator) -> Sequence[Case]:
        raise NotImplementedError


class All(Sampler):
    """All of them."""

    def choose(self, cases: Sequence[Case], step: int, generator: torch.Generator) -> Sequence[Case]:
        return cases


class Random(Sampler):
    """`count` of them, without repeats (the batches of targets of Qi et al. 2023)."""

    def __init__(self, count: int) -> None:
        self.count = count

    def choose(self, cases: Sequence[Case], step: int, generator: torch.Generator) -> Sequence[Case]:
        order = torch.randperm(len(cases), generator=generator)[: self.count]
        return [cases[i] for i in order.tolist()]


class Rotation(Sampler):
    """`count` of them in turn, in an order that is shuffled anew each time round (Luo et al. 2024)."""

    def __init__(self, count: int = 1, seed: int = 0) -> None:
        self.count, self.seed = count, seed

    def choose(self, cases: Sequence[Case], step: int, generator: torch.Generator) -> Sequence[Case]:
        return [cases[self._at(len(cases), step * self.count + k)] for k in range(self.count)]

    def _at(self, length: int, number: int) -> int:
        turn, place = divmod(number, length)
        order = torch.Generator().manual_seed(self.seed * 1_000_003 + turn)
        return int(torch.randperm(length, generator=order)[place])
