"""Server faults over real HTTP: each is recorded with its own reason, and only a lost server raises."""

from __future__ import annotations

import gzip
import json
import logging
import re
import signal
import socket
import threading
import time
import traceback
import tracemalloc
import zlib
from base64 import b32encode, b64encode
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from email.utils import formatdate
from typing import Any

import pytest
from PIL import Image

from jurat.content import Chat, Turn
from jurat.models import Inquiry, ModelError, ModelSpec, ModelUnavailable, Serving, open_model
from jurat.models.openai.model import ServedModel
from jurat.models.openai.secrets import without_key

from ..openai_server import Asked, Script, Server, Told, completion, error

IMAGE = Image.new("RGB", (8, 6), (200, 30, 30))
CHAT = Chat((Turn("user", (IMAGE, "Is it true?")),))
LISTED = {"Yes": 0.6, "No": 0.2, "The": 0.05}
KEY = "sk-planted-4e1f0c9a77aa"
GOOD = completion("Yes", LISTED)

Serve = Callable[[Script], Server]


@pytest.fixture
def serve() -> Iterator[Serve]:
    with ExitStack() as stack:
        yield lambda script: stack.enter_context(Server(script).running())


PAUSE = 0.1
"""Seconds of the SDK's first pause where a test is not about its length; it takes up to a quarter off."""


@pytest.fixture
def short_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("openai._base_client.INITIAL_RETRY_DELAY", PAUSE)


@pytest.fixture(autouse=True)
def planted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", KEY)


def opened(url: str, **serving: float) -> ServedModel:
    options = {"retries": 1, "deadline": 90} | serving
    model = open_model("openai/tiny-vision", base_url=url, serving=Serving(**options))  # type: ignore[arg-type]
    assert isinstance(model, ServedModel)
    return model


def inquiry(*questions: str) -> Inquiry:
    return Inquiry(CHAT, questions or ("A dog?", "A cat?"))


def in_turn(*told: Told) -> Script:
    """Each response once, the last one for ever."""
    rest = list(told)
    return lambda _: rest.pop(0) if len(rest) > 1 else rest[0]


