"""The training forward pass: a prefix once, then many short texts, each attending to the prefix and itself.

It runs the layers of the transformers model over B items, each with C chunks of L tokens, with several texts
packed into a chunk so that little is padding. `tests/training` checks that it equals the model's
plain forward pass.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

if TYPE_CHECKING:
    from transformers import LlamaModel


@dataclass
class Pack:
    """Texts packed into chunks; all fields have the shape (B, C, L), except `pick`."""

    ids: Tensor
    text: Tensor
    """Number of the text within its chunk; -1 is padding."""
    position: Tensor
    """Position within the text, from 0."""
    pick: Tensor
    """Positions, in the flattened C * L, whose next token is to be predicted: (B, Q); -1 is padding."""


def forward(decoder: LlamaModel, prefix: Tensor, pack: Pack, tap: int) -> tuple[Tensor, Tensor]:
    """Runs the decoder.

    prefix: embeddings (B, N, D). Returns the final hidden states at `pick`, (B, Q, D), and the hidden
    states of all texts after layer number `tap`, (B, C, L, D).
    """
    from transformers.models.llama.modeling_llama import apply_rotary_pos_emb

    batch, length, width = prefix.shape
    chunks, span = pack.ids.shape[1:]
    config = decoder.config
    heads = config.num_attention_heads
    size = width // heads
    dtype = prefix.dtype
    text = decoder.embed_tokens(pack.ids).reshape(batch, chunks * span, width)
    first = decoder.rotary_emb(prefix, torch.arange(length, device=prefix.device)[None])
    later = decoder.rotary_emb(text, pack.position.reshape(batch, -1) + length)
    lowest = torch.finfo(dtype).min
    causal = torch.full((length, length), lowest, dtype=dtype, device=prefix.device).triu(1)
    same = (pack.text[..., :, None] == pack.text[..., None, :]) & (pack.text[..., None] >= 0)
    order = torch.ones(span, span, dtype=torch.bool, device=prefix.device).tril()
    own = torch.zeros(same.shape, dtype=dtype, device=prefix.device).masked_fill(~(same & order), lowest)
    own = own[:, :, None]  # (B, C, 1, L, L)

    def split(x: Tensor) -> Tensor:
        return x.view(batch, -1, heads, size).transpose(1, 2)

    tapped = text
    layers: list[Any] = list(decoder.layers)
    for number, layer in enumerate(layers):
        attention = layer.self_attn
        normed = layer.input_layernorm(prefix)
        query, key = apply_rotary_pos_emb(
            split(attention.q_proj(normed)), split(attention.k_proj(normed)), *first
        )
        value = split(attention.v_proj(normed))
        if number < len(layers) - 1:
            weights = (query @ key.transpose(-1, -2) * size**-0.5 + causal).softmax(-1)
            prefix = prefix + attention.o_proj(
                (weights @ value).transpose(1, 2).reshape(batch, length, width)
            )
            prefix = prefix + layer.mlp(layer.post_attention_layernorm(prefix))

        normed = layer.input_layernorm(text)
        query, mine = apply_rotary_pos_emb(
            split(attention.q_proj(normed)), split(attention.k_proj(normed)), *later
        )
        own_value = split(attention.v_proj(normed))
        # Attention of each token to the prefix and to its own chunk, under one softmax.
        to_prefix = (query @ key.transpose(-1, -2)).view(batch, heads, chunks, span, length).transpose(1, 2)
        blocks = [x.view(batch, heads, chunks, span, size).transpose(1, 2) for x in (query, mine, own_value)]
        to_own = blocks[0] @ blocks[1].transpose(-1, -2)
        weights = torch.cat([to_prefix * size**-0.5, to_own * size**-0.5 + own], -1).softmax(-1)
        seen = (weights[..., :length].transpose(1, 2).reshape(batch, heads, -1, length) @ value).transpose(
            1, 2
        )
        read = (weights[..., length:] @ blocks[2]).permute(0, 1, 3, 2, 4).reshape(batch, -1, heads, size)
        text = text + attention.o_proj((seen + read).reshape(batch, chunks * span, width))
        if number == len(layers) - 1:
            text = torch.gather(text, 1, pack.pick.clamp(min=0)[..., None].expand(-1, -1, width))
        text = text + layer.mlp(layer.post_attention_layernorm(text))
        if number == tap:
            tapped = text.view(batch, chunks, span, width)
    return decoder.norm(text), tapped
