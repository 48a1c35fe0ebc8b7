"""Attention of a pack in blocks, so that pairs of tokens that no mask lets see each other cost little.

Most of a pack's mask is empty: a question sees the prefix and itself, never another question, and one
call over the whole mask would compute all pairs all the same. So the prefix attends to itself, by the
kernel for causal masks where its mask is causal, and each run of a few questions attends to the prefix
and to its own run, under its part of the mask. The sums are the same, for a token that is not seen adds
nothing.

The blocks are an attribute of the mask. Where a family hands its layers that very tensor, attention
finds them there; where it makes another one of it, or asks for what is not known here, attention takes
the whole mask.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from torch import Tensor

NAME = "sdpa_in_blocks"
"""Name under which transformers knows this attention."""
RUN = 96
"""Tokens of a run, at least, but for the last one: fewer make more calls, more make more empty pairs."""
_ATTRIBUTE = "_jurat_blocks"
_BEYOND = ("softcap", "position_bias", "cache", "s_aux")
"""Settings of an attention that change its sums."""


@dataclass(frozen=True)
class MaskBlocks:
    """A mask's parts."""

    width: int
    """Tokens of the prefixes, padding included."""
    prefix: Tensor | None
    """(rows or 1, 1, width, width); None where it is causal."""
    runs: tuple[tuple[int, int, Tensor], ...]
    """First token, one past the last, and the mask (rows or 1, 1, tokens, width + tokens) of the prefix and
    the run itself."""

    @property
    def widest(self) -> int:
        return max(stop - start for start, stop, _ in self.runs)


def use_blocks(network: Any) -> None:
    """Has a network whose text layers take torch's attention (`sdpa`) take it in blocks; others stay."""
    text = network.config.get_text_config(decoder=True)
    if text._attn_implementation != "sdpa":
        return

    from transformers import AttentionInterface, AttentionMaskInterface
    from transformers.masking_utils import sdpa_mask

    AttentionInterface.register(NAME, attend)
    AttentionMaskInterface.register(NAME, sdpa_mask)
    text._attn_implementation = NAME


def in_blocks(mask: Any, real: Tensor, width: int, ends: Sequence[int]) -> Any:
    """The additive mask of a pack, or its masks by layer kind, with the blocks attached for `attend`.

    `real` (rows, width) tells a prefix's tokens from its padding, `ends` is one past each question's slot.
    """
    for one in mask.values() if isinstance(mask, dict) else (mask,):
        setattr(one, _ATTRIBUTE, _blocks(one, real[: len(one)], width, ends))
    return mask


def _blocks(mask: Tensor, real: Tensor, width: int, ends: Sequence[int]) -> MaskBlocks:
    import torch

    prefix = mask[:, :, :width, :width]
    causal = torch.ones((width, width), dtype=torch.bool, device=mask.device).tril()
    # What padding sees does not matter, for nothing sees it; under a causal mask that is never nothing.
    plain = bool((((prefix[:, 0] == 0) == causal) | ~real[:, :, None]).all())
    runs = tuple(
        (start, stop, torch.cat([mask[:, :, start:stop, :width], mask[:, :, start:stop, start:stop]], -1))
        for start, stop in _runs(width, ends)
    )
    return MaskBlocks(width, None if plain else prefix.contiguous(), runs)


def _runs(width: int, ends: Sequence[int]) -> Iterator[tuple[int, int]]:
    """Whole slots together, as few as make a run."""
    start = width
    for _, end in pairwise((width, *ends)):
        if end - start >= RUN or end == ends[-1]:
            yield start, end
            start = end


def attend(
    module: Any,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attention_mask: Tensor | None,
    scaling: float | None = None,
    **settings: Any,
) -> tuple[Tensor, None]:
    """As transformers' `sdpa_attention_forward`: (rows, heads, T, width) each to (rows, T, heads, width)."""
    import torch

    blocks = getattr(attention_mask, _ATTRIBUTE, None)
    if (
        blocks is None
        or torch.is_grad_enabled()
        or not query.shape[2] == key.shape[2] == blocks.runs[-1][1]
        or settings.get("dropout")
        or any(settings.get(name) is not None for name in _BEYOND)
    ):
        from transformers.integrations.sdpa_attention import sdpa_attention_forward

        return sdpa_attention_forward(module, query, key, value, attention_mask, scaling=scaling, **settings)
    return _attend(query, key, value, blocks, scaling), None


def _attend(query: Tensor, key: Tensor, value: Tensor, blocks: MaskBlocks, scaling: float | None) -> Tensor:
    """The blocks one after the other, with one room for the keys of all of them and one for the values: the
    prefix stays, and each run takes the place behind it. Autograd would notice, so `attend` asks."""
    from torch.nn.functional import scaled_dot_product_attention

    width, heads = blocks.width, query.shape[1]
    keys, values = _room(key, heads, blocks), _room(value, heads, blocks)
    found = query.new_empty((len(query), query.shape[2], heads, value.shape[3]))
    of_prefix = scaled_dot_product_attention(
        query[:, :, :width],
        keys[:, :, :width],
        values[:, :, :width],
        attn_mask=blocks.prefix,
        is_causal=blocks.prefix is None,
        scale=scaling,
    )
    found[:, :width] = of_prefix.transpose(1, 2)
    for start, stop, mask in blocks.runs:
        end = width + stop - start
        _copy(keys, key, start, stop, width)
        _copy(values, value, start, stop, width)
        of_run = scaled_dot_product_attention(
            query[:, :, start:stop], keys[:, :, :end], values[:, :, :end], attn_mask=mask, scale=scaling
        )
        found[:, start:stop] = of_run.transpose(1, 2)
    return found


def _room(tensor: Tensor, heads: int, blocks: MaskBlocks) -> Tensor:
    """(rows, heads, width + widest run, ...) with the prefix in it."""
    room = tensor.new_empty((len(tensor), heads, blocks.width + blocks.widest, tensor.shape[3]))
    _copy(room, tensor, 0, blocks.width, 0)
    return room


def _copy(room: Tensor, tensor: Tensor, start: int, stop: int, at: int) -> None:
    """Tokens of keys or values into a room, repeated for all the query heads that share them."""
    shared = room.unflatten(1, (tensor.shape[1], -1))
    shared[:, :, :, at : at + stop - start] = tensor[:, :, None, start:stop]
