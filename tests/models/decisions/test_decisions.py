"""`decisions/NAME` against a real HTTP server that validates requests by the SDK's types."""

from __future__ import annotations

import json
import math
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import Any

import pytest
from fastapi import Response
from PIL import Image

from jurat.content import Chat, Turn
from jurat.errors import JuratError
from jurat.judge import Judge
from jurat.models import Inquiry, ModelUnavailable, Serving, UsageMeter, list_backends, open_model
from jurat.models.decisions.model import DecisionsModel
from jurat.models.protocol import Answer

from ..bundled_server import serving
from ..decisions_server import DecisionRequest, DecisionsServer, Script, decision, seeing

IMAGE = Image.new("RGB", (8, 6), (200, 30, 30))
QUESTIONS = ("Statement: A dog is visible.", "Statement: A cat is visible.", "Statement: A bus is visible.")
KEY = "sk-planted-4e1f0c9a77aa"


class Opened:
    """A server that answers a script, and a model that asks it."""

    def __init__(self, script: Script, stack: ExitStack, **options: Any) -> None:
        self.server = DecisionsServer(lambda asked: seeing(asked) if asked.is_check else script(asked))
        url = stack.enter_context(serving(self.server))
        options = {"retries": 0, "deadline": 60} | options
        model = open_model("decisions/tiny-judge", base_url=url, serving=Serving(**options))
        assert isinstance(model, DecisionsModel)
        self.model = model
        stack.callback(model.close)

    @property
    def asked(self) -> list[DecisionRequest]:
        return self.server.asked

    def ask(self, *inquiries: Inquiry) -> list[Answer]:
        return self.model.ask(inquiries or [inquiry()])


Open = Callable[..., Opened]


@pytest.fixture
def opened() -> Iterator[Open]:
    with ExitStack() as stack:
        yield lambda script, **options: Opened(script, stack, **options)


@pytest.fixture(autouse=True)
def planted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    monkeypatch.delenv("OPENAI_BASE_URL", raising=False)


def inquiry(image: Image.Image | None = IMAGE, questions: tuple[str, ...] = QUESTIONS) -> Inquiry:
    parts = ("Is it true?",) if image is None else (image, "Is it true?")
    return Inquiry(Chat((Turn("system", ("Be brief.",)), Turn("user", parts))), questions)


def likely(asked: DecisionRequest) -> dict[str, Any]:
    """A probability for each question, another one without an image."""
    shown = 0.123456 if asked.images else 0.0
    return decision(*(0.1234567 * number + shown for number in range(1, len(asked.questions) + 1)))


def failures(answer: Answer) -> list[str | None]:
    return [one.failure.kind if one.failure else None for one in answer.answers]


def test_questions_of_an_item_are_one_request(opened: Open) -> None:
    used = opened(likely)
    (answer,) = used.ask()
    expected = [0.1234567 * n + 0.123456 for n in (1, 2, 3)]
    assert [(a.yes, a.no) for a in answer.answers] == [
        (pytest.approx(p), pytest.approx(1 - p)) for p in expected
    ]
    assert answer.basis == "measured" and not any(a.stated for a in answer.answers)
    (first, _without) = used.asked
    assert first.body["model"] == "tiny-judge"
    assert first.body["questions"][0] == {"type": "predicate", "name": "q1", "instructions": QUESTIONS[0]}
    assert first.questions == QUESTIONS
    system, user = first.body["input"]
    assert system == {"role": "system", "content": "Be brief."}
    assert [part["type"] for part in user["content"]] == ["input_image", "input_text"]
    assert user["content"][0]["detail"] == "original"


def test_images_are_sent_lossless_unless_jpeg_is_chosen(opened: Open) -> None:
    noise = Image.effect_noise((900, 700), 90).convert("RGB")
    used = opened(likely)
    used.ask(inquiry(noise))
    assert used.asked[0].images[0].tobytes() == noise.tobytes()
    lossy = opened(likely, image_format="jpeg")
    lossy.ask(inquiry(noise))
    assert "data:image/jpeg" in json.dumps(lossy.asked[0].body)


