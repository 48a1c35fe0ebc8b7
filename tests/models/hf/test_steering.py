"""Hooks on layers: the states they see, their effect, and their removal."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from threading import Thread
from typing import Any

import pytest
import torch
from PIL import Image
from torch import Tensor

from jurat.content import Chat, Generation, Turn
from jurat.models import Differentiable, Inquiry, PromptScore, PromptScores, Steerable
from jurat.models.bundled.model import BundledModel
from jurat.models.hf.model import LocalModel
from jurat.models.hf.torchvision_import import prepare_torchvision
from jurat.models.null import NullModel

from ..tiny import picture, scene
from ..white_box import NAMES, about
from .test_processors import QUESTIONS

pytestmark = pytest.mark.skipif(not prepare_torchvision(), reason="torchvision is not installed")

IMAGES = [picture(1, (64, 64)), picture(2, (64, 32))]


def steering(model: Any) -> Steerable:
    found = model.capability(Steerable)
    assert isinstance(found, Steerable)
    return found


def language_layer(found: Steerable) -> str:
    return found.layers()[-1]


def short(*images: Image.Image) -> Chat:
    return replace(about(*images), generation=Generation(max_tokens=3))


def asked(model: Any) -> list[float]:
    answers = model.ask([Inquiry(about(image), QUESTIONS) for image in IMAGES])
    assert [answer.failure for answer in answers] == [None] * len(IMAGES)
    return [one.log_odds for answer in answers for one in answer.answers]


def hooks_left(model: LocalModel) -> list[Any]:
    """transformers sets hooks of its own, which stay."""
    hooks = [hook for _, module in model.network.named_modules() for hook in module._forward_hooks.values()]
    return [hook for hook in hooks if hook.__module__.startswith("jurat")]


@pytest.mark.parametrize("name", NAMES)
def test_adding_zero_changes_nothing_and_replacing_does(
    name: str, white_box: Callable[[str], LocalModel]
) -> None:
    local = white_box(name)
    found = steering(local)
    before, said = asked(local), local.chat([short(image) for image in IMAGES])
    calls: dict[str, int] = dict.fromkeys(found.layers(), 0)

    def zero(layer: str) -> Callable[[Tensor], Tensor]:
        def add(hidden: Tensor) -> Tensor:
            calls[layer] += 1
            return hidden + 0

        return add

    with found.hooks({layer: zero(layer) for layer in found.layers()}):
        assert asked(local) == pytest.approx(before, abs=2e-3)
        assert [one.text for one in local.chat([short(i) for i in IMAGES])] == [one.text for one in said]
    assert all(calls.values()), "every layer is passed through"
    with found.hooks({language_layer(found): lambda hidden: -hidden}):
        changed = asked(local)
    assert changed != pytest.approx(before, abs=1e-2)
    assert asked(local) == before
    assert hooks_left(local) == []


@pytest.mark.parametrize("name", NAMES)
def test_hooks_see_each_question_as_its_own_sequence(
    name: str, white_box: Callable[[str], LocalModel]
) -> None:
    local = white_box(name)
    found = steering(local)
    shapes: list[tuple[int, ...]] = []
    with found.hooks({language_layer(found): lambda hidden: shapes.append(tuple(hidden.shape))}):
        local.ask([Inquiry(about(image), QUESTIONS) for image in IMAGES])
    assert len(shapes) == len(IMAGES) * len(QUESTIONS), "no pass is shared, and none is made for a check"
    assert all(shape[0] == 1 for shape in shapes)
    # A decoder apart from an encoder reads the token that it begins with, whatever the question.
    lengths = {
        1 if "t5" in name else len(local.encoder.encode_alone(Inquiry(about(image), (q,))).prefix) + 1
        for image in IMAGES
        for q in QUESTIONS
    }
    assert {shape[1] for shape in shapes} == lengths


def test_hooks_see_the_whole_prompt_then_each_token(white_box: Callable[[str], LocalModel]) -> None:
    local = white_box("llava")
    found = steering(local)
    seen: list[int] = []
    chats = [short(image) for image in IMAGES]
    with found.hooks({language_layer(found): lambda hidden: seen.append(hidden.shape[1])}):
        replies = local.chat(chats)
    expected: list[int] = []
    for chat, reply in zip(chats, replies, strict=True):
        expected += [len(local.encoder.encode_chat(chat).prefix) + 1, *[1] * (reply.usage.output_tokens - 1)]
    assert seen == expected


@pytest.mark.parametrize("name", ["llava", "qwen2.5-vl", "gemma3"])
def test_hidden_states_equal_plain_transformers(name: str, white_box: Callable[[str], LocalModel]) -> None:
    local = white_box(name)
    found = steering(local)
    layers = [one for one in found.layers() if "language_model" in one]
    chats = [about(image) for image in IMAGES]
    states, logits = found.hidden_states(chats, layers), found.forward(chats)
    for chat, state, last in zip(chats, states, logits, strict=True):
        text = local.encoder.render(chat)
        inputs = local.encoder.process(text, [chat.images])
        with torch.inference_mode():
            plain = local.network(**inputs, output_hidden_states=True)
        # The last of transformers' is behind the final norm.
        for layer, expected in zip(layers[:-1], plain.hidden_states[1:-1], strict=True):
            assert state[layer].shape == expected.shape
            assert state[layer].allclose(expected, atol=1e-4)
        assert last.shape == plain.logits[0, -1].shape
        assert last.allclose(plain.logits[0, -1], atol=1e-4)


def test_hooks_are_removed_after_exceptions(
    white_box: Callable[[str], LocalModel],
) -> None:
    local = white_box("llava")
    found, scorer = steering(local), local.scorer
    before = asked(local)

    def broken(hidden: Tensor) -> Tensor:
        raise ZeroDivisionError("a hook of a user's own")

    with pytest.raises(KeyError), found.hooks({language_layer(found): lambda hidden: -hidden}):
        raise KeyError
    with pytest.raises(ZeroDivisionError), found.hooks({language_layer(found): broken}):
        found.forward([about(IMAGES[0])])
    with found.hooks({language_layer(found): lambda hidden: hidden[:, :1]}):
        (reply,) = local.chat([short(IMAGES[0])])
    assert (
        reply.failure is not None and "The hook on model.language_model.layers.2 made" in reply.failure.reason
    )
    with (
        pytest.raises(ValueError, match="There is no layer 'lm_head'; there are"),
        found.hooks({"lm_head": broken}),
    ):
        pass
    assert hooks_left(local) == [] and local.scorer is scorer and asked(local) == before


def test_nested_hooks_run_outer_first(white_box: Callable[[str], LocalModel]) -> None:
    local = white_box("llava")
    found = steering(local)
    layer, order = language_layer(found), list[str]()
    with found.hooks({layer: lambda hidden: order.append("outer")}):
        with steering(local).hooks({layer: lambda hidden: order.append("inner")}):
            found.forward([about(IMAGES[0])])
        found.forward([about(IMAGES[0])])
    assert order == ["outer", "inner", "outer"]


@pytest.mark.parametrize("which", ["llava", "bundled"])
def test_other_threads_are_not_steered(
    which: str, white_box: Callable[[str], LocalModel], bundled: BundledModel
) -> None:
    one = white_box("llava") if which == "llava" else bundled
    found = steering(one)
    chat = replace(
        Chat((Turn("user", (scene(1), "Is a dog visible ?")),)), generation=Generation(max_tokens=2)
    )
    expected = one.chat([chat])
    found_elsewhere: list[Any] = []
    thread = Thread(target=lambda: found_elsewhere.append(one.chat([chat])))
    seen: list[Tensor] = []
    with found.hooks({language_layer(found): lambda hidden: seen.append(hidden) or -hidden}):
        thread.start()
        one.chat([chat])
        steered = len(seen)
        thread.join(timeout=0.5 if which == "llava" else 60)
    thread.join()
    assert found_elsewhere == [expected]
    assert len(seen) == steered > 0


def test_hooks_of_two_threads_do_not_overlap(bundled: BundledModel) -> None:
    found = steering(bundled)
    layer, chat, errors = language_layer(found), about(scene(1)), list[str]()

    def work(name: str) -> None:
        for _ in range(20):
            own: list[Tensor] = []
            with found.hooks({layer: own.append}):
                found.forward([chat])
            if len(own) != 1:
                errors.append(name)

    local = bundled._local  # pyright: ignore[reportPrivateUsage]
    scorer = local.scorer
    threads = [Thread(target=work, args=(name,)) for name in "abc"]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert errors == [] and local.scorer is scorer


def test_scores_and_gradients_are_steered(white_box: Callable[[str], LocalModel]) -> None:
    local = white_box("llava")
    found, scores, gradients = (
        steering(local),
        local.capability(PromptScores),
        local.capability(Differentiable),
    )
    assert scores is not None and gradients is not None
    chats = [about(image) for image in IMAGES]
    pixels = [[torch.full((3, 40, 40), 0.3 + 0.2 * i).requires_grad_()] for i in range(2)]

    def both() -> tuple[list[float], list[float]]:
        plain = scores.prompt_scores(chats, [" Yes", " A dog"])
        floats = gradients.continuations(chats, pixels, [" Yes", " A dog"])
        assert all(isinstance(one, PromptScore) for one in plain)
        return (
            [one.total for one in plain if isinstance(one, PromptScore)],
            [float(one.log_probabilities.sum().detach()) for one in floats],
        )

    before = both()
    local.continuation_refusals.clear()  # so that it is found out again while hooks are set
    rows: list[int] = []
    with found.hooks({language_layer(found): lambda hidden: rows.append(len(hidden)) or hidden + 0}):
        unchanged = both()
    assert unchanged[0] == pytest.approx(before[0], abs=1e-3)
    assert unchanged[1] == pytest.approx(before[1], abs=1e-3)
    assert rows == [1] * 4, "one pass a conversation, and none for a check"
    with found.hooks({language_layer(found): lambda hidden: -hidden}):
        changed = both()
    assert changed[0] != pytest.approx(before[0], abs=1e-2) and changed[1] != pytest.approx(
        before[1], abs=1e-2
    )


def test_models_without_layers_have_no_hooks() -> None:
    assert NullModel().capability(Steerable) is None
