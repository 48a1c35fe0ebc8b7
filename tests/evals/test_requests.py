"""No generation setting of Inspect's is dropped: each is honoured, left to Inspect, or refused by name."""

from __future__ import annotations

from base64 import b64encode

import pytest
from inspect_ai.model import (
    ChatMessageAssistant,
    ChatMessageSystem,
    ChatMessageTool,
    ChatMessageUser,
    ContentAudio,
    ContentImage,
    ContentText,
    GenerateConfig,
)

from jurat.content import Generation, ImageError
from jurat.errors import JuratError
from jurat.evals.images import REMOVED, bytes_of, data_uri
from jurat.evals.requests import BY_INSPECT, DEFAULT_TOKENS, HONOURED, NEUTRAL, chat_of, wanted
from jurat.models import UnsupportedSetting

from ..benchmarks.fixtures.parts import picture

ALL = frozenset({"max_tokens", "temperature", "top_p", "seed", "stop", "thinking"})
OTHER = {
    "stop_seqs": ["x"],
    "best_of": 2,
    "frequency_penalty": 0.5,
    "presence_penalty": 0.5,
    "logit_bias": {1: 2.0},
    "num_choices": 2,
    "logprobs": True,
    "top_logprobs": 2,
    "prompt_logprobs": 1,
    "parallel_tool_calls": True,
    "internal_tools": True,
    "cache_prompt": True,
    "fallback_models": ["a"],
    "verbosity": "low",
    "effort": "low",
    "reasoning_effort": "low",
    "reasoning_mode": "pro",
    "reasoning_summary": "auto",
    "reasoning_history": "all",
    "response_schema": {"name": "a", "json_schema": {"type": "object"}},
    "extra_headers": {"a": "b"},
    "extra_body": {"a": 1},
    "modalities": ["image"],
    "batch": True,
    "top_k": 5,
    "reasoning_tokens": 5,
}
"""A value of each setting that asks for something."""


@pytest.mark.parametrize("name", sorted(set(GenerateConfig.model_fields) - set(HONOURED) - BY_INSPECT))
def test_other_settings_are_refused_by_name(name: str):
    with pytest.raises(UnsupportedSetting, match=name):
        wanted(GenerateConfig(**{name: OTHER[name]}), "m", ALL)


@pytest.mark.parametrize(("name", "values"), sorted(NEUTRAL.items()))
def test_values_that_ask_for_nothing_are_taken(name: str, values: tuple[object, ...]):
    for value in values:
        assert wanted(GenerateConfig(**{name: value}), "m", ALL).generation == Generation(DEFAULT_TOKENS)


def test_settings_reach_the_model():
    config = GenerateConfig(max_tokens=5, temperature=0.5, top_p=0.9, seed=3, stop_seqs=["a", "b"])
    assert wanted(config, "m", ALL).generation == Generation(5, 0.5, 0.9, 3, ("a", "b"))
    assert wanted(GenerateConfig(), "m", ALL, thinking=True).generation.thinking


@pytest.mark.parametrize(
    ("config", "named"),
    [
        (GenerateConfig(seed=3), "seed"),
        (GenerateConfig(stop_seqs=["a"], top_p=0.5), "top_p and stop"),
        (GenerateConfig(logprobs=True), "logprobs of more than one token"),
        (GenerateConfig(logprobs=True, max_tokens=1, top_logprobs=5), "top_logprobs above 2"),
        (GenerateConfig(logprobs=True, max_tokens=1, temperature=1.0), "logprobs with a temperature"),
        (GenerateConfig(top_logprobs=2), "top_logprobs without logprobs"),
    ],
)
def test_what_the_model_cannot_honour_is_refused(config: GenerateConfig, named: str):
    with pytest.raises(UnsupportedSetting) as caught:
        wanted(config, "small", frozenset({"max_tokens"}))
    assert named in str(caught.value) and "'small'" in str(caught.value)


def test_default_token_limit_is_ours_where_the_model_has_none():
    assert wanted(GenerateConfig(), "m", frozenset()).generation == Generation()


def test_images_stand_where_they_stood_in_any_turn():
    shown = ContentImage(image=data_uri(picture(1)))
    chat = chat_of(
        [
            ChatMessageSystem(content="Be brief."),
            ChatMessageUser(content=[ContentText(text="First"), shown, ContentText(text="and"), shown]),
            ChatMessageAssistant(content="Bread."),
            ChatMessageUser(content=[shown]),
        ],
        Generation(),
    )
    assert [turn.role for turn in chat.turns] == ["system", "user", "assistant", "user"]
    assert [type(part).__name__ for part in chat.turns[1].parts] == ["str", "Image", "str", "Image"]
    assert chat.turns[3].images[0].size == (8, 8)


SOUND = ContentAudio(audio="data:audio/wav;base64,AA==", format="wav")


@pytest.mark.parametrize(
    ("message", "told"),
    [
        (ChatMessageTool(content="4"), "take no tools"),
        (
            ChatMessageUser(content=[ContentAudio(audio="data:audio/wav;base64,AA==", format="wav")]),
            "not audio",
        ),
        (ChatMessageUser(content=[ContentImage(image="https://example.org/a.png")]), "not a data URI"),
        (ChatMessageUser(content=[ContentImage(image="data:image/png;base64,@@")]), "invalid base64"),
        (ChatMessageUser(content=[ContentImage(image="data:image/png;base64,AAAA")]), "not an image"),
        (ChatMessageUser(content=[ContentImage(image=REMOVED)]), "without its images"),
    ],
)
def test_what_models_cannot_be_shown_is_an_error(message, told: str):
    with pytest.raises(JuratError, match=told):
        chat_of([message], Generation())


@pytest.mark.parametrize(
    ("kind", "mime"), [("PNG", "png"), ("JPEG", "jpeg"), ("GIF", "gif"), ("WEBP", "webp"), ("BMP", "png")]
)
def test_data_uris_name_what_the_bytes_are(kind: str, mime: str):
    uri = data_uri(picture(3, kind))
    assert uri.startswith(f"data:image/{mime};base64,")
    if kind != "BMP":
        assert bytes_of(uri) == picture(3, kind)


def test_animations_are_not_shown_as_their_first_frame(tmp_path):
    from PIL import Image

    frames = [Image.new("RGB", (8, 8), (shade, 0, 0)) for shade in (0, 200)]
    frames[0].save(tmp_path / "a.gif", save_all=True, append_images=frames[1:])
    data = (tmp_path / "a.gif").read_bytes()
    with pytest.raises(ImageError, match="it is an animation"):
        data_uri(data)
    uri = f"data:image/gif;base64,{b64encode(data).decode()}"
    with pytest.raises(ImageError, match="it is an animation; models are shown still images"):
        chat_of([ChatMessageUser(content=[ContentImage(image=uri)])], Generation())
