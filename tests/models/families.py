"""Tiny networks of many families with random weights, and prompts as their processors would make them.

Some families' processors need torchvision, which is not installed everywhere. Image inputs are made by
the processors' Pillow halves where these have one, or as they lay them out; token ids are made by hand.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

import torch
from PIL import Image

from jurat.models.hf.prompt import Prompt

from .tiny import picture

VOCABULARY = 64
YES, NO = [10, 11], [12, 13]
START, END, IMAGE, VIDEO = 60, 61, 62, 63
TEXT: dict[str, Any] = {
    "vocab_size": VOCABULARY,
    "hidden_size": 32,
    "intermediate_size": 64,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "max_position_embeddings": 512,
    "pad_token_id": 0,
    "bos_token_id": 1,
    "eos_token_id": 2,
}
TOWER: dict[str, Any] = {
    "hidden_size": 32,
    "intermediate_size": 64,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "image_size": 32,
    "patch_size": 8,
}
"""Configuration of a vision tower like CLIP's, with 16 patches."""
AXES: dict[str, Any] = {
    "depth": 2, "hidden_size": 32, "out_hidden_size": 32, "num_heads": 2, "intermediate_size": 64,
    "patch_size": 4, "temporal_patch_size": 2,
}  # fmt: skip
"""Configuration of a vision tower like Qwen-VL's, with as many patches as the image has."""
ROPE = {"rope_type": "default", "rope_theta": 10000.0, "mrope_section": [1, 1, 2]}
TOKENS = {
    "image_token_id": IMAGE,
    "video_token_id": VIDEO,
    "vision_start_token_id": START,
    "vision_end_token_id": END,
}
SQUARE = (32, 32)
Sizes = Sequence[tuple[int, int]]


@dataclass(frozen=True)
class Family:
    """How a family is built, and what is expected of it."""

    name: str
    build: Callable[[], Any]
    images: Callable[[list[Image.Image]], dict[str, Any]]
    """What its image processor makes of an item's images."""
    path: str = "packed"
    """That is taken for questions about images."""
    types: str | None = None
    """The input that tells image tokens from text."""
    several: bool = True
    """Whether an item may have several images."""
    cross: bool = False
    """Whether images are attended to across, from one token each."""

    def network(self, scale: float = 6.0) -> Any:
        return _made(self, scale)

    def prompt(self, seed: int, lengths: Sequence[int], sizes: Sizes | None = (SQUARE,)) -> Prompt:
        """Images of `sizes` (None for none), one to three tokens of instruction, then the questions."""
        text = [20, 21, 22][: 1 + seed % 3]
        if not sizes:
            return Prompt(torch.tensor(text), questions(seed, lengths), {}, {})
        images = {
            k: torch.as_tensor(v)
            for k, v in self.images([picture(seed + i, s) for i, s in enumerate(sizes)]).items()
        }
        counts = [1] * len(sizes) if self.cross else self._counts(images)
        ids = torch.tensor([x for count in counts for x in (START, *[IMAGE] * count, END)] + text)
        along: dict[str, torch.Tensor] = {}
        if self.types:
            along[self.types] = torch.cat([(ids == IMAGE).long(), torch.zeros(1, dtype=torch.long)])
        if self.name.startswith("paligemma"):  # all of a prompt is prefix there, and 0
            along[self.types or ""] = torch.zeros(len(ids) + 1, dtype=torch.long)
        if self.cross:
            along["cross_attention_mask"] = _crossing(ids.tolist(), images.pop("num_tiles"))
        return Prompt(ids, questions(seed, lengths), along, images)

    def _counts(self, images: dict[str, torch.Tensor]) -> list[int]:
        """Tokens of each image (or of all together): as many as the network has features for them."""
        from inspect import signature

        inner = getattr(self.network(), "model", self.network())
        taken = signature(inner.get_image_features).parameters
        defaults = {k: getattr(inner.config, k) for k in taken if k.startswith("vision_feature")}
        if "vision_aspect_ratio" in taken:
            defaults["vision_aspect_ratio"] = inner.config.vision_aspect_ratio
        with torch.inference_mode():
            found = inner.get_image_features(
                **defaults, **{k: v for k, v in images.items() if k in taken}, return_dict=True
            )
        pooled = found.pooler_output
        return [len(one) for one in (found.last_hidden_state if pooled is None else pooled)]


