"""Folders of families with their own processors and random weights, as `save_pretrained` writes them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from .families import IMAGE, TEXT, TOWER, VOCABULARY
from .test_processors import TEMPLATE, tokenizer

SIDE = {"height": 32, "width": 32}


@dataclass(frozen=True)
class Parts:
    network: Any
    processor: Any
    template: str | None = TEMPLATE
    """What goes into chat_template.jinja; None for none."""


def save(parts: Parts, folder: Path, scale: float = 6.0) -> Path:
    """Writes the family, with weights so large that its answers depend on every token."""
    torch.manual_seed(0)
    with torch.no_grad():
        for name, weight in parts.network.named_parameters():
            if not weight.any() and weight.ndim >= 2:
                weight.normal_(std=0.2)
            elif weight.ndim >= 2 and "norm" not in name:
                weight.mul_(scale)
    parts.network.generation_config.eos_token_id = 2
    parts.network.save_pretrained(folder)
    parts.processor.save_pretrained(folder)
    (folder / "chat_template.jinja").unlink(missing_ok=True)
    if parts.template is not None:
        (folder / "chat_template.jinja").write_text(parts.template)
    return folder


def with_token(name: str, *, words: Any = None, **attributes: str) -> Any:
    """A tokenizer that names the token of images, and further ones, as some families' tokenizers do."""
    made = words or tokenizer(name)
    special = {"image_token": name, **attributes}
    made.add_special_tokens({}, replace_extra_special_tokens=False)
    made._set_model_specific_special_tokens(special)
    return made


def qwen3_vl() -> Parts:
    from transformers import Qwen3VLProcessor
    from transformers.models.qwen2_vl import Qwen2VLImageProcessor
    from transformers.models.qwen3_vl import Qwen3VLVideoProcessor

    from .families import qwen3_vl as network

    words = tokenizer("<|image_pad|>", "<|vision_start|>", "<|vision_end|>", "<|video_pad|>")
    size = {"shortest_edge": 64, "longest_edge": 4096}
    images = Qwen2VLImageProcessor(patch_size=4, merge_size=2, temporal_patch_size=2, size=size)
    videos = Qwen3VLVideoProcessor(patch_size=4, merge_size=2, temporal_patch_size=2)
    template = TEMPLATE.replace("<image>", "<|vision_start|> <|image_pad|> <|vision_end|>")
    return Parts(network(), Qwen3VLProcessor(images, words, videos, chat_template=template), template)


def _blip(kind: str, text: Any, **more: Any) -> Any:
    import transformers

    vision = {k: v for k, v in TOWER.items() if k != "num_hidden_layers"} | {"num_hidden_layers": 2}
    former = {
        "vocab_size": VOCABULARY, "hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2,
        "intermediate_size": 64, "encoder_hidden_size": 32, "max_position_embeddings": 256,
    }  # fmt: skip
    config = getattr(transformers, f"{kind}Config")(
        vision_config=vision, qformer_config=former, text_config=text.to_dict(), num_query_tokens=4,
        image_token_index=IMAGE, **more,
    )  # fmt: skip
    return getattr(transformers, f"{kind}ForConditionalGeneration")(config)


def _opt() -> Any:
    from transformers import OPTConfig

    return OPTConfig(
        vocab_size=VOCABULARY, hidden_size=32, word_embed_proj_dim=32, ffn_dim=64, num_hidden_layers=2,
        num_attention_heads=4, max_position_embeddings=512, pad_token_id=0, bos_token_id=1, eos_token_id=2,
    )  # fmt: skip


def _t5() -> Any:
    from transformers import T5Config

    return T5Config(
        vocab_size=VOCABULARY, d_model=32, d_kv=8, d_ff=64, num_layers=2, num_heads=4, pad_token_id=0,
        eos_token_id=2, decoder_start_token_id=0,
    )  # fmt: skip


def _squares() -> Any:
    from transformers.models.blip.image_processing_pil_blip import BlipImageProcessorPil

    return BlipImageProcessorPil(size=SIDE)


def _named_image() -> Any:
    """BLIP's processors add the token of images to a tokenizer that does not name it."""
    words = tokenizer("<image>")
    words.image_token = words.added_tokens_decoder[IMAGE]
    return words


def blip_2(text: Callable[[], Any] = _opt) -> Parts:
    from transformers import Blip2Processor

    return Parts(_blip("Blip2", text()), Blip2Processor(_squares(), tokenizer("<image>"), 4), None)


def instructblip(text: Callable[[], Any] | None = None) -> Parts:
    from transformers import InstructBlipProcessor, LlamaConfig

    language = text() if text else LlamaConfig(**TEXT)
    processor = InstructBlipProcessor(_squares(), tokenizer("<image>"), tokenizer("<other>"), 4)
    return Parts(_blip("InstructBlip", language), processor, None)


FOLDERS: dict[str, Callable[[], Parts]] = {
    "qwen3-vl": qwen3_vl,
    "blip-2-opt": blip_2,
    "blip-2-t5": lambda: blip_2(_t5),
    "instructblip-vicuna": instructblip,
    "instructblip-t5": lambda: instructblip(_t5),
}
