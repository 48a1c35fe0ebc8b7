"""Start of joint training: the modules of a finished stage, extended to the whole vocabulary."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, cast

import torch

from jurat.pictograms.objects import GROUPS, OBJECTS
from training.lineage import load_parts
from training.mllm.architecture import build
from training.mllm.dense_targets import Heads
from training.mllm.grounding import Grounding
from training.mllm.tokenizer import BOS, EOS, IMAGE, PAD, Words

if TYPE_CHECKING:
    from torch import Tensor
    from transformers import LlavaForConditionalGeneration, PreTrainedModel

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
    words: Words, parent: Path, *, new_decoder: bool = False
) -> tuple[LlavaForConditionalGeneration, Heads, Grounding]:
    """Model, dense heads and grounding head of a finished stage.

    A stage of the tower alone provides tower, projector and the embeddings of the class names, as does any
    stage if `new_decoder`; plurals and groups start from these names, everything else from fresh weights.
    Words added after the parent's vocabulary start fresh too.
    """
    parts = load_parts(parent)
    model, heads, grounding = fresh(words), Heads(), Grounding()
    heads.load_state_dict(parts["heads"])
    if "ground" in parts and not new_decoder:
        load_whole(model, parts["model"])
        grounding.load_state_dict(parts["ground"])
        return model, heads, grounding
    names = parts["model"].pop(NAMES)
    rows = model.model.language_model.embed_tokens.weight
    if "ground" in parts:
        names = names[words.class_rows]
    seeing = ("model.vision_tower.", "model.multi_modal_projector.")
    load_body(model, {k: v for k, v in parts["model"].items() if k.startswith(seeing)})
    _name_rows(rows, names, words)
    return model, heads, grounding


def load_whole(model: PreTrainedModel, weights: Mapping[str, Tensor]) -> None:
    """Loads weights as `load_body` does. Their vocabulary may be shorter than the model's; the embeddings of
    the words after it stay as they are."""
    rows = cast("Tensor", model.get_input_embeddings().weight)
    (name,) = (name for name, weight in model.named_parameters() if weight is rows)
    rest = dict(weights)
    known = rest.pop(name, rows[:0])
    load_body(model, rest)
    with torch.no_grad():
        rows[: len(known)] = known


def load_body(model: PreTrainedModel, weights: Mapping[str, Tensor]) -> None:
    """Loads weights, which may be some of the model's. Raises ValueError for a name that it does not have."""
    if unknown := model.load_state_dict(weights, strict=False).unexpected_keys:
        raise ValueError(f"the model has no weights named {', '.join(unknown[:3])}.")


def _name_rows(rows: Tensor, names: Tensor, words: Words) -> None:
    """Embeddings of names, plurals and groups from those of the classes, in place."""
    length = names.norm(dim=1).mean()
    with torch.no_grad():
        rows[words.class_rows] = names
        for noun in OBJECTS:
            rows[words.id(noun.plural)] = names[min(noun.classes)]
        for noun in GROUPS:
            mean = names[sorted(noun.classes)].mean(0)
            rows[words.id(noun.singular)] = rows[words.id(noun.plural)] = mean / mean.norm() * length
