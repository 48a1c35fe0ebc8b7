"""Further families with random weights, of transformers' image-text-to-text mapping; see `families`.

Those that a check of one pass of one form did not hold: items that cannot be joined, positions that
follow the longest sequence of a pass, attention that leaves out more the longer a sequence is.
"""

from __future__ import annotations

from typing import Any

import torch
from PIL import Image

from .families import (
    AXES,
    END,
    IMAGE,
    PINPOINTS,
    ROPE,
    START,
    TEXT,
    TOKENS,
    TOWER,
    VIDEO,
    VOCABULARY,
    Family,
    _pixels,
    llava,
    patches,
    squares,
)

# --- networks ------------------------------------------------------------------------------------


def molmo2() -> Any:
    from transformers import Molmo2Config, Molmo2ForConditionalGeneration

    heads = {"num_attention_heads": 2, "num_key_value_heads": 2, "head_dim": 16}
    vision = {
        **heads, "hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2, "image_size": [32, 32],
        "patch_size": 8,
    }  # fmt: skip
    adapter = {
        **heads, "hidden_size": 32, "intermediate_size": 64, "text_hidden_size": 32,
        "vision_feature_layer": [1, 0],
    }  # fmt: skip
    text = {**TEXT, "head_dim": 8, "additional_vocab_size": 8}
    return Molmo2ForConditionalGeneration(
        Molmo2Config(
            vision_config=vision, adapter_config=adapter, text_config=text, image_patch_id=IMAGE,
            image_start_token_id=START, image_end_token_id=END,
        )
    )  # fmt: skip


def hunyuan_vl() -> Any:
    from transformers import HunYuanVLConfig, HunYuanVLForConditionalGeneration

    vision = {
        "hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2, "num_attention_heads": 2,
        "out_hidden_size": 32, "text_hidden_size": 32, "patch_size": 4, "spatial_merge_size": 2,
        "max_image_size": 64, "img_max_token_num": 256,
    }  # fmt: skip
    text = {
        **TEXT, "head_dim": 8,
        "rope_parameters": {
            "rope_type": "dynamic", "rope_theta": 10.0, "alpha": 1000.0, "factor": 1.0,
            "mrope_section": [1, 1, 1, 1],
        },
    }  # fmt: skip
    return HunYuanVLForConditionalGeneration(
        HunYuanVLConfig(
            text_config=text, vision_config=vision, image_token_id=IMAGE, im_start_id=START, im_end_id=END
        )
    )


def minicpm_v46() -> Any:
    from transformers import MiniCPMV4_6Config, MiniCPMV4_6ForConditionalGeneration

    vision = {
        "hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2, "num_attention_heads": 2,
        "image_size": 64, "patch_size": 4,
    }  # fmt: skip
    return MiniCPMV4_6ForConditionalGeneration(
        MiniCPMV4_6Config(
            text_config=_recurrent(), vision_config=vision, image_token_id=IMAGE, video_token_id=VIDEO,
            insert_layer_id=0,
        )
    )  # fmt: skip


def _recurrent() -> Any:
    from transformers import Qwen3_5TextConfig

    return Qwen3_5TextConfig(
        **TEXT, head_dim=8, linear_key_head_dim=8, linear_value_head_dim=8, linear_num_key_heads=2,
        linear_num_value_heads=4, layer_types=["linear_attention", "full_attention"],
        rope_parameters={**ROPE, "mrope_interleaved": True, "partial_rotary_factor": 1.0},
    )  # fmt: skip


def qwen3_5_moe() -> Any:
    from transformers import Qwen3_5MoeConfig, Qwen3_5MoeForConditionalGeneration

    vision = {**AXES, "num_position_embeddings": 64}
    return Qwen3_5MoeForConditionalGeneration(
        Qwen3_5MoeConfig(text_config=_sparse_and_recurrent(), vision_config=vision, **TOKENS)
    )


