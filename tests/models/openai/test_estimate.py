"""Estimates of calls, tokens and cost for a dry run."""

from __future__ import annotations

import pytest
from PIL import Image

from jurat.content import Chat, Generation, Turn
from jurat.errors import JuratError
from jurat.models import Inquiry, Serving, open_model
from jurat.models.openai.estimate import Rehearsal, rehearse

TEXT = "x" * 40  # ten tokens
QUESTIONS = tuple(letter * 20 for letter in "abcde")  # five tokens each
LOOKS = 4
"""Calls to learn whether the server sees: two pictures of 112 x 112, and twice none."""
LOOK_TOKENS = LOOKS * (18 + 7) + 2 * 16


def inquiry(*images: Image.Image) -> Inquiry:
    return Inquiry(Chat((Turn("user", (*images, TEXT)),)), QUESTIONS)


def rehearsal(**options: float) -> Rehearsal:
    serving = Serving(**options)  # type: ignore[arg-type]
    return rehearse(open_model("openai/tiny", base_url="http://localhost:1/v1", serving=serving))


def test_with_logprobs_each_question_is_a_call_with_the_image() -> None:
    model = rehearsal()
    model.ask([inquiry(Image.new("RGB", (280, 560)))])
    spent = model.estimates()["gives logprobs"]
    assert spent.calls == 5 + 5 + LOOKS  # the same without the image, once
    assert spent.usage.input_tokens == 5 * (200 + 10 + 5) + 5 * (10 + 5) + LOOK_TOKENS
    assert spent.usage.output_tokens == 10 + LOOKS


def test_without_logprobs_several_questions_share_a_call() -> None:
    model = rehearsal(questions_per_call=2)
    model.ask([inquiry(Image.new("RGB", (280, 560)))])
    spent = model.estimates()["gives none"]
    assert spent.calls == 3 + 3 + LOOKS
    least = 3 * 210 + 5 * 5 + 3 * 10 + 5 * 5 + LOOK_TOKENS
    assert least < spent.usage.input_tokens < least + 6 * 60
    assert spent.usage.output_tokens == 2 * 35 + LOOKS


def test_large_images_are_counted_at_their_sent_size() -> None:
    model = rehearsal(max_pixels=280 * 280)
    model.ask([inquiry(Image.new("RGB", (2800, 2800)))])
    assert (
        model.estimates()["gives logprobs"].usage.input_tokens
        == 5 * (100 + 10 + 5) + 5 * (10 + 5) + LOOK_TOKENS
    )


def test_priors_are_counted_once_per_run() -> None:
    model = rehearsal()
    model.ask([inquiry(Image.new("RGB", (280, 280))), inquiry()])
    assert model.estimates(times=10)["gives logprobs"].calls == 10 * 5 + 5 + LOOKS
    assert (
        model.estimates(times=10)["gives logprobs"].usage.input_tokens == 10 * 5 * 115 + 5 * 15 + LOOK_TOKENS
    )


def test_conversations_are_counted_with_the_maximum_reply() -> None:
    model = rehearsal()
    model.chat([Chat((Turn("user", (TEXT,)),), Generation(max_tokens=64))])
    for spent in (model.estimates()["gives logprobs"], model.estimates()["gives none"]):
        assert (spent.calls, spent.usage.input_tokens, spent.usage.output_tokens) == (1, 10, 64)


def test_estimates_have_a_price() -> None:
    model = rehearsal(input_price=2, output_price=10)
    model.ask([inquiry(Image.new("RGB", (280, 560)))])
    assert model.estimates(times=1000)["gives logprobs"].usage.money == pytest.approx(
        ((1_075_000 + 75 + LOOK_TOKENS) * 2 + (5_000 + 5 + LOOKS) * 10) / 1e6
    )
    assert rehearsal().estimates()["gives logprobs"].usage.money is None


def test_only_served_models_are_rehearsed() -> None:
    with pytest.raises(JuratError, match="'null' runs here"):
        rehearse(open_model("null"))
