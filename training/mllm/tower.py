"""The lesson of the vision tower and the projector: dense targets alone.

It is the first stage of an MLLM; the lesson `joint` continues with decoder and questions. Targets are
compared with embeddings of the class names, which are learned here and later given to the decoder.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from jurat.pictograms.objects import CLASSES
from training.lineage import load_parts
from training.mllm.architecture import build
from training.mllm.dense_targets import (
    UNKNOWN_THING,
    Heads,
    all_known,
    dense_loss,
    strange_images,
    targets,
)
from training.optimizer import Group
from training.scenes.pool import Pool, load_batch
from training.scenes.variation import vary
from training.stages import Task

if TYPE_CHECKING:
    from transformers import LlavaForConditionalGeneration

MEAN = (0.48145466, 0.4578275, 0.40821073)
STD = (0.26862954, 0.26130258, 0.27577711)
"""Mean and deviation of CLIP's pixels (Radford et al., 2021), as its image processor applies them."""
WATCHED = 512
"""Number of held-out scenes that are measured along the way, unless the setting `watched` says otherwise."""


def pixel_values(pixels: Tensor) -> Tensor:
    """(B, H, W, 3) uint8 -> (B, 3, H, W) float32, as the image processor normalises them."""
    return normalised(as_images(pixels))


def as_images(pixels: Tensor) -> Tensor:
    """(B, H, W, 3) uint8 -> (B, 3, H, W) float32 in [0, 1]."""
    return pixels.permute(0, 3, 1, 2).float() / 255


def normalised(images: Tensor) -> Tensor:
    """Images (B, 3, H, W) in [0, 1] as the tower takes them."""
    return (images - torch.tensor(MEAN)[:, None, None]) / torch.tensor(STD)[:, None, None]


def see(model: LlavaForConditionalGeneration, pixels: Tensor) -> Tensor:
    """Projected patches of a batch of uint8 images: (B, PATCHES, WIDTH)."""
    hidden = model.model.vision_tower(pixel_values(pixels)).last_hidden_state
    return model.model.multi_modal_projector(hidden[:, 1:])


class TowerLesson:
    """Lesson of the tower; see the module's docstring. Settings: `contact`, a factor on the losses of
    contacts and seams; `watched`, see `WATCHED`."""

    left_out = ("model.model.language_model.layers.", "model.model.language_model.norm.")
    """The decoder, which `joint` begins anew (see `Trained.left_out`)."""

    def __init__(self, task: Task) -> None:
        folders, watch = task.pool()
        self._pools, self._watch = [Pool.open(folder) for folder in folders], Pool.open(watch)
        self._contact: float = task.stage.settings.get("contact", 1.0)
        self._watched: int = task.stage.settings.get("watched", WATCHED)
        self._model = build(CLASSES)  # its vocabulary is the class names; `joint` has the real one
        self._heads = Heads()
        self.modules = {"model": self._model, "heads": self._heads}
        self.counts = Counter[str]()
        if (parent := task.parent()) is not None:
            parts = load_parts(parent)
            self._heads.load_state_dict(parts["heads"])
            self._model.load_state_dict(parts["model"], strict=False)
            self._model.tie_weights()

    @property
    def _names(self) -> torch.nn.Parameter:
        return self._model.model.language_model.embed_tokens.weight  # pyright: ignore[reportReturnType]

    def groups(self) -> Sequence[Group]:
        seeing = self._model.model
        named = [
            *((f"tower.{name}", p) for name, p in seeing.vision_tower.named_parameters()),
            *((f"projector.{name}", p) for name, p in seeing.multi_modal_projector.named_parameters()),
            *((f"heads.{name}", p) for name, p in self._heads.named_parameters()),
            ("names", self._names),
        ]
        return [Group(named)]

    def losses(self, rng: np.random.Generator, size: int) -> tuple[dict[str, Tensor], dict[str, float]]:
        batch = load_batch(self._pools, rng.integers(sum(map(len, self._pools)), size=size))
        for row in range(size):
            vary(batch, row, rng)
        self.counts["scenes"] += size
        seen = see(self._model, torch.from_numpy(batch["pixels"]))
        return dense_loss(self._heads, seen, self._names, targets(batch), self._contact), {}

    @torch.no_grad()
    def measure(self) -> dict[str, float]:
        return measure_tower(self._model, self._heads, self._names, self._watch, self._watched)


