"""Sets of pictures that an attack may submit in place of a clean one.

Pictures are float32 tensors (3, H, W) with values in [0, 1]; saved pictures are uint8 tensors of that shape.
What an optimiser changes is the *variable* of a picture: the picture itself, or a patch that lies on it.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

__all__ = ["L2", "Box", "Constraint", "FixedPatch", "Linf", "MovingPatch", "Rows"]


class Constraint:
    """The pictures that may be submitted in place of a clean one.

    To write one, override `project` and `contains`, and `random` where a random start is not noise anywhere
    in [0, 1]; where the variable is not the picture itself, override `begin` and `render` as well:

        class Dark(Constraint):
            def project(self, variable, clean):
                return variable.clamp(0, 0.5)

            def contains(self, saved, clean):
                return int(saved.max()) <= 127
    """

    def begin(self, clean: Tensor) -> Tensor:
        """The variable whose picture is the clean one, or as near to it as the constraint knows."""
        return clean.clone()

    def random(self, clean: Tensor, generator: torch.Generator) -> Tensor:
        """A random variable: noise, uniform over the constraint, before `project`."""
        return torch.rand(clean.shape, generator=generator)

    def render(self, variable: Tensor, clean: Tensor, generator: torch.Generator) -> Tensor:
        """The picture of a variable, differentiable with respect to it."""
        return variable

    def project(self, variable: Tensor, clean: Tensor) -> Tensor:
        """The variable nearest to `variable` whose picture is allowed."""
        raise NotImplementedError

    def steepest(self, slope: Tensor) -> Tensor:
        """The direction in which the loss rises fastest for a step of unit size in the constraint's norm."""
        return slope.sign()

    def to_uint8(self, variable: Tensor, clean: Tensor, generator: torch.Generator) -> Tensor:
        """The picture to save: rounded to 8 bits, and still allowed."""
        return _rounded(self.render(variable, clean, generator))

    def contains(self, saved: Tensor, clean: Tensor) -> bool:
        """Whether a saved picture is allowed in place of the saved clean one; both uint8 (3, H, W)."""
        raise NotImplementedError


class Box(Constraint):
    """Any picture: values in [0, 1]."""

    def project(self, variable: Tensor, clean: Tensor) -> Tensor:
        return variable.clamp(0, 1)

    def contains(self, saved: Tensor, clean: Tensor) -> bool:
        return saved.shape == clean.shape

    def __repr__(self) -> str:
        return "Box()"


class Linf(Constraint):
    """Pictures in which no value differs by more than `radius`, in [0, 1], from that of the clean one."""

    def __init__(self, radius: float) -> None:
        self.radius = radius

    @property
    def levels(self) -> int:
        """The radius in whole levels of 255, rounded down."""
        return math.floor(self.radius * 255 + 1e-6)

    def random(self, clean: Tensor, generator: torch.Generator) -> Tensor:
        return clean + self.radius * (2 * torch.rand(clean.shape, generator=generator) - 1)

    def project(self, variable: Tensor, clean: Tensor) -> Tensor:
        return torch.clamp(variable, clean - self.radius, clean + self.radius).clamp(0, 1)

    def to_uint8(self, variable: Tensor, clean: Tensor, generator: torch.Generator) -> Tensor:
        original = _rounded(clean).int()
        change = (_rounded(variable).int() - original).clamp(-self.levels, self.levels)
        return (original + change).to(torch.uint8)

    def contains(self, saved: Tensor, clean: Tensor) -> bool:
        return saved.shape == clean.shape and int((saved.int() - clean.int()).abs().max()) <= self.levels

    def __repr__(self) -> str:
        return f"Linf({self.radius * 255:g}/255)"