def qwen4_exp() -> Any:
    """Its layers with attention choose blocks of tokens, and its embeddings hold the tokens before."""
    from transformers import Qwen4ExpConfig, Qwen4ExpForConditionalGeneration

    text = {
        **_sparse_and_recurrent(), "indexer_n_heads": 2, "indexer_kv_heads": 1, "indexer_head_dim": 8,
        "indexer_budget": 8, "indexer_compress_ratio": 2, "hc_count": 2, "hc_lowrank": 8,
        "ngram_vocab_size_base": 32, "heads_per_ngram": 2, "split_ngram_parts": 1,
        "make_ngram_vocab_size_divisible_by": 8,
    }  # fmt: skip
    vision = {**AXES, "num_position_embeddings": 64}
    return Qwen4ExpForConditionalGeneration(Qwen4ExpConfig(text_config=text, vision_config=vision, **TOKENS))


def _sparse_and_recurrent() -> dict[str, Any]:
    return {
        **TEXT, "head_dim": 8, "linear_key_head_dim": 8, "linear_value_head_dim": 8,
        "linear_num_key_heads": 2, "linear_num_value_heads": 4, "num_experts": 4, "num_experts_per_tok": 2,
        "moe_intermediate_size": 16, "shared_expert_intermediate_size": 16,
        "layer_types": ["linear_attention", "full_attention"],
        "rope_parameters": {**ROPE, "mrope_interleaved": True, "partial_rotary_factor": 1.0},
    }  # fmt: skip


def lfm3_vl() -> Any:
    """A convolution, attention in a window of eight tokens, and full attention."""
    from transformers import Lfm3Config, Lfm3VlConfig, Lfm3VlForConditionalGeneration

    vision = {
        "hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2, "num_attention_heads": 2,
        "num_key_value_heads": 2, "patch_size": 4, "layer_types": ["conv", "full_attention"],
    }  # fmt: skip
    text = Lfm3Config(
        **{**TEXT, "num_hidden_layers": 3}, head_dim=8, sliding_window=8, conv_L_cache=3,
        layer_types=["conv", "sliding_attention", "full_attention"],
    )  # fmt: skip
    return Lfm3VlForConditionalGeneration(
        Lfm3VlConfig(vision_config=vision, text_config=text, projector_hidden_size=32, **TOKENS)
    )


def glm5_next() -> Any:
    """One layer of its two attends to the best eight tokens only."""
    from transformers import Glm5NextConfig, Glm5NextForConditionalGeneration

    text = {
        **TEXT, "num_key_value_heads": 4, "moe_intermediate_size": 16, "n_routed_experts": 4,
        "num_experts_per_tok": 2, "kv_lora_rank": 16, "q_lora_rank": 16, "v_head_dim": 8,
        "qk_nope_head_dim": 8, "index_topk": 8, "index_head_dim": 8, "index_n_heads": 2, "index_kpool": 2,
        "linear_head_dim": 8, "linear_num_heads": 4, "hc_mult": 2, "hc_sinkhorn_iters": 4,
        "layer_types": ["linear_attention", "indexed_attention"], "indexer_types": ["full", "full"],
        "mlp_layer_types": ["dense", "sparse"],
    }  # fmt: skip
    vision = {**AXES, "image_size": 32, "projection_intermediate_size": 64}
    return Glm5NextForConditionalGeneration(
        Glm5NextConfig(
            text_config=text, vision_config=vision, image_token_id=IMAGE, video_token_id=VIDEO,
            image_start_token_id=START, image_end_token_id=END, video_start_token_id=3, video_end_token_id=4,
        )
    )  # fmt: skip


def long_rope() -> Any:
    """LLaVA around a decoder whose positions are scaled where a sequence is longer than 32 tokens."""
    from transformers import Phi3Config

    rope = {
        "rope_type": "longrope", "rope_theta": 10000.0, "short_factor": [1.0, 1.0, 1.0, 1.0],
        "long_factor": [1.5, 3.0, 6.0, 12.0], "factor": 16.0, "original_max_position_embeddings": 32,
    }  # fmt: skip
    return llava(Phi3Config(**TEXT, rope_parameters=rope, original_max_position_embeddings=32))


def growing_rope() -> Any:
    """LLaVA around a decoder whose positions are scaled by how much longer than 32 tokens a sequence is."""
    from transformers import LlamaConfig

    rope = {"rope_type": "dynamic", "rope_theta": 10000.0, "factor": 4.0}
    return llava(LlamaConfig(**{**TEXT, "max_position_embeddings": 32}, rope_parameters=rope))


