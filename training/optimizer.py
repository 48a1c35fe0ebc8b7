"""Muon with AdamW for the rest, as one optimizer.

Muon orthogonalises the momentum of 2-D hidden matrices by five Newton-Schulz steps (Jordan et al., 2024); the
update's RMS is matched to AdamW's (Liu et al., 2025, arXiv 2502.16982, section 2.2). torch has its own Muon,
but computes it matrix by matrix, and always in bfloat16; on a CPU without bfloat16 units that takes several
times as long as the training step itself.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

import torch
import torch.distributed as dist
from torch import Tensor, nn

_COEFFICIENTS = (3.4445, -4.7750, 2.0315)


@dataclass
class Muon:
    """Momentum and orthogonalised steps for matrices, batched by shape."""

    matrices: list[nn.Parameter]
    momentum: float = 0.95
    decay: float = 0.02
    buffers: dict[str, Tensor] = field(default_factory=dict[str, Tensor])

    @torch.no_grad()
    def step(self, rate: float) -> None:
        groups: dict[tuple[int, ...], list[nn.Parameter]] = {}
        for matrix in self.matrices:
            groups.setdefault(tuple(matrix.shape), []).append(matrix)
        for shape, group in groups.items():
            gradient = torch.stack([torch.zeros_like(p) if p.grad is None else p.grad for p in group])
            buffer = self.buffers.setdefault("x".join(map(str, shape)), torch.zeros_like(gradient))
            buffer.lerp_(gradient, 1 - self.momentum)
            update = _shared_orthogonal(gradient.lerp(buffer, self.momentum))
            scale = 0.2 * max(shape) ** 0.5
            for matrix, change in zip(group, update, strict=True):
                matrix.mul_(1 - rate * self.decay).add_(change, alpha=-rate * scale)


def _shared_orthogonal(matrices: Tensor) -> Tensor:
    """The nearest orthogonal matrix to each of (n, a, b); the processes share the work."""
    if not dist.is_initialized() or dist.get_world_size() == 1:
        return _orthogonal(matrices)
    mine = slice(dist.get_rank(), None, dist.get_world_size())
    made = torch.zeros_like(matrices)
    if len(matrices[mine]):
        made[mine] = _orthogonal(matrices[mine])
    dist.all_reduce(made)
    return made


def _orthogonal(matrices: Tensor) -> Tensor:
    tall = matrices.shape[1] > matrices.shape[2]
    x = matrices.transpose(1, 2) if tall else matrices
    x = x / (x.norm(dim=(1, 2), keepdim=True) + 1e-7)
    a, b, c = _COEFFICIENTS
    for _ in range(5):
        gram = x @ x.transpose(1, 2)
        x = a * x + (b * gram + c * gram @ gram) @ x
    return x.transpose(1, 2) if tall else x


@dataclass(frozen=True)
class Group:
    """Parameters by name, with a shared factor on the learning rate."""

    named: Sequence[tuple[str, nn.Parameter]]
    factor: float = 1.0


class Optimizer:
    """Muon on the hidden matrices, AdamW (betas 0.9 and 0.98, no decay, clipped at norm 1) on the rest."""

    def __init__(self, groups: Iterable[Group]) -> None:
        self._groups = [group for group in groups if group.factor and group.named]
        self._muons: list[tuple[float, Muon]] = []
        others: list[dict[str, object]] = []
        for group in self._groups:
            split: dict[bool, list[nn.Parameter]] = {True: [], False: []}
            for name, parameter in group.named:
                split[is_hidden_matrix(name, parameter)].append(parameter)
            self._muons.append((group.factor, Muon(split[True])))
            others.append({"params": split[False], "factor": group.factor})
        self._others = [p for group in others for p in group["params"]]  # pyright: ignore[reportGeneralTypeIssues, reportUnknownVariableType]
        self._adam = torch.optim.AdamW(others, lr=0.0, betas=(0.9, 0.98), weight_decay=0.0, fused=True)

    def parameters(self) -> list[nn.Parameter]:
        return [parameter for group in self._groups for _, parameter in group.named]

    def step(self, rate: float) -> None:
        """Averages gradients over processes, clips them, makes a step and clears them."""
        _average_gradients(self.parameters())
        torch.nn.utils.clip_grad_norm_(self._others, 1.0)
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
        """Continues from `state`; the factors stay those of the groups."""
        factors = [group["factor"] for group in self._adam.param_groups]
        self._adam.load_state_dict(state["adam"])  # pyright: ignore[reportArgumentType]
        for group, factor in zip(self._adam.param_groups, factors, strict=True):
            group["factor"] = factor
        for (_, muon), buffers in zip(self._muons, state["muon"], strict=True):  # pyright: ignore[reportArgumentType]
            muon.buffers = buffers


def is_hidden_matrix(name: str, weight: Tensor) -> bool:
    """Whether Muon rather than AdamW should move a parameter."""
    return weight.ndim == 2 and any(part in name for part in ("layers.", "linear_", "maps.", "_attn."))


def _average_gradients(parameters: list[nn.Parameter]) -> None:
    """Averages over processes; a parameter that one of them did not use counts there as zero."""
    if not dist.is_initialized() or dist.get_world_size() == 1:
        return
    flat = torch.cat([torch.zeros(p.numel()) if p.grad is None else p.grad.flatten() for p in parameters])
    dist.all_reduce(flat)
    flat /= dist.get_world_size()
    for parameter, part in zip(parameters, flat.split([p.numel() for p in parameters]), strict=True):
        parameter.grad = part.view_as(parameter)