class L2(Constraint):
    """Pictures at a Euclidean distance of at most `radius` from the clean one, over all values in [0, 1]."""

    def __init__(self, radius: float) -> None:
        self.radius = radius

    def random(self, clean: Tensor, generator: torch.Generator) -> Tensor:
        noise = torch.randn(clean.shape, generator=generator)
        share = torch.rand((), generator=generator) ** (1 / noise.numel())  # uniform over the ball
        return clean + self.radius * share * noise / noise.norm()

    def project(self, variable: Tensor, clean: Tensor) -> Tensor:
        change = variable - clean
        scale = (self.radius / change.norm().clamp_min(1e-12)).clamp_max(1)
        return (clean + scale * change).clamp(0, 1)  # which moves no value away from the clean one

    def steepest(self, slope: Tensor) -> Tensor:
        return slope / slope.norm().clamp_min(1e-12)

    def to_uint8(self, variable: Tensor, clean: Tensor, generator: torch.Generator) -> Tensor:
        original, change = _rounded(clean), variable - clean
        for share in (1, 0.99, 0.97, 0.94, 0.9, 0.85, 0.8):
            saved = _rounded(clean + share * change)
            if self.contains(saved, original):
                return saved
        towards = (original / 255 + change).mul(255)
        return torch.where(change > 0, towards.floor(), towards.ceil()).clamp(0, 255).to(torch.uint8)

    def contains(self, saved: Tensor, clean: Tensor) -> bool:
        distance = (saved.double() - clean.double()).norm() / 255
        return saved.shape == clean.shape and float(distance) <= self.radius + 1e-9

    def __repr__(self) -> str:
        return f"L2({self.radius:g})"


class _Region(Constraint):
    """Any values in a part of the picture; the rest stays as it is."""

    def inside(self, clean: Tensor) -> Tensor:
        """Which pixels may change: (H, W) bool."""
        raise NotImplementedError

    def random(self, clean: Tensor, generator: torch.Generator) -> Tensor:
        return torch.where(self.inside(clean), torch.rand(clean.shape, generator=generator), clean)

    def project(self, variable: Tensor, clean: Tensor) -> Tensor:
        return torch.where(self.inside(clean), variable.clamp(0, 1), clean)

    def contains(self, saved: Tensor, clean: Tensor) -> bool:
        return saved.shape == clean.shape and bool((saved == clean)[:, ~self.inside(clean)].all())


class FixedPatch(_Region):
    """Any values in a rectangle: `left`, `top`, `width` and `height` in pixels."""

    def __init__(self, left: int, top: int, width: int, height: int) -> None:
        self.left, self.top, self.width, self.height = left, top, width, height

    def inside(self, clean: Tensor) -> Tensor:
        found = torch.zeros(clean.shape[1:], dtype=torch.bool)
        found[self.top : self.top + self.height, self.left : self.left + self.width] = True
        return found

    def __repr__(self) -> str:
        return f"FixedPatch({self.left}, {self.top}, {self.width}, {self.height})"


class Rows(_Region):
    """Any values in the topmost `count` rows of pixels (Bagdasaryan et al. 2023, the partial variant)."""

    def __init__(self, count: int) -> None:
        self.count = count

    def inside(self, clean: Tensor) -> Tensor:
        rows = torch.arange(clean.shape[1]) < self.count
        return rows[:, None].expand(clean.shape[1:])

    def __repr__(self) -> str:
        return f"Rows({self.count})"


class MovingPatch(Constraint):
    """A square patch of `side` pixels that lies anywhere: a new place each time it is rendered, uniform over
    the picture (Bailey et al. 2023, section 4). The variable is the patch."""

    def __init__(self, side: int) -> None:
        self.side = side

    def begin(self, clean: Tensor) -> Tensor:
        return torch.full((3, self.side, self.side), 0.5)

    def random(self, clean: Tensor, generator: torch.Generator) -> Tensor:
        return torch.rand((3, self.side, self.side), generator=generator)

    def render(self, variable: Tensor, clean: Tensor, generator: torch.Generator) -> Tensor:
        top, left = (
            int(torch.randint(0, extent - self.side + 1, (), generator=generator))
            for extent in clean.shape[1:]
        )
        around = (left, clean.shape[2] - left - self.side, top, clean.shape[1] - top - self.side)
        there = torch.nn.functional.pad(torch.ones(self.side, self.side, dtype=torch.bool), around)
        return torch.where(there, torch.nn.functional.pad(variable, around), clean)

    def project(self, variable: Tensor, clean: Tensor) -> Tensor:
        return variable.clamp(0, 1)

    def contains(self, saved: Tensor, clean: Tensor) -> bool:
        if saved.shape != clean.shape:
            return False
        rows, columns = (saved != clean).any(0).nonzero(as_tuple=True)
        return not len(rows) or max(int(each.max() - each.min()) for each in (rows, columns)) < self.side

    def __repr__(self) -> str:
        return f"MovingPatch({self.side})"


def _rounded(picture: Tensor) -> Tensor:
    return picture.detach().clamp(0, 1).mul(255).round().to(torch.uint8)
