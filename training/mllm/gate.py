"""The lesson of the domain gate: which patches show something unknown, and whether any does.

The tower stays as it is; the gate reads some of its layers (`jurat.models.bundled.patch_gate`). It learns on
scenes with and without unknown things and backgrounds (outlier exposure, Hendrycks et al. 2019, arXiv
1812.04606), patch by patch and image by image. An image without any known object is strange too.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from jurat.models.bundled.patch_gate import PatchGate, patch_logits, patch_tokens, patches_of
from jurat.pictograms.objects import CLASSES
from training.lineage import load_parts
from training.mllm.dense_targets import FOREIGN_GROUND, UNKNOWN_THING, targets
from training.mllm.tower import pixel_values
from training.optimizer import Group
from training.scenes.pool import Pool, fill, load_batch
from training.scenes.variation import vary
from training.stages import Task
from training.tower_features import load_tower

LAYERS = (2, 4, 6)
"""Hidden states of the tower that the gate reads; the last is what leaves it."""
LEAST_FOREIGN = 96
"""Number of pixels of unknown background, of 128 x 128, from which an image is strange."""
SURE, UNSURE = 0.3, 0.05
"""Unknown share of a patch from which it counts as unknown, and up to which it counts as known; patches in
between are not judged."""
PASS = 0.995
"""Share of genuine scenes that pass the threshold."""
_GENUINE_FROM = 950_000_000
"""First seed of the scenes that the threshold is set on."""


class GateWeights(nn.Module):
    """The weights of a `jurat.models.bundled.patch_gate.PatchGate`, to be trained."""

    def __init__(self, features: int, width: int = 96, neighbours: int = 48) -> None:
        super().__init__()
        self.narrow = nn.Linear(features, width)
        self.around = nn.Conv2d(width, neighbours, 3, padding=1)
        self.strange = nn.Linear(neighbours, 1)
        self.style = nn.Linear(2 * width, 1)

    def forward(self, tokens: Tensor) -> tuple[Tensor, Tensor]:
        """See `patch_logits`."""
        return patch_logits(dict(self.named_parameters()), tokens)


class GateLesson:
    """Lesson of the gate; see the module's docstring. Setting `patches`: weight of the loss of patches."""

    def __init__(self, task: Task) -> None:
        parent = task.parent()
        assert parent is not None
        folders, watch = task.pool()
        self._pools, self._watch = [Pool.open(folder) for folder in folders], Pool.open(watch)
        self._weight: float = task.stage.settings.get("patches", 0.5)
        self._tower = load_tower(parent).requires_grad_(False)
        self._gate = GateWeights(len(LAYERS) * self._tower.config.hidden_size)
        self.modules = {"gate": self._gate}
        self.counts = Counter[str]()

    def groups(self) -> Sequence[Group]:
        return [Group(list(self._gate.named_parameters()))]

    def losses(self, rng: np.random.Generator, size: int) -> tuple[dict[str, Tensor], dict[str, float]]:
        batch = load_batch(self._pools, rng.integers(sum(map(len, self._pools)), size=size))
        for row in range(size):
            vary(batch, row, rng)
        strange = strange_pictures(batch)
        self.counts["scenes"] += int((~strange).sum())
        self.counts["strange pictures"] += int(strange.sum())
        patches, images = self._gate(self._tokens(batch["pixels"]))
        goal, judged = strange_patches(batch)
        each = F.binary_cross_entropy_with_logits(patches, goal, reduction="none")
        return {
            "patches": self._weight * (each * judged).sum() / judged.sum(),
            "images": F.binary_cross_entropy_with_logits(images, strange.float()),
        }, {}

    def _tokens(self, pixels: np.ndarray) -> Tensor:
        with torch.no_grad():
            hidden = self._tower(pixel_values(torch.from_numpy(pixels)), output_hidden_states=True)
            return patch_tokens(hidden.hidden_states, LAYERS, patches_of(self._tower))

    @torch.no_grad()
    def measure(self) -> dict[str, float]:
        """On held-out scenes without variation: the share of strange images that the threshold stops at which
        `PASS` of the genuine ones pass, and that threshold."""
        scores, strange = self.scores(self._watch)
        threshold = float(torch.quantile(scores[~strange], PASS))
        return {
            "stopped": round(float((scores[strange] > threshold).float().mean()), 4),
            "threshold": round(threshold, 4),
        }

    @torch.no_grad()
    def scores(self, pool: Pool) -> tuple[Tensor, Tensor]:
        """Logits of the scenes of a pool, and which scenes are strange."""
        scores: list[Tensor] = []
        strange: list[Tensor] = []
        for first in range(0, len(pool) - 63, 64):
            batch = load_batch([pool], np.arange(first, first + 64))
            scores.append(self._gate(self._tokens(batch["pixels"]))[1])
            strange.append(strange_pictures(batch))
        return torch.cat(scores), torch.cat(strange)


def export_gate(stage: Path, tower: Path, folder: Path, *, scenes: int = 4000) -> None:
    """Writes the gate of a finished stage to a model's folder.

    Args:
        tower: the finished stage whose tower the gate and the model look through.
        scenes: genuine scenes that the threshold is set on, which training never saw; every second one is
            varied as training varies them.
    """
    seeing = load_tower(tower)
    gate = GateWeights(len(LAYERS) * seeing.config.hidden_size)
    gate.load_state_dict(load_parts(stage)["gate"])
    with TemporaryDirectory() as place:
        pool = fill(Path(place) / "genuine", _GENUINE_FROM, scenes, known=True)
        scores = torch.cat([_genuine(gate, seeing, pool, first) for first in range(0, scenes, 64)])
    weights = {name: value.detach() for name, value in gate.named_parameters()}
    PatchGate(weights, LAYERS, float(torch.quantile(scores, PASS))).save(folder)


@torch.no_grad()
def _genuine(gate: GateWeights, tower: Any, pool: Pool, first: int) -> Tensor:
    """Strangeness of up to 64 scenes of a pool from number `first` on."""
    batch = load_batch([pool], np.arange(first, min(first + 64, len(pool))))
    for row in range(0, len(batch["kinds"]), 2):
        vary(batch, row, np.random.default_rng([first, row]))
    hidden = tower(pixel_values(torch.from_numpy(batch["pixels"])), output_hidden_states=True)
    return gate(patch_tokens(hidden.hidden_states, LAYERS, patches_of(tower)))[1]


def strange_pictures(batch: dict[str, np.ndarray]) -> Tensor:
    """Whether each row holds something unknown, or nothing known: (B,) bool."""
    kinds = batch["kinds"]
    known = ((kinds >= 0) & (kinds < CLASSES)).any(1)
    unknown = (kinds >= CLASSES).any(1) | (batch["foreign"].sum((1, 2), dtype=int) >= LEAST_FOREIGN)
    return torch.from_numpy(unknown | ~known)


def strange_patches(batch: dict[str, np.ndarray]) -> tuple[Tensor, Tensor]:
    """Whether each patch shows something unknown, and whether it is judged: (B, P) float32 each."""
    cover = targets(batch).cover
    share = (cover[..., UNKNOWN_THING] + cover[..., FOREIGN_GROUND]).mean(-1)
    return (share >= SURE).float(), ((share >= SURE) | (share <= UNSURE)).float()
