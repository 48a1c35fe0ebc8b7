"""Dense targets that teach the tower to see: which objects lie in every patch, and where they meet.

Every patch predicts, through the projector and against the decoder's own name embeddings (so that
image tokens start in word space): the object that covers each of its four cells; the object whose centre
lies in it; the objects that touch another one in it; in which cells two objects overlap or nearly do; and
where the covering object's centre is. Beside the names of the world there are two more answers: an unknown
object and an unknown background. The heads are discarded after training.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from jurat.pictograms.objects import CLASSES
from training.mllm.architecture import PATCH, WIDTH
from training.scenes.pool import CELLS

if TYPE_CHECKING:
    from numpy.typing import NDArray

GRID = CELLS // 2
NOTHING, UNKNOWN_THING, FOREIGN_GROUND = 0, CLASSES + 1, CLASSES + 2
ANSWERS = CLASSES + 3
"""Number of answers for a patch: 0 for nothing, the classes of the world from 1 on, then the unknown ones."""
LEAST_COVER = 0.06
"""Smallest share of a cell that an object covers for it to count."""


@dataclass
class Targets:
    """Targets of the heads for a batch, over P = GRID * GRID patches of 4 cells each."""

    cover: Tensor  # (B, P, 4, ANSWERS), a distribution
    centre: Tensor  # (B, P, ANSWERS), a distribution
    contact: Tensor  # (B, P, ANSWERS), a distribution
    seam: Tensor  # (B, P, 8), 0 or 1: overlap in each cell, then near miss in each cell
    offset: Tensor  # (B, P, 4): covering object's centre, relative to the patch and absolute
    foreground: Tensor  # (B, P), bool: patches with a covering object


def _patches(cells: Tensor) -> Tensor:
    """(B, ..., CELLS, CELLS) -> (B, ..., P, 4)."""
    lead = cells.shape[:-2]
    split = cells.reshape(*lead, GRID, 2, GRID, 2)
    return split.transpose(-3, -2).reshape(*lead, GRID * GRID, 4)


def _shares(pixels: NDArray[np.generic]) -> Tensor:
    """Pixels of each cell as shares of the cell."""
    return torch.from_numpy(pixels.astype(np.float32)) / (PATCH / 2) ** 2


def _distribution(weights: Tensor) -> Tensor:
    """Normalises over classes; class 0 has all of the mass where there is none."""
    total = weights.sum(-1, keepdim=True)
    spread = weights / total.clamp(min=1e-6)
    spread[..., 0] = torch.where(total[..., 0] == 0, 1.0, spread[..., 0])
    return spread


def targets(batch: dict[str, NDArray[np.generic]]) -> Targets:
    """Targets of a batch of `Pool` rows."""
    kinds = torch.from_numpy(batch["kinds"].astype(np.int64))
    centres = torch.from_numpy(np.asarray(batch["centres"], np.float32))
    present = kinds >= 0
    label = (kinds + 1).clamp(min=0)
    most = kinds.shape[1]
    share = _patches(_shares(batch["cover"]))  # (B, M, P, 4)
    weight = torch.where((share >= LEAST_COVER) & present[:, :, None, None], share, 0).sqrt()
    onehot = F.one_hot(label, ANSWERS).float() * present[..., None]
    covering = torch.einsum("bmpc,bmk->bpck", weight, onehot)
    bare = (1 - share.sum(1)).clamp(min=0) * _patches(_shares(batch["foreign"]))
    covering[..., FOREIGN_GROUND] = torch.where(bare >= LEAST_COVER, bare, 0).sqrt()
    cover = _distribution(covering)

    column, row = (centres[..., i].long().clamp(0, 127) // PATCH for i in (0, 1))
    at = F.one_hot(row * GRID + column, GRID * GRID).float()
    centre = _distribution(torch.einsum("bmp,bmk->bpk", at, onehot))

    def bits(name: str) -> Tensor:
        packed = torch.from_numpy(batch[name].astype(np.int64))[:, None]
        return _patches((packed >> torch.arange(most)[:, None, None]) & 1)

    touching, nearing = bits("contact"), bits("seam")
    contact = _distribution(torch.einsum("bmp,bmk->bpk", touching.amax(-1).float(), onehot).clamp(max=1))
    seam = torch.cat([touching.amax(1), nearing.amax(1)], -1).float()

    patch_share = share.mean(-1)
    owner = patch_share.argmax(1)
    where = torch.gather(centres, 1, owner[..., None].expand(-1, -1, 2))
    place = torch.arange(GRID * GRID)
    middle = torch.stack([place % GRID, place // GRID], -1) * PATCH + PATCH / 2
    offset = torch.cat([(where - middle) / 24, where / 64 - 1], -1)
    return Targets(cover, centre, contact, seam, offset, patch_share.amax(1) >= 0.15)


class Heads(nn.Module):
    """Dense heads over projected patches, discarded after training."""

    def __init__(self) -> None:
        super().__init__()
        self.maps = nn.ModuleList(
            nn.Linear(WIDTH, WIDTH, bias=False) for _ in range(6)
        )  # 4 cells, centre, contact
        self.nothing = nn.Parameter(torch.zeros(6, 1, WIDTH))
        self.unknown = nn.Parameter(torch.zeros(6, 2, WIDTH))
        self.bias = nn.Parameter(torch.zeros(6, ANSWERS))
        self.scale = nn.Parameter(torch.ones(6))
        self.seam = nn.Linear(WIDTH, 8)
        self.offset = nn.Linear(WIDTH, 4)
        nn.init.normal_(self.unknown, std=WIDTH**-0.5)
        for layer in self.maps:
            nn.init.eye_(layer.weight)  # pyright: ignore[reportArgumentType]
        nn.init.constant_(self.seam.bias, -3.0)

    def forward(self, patches: Tensor, names: Tensor) -> tuple[list[Tensor], Tensor, Tensor]:
        """Class logits of the six maps, seam logits and offsets, from (B, P, WIDTH) patches."""
        logits = [
            F.linear(layer(patches), torch.cat([self.nothing[i], names, self.unknown[i]])) * self.scale[i]
            + self.bias[i]
            for i, layer in enumerate(self.maps)
        ]
        return logits, self.seam(patches), self.offset(patches)


def _soft_cross_entropy(logits: Tensor, target: Tensor, background: float) -> Tensor:
    behind = target[..., NOTHING] + target[..., FOREIGN_GROUND]
    weight = torch.where(behind > 0.5, background, 1.0)
    loss = -(F.log_softmax(logits, -1) * target).sum(-1)
    return (loss * weight).sum() / weight.sum()


def all_known(cover: Tensor) -> Tensor:
    """Log of the probability that no cell of an image shows something unknown, taking cells for independent,
    from the logits (B, P, 4, ANSWERS) of the cells: (B,)."""
    cells = cover.float()
    return (cells[..., :UNKNOWN_THING].logsumexp(-1) - cells.logsumexp(-1)).sum((1, 2))


def strange_images(goal: Targets) -> tuple[Tensor, Tensor]:
    """Whether half of some cell of an image is unknown, and whether the image counts in the loss, (B,) bool
    each. An image does not count if the largest unknown share of its cells lies above 0 and below a half."""
    most = goal.cover[..., UNKNOWN_THING:].sum(-1).amax((1, 2))
    return most >= 0.5, (most >= 0.5) | (most == 0)


def strange_loss(cover: Tensor, goal: Targets) -> Tensor:
    """Cross-entropy of `all_known`. An image counts once, however small what is unknown in it."""
    strange, told = strange_images(goal)
    known = all_known(cover).clamp(max=-1e-6)
    each = -torch.where(strange, torch.log(-torch.expm1(known)), known)
    return (each * told).sum() / told.sum().clamp(min=1)


def dense_loss(
    heads: Heads, patches: Tensor, names: Tensor, goal: Targets, contact: float = 1.0, strange: float = 0.0
) -> dict[str, Tensor]:
    """Weighted parts of the dense loss, to be summed.

    `contact` is a factor on the two parts about where things meet, `strange` the weight of telling images
    with something unknown.
    """
    logits, seam, offset = heads(patches, names)
    cover = torch.stack(logits[:4], 2)
    nearness = F.binary_cross_entropy_with_logits(
        seam, goal.seam, pos_weight=torch.tensor(3.0, device=seam.device), reduction="none"
    )
    place = F.smooth_l1_loss(offset, goal.offset, beta=0.1, reduction="none").mean(-1)
    parts = {
        "cover": _soft_cross_entropy(cover, goal.cover, 0.3),
        "centre": 0.5 * _soft_cross_entropy(logits[4], goal.centre, 0.2),
        "contact": contact * _soft_cross_entropy(logits[5], goal.contact, 0.3),
        "seam": contact * 2.0 * nearness.mean(),
        "offset": 0.5 * (place * goal.foreground).sum() / goal.foreground.sum().clamp(min=1),
    }
    return parts | {"strange": strange * strange_loss(cover, goal)} if strange else parts