def qwen2_5_omni() -> Any:
    from transformers import Qwen2_5OmniThinkerConfig, Qwen2_5OmniThinkerForConditionalGeneration

    vision = {**AXES, "window_size": 16, "fullatt_block_indexes": [1]}
    audio = {
        "d_model": 32, "encoder_layers": 1, "encoder_attention_heads": 2, "encoder_ffn_dim": 32,
        "output_dim": 32, "num_mel_bins": 8, "n_window": 4, "max_source_positions": 16,
    }  # fmt: skip
    return Qwen2_5OmniThinkerForConditionalGeneration(
        Qwen2_5OmniThinkerConfig(
            text_config={**TEXT, "rope_parameters": ROPE}, vision_config=vision, audio_config=audio,
            image_token_index=IMAGE, video_token_index=VIDEO, audio_token_index=5, audio_start_token_id=3,
            audio_end_token_id=4, vision_start_token_id=START, vision_end_token_id=END,
        )
    )  # fmt: skip


def video_llama3() -> Any:
    from transformers import Qwen2Config, VideoLlama3Config, VideoLlama3ForConditionalGeneration

    vision = {
        "hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2, "num_attention_heads": 2,
        "patch_size": 4,
    }  # fmt: skip
    return VideoLlama3ForConditionalGeneration(
        VideoLlama3Config(
            text_config=Qwen2Config(**TEXT), vision_config=vision, image_token_id=IMAGE, video_token_id=VIDEO
        )
    )


def aya_vision() -> Any:
    from transformers import AyaVisionConfig, AyaVisionForConditionalGeneration

    return AyaVisionForConditionalGeneration(
        AyaVisionConfig(
            vision_config=_siglip(), text_config=_cohere(), image_token_index=IMAGE, downsample_factor=2,
            alignment_intermediate_size=64,
        )
    )  # fmt: skip


def cohere2_vision() -> Any:
    from transformers import Cohere2VisionConfig, Cohere2VisionForConditionalGeneration

    return Cohere2VisionForConditionalGeneration(
        Cohere2VisionConfig(
            vision_config=_siglip(), text_config=_cohere(), image_token_id=IMAGE, downsample_factor=2,
            alignment_intermediate_size=64,
        )
    )  # fmt: skip


def _siglip() -> Any:
    from transformers import SiglipVisionConfig

    return SiglipVisionConfig(**TOWER, vision_use_head=False)


def _cohere() -> Any:
    """Every other layer looks back eight tokens only."""
    from transformers import Cohere2Config

    return Cohere2Config(
        **TEXT, head_dim=8, sliding_window=8, logit_scale=1.0,
        layer_types=["sliding_attention", "full_attention"],
    )  # fmt: skip


def aria() -> Any:
    from transformers import AriaConfig, AriaForConditionalGeneration, AriaTextConfig

    vision = {"model_type": "idefics3_vision", **TOWER}
    text = AriaTextConfig(**TEXT, moe_num_experts=4, moe_topk=2, moe_num_shared_experts=1)
    return AriaForConditionalGeneration(
        AriaConfig(
            vision_config=vision, text_config=text, image_token_index=IMAGE,
            projector_patch_to_query_dict={16: 4},
        )
    )  # fmt: skip


def llava_next() -> Any:
    from transformers import (
        CLIPVisionConfig,
        LlavaNextConfig,
        LlavaNextForConditionalGeneration,
        MistralConfig,
    )

    return LlavaNextForConditionalGeneration(
        LlavaNextConfig(
            vision_config=CLIPVisionConfig(**TOWER), text_config=MistralConfig(**TEXT, sliding_window=None),
            image_token_index=IMAGE, image_grid_pinpoints=PINPOINTS, vision_feature_layer=-1,
        )
    )  # fmt: skip


def vipllava() -> Any:
    from transformers import (
        CLIPVisionConfig,
        LlamaConfig,
        VipLlavaConfig,
        VipLlavaForConditionalGeneration,
    )

    return VipLlavaForConditionalGeneration(
        VipLlavaConfig(
            vision_config=CLIPVisionConfig(**TOWER), text_config=LlamaConfig(**TEXT), image_token_index=IMAGE,
            vision_feature_layers=[-1, -2],
        )
    )  # fmt: skip