def test_prior_is_a_request_without_an_image(opened: Open) -> None:
    used = opened(likely)
    (answer,) = used.ask(inquiry(None))
    assert [a.yes for a in answer.answers] == [pytest.approx(0.1234567 * n) for n in (1, 2, 3)]
    assert len(used.asked) == 1 and not used.asked[0].images
    assert used.asked[0].body["input"][1] == {"role": "user", "content": "Is it true?"}


def test_more_than_400_questions_are_split(opened: Open) -> None:
    def script(asked: DecisionRequest) -> dict[str, Any]:
        return decision(*(int(q) / 1000 + 0.00001 * bool(asked.images) for q in asked.questions))

    used = opened(script)
    (answer,) = used.ask(inquiry(questions=tuple(str(n) for n in range(901))))
    assert [round(a.yes, 3) for a in answer.answers] == [n / 1000 for n in range(901)]
    assert sorted(len(asked.questions) for asked in used.asked if asked.images) == [101, 400, 400]


def test_no_questions_need_no_request(opened: Open) -> None:
    used = opened(likely)
    assert used.ask(inquiry(questions=()))[0].answers == ()
    assert not used.server.received


def test_refusal_fails_only_its_question(opened: Open) -> None:
    (answer,) = opened(lambda asked: decision(0.2, None, 0.7)).ask()
    assert failures(answer) == [None, "refused", None]
    assert [answer.answers[n].yes for n in (0, 2)] == [0.2, 0.7]


def test_refusal_of_all_questions_fails_the_item(opened: Open) -> None:
    (answer,) = opened(lambda asked: decision(None, None, None)).ask()
    assert answer.failure is not None and answer.failure.kind == "refused"


def predicate(probability: Any, name: str | None) -> dict[str, Any]:
    return {"type": "predicate", "name": name, "probability": probability}


WRONG = {
    "above 1": (decision(0.2, 1.5, 0.7), [None, "error", None]),
    "below 0": (decision(0.2, -0.1, 0.7), [None, "error", None]),
    "NaN": (decision(0.2, math.nan, 0.7), [None, "error", None]),
    "infinite": (decision(0.2, math.inf, 0.7), [None, "error", None]),
    "text": (decision(0.2, predicate("likely", "q2"), 0.7), [None, "error", None]),
    "null": (decision(0.2, predicate(None, "q2"), 0.7), [None, "error", None]),
    "no probability": (decision(0.2, {"type": "predicate", "name": "q2"}, 0.7), [None, "error", None]),
    "another kind": (
        decision(0.2, {"type": "score", "name": "q2", "score": 0.5, "probabilities": []}, 0.7),
        [None, "error", None],
    ),
    "no kind": (decision(0.2, {"name": "q2", "probability": 0.5}, 0.7), [None, "error", None]),
    "no answer": (decision(0.2, {}, 0.7), [None, "error", None]),
    "no name": (decision(0.2, predicate(0.5, None), 0.7), [None, "error", None]),
    "the last is missing": (decision(0.2, 0.5), [None, None, "error"]),
    "the first is missing": (decision(predicate(0.5, "q2"), predicate(0.7, "q3")), "error"),
    "another order": (
        decision(predicate(0.5, "q2"), predicate(0.2, "q1"), 0.7),
        ["error", "error", None],
    ),
    "all are missing": (decision(), "error"),
    "too many": (decision(0.2, 0.5, 0.7, 0.9), "error"),
}


@pytest.mark.parametrize("case", WRONG)
def test_unreadable_answer_fails_its_question(opened: Open, case: str) -> None:
    body, expected = WRONG[case]
    (answer,) = opened(lambda asked: body).ask()
    if expected == "error":
        assert answer.failure is not None and answer.failure.kind == "error" and not answer.answers
    else:
        assert failures(answer) == expected
        assert all(one.mass == 0 for one in answer.answers if one.failure)


