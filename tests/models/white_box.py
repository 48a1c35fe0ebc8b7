"""Tiny models of the families whose insides attacks and defenses use, behind their own processors."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from importlib import import_module
from pathlib import Path
from typing import Any

from PIL import Image

from jurat.content import Chat, Turn
from jurat.models.hf.load_model import LoadedModel, load
from jurat.models.hf.model import LocalModel
from jurat.models.hf.probe import probe
from jurat.models.hf.torchvision_import import prepare_torchvision

from .families import BY_NAME, END, IMAGE, PINPOINTS, START, VIDEO
from .folders import FOLDERS, Parts, save
from .hf.test_processors import INSTRUCTION, QUESTIONS, TEMPLATE, tokenizer
from .tiny import make_llava

SQUARE = {"height": 32, "width": 32}


def _named(words: Any, **names: str) -> Any:
    """The tokenizer with names for its special tokens, as families' tokenizers have them."""
    ids = {IMAGE: "image", START: "start", END: "end", VIDEO: "video"}
    for name, mark in names.items():
        setattr(words, f"{name}_token", mark)
        setattr(words, f"{name}_token_id", words.convert_tokens_to_ids(mark))
        assert words.convert_tokens_to_ids(mark) in ids
    return words


def llava_onevision() -> Any:
    from transformers import LlavaOnevisionProcessor
    from transformers.models.llava_onevision.image_processing_pil_llava_onevision import (
        LlavaOnevisionImageProcessorPil,
    )
    from transformers.models.llava_onevision.video_processing_llava_onevision import (
        LlavaOnevisionVideoProcessor,
    )

    words = tokenizer("<image>", "<start>", "<end>", "<video>")
    images = LlavaOnevisionImageProcessorPil(size=SQUARE, image_grid_pinpoints=PINPOINTS)
    return LlavaOnevisionProcessor(
        images, words, LlavaOnevisionVideoProcessor(size=SQUARE), num_image_tokens=16,
        vision_feature_select_strategy="full", chat_template=TEMPLATE,
    )  # fmt: skip


def qwen2_5_vl() -> Any:
    from transformers import Qwen2_5_VLProcessor, Qwen2VLVideoProcessor
    from transformers.models.qwen2_vl.image_processing_pil_qwen2_vl import Qwen2VLImageProcessorPil

    words = tokenizer("<|image_pad|>", "<|vision_start|>", "<|vision_end|>", "<|video_pad|>")
    size = {"shortest_edge": 64, "longest_edge": 4096}
    images = Qwen2VLImageProcessorPil(patch_size=4, merge_size=2, temporal_patch_size=2, size=size)
    videos = Qwen2VLVideoProcessor(patch_size=4, merge_size=2, temporal_patch_size=2)
    template = TEMPLATE.replace("<image>", "<|vision_start|> <|image_pad|> <|vision_end|>")
    return Qwen2_5_VLProcessor(images, words, videos, chat_template=template)


def internvl() -> Any:
    from transformers import InternVLProcessor, InternVLVideoProcessor
    from transformers.models.got_ocr2.image_processing_pil_got_ocr2 import GotOcr2ImageProcessorPil

    words = _named(
        tokenizer("<IMG_CONTEXT>", "<img>", "</img>", "<video>"),
        context_image="<IMG_CONTEXT>", start_image="<img>", end_image="</img>", video="<video>",
    )  # fmt: skip
    images = GotOcr2ImageProcessorPil(size=SQUARE, max_patches=4)
    return InternVLProcessor(
        images, words, InternVLVideoProcessor(size=SQUARE), image_seq_length=4,
        chat_template=TEMPLATE.replace("<image>", "<IMG_CONTEXT>"),
    )  # fmt: skip


def gemma3() -> Any:
    from transformers import Gemma3Processor
    from transformers.models.gemma3.image_processing_pil_gemma3 import Gemma3ImageProcessorPil

    words = _named(tokenizer("<image>", "<boi>", "<eoi>"), image="<image>", boi="<boi>", eoi="<eoi>")
    return Gemma3Processor(
        Gemma3ImageProcessorPil(size=SQUARE), words, TEMPLATE.replace("<image>", "<boi>"), image_seq_length=4
    )


def smolvlm() -> Any:
    from transformers import SmolVLMProcessor, SmolVLMVideoProcessor
    from transformers.models.smolvlm.image_processing_pil_smolvlm import SmolVLMImageProcessorPil

    module: Any = import_module("transformers.models.smolvlm.processing_smolvlm")
    module.num2words = module.num2words or str  # it counts the frames of videos only
    words = tokenizer("<image>", "<fake_token_around_image>", "<end_of_utterance>")
    images = SmolVLMImageProcessorPil(size={"longest_edge": 64}, max_image_size={"longest_edge": 32})
    return SmolVLMProcessor(images, words, SmolVLMVideoProcessor(), image_seq_len=4, chat_template=TEMPLATE)


PROCESSORS: dict[str, Callable[[], Any]] = {
    "llava-onevision": llava_onevision,
    "qwen2.5-vl": qwen2_5_vl,
    "internvl": internvl,
    "gemma3": gemma3,
    "smolvlm": smolvlm,
}
"""Processors of the families that `folders` does not build."""
NAMES = (
    "llava", *PROCESSORS, "qwen3-vl", "blip-2-opt", "blip-2-t5", "instructblip-vicuna",
    "instructblip-t5", "idefics", "idefics3", "mllama",
)  # fmt: skip


def _parts(name: str) -> Parts:
    """Parts of a family from `folders`. Towers of BLIP, whose initial weights are nearly 0, get larger
    weights."""
    import torch

    torch.manual_seed(0)
    parts = FOLDERS[name]()
    if "blip" in name:
        with torch.no_grad():
            for weight in parts.network.vision_model.parameters():
                if weight.ndim > 1:
                    weight.normal_(std=0.02)
    return parts


@cache
def opened(name: str, folder: Path) -> LocalModel:
    """The model of that name, for which the folder is written to first where it is opened from one."""
    prepare_torchvision()
    if name in PROCESSORS:
        loaded = LoadedModel(BY_NAME[name].network(), PROCESSORS[name](), "0" * 12, "float32")
    elif name == "llava":
        loaded = load(make_llava(folder / name), device="cpu")
    else:
        loaded = load(save(_parts(name), folder / name), device="cpu")
    model = LocalModel(loaded, name=name)
    probe(model)
    return model


def about(*images: Image.Image, question: str = QUESTIONS[0]) -> Chat:
    return Chat((Turn("user", (*images, f"{INSTRUCTION} {question}")),))
