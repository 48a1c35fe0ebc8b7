"""Single calls that become batches."""

from __future__ import annotations

import threading
import time

import pytest

from jurat.evals.waiting import Batches


def test_calls_share_batches_of_at_most_so_many():
    sizes: list[int] = []

    def double(items):
        sizes.append(len(items))
        return [2 * item for item in items]

    batches = Batches(double, most=3, wait=0.2)
    assert [future.result(10) for future in [batches.submit(n) for n in range(7)]] == list(range(0, 14, 2))
    assert sizes == [3, 3, 1]


def test_thread_ends_when_nothing_is_left_and_a_later_call_starts_another():
    batches = Batches(lambda items: items, wait=0.01)
    for item in ("bread", "cake"):
        assert batches.submit(item).result(10) == item
        deadline = time.monotonic() + 10
        while any(each.name == "jurat-batches" for each in threading.enumerate()):
            assert time.monotonic() < deadline
            time.sleep(0.01)


@pytest.mark.parametrize("work", [lambda items: items[1:], lambda items: 1 / 0])
def test_what_the_work_raises_each_call_of_the_batch_raises(work):
    batches = Batches(work, wait=0.2)
    futures = [batches.submit(n) for n in range(2)]
    for future in futures:
        with pytest.raises((RuntimeError, ZeroDivisionError)):
            future.result(10)


def test_cancelled_calls_are_not_worked_on():
    seen: list[int] = []
    batches = Batches(lambda items: [seen.append(item) for item in items], wait=0.3)
    first, second = batches.submit(1), batches.submit(2)
    first.cancel()
    second.result(10)
    assert seen == [2]
