"""Reads prefixes once and continues each in many rows, from copies of the cache.

For models whose questions cannot be packed (recurrent layers, attention that takes no mask of ours), and for
conversations that share an image.
"""

from __future__ import annotations

from collections.abc import Sequence
from copy import deepcopy
from dataclasses import dataclass
from inspect import signature
from typing import TYPE_CHECKING, Any

from jurat.models.hf.batch_sizes import joined, padded
from jurat.models.hf.masks import UnsharablePrefix, UnsupportedPath, separate_masks
from jurat.models.hf.positions import following, prefix_positions

if TYPE_CHECKING:
    from torch import Tensor

    from jurat.models.hf.prompt import Prompt


@dataclass(frozen=True)
class PassInputs:
    """Inputs of a forward pass, images apart. Tensors are (rows, T, ...)."""

    ids: Tensor
    attended: Tensor
    """1 for a token, 0 for padding."""
    positions: Tensor
    """(rows, T) or (axes, rows, T)."""
    along: dict[str, Tensor]


@dataclass(frozen=True)
class CachedPrefixes:
    """Prefixes, padded on the left, and the cache that they left."""

    rows: PassInputs
    tails: dict[str, Tensor]
    """The value of each input of `along` for a token behind the prefix: (rows, 1, ...)."""
    cache: Any

    def expanded(self, owners: Sequence[int]) -> Any:
        """The cache with one row for each of `owners`, by their number; this one is left as it is."""
        import torch

        cache = deepcopy(self.cache)
        cache.reorder_cache(torch.tensor(owners, device=self.rows.ids.device))
        return cache


def check_prefix(network: Any, prompts: Sequence[Prompt]) -> None:
    """
    Raises:
        UnsharablePrefix: a prefix attends to what is behind it.
    """
    longest = max(len(segment) for prompt in prompts for segment in prompt.segments)
    try:
        separate_masks(network, prompts, longest)
    except UnsharablePrefix:
        raise
    except UnsupportedPath:
        return  # masks that are not known here; the model makes its own


def keep(network: Any, prompts: Sequence[Prompt]) -> CachedPrefixes:
    """Reads the prefixes of prompts of one form in one pass.

    Raises:
        UnsupportedPath: the model keeps nothing that could be copied.
    """
    import torch
    from transformers.cache_utils import Cache

    device = network.device
    rows = [prompt.row(()) for prompt in prompts]
    ids, attended, along = left_padded(rows, 0, device)
    images = joined(prompts, network)
    positions = prefix_positions(network, ids, attended, {**images, **along})
    before = PassInputs(ids, attended, positions, along)
    made = network(**_inputs(network, before, first=True, **_keeping(network, 1), **images))
    cache = getattr(made, "past_key_values", None)
    if not isinstance(cache, Cache):
        raise UnsupportedPath("it hands back no cache that could be copied for several questions")
    tails = {k: torch.stack(padded([p.along[k][-1:] for p in prompts])).to(device) for k in along}
    return CachedPrefixes(before, tails, cache)


def left_padded(
    rows: Sequence[tuple[Tensor, dict[str, Tensor]]], pad: int, device: Any
) -> tuple[Tensor, Tensor, dict[str, Tensor]]:
    """Rows of token ids and of inputs with a value a token, padded on the left: the ids, 1 for a token and 0
    for padding, and the inputs."""
    import torch

    width = max(len(ids) for ids, _ in rows)
    ids = torch.full((len(rows), width), pad)
    attended = torch.zeros_like(ids)
    values = {name: padded([along[name] for _, along in rows]) for name in rows[0][1]}
    along = {k: v[0].new_zeros((len(rows), width, *v[0].shape[1:])) for k, v in values.items()}
    for row, (own, _) in enumerate(rows):
        start = width - len(own)
        ids[row, start:] = own
        attended[row, start:] = 1
        for name, value in values.items():
            along[name][row, start:] = value[row]
    return ids.to(device), attended.to(device), {k: v.to(device) for k, v in along.items()}


def continued(
    kept: CachedPrefixes, owners: Sequence[int], segments: Sequence[Sequence[int]], *, left: bool
) -> PassInputs:
    """The prefixes of `owners`, each followed by its segment, padded to equal length.

    Padding lies on the right of the segments, or on their left, between prefix and segment.
    """
    import torch

    before = kept.rows
    device, longest = before.ids.device, max(map(len, segments))
    chosen = torch.tensor(owners, device=device)
    ids = torch.zeros((len(segments), longest), dtype=torch.long)
    attended = torch.ones_like(ids)
    steps = torch.zeros_like(ids)
    for row, segment in enumerate(segments):
        start = longest - len(segment) if left else 0
        ids[row, start : start + len(segment)] = torch.tensor(segment)
        attended[row, :start] = 0
        attended[row, start + len(segment) :] = 0
        steps[row] = (torch.arange(longest) - start + 1).clamp_(min=1)
    prefix, seen = before.positions.index_select(-2, chosen), before.attended[chosen]
    behind = following(prefix, seen, steps.to(device))
    return PassInputs(
        torch.cat([before.ids[chosen], ids.to(device)], dim=1),
        torch.cat([seen, attended.to(device)], dim=1),
        torch.cat([prefix, behind], dim=-1),
        {
            name: torch.cat(
                [value[chosen], kept.tails[name][chosen].expand(-1, longest, *value.shape[2:])], dim=1
            )
            for name, value in before.along.items()
        },
    )


def last_logits(
    network: Any, kept: CachedPrefixes, owners: Sequence[int], segments: Sequence[Sequence[int]]
) -> Tensor:
    """Logits (rows, vocabulary) at the last token of each segment behind the prefix of its owner.

    Raises:
        UnsupportedPath: the model hands back logits of other tokens.
    """
    import torch

    rows = continued(kept, owners, segments, left=False)
    ends = torch.tensor([[len(segment) - 1] for segment in segments], device=rows.ids.device)
    inputs = _inputs(
        network,
        rows,
        first=False,
        next_sequence_length=max(map(len, segments)),
        past_key_values=kept.expanded(owners),
        **_keeping(network, ends),
    )
    logits = network(**inputs).logits
    if logits.shape[1] == rows.ids.shape[1] - kept.rows.ids.shape[1]:  # it makes them of every token
        return logits.take_along_dim(ends[..., None], dim=1)[:, 0]
    if logits.shape[1] != 1:
        raise UnsupportedPath(
            f"its forward pass made logits of {logits.shape[1]} tokens where one was asked for"
        )
    return logits[:, 0]


def _keeping(network: Any, which: Any) -> dict[str, Any]:
    """The setting that limits logits to some tokens, if the forward pass has one."""
    return {"logits_to_keep": which} if "logits_to_keep" in signature(network.forward).parameters else {}


def _inputs(network: Any, rows: PassInputs, *, first: bool, **more: Any) -> dict[str, Any]:
    """What the family's forward pass takes of rows, by the family's own preparation for generating."""
    return network.prepare_inputs_for_generation(
        rows.ids,
        attention_mask=rows.attended,
        position_ids=rows.positions,
        use_cache=True,
        is_first_iteration=first,
        **rows.along,
        **more,
    )
