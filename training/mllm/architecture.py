"""Architecture of the bundled MLLM: CLIP-style tower, GELU projector, Llama decoder, all small."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from jurat.models.hf.torchvision_import import prepare_torchvision

if TYPE_CHECKING:
    from transformers import LlavaForConditionalGeneration

SIDE = 128
PATCH = 16
PATCHES = (SIDE // PATCH) ** 2
WIDTH = 192
TOWER_LAYERS = 6
DECODER_LAYERS = 4
HEADS = 6
MLP = 512
"""Width of the decoder's MLPs."""


def build(
    vocabulary: int, *, image_token: int = 3, bos: int = 1, eos: int = 2, pad: int = 0
) -> LlavaForConditionalGeneration:
    """A fresh model with scaled initial weights, in float32."""
    prepare_torchvision()
    from transformers import CLIPVisionConfig, LlamaConfig, LlavaConfig, LlavaForConditionalGeneration

    tower = CLIPVisionConfig(
        hidden_size=WIDTH,
        intermediate_size=4 * WIDTH,
        num_hidden_layers=TOWER_LAYERS,
        num_attention_heads=HEADS,
        image_size=SIDE,
        patch_size=PATCH,
        hidden_act="quick_gelu",
        projection_dim=WIDTH,
    )
    decoder = LlamaConfig(
        vocab_size=vocabulary,
        hidden_size=WIDTH,
        intermediate_size=MLP,
        num_hidden_layers=DECODER_LAYERS,
        num_attention_heads=HEADS,
        num_key_value_heads=HEADS,
        max_position_embeddings=1024,
        tie_word_embeddings=True,
        bos_token_id=bos,
        eos_token_id=eos,
        pad_token_id=pad,
    )
    config = LlavaConfig(
        vision_config=tower,
        text_config=decoder,
        image_token_index=image_token,
        vision_feature_layer=-1,
        vision_feature_select_strategy="default",
        projector_hidden_act="gelu",
        image_seq_length=PATCHES,
        tie_word_embeddings=True,
        # On a CPU the backward pass of fused attention is several times slower than that of plain attention.
        attn_implementation="eager",  # pyright: ignore[reportCallIssue]
    )
    model = LlavaForConditionalGeneration(config)
    _initialise(model)
    return model


def _initialise(model: LlavaForConditionalGeneration) -> None:
    from torch import nn

    closing = ("out_proj.weight", "fc2.weight", "o_proj.weight", "down_proj.weight")
    for name, weight in model.named_parameters():
        if weight.ndim >= 2 and "embed" not in name:
            nn.init.normal_(weight, std=weight[0].numel() ** -0.5)
            if name.endswith(closing):
                weight.data.mul_(0.5 / math.sqrt(TOWER_LAYERS))
    embeddings = model.model.vision_tower.embeddings
    nn.init.normal_(embeddings.patch_embedding.weight, std=(3 * PATCH**2) ** -0.5)
    nn.init.normal_(embeddings.position_embedding.weight, std=0.3)
    nn.init.normal_(model.model.language_model.embed_tokens.weight, std=WIDTH**-0.5)
