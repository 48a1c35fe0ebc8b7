"""`openai/NAME` against a real HTTP server with scripted answers."""

from __future__ import annotations

import json
import math
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import Any

import pytest
from PIL import Image

from jurat.content import Chat, Failure, Generation, Turn
from jurat.errors import JuratError
from jurat.models import Inquiry, Serving, UnsupportedSetting, UsageMeter, YesNo, open_model
from jurat.models.openai.model import ServedModel

from ..openai_server import Asked, Server, Told, completion, error

pytestmark = pytest.mark.usefixtures("no_openai_environment")

IMAGE = Image.new("RGB", (8, 6), (200, 30, 30))
QUESTIONS = ("Statement: A dog is visible.", "Statement: A cat is visible.", "Statement: A bus is visible.")
LISTED = {"Yes": 0.6, " yes": 0.1, "No": 0.2, "The": 0.05}

Serve = Callable[..., Server]


@pytest.fixture
def serve() -> Iterator[Serve]:
    with ExitStack() as stack:
        yield lambda script, **options: stack.enter_context(Server(script, **options).running())


def opened(server: Server, **serving: Any) -> ServedModel:
    model = open_model("openai/tiny-vision", base_url=server.url, serving=Serving(**serving))
    assert isinstance(model, ServedModel)
    return model


def inquiry(image: Image.Image | None = IMAGE, questions: tuple[str, ...] = QUESTIONS) -> Inquiry:
    parts = ("Is it true?",) if image is None else (image, "Is it true?")
    return Inquiry(Chat((Turn("system", ("Be brief.",)), Turn("user", parts))), questions)


def measuring(asked: Asked) -> Told:
    return completion("Yes", LISTED) if asked.body.get("logprobs") else completion("Hello.")


def stating(asked: Asked) -> Told:
    """A server without logprobs that answers Yes only to questions about a dog."""
    if "1. " not in asked.text:
        return completion("Yes")
    numbered = [line for line in asked.text.splitlines() if line[:1].isdigit()]
    return completion(
        json.dumps({line.partition(".")[0]: "Yes" if "dog" in line else "No" for line in numbered})
    )


def test_question_is_one_call_for_one_token_with_the_image_first(serve: Serve) -> None:
    server = serve(measuring)
    (answer,) = opened(server).ask([inquiry()])
    assert [(a.yes, a.no) for a in answer.answers] == [(pytest.approx(0.7), pytest.approx(0.2))] * 3
    assert answer.basis == "measured" and not any(a.stated for a in answer.answers)
    first, *others = (asked.question for asked in server.asked)
    assert (first, set(others)) == (QUESTIONS[0], set(QUESTIONS[1:]))
    for asked in server.asked:
        assert [message["role"] for message in asked.body["messages"]] == ["system", "user"]
        assert asked.body["messages"][0]["content"] == "Be brief."
        assert [part["type"] for part in asked.content] == ["image_url", "text"]
        assert asked.text == f"Is it true?\n{asked.question}"
        settings = {name: asked.body[name] for name in ("model", "max_tokens", "temperature", "logprobs")}
        assert settings == {"model": "tiny-vision", "max_tokens": 1, "temperature": 0, "logprobs": True}
        assert asked.body["top_logprobs"] == 20


def test_first_question_of_an_image_is_sent_alone(serve: Serve) -> None:
    """A server that caches prefixes then has the image in its cache."""
    done: list[float] = []

    def script(asked: Asked) -> Told:
        time.sleep(0.05)
        done.append(time.monotonic())
        return completion("Yes", LISTED)

    server = serve(script)
    opened(server).ask([inquiry()])
    assert all(asked.at >= done[0] for asked in server.asked[1:])


def test_inquiry_without_an_image_is_plain_text(serve: Serve) -> None:
    server = serve(measuring)
    (answer,) = opened(server).ask([inquiry(None)])
    assert len(answer.answers) == 3
    assert server.asked[0].body["messages"][1]["content"] == f"Is it true?\n{QUESTIONS[0]}"


def test_no_questions_need_no_call(serve: Serve) -> None:
    server = serve(measuring)
    assert opened(server).ask([inquiry(questions=())])[0].answers == ()
    assert not server.asked