def llama4() -> Any:
    """Layers look at chunks of eight tokens, or at everything, less evenly the longer a sequence is."""
    from transformers import Llama4Config, Llama4ForConditionalGeneration

    vision = {
        "hidden_size": 32, "intermediate_size": 128, "num_hidden_layers": 2, "num_attention_heads": 2,
        "image_size": 32, "patch_size": 8, "vision_output_dim": 32, "projector_input_dim": 32,
        "projector_output_dim": 32, "rope_parameters": {"rope_type": "default", "rope_theta": 10000.0},
    }  # fmt: skip
    text = {
        **TEXT, "head_dim": 8, "intermediate_size_mlp": 64, "num_local_experts": 2, "no_rope_layers": [1, 0],
        "attention_chunk_size": 8, "floor_scale": 16, "attn_scale": 0.5, "interleave_moe_layer_step": 2,
        "layer_types": ["chunked_attention", "full_attention"],
    }  # fmt: skip
    return Llama4ForConditionalGeneration(
        Llama4Config(vision_config=vision, text_config=text, image_token_index=IMAGE, boi_token_index=START)
    )


def gemma4() -> Any:
    from transformers import Gemma4Config, Gemma4ForConditionalGeneration

    text = {
        **TEXT, "head_dim": 8, "global_head_dim": 8, "sliding_window": 8, "hidden_size_per_layer_input": 4,
        "vocab_size_per_layer_input": VOCABULARY, "use_bidirectional_attention": "vision",
        "layer_types": ["sliding_attention", "full_attention"],
    }  # fmt: skip
    vision = {
        "hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2, "num_attention_heads": 2,
        "num_key_value_heads": 2, "head_dim": 16, "patch_size": 4, "pooling_kernel_size": 2,
        "position_embedding_size": 64,
    }  # fmt: skip
    return Gemma4ForConditionalGeneration(
        Gemma4Config(
            text_config=text, vision_config=vision, audio_config=None, image_token_id=IMAGE,
            video_token_id=VIDEO, boi_token_id=START, eoi_token_id=END, audio_token_id=3, boa_token_id=4,
            eoa_token_index=5,
        )
    )  # fmt: skip


def idefics2() -> Any:
    from transformers import Idefics2Config, Idefics2ForConditionalGeneration, MistralConfig

    perceiver = {
        "hidden_size": 32, "resampler_n_latents": 4, "resampler_depth": 1, "resampler_n_heads": 2,
        "resampler_head_dim": 16, "num_key_value_heads": 2,
    }  # fmt: skip
    return Idefics2ForConditionalGeneration(
        Idefics2Config(
            vision_config=TOWER, perceiver_config=perceiver, image_token_id=IMAGE,
            text_config=MistralConfig(**TEXT, sliding_window=None),
        )
    )  # fmt: skip


def ovis2() -> Any:
    from transformers import Ovis2Config, Ovis2ForConditionalGeneration, Qwen2Config

    vision = {**TOWER, "vocab_size": 32, "num_visual_indicator_tokens": 5, "hidden_stride": 2}
    return Ovis2ForConditionalGeneration(
        Ovis2Config(
            vision_config=vision, text_config=Qwen2Config(**TEXT), image_token_id=IMAGE, hidden_size=32,
            visual_indicator_token_ids=[3, 4, 5, 6, 7],
        )
    )  # fmt: skip


def paddleocr_vl() -> Any:
    from transformers import PaddleOCRVLConfig, PaddleOCRVLForConditionalGeneration

    vision = {**TOWER, "patch_size": 4, "spatial_merge_size": 2}
    text = {**TEXT, "head_dim": 8, "rope_parameters": ROPE}
    return PaddleOCRVLForConditionalGeneration(
        PaddleOCRVLConfig(text_config=text, vision_config=vision, **TOKENS)
    )


def ernie_vl() -> Any:
    from transformers import Ernie4_5_VLMoeConfig, Ernie4_5_VLMoeForConditionalGeneration

    vision = {
        "depth": 2, "hidden_size": 32, "num_heads": 2, "intermediate_size": 64, "patch_size": 4,
    }  # fmt: skip
    text = {
        **TEXT, "moe_intermediate_size": [32, 32], "moe_k": 2, "moe_num_experts": 4,
        "mlp_layer_types": ["dense", "sparse"],
        "rope_parameters": {"rope_type": "default", "rope_theta": 10000.0, "mrope_section": [1, 1, 2]},
    }  # fmt: skip
    return Ernie4_5_VLMoeForConditionalGeneration(
        Ernie4_5_VLMoeConfig(
            text_config=text, vision_config=vision, image_token_id=IMAGE, video_token_id=VIDEO,
            image_start_token_id=START, image_end_token_id=END, video_start_token_id=3, video_end_token_id=4,
        )
    )  # fmt: skip