def error(status: int, message: str, headers: dict[str, str] | None = None, **fields: Any) -> Response:
    body = {"error": {"message": message, "type": "error", "param": None, "code": None} | fields}
    return Response(json.dumps(body), status, headers, media_type="application/json")


TRUNCATED = Response(json.dumps(decision(0.2, 0.5, 0.7))[:60], media_type="application/json")
FAULTS = {
    "500": (error(500, "Out of memory"), "error", "The server answered 500: Out of memory"),
    "429": (
        error(429, "Slow down", {"retry-after": "900"}),
        "error",
        "The server's rate limit did not let it through (429; it asked to wait 900 s).",
    ),
    "400": (error(400, "Bad image."), "error", "The server answered 400: Bad image"),
    "an error in a 200": (
        {"error": {"message": "upstream overloaded", "code": 502}},
        "error",
        "The server answered with an error 502: upstream overloaded",
    ),
    "an error beside answers": (
        decision(0.2, 0.5, 0.7, error={"message": "upstream overloaded", "code": 502}),
        "error",
        "The server answered with an error 502: upstream overloaded",
    ),
    "a truncated body": (TRUNCATED, "error", "The server's reply is not JSON."),
    "a page": (
        Response("<html>Welcome</html>", media_type="text/html"),
        "error",
        "What the server sent is no decision.",
    ),
    "null for answers": (
        decision() | {"answers": None},
        "error",
        "What the server sent is no decision.",
    ),
    "a content filter": (
        error(400, "Your input was flagged by our safety system."),
        "filtered",
        "The server's content filter blocked it: Your input was flagged by our safety system",
    ),
}


@pytest.mark.parametrize("case", FAULTS)
def test_fault_fails_only_its_item(opened: Open, case: str) -> None:
    told, kind, reason = FAULTS[case]
    used = opened(lambda asked: told if asked.images and asked.images[0].width == 9 else likely(asked))
    failed, fine = used.ask(inquiry(Image.new("RGB", (9, 9))), inquiry())
    assert failed.failure is not None and not failed.answers
    assert (failed.failure.kind, failed.failure.reason) == (kind, reason)
    assert fine.failure is None and failures(fine) == [None] * 3


def test_rejected_key_stops_the_run(opened: Open) -> None:
    used = opened(lambda asked: error(401, f"Incorrect API key provided: {KEY}"))
    used.server.script = lambda asked: error(401, f"Incorrect API key provided: {KEY}")
    with pytest.raises(ModelUnavailable, match=r"it refuses the key \(401\)") as raised:
        used.ask()
    assert KEY not in str(raised.value)
    assert {asked.headers["authorization"] for asked in used.server.received} == {f"Bearer {KEY}"}


