"""Concurrent batches: order, bounds and errors."""

from __future__ import annotations

import gc
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from jurat.constitution import Constitution, Rule
from jurat.judge import PRESETS, Judge
from jurat.judge.concurrency import _locks as locks
from jurat.judge.concurrency import at_work, in_lanes, leave, lock_of, stay, undisturbed
from jurat.judge.stages import Points
from jurat.sources import find_items

from .scripted import WHOLE, Finder, Scripted, box, white

POINTS = PRESETS["quick"].replace(stages=(*PRESETS["quick"].stages, Points()), debias=0.0)


def rule_on(text: str) -> Constitution:
    clause = {"statement": f"{text}.", "objects": ["thing"]}
    return Constitution(name=text, rules=(Rule(id="r", rule="No.", clauses=(clause,)),))  # pyright: ignore[reportArgumentType]


@pytest.mark.parametrize("lanes", [1, 2, 3])
def test_results_come_in_the_order_of_batches(lanes: int) -> None:
    def slow_at_first(n: int) -> int:
        time.sleep(0.02 if n == 0 else 0.0)
        return n * n

    assert list(in_lanes(slow_at_first, range(7), lanes)) == [n * n for n in range(7)]


@pytest.mark.parametrize("lanes", [1, 2, 3])
def test_at_most_one_batch_more_than_lanes_is_taken(lanes: int) -> None:
    taken = 0

    def batches() -> Iterator[int]:
        nonlocal taken
        while taken < 19:
            taken += 1
            yield taken

    for done in in_lanes(lambda n: n, batches(), lanes):
        # The one that has just come out, and those that are on their way.
        assert taken - done <= (lanes if lanes > 1 else 0)


def test_lanes_run_at_the_same_time() -> None:
    both = threading.Barrier(2, timeout=10)
    assert len(list(in_lanes(lambda _: both.wait(), range(4), 2))) == 4


def test_one_lane_runs_in_the_callers_thread() -> None:
    assert set(in_lanes(lambda _: threading.get_ident(), range(3), 1)) == {threading.get_ident()}


def test_batches_are_taken_in_the_calling_thread() -> None:
    takers: set[int] = set()

    def batches() -> Iterator[int]:
        for n in range(5):
            takers.add(threading.get_ident())
            yield n

    list(in_lanes(lambda n: n, batches(), 2))
    assert takers == {threading.get_ident()}


@pytest.mark.parametrize("lanes", [1, 2])
def test_exception_of_a_step_is_raised_in_its_place(lanes: int) -> None:
    found = in_lanes(lambda n: 6 // (2 - n), range(4), lanes)
    assert [next(found), next(found)] == [3, 6]
    with pytest.raises(ZeroDivisionError):
        next(found)


def test_closed_iterator_leaves_no_thread() -> None:
    before = threading.active_count()
    found = in_lanes(lambda n: n, range(100), 2)
    assert next(found) == 0
    found.close()
    assert threading.active_count() == before


def test_paused_stream_leaves_torch_its_threads() -> None:
    torch = pytest.importorskip("torch")
    before = torch.get_num_threads()
    torch.set_num_threads(3)
    try:
        judge = Judge("shelf:nursery", "bundled", "quick", batch_size=1)
        assert judge.model.lanes == 3  # pyright: ignore[reportAttributeAccessIssue]
        stream = judge.stream(find_items(["examples/scenes"]))
        next(stream)
        assert torch.get_num_threads() == 3, "the caller may compute something in between"
        stream.close()
        with ThreadPoolExecutor(1) as pool:
            assert pool.submit(torch.get_num_threads).result() == torch.get_num_threads() == 3
    finally:
        torch.set_num_threads(before)


def test_judges_sharing_a_detector_call_it_one_at_a_time() -> None:
    at_once: list[int] = []

    class Slow(Finder):
        def detect(self, images: Any, words: Any) -> Any:
            at_once.append(len(running))
            running.append(1)
            time.sleep(0.05)
            running.pop()
            return super().detect(images, words)

    running: list[int] = []
    finder = Slow({"thing": [box("thing")]})
    judges = [
        Judge(rule_on(text), Scripted({(f"{text}.", WHOLE): 0.99}), POINTS, detector=finder) for text in "AB"
    ]
    with ThreadPoolExecutor(2) as pool:
        list(pool.map(lambda judge: [judge(white()) for _ in range(3)], judges))
    assert at_once == [0] * 6


def test_lock_belongs_to_one_detector_and_goes_with_it() -> None:
    first, second = Finder({}), Finder({})
    assert lock_of(first) is lock_of(first) is not lock_of(second)
    key = id(first)
    assert key in locks
    del first
    gc.collect()
    assert key not in locks


def test_leaving_process_waits_for_no_lane() -> None:
    done = threading.Event()
    found = in_lanes(lambda n: n == 0 or done.wait(20), range(9), 2)
    assert next(found)
    leave()
    try:
        found.close()
        assert at_work() and not done.is_set()
    finally:
        stay()
        done.set()


def test_undisturbed_freezes_garbage_collection_within_its_block() -> None:
    with pytest.raises(ValueError), undisturbed():
        assert gc.get_freeze_count() > 1000
        raise ValueError
    assert gc.get_freeze_count() == 0
