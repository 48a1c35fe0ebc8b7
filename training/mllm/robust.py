"""The lesson of an adversarially trained tower: what it makes of changed pictures stays what the parent's
tower makes of them unchanged (FARE: Schlarmann et al. 2024, "Robust CLIP", arXiv 2402.12336).

    min over the weights of  max over z, |z - x| <= radius, of  |f(z) - f_parent(x)|^2 / mean of
    |f_parent(x)|^2

over the patches that the projector reads. It needs neither labels nor the decoder, whose passes would be most
of the cost, and leaves projector, decoder and heads as they are. The inner maximum is sign steps from a
random start; the authors make 10, and few are enough from a random start where the radius is small (Wong et
al. 2020, "Fast is better than free", arXiv 2001.03994).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor

from training.mllm.checkpoints import start
from training.mllm.tokenizer import Words, build_tokenizer
from training.mllm.tower import as_images, measure_tower, normalised
from training.optimizer import Group
from training.scenes.pool import FIELDS, Pool, load_batch
from training.scenes.variation import vary
from training.stages import Task
from training.tower_features import load_tower

if TYPE_CHECKING:
    from transformers import CLIPVisionModel

STRETCH = 2.5
"""Sum of the step sizes over the radius, as for PGD (Madry et al. 2018, arXiv 1706.06083)."""
WATCHED = 256
"""Number of held-out scenes that are measured, unless the setting `watched` says otherwise."""
WATCHED_STEPS = 10
"""Steps of the attack that is measured."""
_BATCH = 64


class RobustLesson:
    """Lesson of an adversarially trained tower; see the module's docstring.

    Settings: `radius`, the largest change of a pixel in levels of 255; `attack_steps`, the steps of the inner
    maximum; `watched`, see `WATCHED`.
    """

    def __init__(self, task: Task) -> None:
        settings = task.stage.settings
        self._radius: float = settings.get("radius", 4) / 255
        self._steps: int = settings.get("attack_steps", 2)
        self._watched: int = settings.get("watched", WATCHED)
        folders, watch = task.pool()
        self._pools, self._watch = [Pool.open(folder) for folder in folders], Pool.open(watch)
        self._words = Words(build_tokenizer())
        parent = task.parent()
        assert parent is not None
        self._model, self._heads, grounding = start(self._words, parent)
        self.modules = {"model": self._model, "heads": self._heads, "ground": grounding}
        for module in self.modules.values():
            module.requires_grad_(False)
        self._model.model.vision_tower.requires_grad_(True)
        self._parent = load_tower(parent).requires_grad_(False)
        self.counts = Counter[str]()

    def groups(self) -> Sequence[Group]:
        tower = self._model.model.vision_tower.named_parameters()
        return [Group([(f"tower.{name}", weight) for name, weight in tower])]

    def losses(self, rng: np.random.Generator, size: int) -> tuple[dict[str, Tensor], dict[str, float]]:
        batch = load_batch(self._pools, rng.integers(sum(map(len, self._pools)), size=size))
        for row in range(size):
            vary(batch, row, rng)
        self.counts["scenes"] += size
        images = as_images(torch.from_numpy(batch["pixels"]))
        with torch.no_grad():
            goal = patches(self._parent, images)
        changed = attacked(self._tower, images, goal, self._radius, self._steps, rng)
        return {"features": distance(patches(self._tower, changed), goal)}, {}

    @property
    def _tower(self) -> Any:
        return self._model.model.vision_tower

    def measure(self) -> dict[str, float]:
        """What `measure_tower` measures on held-out scenes, as they are and under an attack on the features
        within the radius."""
        count = max(1, min(self._watched, len(self._watch)) // _BATCH) * _BATCH
        rows = load_batch([self._watch], np.arange(count))
        rng = np.random.default_rng(8)
        for first in range(0, count, _BATCH):
            images = as_images(torch.from_numpy(rows["pixels"][first : first + _BATCH]))
            with torch.no_grad():
                goal = patches(self._parent, images)
            changed = attacked(self._tower, images, goal, self._radius, WATCHED_STEPS, rng)
            levels = (255 * changed).round().byte().permute(0, 2, 3, 1)
            rows["pixels"][first : first + _BATCH] = levels.numpy()
        names = self._model.model.language_model.embed_tokens.weight[self._words.class_rows]
        under = Pool({name: rows[name] for name in FIELDS})
        clean, changed = (
            measure_tower(self._model, self._heads, names, pool, count) for pool in (self._watch, under)
        )
        return clean | {f"{name} under attack": value for name, value in changed.items()}


def patches(tower: CLIPVisionModel, images: Tensor) -> Tensor:
    """What the projector reads of images (B, 3, H, W) in [0, 1]: (B, PATCHES, WIDTH)."""
    return tower(normalised(images)).last_hidden_state[:, 1:]


def distance(found: Tensor, goal: Tensor) -> Tensor:
    """Mean squared distance of features over the mean square of the goal's; 0 where they are equal."""
    return (found - goal).float().square().mean() / goal.float().square().mean()


def attacked(
    tower: CLIPVisionModel, images: Tensor, goal: Tensor, radius: float, steps: int, rng: np.random.Generator
) -> Tensor:
    """Images within `radius` of `images`, and in [0, 1], whose features are far from `goal`."""
    noise = torch.from_numpy(rng.uniform(-radius, radius, images.shape).astype(np.float32))
    changed = (images + noise).clamp(0, 1)
    for _ in range(steps):
        changed = changed.detach().requires_grad_()
        (gradient,) = torch.autograd.grad(distance(patches(tower, changed), goal), changed)
        moved = changed.detach() + STRETCH * radius / steps * gradient.sign()
        changed = torch.maximum(torch.minimum(moved, images + radius), images - radius).clamp(0, 1)
    return changed.detach()
