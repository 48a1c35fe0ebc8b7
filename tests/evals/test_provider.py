"""The provider: batches, failures, log-probabilities, arguments, and the life of the model."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Awaitable, Callable

import pytest
from inspect_ai.model import ChatMessageUser, ContentImage, ContentText, GenerateConfig, get_model
from inspect_ai.model import Model as InspectModel
from inspect_ai.tool import ToolInfo

import jurat.evals._registry  # noqa: F401
from jurat.content import Failure, Reply
from jurat.errors import JuratError
from jurat.evals import serve
from jurat.evals.images import data_uri
from jurat.evals.provider import JuratModel
from jurat.models import Answer, ModelUnavailable, Serving, UnsupportedSetting, YesNo

from ..benchmarks.fixtures.parts import picture
from .conftest import Scripted

GREEDY = GenerateConfig(max_connections=64)


def run(model: InspectModel, *prompts: str, config: GenerateConfig = GREEDY) -> list[object]:
    """What `generate` gives for each prompt, all at once: an output, or the exception."""

    async def all_of_them() -> list[object]:
        calls = [model.generate(prompt, config=config) for prompt in prompts]
        return list(await asyncio.gather(*calls, return_exceptions=True))

    return asyncio.run(all_of_them())


def test_concurrent_requests_share_batches():
    scripted = Scripted(lambda chat: chat.turns[0].text.upper())
    scripted.free.clear()

    async def go() -> list[str]:
        model = serve(scripted)
        first = asyncio.create_task(model.generate("first", config=GREEDY))
        await asyncio.sleep(0.05)
        others = [asyncio.create_task(model.generate(f"p{n}", config=GREEDY)) for n in range(40)]
        await asyncio.sleep(0.3)
        scripted.free.set()
        return [(await task).completion for task in (first, *others)]

    assert asyncio.run(go()) == ["FIRST", *(f"P{n}" for n in range(40))]
    assert len(scripted.batches) <= 3


def test_reply_carries_its_stop_reason_usage_and_model():
    model = serve(Scripted(lambda chat: Reply("Bre", finish="length")))
    (output,) = run(model, "How to bake bread?")
    assert (output.completion, output.stop_reason, output.model) == ("Bre", "max_tokens", "scripted@1")
    (output,) = run(serve(Scripted()), "How to bake bread?")
    assert (output.stop_reason, output.usage.input_tokens, output.usage.output_tokens) == ("stop", 7, 3)


@pytest.mark.parametrize("kind", ["refused", "filtered"])
def test_refusals_are_content_filters_without_text(kind):
    (output,) = run(serve(Scripted(lambda chat: Failure(kind, "It is not allowed."))), "x")
    assert (output.stop_reason, output.completion) == ("content_filter", "")
    assert (output.error, output.choices[0].stop_details.type) == (f"{kind}: It is not allowed.", kind)


@pytest.mark.parametrize("kind", ["unparsed", "out_of_domain", "error"])
def test_other_failures_are_errors_and_no_answers(kind):
    (raised,) = run(serve(Scripted(lambda chat: Failure(kind, "No reply."))), "x")
    assert str(raised) == f"{kind}: No reply."


def test_one_crash_leaves_its_neighbours_their_answers():
    scripted = Scripted(lambda chat: RuntimeError("broken") if "bad" in chat.turns[0].text else "fine")
    found = run(serve(scripted), "a", "bad", "b")
    assert [getattr(each, "completion", str(each)) for each in found] == [
        "fine",
        "error: The model raised RuntimeError: broken",
        "fine",
    ]


def test_unreachable_server_is_asked_no_more():
    scripted = Scripted(lambda chat: ModelUnavailable("The server is down."))
    model = serve(scripted)
    assert str(run(model, "a")[0]) == str(run(model, "b")[0]) == "The server is down."
    assert len(scripted.batches) == 1


LOGPROBS = GenerateConfig(max_tokens=1, logprobs=True, top_logprobs=2)


def test_probabilities_of_yes_and_no_are_logprobs_of_one_token():
    scripted = Scripted()
    message = ChatMessageUser(
        content=[ContentImage(image=data_uri(picture(1))), ContentText(text="Is it red?")]
    )
    output = asyncio.run(serve(scripted).generate([message], config=LOGPROBS))
    (token,) = output.choices[0].logprobs.content
    assert output.completion == token.token == "Yes"
    assert [(top.token, round(math.exp(top.logprob), 6)) for top in token.top_logprobs] == [
        ("Yes", 0.75),
        ("No", 0.2),
    ]
    (inquiry,) = scripted.inquiries
    assert inquiry.questions == ("Is it red?",) and len(inquiry.prefix.images) == 1
    assert not scripted.batches


@pytest.mark.parametrize(
    ("answer", "told"),
    [
        (Answer((YesNo(1.0, 0.0, stated=True),), basis="stated"), "states its answers"),
        (Answer((YesNo(0.1, 0.2),)), "Yes and No have a probability of 0.300 together"),
        (Answer(failure=Failure("out_of_domain", "Unlike its scenes.")), "out_of_domain: Unlike its scenes."),
        (Answer((YesNo(0, 0, Failure("error", "Unknown word.")),)), "error: Unknown word."),
    ],
)
def test_probabilities_that_were_not_measured_are_no_logprobs(answer: Answer, told: str):
    (raised,) = run(serve(Scripted(answer=answer)), "Is it red?", config=LOGPROBS)
    assert told in str(raised)


def test_tools_are_refused():
    tool = ToolInfo(name="add", description="Adds.")
    with pytest.raises(JuratError, match="take no tools"):
        asyncio.run(serve(Scripted()).generate("x", tools=[tool]))


def test_setting_that_the_model_lacks_is_refused_before_it_is_called():
    scripted = Scripted(supported_settings=frozenset({"max_tokens"}))
    (raised,) = run(serve(scripted), "x", config=GenerateConfig(top_p=0.5))
    assert isinstance(raised, UnsupportedSetting) and not scripted.batches


def test_model_that_only_answers_questions_is_refused_for_texts():
    scripted = Scripted()
    scripted.can_chat = False
    (raised,) = run(serve(scripted), "x")
    assert "answers closed questions only" in str(raised)
    (output,) = run(serve(scripted), "x", config=LOGPROBS)
    assert output.completion == "Yes"


def test_model_arguments_are_those_of_a_spec():
    api = get_model(
        "jurat/openai/NAME", base_url="http://localhost:1", concurrency=3, deadline=5, thinking=True
    ).api
    assert isinstance(api, JuratModel)
    assert api.spec.name == "openai/NAME" and api.spec.base_url == "http://localhost:1"
    assert api.spec.serving == Serving(concurrency=3, deadline=5.0)
    assert api.thinking and api.max_connections() == 3
    assert get_model("jurat/null?seed=3", max_batch=8).api.max_connections() == 8


@pytest.mark.parametrize(
    ("make", "told"),
    [
        (lambda: get_model("jurat/nul"), "There is no model 'nul'"),
        (lambda: get_model("jurat/null", devise="cpu"), "no model argument 'devise'"),
        (lambda: get_model("jurat/null", concurrency="many"), "concurrency cannot be 'many'"),
        (lambda: get_model("jurat/null", max_batch=0), "a whole number from 1"),
        (lambda: get_model("jurat/null", api_key="k"), "takes no key"),
        (lambda: get_model("jurat/null", config=GenerateConfig(top_k=3)), "does not support top_k"),
    ],
)
def test_wrong_arguments_are_refused_when_the_model_is_named(make: Callable[[], InspectModel], told: str):
    with pytest.raises(JuratError, match=told):
        make()


def test_naming_a_model_opens_nothing():
    assert get_model("jurat/hf/no/such/folder").name == "hf/no/such/folder"


def test_closing_ends_the_model_and_a_later_request_opens_it_anew():
    model = get_model("jurat/null?seed=1", memoize=False)
    first = run(model, "x")[0].completion
    model.api.close()
    model.api.close()
    assert run(model, "x")[0].completion == first
    scripted = Scripted()
    served = serve(scripted)
    run(served, "x")
    served.api.close()
    assert scripted.closed == 1


def test_tokens_are_estimated_without_a_download():
    count: Callable[[str], Awaitable[int]] = get_model("jurat/null").api.count_text_tokens
    assert asyncio.run(count("bread")) == 2