def test_answers_keep_the_order_of_questions(serve: Serve) -> None:
    shares = {question: 0.1 * (i + 1) for i, question in enumerate(QUESTIONS)}

    def script(asked: Asked) -> Told:
        share = shares[asked.question] + asked.images[0].getpixel((0, 0))[0] / 1000  # type: ignore[index]
        return completion("Yes", {"Yes": share, "No": 0.9 - share, "The": 0.01}, delay=0.02 * (share % 0.03))

    images = [Image.new("RGB", (4, 4), (red, 0, 0)) for red in (0, 20, 40, 60)]
    answers = opened(serve(script), concurrency=5).ask([inquiry(image) for image in images])
    found = [[round(a.yes, 3) for a in answer.answers] for answer in answers]
    assert found == [[round(0.1 * i + red / 1000, 3) for i in (1, 2, 3)] for red in (0, 20, 40, 60)]


def test_small_images_are_sent_lossless_and_large_ones_scaled(serve: Serve) -> None:
    server = serve(measuring)
    noise = Image.effect_noise((300, 200), 90).convert("RGB")
    large = Image.effect_noise((1600, 800), 90).convert("RGB")
    opened(server, max_pixels=500_000).ask([inquiry(noise, QUESTIONS[:1]), inquiry(large, QUESTIONS[:1])])
    arrived = {asked.images[0].format: asked.images[0] for asked in server.asked}
    assert arrived["PNG"].tobytes() == noise.tobytes()
    assert arrived["JPEG"].size == (1000, 500)


@pytest.mark.parametrize("image_format", ["png", "jpeg"])
def test_image_format_option_sets_the_format(serve: Serve, image_format: str) -> None:
    server = serve(measuring)
    noise = Image.effect_noise((900, 700), 90).convert("RGB")
    small = Image.effect_noise((300, 200), 90).convert("RGB")
    model = opened(server, image_format=image_format)
    model.ask([inquiry(noise, QUESTIONS[:1]), inquiry(small, QUESTIONS[:1])])
    arrived = {asked.images[0].size: asked.images[0] for asked in server.asked if asked.urls}
    assert {image.format for image in arrived.values()} == {image_format.upper()}
    lossless = arrived[noise.size].tobytes() == noise.tobytes()
    assert lossless is (image_format == "png")


def test_concurrency_bounds_running_calls(serve: Serve) -> None:
    def script(asked: Asked) -> Told:
        return completion("Yes", LISTED, delay=0.02)

    server = serve(script)
    answers = opened(server, concurrency=3).ask([inquiry() for _ in range(8)])
    assert all(len(answer.answers) == 3 for answer in answers)
    assert server.most_at_once == 3
    assert len(server.asked) == 24


def test_tokens_are_counted_and_priced(serve: Serve) -> None:
    model = opened(serve(measuring), input_price=2.5, output_price=10)
    (answer,) = model.ask([inquiry()])
    assert (answer.usage.input_tokens, answer.usage.output_tokens, answer.usage.shared_tokens) == (
        300,
        3,
        240,
    )
    (reply,) = model.chat([inquiry().prefix])
    assert (reply.usage.input_tokens, reply.usage.output_tokens) == (100, 1)
    metered = model.capability(UsageMeter)
    assert metered is not None
    # Three questions and a chat; the questions without the image; four to learn whether the server sees.
    assert (metered.spent.calls, metered.spent.usage.input_tokens) == (11, 1100)
    assert metered.spent.usage.money == pytest.approx((1100 * 2.5 + 11 * 10) / 1e6)
    assert opened(serve(measuring)).spent.usage.money is None


def test_cost_of_answers_adds_up_to_all_calls(serve: Serve) -> None:
    model = opened(serve(measuring), input_price=2.5, output_price=10)
    answers = model.ask([inquiry(Image.new("RGB", (8, 6), (red, 30, 30))) for red in (1, 2, 3)])
    replies = model.chat([inquiry().prefix] * 2)
    money = [result.usage.money for result in (*answers, *replies)]
    assert money[3:] == [pytest.approx((100 * 2.5 + 10) / 1e6)] * 2
    # Whoever comes first pays for the calls that check whether the server sees.
    assert sum(each or 0 for each in money) == pytest.approx(model.spent.usage.money)
    assert [a.usage.money for a in opened(serve(measuring)).ask([inquiry()])] == [None]


