"""Checkpoints passed between training stages: the model, its temporary heads, the optimizer."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import nn

from jurat.files import written_aside
from jurat.pictograms.objects import GROUPS, OBJECTS
from training.mllm.architecture import build
from training.mllm.dense_targets import Heads
from training.mllm.tokenizer import BOS, EOS, IMAGE, PAD, Words
from training.muon import Optimizer

if TYPE_CHECKING:
    from transformers import LlavaForConditionalGeneration

NAMES = "model.language_model.embed_tokens.weight"


def fresh(words: Words) -> LlavaForConditionalGeneration:
    """An untrained model with the whole vocabulary."""
    return build(
        len(words.tokenizer),
        image_token=words.id(IMAGE),
        bos=words.id(BOS),
        eos=words.id(EOS),
        pad=words.id(PAD),
    )


def start(
    words: Words, state: dict[str, Any], *, new_decoder: bool = False
) -> tuple[LlavaForConditionalGeneration, Heads]:
    """The model of a checkpoint, with the whole vocabulary.

    One whose vocabulary is the class names gives tower, projector and names, as does any for a new
    decoder; plurals and groups start from the names.
    """
    model, heads = fresh(words), Heads()
    heads.load_state_dict(state["heads"])
    if "ground" in state and not new_decoder:
        model.load_state_dict(state["model"])
        return model, heads
    names = state["model"].pop(NAMES)
    if "ground" in state:
        names = names[words.class_rows]
    seeing = {k: v for k, v in state["model"].items() if "vision_tower" in k or "multi_modal_projector" in k}
    model.load_state_dict(seeing, strict=False)
    rows = model.model.language_model.embed_tokens.weight
    length = names.norm(dim=1).mean()
    with torch.no_grad():
        rows[words.class_rows] = names
        for noun in OBJECTS:
            rows[words.id(noun.plural)] = names[min(noun.classes)]
        for noun in GROUPS:
            mean = names[sorted(noun.classes)].mean(0)
            rows[words.id(noun.singular)] = rows[words.id(noun.plural)] = mean / mean.norm() * length
    return model, heads


def save(
    out: Path, parts: Mapping[str, nn.Module], optimizer: Optimizer, elapsed: float, step: int, settings: Any
) -> None:
    """Writes a checkpoint, whole or not at all.

    `parts` are `model`, `heads` and, once the decoder is trained, `ground`; `elapsed` is in seconds.
    """
    state: dict[str, Any] = {name: module.state_dict() for name, module in parts.items()}
    state |= {"optimizer": optimizer.state(), "elapsed": elapsed, "step": step, "settings": asdict(settings)}
    with written_aside(out) as aside:
        torch.save(state, aside)
