"""MicroBatcher: concurrent single calls share batches and stay independent."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

import numpy as np
import pytest
from PIL import Image

from jurat.content import Chat, Failure, Generation, Reply, Turn
from jurat.judge.prompts import WORDINGS
from jurat.models import (
    Answer,
    ConcurrencySupport,
    DomainGate,
    Inquiry,
    MicroBatcher,
    Model,
    ModelError,
    UnsupportedSetting,
    Vocabulary,
    YesNo,
    open_model,
)
from jurat.pictograms import draw

from . import tiny


class Echo(Model):
    """Answers a question by its number; `hold` keeps it busy."""

    name, revision, dtype = "echo", "1", "none"
    supported_settings = frozenset({"max_tokens"})

    def __init__(self) -> None:
        self.batches: list[list[str]] = []
        self.closed = 0
        self.free = threading.Event()
        self.free.set()
        self.busy = threading.Event()

    def ask(self, inquiries: Sequence[Inquiry]) -> list[Answer]:
        names = [inquiry.questions[0] for inquiry in inquiries]
        self._call(names)
        return [
            Answer(failure=Failure("error", "bad"))
            if name == "bad"
            else Answer((YesNo(int(name) / 1e4, 0.0),))
            for name in names
        ]

    def chat(self, chats: Sequence[Chat]) -> list[Reply]:
        names = [chat.turns[0].text for chat in chats]
        self._call(names)
        return [Reply(name) for name in names]

    def close(self) -> None:
        self.closed += 1

    def _call(self, names: list[str]) -> None:
        self.batches.append(names)
        self.busy.set()
        assert self.free.wait(20)
        if "raise" in names:
            raise RuntimeError("broken")
        if "short" in names:
            names.pop()

    @contextmanager
    def held(self, batcher: MicroBatcher) -> Iterator[None]:
        """Busy with a call of its own; afterwards free."""
        self.free.clear()
        self.busy.clear()
        first = threading.Thread(target=batcher.ask, args=([asking(0)],))
        first.start()
        assert self.busy.wait(20)
        try:
            yield
        finally:
            self.free.set()
            first.join()


def asking(name: object) -> Inquiry:
    return Inquiry(Chat(), (str(name),))


def saying(name: str, **settings: object) -> Chat:
    return Chat((Turn("user", (name,)),), Generation(**settings))  # pyright: ignore[reportArgumentType]


def scene(seed: int) -> Image.Image:
    return draw(np.random.default_rng(seed)).image


def until(condition: Callable[[], bool]) -> None:
    end = time.monotonic() + 20
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.002)


def queued(batcher: MicroBatcher, count: int) -> None:
    until(lambda: len(batcher._queue) == count)


@pytest.fixture
def echo() -> Echo:
    return Echo()


@pytest.fixture
def batcher(echo: Echo) -> Iterator[MicroBatcher]:
    batcher = MicroBatcher(echo, max_batch=8, wait=0)
    yield batcher
    echo.free.set()
    batcher.close()


def test_calls_of_64_threads_equal_one_direct_batch() -> None:
    model = open_model("bundled", device="cpu")
    wording = WORDINGS["statement"]
    statements = ("A dog is visible.", "A child touches a knife.", "There are at least two cats.")
    inquiries = [
        Inquiry(
            Chat((Turn("user", (scene(seed), wording.instruction)),)),
            tuple(wording.ask(text) for text in statements[: 1 + seed % 3]),
        )
        for seed in range(62)
    ]
    inquiries[7] = Inquiry(Chat((Turn("user", (tiny.picture(1), wording.instruction)),)), ("A dog?",))
    inquiries += [Inquiry(inquiries[0].prefix, ("A helicopter is visible.",)), inquiries[3]]
    direct = model.ask(inquiries)
    assert any(answer.failure for answer in direct)
    batcher = MicroBatcher(model)
    with ThreadPoolExecutor(64) as pool:
        together = threading.Barrier(64)

        def single(inquiry: Inquiry) -> Answer:
            together.wait()
            (answer,) = batcher.ask([inquiry])
            return answer

        found = list(pool.map(single, inquiries))
    for one, other in zip(found, direct, strict=True):
        assert one.failure == other.failure
        assert [a.failure for a in one.answers] == [a.failure for a in other.answers]
        assert [a.yes for a in one.answers] == pytest.approx([a.yes for a in other.answers], abs=1e-6)
        assert [a.no for a in one.answers] == pytest.approx([a.no for a in other.answers], abs=1e-6)
    batcher.close()


def test_calls_queued_while_the_model_is_busy_share_a_batch(echo: Echo, batcher: MicroBatcher) -> None:
    with ThreadPoolExecutor(8) as pool, echo.held(batcher):
        found = [pool.submit(batcher.ask, [asking(n)]) for n in range(1, 6)]
        queued(batcher, 5)
        echo.free.set()
        assert [future.result()[0].answers[0].yes for future in found] == [n / 1e4 for n in range(1, 6)]
    assert [len(batch) for batch in echo.batches] == [1, 5]


def test_full_batch_starts_before_the_wait_ends() -> None:
    echo = Echo()
    batcher = MicroBatcher(echo, wait=30, max_batch=4)
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda n: batcher.ask([asking(n)]), range(4)))
    assert len(echo.batches) == 1, "a full batch does not wait to the end"
    batcher.close()


def test_results_keep_the_order_of_a_call(echo: Echo, batcher: MicroBatcher) -> None:
    def call(first: int) -> list[float]:
        return [a.answers[0].yes * 1e4 for a in batcher.ask([asking(n) for n in range(first, first + 30)])]

    with ThreadPoolExecutor(6) as pool:
        found = list(pool.map(call, range(0, 600, 100)))
    assert [[round(n) for n in some] for some in found] == [
        list(range(first, first + 30)) for first in range(0, 600, 100)
    ]
    assert max(map(len, echo.batches)) <= 8
    assert (batcher.ask([]), batcher.chat([])) == ([], [])


def test_failure_stays_with_its_item(echo: Echo, batcher: MicroBatcher) -> None:
    answers = batcher.ask([asking(1), asking("bad"), asking(3)])
    assert [answer.failure is None for answer in answers] == [True, False, True]


def test_large_call_does_not_delay_single_calls(echo: Echo, batcher: MicroBatcher) -> None:
    with ThreadPoolExecutor(8) as pool, echo.held(batcher):
        large = pool.submit(batcher.ask, [asking(n) for n in range(1000, 1100)])
        queued(batcher, 1)
        small = [pool.submit(batcher.ask, [asking(n)]) for n in (1, 2, 3)]
        queued(batcher, 4)
        said = pool.submit(batcher.chat, [saying("hello")])
        queued(batcher, 5)
        echo.free.set()
        for future in (*small, said):
            future.result()
        assert set(echo.batches[1]) >= {"1", "2", "3"}, "each call has its turn in the first batch"
        assert echo.batches[2] == ["hello"], "another verb comes before the rest of the large call"
        assert len(large.result()) == 100


def test_callers_beyond_a_batch_are_served_in_order(echo: Echo, batcher: MicroBatcher) -> None:
    with ThreadPoolExecutor(20) as pool, echo.held(batcher):
        for n in range(1, 21):
            pool.submit(batcher.ask, [asking(n)])
            queued(batcher, n)
    assert echo.batches[1:] == [[str(n) for n in range(a, min(a + 8, 21))] for a in (1, 9, 17)]


@pytest.mark.parametrize(
    ("name", "kind", "message"),
    [("raise", RuntimeError, "broken"), ("short", ModelError, "gave 2 results for 3 items")],
)
def test_exception_reaches_only_calls_of_its_batch(
    echo: Echo, batcher: MicroBatcher, name: str, kind: type[Exception], message: str
) -> None:
    with ThreadPoolExecutor(8) as pool, echo.held(batcher):
        failing = [pool.submit(batcher.chat, [saying(text)]) for text in (name, "a", "b")]
        queued(batcher, 3)
    for future in failing:
        with pytest.raises(kind, match=message):
            future.result()
    assert batcher.chat([saying("later")])[0].text == "later"


def test_failed_call_submits_no_further_batches(echo: Echo, batcher: MicroBatcher) -> None:
    with pytest.raises(RuntimeError, match="broken"):
        batcher.chat([saying("raise"), *(saying(str(n)) for n in range(30))])
    assert batcher.chat([saying("later")])[0].text == "later"
    assert len(echo.batches) == 2


def test_cancelled_task_leaves_the_queue_alone(echo: Echo, batcher: MicroBatcher) -> None:
    async def run() -> tuple[list[Answer], list[Reply]]:
        given_up = asyncio.create_task(batcher.ask_async([asking(7)]))
        kept = asyncio.create_task(batcher.ask_async([asking(8)]))
        chatted = asyncio.create_task(batcher.chat_async([saying("hello")]))
        threaded = asyncio.create_task(asyncio.to_thread(batcher.ask, [asking(9)]))
        await asyncio.to_thread(queued, batcher, 4)
        given_up.cancel()
        with pytest.raises(asyncio.CancelledError):
            await given_up
        echo.free.set()
        assert (await threaded)[0].answers[0].yes == 9 / 1e4
        return await kept, await chatted

    with echo.held(batcher):
        answers, replies = asyncio.run(run())
    assert (answers[0].answers[0].yes, replies[0].text) == (8 / 1e4, "hello")
    assert not any("7" in batch for batch in echo.batches)


def test_call_cancelled_while_running_does_not_stop_the_batcher(echo: Echo, batcher: MicroBatcher) -> None:
    async def run() -> None:
        echo.free.clear()
        task = asyncio.create_task(batcher.ask_async([asking(n) for n in range(1, 30)]))
        await asyncio.to_thread(until, lambda: bool(echo.batches))
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(run())
    echo.free.set()
    assert batcher.ask([asking(5)])[0].answers[0].yes == 5 / 1e4
    assert len(echo.batches) == 2, "what was left of the cancelled call is not computed"


def test_unsupported_setting_is_refused_before_batching(echo: Echo, batcher: MicroBatcher) -> None:
    with pytest.raises(UnsupportedSetting, match="does not support temperature"):
        batcher.chat([saying("x"), saying("y", temperature=0.5)])
    with pytest.raises(UnsupportedSetting):
        asyncio.run(batcher.chat_async([saying("y", temperature=0.5)]))
    assert not echo.batches


def test_close_answers_queued_calls_and_refuses_new_ones(echo: Echo) -> None:
    batcher = MicroBatcher(echo, max_batch=2, wait=0)
    with ThreadPoolExecutor(8) as pool:
        with echo.held(batcher):
            waiting = [pool.submit(batcher.ask, [asking(n)]) for n in range(1, 6)]
            queued(batcher, 5)
            closing = pool.submit(batcher.close)
            until(lambda: batcher._closed)
            with pytest.raises(ModelError, match="was closed"):
                batcher.ask([asking(9)])
            assert not echo.closed
        closing.result()
    assert [future.result()[0].answers[0].yes for future in waiting] == [n / 1e4 for n in range(1, 6)]
    batcher.close()
    assert echo.closed >= 1 and not batcher._worker.is_alive()


def test_only_thread_safe_capabilities_are_offered() -> None:
    batcher = MicroBatcher(open_model("bundled", device="cpu"))
    gate = batcher.capability(DomainGate)
    assert gate is not None
    inside = scene(1)
    found = gate.foreign([inside, tiny.picture(1), inside])
    assert [failure is None for failure in found] == [True, False, True]
    assert batcher.capability(Vocabulary) is not None
    assert batcher.capability(ConcurrencySupport) is None
    assert MicroBatcher(Echo()).capability(DomainGate) is None
    batcher.close()


def test_batch_size_below_one_is_an_error(echo: Echo) -> None:
    with pytest.raises(ValueError, match="max_batch"):
        MicroBatcher(echo, max_batch=0)
