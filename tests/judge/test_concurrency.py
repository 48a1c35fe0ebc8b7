"""Several batches in hand at once: their order, how many, and what becomes of errors."""

from __future__ import annotations

import gc
import threading
import time
from collections.abc import Iterator

import pytest

from jurat.judge.concurrency import at_work, in_lanes, leave, stay, undisturbed


@pytest.mark.parametrize("lanes", [1, 2, 3])
def test_results_come_in_the_order_of_the_batches(lanes: int) -> None:
    def slow_at_first(n: int) -> int:
        time.sleep(0.02 if n == 0 else 0.0)
        return n * n

    assert list(in_lanes(slow_at_first, range(7), lanes)) == [n * n for n in range(7)]


@pytest.mark.parametrize("lanes", [1, 2, 3])
def test_no_more_batches_are_in_hand_than_there_are_lanes_and_the_next(lanes: int) -> None:
    taken = 0

    def batches() -> Iterator[int]:
        nonlocal taken
        while taken < 19:
            taken += 1
            yield taken

    for done in in_lanes(lambda n: n, batches(), lanes):
        # The one that has just come out, and those that are on their way.
        assert taken - done <= (lanes if lanes > 1 else 0)


def test_lanes_work_at_the_same_time() -> None:
    both = threading.Barrier(2, timeout=10)
    assert len(list(in_lanes(lambda _: both.wait(), range(4), 2))) == 4


def test_one_lane_needs_no_thread() -> None:
    assert set(in_lanes(lambda _: threading.get_ident(), range(3), 1)) == {threading.get_ident()}


def test_batches_are_taken_in_the_callers_thread() -> None:
    takers: set[int] = set()

    def batches() -> Iterator[int]:
        for n in range(5):
            takers.add(threading.get_ident())
            yield n

    list(in_lanes(lambda n: n, batches(), 2))
    assert takers == {threading.get_ident()}


@pytest.mark.parametrize("lanes", [1, 2])
def test_what_a_step_raises_comes_in_its_place(lanes: int) -> None:
    found = in_lanes(lambda n: 6 // (2 - n), range(4), lanes)
    assert [next(found), next(found)] == [3, 6]
    with pytest.raises(ZeroDivisionError):
        next(found)


def test_an_iterator_that_is_given_up_leaves_no_thread() -> None:
    before = threading.active_count()
    found = in_lanes(lambda n: n, range(100), 2)
    assert next(found) == 0
    found.close()
    assert threading.active_count() == before


def test_a_process_that_is_about_to_end_waits_for_no_lane() -> None:
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


def test_what_was_there_before_is_not_searched_for_garbage_inside_and_is_again_after() -> None:
    with pytest.raises(ValueError), undisturbed():
        assert gc.get_freeze_count() > 1000
        raise ValueError
    assert gc.get_freeze_count() == 0