@cache
def _made(family: Family, scale: float) -> Any:
    """A network with weights so large that its answers depend on every token."""
    torch.manual_seed(0)
    network = family.build().eval()
    with torch.no_grad():
        for name, weight in network.named_parameters():
            if weight.ndim == 2 and not weight.any():  # a projector that is zero before training
                weight.normal_(std=0.2)
            elif weight.ndim == 2 and "norm" not in name:
                weight.mul_(scale)
            elif "gate" in name and weight.ndim == 1:  # of cross-attention: closed before training
                weight.fill_(1.0)
    network.generation_config.eos_token_id = 2
    return network


def questions(seed: int, lengths: Sequence[int]) -> tuple[tuple[int, ...], ...]:
    generator = torch.Generator().manual_seed(seed)
    return tuple(tuple(torch.randint(14, 60, (n,), generator=generator).tolist()) for n in lengths)


# --- networks ------------------------------------------------------------------------------------


def llava(text: Any = None) -> Any:
    from transformers import CLIPVisionConfig, LlamaConfig, LlavaConfig, LlavaForConditionalGeneration

    return LlavaForConditionalGeneration(
        LlavaConfig(
            vision_config=CLIPVisionConfig(**TOWER), text_config=text or LlamaConfig(**TEXT),
            image_token_id=IMAGE, vision_feature_layer=-1, vision_feature_select_strategy="default",
        )
    )  # fmt: skip


def windowed_llava() -> Any:
    """Every layer of its decoder looks back six tokens only."""
    from transformers import MistralConfig

    return llava(MistralConfig(**TEXT, sliding_window=6))


def llava_onevision() -> Any:
    from transformers import (
        LlavaOnevisionConfig,
        LlavaOnevisionForConditionalGeneration,
        Qwen2Config,
        SiglipVisionConfig,
    )

    return LlavaOnevisionForConditionalGeneration(
        LlavaOnevisionConfig(
            vision_config=SiglipVisionConfig(**TOWER), text_config=Qwen2Config(**TEXT),
            image_token_index=IMAGE, video_token_index=VIDEO, image_grid_pinpoints=PINPOINTS,
        )
    )  # fmt: skip


def qwen2_vl() -> Any:
    from transformers import Qwen2VLConfig, Qwen2VLForConditionalGeneration

    vision = {
        "depth": 2, "embed_dim": 32, "hidden_size": 32, "num_heads": 2, "mlp_ratio": 2, "patch_size": 4,
        "temporal_patch_size": 2,
    }  # fmt: skip
    return Qwen2VLForConditionalGeneration(
        Qwen2VLConfig(text_config={**TEXT, "rope_parameters": ROPE}, vision_config=vision, **TOKENS)
    )


def qwen2_5_vl() -> Any:
    from transformers import Qwen2_5_VLConfig, Qwen2_5_VLForConditionalGeneration

    vision = {**AXES, "window_size": 16, "fullatt_block_indexes": [1]}
    return Qwen2_5_VLForConditionalGeneration(
        Qwen2_5_VLConfig(text_config={**TEXT, "rope_parameters": ROPE}, vision_config=vision, **TOKENS)
    )


def qwen3_vl() -> Any:
    from transformers import Qwen3VLConfig, Qwen3VLForConditionalGeneration

    vision = {**AXES, "num_position_embeddings": 64, "deepstack_visual_indexes": [0]}
    text = {**TEXT, "head_dim": 8, "rope_parameters": {**ROPE, "mrope_interleaved": True}}
    return Qwen3VLForConditionalGeneration(Qwen3VLConfig(text_config=text, vision_config=vision, **TOKENS))


def internvl() -> Any:
    from transformers import InternVLConfig, InternVLForConditionalGeneration, Qwen2Config

    vision = {**TOWER, "image_size": [32, 32], "patch_size": [8, 8]}
    return InternVLForConditionalGeneration(
        InternVLConfig(
            vision_config=vision, text_config=Qwen2Config(**TEXT), image_token_id=IMAGE, image_seq_length=4
        )
    )


