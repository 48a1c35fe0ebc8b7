"""Writes a trained CLIP or OWL-ViT in the standard layout of transformers."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from training.mllm.architecture import SIDE
from training.mllm.tower import MEAN, STD

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerFast


def export(model: Any, processor: Any, images: Any, tokenizer: PreTrainedTokenizerFast, folder: Path) -> None:
    """Writes weights in bfloat16, processor and tokenizer to `folder`.

    `processor` and `images` are the classes of the model's processor and image processor.
    """
    model.config.dtype = torch.bfloat16
    model.to(torch.bfloat16).save_pretrained(folder)
    size = {"height": SIDE, "width": SIDE}
    pictures = images(
        size=size,
        crop_size=size,
        do_center_crop=False,
        image_mean=list(MEAN),
        image_std=list(STD),
        resample=3,
    )
    processor(image_processor=pictures, tokenizer=tokenizer).save_pretrained(folder)