def test_missing_usage_counts_as_zero(serve: Serve) -> None:
    (answer,) = opened(serve(lambda _: completion("Yes", LISTED, usage=None))).ask([inquiry()])
    assert answer.usage.input_tokens == 0
    assert answer.failure is None


def test_revision_is_reported_by_the_server(serve: Serve) -> None:
    model = opened(serve(lambda _: completion("Yes", LISTED, fingerprint="fp_44"), check=None))
    assert (model.name, model.revision, model.dtype) == ("openai/tiny-vision", "unknown", "none")
    model.ask([inquiry()])
    assert model.revision == "tiny-vision-001+fp_44"


# Chat.


def test_chat_sends_the_settings_of_each_conversation(serve: Serve) -> None:
    server = serve(lambda asked: completion(f"You said {asked.text}"))
    chats = [
        Chat((Turn("user", (IMAGE, "one")),), Generation(max_tokens=7, temperature=0.5, seed=3)),
        Chat((Turn("user", ("a",)), Turn("assistant", ("b",)), Turn("user", ("two",)))),
    ]
    assert [reply.text for reply in opened(server).chat(chats)] == ["You said one", "You said two"]
    bodies = {asked.text: asked.body for asked in server.asked}
    assert {name: bodies["one"][name] for name in ("max_tokens", "temperature", "seed")} == {
        "max_tokens": 7,
        "temperature": 0.5,
        "seed": 3,
    }
    assert "seed" not in bodies["two"] and bodies["two"]["temperature"] == 0
    assert [turn["content"] for turn in bodies["two"]["messages"]] == ["a", "b", "two"]
    assert not {"logprobs", "top_logprobs", "response_format"} & set(bodies["two"])


def test_top_p_stop_and_seed_apply_per_conversation(serve: Serve) -> None:
    server = serve(lambda asked: completion("Fine."))
    turns = (Turn("user", ("one",)),), (Turn("user", ("two",)),)
    drawn = Generation(temperature=0.7, top_p=0.9, seed=1, stop=("\n\n", "END"))
    opened(server).chat([Chat(turns[0], drawn), Chat(turns[1])])
    bodies = {asked.text: asked.body for asked in server.asked}
    assert (bodies["one"]["top_p"], bodies["one"]["stop"]) == (0.9, ["\n\n", "END"])
    assert not {"top_p", "stop", "seed"} & set(bodies["two"])


FIELDS = {
    "reasoning_effort": ({"reasoning_effort": "none"}, {"reasoning_effort": "medium"}),
    "chat_template_kwargs": (
        {"chat_template_kwargs": {"enable_thinking": False}},
        {"chat_template_kwargs": {"enable_thinking": True}},
    ),
}


@pytest.mark.parametrize("field", FIELDS)
def test_thinking_is_switched_by_the_named_field(serve: Serve, field: str) -> None:
    server = serve(measuring)
    model = opened(server, thinking_field=field)
    model.chat(
        [Chat((Turn("user", ("Hello",)),), Generation(thinking=thinking)) for thinking in (False, True)]
    )
    model.ask([inquiry(None, QUESTIONS[:1])])
    sent = [{name: asked.body[name] for name in FIELDS if name in asked.body} for asked in server.asked]
    off, on = FIELDS[field]
    assert sorted(sent[:2], key=str) == sorted([off, on], key=str)
    assert sent[2] == off  # a closed question is answered by its first token


@pytest.mark.parametrize("taken", [False, True])
def test_assistant_turn_is_continued_if_the_server_supports_it(serve: Serve, taken: bool) -> None:
    server = serve(lambda asked: completion("a cat."))
    turns = (Turn("user", ("What?",)), Turn("assistant", ("It is",)))
    model = opened(server, continue_final_message=taken, concurrency=1)
    model.chat([Chat(turns), Chat(turns[:1])])
    fields = ("continue_final_message", "add_generation_prompt")
    continued, replied = ([asked.body.get(name) for name in fields] for asked in server.asked)
    assert continued == ([True, False] if taken else [None, None])
    assert replied == [None, None]
    assert server.asked[0].body["messages"][-1] == {"role": "assistant", "content": "It is"}


