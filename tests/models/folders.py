"""Folders of families with their own processors and random weights, as `save_pretrained` writes them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from .families import BY_NAME, END, IMAGE, START, TEXT, TOWER, VOCABULARY
from .hf import test_processors
from .hf.test_processors import TEMPLATE, tokenizer

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
            if "gate" in name and weight.ndim == 1:  # of cross-attention: closed before training
                weight.fill_(1.0)
            elif not weight.any() and weight.ndim >= 2:
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


def naming_images(name: str) -> Any:
    """A tokenizer that names the token of images itself, as some families' do."""
    from transformers import PreTrainedTokenizerFast

    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer(name).backend_tokenizer, pad_token="<pad>", bos_token="<s>",
        eos_token="</s>", unk_token="<unk>", extra_special_tokens={"image_token": name},
    )  # fmt: skip


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


def blip_2(text: Callable[[], Any] = _opt) -> Parts:
    from transformers import Blip2Processor

    return Parts(_blip("Blip2", text()), Blip2Processor(_squares(), tokenizer("<image>"), 4), None)


def instructblip(text: Callable[[], Any] | None = None) -> Parts:
    from transformers import InstructBlipProcessor, LlamaConfig

    language = text() if text else LlamaConfig(**TEXT)
    processor = InstructBlipProcessor(_squares(), tokenizer("<image>"), tokenizer("<other>"), 4)
    return Parts(_blip("InstructBlip", language), processor, None)


def llama4_network(text: dict[str, Any], image: int, begin: int, end: int) -> Any:
    """A Llama 4 with the ids of its tokens of an image, its beginning and its end."""
    from transformers import Llama4Config, Llama4ForConditionalGeneration

    vision = {
        "hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 128,
        "vision_output_dim": 32, "image_size": 32, "patch_size": 8, "projector_input_dim": 32,
        "projector_output_dim": 32,
    }  # fmt: skip
    text = {
        **text, "head_dim": 8, "intermediate_size_mlp": 64, "num_local_experts": 2,
        "attention_chunk_size": 512,
    }  # fmt: skip
    config = Llama4Config(
        vision_config=vision, text_config=text, image_token_index=image, boi_token_index=begin,
        eoi_token_index=end,
    )  # fmt: skip
    return Llama4ForConditionalGeneration(config)


def llama4() -> Parts:
    from transformers import Llama4Processor
    from transformers.models.llama4.image_processing_llama4 import Llama4ImageProcessor

    words = tokenizer("<|patch|>", "<|image_start|>", "<|image_end|>", "<|image|>")
    processor = Llama4Processor(Llama4ImageProcessor(size=SIDE), words, patch_size=8)
    network = llama4_network(TEXT, IMAGE, START, END)
    return Parts(network, processor, TEMPLATE.replace("<image>", "<|image|>"))


def got_ocr2() -> Parts:
    """Its processor writes 256 tokens an image, whatever the network."""
    from transformers import GotOcr2Config, GotOcr2ForConditionalGeneration, GotOcr2Processor
    from transformers.models.got_ocr2.image_processing_pil_got_ocr2 import GotOcr2ImageProcessorPil

    vision = {
        "hidden_size": 16, "output_channels": 16, "num_hidden_layers": 1, "num_attention_heads": 2,
        "image_size": 128, "patch_size": 2, "mlp_dim": 16, "global_attn_indexes": [], "window_size": 8,
        "initializer_range": 0.02,
    }  # fmt: skip
    config = GotOcr2Config(
        vision_config=vision, text_config={**TEXT, "model_type": "qwen2"}, image_token_index=IMAGE
    )
    processor = GotOcr2Processor(
        GotOcr2ImageProcessorPil(size={"height": 128, "width": 128}), tokenizer("<imgpad>")
    )
    return Parts(GotOcr2ForConditionalGeneration(config), processor, TEMPLATE.replace("<image>", "<imgpad>"))


