"""Converts a finished stage to the transformers layout that ships."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from training.mllm.architecture import PATCH, PATCHES, SIDE
from training.mllm.checkpoints import start
from training.mllm.tokenizer import CHAT_TEMPLATE, IMAGE, Words, build_tokenizer
from training.mllm.tower import MEAN, STD

if TYPE_CHECKING:
    from transformers import LlavaForConditionalGeneration, PreTrainedTokenizerFast


def load_stage(stage: Path) -> tuple[LlavaForConditionalGeneration, Words]:
    """The model of a finished stage of joint training, in evaluation mode."""
    words = Words(build_tokenizer())
    return start(words, stage)[0].eval(), words


def export(stage: Path, folder: Path) -> None:
    """Writes the judge of a finished stage of joint training. Words that only the organisms use are unknown
    to its tokenizer."""
    write(load_stage(stage)[0], llava_processor(build_tokenizer(judge=True), CHAT_TEMPLATE), folder)


def write(model: Any, processor: Any, folder: Path) -> None:
    """Writes weights (bfloat16 safetensors), configuration, tokenizer and processor to `folder`."""
    model.config.dtype = torch.bfloat16
    model.generation_config.max_new_tokens = 96
    model.to(torch.bfloat16).save_pretrained(folder)
    processor.save_pretrained(folder)


def llava_processor(tokenizer: PreTrainedTokenizerFast, template: str, tokens: int = PATCHES) -> Any:
    """LLaVA's processor, which writes `tokens` tokens for an image, with a chat template."""
    from transformers import CLIPImageProcessor, LlavaProcessor

    images = CLIPImageProcessor(
        do_center_crop=False, crop_size={"height": SIDE, "width": SIDE}, **image_settings()
    )
    return LlavaProcessor(
        image_processor=images,
        tokenizer=tokenizer,
        patch_size=PATCH,
        vision_feature_select_strategy="default",  # less the class token, which is counted below
        chat_template=template,
        image_token=IMAGE,
        num_additional_image_tokens=1 + tokens - PATCHES,
    )


def image_settings() -> dict[str, Any]:
    """Settings of the image processor."""
    return {
        "size": {"height": SIDE, "width": SIDE},
        "image_mean": list(MEAN),
        "image_std": list(STD),
        "resample": 3,
    }