@pytest.mark.parametrize("first", ["429", "500", "a truncated body", "an error in a 200"])
def test_transient_faults_are_retried(opened: Open, first: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("openai._base_client.INITIAL_RETRY_DELAY", 0.1)
    left = [error(429, "Slow down", {"retry-after": "0.3"}) if first == "429" else FAULTS[first][0]]
    used = opened(lambda asked: left.pop() if left else likely(asked), retries=1)
    (answer,) = used.ask()
    assert failures(answer) == [None] * 3
    tried, again, *_ = used.asked
    assert again.at - tried.at >= (0.3 if first == "429" else 0.075)


def test_tokens_and_cost_are_counted(opened: Open) -> None:
    used = opened(likely, input_price=2.5, output_price=10)
    (answer,) = used.ask()
    usage = answer.usage
    assert (usage.input_tokens, usage.output_tokens, usage.shared_tokens) == (100, 10, 80)
    meter = used.model.capability(UsageMeter)
    assert meter is not None
    # The item, the same without its image, and four to learn whether the server looks at images.
    assert (meter.spent.calls, meter.spent.usage.input_tokens) == (6, 600)
    assert meter.spent.usage.money == pytest.approx(6 * (100 * 2.5 + 10 * 10) / 1e6)
    assert usage.money == meter.spent.usage.money, "the first item pays for what is asked because of it"
    assert used.ask()[0].usage.money == pytest.approx((100 * 2.5 + 10 * 10) / 1e6)


def test_concurrent_calls_record_their_own_cost(opened: Open) -> None:
    """The cost of a call is counted with its own answer, independent of concurrent calls."""
    from concurrent.futures import ThreadPoolExecutor

    def script(asked: DecisionRequest) -> dict[str, Any]:
        time.sleep(0.02)
        return likely(asked) | {"usage": decision(usage=(1_000_000, 0, 0))["usage"]}

    used = opened(script, input_price=1.0)
    with ThreadPoolExecutor(4) as pool:
        answers = list(pool.map(lambda n: used.ask(inquiry(None, (str(n),)))[0], range(4)))
    assert [answer.usage.money for answer in answers] == [1.0] * 4
    assert used.model.spent.usage.money == pytest.approx(4.0)


def test_revision_is_the_model_named_by_the_server(opened: Open) -> None:
    used = opened(likely)
    assert (used.model.name, used.model.revision) == ("decisions/tiny-judge", "unknown")
    used.ask()
    assert used.model.revision == "tiny-judge-001"


def test_server_that_ignores_images_stops_the_run(opened: Open) -> None:
    used = opened(likely)
    used.server.script = lambda asked: decision(*(len(question) / 97 for question in asked.questions))
    with pytest.raises(ModelUnavailable, match="it does not seem to look at pictures"):
        used.ask()


def test_occasionally_dropped_image_is_an_error(opened: Open) -> None:
    def script(asked: DecisionRequest) -> dict[str, Any]:
        dropped = bool(asked.images) and asked.images[0].width == 9
        shown = 0.123456 if asked.images and not dropped else 0.0
        return decision(*(0.1234567 * n + shown for n in range(1, 4)))

    fine, dropped = opened(script).ask(inquiry(), inquiry(Image.new("RGB", (9, 9))))
    assert fine.failure is None
    assert dropped.failure is not None and dropped.failure.kind == "error"
    assert dropped.failure.reason.startswith("The server does not seem to have looked at the picture: ")


def test_equal_rounded_probabilities_are_accepted(opened: Open) -> None:
    (answer,) = opened(lambda asked: decision(0.01, 0.01, 0.02)).ask()
    assert failures(answer) == [None] * 3


def test_chat_is_refused(opened: Open) -> None:
    used = opened(likely)
    with pytest.raises(JuratError, match="answers closed questions only: it cannot chat"):
        used.model.chat([inquiry().prefix])
    assert not used.server.received
    abilities = {backend.name: backend.abilities for backend in list_backends()}
    assert abilities["decisions"] == {"ask", "exact"}


def test_presets_that_reason_are_refused_when_opened(opened: Open) -> None:
    used = opened(likely)
    eyes = {"detector": "bundled", "matcher": "bundled"}
    with pytest.raises(JuratError, match="reasons in words, and the model 'decisions/tiny-judge'") as raised:
        Judge("shelf:nursery", used.model, "clue", **eyes)
    assert raised.value.hint is not None and "--without reason" in raised.value.hint
    Judge("shelf:nursery", used.model, "clue", without=["reason"], **eyes)
    assert not used.server.received


def test_refused_prior_is_asked_once(opened: Open) -> None:
    def script(asked: DecisionRequest) -> dict[str, Any]:
        shown = 0.123456 if asked.images else 0.0
        return decision(0.1234567 + shown, None, 0.5234567 - shown)

    used = opened(script)
    for width in (9, 10, 11):
        (answer,) = used.ask(inquiry(Image.new("RGB", (width, 9))))
        assert failures(answer) == [None, "refused", None]
    assert [bool(asked.images) for asked in used.asked].count(False) == 1


def test_dropped_image_is_detected_beside_a_refusal(opened: Open) -> None:
    used = opened(lambda asked: decision(0.1234567, None, 0.5234567))
    (answer,) = used.ask()
    assert answer.failure is not None and answer.failure.kind == "error"
    assert answer.failure.reason.startswith("The server does not seem to have looked at the picture: ")
