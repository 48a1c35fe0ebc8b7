"""Muon with AdamW for the rest, as one optimizer with one schedule.

Muon orthogonalises the momentum of 2-D hidden matrices by five Newton-Schulz steps (Jordan et al.,
2024); the update's RMS is matched to AdamW's (Liu et al., 2025, arXiv 2502.16982, section 2.2).
torch has one of its own, but computes it matrix by matrix in bfloat16, which a CPU without bfloat16
units does several times slower than the training step it serves.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

import torch
from torch import Tensor, nn

_COEFFICIENTS = (3.4445, -4.7750, 2.0315)


@dataclass
class Muon:
    """Momentum and orthogonalised steps for matrices, batched by shape."""

    matrices: list[nn.Parameter]
    momentum: float = 0.95
    decay: float = 0.02
    buffers: dict[tuple[int, ...], Tensor] = field(default_factory=dict)

    @torch.no_grad()
    def step(self, rate: float) -> None:
        groups: dict[tuple[int, ...], list[nn.Parameter]] = {}
        for matrix in self.matrices:
            groups.setdefault(tuple(matrix.shape), []).append(matrix)
        for shape, group in groups.items():
            gradient = torch.stack([torch.zeros_like(p) if p.grad is None else p.grad for p in group])
            buffer = self.buffers.setdefault(shape, torch.zeros_like(gradient))
            buffer.lerp_(gradient, 1 - self.momentum)
            update = _orthogonal(gradient.lerp(buffer, self.momentum))
            scale = 0.2 * max(shape) ** 0.5
            for matrix, change in zip(group, update, strict=True):
                matrix.mul_(1 - rate * self.decay).add_(change, alpha=-rate * scale)


def _orthogonal(matrices: Tensor) -> Tensor:
    tall = matrices.shape[1] > matrices.shape[2]
    x = matrices.transpose(1, 2) if tall else matrices
    x = x.bfloat16() if x.is_cuda else x
    x = x / (x.norm(dim=(1, 2), keepdim=True) + 1e-7)
    a, b, c = _COEFFICIENTS
    for _ in range(5):
        gram = x @ x.transpose(1, 2)
        x = a * x + (b * gram + c * gram @ gram) @ x
    x = x.float()
    return x.transpose(1, 2) if tall else x


@dataclass(frozen=True)
class Schedule:
    """Settings that every training run has; each kind of run has its own defaults."""

    minutes: float
    batch: int
    rate: float
    """Learning rate at its peak."""
    warm_up: int
    """Steps until the peak."""
    hold: float
    """Share of the minutes after which the rate falls."""
    last: float
    """Share of the peak that the rate falls to."""
    seed: int

    def rate_at(self, elapsed: float, step: int) -> float:
        """Learning rate after `elapsed` seconds: warm-up, a plateau until `hold`, then linear to `last`."""
        done = elapsed / (self.minutes * 60)
        ramp = min(1.0, (step + 1) / self.warm_up)
        if done < self.hold:
            return self.rate * ramp
        return self.rate * ramp * max(self.last, 1 - (1 - self.last) * (done - self.hold) / (1 - self.hold))


@dataclass
class Optimizer:
    """Muon on `matrices`, AdamW on `others`; each parameter may have its own factor on the rate."""

    matrices: list[tuple[float, list[nn.Parameter]]]
    others: list[tuple[float, list[nn.Parameter]]]
    clip: float = 1.0

    @classmethod
    def of(cls, named: Iterable[tuple[str, nn.Parameter]], others: Iterable[nn.Parameter] = ()) -> Optimizer:
        """Muon on the hidden matrices among `named`, AdamW on the rest and on `others`."""
        sorted_out: dict[bool, list[nn.Parameter]] = {True: [], False: []}
        for name, parameter in named:
            sorted_out[is_hidden_matrix(name, parameter)].append(parameter)
        return cls([(1.0, sorted_out[True])], [(1.0, [*sorted_out[False], *others])])

    def __post_init__(self) -> None:
        self._muons = [(factor, Muon(group)) for factor, group in self.matrices]
        groups = [{"params": group, "factor": factor} for factor, group in self.others]
        self._adam = torch.optim.AdamW(groups, lr=0.0, betas=(0.9, 0.98), weight_decay=0.0, fused=True)

    def parameters(self) -> Iterable[nn.Parameter]:
        for _, group in (*self.matrices, *self.others):
            yield from group

    def step(self, rate: float) -> None:
        """Clips, steps and forgets the gradients."""
        torch.nn.utils.clip_grad_norm_([p for _, group in self.others for p in group], self.clip)
        for group in self._adam.param_groups:
            group["lr"] = rate * group["factor"]
        self._adam.step()
        for factor, muon in self._muons:
            muon.step(rate * factor)
        for parameter in self.parameters():
            parameter.grad = None

    def state(self) -> dict[str, object]:
        return {"adam": self._adam.state_dict(), "muon": [muon.buffers for _, muon in self._muons]}

    def restore(self, state: dict[str, object]) -> None:
        self._adam.load_state_dict(state["adam"])  # pyright: ignore[reportArgumentType]
        for group, (factor, _) in zip(self._adam.param_groups, self.others, strict=True):
            group["factor"] = factor
        for (_, muon), buffers in zip(self._muons, state["muon"], strict=True):  # pyright: ignore[reportArgumentType]
            muon.buffers = buffers


def is_hidden_matrix(name: str, weight: Tensor) -> bool:
    """Whether Muon rather than AdamW should move a parameter."""
    return weight.ndim == 2 and ("layers." in name or "linear_" in name or "maps." in name)
