"""Training of the vision tower and the projector on dense targets alone.

It is the first stage; `joint` continues from its checkpoint with decoder and questions. It also sharpens the
tower of a `joint` checkpoint, with three times as many pictures an hour; the decoder stays as it is, so
`joint` must follow.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor, nn

from jurat.pictograms.objects import CLASSES
from training.mllm.architecture import build
from training.mllm.checkpoints import save, start
from training.mllm.dense_targets import Heads, dense_loss, targets
from training.mllm.grounding import Grounding
from training.mllm.scene_pool import FIELDS, Pool
from training.mllm.tokenizer import Words, build_tokenizer
from training.muon import Optimizer, Schedule

if TYPE_CHECKING:
    from transformers import LlavaForConditionalGeneration

MEAN = (0.48145466, 0.4578275, 0.40821073)
STD = (0.26862954, 0.26130258, 0.27577711)
"""CLIP's pixel statistics (Radford et al., 2021), as its image processor applies them."""


@dataclass(frozen=True)
class Settings(Schedule):
    """Settings of a stage that trains the tower alone."""

    minutes: float = 25.0
    batch: int = 64
    rate: float = 3e-3
    warm_up: int = 50
    hold: float = 0.3
    last: float = 0.03
    contact: float = 1.0
    """Factor on the losses of contacts and seams."""
    seed: int = 0
    threads: int = 2


def pixel_values(pixels: Tensor) -> Tensor:
    """(B, H, W, 3) uint8 -> (B, 3, H, W) float32, as the image processor normalises them."""
    x = pixels.permute(0, 3, 1, 2).float() / 255
    return (x - torch.tensor(MEAN)[:, None, None]) / torch.tensor(STD)[:, None, None]


def see(model: LlavaForConditionalGeneration, pixels: Tensor) -> Tensor:
    """Projected patches of a batch of uint8 images: (B, PATCHES, WIDTH)."""
    hidden = model.model.vision_tower(pixel_values(pixels)).last_hidden_state
    return model.model.multi_modal_projector(hidden[:, 1:])


def load_batch(pools: list[Pool], index: np.ndarray) -> dict[str, np.ndarray]:
    """Rows of several pools laid end to end."""
    edges = np.cumsum([0] + [len(pool) for pool in pools])
    which = np.searchsorted(edges, index, "right") - 1
    batch = {name: np.empty((len(index), *shape), kind) for name, (shape, kind) in FIELDS.items()}
    for w in np.unique(which):
        rows = which == w
        for name in FIELDS:
            batch[name][rows] = pools[w][name][index[rows] - edges[w]]
    return batch


def train_tower(
    pools: list[Pool],
    held_out: Pool,
    out: Path,
    settings: Settings,
    *,
    begin: Path | None = None,
    watch: int = 640,
) -> None:
    """Trains for `settings.minutes` and writes `out`, a checkpoint for `joint`; continues one if there.

    `begin` is a checkpoint of `joint`; without one, training starts from nothing. Now and then it prints
    what `measure_tower` finds on the first `watch` scenes of `held_out`.
    """
    torch.set_num_threads(settings.threads)
    torch.manual_seed(settings.seed)
    parts, names, learned = _begin(begin)
    model, heads = parts["model"], parts["heads"]
    named = [
        *model.model.vision_tower.named_parameters(),
        *model.model.multi_modal_projector.named_parameters(),
        *heads.named_parameters(),
    ]
    optimizer = Optimizer.of(named, learned)
    elapsed, step = 0.0, 0
    if out.exists():
        state = torch.load(out, weights_only=True)
        for name, part in parts.items():
            part.load_state_dict(state[name])
        optimizer.restore(state["optimizer"])
        elapsed, step = state["elapsed"], state["step"]
    rng = np.random.default_rng([settings.seed, step])
    total, begun, saved = sum(map(len, pools)), time.monotonic() - elapsed, elapsed
    order: np.ndarray = np.empty(0, int)
    while (elapsed := time.monotonic() - begun) < settings.minutes * 60:
        if len(order) < settings.batch:
            order = rng.permutation(total)
        index, order = order[: settings.batch], order[settings.batch :]
        batch = load_batch(pools, index)
        seen = see(model, torch.from_numpy(batch["pixels"]))
        losses = dense_loss(heads, seen, names, targets(batch), settings.contact)
        torch.stack(list(losses.values())).sum().backward()
        optimizer.step(settings.rate_at(elapsed, step))
        step += 1
        if step % 50 == 0:
            shown = " ".join(f"{name} {value.item():.3f}" for name, value in losses.items())
            print(
                f"tower {step} {elapsed:.0f} s {step * settings.batch / elapsed:.0f} images/s {shown}",
                flush=True,
            )
        if elapsed - saved > 240:
            saved = elapsed
            print("held out", measure_tower(model, heads, names, held_out, watch), flush=True)
            save(out, parts, optimizer, elapsed, step, settings)
    print("held out", measure_tower(model, heads, names, held_out, watch), flush=True)
    save(out, parts, optimizer, elapsed, step, settings)


def _begin(begin: Path | None) -> tuple[dict[str, Any], Tensor, list[nn.Parameter]]:
    """Model, heads and what else a checkpoint holds; the names patches are told by; those to be learned."""
    if begin is None:
        model = build(CLASSES)  # its vocabulary is the class names; `joint` has the real one
        names: Any = model.model.language_model.embed_tokens.weight
        return {"model": model, "heads": Heads()}, names, [names]
    words = Words(build_tokenizer())
    state = torch.load(begin, weights_only=True)
    model, heads = start(words, state)
    ground = Grounding()
    ground.load_state_dict(state["ground"])
    names = model.model.language_model.embed_tokens.weight[words.class_rows].detach()
    return {"model": model, "heads": heads, "ground": ground}, names, []


@torch.no_grad()
def measure_tower(
    model: LlavaForConditionalGeneration, heads: Heads, names: Tensor, pool: Pool, count: int = 640
) -> dict[str, float]:
    """On held-out scenes: share of covered cells named right, and AUC of overlap against near miss."""
    from sklearn.metrics import roc_auc_score

    right = covered = 0
    scores: list[float] = []
    labels: list[bool] = []
    for first in range(0, count, 64):
        batch = load_batch([pool], np.arange(first, first + 64))
        goal = targets(batch)
        logits, _, _ = heads(see(model, torch.from_numpy(batch["pixels"])), names)
        cover = torch.stack(logits[:4], 2)
        clear = (goal.cover.amax(-1) > 0.7) & (goal.cover[..., 0] < 0.5)
        right += int(((cover.argmax(-1) == goal.cover.argmax(-1)) & clear).sum())
        covered += int(clear.sum())
        contact = logits[5].softmax(-1)
        for b in range(64):
            kinds, gaps = batch["kinds"][b], batch["gaps"][b]
            unique = [i for i in range(len(kinds)) if kinds[i] >= 0 and (kinds == kinds[i]).sum() == 1]
            for n, i in enumerate(unique):
                for j in unique[:n]:
                    if gaps[i, j] < 13:
                        pair = torch.minimum(contact[b, :, kinds[i] + 1], contact[b, :, kinds[j] + 1])
                        scores.append(float(pair.max()))
                        labels.append(gaps[i, j] == 0)
    return {"cells": round(right / covered, 4), "contact_auc": round(float(roc_auc_score(labels, scores)), 4)}