def gemma3() -> Any:
    from transformers import Gemma3Config, Gemma3ForConditionalGeneration, SiglipVisionConfig

    text = {
        **TEXT, "head_dim": 8, "sliding_window": 8, "query_pre_attn_scalar": 8,
        "layer_types": ["sliding_attention", "full_attention"],
    }  # fmt: skip
    return Gemma3ForConditionalGeneration(
        Gemma3Config(
            vision_config=SiglipVisionConfig(**TOWER), text_config=text, mm_tokens_per_image=4,
            image_token_id=IMAGE, boi_token_index=START, eoi_token_index=END,
        )
    )  # fmt: skip


def idefics3() -> Any:
    from transformers import Idefics3Config, Idefics3ForConditionalGeneration, LlamaConfig

    return Idefics3ForConditionalGeneration(
        Idefics3Config(
            vision_config=TOWER, text_config=LlamaConfig(**TEXT), image_token_id=IMAGE, scale_factor=2
        )
    )


def smolvlm() -> Any:
    from transformers import LlamaConfig, SmolVLMConfig, SmolVLMForConditionalGeneration

    return SmolVLMForConditionalGeneration(
        SmolVLMConfig(
            vision_config=TOWER, text_config=LlamaConfig(**TEXT), image_token_id=IMAGE, scale_factor=2
        )
    )


def paligemma() -> Any:
    from transformers import (
        GemmaConfig,
        PaliGemmaConfig,
        PaliGemmaForConditionalGeneration,
        SiglipVisionConfig,
    )

    return PaliGemmaForConditionalGeneration(
        PaliGemmaConfig(
            vision_config=SiglipVisionConfig(**TOWER, projection_dim=32, vision_use_head=False),
            text_config=GemmaConfig(**TEXT, head_dim=8), image_token_index=IMAGE, vocab_size=VOCABULARY,
            projection_dim=32, hidden_size=32,
        )
    )  # fmt: skip


def mllama() -> Any:
    from transformers import MllamaConfig, MllamaForConditionalGeneration

    vision = {
        "hidden_size": 32, "num_hidden_layers": 2, "num_global_layers": 1, "attention_heads": 2,
        "intermediate_size": 64, "vision_output_dim": 64, "image_size": 32, "patch_size": 8,
        "max_num_tiles": 4, "intermediate_layers_indices": [0],
    }  # fmt: skip
    text = {
        **TEXT, "num_hidden_layers": 3, "cross_attention_layers": [1],
        "rope_parameters": {"rope_type": "default", "rope_theta": 10000.0},
    }  # fmt: skip
    return MllamaForConditionalGeneration(
        MllamaConfig(vision_config=vision, text_config=text, image_token_index=IMAGE)
    )


def mistral3() -> Any:
    from transformers import Mistral3Config, Mistral3ForConditionalGeneration, MistralConfig

    vision = {
        "model_type": "pixtral", "hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2,
        "num_attention_heads": 2, "head_dim": 16, "image_size": 64, "patch_size": 4,
    }  # fmt: skip
    return Mistral3ForConditionalGeneration(
        Mistral3Config(
            vision_config=vision, text_config=MistralConfig(**TEXT, sliding_window=None),
            image_token_index=IMAGE, spatial_merge_size=2,
        )
    )  # fmt: skip


def pixtral() -> Any:
    """LLaVA around a tower that takes images as they are: the first Pixtral."""
    from transformers import LlavaConfig, LlavaForConditionalGeneration, MistralConfig

    vision = {
        "model_type": "pixtral", "hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2,
        "num_attention_heads": 2, "head_dim": 16, "image_size": 64, "patch_size": 8,
    }  # fmt: skip
    return LlavaForConditionalGeneration(
        LlavaConfig(
            vision_config=vision, text_config=MistralConfig(**TEXT, sliding_window=None),
            image_token_index=IMAGE, vision_feature_layer=-1, vision_feature_select_strategy="full",
        )
    )  # fmt: skip


