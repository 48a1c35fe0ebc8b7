"""Items are identified by id and occurrence, in little memory, and split into disjoint shards."""

from __future__ import annotations

from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from jurat.content import Item
from jurat.runs.recorded_items import Occurrences, RecordedKeys, in_shard, item_key, numbered, unrecorded
from jurat.sources.openers import Unreadable

ids = st.lists(st.sampled_from(["a", "b", "ü", "a.png", "", "half\ud800"]) | st.text(max_size=4), max_size=60)


def items(names: list[str]) -> list[Item]:
    return list(numbered(Item([Unreadable("x")], name, name) for name in names))


@given(ids)
def test_occurrence_counts_earlier_items_of_the_same_id(names: list[str]) -> None:
    seen: Counter[str] = Counter()
    for item in items(names):
        assert item.occurrence == seen[item.id]
        seen[item.id] += 1


def test_occurrences_survive_growth_of_the_table() -> None:
    counts = Occurrences()
    for turn in range(3):
        assert all(counts.next(f"item-{number}") == turn for number in range(5000))


@given(ids, st.integers(1, 7))
def test_shards_are_disjoint_complete_and_in_order(names: list[str], count: int) -> None:
    every = items(names)
    shards = [list(in_shard(every, number, count)) for number in range(1, count + 1)]
    keys = [[(item.id, item.occurrence) for item in shard] for shard in shards]
    assert sorted(key for shard in keys for key in shard) == sorted(
        (item.id, item.occurrence) for item in every
    )
    order = {(item.id, item.occurrence): number for number, item in enumerate(every)}
    assert all([order[key] for key in shard] == sorted(order[key] for key in shard) for shard in keys)


@given(ids, st.text(max_size=4))
def test_shard_of_an_item_does_not_depend_on_other_items(names: list[str], more: str) -> None:
    def shards(every: list[Item]) -> dict[tuple[str, int], int]:
        return {(item.id, item.occurrence): n for n in range(1, 4) for item in in_shard(every, n, 3)}

    assert shards(items(names)).items() <= shards(items([*names, more])).items()


def test_shards_have_about_the_same_size() -> None:
    every = items([f"images/{number:06}.png" for number in range(3000)])
    assert all(900 < len(list(in_shard(every, number, 3))) < 1100 for number in (1, 2, 3))
    same = items(["the same uri"] * 3000)  # rows of a table, told apart by their occurrence
    assert all(900 < len(list(in_shard(same, number, 3))) < 1100 for number in (1, 2, 3))


@given(ids, ids)
def test_only_recorded_items_are_skipped(before: list[str], after: list[str]) -> None:
    recorded = RecordedKeys(item_key(item.id, item.occurrence) for item in items(before))
    there = {(item.id, item.occurrence) for item in items(before)}
    every = items(after)
    left = [item for item in every if (item.id, item.occurrence) not in there]
    assert list(unrecorded(every, recorded)) == left
    assert len(recorded) == len(before)


def test_keys_with_the_same_first_half_are_distinct() -> None:
    keys = [bytes(8) + bytes([number]) * 8 for number in range(5)]
    recorded = RecordedKeys(keys[:4])
    assert [key in recorded for key in keys] == [True] * 4 + [False]