def unused() -> str:
    """An address without a server."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return f"http://127.0.0.1:{free.getsockname()[1]}/v1"


UPSTREAM = {"message": "Provider returned error: upstream overloaded", "code": 502}


def choice(**fields: Any) -> Told:
    """A completion whose choice has these fields."""
    return Told(GOOD.body | {"choices": [{**GOOD.body["choices"][0], "logprobs": None, **fields}]})


PASSING = {
    "200 with 502 in it": Told({"error": UPSTREAM, "user_id": "u"}),
    "200 with 429 in it": Told({"error": {"code": "429", "message": "retry shortly"}}),
    "200 with an error in words": Told({"error": "upstream connect error"}),
    "200 with a type": Told(
        {"type": "error", "error": {"type": "overloaded_error", "message": "Overloaded"}}
    ),
    "200 with a code": Told({"object": "error", "message": "Engine died", "code": 500}),
    "200 with a detail": Told({"detail": "The engine is restarting."}),
    "200 with an error beside a choice": Told(GOOD.body | {"error": UPSTREAM}),
    "200 with no choices and an error": Told(GOOD.body | {"choices": [], "error": UPSTREAM}),
    "200 with null for choices": Told(GOOD.body | {"choices": None}),
    "a choice that ends in error": choice(finish_reason="error", message={"content": ""}),
    "a choice with an error": choice(error=UPSTREAM),
    "500": error(500, "Internal error"),
    "503": error(503, "Loading model"),
    "429": error(429, "Slow down"),
    "408": error(408, "Too slow"),
    "a dropped connection": Told(GOOD.body, broken=True),
    "JSON cut short": Told('{"choices": [{"mess', headers={"content-type": "application/json"}),
}


@pytest.mark.usefixtures("short_pauses")
@pytest.mark.parametrize("case", PASSING)
def test_transient_faults_are_retried(serve: Serve, case: str) -> None:
    server = serve(in_turn(PASSING[case], GOOD))
    assert opened(server.url).chat([CHAT])[0].text == "Yes"
    assert len(server.asked) == 2


def test_retry_after_is_honoured(serve: Serve) -> None:
    server = serve(in_turn(error(429, "Slow down", headers={"retry-after": "0.7"}), GOOD))
    assert opened(server.url).chat([CHAT])[0].failure is None
    first, second = server.asked
    assert second.at - first.at >= 0.7


@pytest.mark.usefixtures("short_pauses")
@pytest.mark.parametrize("header", ["0", "-3", "Thu, 01 Jan 2026 00:00:00 GMT", "soon", "nan", "inf"])
def test_invalid_retry_after_uses_the_default_pause(serve: Serve, header: str) -> None:
    server = serve(in_turn(error(429, "Slow down", headers={"retry-after": header}), GOOD))
    assert opened(server.url).chat([CHAT])[0].failure is None
    first, second = server.asked
    assert second.at - first.at >= 0.75 * PAUSE


@pytest.mark.usefixtures("short_pauses")
def test_retries_are_bounded(serve: Serve) -> None:
    server = serve(in_turn(PASSING["500"]))
    (reply,) = opened(server.url, retries=2).chat([CHAT])
    assert reply.failure is not None and reply.failure.kind == "error"
    assert len(server.asked) == 3


@pytest.mark.usefixtures("short_pauses")
def test_pauses_between_retries_grow(serve: Serve) -> None:
    server = serve(in_turn(PASSING["500"], PASSING["500"], GOOD))
    assert opened(server.url, retries=2).chat([CHAT])[0].failure is None
    times = [asked.at for asked in server.asked]
    assert times[1] - times[0] >= 0.75 * PAUSE
    assert times[2] - times[1] >= 1.5 * PAUSE


def test_retry_after_may_be_a_date(serve: Serve) -> None:
    date = formatdate(time.time() + 2, usegmt=True)  # of whole seconds
    server = serve(in_turn(error(429, "Slow down", headers={"retry-after": date}), GOOD))
    assert opened(server.url).chat([CHAT])[0].failure is None
    first, second = server.asked
    assert second.at - first.at >= 0.9  # the SDK's own pause is at most 0.5


def test_retry_after_beyond_the_deadline_fails_at_once(serve: Serve) -> None:
    server = serve(in_turn(error(429, "Slow down", headers={"retry-after": "60"}), GOOD))
    start = time.monotonic()
    (reply,) = opened(server.url, deadline=20, retries=3).chat([CHAT])
    assert time.monotonic() - start < 10
    assert reply.failure is not None and "(429; it asked to wait 60 s)" in reply.failure.reason
    assert len(server.asked) == 1


def test_retries_end_at_the_deadline_with_the_last_reason(serve: Serve) -> None:
    server = serve(in_turn(error(503, "Loading model")))
    start = time.monotonic()
    (reply,) = opened(server.url, deadline=1.5, retries=100).chat([CHAT])
    assert time.monotonic() - start < 10
    assert reply.failure is not None and reply.failure.reason == "The server answered 503: Loading model"


FAULTS = {
    "repeated 429": (
        error(429, "Slow down"),
        "error",
        "The server's rate limit did not let it through (429).",
    ),
    "429 with a long retry-after": (
        error(429, "Slow down", headers={"retry-after": "900"}),
        "error",
        "The server's rate limit did not let it through (429; it asked to wait 900 s).",
    ),
    "repeated 500": (error(500, "Out of memory"), "error", "The server answered 500: Out of memory"),
    "html from a gateway": (
        Told("<html>Bad gateway</html>", 502, {"content-type": "text/html"}),
        "error",
        "The server answered 502: <html>Bad gateway</html>",
    ),
    "a dropped connection": (
        Told(GOOD.body, broken=True),
        "error",
        "The connection broke off before the reply was whole.",
    ),
    "JSON cut short": (PASSING["JSON cut short"], "error", "The server's reply is not JSON."),
    "html instead of JSON": (
        Told("<html>Welcome</html>", headers={"content-type": "text/html"}),
        "error",
        "What the server sent is no chat completion.",
    ),
    "JSON of another schema": (Told({"ok": True}), "error", "What the server sent is no chat completion."),
    "an error in a 200": (
        Told({"error": UPSTREAM}),
        "error",
        "The server answered with an error 502: Provider returned error: upstream overloaded",
    ),
    "a bad request in a 200": (
        Told({"error": {"code": 400, "message": "The image cannot be decoded."}}),
        "error",
        "The server answered with an error 400: The image cannot be decoded",
    ),
    "an error in a choice": (
        choice(finish_reason="error", error=UPSTREAM),
        "error",
        "The server answered with an error 502: Provider returned error: upstream overloaded",
    ),
    "a check that answers 403": (
        error(403, "Not this one."),
        "error",
        "The server answered 403: Not this one",
    ),
    "a route that answers 404": (
        error(404, "No endpoints found that support image input"),
        "error",
        "The server answered 404: No endpoints found that support image input",
    ),
    "a redirect of one call": (
        Told("", 308, {"location": "/elsewhere"}),
        "error",
        "The server answered 308: elsewhere",
    ),
    "a reply without an end": (
        Told(b"[" + b" " * (5 * 2**20)),
        "error",
        "The server's reply is longer than 4,194,304 bytes.",
    ),
    "brackets without an end": (Told("[" * 200_000), "error", "The server's reply is not JSON."),
    "a list": (Told("[1, 2]"), "error", "What the server sent is no chat completion."),
    "no choices": (Told(GOOD.body | {"choices": []}), "unparsed", "The reply holds no choice."),
    "an empty choice": (Told(GOOD.body | {"choices": [{}]}), "unparsed", "The reply holds no choice."),
    "a refusal": (
        completion(None, refusal="I can't help with that."),
        "refused",
        "The model refused: I can't help with that.",
    ),
    "a filtered reply": (
        completion(None, finish="content_filter"),
        "filtered",
        "The server's content filter blocked the reply.",
    ),
    "a filtered prompt (Azure)": (
        error(400, "The response was filtered due to the prompt.", code="content_filter"),
        "filtered",
        "The server's content filter blocked it: The response was filtered due to the prompt",
    ),
    "a filtered prompt (a gateway)": (
        error(403, "The model requires moderation and your input was flagged"),
        "filtered",
        "The server's content filter blocked it: The model requires moderation and your input was flagged",
    ),
    "too large": (
        error(413, "Payload too large"),
        "error",
        "The server finds the request too large (413): lower --max-pixels.",
    ),
    "too long": (
        error(400, "This model's maximum context length is 2048 tokens."),
        "error",
        "The server answered 400: This model's maximum context length is 2048 tokens",
    ),
    "no images": (
        Told({"detail": [{"msg": "image input is not supported"}]}, 422),
        "error",
        "The server answered 422: [{'msg': 'image input is not supported'}]",
    ),
}


@pytest.mark.parametrize("content", ["", " \n", None])
@pytest.mark.parametrize("finish", ["stop", "length"])
def test_empty_reply_is_not_a_failure(serve: Serve, content, finish: str) -> None:
    (reply,) = opened(serve(lambda _: completion(content, finish=finish)).url).chat([CHAT])
    assert (reply.text, reply.failure, reply.finish) == ("", None, finish)


@pytest.mark.parametrize("case", FAULTS)
def test_each_item_fault_has_its_own_reason(serve: Serve, case: str) -> None:
    told, kind, reason = FAULTS[case]
    server = serve(lambda asked: told if "bad" in asked.text else GOOD)
    bad = Chat((Turn("user", (IMAGE, "bad")),))
    model = opened(server.url, retries=0)
    failed, fine = model.chat([bad, CHAT])
    assert failed.failure is not None
    assert (failed.failure.kind, failed.failure.reason) == (kind, reason)
    assert (fine.text, fine.failure) == ("Yes", None)
    answered, broken = model.ask([inquiry(), Inquiry(bad, ("A dog?", "A cat?"))])
    assert [a.yes for a in answered.answers] == [pytest.approx(0.6)] * 2
    assert broken.failure is not None and not broken.answers
    assert broken.failure.kind == kind


FILTERS = {
    "Azure": error(400, "The response was filtered", code="content_filter"),
    "Qwen": error(400, "Input data may contain inappropriate content.", code="data_inspection_failed"),
    "Anthropic": error(400, "Output blocked by content filtering policy"),
    "OpenAI": error(400, "Invalid prompt: your input was flagged as potentially violating our usage policy."),
    "OpenAI's safety system": error(400, "Your request was rejected by our safety system."),
    "Zhipu": Told({"contentFilter": [{"level": 1}], "error": {"code": "1301", "message": "Unsafe."}}, 400),
    "xAI": Told(
        {
            "code": "The caller does not have permission to execute the specified operation",
            "error": "Content violates usage guidelines. Failed check: SAFETY_CHECK_TYPE_TEST",
        },
        403,
    ),
    "a gateway's reasons": Told(
        {"error": {"code": 403, "message": "No.", "metadata": {"reasons": ["x"]}}}, 403
    ),
    "DeepSeek": error(400, "Content Exists Risk"),
    "Volcengine": error(400, "The request failed because the input image may contain sensitive information."),
    "for legal reasons": error(451, "Unavailable."),
    "a gateway that calls it a failure of its own": error(500, "upstream: data_inspection_failed"),
    "MiniMax": Told({"choices": None, "base_resp": {"status_code": 1026, "status_msg": "new_sensitive"}}),
    "a 200 with it inside": Told({"error": {"code": 403, "message": "Your input was flagged"}}),
    "Gemini's prompt": Told(GOOD.body | {"choices": [], "promptFeedback": {"blockReason": "OTHER"}}),
} | {
    f"a reply that ends in {reason}": choice(finish_reason=reason, message={"role": "assistant"})
    for reason in (
        *("SAFETY", "PROHIBITED_CONTENT", "BLOCKLIST", "SPII", "IMAGE_SAFETY", "RECITATION", "sensitive"),
        *("content_filter: PROHIBITED_CONTENT", "content_filtered", "guardrail_intervened"),
    )
}


@pytest.mark.parametrize("case", FILTERS)
def test_content_filters_of_many_servers_are_recognised(serve: Serve, case: str) -> None:
    server = serve(lambda asked: FILTERS[case] if "bad" in asked.text else GOOD)
    model = opened(server.url, retries=2)
    blocked, fine = model.chat([Chat((Turn("user", (IMAGE, "bad")),)), CHAT])
    assert blocked.failure is not None and blocked.failure.kind == "filtered", blocked.failure
    assert fine.failure is None
    assert sum("bad" in asked.text for asked in server.asked) == 1  # it is not paid for again


NO_FILTERS = {
    "a setting": error(400, "Unknown field: safety_settings"),
    "a type": error(400, "Disallowed content-type"),
    "too many": error(400, "At most 16 images may be provided in one request."),
    "what was sent": Told({"detail": [{"msg": "Extra inputs", "input": "No sensitive content."}]}, 422),
    "a server error": error(500, "Internal Server Error"),
}


@pytest.mark.parametrize("case", NO_FILTERS)
def test_other_errors_are_not_content_filters(serve: Serve, case: str) -> None:
    (reply,) = opened(serve(lambda _: NO_FILTERS[case]).url, retries=0).chat([CHAT])
    assert reply.failure is not None and reply.failure.kind == "error"


@pytest.mark.parametrize("status", [403, 404, 402])
def test_rejected_first_image_does_not_stop_the_run(serve: Serve, status: int) -> None:
    """The first call is rejected; a question without an image is answered."""
    server = serve(lambda asked: error(status, "Not for you.") if asked.urls else GOOD)
    model = opened(server.url)
    (reply,) = model.chat([CHAT])
    assert model.spent.calls == 1  # the question without an image
    assert reply.failure is not None and reply.failure.reason == f"The server answered {status}: Not for you"
    assert [bool(asked.urls) for asked in server.asked] == [True, False]


@pytest.mark.parametrize("concurrency", [1, 4, 32])
def test_many_failing_images_do_not_stop_the_run(serve: Serve, concurrency: int) -> None:
    small, photo = (Chat((Turn("user", (Image.new("RGB", (w, 20)), "What?")),)) for w in (64, 96))
    server = serve(
        lambda asked: error(500, "Internal") if asked.urls and asked.images[0].width == 64 else GOOD
    )
    replies = opened(server.url, retries=0, concurrency=concurrency).chat([small] * 100 + [photo] * 3)
    assert [reply.failure is None for reply in replies] == [False] * 100 + [True] * 3


def test_answered_call_is_repeated_before_the_run_stops(serve: Serve) -> None:
    """Repeated with its image: a server whose vision has failed still answers text questions."""
    left = [3]

    def script(asked: Asked) -> Told:
        left[0] -= bool(asked.urls)
        return GOOD if left[0] >= 0 or not asked.urls else error(500, "The vision worker is dead.")

    server = serve(script)
    with pytest.raises(
        ModelUnavailable, match="calls failed; The server answered 500: The vision worker is dead"
    ):
        opened(server.url, retries=0, concurrency=1).chat([CHAT] * 30)
    assert len(server.asked) == 3 + 8 + 1


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_redirects_are_not_followed(serve: Serve, status: int) -> None:
    other = serve(lambda _: GOOD)
    server = serve(lambda _: Told("", status, {"location": f"{other.url}/chat/completions"}))
    with pytest.raises(ModelUnavailable, match=f"it redirects to {other.url.removesuffix('/v1')} ") as raised:
        opened(server.url).chat([CHAT])
    assert raised.value.hint is not None and "--base-url" in raised.value.hint
    assert not other.asked


def test_replies_are_read_up_to_a_limit(serve: Serve) -> None:
    """A small compressed reply of 256 MB uncompressed is never held as a whole."""
    layer = zlib.compressobj(1, wbits=31)
    block = bytes(2**24)
    data = b"".join(layer.compress(block) for _ in range(16)) + layer.flush()
    assert len(data) < 2**21
    server = serve(lambda _: Told(data, headers={"content-encoding": "gzip"}))
    model = opened(server.url, retries=3)
    tracemalloc.start()
    (reply,) = model.chat([CHAT])
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert reply.failure is not None and "longer than" in reply.failure.reason
    assert len(server.asked) == 1
    assert peak < 2**26


def test_compressed_reply_is_read(serve: Serve) -> None:
    body = gzip.compress(json.dumps(GOOD.body).encode())
    server = serve(lambda _: Told(body, headers={"content-encoding": "gzip"}))
    assert opened(server.url).chat([CHAT])[0].text == "Yes"


@pytest.mark.parametrize("count", [10**20, 10**12, -5, "many", [3], None])
def test_impossible_token_counts_are_ignored(serve: Serve, count: object) -> None:
    usage = {"prompt_tokens": count, "completion_tokens": 2, "total_tokens": count}
    (reply,) = opened(serve(lambda _: Told(GOOD.body | {"usage": usage})).url).chat([CHAT])
    assert (reply.usage.input_tokens, reply.usage.output_tokens) == (0, 2)


def test_filtered_question_fails_alone(serve: Serve) -> None:
    blocked = error(400, "Blocked.", code="content_filter")
    server = serve(lambda asked: blocked if "cat" in asked.text else GOOD)
    (answer,) = opened(server.url).ask([inquiry("A dog?", "A cat?", "A bus?")])
    assert [a.failure.kind if a.failure else None for a in answer.answers] == [None, "filtered", None]


def test_failed_image_gets_no_further_questions(serve: Serve) -> None:
    server = serve(in_turn(error(400, "The image cannot be decoded.")))
    (answer,) = opened(server.url).ask([inquiry("A dog?", "A cat?", "A bus?")])
    assert answer.failure is not None and answer.failure.kind == "error"
    assert len(server.asked) == 1


@pytest.mark.parametrize("what", ["ask", "chat"])
def test_slow_server_fails_at_the_deadline(serve: Serve, what: str) -> None:
    server = serve(lambda asked: Told(GOOD.body, delay=60.0 if "slow" in asked.text else 0.0))
    model = opened(server.url, deadline=1.2, retries=5)
    start = time.monotonic()
    if what == "ask":
        (answer,) = model.ask([inquiry("A slow dog?", "A cat?")])
        failure = answer.failure
    else:
        failure = model.chat([Chat((Turn("user", ("slow",)),))])[0].failure
    assert time.monotonic() - start < 30
    assert failure is not None
    assert failure.kind == "error" and failure.reason.startswith("The server did not answer within 0.")


def test_trickling_reply_fails_at_the_deadline() -> None:
    """No single read takes long, and the reply never ends."""
    with socket.create_server(("127.0.0.1", 0)) as listening:

        def trickle() -> None:
            connection, _ = listening.accept()
            with connection:
                connection.recv(65536)
                connection.sendall(b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\n\r\n")
                for _ in range(1200):
                    time.sleep(0.05)
                    try:
                        connection.sendall(b" ")
                    except OSError:
                        return

        threading.Thread(target=trickle, daemon=True).start()
        url = f"http://127.0.0.1:{listening.getsockname()[1]}/v1"
        start = time.monotonic()
        (reply,) = opened(url, deadline=1.5, retries=0).chat([CHAT])
        assert reply.failure is not None and "did not answer within 0.5 s" in reply.failure.reason
        assert time.monotonic() - start < 30


GONE = {
    "the key is refused": (error(401, f"Incorrect API key provided: {KEY}"), "it refuses the key (401)"),
    "the key has no permission": (error(403, "Forbidden"), "it refuses the key (403)"),
    "no such model": (
        error(404, "The model 'tiny-vision' does not exist."),
        "the server answers 404: The model",
    ),
    "no such route": (error(405, "Method Not Allowed"), "the server answers 405: Method Not Allowed"),
    "a redirect": (
        Told("", 307, {"location": "https://me:pass@elsewhere.example/v1?key=1"}),
        "it redirects to https://elsewhere.example (307)",
    ),
    "the key is refused in a 200": (
        Told({"error": {"code": 401, "message": "Who are you?"}}),
        "it refuses the key (401)",
    ),
    "no credit": (error(402, "Insufficient credits"), "it asks for payment (402)"),
    "no quota": (error(429, "You exceeded your quota", code="insufficient_quota"), "no credit left (429)"),
}


@pytest.mark.parametrize("case", GONE)
@pytest.mark.parametrize("what", ["ask", "chat"])
def test_fatal_server_faults_stop_the_run(serve: Serve, case: str, what: str) -> None:
    told, message = GONE[case]
    model = opened(serve(lambda _: told).url)
    where = "'tiny-vision' (does not answer|is not available) at http://127"
    with pytest.raises(ModelUnavailable, match=where) as raised:
        model.ask([inquiry()] * 4) if what == "ask" else model.chat([CHAT] * 4)
    assert message in raised.value.message
    # That it does not answer, and what it answers, are not said in one sentence.
    assert "does not answer" not in raised.value.message or "answers" not in raised.value.message
    assert raised.value.exit_code == 3 and raised.value.hint


def test_unreachable_server_stops_the_run() -> None:
    with pytest.raises(ModelUnavailable, match="cannot be reached") as raised:
        opened(unused()).ask([inquiry()])
    assert isinstance(raised.value, ModelError)
    assert str(raised.value).count("\n") == 1


def test_server_that_recovers_before_the_deadline_is_used() -> None:
    url = unused()
    port = int(url.rpartition(":")[2].removesuffix("/v1"))
    with ExitStack() as stack:
        come = threading.Timer(0.6, lambda: stack.enter_context(Server(lambda _: GOOD, port).running()))
        come.start()
        assert opened(url, retries=4, deadline=30).chat([CHAT])[0].text == "Yes"
        come.join()


def test_many_consecutive_failures_stop_the_run(serve: Serve) -> None:
    server = serve(lambda _: error(502, "Bad gateway"))
    with pytest.raises(
        ModelUnavailable, match="the last 8 calls failed; The server answered 502: Bad gateway"
    ):
        opened(server.url, retries=0, concurrency=2).chat([CHAT] * 30)
    assert len(server.asked) < 12


def test_html_replies_stop_the_run(serve: Serve) -> None:
    server = serve(lambda _: Told("<html>Welcome</html>", headers={"content-type": "text/html"}))
    with pytest.raises(
        ModelUnavailable, match="the last 8 calls failed; What the server sent is no chat completion"
    ):
        opened(server.url, retries=0, concurrency=2).chat([CHAT] * 30)
    assert len(server.asked) < 12


def test_failures_between_successes_do_not_stop_the_run(serve: Serve) -> None:
    told = iter([error(502, "Bad gateway"), GOOD] * 20)
    server = serve(lambda _: next(told))
    replies = opened(server.url, retries=0, concurrency=1).chat([CHAT] * 30)
    assert sum(reply.failure is not None for reply in replies) == 15


def test_stopped_run_cancels_running_calls(serve: Serve) -> None:
    server = serve(
        lambda asked: Told(GOOD.body, delay=60) if "true" in asked.text else error(404, "No such model.")
    )
    start = time.monotonic()
    with pytest.raises(ModelUnavailable):
        opened(server.url, deadline=600).chat([CHAT] * 3 + [Chat((Turn("user", ("bad",)),))])
    assert time.monotonic() - start < 30


def test_ctrl_c_cancels_running_calls(serve: Serve) -> None:
    server = serve(lambda _: Told(GOOD.body, delay=60))
    model = opened(server.url, deadline=600)
    kept = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        main = threading.main_thread().ident
        threading.Timer(0.5, lambda: signal.pthread_kill(main, signal.SIGINT)).start()
        start = time.monotonic()
        with pytest.raises(KeyboardInterrupt):
            model.ask([inquiry()] * 3)
        assert time.monotonic() - start < 30
    finally:
        signal.signal(signal.SIGINT, kept)


def test_key_is_sent_and_appears_nowhere_else(
    serve: Serve, caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]
) -> None:
    """Even if the server echoes the key in replies, refusals and errors."""
    caplog.set_level(logging.DEBUG)

    def echo(asked: Asked) -> Told:
        said = asked.headers["authorization"]
        kinds = {
            "chat": completion(f"Your key is {said}.", LISTED, fingerprint=said),
            "refusal": completion(None, refusal=f"No. {said}"),
            "unparsed": completion(f"No JSON: {said}"),
            "filter": error(400, f"{said} was blocked", code="content_filter"),
            "bad": error(400, f"What is {said}?"),
            "storm": error(500, f"Crashed on {KEY}"),
            "end": error(401, f"Incorrect API key provided: {said}"),
            "lost": error(404, f"{said} knows no such model"),
        }
        return kinds[asked.question]

    server = serve(echo)
    spec = ModelSpec("openai/tiny-vision", base_url=server.url, serving=Serving(retries=0))
    model = open_model(spec)
    assert isinstance(model, ServedModel)
    out: list[str] = []
    for word in ("chat", "refusal", "filter", "bad", "storm"):
        chat = Chat((Turn("user", (word,)),))
        replies = model.chat([chat])
        out.append(repr(replies))
        out.append(repr(model.ask([Inquiry(Chat(), (word,))])))
    model.give_up_logprobs()
    out.append(repr(model.ask([Inquiry(Chat(), ("unparsed",))])))
    for word in ("end", "lost"):
        try:
            model.chat([Chat((Turn("user", (word,)),))])
        except ModelUnavailable as gone:
            out += [str(gone), repr(gone), traceback.format_exc()]
    out += [
        repr(spec),
        repr(model),
        repr(vars(model)),
        repr(vars(model.server)),
        model.revision,
        str(model.spent),
    ]
    out += [record.getMessage() + repr(record.__dict__) for record in caplog.records]
    out += [*capfd.readouterr()]
    assert all(asked.headers["authorization"] == f"Bearer {KEY}" for asked in server.asked)
    assert len(out) > 30
    leaks = [text for text in out if KEY in text or KEY[3:] in text]
    assert not leaks, leaks[:3]


ENCODED = {
    "spaced out": " ".join(KEY),
    "dotted": ".".join(KEY),
    "a line each": "\n".join(KEY),
    "with invisible spaces": "\u200b".join(KEY),
    "in capitals": KEY.upper(),
    "backwards": KEY[::-1],
    "in hex": KEY.encode().hex(" "),
    "escaped for URLs": "".join(f"%{ord(c):02X}" for c in KEY),
    "escaped for JSON": "".join(f"\\u{ord(c):04x}" for c in KEY),
    "escaped for HTML": "".join(f"&#{ord(c)};" for c in KEY),
    "base64": b64encode(KEY.encode()).decode(),
    "base64 of the header": b64encode(f"Bearer {KEY}".encode()).decode(),
    "base64 of a user": b64encode(f"a:{KEY}".encode()).decode(),
    "base64 for URLs, in lines": "\n".join(b64encode(f"me:{KEY}".encode()).decode().rstrip("=")),
    "base32": b32encode(KEY.encode()).decode(),
    "its larger part": f"{KEY[:20]} and the rest",
}


@pytest.mark.parametrize("case", ENCODED)
def test_encoded_forms_of_the_key_are_removed(serve: Serve, case: str) -> None:
    said = ENCODED[case]
    bare = re.sub(r"\W", "", said).lower()
    scripts = {
        "in a reply": completion(f"Before {said} after."),
        "in an error": error(400, f"Before {said} after."),
        "in a 200": Told({"error": f"Before {said} after."}),
        "in a refusal": completion(None, refusal=f"Before {said} after."),
    }
    for told in scripts.values():
        (reply,) = opened(serve(lambda _, told=told: told).url, retries=0).chat([CHAT])
        shown = reply.text or (reply.failure.reason if reply.failure else "")
        assert "Before" in shown and "after" in shown and "[key]" in shown, shown
        left = re.sub(r"\W", "", shown).lower()
        assert not any(bare[at : at + 12] in left for at in range(len(bare) - 12)), shown


def test_text_that_resembles_the_key_is_kept() -> None:
    text = 'A planted bed of 4e1 roses, sk 0c9a77: {"1": "Yes", "2": "No"}'
    assert without_key(text) == text


def test_local_server_needs_no_key(serve: Serve, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("OPENAI_API_KEY")
    server = serve(lambda _: GOOD)
    assert opened(server.url).chat([CHAT])[0].text == "Yes"
    assert server.asked[0].headers["authorization"] == "Bearer none"