def test_cost_of_a_prior_is_counted_once(serve: Serve) -> None:
    model = opened(serve(measuring), input_price=2.0)
    first, second = (model.ask([inquiry(None)])[0] for _ in range(2))
    assert first.answers == second.answers
    assert (first.usage.input_tokens, second.usage.input_tokens) == (300, 0)
    assert model.spent.usage.input_tokens == 300


UNSUPPORTED = {
    "thinking": Generation(thinking=True),
    "logits_processors": Generation(logits_processors=(lambda ids, scores: scores,)),
}


@pytest.mark.parametrize("setting", UNSUPPORTED)
def test_unsupported_settings_are_refused_before_sending(serve: Serve, setting: str) -> None:
    server = serve(measuring)
    with pytest.raises(UnsupportedSetting, match=f"does not support {setting}"):
        opened(server).chat([inquiry().prefix, Chat((Turn("user", ("a",)),), UNSUPPORTED[setting])])
    assert not server.asked


REJECTED = {
    "temperature": Generation(temperature=0.5),
    "top_p": Generation(top_p=0.5, temperature=0.5),
    "seed": Generation(seed=1, temperature=0.5),
    "stop": Generation(stop=("END",)),
}


@pytest.mark.parametrize("setting", REJECTED)
def test_setting_rejected_by_the_server_is_refused(serve: Serve, setting: str) -> None:
    message = f"Unsupported parameter: '{setting}' is not supported with this model."
    server = serve(lambda asked: error(400, message) if setting in asked.body else completion("Fine."))
    with pytest.raises(UnsupportedSetting, match=f"does not support {setting}: Unsupported parameter"):
        opened(server).chat([Chat((Turn("user", ("Hello",)),), REJECTED[setting])])
    assert len(server.asked) == 1


def test_thinking_is_removed_from_the_reply(serve: Serve) -> None:
    replies = iter(["<think>\nA cat.\n</think>\n\nYes.", "<think>A cat, or", "No <think> here."])
    model = opened(serve(lambda _: completion(next(replies))), concurrency=1)
    chats = [Chat((Turn("user", ("Hello",)),))] * 3
    assert [reply.text for reply in model.chat(chats)] == ["Yes.", "", "No <think> here."]


def test_replies_have_a_finish_reason(serve: Serve) -> None:
    ends = iter(["stop", "length", "tool_calls"])
    model = opened(serve(lambda _: completion("So", finish=next(ends))), concurrency=1)
    replies = model.chat([Chat((Turn("user", ("Hello",)),))] * 3)
    assert [reply.finish for reply in replies] == ["stop", "length", None]


def test_images_keep_their_places_in_a_turn(serve: Serve) -> None:
    server = serve(lambda _: completion("So."))
    opened(server).chat([Chat((Turn("user", ("First:", IMAGE, "Second:", IMAGE)),))])
    assert [part["type"] for part in server.asked[0].content] == ["text", "image_url"] * 2


def test_chat_works_inside_a_running_event_loop(serve: Serve) -> None:
    """Notebooks run one."""
    import asyncio

    async def cell() -> str:
        return opened(serve(lambda _: completion("Here."))).chat([inquiry().prefix])[0].text

    assert asyncio.run(cell()) == "Here."


# Servers without logprobs.

REFUSALS = {
    "it leaves them out": stating,
    "it lists the chosen token only": lambda asked: (
        completion("Yes", {"Yes": 0.8}) if asked.body.get("logprobs") else stating(asked)
    ),
    "it refuses them (OpenAI)": lambda asked: (
        error(400, "Unsupported parameter: 'logprobs' is not supported with this model.")
        if asked.body.get("logprobs")
        else stating(asked)
    ),
    "it may not give them": lambda asked: (
        error(403, "You are not allowed to request logprobs from this model")
        if asked.body.get("logprobs")
        else stating(asked)
    ),
    "it knows no such field (transformers)": lambda asked: (
        Told({"detail": "Unsupported fields in the request: {'logprobs', 'top_logprobs'}"}, 422)
        if asked.body.get("logprobs")
        else stating(asked)
    ),
    "its token is a thought": lambda asked: (
        completion("", finish="length") if asked.body.get("logprobs") else stating(asked)
    ),
}


