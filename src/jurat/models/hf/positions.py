"""Positions of tokens, as a model's family counts them: one number a token, or one an axis.

Tensors are (rows, tokens), with a leading axis for rotary positions of several axes (time, height and
width, and in transformers the text's own before them).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping

    from torch import Tensor


def prefix_positions(network: Any, ids: Tensor, attended: Tensor, inputs: Mapping[str, Tensor]) -> Tensor:
    """Positions of prefixes `ids` (rows, width), of which `attended` marks what is no padding.

    `inputs` are the prefixes' other inputs: image sizes decide positions where images have axes.
    """
    found = network._prepare_position_ids_for_generation(ids, {**inputs, "attention_mask": attended})
    return found.expand(*found.shape[:-2], *attended.shape)


def following(prefix: Tensor, attended: Tensor, steps: Tensor) -> Tensor:
    """Positions `steps` (rows, n) tokens behind the end of each prefix.

    The last token of a prefix is text, so every axis continues from it by one a token.
    """
    import torch

    places = torch.arange(attended.shape[1], device=attended.device)
    last = (attended * places).argmax(1)[:, None].expand(*prefix.shape[:-1], 1)
    return prefix.gather(-1, last) + steps
