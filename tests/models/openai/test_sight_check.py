"""Servers that ignore images, always or sometimes, are detected and judge nothing."""

from __future__ import annotations

import itertools
import json
import math
import zlib
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import Any

import pytest
from PIL import Image

from jurat.content import Chat, Turn
from jurat.models import Inquiry, ModelUnavailable, Serving, open_model
from jurat.models.protocol import Answer

from ..openai_server import Asked, Script, Server, Told, completion

pytestmark = pytest.mark.usefixtures("no_openai_environment")

QUESTIONS = ("Statement: A dog is visible.", "Statement: A cat is visible.", "Statement: A bus is visible.")
PICTURES = [Image.new("RGB", (60 + 10 * n, 50), (40 * n, 200 - 30 * n, 90)) for n in range(5)]


@pytest.fixture
def ask() -> Iterator[Callable[..., list[Answer]]]:
    """Puts the questions to a server about each picture in turn."""
    with ExitStack() as stack:

        def put(script: Script, questions: tuple[str, ...] = QUESTIONS, caption: str = "") -> list[Answer]:
            server = stack.enter_context(Server(script, check=None).running())
            model = open_model("openai/x", base_url=server.url, serving=Serving(retries=0, concurrency=1))
            turns = [
                Turn("user", (p, f"{caption}{n if caption else ''}Is it true?"))
                for n, p in enumerate(PICTURES)
            ]
            return [model.ask([Inquiry(Chat((turn,)), questions)])[0] for turn in turns]

        yield put


def drawn(*of: object) -> float:
    """A number in [0, 1) that depends on the arguments."""
    return zlib.crc32(repr(of).encode()) / 2**32


def answer(asked: Asked, picture: object, tokens: int, cached: int = 0, noise: float = 0.0) -> Told:
    """What a model says that is shown `picture`: a red one it knows."""
    red = picture == (255, 0, 0) and "red" in asked.text
    yes = 0.02 + 0.9 * (drawn(asked.text, picture) if not red else 0.99)
    usage = (tokens, 1, cached)
    if asked.body.get("logprobs"):
        listed = {"Yes": yes * math.exp(noise), "No": 0.95 - yes, "The": 0.01 + 0.001 * drawn(asked.text)}
        return completion("Yes" if yes > 0.5 else "No", listed, usage=usage)
    lines = [line for line in asked.text.splitlines() if line[:1].isdigit()]
    true = {
        line: red or "two" in line or ("red" not in line and drawn(line, picture) > 0.5) for line in lines
    }
    said = {line.partition(".")[0]: "Yes" if true[line] else "No" for line in lines}
    return completion(json.dumps(said), usage=usage)


def words(asked: Asked) -> int:
    return len(asked.text.split())


def shown(asked: Asked) -> object:
    return asked.images[0].convert("RGB").getpixel((5, 5)) if asked.urls else None


def seeing(asked: Asked) -> Told:
    return answer(asked, shown(asked), words(asked) + 64 * len(asked.urls))


def stating(script: Script) -> Script:
    """The same server without logprobs."""

    def stated(asked: Asked) -> Told:
        asked.body.pop("logprobs", None)
        return script(asked)

    return stated


noises = itertools.cycle((0.0, 0.03, -0.04, 0.05))
BLIND: dict[str, Script] = {
    "the picture is dropped": lambda asked: answer(asked, None, words(asked)),
    "a constant is counted for it": lambda asked: answer(asked, None, words(asked) + 85 * len(asked.urls)),
    "nothing is counted": lambda asked: answer(asked, None, 0),
    "words stand for it": lambda asked: answer(
        asked, "an image" if asked.urls else None, words(asked) + 2 * len(asked.urls)
    ),
    "it answers with noise": lambda asked: answer(asked, None, words(asked), noise=next(noises)),
    "tokens in a cache are left out": lambda asked: answer(asked, None, 2, cached=words(asked)),
    "answers are stated": stating(lambda asked: answer(asked, None, words(asked))),
    "answers are stated and nothing is counted": stating(lambda asked: answer(asked, None, 0)),
}