@pytest.mark.parametrize("case", REFUSALS)
def test_without_logprobs_answers_are_stated_in_groups(serve: Serve, case: str, caplog) -> None:
    server = serve(REFUSALS[case])
    model = opened(server, questions_per_call=2)
    answers = model.ask([inquiry(), inquiry(), inquiry()])
    for answer in answers:
        assert answer.basis == "stated"
        assert answer.answers == (
            YesNo(1, 0, stated=True),
            YesNo(0, 1, stated=True),
            YesNo(0, 1, stated=True),
        )
    wanted = [asked for asked in server.asked if asked.body.get("logprobs")]
    assert len(wanted) == 1  # it is found out once
    assert len(server.asked) == 1 + 3 * 2
    assert "stated" in caplog.text and len(caplog.records) == 1
    stated = server.asked[-1]
    assert stated.body["response_format"]["type"] == "json_schema"
    assert stated.body["response_format"]["json_schema"]["strict"] is True
    assert [part["type"] for part in stated.content] == ["image_url", "text"]


def test_questions_per_call_1_asks_stated_questions_singly(serve: Serve) -> None:
    server = serve(stating)
    opened(server, questions_per_call=1).ask([inquiry()])
    texts = [asked.text for asked in server.asked[1:]]
    assert [sum(question in text for question in QUESTIONS) for text in texts] == [1, 1, 1]


FORMATS = {
    "no schema": ({"json_schema"}, "json_object"),
    "no format at all": ({"json_schema", "json_object"}, None),
}


@pytest.mark.parametrize("case", FORMATS)
def test_refused_schema_falls_back_to_plain_json(serve: Serve, case: str) -> None:
    refused, taken = FORMATS[case]

    def script(asked: Asked) -> Told:
        kind = asked.body.get("response_format", {}).get("type")
        if kind in refused:
            return error(400, f"'response_format' of type '{kind}' is not supported by this model.")
        return stating(asked)

    server = serve(script)
    model = opened(server)
    for _ in range(2):
        assert [a.yes for a in model.ask([inquiry()])[0].answers] == [1, 0, 0]
    kinds = [asked.body.get("response_format", {}).get("type") for asked in server.asked[1:]]
    assert kinds[-2:] == [taken, taken]
    assert len(kinds) == len(refused) + 2  # each refusal is met once


def test_reply_without_logprobs_fails_alone(serve: Serve) -> None:
    script = lambda asked: completion("Yes", None if "cat" in asked.question else LISTED)  # noqa: E731
    (answer,) = opened(serve(script)).ask([inquiry()])
    kinds = [a.failure.kind if a.failure else None for a in answer.answers]
    assert (answer.basis, kinds) == ("measured", [None, "unparsed", None])


def test_server_with_one_listed_token_gives_stated_answers(serve: Serve) -> None:
    def script(asked: Asked) -> Told:
        if asked.body.get("logprobs") is None:
            return stating(asked)
        return completion("Yes", {"Yes": 0.995 if "dog" in asked.question else 0.9})

    model = opened(serve(script, check=None), concurrency=1)
    (sure,) = model.ask([inquiry(questions=QUESTIONS[:1])])
    assert sure.basis == "stated" and sure.answers[0].yes == 1.0  # by what the server is checked with
    (answer,) = model.ask([inquiry()])
    assert answer.basis == "stated" and answer.failure is None
    assert [a.yes for a in answer.answers] == [1.0, 0.0, 0.0]


def certain(asked: Asked) -> Told:
    """A server that reports the sampled token with probability 1."""
    if not asked.body.get("logprobs"):
        return stating(asked)
    told = completion("Yes" if "dog" in asked.question else "No", {"Yes": 0.5})
    token = told.body["choices"][0]["message"]["content"]
    listed = [
        {"token": token, "logprob": 0.0},
        {"token": "The", "logprob": None},
        {"token": "A", "logprob": None},
    ]
    told.body["choices"][0]["logprobs"] = {"content": [{**listed[0], "top_logprobs": listed}]}
    return told


