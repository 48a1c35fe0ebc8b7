"""Types of the model protocol: answers, usage and checks of generation settings."""

import math
from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from jurat.content import Chat, Generation, Turn, Usage
from jurat.models import (
    Answer,
    Inquiry,
    Model,
    UnsupportedSetting,
    Vocabulary,
    YesNo,
    check_settings,
    full_name,
    invalid_setting,
    may_be_same_model,
    open_model,
)

probabilities = st.floats(0, 0.5)


@given(probabilities, probabilities)
def test_score_and_log_odds_agree(yes: float, no: float) -> None:
    answer = YesNo(yes, no)
    assert 0 <= answer.score <= 1
    assert math.isfinite(answer.log_odds)
    if yes > 1e-9 and no > 1e-9:
        assert answer.log_odds == pytest.approx(math.log(answer.score / (1 - answer.score)), abs=1e-4)


def test_log_odds_are_more_precise_than_the_score() -> None:
    assert YesNo(1.0, 1e-30).score == 1.0
    assert YesNo(1.0, 1e-30).log_odds == pytest.approx(30 * math.log(10))


def test_unanswered_question_has_score_one_half() -> None:
    assert (YesNo(0, 0).score, YesNo(0, 0).mass, YesNo(0, 0).log_odds) == (0.5, 0, 0)


@pytest.mark.parametrize(
    ("yes", "no"),
    [
        (math.nan, math.nan),
        (math.nan, 0.2),
        (0.9, math.nan),
        (math.inf, 0.1),
        (1.5, -0.6),
        (-0.1, 0.9),
        (0.8, 0.8),
    ],
)
def test_numbers_that_are_no_probabilities_are_no_answer(yes: float, no: float) -> None:
    """A nan compares as neither less nor more, so it would pass every check for too little mass."""
    answer = YesNo(yes, no)
    assert not answer.sound
    assert (answer.mass, answer.score, answer.log_odds) == (0.0, 0.5, 0.0)


def test_probabilities_that_rounding_takes_above_one_are_sound() -> None:
    assert YesNo(0.6, 0.4000001).sound


def test_turn_separates_text_and_images() -> None:
    image = Image.new("RGB", (2, 2))
    chat = Chat((Turn("system", ("Be brief.",)), Turn("user", (image, "What", "is this?"))))
    assert chat.images == (image,)
    assert chat.turns[1].text == "What\nis this?"


def test_usages_add_up() -> None:
    assert Usage(1, 2, 3) + Usage(10, 20, 30) == Usage(11, 22, 33)
    assert Usage(1, money=0.5) + Usage(2) == Usage(3, money=0.5)
    assert sum([Usage(money=1.0), Usage(money=2.0)], Usage()).money == 3.0


def settings(**values: object) -> Chat:
    return Chat(generation=Generation(**values))  # pyright: ignore[reportArgumentType]


def test_unsupported_settings_of_a_batch_are_named() -> None:
    model = open_model("null")
    check_settings(model, [])
    check_settings(model, [settings(), settings(max_tokens=1, stop=("x",), top_p=0.5, seed=3)])
    with pytest.raises(UnsupportedSetting) as raised:
        check_settings(model, [settings(), settings(thinking=True), settings(logits_processors=(print,))])
    assert raised.value.message == "The model 'null' does not support thinking and logits_processors."
    assert raised.value.hint == (
        "Leave them out. It supports these settings: max_tokens, temperature, top_p, seed, stop."
    )
    assert raised.value.exit_code == 2


def test_unsupported_setting_is_refused_before_running() -> None:
    """The slow model would take an hour for the first chat."""
    with pytest.raises(UnsupportedSetting):
        open_model("null?pace=3600").chat([settings(), settings(thinking=True)])


WRONG = {
    "max_tokens": [0, -1, 1.5, True, "9", None],
    "temperature": [-0.1, math.inf, math.nan, "hot", None],
    "top_p": [0, -0.5, 1.01, math.nan, "x"],
    "seed": [1.5, 2**64, -(2**63) - 1, "x"],
    "stop": ["text", ["text"], ("",), (3,)],
    "thinking": [1, "yes", None],
    "logits_processors": [("x",)],
}


@pytest.mark.parametrize(("name", "value"), [(name, value) for name in WRONG for value in WRONG[name]])
def test_invalid_setting_value_is_a_failure(name: str, value: object) -> None:
    failure = invalid_setting(settings(**{name: value}).generation)
    assert failure is not None and failure.kind == "error"
    assert failure.reason.startswith(f"The conversation was not continued: {name} ")


def test_valid_setting_values_pass() -> None:
    for values in ({}, {"temperature": 0, "top_p": 1}, {"seed": 2**64 - 1, "stop": ("a", "b")}):
        assert invalid_setting(settings(**values).generation) is None


def test_models_differ_only_by_known_revisions() -> None:
    assert full_name(open_model("null")) == "null@none" and full_name(None) is None
    assert may_be_same_model("a@1", "a@1") and may_be_same_model("a@unknown", "a@1")
    assert not may_be_same_model("a@1", "a@2") and not may_be_same_model("a@1", "b@1")


def test_model_subclass_needs_only_two_verbs() -> None:
    class Mute(Model):
        name, revision, dtype = "mute", "1", "none"

        def ask(self, inquiries: Sequence[Inquiry]) -> list[Answer]:
            return [Answer() for _ in inquiries]

    model = Mute()
    assert isinstance(model, Model)
    assert model.capability(Vocabulary) is None and not model.supported_settings
    model.close()
    with pytest.raises(UnsupportedSetting, match="It supports these settings: none"):
        check_settings(model, [settings(max_tokens=3)])
