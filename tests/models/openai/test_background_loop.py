"""Each served model has one event loop, which ends when the model is closed."""

from __future__ import annotations

import asyncio
import gc
import threading
import time

import pytest

from jurat.content import Chat, Turn
from jurat.models import ModelError, Serving, open_model
from jurat.models.openai.background_loop import BackgroundLoop
from jurat.models.openai.model import ServedModel

from ..openai_server import Server, Told, completion

pytestmark = pytest.mark.usefixtures("no_openai_environment")

CHAT = Chat((Turn("user", ("Hello.",)),))


LOOP, HELPER = "jurat-server-calls", "asyncio_"
"""Names of the threads of loops, and of those that loops start for work that blocks."""


@pytest.fixture(autouse=True)
def none_before() -> None:
    """Models of tests before this one are collected."""
    gc.collect()
    end = time.monotonic() + 10
    while threads(LOOP, HELPER) and time.monotonic() < end:
        time.sleep(0.02)


def threads(*names: str) -> list[str]:
    return [thread.name for thread in threading.enumerate() if thread.name.startswith(names)]


def loops() -> set[int]:
    """The event loops that are not closed."""
    gc.collect()
    loops = [x for x in gc.get_objects() if issubclass(type(x), asyncio.AbstractEventLoop)]
    return {id(loop) for loop in loops if not loop.is_closed()}


def opened(url: str) -> ServedModel:
    model = open_model("openai/tiny", base_url=url, serving=Serving(retries=0, deadline=60))
    assert isinstance(model, ServedModel)
    return model


def test_closing_a_model_leaves_no_thread_and_no_loop() -> None:
    before = loops()
    with Server(lambda _: completion("Yes")).running() as server:
        model = opened(server.url)
        assert model.chat([CHAT])[0].text == "Yes"
        assert threads(LOOP) == [LOOP]
        model.close()
        model.close()
    assert threads(LOOP, HELPER) == []
    assert loops() <= before
    with pytest.raises(ModelError, match="was closed"):
        model.chat([CHAT])


def test_model_that_was_never_called_can_be_closed() -> None:
    opened("http://127.0.0.1:1/v1").close()
    assert threads(LOOP, HELPER) == []


def test_concurrent_threads_share_one_loop() -> None:
    barrier = threading.Barrier(8)
    with Server(lambda _: completion("Yes")).running() as server:
        model = opened(server.url)
        found: list[str] = []

        def ask() -> None:
            barrier.wait()
            found.append(model.chat([CHAT])[0].text)

        callers = [threading.Thread(target=ask) for _ in range(8)]
        for caller in callers:
            caller.start()
        for caller in callers:
            caller.join()
        assert found == ["Yes"] * 8
        assert threads(LOOP) == [LOOP]
        model.close()
    assert threads(LOOP, HELPER) == []


def test_closing_cancels_running_calls() -> None:
    with Server(lambda _: Told(completion("Yes").body, delay=30)).running() as server:
        model = opened(server.url)
        closing = threading.Timer(0.3, model.close)
        closing.start()
        start = time.monotonic()
        with pytest.raises(ModelError, match="was closed"):
            model.chat([CHAT])
        assert time.monotonic() - start < 15
        closing.join()  # the call fails before the thread of the loop has ended
    assert threads(LOOP, HELPER) == []


def test_garbage_collected_model_ends_its_thread() -> None:
    with Server(lambda _: completion("Yes")).running() as server:
        model = opened(server.url)
        model.chat([CHAT])
        del model
        gc.collect()
        end = time.monotonic() + 10
        while threads(LOOP) and time.monotonic() < end:
            time.sleep(0.02)
    assert threads(LOOP, HELPER) == []


def test_exceptions_of_a_coroutine_reach_the_caller() -> None:
    async def wrong() -> None:
        raise ValueError("no")

    loop = BackgroundLoop()
    with pytest.raises(ValueError, match="no"):
        loop.run(wrong())
    loop.close()