def minimax_m3() -> Any:
    """One layer of its two attends to the two best blocks of four tokens, and to the last one."""
    from transformers import MiniMaxM3SparseForConditionalGeneration, MiniMaxM3VLConfig

    text = {
        **TEXT, "head_dim": 8, "num_experts_per_tok": 2, "num_local_experts": 4,
        "dense_intermediate_size": 64,
        "shared_intermediate_size": 32, "rotary_dim": 8, "index_n_heads": 2, "index_head_dim": 8,
        "index_block_size": 4, "index_topk_blocks": 2, "mlp_layer_types": ["dense", "sparse"],
        "layer_types": ["full_attention", "minimax_m3_sparse"],
        "rope_parameters": {"rope_type": "default", "rope_theta": 10000.0},
    }  # fmt: skip
    vision = {
        "hidden_size": 48, "intermediate_size": 64, "num_hidden_layers": 2, "num_attention_heads": 2,
        "image_size": 32, "patch_size": 4,
    }  # fmt: skip
    return MiniMaxM3SparseForConditionalGeneration(
        MiniMaxM3VLConfig(
            text_config=text, vision_config=vision, image_token_index=IMAGE, video_token_index=VIDEO,
            projector_hidden_size=32,
        )
    )  # fmt: skip


# --- image inputs --------------------------------------------------------------------------------


