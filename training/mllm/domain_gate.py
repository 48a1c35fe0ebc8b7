"""Fits the domain gate: a linear classifier on tower features that separates scenes from all other pictures.

It is fitted on scenes (resampled, of several sizes and backgrounds) against the pictures of `out_of_domain`.
The threshold is set on held-out scenes, some with backgrounds and sizes that training never used.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from jurat.models.bundled.domain_gate import Gate, features
from jurat.pictograms.objects import CLASSES
from jurat.pictograms.scene import SIDE, TEXTURES, Wish, draw
from training.mllm.batches import resample
from training.mllm.evaluation import FIRST_SEED
from training.mllm.out_of_domain import out_of_domain_picture
from training.mllm.tower import pixel_values
from training.parallel import in_order

PASS = 0.997
"""Share of held-out scenes that the threshold lets pass."""
LEEWAY = 0.1
"""Inverse strength of the regression's L2 penalty."""
SEEN = TEXTURES[:-1]
"""Backgrounds that the gate is fitted on: the model's own and most others; the threshold is set on all."""
_GATE_SEED = 4_000_000_000


def _scene(seed: int, held_out: bool) -> np.ndarray:
    """A scene in one of the ways that a user's may differ from training's; (SIDE, SIDE, 3) uint8."""
    rng = np.random.default_rng(seed)
    pixels = _drawn(rng, held_out)
    # A picture on its side is a scene no less, and its background runs the other way.
    return np.ascontiguousarray(pixels.transpose(1, 0, 2)) if rng.random() < 0.25 else pixels


def _drawn(rng: np.random.Generator, held_out: bool) -> np.ndarray:
    lonely = [Wish(int(rng.integers(CLASSES)))] if rng.random() < 0.15 else None
    if rng.random() < 0.4:
        return resample(draw(rng, lonely).pixels, rng)
    size = int(rng.choice([96, 128, 160, 192, 256, 384] if held_out else [96, 128, 192, 256]))
    seen = TEXTURES if held_out else SEEN
    texture = str(rng.choice(seen)) if held_out or rng.random() < 0.4 else None
    filters = [Image.Resampling.BICUBIC, Image.Resampling.LANCZOS, Image.Resampling.BILINEAR]
    scene = draw(rng, lonely, size=size, texture=texture, resample=filters[int(rng.integers(3))])
    return np.array(scene.image.resize((SIDE, SIDE), Image.Resampling.BICUBIC))


def _picture(task: tuple[str, int]) -> np.ndarray:
    kind, seed = task
    if kind == "stranger":
        return np.asarray(out_of_domain_picture(np.random.default_rng(seed)))
    return _scene(seed, kind == "held out")


def _features(tower: torch.nn.Module, pictures: Iterator[np.ndarray], layers: tuple[int, ...]) -> Tensor:
    parts: list[Tensor] = []
    while group := list(itertools.islice(pictures, 100)):
        parts.append(features(tower, pixel_values(torch.from_numpy(np.stack(group))), layers))
    return torch.cat(parts).double()


def fit_gate(folder: Path, count: int = 5000, workers: int = 1) -> dict[str, float]:
    """Fits and saves a gate for the model in `folder`; returns what share of `n` scenes and strangers pass.

    It is fitted on `count` scenes and as many strangers, and its threshold is set on 2/5 as many scenes;
    n is a fifth of `count`. `workers` processes draw the pictures; the gate is the same however many.
    """
    from sklearn.linear_model import LogisticRegression
    from transformers import AutoModelForImageTextToText

    model = AutoModelForImageTextToText.from_pretrained(folder, dtype=torch.float32)
    tower = model.model.vision_tower.eval()
    layers = tuple(range(1, tower.config.num_hidden_layers + 1))
    n = count // 5
    tasks = [
        *(("scene", _GATE_SEED + i) for i in range(count)),
        *(("stranger", _GATE_SEED + i) for i in range(count)),
        *(("held out", FIRST_SEED + 10_000_000 + i) for i in range(2 * n)),
        *(("held out", FIRST_SEED + 20_000_000 + i) for i in range(n)),
        *(("stranger", i) for i in range(n)),
    ]
    found = _features(tower, in_order(_picture, tasks, workers), layers)
    both, held_out, fresh, strange = found.split([2 * count, 2 * n, n, n])
    mean, scale = both.mean(0), both.std(0) + 1e-6
    labels = np.repeat([0, 1], count)
    line = LogisticRegression(C=LEEWAY, max_iter=500).fit(((both - mean) / scale).numpy(), labels)
    weight = torch.from_numpy(line.coef_[0]) / scale
    bias = float(line.intercept_[0]) - float(mean @ weight)

    threshold = float(torch.quantile(held_out @ weight + bias, PASS))
    Gate(weight.float(), bias, layers, threshold).save(folder)
    return {
        "n": n,
        "scenes": float((fresh @ weight + bias <= threshold).double().mean()),
        "strangers": float((strange @ weight + bias <= threshold).double().mean()),
    }
