"""The lesson of the domain gate: which patches show something unknown, and whether any does.

The tower stays as it is; the gate reads some of its layers, and what the dense heads answer about each patch
(`jurat.models.bundled.patch_gate`). It learns on scenes with and without unknown things and backgrounds
(outlier exposure, Hendrycks et al. 2019, arXiv 1812.04606), patch by patch and image by image. An image
without any known object is strange too.
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

from jurat.models.bundled.patch_gate import SEEN, PatchGate, patch_inputs, patch_logits, patches_of
from jurat.pictograms.objects import CLASSES
from training.lineage import load_parts
from training.mllm.dense_targets import FOREIGN_GROUND, UNKNOWN_THING, targets
from training.mllm.tokenizer import Words, build_tokenizer
from training.mllm.tower import pixel_values
from training.optimizer import Group
from training.scenes.pool import Pool, fill, load_batch
from training.scenes.variation import vary
from training.stages import Task
from training.tower_features import load_tower

LAYERS = (2, 4, 6)
"""Hidden states of the tower that the gate reads; the last is what leaves it."""
HEADS = 5
"""Dense heads whose answers the gate sees: those of the four cells of a patch, and of centres."""
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
    """The weights of a `jurat.models.bundled.patch_gate.PatchGate` that are trained."""

    def __init__(self, features: int, width: int = 96, neighbours: int = 48) -> None:
        """`features` is the width of `patch_inputs`."""
        super().__init__()
        self.narrow = nn.Linear(features, width)
        self.around = nn.Conv2d(width, neighbours, 3, padding=1)
        self.further = nn.Conv2d(neighbours, neighbours, 3, padding=1)
        self.strange = nn.Linear(2 * neighbours, 1)
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
        self._tower, self._reading = load_tower(parent).requires_grad_(False), reading_of(parent)
        self._gate = GateWeights(features_of(self._reading))
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
        patches, images = self._gate(seen_by_gate(self._tower, self._reading, batch["pixels"]))
        goal, judged = strange_patches(batch)
        each = F.binary_cross_entropy_with_logits(patches, goal, reduction="none")
        return {
            "patches": self._weight * (each * judged).sum() / judged.sum(),
            "images": F.binary_cross_entropy_with_logits(images, strange.float()),
        }, {}

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
            seen = seen_by_gate(self._tower, self._reading, batch["pixels"])
            scores.append(self._gate(seen)[1])
            strange.append(strange_pictures(batch))
        return torch.cat(scores), torch.cat(strange)


def export_gate(stage: Path, tower: Path, folder: Path, *, scenes: int = 4000) -> None:
    """Writes the gate of a finished stage to a model's folder.

    Args:
        tower: the finished stage whose tower the gate and the model look through.
        scenes: genuine scenes that the threshold is set on, which training never saw; every second one is
            varied as training varies them.
    """
    seeing, reading = load_tower(tower), reading_of(tower)
    gate = GateWeights(features_of(reading))
    gate.load_state_dict(load_parts(stage)["gate"])
    with TemporaryDirectory() as place:
        pool = fill(Path(place) / "genuine", _GENUINE_FROM, scenes, known=True)
        scores = torch.cat([_genuine(gate, seeing, reading, pool, first) for first in range(0, scenes, 64)])
    weights = reading | {name: value.detach() for name, value in gate.named_parameters()}
    PatchGate(weights, LAYERS, float(torch.quantile(scores, PASS))).save(folder)


def reading_of(stage: Path) -> dict[str, Tensor]:
    """The layers `READING` of a finished stage of joint training: its projector, and its heads for cells and
    centres with the names of the world."""
    parts, words = load_parts(stage), Words(build_tokenizer())
    model, heads = parts["model"], parts["heads"]
    names = model["model.language_model.embed_tokens.weight"][words.class_rows]
    weights = [
        heads["scale"][i]
        * torch.cat([heads["nothing"][i], names, heads["unknown"][i]])
        @ heads[f"maps.{i}.weight"]
        for i in range(HEADS)
    ]
    projector = "model.multi_modal_projector.linear_"
    layers = {"project.0": f"{projector}1", "project.2": f"{projector}2"}
    return {
        **{
            f"{to}.{part}": model[f"{name}.{part}"]
            for to, name in layers.items()
            for part in ("weight", "bias")
        },
        "answers.weight": torch.stack(weights),
        "answers.bias": heads["bias"][:HEADS],
    }


def features_of(reading: dict[str, Tensor]) -> int:
    """Width of what the gate sees of a patch."""
    return len(LAYERS) * reading["project.0.weight"].shape[1] + HEADS * SEEN


@torch.no_grad()
def seen_by_gate(tower: Any, reading: dict[str, Tensor], pixels: np.ndarray) -> Tensor:
    """`patch_inputs` of uint8 images."""
    hidden = tower(pixel_values(torch.from_numpy(pixels)), output_hidden_states=True).hidden_states
    with torch.autocast("cpu", enabled=False):  # energies and entropies need float32
        return patch_inputs(reading, hidden, LAYERS, patches_of(tower))


@torch.no_grad()
def _genuine(gate: GateWeights, tower: Any, reading: dict[str, Tensor], pool: Pool, first: int) -> Tensor:
    """Strangeness of up to 64 scenes of a pool from number `first` on."""
    batch = load_batch([pool], np.arange(first, min(first + 64, len(pool))))
    for row in range(0, len(batch["kinds"]), 2):
        vary(batch, row, np.random.default_rng([first, row]))
    return gate(seen_by_gate(tower, reading, batch["pixels"]))[1]


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