def pooled(images: list[Image.Image]) -> dict[str, Any]:
    """As many squares an image as it is large, with the patches that each token pools: Molmo2."""
    crops: list[torch.Tensor] = []
    pools: list[torch.Tensor] = []
    grids: list[list[int]] = []
    for image in images:
        start = 16 * len(crops)
        wide, high = image.width // 32, image.height // 32
        for x, y in ((x, y) for y in range(high) for x in range(wide)):
            crop = _pixels(image.crop((32 * x, 32 * y, 32 * x + 32, 32 * y + 32)))
            crops.append(crop.unfold(1, 8, 8).unfold(2, 8, 8).permute(1, 2, 3, 4, 0).reshape(16, -1))
        places = torch.arange(16 * wide * high).reshape(-1, 2, 2, 2, 2).permute(0, 1, 3, 2, 4)
        pools.append(start + places.reshape(-1, 4))
        grids.append([2, 2, 4 * wide * high - 4, 1])
    return {
        "pixel_values": torch.stack(crops),
        "image_token_pooling": torch.cat(pools),
        "image_grids": torch.tensor(grids),
        "image_num_crops": torch.tensor([i.width * i.height // 1024 for i in images]),
    }


def in_rows(images: list[Image.Image]) -> dict[str, Any]:
    """Patches of all images one after the other, with the grid of each: HunYuan-VL."""
    cut = [_cut(image, 4) for image in images]
    return {
        "pixel_values": torch.cat([patches for patches, _, _ in cut]),
        "image_grid_thw": torch.tensor([[1, high, wide] for _, high, wide in cut]),
    }


def in_one_strip(images: list[Image.Image]) -> dict[str, Any]:
    """All patches side by side in one picture of a patch's height, with the grid of each: MiniCPM-V 4.6."""
    cut = [_cut(image, 4) for image in images]
    strips = [p.reshape(-1, 3, 4, 4).permute(1, 2, 0, 3).reshape(3, 4, -1) for p, _, _ in cut]
    return {
        "pixel_values": torch.cat(strips, dim=-1)[None],
        "target_sizes": torch.tensor([[high, wide] for _, high, wide in cut], dtype=torch.int32),
    }


def merged_patches(images: list[Image.Image]) -> dict[str, Any]:
    """As `patches` with one frame, and by how much each image is merged: VideoLLaMA 3."""
    cut = [_cut(image, 4) for image in images]
    return {
        "pixel_values": torch.cat([patches for patches, _, _ in cut]),
        "image_grid_thw": torch.tensor([[1, high, wide] for _, high, wide in cut]),
        "image_merge_sizes": torch.tensor([2] * len(images)),
    }


def with_overview(images: list[Image.Image]) -> dict[str, Any]:
    """An overview and a grid of tiles an image, padded to the most that an image has: LLaVA-NeXT."""
    from transformers.models.llava_next.image_processing_pil_llava_next import LlavaNextImageProcessorPil

    processor = LlavaNextImageProcessorPil(
        size={"shortest_edge": 32}, crop_size={"height": 32, "width": 32}, image_grid_pinpoints=PINPOINTS
    )
    made = processor(images, return_tensors="pt")
    return {k: made[k] for k in ("pixel_values", "image_sizes")}


def squares_in_a_row(images: list[Image.Image]) -> dict[str, Any]:
    """Squares of an item's images in a dimension of their own, with masks of their pixels: Idefics2."""
    pixels = squares(images)["pixel_values"]
    return {
        "pixel_values": pixels[None],
        "pixel_attention_mask": torch.ones((1, len(images), *pixels.shape[-2:]), dtype=torch.long),
    }


def placed_patches(images: list[Image.Image]) -> dict[str, Any]:
    """Patches of each image, padded to 128, with their places; -1 for padding: Gemma 4."""
    cut = [_cut(image, 4) for image in images]
    pixels, places = torch.zeros(len(images), 128, 48), torch.full((len(images), 128, 2), -1)
    for row, (of_image, high, wide) in enumerate(cut):
        pixels[row, : len(of_image)] = of_image / 2 + 0.5
        places[row, : len(of_image)] = torch.tensor([(x, y) for y in range(high) for x in range(wide)])
    return {"pixel_values": pixels, "image_position_ids": places}


def small_patches(images: list[Image.Image]) -> dict[str, Any]:
    """As `in_rows`, each patch a picture: PaddleOCR-VL."""
    made = in_rows(images)
    return {**made, "pixel_values": made["pixel_values"].reshape(-1, 3, 4, 4)}


def _cut(image: Image.Image, size: int) -> tuple[torch.Tensor, int, int]:
    """Patches (n, 3 * size * size) of an image at half its size, and how many a column and a row have."""
    sized = image.resize((image.width // 16 * 8, image.height // 16 * 8))
    cut = _pixels(sized).unfold(1, size, size).unfold(2, size, size).permute(1, 2, 0, 3, 4)
    return cut.reshape(-1, 3 * size * size), sized.height // size, sized.width // size


MORE = (
    Family("molmo2", molmo2, pooled, types="mm_token_type_ids"),
    Family("hunyuan-vl", hunyuan_vl, in_rows, types="mm_token_type_ids"),
    Family("minicpm-v4.6", minicpm_v46, in_one_strip, path="cached"),
    Family("qwen3.5-moe", qwen3_5_moe, patches, path="cached", types="mm_token_type_ids"),
    Family("qwen4-exp", qwen4_exp, patches, path="cached", types="mm_token_type_ids"),
    Family("lfm3-vl", lfm3_vl, patches, path="cached"),
    Family("glm5-next", glm5_next, patches, path="cached", types="mm_token_type_ids"),
    Family("llava-longrope", long_rope, squares),
    Family("llava-dynamic-rope", growing_rope, squares),
    Family("qwen2.5-omni", qwen2_5_omni, patches, path="cached"),
    Family("aya-vision", aya_vision, squares),
    Family("cohere2-vision", cohere2_vision, squares),
    Family("aria", aria, squares),
    Family("llava-next", llava_next, with_overview),
    Family("vipllava", vipllava, squares),
    Family("llama4", llama4, squares, path="cached"),
    Family("gemma4", gemma4, placed_patches, types="mm_token_type_ids"),
    Family("idefics2", idefics2, squares_in_a_row),
    Family("ovis2", ovis2, squares),
    Family("paddleocr-vl", paddleocr_vl, small_patches, types="mm_token_type_ids"),
    Family("ernie4.5-vl", ernie_vl, in_rows, types="mm_token_type_ids"),
    Family("minimax-m3-vl", minimax_m3, patches, path="cached"),
    Family("video-llama3", video_llama3, merged_patches, path="cached"),
)
