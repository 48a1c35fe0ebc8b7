"""Splitting prompts and batches by memory bounds."""

from __future__ import annotations

import torch
from hypothesis import given
from hypothesis import strategies as st

from jurat.models.hf import batch_sizes as batching
from jurat.models.hf.batch_sizes import PassLimits, padded
from jurat.models.hf.prompt import Prompt, length

from ..families import BY_NAME

LENGTHS = st.lists(st.integers(1, 30), min_size=1, max_size=20)


def prompt(prefix: int, lengths: list[int]) -> Prompt:
    return Prompt(torch.zeros(prefix, dtype=torch.long), tuple((1,) * n for n in lengths), {}, {})


@given(LENGTHS, st.integers(1, 40), st.integers(1, 200), st.integers(1, 6))
def test_split_keeps_all_segments_within_bounds(
    lengths: list[int], prefix: int, tokens: int, questions: int
) -> None:
    whole = prompt(prefix, lengths)
    bounds = PassLimits(tokens, tokens**2, questions)
    parts = list(bounds.split(whole))
    assert tuple(s for part in parts for s in part.segments) == whole.segments
    for part in parts:
        assert len(part.segments) == 1 or (length(part) <= tokens and len(part.segments) <= questions)


@given(LENGTHS, st.integers(1, 100))
def test_batches_keep_order_within_bounds(lengths: list[int], tokens: int) -> None:
    bounds = PassLimits(tokens, 10**6, 7)
    batches = list(bounds.batches(lengths, lambda n: (n,)))
    assert [n for batch in batches for n in batch] == lengths
    assert all(len(b) == 1 or (len(b) * max(b) <= tokens and len(b) <= 7) for b in batches)


@given(st.lists(st.tuples(*[st.integers(1, 30)] * 3), min_size=1, max_size=20), st.integers(1, 300))
def test_batch_width_is_the_sum_of_column_maxima(entries: list[tuple[int, ...]], tokens: int) -> None:
    bounds = PassLimits(tokens, 10**6, 7)
    batches = list(bounds.batches(entries, lambda entry: entry))
    assert [entry for batch in batches for entry in batch] == entries
    for batch in batches:
        width = sum(max(column) for column in zip(*batch, strict=True))
        assert len(batch) == 1 or (len(batch) * width <= tokens and len(batch) <= 7)


def test_bounds_follow_the_free_memory(monkeypatch) -> None:
    network = BY_NAME["llava"].network()
    found = []
    for free in (None, 10**12, 10**8, 0):
        monkeypatch.setattr(batching, "free_memory", lambda device, free=free: free)
        found.append(PassLimits.of(network))
    assert found[0] == found[1] == PassLimits(16_384, 2**26, 2**27 // 64)
    assert found[1].tokens >= found[2].tokens >= found[3].tokens == 2048
    assert found[1].entries > found[2].entries > 0
    assert found[3] == PassLimits(2048, 2048**2, 16), "so much is always tried"


def test_free_memory_is_a_number_or_none() -> None:
    free = batching.free_memory(torch.device("cpu"))
    assert free is None or free > 2**20


def test_padding_appends_zeros() -> None:
    one, other = torch.ones(2, 1, 3), torch.ones(1, 2, 2)
    a, b = padded([one, other])
    assert a.shape == (2, 2, 3) and b.shape == (1, 2, 3)
    assert a[:, :1].equal(one) and not a[:, 1:].any()
    assert b[:, :, :2].equal(other) and not b[:, :, 2:].any()
    assert padded([one])[0] is one