def test_server_with_certain_tokens_gives_stated_answers(serve: Serve, caplog) -> None:
    answers = opened(serve(certain, check=None)).ask([inquiry(), inquiry()])
    for answer in answers:
        assert answer.basis == "stated"
        assert [(a.yes, a.stated) for a in answer.answers] == [(1.0, True), (0.0, True), (0.0, True)]
    assert sum("stated, not measured" in record.getMessage() for record in caplog.records) == 1


def test_certain_answer_among_measured_ones_is_measured(serve: Serve) -> None:
    script = lambda asked: certain(asked) if "bus" in asked.question else completion("Yes", LISTED)  # noqa: E731
    model = opened(serve(script), concurrency=1)
    (answer,) = model.ask([inquiry()])
    assert answer.basis == "measured" and not any(a.stated for a in answer.answers)
    assert 0 < answer.answers[2].yes < 1e-5


def test_certain_token_other_than_yes_or_no_is_unparsed(serve: Serve) -> None:
    def script(asked: Asked) -> Told:
        told = certain(asked)
        for entry in told.body["choices"][0]["logprobs"]["content"][0]["top_logprobs"][:1]:
            entry["token"] = "Maybe"
        return told

    (answer,) = opened(serve(script)).ask([inquiry()])
    assert answer.failure is not None and answer.failure.kind == "unparsed"


def test_failures_carry_their_usage(serve: Serve) -> None:
    model = opened(serve(lambda _: completion(None, refusal="I can't help with that.")))
    (answer,) = model.ask([inquiry(questions=QUESTIONS[:1])])
    assert answer.failure is not None and answer.failure.kind == "refused"
    assert answer.usage.input_tokens == answer.failure.usage.input_tokens == 100
    (reply,) = model.chat([inquiry().prefix])
    assert reply.failure is not None and reply.usage.input_tokens == 100


LIMITS = {
    "vLLM": ("Requested sample logprobs of {}, which is greater than max allowed: 7", 7),
    "OpenAI": ("Invalid value for 'top_logprobs': must be less than or equal to 5.", 5),
    "a range": ("top_logprobs must be between 0 and 8", 8),
    "no number": ("top_logprobs is too large", 10),
}


@pytest.mark.parametrize("case", LIMITS)
def test_logprobs_count_adapts_to_the_server_limit(serve: Serve, case: str) -> None:
    message, most = LIMITS[case]

    def script(asked: Asked) -> Told:
        wanted = asked.body["top_logprobs"]
        return error(400, message.format(wanted)) if wanted > most else completion("Yes", LISTED)

    server = serve(script)
    (answer,) = opened(server).ask([inquiry()])
    assert answer.basis == "measured" and answer.failure is None
    assert [asked.body["top_logprobs"] for asked in server.asked] == [20, most, most, most]


def test_equivalent_settings_are_adapted_to_the_server(serve: Serve) -> None:
    def script(asked: Asked) -> Told:
        if "max_tokens" in asked.body:
            return error(
                400,
                "Unsupported parameter: 'max_tokens' is not supported with this model. "
                "Use 'max_completion_tokens' instead.",
            )
        if asked.body["max_completion_tokens"] < 16:
            return error(400, "Invalid 'max_output_tokens': integer below minimum value.")
        if "temperature" in asked.body:
            return error(400, "Unsupported value: 'temperature' does not support 0 with this model.")
        if "seed" in asked.body:
            return error(422, "seed: Extra inputs are not permitted")
        return completion("Fine.")

    server = serve(script)
    model = opened(server)
    chat = Chat((Turn("user", ("Hello",)),), Generation(max_tokens=3, seed=1))
    assert [reply.text for reply in model.chat([chat])] == ["Fine."]
    assert len(server.asked) == 5
    assert [reply.text for reply in model.chat([chat, chat])] == ["Fine."] * 2
    assert len(server.asked) == 7  # what was learned holds


def test_overlong_conversation_changes_no_settings(serve: Serve) -> None:
    def script(asked: Asked) -> Told:
        if asked.body["max_tokens"] > 100:
            return error(
                400,
                "'max_tokens' or 'max_completion_tokens' is too large: 512. This model's maximum context "
                "length is 4096 tokens and your request has 4000 input tokens (512 > 4096 - 4000).",
            )
        return completion("Yes", LISTED)

    server = serve(script)
    model = opened(server)
    (reply,) = model.chat([Chat((Turn("user", ("Hello",)),), Generation(max_tokens=512))])
    assert reply.failure is not None and "too large: 512" in reply.failure.reason
    assert len(server.asked) == 1
    model.ask([inquiry(questions=QUESTIONS[:1])])
    assert server.asked[-1].body["max_tokens"] == 1


