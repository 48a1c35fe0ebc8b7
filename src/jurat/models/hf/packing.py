"""Packs: a prefix and all its questions in one sequence, as inputs of one forward pass.

A row is its prefix, padding, and then one slot a question: as wide as the longest question that any
row has there, the question at its right end. So the answers of all rows are read at the same
positions. Each question sees the prefix and itself (`masks`), and its positions continue from the
prefix's end (`positions`), so that it reads as if it alone had been asked.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate
from typing import TYPE_CHECKING, Any

from jurat.models.hf.attention import in_blocks
from jurat.models.hf.batch_sizes import joined, padded
from jurat.models.hf.masks import PADDING, PREFIX, packed_masks, separate_masks
from jurat.models.hf.positions import following, prefix_positions

if TYPE_CHECKING:
    from torch import Tensor

    from jurat.models.hf.prompt import Prompt


@dataclass(frozen=True)
class PackLayout:
    """Where the tokens of a pack lie. All tensors are (rows, T) int64."""

    ids: Tensor
    owner: Tensor
    """0 for a token of the prefix, j + 1 for one of question j, -1 for padding."""
    steps: Tensor
    """How many tokens a question's token lies behind the prefix's end: 1 for its first; 0 elsewhere."""
    places: Tensor
    """Where a token would stand if its question alone followed the prefix; 0 for padding."""
    width: int
    """Tokens of the prefixes, padding included."""
    ends: list[int]
    """One past the last token of each question; the same in all rows."""


def packed_inputs(network: Any, prompts: Sequence[Prompt]) -> dict[str, Any]:
    """Inputs of a forward pass over prompts of one form and one number of questions.

    Raises:
        UnsupportedPath: the model's masks do not allow it.
    """
    import torch

    device = network.device
    longest = max(len(segment) for prompt in prompts for segment in prompt.segments)
    separate = separate_masks(network, prompts, longest)
    layout = lay_out(prompts)
    images = joined(prompts, network)
    along = {k: v.to(device) for k, v in _along(prompts, layout.ids.shape, layout.width).items()}
    ids, owner, steps = layout.ids.to(device), layout.owner.to(device), layout.steps.to(device)
    width = layout.width
    attended = (owner[:, :width] == PREFIX).long()
    before = {**images, **{k: v[:, :width] for k, v in along.items()}}
    prefix = prefix_positions(network, ids[:, :width], attended, before)
    behind = following(prefix, attended, steps[:, width:])
    masks = packed_masks(separate, layout.places.to(device), owner, network.dtype)
    return {
        "input_ids": ids,
        "attention_mask": in_blocks(masks, attended.bool(), width, layout.ends),
        "position_ids": torch.cat([prefix, behind], dim=-1),
        "logits_to_keep": torch.tensor(layout.ends, device=device) - 1,
        "use_cache": False,
        **images,
        **along,
    }


def lay_out(prompts: Sequence[Prompt]) -> PackLayout:
    import torch

    width = max(len(prompt.prefix) for prompt in prompts)
    slots = [max(map(len, column)) for column in zip(*(prompt.segments for prompt in prompts), strict=True)]
    ends = [width + end for end in accumulate(slots)]
    shape = (len(prompts), ends[-1])
    ids = torch.zeros(shape, dtype=torch.long)
    owner = torch.full(shape, PADDING)
    steps = torch.zeros(shape, dtype=torch.long)
    places = torch.zeros(shape, dtype=torch.long)
    tails: dict[int, Tensor] = {}  # the prompts of a run share their segments: each tuple is laid out once
    for row, prompt in enumerate(prompts):
        if id(prompt.segments) not in tails:
            tails[id(prompt.segments)] = torch.tensor(_tail(prompt.segments, slots)).T
        length = len(prompt.prefix)
        ids[row, :length] = prompt.prefix
        owner[row, :length] = PREFIX
        places[row, :length] = torch.arange(length)
        ids[row, width:], owner[row, width:], steps[row, width:] = tails[id(prompt.segments)]
        places[row, width:] = (steps[row, width:] + length - 1) * (owner[row, width:] != PADDING)
    return PackLayout(ids, owner, steps, places, width, ends)


def _tail(segments: Sequence[Sequence[int]], slots: Sequence[int]) -> list[tuple[int, int, int]]:
    """(id, owner, step) of every token behind the prefix: each question at the right end of its slot."""
    tail: list[tuple[int, int, int]] = []
    for owner, (segment, slot) in enumerate(zip(segments, slots, strict=True), start=1):
        tail.extend([(0, PADDING, 0)] * (slot - len(segment)))
        tail.extend((token, owner, step) for step, token in enumerate(segment, start=1))
    return tail


def _along(prompts: Sequence[Prompt], shape: tuple[int, ...], width: int) -> dict[str, Tensor]:
    """The inputs with a value a token, laid out; padding before the questions has zeros."""
    laid: dict[str, Tensor] = {}
    for name in prompts[0].along:
        values = padded([prompt.along[name] for prompt in prompts])
        laid[name] = values[0].new_zeros((*shape, *values[0].shape[1:]))
        for row, value in enumerate(values):
            laid[name][row, : len(value) - 1] = value[:-1]
            laid[name][row, width:] = value[-1]
    return laid