@torch.no_grad()
def measure_tower(
    model: LlavaForConditionalGeneration, heads: Heads, names: Tensor, pool: Pool, count: int
) -> dict[str, float]:
    """On held-out scenes: share of cells of known objects that are named right, AUC of overlaps against near
    misses, AUC of unknown against known objects, by the mean over the cells that they cover, and AUC of
    images with something unknown against others, by `all_known`."""
    from sklearn.metrics import roc_auc_score

    right = covered = 0
    contacts: list[tuple[float, bool]] = []
    strange: list[tuple[float, bool]] = []
    images: list[tuple[float, bool]] = []
    for first in range(0, min(count, len(pool) // 64 * 64), 64):
        batch = load_batch([pool], np.arange(first, first + 64))
        goal = targets(batch)
        logits, _, _ = heads(see(model, torch.from_numpy(batch["pixels"])), names)
        cover = torch.stack(logits[:4], 2)
        clear = (goal.cover.amax(-1) > 0.7) & (goal.cover[..., 1 : CLASSES + 1].amax(-1) > 0.5)
        right += int(((cover.argmax(-1) == goal.cover.argmax(-1)) & clear).sum())
        covered += int(clear.sum())
        contacts += _pair_scores(batch, logits[5].softmax(-1))
        strange += _object_scores(goal.cover, cover.softmax(-1))
        unknown, told = strange_images(goal)
        images += zip((-all_known(cover))[told].tolist(), unknown[told].tolist(), strict=True)
    return {
        "cells": round(right / covered, 4),
        "contact_auc": round(float(roc_auc_score(*_columns(contacts))), 4),
        "unknown_auc": round(float(roc_auc_score(*_columns(strange))), 4),
        "strange_auc": round(float(roc_auc_score(*_columns(images))), 4),
    }


def _columns(scored: list[tuple[float, bool]]) -> tuple[list[bool], list[float]]:
    return [label for _, label in scored], [score for score, _ in scored]


def _pair_scores(batch: dict[str, np.ndarray], contact: Tensor) -> list[tuple[float, bool]]:
    """Predicted contact and truth, for pairs of single known objects that touch or nearly do."""
    scored: list[tuple[float, bool]] = []
    for row, (kinds, gaps) in enumerate(zip(batch["kinds"], batch["gaps"], strict=True)):
        single = [i for i, kind in enumerate(kinds) if 0 <= kind < CLASSES and (kinds == kind).sum() == 1]
        for n, i in enumerate(single):
            for j in single[:n]:
                if gaps[i, j] < 13:
                    pair = torch.minimum(contact[row, :, kinds[i] + 1], contact[row, :, kinds[j] + 1])
                    scored.append((float(pair.max()), bool(gaps[i, j] == 0)))
    return scored


def _object_scores(goal: Tensor, said: Tensor) -> list[tuple[float, bool]]:
    """Mean probability of "unknown" over the cells that a class of a scene covers, and whether it is
    unknown."""
    scored: list[tuple[float, bool]] = []
    cells, answers = goal.flatten(1, 2), said.flatten(1, 2)
    for mine, probability in zip(cells, answers, strict=True):
        for kind in range(1, UNKNOWN_THING + 1):
            here = mine[:, kind] > 0.5
            if here.any():
                scored.append((float(probability[here, UNKNOWN_THING].mean()), kind == UNKNOWN_THING))
    return scored