@pytest.mark.parametrize("key", ["1", "none", "ollama"])
def test_placeholder_keys_stay_in_replies(serve: Serve, key: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", key)
    (answer,) = opened(serve(stating)).ask([inquiry()])
    assert [a.yes for a in answer.answers] == [1.0, 0.0, 0.0]
    (reply,) = opened(serve(lambda _: completion(f"1 llama, or {key}."))).chat([inquiry().prefix])
    assert reply.text == f"1 llama, or {key}."


@pytest.mark.parametrize("key", ["sk-secret\r", "sk-secret\u2026", "sk- secret"])
def test_malformed_key_is_refused_when_opened(key: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", key)
    with pytest.raises(JuratError, match="OPENAI_API_KEY holds a character that no key has") as raised:
        open_model("openai/x")
    assert "secret" not in str(raised.value)


def test_concurrent_calls_adapt_settings_once(serve: Serve) -> None:
    def script(asked: Asked) -> Told:
        told = error(400, "temperature: unsupported") if "temperature" in asked.body else completion("Fine.")
        return Told(told.body, told.status, delay=0.02)

    replies = opened(serve(script), concurrency=8).chat([Chat((Turn("user", ("Hello",)),))] * 8)
    assert [reply.text for reply in replies] == ["Fine."] * 8


# Names and options.

WRONG = {
    "no name": ("openai", {"base_url": "http://localhost:1/v1"}, "names no model"),
    "no scheme": ("openai/x", {"base_url": "localhost:8000/v1"}, "begins with http:// or https://"),
    "no port": ("openai/x", {"base_url": "http://localhost:80O0/v1"}, "The base URL is no address: "),
    "an incomplete address": ("openai/x", {"base_url": "http://[::1"}, "The base URL is no address: "),
    "a password": ("openai/x", {"base_url": "http://me:secret@localhost/v1"}, "no user, password or query"),
    "a key in the query": ("openai/x", {"base_url": "http://localhost/v1?key=secret"}, "no user, password"),
    "no key": ("openai/x", {}, "OPENAI_API_KEY is not set"),
    "no concurrency": ("openai/x", {"serving": Serving(concurrency=0)}, "concurrency must be at least 1"),
    "no questions": (
        "openai/x",
        {"serving": Serving(questions_per_call=0)},
        "questions per call must be at least 1, not 0",
    ),
    "no pixels": ("openai/x", {"serving": Serving(max_pixels=3)}, "max pixels must be at least 1024"),
    "an infinite deadline": (
        "openai/x",
        {"serving": Serving(deadline=math.inf)},
        "deadline must be at least 0.01",
    ),
    "a negative price": ("openai/x", {"serving": Serving(input_price=-1)}, "input price must be at least 0"),
    "not served": ("null", {"base_url": "http://localhost:1/v1"}, "it has no server to call"),
    "options of a server": ("null", {"serving": Serving()}, "it has no server to call"),
}


@pytest.mark.parametrize("case", WRONG)
def test_wrong_options_are_refused_when_opened(case: str) -> None:
    name, options, message = WRONG[case]
    with pytest.raises(JuratError) as raised:
        open_model(name, **options)  # type: ignore[arg-type]
    assert message in raised.value.message
    assert raised.value.exit_code == 2
    assert "secret" not in str(raised.value)


def test_base_url_is_read_from_the_environment(serve: Serve, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_BASE_URL", serve(lambda _: completion("Here.")).url)
    assert open_model("openai/a:b").chat([inquiry().prefix])[0].text == "Here."


def test_unencodable_image_fails_alone(serve: Serve) -> None:
    bad = Image.new("RGB", (4, 4))
    bad.load = lambda: (_ for _ in ()).throw(OSError("image file is truncated"))  # type: ignore[method-assign]
    broken, whole = opened(serve(measuring)).ask([inquiry(bad), inquiry()])
    assert whole.failure is None
    assert isinstance(broken.failure, Failure) and broken.failure.kind == "error"
