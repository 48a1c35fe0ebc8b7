"""Networks of known shapes with random weights, and prompts for them: timing does not depend on the weights.

`qwen3vl-100m` is a decoder of about 100 million parameters without its embeddings, small enough for a CPU.
`qwen3vl-8b` is Qwen3-VL-8B, part for part. `qwen3vl-tiny` is for tests.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from jurat.models.hf.prompt import Prompt

QUESTION = 24
"""Tokens of one question."""
INSTRUCTION = 16
"""Tokens of text that all questions share, behind the image."""
YES, NO = [5, 6], [7, 8]
"""The ids of the answers, of any tokens."""
_FIRST_WORD = 10


@dataclass(frozen=True)
class Shape:
    """Settings of Qwen3-VL's two parts, as transformers names them."""

    text: dict[str, Any]
    vision: dict[str, Any]


SHAPES = {
    "qwen3vl-100m": Shape(
        {
            "vocab_size": 32_000, "hidden_size": 768, "intermediate_size": 2560, "num_hidden_layers": 12,
            "num_attention_heads": 8, "num_key_value_heads": 4, "head_dim": 128,
        },
        {
            "depth": 12, "hidden_size": 384, "intermediate_size": 1536, "num_heads": 6,
            "out_hidden_size": 768, "deepstack_visual_indexes": [3, 6, 9],
        },
    ),
    "qwen3vl-8b": Shape(
        {
            "vocab_size": 151_936, "hidden_size": 4096, "intermediate_size": 12_288, "num_hidden_layers": 36,
            "num_attention_heads": 32, "num_key_value_heads": 8, "head_dim": 128,
        },
        {
            "depth": 27, "hidden_size": 1152, "intermediate_size": 4304, "num_heads": 16,
            "out_hidden_size": 4096, "deepstack_visual_indexes": [8, 16, 24],
        },
    ),
    "qwen3vl-tiny": Shape(
        {
            "vocab_size": 128, "hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2,
            "num_attention_heads": 4, "num_key_value_heads": 2, "head_dim": 128,
        },
        {
            "depth": 2, "hidden_size": 32, "intermediate_size": 64, "num_heads": 2, "out_hidden_size": 32,
            "deepstack_visual_indexes": [0],
        },
    ),
}  # fmt: skip

_ROPE = {
    "rope_type": "default",
    "rope_theta": 5_000_000.0,
    "mrope_section": [24, 20, 20],
    "mrope_interleaved": True,
}
_PATCH, _MERGE, _FRAMES = 16, 2, 2


def build(name: str, device: Any, dtype: str, seed: int = 0) -> Any:
    """A `Qwen3VLForConditionalGeneration` of that shape, in evaluation mode."""
    import torch

    from jurat.models.hf.torchvision_import import prepare_torchvision

    prepare_torchvision()
    from transformers import Qwen3VLConfig, Qwen3VLForConditionalGeneration

    shape = SHAPES[name]
    size = shape.text["vocab_size"]
    config = Qwen3VLConfig(
        text_config={**shape.text, "rope_parameters": _ROPE, "max_position_embeddings": 262_144},
        vision_config={**shape.vision, "patch_size": _PATCH, "num_position_embeddings": 2304},
        image_token_id=size - 1,
        video_token_id=size - 2,
        vision_start_token_id=size - 3,
        vision_end_token_id=size - 4,
    )
    torch.manual_seed(seed)
    with torch.device(device):
        return Qwen3VLForConditionalGeneration._from_config(config, dtype=getattr(torch, dtype)).eval()


def decoder_parameters(network: Any) -> int:
    """Parameters of the decoder without its token embeddings."""
    decoder = network.model.language_model
    return sum(p.numel() for p in decoder.parameters()) - decoder.embed_tokens.weight.numel()


def qwen_prompt(network: Any, image_tokens: int, clauses: int, seed: int = 0) -> Prompt:
    """An image of that many tokens between its marks, the instruction, and questions, all of random words."""
    import torch

    from jurat.models.hf.prompt import Prompt

    config = network.config
    height, width = _sides(image_tokens)
    words = random_words(config.vision_end_token_id, INSTRUCTION + clauses * QUESTION, seed)
    image = [config.image_token_id] * image_tokens
    prefix = torch.tensor(
        [config.vision_start_token_id, *image, config.vision_end_token_id, *words[:INSTRUCTION]]
    )
    generator = torch.Generator().manual_seed(seed)
    patches = torch.randn(
        image_tokens * _MERGE**2, 3 * _FRAMES * _PATCH**2, generator=generator, dtype=torch.float32
    )
    kinds = torch.cat([(prefix == config.image_token_id).int(), torch.zeros(1, dtype=torch.int)])
    grid = torch.tensor([[1, height * _MERGE, width * _MERGE]])
    return Prompt(
        prefix,
        segments(words[INSTRUCTION:]),
        {"mm_token_type_ids": kinds},
        {"pixel_values": patches, "image_grid_thw": grid},
    )


def llava_prompt(network: Any, clauses: int, seed: int = 0) -> Prompt:
    """The same for a LLaVA whose images have one size."""
    import torch

    from jurat.models.hf.prompt import Prompt

    config, side = network.config, network.config.vision_config.image_size
    words = random_words(config.text_config.vocab_size, INSTRUCTION + clauses * QUESTION, seed)
    image = [config.image_token_id] * llava_image_tokens(network)
    pixels = torch.randn(1, 3, side, side, generator=torch.Generator().manual_seed(seed))
    prefix = torch.tensor([*image, *words[:INSTRUCTION]])
    return Prompt(prefix, segments(words[INSTRUCTION:]), {}, {"pixel_values": pixels})


def llava_image_tokens(network: Any) -> int:
    vision = network.config.vision_config
    return int((vision.image_size // vision.patch_size) ** 2)


def random_words(below: int, count: int, seed: int) -> list[int]:
    """Ids under `below` that are no special tokens and no answers."""
    import torch

    generator = torch.Generator().manual_seed(seed)
    return torch.randint(_FIRST_WORD, below, (count,), generator=generator).tolist()


def segments(words: list[int]) -> tuple[tuple[int, ...], ...]:
    """Questions of `QUESTION` tokens each."""
    return tuple(tuple(words[at : at + QUESTION]) for at in range(0, len(words), QUESTION))


def _sides(area: int) -> tuple[int, int]:
    """The most nearly square sides of a grid with that many cells."""
    height = next(side for side in range(math.isqrt(area), 0, -1) if area % side == 0)
    return height, area // height
