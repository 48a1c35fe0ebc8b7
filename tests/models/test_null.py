"""The null model: deterministic answers and its options."""

from __future__ import annotations

import time

import pytest
from PIL import Image

from jurat.content import Chat, Turn
from jurat.errors import JuratError
from jurat.models import Disclaimer, Inquiry, ModelSpec, Vocabulary, open_model

QUESTIONS = ("Statement: A child is visible.", "Statement: A dog is visible.")


def inquiry(colour: int | None) -> Inquiry:
    image = () if colour is None else (Image.new("RGB", (4, 4), (colour, 0, 0)),)
    return Inquiry(Chat((Turn("user", (*image, "Is it true?")),)), QUESTIONS)


def test_answers_depend_only_on_seed_image_and_question() -> None:
    model = open_model("null?seed=3")
    together = model.ask([inquiry(0), inquiry(1), inquiry(None)])
    alone = [model.ask([inquiry(colour)])[0] for colour in (0, 1, None)]
    assert together == alone
    assert open_model("null", seed=3).ask([inquiry(0)])[0] == together[0]
    scores = [answer.score for one in together for answer in one.answers]
    assert len(set(scores)) == len(scores)
    assert open_model("null?seed=4").ask([inquiry(0)])[0] != together[0]


def test_null_model_has_a_disclaimer() -> None:
    disclaimer = open_model("null").capability(Disclaimer)
    assert disclaimer is not None
    assert "mean nothing" in disclaimer.disclaimer
    assert open_model("null").capability(Vocabulary) is None


def test_mass_option_sets_the_mass() -> None:
    (answer,) = open_model("null?mass=0.25").ask([inquiry(0)])
    assert [one.mass for one in answer.answers] == pytest.approx([0.25, 0.25])


def test_pace_option_sets_the_time_per_inquiry() -> None:
    start = time.perf_counter()
    open_model("null?pace=0.02").ask([inquiry(0), inquiry(1)])
    assert time.perf_counter() - start >= 0.04


def test_fail_option_fails_a_share_of_images_and_no_prior() -> None:
    answers = open_model("null?fail=0.5&kind=refused").ask([inquiry(colour) for colour in range(40)])
    kinds = [answer.failure.kind for answer in answers if answer.failure]
    assert 8 <= len(kinds) <= 32
    assert set(kinds) == {"refused"}
    assert open_model("null?fail=1").ask([inquiry(None)])[0].failure is None


def test_crash_option_raises() -> None:
    with pytest.raises(RuntimeError, match="crashed, as it was asked to"):
        open_model("null?crash=1").ask([inquiry(0)])


def test_chat_replies_or_fails_as_set() -> None:
    chat = inquiry(0).prefix
    assert open_model("null").chat([chat])[0].text.startswith("The null model says ")
    failure = open_model("null?fail=1").chat([chat])[0].failure
    assert failure is not None
    assert failure.kind == "error"


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("null?sed=3", "has no option 'sed'"),
        ("null?seed=x", "option 'seed' cannot be 'x'"),
        ("null?pace=-1", "option 'pace' cannot be '-1': it lies outside [0, 3600]"),
        ("null?mass=nan", "option 'mass' cannot be 'nan'"),
        ("null?kind=tired", "option 'kind' cannot be 'tired': it is none of refused"),
    ],
)
def test_wrong_option_is_wrong_usage(name: str, message: str) -> None:
    with pytest.raises(JuratError) as raised:
        open_model(ModelSpec(name))
    assert message in raised.value.message
    assert raised.value.exit_code == 2