@pytest.mark.parametrize("count", [1, 3])
@pytest.mark.parametrize("case", BLIND)
def test_server_that_ignores_images_stops_the_run(ask: Any, case: str, count: int) -> None:
    with pytest.raises(
        ModelUnavailable, match="it does not seem to look at pictures: it answers the same about a red one"
    ) as raised:
        ask(BLIND[case], QUESTIONS[:count])
    assert raised.value.exit_code == 3
    if case == "the picture is dropped":
        assert "18 tokens with one and without" in raised.value.message


SEEING: dict[str, Script] = {
    "it counts pictures": seeing,
    "it counts text only": lambda asked: answer(asked, shown(asked), words(asked)),
    "it counts nothing": lambda asked: answer(asked, shown(asked), 0),
    "it leaves out what it has in a cache": lambda asked: answer(asked, shown(asked), 2, cached=words(asked)),
    "it states answers": stating(seeing),
    "it states answers and counts text only": stating(
        lambda asked: answer(asked, shown(asked), words(asked))
    ),
}


@pytest.mark.parametrize("caption", ["", "Caption "])
@pytest.mark.parametrize("case", SEEING)
def test_servers_that_see_images_pass_the_check(ask: Any, case: str, caption: str, caplog: Any) -> None:
    for found in ask(SEEING[case], caption=caption):
        assert found.failure is None and all(one.failure is None for one in found.answers)
    assert "could not be checked" not in caplog.text


def without(asked: Asked, tokens: int, noise: float = 0.0) -> Told:
    return answer(asked, None, words(asked) + tokens, noise=noise)


def wide(asked: Asked) -> bool:
    """Whether the request is about one of the two wide images out of five."""
    return bool(asked.urls) and asked.images[0].width in (80, 100)


SOMETIMES: dict[str, Script] = {
    "some pictures are dropped": lambda asked: without(asked, 0) if wide(asked) else seeing(asked),
    "and a constant is counted": lambda asked: without(asked, 64) if wide(asked) else seeing(asked),
    "and it answers with noise": lambda asked: (
        without(asked, 0, next(noises)) if wide(asked) else seeing(asked)
    ),
}


@pytest.mark.parametrize("count", [1, 3])
@pytest.mark.parametrize("case", SOMETIMES)
def test_dropped_images_are_errors_and_others_are_answered(ask: Any, case: str, count: int) -> None:
    found = ask(SOMETIMES[case], QUESTIONS[:count])
    assert [one.failure is not None for one in found] == [False, False, True, False, True]
    for one in found:
        if one.failure is not None:
            assert one.failure.kind == "error"
            assert one.failure.reason.startswith("The server does not seem to have looked at the picture: ")


def test_questions_with_a_dropped_image_fail_alone(ask: Any) -> None:
    """One of two servers behind a gateway ignores images."""
    script = lambda asked: without(asked, 0) if wide(asked) and "cat" in asked.text else seeing(asked)  # noqa: E731
    kinds = [[one.failure and one.failure.kind for one in found.answers] for found in ask(script)]
    fine, half = [None, None, None], [None, "error", None]
    assert kinds == [fine, fine, half, fine, half]


def test_constant_answers_give_a_warning(ask: Any, caplog: Any) -> None:
    found = ask(lambda _: completion("No", {"No": 0.9, "Yes": 0.05, "The": 0.01}))
    assert all(one.failure is None for one in found)
    assert caplog.text.count("looks at pictures could not be checked") == 1


def test_chat_about_an_image_is_checked() -> None:
    with Server(BLIND["the picture is dropped"], check=None).running() as server:
        model = open_model("openai/x", base_url=server.url)
        assert model.chat([Chat((Turn("user", ("Hello.",)),))])[0].failure is None
        with pytest.raises(ModelUnavailable, match="does not seem to look at pictures"):
            model.chat([Chat((Turn("user", (PICTURES[0], "What is it?")),))])