def glm4v() -> Any:
    from transformers import Glm4vConfig, Glm4vForConditionalGeneration

    vision = {**AXES, "image_size": 32, "spatial_merge_size": 2}
    text = {**TEXT, "rope_parameters": {**ROPE, "partial_rotary_factor": 1.0}}
    marks = {"image_start_token_id": START, "image_end_token_id": END}
    return Glm4vForConditionalGeneration(
        Glm4vConfig(
            text_config=text, vision_config=vision, image_token_id=IMAGE, video_token_id=VIDEO,
            video_start_token_id=58, video_end_token_id=59, **marks,
        )
    )  # fmt: skip


def qwen3_5() -> Any:
    from transformers import Qwen3_5Config, Qwen3_5ForConditionalGeneration

    text = {
        **TEXT, "head_dim": 8, "linear_key_head_dim": 8, "linear_value_head_dim": 8,
        "linear_num_key_heads": 2, "linear_num_value_heads": 4,
        "layer_types": ["linear_attention", "full_attention"],
        "rope_parameters": {**ROPE, "mrope_interleaved": True, "partial_rotary_factor": 1.0},
    }  # fmt: skip
    vision = {**AXES, "num_position_embeddings": 64}
    return Qwen3_5ForConditionalGeneration(Qwen3_5Config(text_config=text, vision_config=vision, **TOKENS))


def lfm2_vl() -> Any:
    from transformers import Lfm2Config, Lfm2VlConfig, Lfm2VlForConditionalGeneration

    vision = {
        "model_type": "siglip2_vision_model", "hidden_size": 32, "intermediate_size": 64,
        "num_hidden_layers": 2, "num_attention_heads": 2, "patch_size": 4, "num_patches": 64,
    }  # fmt: skip
    text = Lfm2Config(**TEXT, layer_types=["conv", "full_attention"], block_multiple_of=8)
    return Lfm2VlForConditionalGeneration(
        Lfm2VlConfig(vision_config=vision, text_config=text, image_token_id=IMAGE, projector_hidden_size=32)
    )


# --- image inputs --------------------------------------------------------------------------------


PINPOINTS = [[32, 32], [32, 64], [64, 32], [64, 64]]


def squares(images: list[Image.Image]) -> dict[str, Any]:
    """All images resized to one size."""
    return {"pixel_values": torch.stack([_pixels(image.resize(SQUARE)) for image in images])}