def chameleon() -> Parts:
    from transformers import ChameleonConfig, ChameleonForConditionalGeneration, ChameleonProcessor
    from transformers.models.chameleon.image_processing_pil_chameleon import ChameleonImageProcessorPil

    codes = {
        "embed_dim": 8, "num_embeddings": 4, "latent_channels": 8, "resolution": 32, "base_channels": 32,
        "channel_multiplier": [1, 2, 2], "num_res_blocks": 1,
    }  # fmt: skip
    names = {f"IMGIMG{letter}Z": 50 + i for i, letter in enumerate("ABCD")}
    config = ChameleonConfig(**TEXT, vq_config=codes, vocabulary_map={"<image>": IMAGE, **names})
    words = tokenizer("<image>", "<racm3:break>", "<eoss>")
    words.sep_token = "</s>"
    images = ChameleonImageProcessorPil(size={"shortest_edge": 32}, crop_size=SIDE)
    return Parts(ChameleonForConditionalGeneration(config), ChameleonProcessor(images, words, 64))


def florence2() -> Parts:
    from transformers import (
        BartConfig,
        Florence2Config,
        Florence2ForConditionalGeneration,
        Florence2Processor,
    )
    from transformers.models.clip.image_processing_pil_clip import CLIPImageProcessorPil

    vision = {
        "depths": [1, 1], "patch_size": [7, 3], "patch_stride": [4, 2], "patch_padding": [3, 1],
        "patch_prenorm": [False, True], "embed_dim": [16, 32], "num_heads": [2, 2], "num_groups": [2, 2],
        "window_size": 4, "projection_dim": 32,
    }  # fmt: skip
    text = BartConfig(
        vocab_size=VOCABULARY, d_model=32, encoder_layers=2, decoder_layers=2, encoder_ffn_dim=64,
        decoder_ffn_dim=64, encoder_attention_heads=2, decoder_attention_heads=2, max_position_embeddings=256,
        pad_token_id=0, bos_token_id=1, eos_token_id=2, decoder_start_token_id=2, forced_eos_token_id=None,
    )  # fmt: skip
    config = Florence2Config(vision_config=vision, text_config=text.to_dict(), image_token_id=IMAGE)
    images = CLIPImageProcessorPil(size=SIDE, do_center_crop=False)
    images.image_seq_length = 17
    words = naming_images("<image>")
    return Parts(Florence2ForConditionalGeneration(config), Florence2Processor(images, words))


def idefics() -> Parts:
    from transformers import IdeficsConfig, IdeficsForVisionText2Text, IdeficsProcessor
    from transformers.models.idefics.image_processing_pil_idefics import IdeficsImageProcessorPil

    vision = {"embed_dim": 32, **{name: value for name, value in TOWER.items() if name != "hidden_size"}}
    text = {name: value for name, value in TEXT.items() if name != "num_key_value_heads"}
    network = IdeficsForVisionText2Text(
        IdeficsConfig(**text, vision_config=vision, qk_layer_norms=True, alpha_initializer="ones")
    )
    words = tokenizer("<image>", "<fake_token_around_image>")
    words.eos_token = None  # from which on its processor shows no image
    return Parts(network, IdeficsProcessor(IdeficsImageProcessorPil(image_size=32), words))


def known(name: str) -> Parts:
    """A family of `families`, with its processor from `test_processors`."""
    processor = getattr(test_processors, name)()
    return Parts(BY_NAME[name].build(), processor, processor.chat_template)


FOLDERS: dict[str, Callable[[], Parts]] = {
    "qwen3-vl": qwen3_vl,
    "blip-2-opt": blip_2,
    "blip-2-t5": lambda: blip_2(_t5),
    "instructblip-vicuna": instructblip,
    "instructblip-t5": lambda: instructblip(_t5),
    "llama4": llama4,
    "got-ocr2": got_ocr2,
    "chameleon": chameleon,
    "florence2": florence2,
    "idefics": idefics,
    "idefics3": lambda: known("idefics3"),
    "mllama": lambda: known("mllama"),
}
