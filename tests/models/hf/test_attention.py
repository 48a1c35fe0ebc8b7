"""Block-wise attention equals attention under the full mask and skips what the mask hides."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.nn.functional import scaled_dot_product_attention
from transformers import AttentionInterface

from jurat.models.hf import attention
from jurat.models.hf.attention import attend, in_blocks, use_blocks
from jurat.models.hf.masks import PADDING, PREFIX

from ..families import BY_NAME

WIDTH, ENDS = 9, [12, 16, 18, 23]
"""A prefix of nine tokens and four questions; with runs of six, two and two of them go together."""
LEAST = torch.finfo(torch.float32).min


@pytest.fixture(autouse=True)
def short_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(attention, "RUN", 6)


def owners(prefixes: list[int]) -> Tensor:
    """Owner of each token: rows with prefixes of these lengths, then questions that fill their slots."""
    owner = torch.full((len(prefixes), ENDS[-1]), PADDING)
    for row, length in enumerate(prefixes):
        owner[row, :length] = PREFIX
        for j, (start, end) in enumerate(zip([WIDTH, *ENDS], ENDS, strict=False), 1):
            owner[row, start:end] = j
    return owner


def whole(owner: Tensor, window: int | None) -> Tensor:
    """The additive mask (rows, 1, T, T) of causal questions that see the prefix and themselves."""
    queries, keys = owner[:, :, None], owner[:, None, :]
    seen = ((queries == keys) | (keys == PREFIX)).tril()
    if window is not None:
        seen &= ~torch.ones_like(seen).tril(-window) | torch.eye(seen.shape[1], dtype=torch.bool)
    return torch.zeros(seen.shape).masked_fill(~seen, LEAST)[:, None]


def states(rows: int, heads: int, sharing: int) -> tuple[Tensor, Tensor, Tensor]:
    draw = torch.Generator().manual_seed(3)
    shapes = (
        (rows, heads, ENDS[-1], 8),
        (rows, heads // sharing, ENDS[-1], 8),
        (rows, heads // sharing, ENDS[-1], 4),
    )
    query, key, value = (torch.randn(shape, generator=draw) for shape in shapes)
    return query, key, value


def module(sharing: int) -> Any:
    return SimpleNamespace(num_key_value_groups=sharing, is_causal=True)


@pytest.mark.parametrize("prefixes", [[9], [9, 9], [9, 5], [4, 9, 1]], ids=str)
@pytest.mark.parametrize("window", [None, 5])
@pytest.mark.parametrize("sharing", [1, 4])
@torch.inference_mode()
def test_block_attention_equals_full_mask_attention(
    prefixes: list[int], window: int | None, sharing: int
) -> None:
    owner = owners(prefixes)
    mask = whole(owner, window)
    query, key, value = states(len(prefixes), 4, sharing)
    expected = scaled_dot_product_attention(
        query, key.repeat_interleave(sharing, 1), value.repeat_interleave(sharing, 1), mask, scale=0.3
    )
    marked = in_blocks(mask, owner[:, :WIDTH] == PREFIX, WIDTH, ENDS)
    blocks = getattr(marked, attention._ATTRIBUTE)
    assert [(start, stop) for start, stop, _ in blocks.runs] == [(9, 16), (16, 23)]
    assert (blocks.prefix is None) == (window is None)
    found, weights = attend(module(sharing), query, key, value, marked, scaling=0.3)
    assert weights is None
    real = owner != PADDING
    torch.testing.assert_close(found[real], expected.transpose(1, 2)[real])


def test_adjacent_short_slots_are_merged_into_runs() -> None:
    for ends, runs in (
        ([2], [(0, 2)]),
        ([20], [(0, 20)]),
        ([6, 12], [(0, 6), (6, 12)]),
        ([5, 7, 12, 14], [(0, 7), (7, 14)]),
        ([4, 8, 10], [(0, 8), (8, 10)]),
    ):
        assert list(attention._runs(0, ends)) == runs


def counted(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    calls: list[int] = []
    inner = attention._attend
    monkeypatch.setattr(attention, "_attend", lambda *given: (calls.append(1), inner(*given))[1])
    return calls


def test_full_mask_is_used_where_blocks_are_unverified(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    calls = counted(monkeypatch)
    owner = owners([9])
    mask = in_blocks(whole(owner, None), owner[:, :WIDTH] == PREFIX, WIDTH, ENDS)
    query, key, value = states(1, 4, 1)
    expected = scaled_dot_product_attention(query, key, value, mask)

    def taken(mask: Tensor, **settings: Any) -> int:
        calls.clear()
        found, _ = attend(module(1), query, key, value, mask, **settings)
        torch.testing.assert_close(found, expected.transpose(1, 2))
        return len(calls)

    assert taken(mask) == 0, "autograd would see what is written over"
    with torch.inference_mode():
        assert taken(mask) == taken(mask, dropout=0.0, is_causal=None) == 1
        assert taken(mask.clone()) == 0
        assert taken(mask, position_bias=torch.zeros(1, 4, ENDS[-1], ENDS[-1])) == 0
        calls.clear()
        with pytest.raises(ValueError, match="softcap"):
            attend(module(1), query, key, value, mask, softcap=30.0)
        assert not calls


def test_only_text_layers_use_block_attention() -> None:
    network = BY_NAME["llava"].network()
    use_blocks(network)
    use_blocks(network)
    assert network.config.text_config._attn_implementation == attention.NAME
    assert network.config.vision_config._attn_implementation == "sdpa"
    assert AttentionInterface()[attention.NAME] is attend