def tiled(images: list[Image.Image]) -> dict[str, Any]:
    """As many squares an image as it is wide, all in one row: InternVL."""
    tiles = [image.resize((32 * max(1, image.width // 32), 32)) for image in images]
    return {
        "pixel_values": torch.stack(
            [_pixels(tile.crop((x, 0, x + 32, 32))) for tile in tiles for x in range(0, tile.width, 32)]
        )
    }


def patches(images: list[Image.Image]) -> dict[str, Any]:
    """Patches of all images one after the other, with the grid of each: Qwen-VL, GLM-V."""
    from transformers.models.qwen2_vl.image_processing_pil_qwen2_vl import Qwen2VLImageProcessorPil

    processor = Qwen2VLImageProcessorPil(
        patch_size=4, merge_size=2, temporal_patch_size=2, size={"shortest_edge": 64, "longest_edge": 4096}
    )
    return dict(processor(images, return_tensors="pt"))


def grid(images: list[Image.Image]) -> dict[str, Any]:
    """An overview and a grid of tiles an image: LLaVA-OneVision."""
    from transformers.models.llava_onevision.image_processing_pil_llava_onevision import (
        LlavaOnevisionImageProcessorPil,
    )

    processor = LlavaOnevisionImageProcessorPil(
        size={"height": 32, "width": 32}, image_grid_pinpoints=PINPOINTS
    )
    made = processor([images], return_tensors="pt")
    return {k: made[k] for k in ("pixel_values", "image_sizes", "batch_num_images")}


def split(images: list[Image.Image]) -> dict[str, Any]:
    """Tiles and an overview an image, with masks of what is padding: Idefics3, SmolVLM."""
    from transformers.models.idefics3.image_processing_pil_idefics3 import Idefics3ImageProcessorPil

    processor = Idefics3ImageProcessorPil(size={"longest_edge": 64}, max_image_size={"longest_edge": 32})
    made = processor([images], return_tensors="pt")
    return {k: made[k] for k in ("pixel_values", "pixel_attention_mask")}


def tiles_and_ratios(images: list[Image.Image]) -> dict[str, Any]:
    """Up to four tiles an image, with aspect ratios: Mllama."""
    from transformers.models.mllama.image_processing_pil_mllama import MllamaImageProcessorPil

    processor = MllamaImageProcessorPil(size={"height": 32, "width": 32}, max_image_tiles=4)
    return dict(processor([images], return_tensors="pt"))


def as_they_are(images: list[Image.Image], multiple: int = 8) -> dict[str, Any]:
    """Images in their own sizes, padded to the largest, with these sizes: Pixtral, Mistral 3."""
    sized = [
        image.resize((image.width // multiple * multiple, image.height // multiple * multiple))
        for image in images
    ]
    height, width = max(i.height for i in sized), max(i.width for i in sized)
    pixels = torch.zeros(len(sized), 3, height, width)
    for row, image in enumerate(sized):
        pixels[row, :, : image.height, : image.width] = _pixels(image)
    return {"pixel_values": pixels, "image_sizes": torch.tensor([[i.height, i.width] for i in sized])}


def padded_patches(images: list[Image.Image]) -> dict[str, Any]:
    """Patches of 4 x 4 pixels of each image, padded to 64, with masks: LFM2-VL."""
    pixels = torch.zeros(len(images), 64, 48)
    mask = torch.zeros(len(images), 64, dtype=torch.int32)
    shapes = torch.zeros(len(images), 2, dtype=torch.long)
    for row, image in enumerate(images):
        sized = image.resize((image.width // 8 * 4, image.height // 8 * 4))
        cut = _pixels(sized).unfold(1, 4, 4).unfold(2, 4, 4).permute(1, 2, 3, 4, 0).reshape(-1, 48)
        pixels[row, : len(cut)], mask[row, : len(cut)] = cut, 1
        shapes[row] = torch.tensor([sized.height // 4, sized.width // 4])
    return {"pixel_values": pixels, "pixel_attention_mask": mask, "spatial_shapes": shapes}


def _pixels(image: Image.Image) -> torch.Tensor:
    """(3, height, width), in [-1, 1]."""
    data = torch.tensor(list(image.convert("RGB").tobytes()), dtype=torch.float32)
    return (data / 127.5 - 1).reshape(image.height, image.width, 3).permute(2, 0, 1)


def _crossing(ids: list[int], tiles: torch.Tensor) -> torch.Tensor:
    """Which tiles each token attends to, and the last one again for what follows."""
    from transformers.models.mllama.processing_mllama import (
        convert_sparse_cross_attention_mask_to_dense,
        get_cross_attention_token_mask,
    )

    dense = convert_sparse_cross_attention_mask_to_dense(
        [get_cross_attention_token_mask(ids, IMAGE)], tiles.tolist(), 4, len(ids)
    )[0]
    return torch.cat([torch.tensor(dense), torch.tensor(dense[-1:])])


FAMILIES = (
    Family("llava", llava, squares),
    Family("llava-windowed", windowed_llava, squares),
    Family("llava-onevision", llava_onevision, grid),
    Family("qwen2-vl", qwen2_vl, patches, types="mm_token_type_ids"),
    Family("qwen2.5-vl", qwen2_5_vl, patches, types="mm_token_type_ids"),
    Family("qwen3-vl", qwen3_vl, patches, types="mm_token_type_ids"),
    Family("internvl", internvl, tiled),
    Family("gemma3", gemma3, squares, types="token_type_ids"),
    Family("idefics3", idefics3, split),
    Family("smolvlm", smolvlm, split),
    Family("paligemma", paligemma, squares, path="plain", types="token_type_ids"),
    Family("mllama", mllama, tiles_and_ratios, cross=True),
    Family("mistral3", mistral3, as_they_are),
    Family("pixtral", pixtral, as_they_are),
    Family("glm4v", glm4v, patches, types="mm_token_type_ids"),
    Family("qwen3.5", qwen3_5, patches, path="cached", types="mm_token_type_ids"),
    Family("lfm2-vl", lfm2_vl, padded_patches, path="cached"),
)
BY_NAME = {family.name: family for family in FAMILIES}
