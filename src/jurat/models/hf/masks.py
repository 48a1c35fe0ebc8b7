"""What each token may attend to, one layer kind at a time, as the model's own family says it.

A separate call is a prefix followed by one question. The family's masks of such a call are asked for
(causal, sliding windows, chunks, image spans that see themselves in both directions), and the masks
of a pack are put together from them: each token of the pack sees what it would see at its place in a
separate call, less the other questions. transformers hands a mask of four dimensions on to every
layer unchanged, so a window that is not in it would silently vanish.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from torch import Tensor

    from jurat.models.hf.prompt import Prompt

PREFIX, PADDING = 0, -1
"""Owners of a pack's tokens that belong to no question; question j owns its tokens as j + 1."""
_TYPES = ("token_type_ids", "mm_token_type_ids")
"""Inputs that may decide a mask."""


class UnsupportedPath(Exception):
    """A path that the model cannot take; the message says why."""


class UnsharablePrefix(UnsupportedPath):
    """A prefix that no path can share."""


def separate_masks(network: Any, prompts: Sequence[Prompt], longest: int) -> dict[str, Tensor]:
    """Masks of prefixes that are each followed by one question of `longest` tokens.

    By layer kind ("" where the family has but one) bool tensors (rows, T, T): queries, keys. One row
    stands for all prompts where their prefixes are alike. Layers without attention have none.

    Raises:
        UnsharablePrefix: a prefix attends to the question behind it.
        UnsupportedPath: the family's masks are not of a form that is known here.
    """
    import torch
    from transformers.masking_utils import create_masks_for_generate

    lone = prompts[:1] if _alike(prompts) else prompts
    lengths = torch.tensor([len(prompt.prefix) for prompt in lone])
    total = int(lengths.max()) + longest
    attended = torch.arange(total)[None] < lengths[:, None] + longest
    create: Any = getattr(network, "create_masks_for_generate", create_masks_for_generate)
    device = network.device
    made = create(
        config=network.config,
        inputs_embeds=torch.empty((len(lone), total, 0), dtype=network.dtype, device=device),
        attention_mask=attended.long().to(device),
        past_key_values=None,
        position_ids=None,
        is_first_iteration=True,
        **{name: value.to(device) for name, value in _types(lone, total).items()},
    )
    kinds = made if isinstance(made, dict) else {"": made}
    masks = {
        kind: _as_bool(mask, total, device)
        for kind, mask in kinds.items()
        if kind not in ("linear_attention", "conv")
    }
    for mask in masks.values():
        for row, length in zip(mask.expand(len(lone), -1, -1), lengths.tolist(), strict=True):
            if bool(row[:length, length : length + longest].any()):
                raise UnsharablePrefix(
                    "its prefix attends to the question behind it, so questions cannot share one"
                )
    return masks


def packed_masks(separate: dict[str, Tensor], places: Tensor, owner: Tensor, dtype: Any) -> Any:
    """Additive masks of a pack, (rows or 1, 1, N, N): one tensor, or one a layer kind where they differ.

    `places` (rows, N) is where each token would stand in a separate call, `owner` (rows, N) whose it is.
    Padding sees padding only, so that no row of the softmax is empty, and is seen by nothing else.
    """
    import torch

    if bool((owner == owner[:1]).all()) and all(len(mask) == 1 for mask in separate.values()):
        places, owner = places[:1], owner[:1]
    queries, keys = owner[:, :, None], owner[:, None, :]
    own = (queries == keys) | (keys == PREFIX)
    seen: dict[str, Tensor] = {}
    for kind, mask in separate.items():
        twin = next((done for done in seen if torch.equal(separate[done], mask)), None)
        seen[kind] = seen[twin] if twin is not None else own & _placed(mask, places)
    additive = {
        id(one): torch.zeros(one.shape, dtype=dtype, device=one.device).masked_fill_(
            ~one, torch.finfo(dtype).min
        )[:, None]
        for one in seen.values()
    }
    if len(additive) == 1:
        return next(iter(additive.values()))
    return {kind: additive[id(one)] for kind, one in seen.items()}


def _placed(mask: Tensor, places: Tensor) -> Tensor:
    """`mask[r, places[r, q], places[r, k]]` for all r, q, k."""
    import torch

    causal = torch.ones(mask.shape[1:], dtype=torch.bool, device=mask.device).tril()
    if torch.equal(mask, causal.expand_as(mask)):
        return places[:, None, :] <= places[:, :, None]
    rows = torch.arange(len(mask), device=mask.device)[:, None, None]
    return mask[rows, places[:, :, None], places[:, None, :]]


def _as_bool(mask: Any, total: int, device: Any) -> Tensor:
    import torch

    if mask is None:  # what transformers makes of a causal mask without padding
        return torch.ones((1, total, total), dtype=torch.bool, device=device).tril()
    if not isinstance(mask, torch.Tensor) or mask.ndim != 4 or mask.shape[1:] != (1, total, total):
        raise UnsupportedPath("its masks are of a form that is not known here")
    mask = mask[:, 0]
    return mask if mask.dtype == torch.bool else mask > torch.finfo(mask.dtype).min / 2


def _alike(prompts: Sequence[Prompt]) -> bool:
    first = prompts[0]
    return all(
        len(one.prefix) == len(first.prefix)
        and all(one.along[name].equal(first.along[name]) for name in _TYPES if name in first.along)
        for one in prompts[1:]
    )


def _types(prompts: Sequence[Prompt], total: int) -> dict[str, Tensor]:
    """The token-type inputs, laid out as in separate calls."""
    laid: dict[str, Tensor] = {}
    for name in _TYPES:
        if name not in prompts[0].along:
            continue
        first = prompts[0].along[name]
        laid[name] = first.new_zeros((len(prompts), total))
        for row, prompt in enumerate(prompts):
            laid[name][row, : len(prompt.prefix)] = prompt.along[name][:-1]
            laid[name][row, len(prompt.prefix) :] = prompt.along[name][-1]
    return laid
