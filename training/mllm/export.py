"""Converts a finished stage to the transformers layout that ships."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from training.lineage import load_parts
from training.mllm.architecture import PATCH, SIDE
from training.mllm.checkpoints import fresh, load_whole, start
from training.mllm.tokenizer import CHAT_TEMPLATE, IMAGE, Words, build_tokenizer
from training.mllm.tower import MEAN, STD
from training.organisms.encoding import TEMPLATE as ORGANISMS

if TYPE_CHECKING:
    from transformers import LlavaForConditionalGeneration, PreTrainedTokenizerFast


def load_stage(stage: Path) -> tuple[LlavaForConditionalGeneration, Words]:
    """The model of a finished stage of joint training, in evaluation mode."""
    words = Words(build_tokenizer())
    return start(words, stage)[0].eval(), words


def export(stage: Path, folder: Path) -> None:
    """Writes the judge of a finished stage of joint training. Words that only the organisms use are unknown
    to its tokenizer."""
    write(load_stage(stage)[0], build_tokenizer(judge=True), CHAT_TEMPLATE, folder)


def export_organism(stage: Path, folder: Path) -> None:
    """Writes the organism of a finished stage of conversations."""
    words = Words(build_tokenizer())
    torch.manual_seed(0)  # for words after the vocabulary that the stage was trained with
    model = fresh(words)
    load_whole(model, load_parts(stage)["model"])
    model.tie_weights()
    write(model.eval(), words.tokenizer, ORGANISMS, folder)


def write(model: Any, tokenizer: PreTrainedTokenizerFast, template: str, folder: Path) -> None:
    """Writes weights (bfloat16 safetensors), configuration, tokenizer and processor to `folder`, with a chat
    template."""
    from transformers import CLIPImageProcessor, LlavaProcessor

    model.config.dtype = torch.bfloat16
    model.generation_config.max_new_tokens = 96
    model.to(torch.bfloat16).save_pretrained(folder)
    images = CLIPImageProcessor(
        size={"height": SIDE, "width": SIDE},
        do_center_crop=False,
        crop_size={"height": SIDE, "width": SIDE},
        image_mean=list(MEAN),
        image_std=list(STD),
        resample=3,
    )
    LlavaProcessor(
        image_processor=images,
        tokenizer=tokenizer,
        patch_size=PATCH,
        vision_feature_select_strategy="default",
        chat_template=template,
        image_token=IMAGE,
        num_additional_image_tokens=1,
    ).save_pretrained(folder)
