"""Tiny networks of several families, with prompts as their processors would make them.

The processors of the Qwen-VL families need torchvision; their image inputs are made here by the
Pillow image processor that they share, and their token ids by hand.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from transformers.models.qwen2_vl.image_processing_pil_qwen2_vl import Qwen2VLImageProcessorPil

from jurat.models.encoding import Prompt

from .tiny import picture

VOCABULARY = 64
YES, NO = [10, 11], [12, 13]
START, END, IMAGE, VIDEO = 60, 61, 62, 63
TEXT: dict[str, Any] = {
    "vocab_size": VOCABULARY,
    "hidden_size": 32,
    "intermediate_size": 64,
    "num_hidden_layers": 3,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "max_position_embeddings": 512,
}
ROPE = {"rope_type": "default", "rope_theta": 10000.0, "mrope_section": [1, 1, 2]}
TOKENS = {
    "image_token_id": IMAGE,
    "video_token_id": VIDEO,
    "vision_start_token_id": START,
    "vision_end_token_id": END,
}


def qwen2_vl() -> Any:
    from transformers import Qwen2VLConfig, Qwen2VLForConditionalGeneration

    vision = {
        "depth": 2,
        "embed_dim": 32,
        "hidden_size": 32,
        "num_heads": 2,
        "mlp_ratio": 2,
        "patch_size": 4,
        "temporal_patch_size": 2,
    }
    return Qwen2VLForConditionalGeneration(
        Qwen2VLConfig(text_config={**TEXT, "rope_parameters": ROPE}, vision_config=vision, **TOKENS)
    )


def qwen2_5_vl() -> Any:
    from transformers import Qwen2_5_VLConfig, Qwen2_5_VLForConditionalGeneration

    vision = {
        "depth": 2, "hidden_size": 32, "out_hidden_size": 32, "num_heads": 2, "intermediate_size": 64,
        "patch_size": 4, "temporal_patch_size": 2, "window_size": 16, "fullatt_block_indexes": [1],
    }  # fmt: skip
    return Qwen2_5_VLForConditionalGeneration(
        Qwen2_5_VLConfig(text_config={**TEXT, "rope_parameters": ROPE}, vision_config=vision, **TOKENS)
    )


def qwen3_vl() -> Any:
    from transformers import Qwen3VLConfig, Qwen3VLForConditionalGeneration

    vision = {
        "depth": 2, "hidden_size": 32, "out_hidden_size": 32, "num_heads": 2, "intermediate_size": 64,
        "patch_size": 4, "temporal_patch_size": 2, "num_position_embeddings": 64,
        "deepstack_visual_indexes": [0],
    }  # fmt: skip
    text = {**TEXT, "head_dim": 8, "rope_parameters": {**ROPE, "mrope_interleaved": True}}
    return Qwen3VLForConditionalGeneration(Qwen3VLConfig(text_config=text, vision_config=vision, **TOKENS))


def llava() -> Any:
    from transformers import CLIPVisionConfig, LlamaConfig, LlavaConfig, LlavaForConditionalGeneration

    vision = CLIPVisionConfig(
        hidden_size=32,
        intermediate_size=64,
        num_hidden_layers=2,
        num_attention_heads=2,
        image_size=32,
        patch_size=16,
    )
    return LlavaForConditionalGeneration(
        LlavaConfig(
            vision_config=vision, text_config=LlamaConfig(**TEXT), image_token_id=IMAGE,
            vision_feature_layer=-1, vision_feature_select_strategy="default",
        )
    )  # fmt: skip


def gemma3() -> Any:
    from transformers import Gemma3Config, Gemma3ForConditionalGeneration, SiglipVisionConfig

    vision = SiglipVisionConfig(
        hidden_size=32,
        intermediate_size=64,
        num_hidden_layers=2,
        num_attention_heads=2,
        image_size=32,
        patch_size=8,
    )
    text = {**TEXT, "head_dim": 8, "sliding_window": 8, "query_pre_attn_scalar": 8}
    return Gemma3ForConditionalGeneration(
        Gemma3Config(vision_config=vision, text_config=text, mm_tokens_per_image=4, image_token_id=IMAGE)
    )


def make(build: Callable[[], Any], scale: float = 6.0) -> Any:
    """A network with weights so large that its answers hang on every token it sees."""
    torch.manual_seed(0)
    network = build().eval()
    with torch.no_grad():
        for name, weight in network.named_parameters():
            if weight.ndim == 2 and "norm" not in name:
                weight.mul_(scale)
    return network


def questions(seed: int, lengths: tuple[int, ...]) -> tuple[tuple[int, ...], ...]:
    generator = torch.Generator().manual_seed(seed)
    return tuple(tuple(torch.randint(14, 60, (n,), generator=generator).tolist()) for n in lengths)


def qwen_prompt(seed: int, lengths: tuple[int, ...], size: tuple[int, int] | None = (32, 32)) -> Prompt:
    """An image of `size` (None for none) between its marks, three tokens of instruction, then the
    questions."""
    text = [20, 21, 22]
    if size is None:
        return Prompt(torch.tensor(text), questions(seed, lengths), {}, {})
    processor = Qwen2VLImageProcessorPil(
        patch_size=4, merge_size=2, temporal_patch_size=2, size={"shortest_edge": 64, "longest_edge": 4096}
    )
    images = dict(processor([picture(seed, size)], return_tensors="pt"))
    count = int(images["image_grid_thw"].prod()) // 4
    ids = torch.tensor([START, *[IMAGE] * count, END, *text])
    types = torch.cat([(ids == IMAGE).int(), torch.zeros(1, dtype=torch.int)])
    return Prompt(ids, questions(seed, lengths), {"mm_token_type_ids": types}, images)


def llava_prompt(seed: int, lengths: tuple[int, ...], size: tuple[int, int] | None = (32, 32)) -> Prompt:
    text = [20, 21, 22][: 1 + seed % 3]  # prefixes of several lengths
    if size is None:
        return Prompt(torch.tensor(text), questions(seed, lengths), {}, {})
    pixels = torch.randn(1, 3, 32, 32, generator=torch.Generator().manual_seed(seed))
    return Prompt(torch.tensor([*[IMAGE] * 4, *text]), questions(seed, lengths), {}, {"pixel_values": pixels})


def gemma_prompt(seed: int, lengths: tuple[int, ...], size: tuple[int, int] | None = (32, 32)) -> Prompt:
    prompt = llava_prompt(seed, lengths, size)
    if size is None:
        return prompt
    types = torch.cat([(prompt.prefix == IMAGE).long(), torch.zeros(1, dtype=torch.long)])
    return Prompt(prompt.prefix, prompt.segments, {"token_type_ids": types}, prompt.images)
