"""A temporary head that locates the nouns of questions in the image.

With answers alone, left and right stay at chance for a long time: the model compares positions only once it
is taught where things are.
"""

from __future__ import annotations

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from jurat.pictograms.objects import CLASSES
from jurat.pictograms.scene import MOST, SIDE
from training.mllm.architecture import WIDTH
from training.mllm.packed_forward import Pack
from training.mllm.tokenizer import Words


class Grounding(nn.Module):
    """Predicts from the state of a noun where the thing is, how many there are and which classes they
    touch."""

    def __init__(self) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(WIDTH)
        self.out = nn.Linear(WIDTH, 2 + 5 + CLASSES)
        with torch.no_grad():
            self.out.weight.mul_(0.1)
            self.out.bias.zero_()
            self.out.bias[7:] = -4.0

    def loss(self, states: Tensor, pack: Pack, batch: dict[str, np.ndarray], words: Words) -> Tensor:
        kinds = torch.from_numpy(batch["kinds"].astype(np.int64))
        named = (kinds >= 0) & (kinds < CLASSES)
        there = F.one_hot(torch.where(named, kinds, 0), CLASSES).float() * named[..., None]
        own = there @ words.membership  # (B, MOST, nouns)
        centre = torch.from_numpy(batch["centres"]) / (SIDE / 2) - 1
        touching = torch.from_numpy((batch["gaps"] == 0) & ~np.eye(MOST, dtype=bool)).float()
        touching = touching * (kinds >= 0)[:, :, None] * (kinds >= 0)[:, None, :]
        count = own.sum(1)
        middle = torch.einsum("bmn,bmx->bnx", own, centre)
        touched = (torch.einsum("bmn,bmk,bkc->bnc", own, touching, there) > 0).float()
        noun = words.noun_rows[pack.ids]
        here = (noun >= 0) & (pack.text >= 0)
        row = torch.arange(len(kinds))[:, None, None].expand_as(noun)[here]
        noun = noun[here]
        said = self.out(self.norm(states[here]))
        many = count[row, noun]
        single = many == 1
        place = F.smooth_l1_loss(said[single, :2], middle[row, noun][single], beta=0.1)
        number = F.cross_entropy(said[:, 2:7], many.long().clamp(max=4))
        contact = (
            F.binary_cross_entropy_with_logits(said[:, 7:], touched[row, noun], reduction="none")
            .sum(-1)
            .mean()
        )
        return 4 * place + 0.5 * number + 0.5 * contact
