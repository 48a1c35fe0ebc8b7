"""Yes/No probabilities from logprobs, and stated answers parsed from JSON replies."""

from __future__ import annotations

import json
import math
import time
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jurat.content import Failure, Usage
from jurat.judge.stages.reason import read_rating
from jurat.models.answer_spellings import ANSWERS, WORD_STARTS
from jurat.models.openai.choices import Choice, read_choice
from jurat.models.openai.closed_answers import (
    answer_schema,
    certain_token,
    enough_listed,
    measured_answer,
    numbered_questions,
    parse_answers,
    stated_answers,
)

SPELLINGS = {answer: [m + w for w in words for m in WORD_STARTS] for answer, words in ANSWERS.items()}
EVERY = [*SPELLINGS["yes"], *SPELLINGS["no"], "The", "<think>", " Maybe", "\n", "Yeah", "None"]


def logprobs(listed: dict[str, float]) -> list[tuple[str, float]]:
    return [(token, math.log(p)) for token, p in listed.items()]


@pytest.mark.parametrize(
    ("listed", "yes", "no"),
    [
        ({"Yes": 0.6, "No": 0.3, "The": 0.1}, 0.6, 0.3),
        ({"Yes": 0.5, " yes": 0.1, "▁YES": 0.1, "ĠNo": 0.1, "no": 0.1, "Yeah": 0.05}, 0.7, 0.2),
        ({"Yes": 0.9, "The": 0.05, "It": 0.01}, 0.9, 0.01),  # No is at most the smallest listed
        ({"Yes": 0.9, "The": 0.0596, "It": 0.04}, 0.9, 0.0004),  # and at most what is left
        ({"No": 0.99, "The": 0.005, "It": 0.004}, 0.001, 0.99),
        ({"The": 0.5, "It": 0.2, "A": 0.1}, 0.1, 0.1),  # neither is listed
    ],
)
def test_probabilities_sum_over_spellings_and_bound_unlisted_answers(
    listed: dict[str, float], yes: float, no: float
) -> None:
    answer = measured_answer(logprobs(listed))
    assert (answer.yes, answer.no) == (pytest.approx(yes), pytest.approx(no))
    assert not answer.stated and answer.failure is None


def test_unlisted_answer_has_a_positive_probability() -> None:
    answer = measured_answer([("Yes", 0.0), ("The", -20.0), ("It", -21.0)])
    assert 0 < answer.no <= math.exp(-21)
    assert math.isfinite(answer.log_odds)


def test_equal_looking_tokens_all_count() -> None:
    answer = measured_answer([("Yes", math.log(0.4)), ("Yes", math.log(0.3)), ("No", math.log(0.2))])
    assert answer.yes == pytest.approx(0.7)


@given(
    st.lists(st.tuples(st.sampled_from(EVERY), st.floats(1e-9, 1.0)), max_size=20),
    st.floats(0.01, 1.0),
)
def test_measured_answers_agree_with_the_listed_probabilities(
    weights: list[tuple[str, float]], share: float
) -> None:
    total = sum(weight for _, weight in weights) or 1.0
    listed = [(token, share * weight / total) for token, weight in weights]
    answer = measured_answer([(token, math.log(p)) for token, p in listed])
    assert answer.yes >= 0 and answer.no >= 0 and answer.mass <= 1 + 1e-9
    for name, mass in (("yes", answer.yes), ("no", answer.no)):
        told = sum(p for token, p in listed if token in SPELLINGS[name])
        if told:
            assert mass == pytest.approx(told, rel=1e-5)
        elif listed:
            assert 0 < mass <= min(p for _, p in listed) * (1 + 1e-9)
        else:
            assert mass == 0
    asked = any(token in SPELLINGS["yes"] + SPELLINGS["no"] for token, _ in listed)
    if not asked and enough_listed([(t, math.log(p)) for t, p in listed]):
        assert answer.mass < 0.5  # what was not answered never counts as answered


@given(st.lists(st.tuples(st.text(max_size=3), st.floats(allow_nan=True, allow_infinity=True)), max_size=6))
def test_measured_answers_are_finite_for_any_numbers(listed: list[tuple[str, float]]) -> None:
    answer = measured_answer(listed)
    assert math.isfinite(answer.yes) and math.isfinite(answer.no)
    assert 0 <= answer.mass <= 1 + 1e-9


@pytest.mark.parametrize(
    ("listed", "enough"),
    [
        ({}, False),
        ({"Yes": 0.6}, False),
        ({"Yes": 0.6, "No": 0.3}, False),
        ({"Yes": 0.6, "No": 0.2, "The": 0.1}, True),
        ({"Yes": 0.9999}, True),
    ],
)
def test_short_lists_are_not_enough(listed: dict[str, float], enough: bool) -> None:
    assert enough_listed(logprobs(listed)) is enough


def test_placeholder_logprobs_do_not_count_as_listed() -> None:
    assert not enough_listed([("Yes", -0.5), ("No", -9999.0), ("The", -9999.0)])


def listing(*listed: tuple[str, Any], chosen: tuple[str, Any] | None = None) -> tuple[tuple[str, float], ...]:
    """What is read of a first token's alternatives as a server sends them."""
    entries = [SimpleNamespace(token=token, logprob=logprob) for token, logprob in listed]
    token, logprob = chosen or listed[0]
    first = SimpleNamespace(token=token, logprob=logprob, top_logprobs=entries)
    choice = read_choice(reply(message={"content": token}, logprobs=SimpleNamespace(content=[first])))
    assert isinstance(choice, Choice)
    return choice.listed


INF, NAN = math.inf, math.nan
NOT_LOGARITHMS = {
    "infinite": [("Yes", INF), ("No", -1.0), ("The", -5.0)],
    "no number": [("No", -3.0), ("Yes", NAN), ("The", -5.0), ("A", -6.0)],
    "text": [("No", "-0.03"), ("Yes", "-3.6"), ("The", "-9.0")],
    "text among numbers": [("No", -3.0), ("Yes", "-0.06"), ("The", -5.0), ("A", -6.0)],
    "true and false": [("No", True), ("Yes", False), ("The", False)],
    "null where nothing is certain": [("No", -3.0), ("Yes", None), ("The", -5.0), ("A", -6.0)],
    "probabilities": [("No", 0.96), ("Yes", 0.03), ("The", 0.01)],
    "raw scores": [("No", 24.5), ("Yes", 20.1), ("The", 11.0)],
    "all certain": [("Yes", 0.0), ("No", 0.0), ("The", 0.0)],
    "more than a whole": [("Yes", -0.2), ("No", -0.3), ("The", -5.0)],
    "lists": [("No", [-0.03]), ("Yes", [-3.6]), ("The", [-9.0])],
}


@pytest.mark.parametrize("case", NOT_LOGARITHMS)
def test_lists_with_invalid_logprobs_are_dropped(case: str) -> None:
    listed = listing(*NOT_LOGARITHMS[case])
    assert not enough_listed(listed) and certain_token(listed) is None


def test_chosen_token_is_counted_once_across_spellings() -> None:
    listed = listing(("▁No", -0.03), ("Yes", -3.6), ("The", -9.0), chosen=(" No", -0.03))
    assert measured_answer(listed).mass == pytest.approx(math.exp(-0.03) + math.exp(-3.6))


CERTAIN = {
    "minus infinity": [-INF, -INF, -INF],
    "null": [None, None, None],
    "-9999": [-9999.0, -9999.0],
    "-100": [-100.0, -100.5],
    "the largest negative float": [-3.4e38, -3.4e38],
    "one value for all": [-23.02585, -23.02585, -23.02585],
    "nothing": [],
}


@pytest.mark.parametrize("top", [0.0, -0.0, 0, -1e-9])
@pytest.mark.parametrize("case", CERTAIN)
def test_certain_token_without_alternatives_is_not_measured(case: str, top: float) -> None:
    rest = list(zip(("Yes", "The", "A"), CERTAIN[case], strict=False))
    assert certain_token(listing(("No", top), *rest)) == "No"


def test_certain_token_with_alternatives_is_measured() -> None:
    listed = listing(("No", 0.0), ("Yes", -17.25), ("The", -18.5), ("A", -18.5))
    assert certain_token(listed) is None and enough_listed(listed)
    assert measured_answer(listed).log_odds == pytest.approx(-17.25)


SAID = {
    '{"1": "Yes", "2": "No"}': {1: True, 2: False},
    '{"1": "yes.", "2": " NO "}': {1: True, 2: False},
    '{"1": true, "2": false}': {1: True, 2: False},
    '```json\n{"1": "No",\n "2": "Yes"}\n```': {1: False, 2: True},
    'Here you are: {"1": "Yes", "2": "No"}. Anything else?': {1: True, 2: False},
    '<think>{"1": "No"} would be wrong</think>{"1": "Yes", "2": "Yes"}': {1: True, 2: True},
    '{"answers": {"1": "Yes", "2": "No"}}': {1: True, 2: False},
    '{"1": "Yes"}': {1: True},
    '{"1": "Yes", "2": "unclear", "3": "No", "0": "No"}': {1: True},
    '{"1": "Yes", "1": "No", "2": "No"}': {2: False},
    '{"1": "Yes", "1": "Yes"}': {1: True},
    '{"1": {"answer": "Yes"}, "2": ["No"]}': {},
    '{"1": "Yes", "2": "N': {},
    '["Yes", "No"]': {},
    "Yes, and no.": {},
    "": {},
    "{" * 3000: {},
    '{"1": 1, "2": 0}': {},
    '{"one": "Yes", "²": "Yes", "99999999999999999999": "No"}': {},
}


@pytest.mark.parametrize("text", SAID, ids=lambda text: text[:40])
def test_stated_answers_are_parsed_from_a_reply(text: str) -> None:
    assert parse_answers(text, 2) == SAID[text]


HOSTILE = {
    "braces": "{" * 300_000,
    "objects that do not end": '{"a":' * 60_000,
    "strings that do not end": '{"a' * 100_000,
    "lists in objects": '{"a":[' * 50_000,
    "objects that are whole": '{"a":' * 900 + "1" + "}" * 900,
    "many objects": '{"a": 1} ' * 30_000,
    "spaces": '{ "' + " " * 300_000 + "{ ",
    "a number": '{"1": ' + "9" * 300_000,
}


@pytest.mark.parametrize("case", HOSTILE)
def test_parsing_time_is_linear_in_the_reply(case: str) -> None:
    start = time.process_time()
    assert parse_answers(HOSTILE[case], 8) == {}
    assert read_rating(HOSTILE[case]) is None
    assert time.process_time() - start < 3
    assert parse_answers('{"1": "Yes"} ' + "{" * 300_000, 1) == {1: True}


@given(
    st.dictionaries(st.integers(1, 9), st.booleans(), min_size=1),
    st.sampled_from(["{}", "```json\n{}\n```", "Sure!\n{}\nDone.", "<think>a {{b}} c</think> {}"]),
    st.sampled_from([("Yes", "No"), ("yes", "no"), ("YES.", "NO."), (True, False)]),
    st.sampled_from([None, 2]),
)
def test_json_is_found_within_other_text(
    answers: dict[int, bool], around: str, words: tuple[Any, Any], indent: int | None
) -> None:
    choice = {str(n): words[0] if yes else words[1] for n, yes in answers.items()}
    assert parse_answers(around.format(json.dumps(choice, indent=indent)), 9) == answers


@given(st.text(alphabet=st.sampled_from('{}[]":,123 YesNotrue\n\\'), max_size=60) | st.text(max_size=60))
def test_parsing_never_raises_and_invents_no_answers(text: str) -> None:
    for number in parse_answers(text, 3):
        assert f'"{number}"' in text or "\\u" in text


def test_questions_left_out_of_a_reply_fail_alone() -> None:
    first, second = stated_answers(Choice('{"1": "Yes"}', "stop"), 2)
    assert (first.yes, first.no, first.stated, first.failure) == (1.0, 0.0, True, None)
    assert second.failure == Failure(
        "unparsed", "The reply leaves this question out, or answers it by neither Yes nor No."
    )
    assert second.mass == 0 and second.stated


@pytest.mark.parametrize(
    ("choice", "reason"),
    [
        (Choice("I see a dog.", "stop"), "The reply is not the JSON that was asked for: I see a dog"),
        (Choice('{"1": "Ye', "length"), "The limit of tokens cut the reply off before its JSON was whole."),
        (Choice("", "length"), "The limit of tokens cut the reply off before its first word."),
        (Choice(" ", "stop"), "The reply is empty."),
    ],
)
def test_unreadable_replies_give_a_reason(choice: Choice, reason: str) -> None:
    (answer,) = stated_answers(choice, 1)
    assert answer.failure == Failure("unparsed", reason)


def test_schema_and_instruction_name_the_same_questions() -> None:
    text = numbered_questions(("Statement: a", "Statement: b"))
    assert text.startswith("1. Statement: a\n2. Statement: b\n")
    assert '{"1": "Yes or No", "2": "Yes or No"}' in text
    made = answer_schema(2)
    assert made["required"] == list(made["properties"]) == ["1", "2"]
    assert made["properties"]["1"]["enum"] == ["Yes", "No"]
    assert made["additionalProperties"] is False


def reply(**choice: Any) -> Any:
    message = SimpleNamespace(**{"content": None, "refusal": None} | choice.pop("message", {}))
    return SimpleNamespace(choices=[SimpleNamespace(message=message, **choice)], usage=None)


READ = {
    "no choices": (
        SimpleNamespace(choices=[], usage=None),
        Failure("unparsed", "The reply holds no choice."),
    ),
    "an empty choice": (
        SimpleNamespace(choices=[SimpleNamespace()], usage=None),
        Failure("unparsed", "The reply holds no choice."),
    ),
    "a refusal": (
        reply(message={"refusal": "I cannot\nhelp with that."}, finish_reason="stop"),
        Failure("refused", "The model refused: I cannot help with that."),
    ),
    "a reply that a gateway says was filtered": (
        reply(message={"content": "Par"}, finish_reason="stop", native_finish_reason="PROHIBITED_CONTENT"),
        Failure("filtered", "The server's content filter blocked the reply (PROHIBITED_CONTENT)."),
    ),
    "a filtered reply": (
        reply(message={"content": "Par"}, finish_reason="content_filter"),
        Failure("filtered", "The server's content filter blocked the reply."),
    ),
    "no content": (reply(), Choice("", "", (), Usage())),
    "logprobs of nothing": (
        reply(message={"content": "Yes"}, finish_reason="stop", logprobs=SimpleNamespace(content=[])),
        Choice("Yes", "stop"),
    ),
    "logprobs without alternatives": (
        reply(
            message={"content": "Yes"},
            logprobs=SimpleNamespace(content=[SimpleNamespace(token="Yes", logprob=-0.1, top_logprobs=None)]),
        ),
        Choice("Yes", "", (("Yes", -0.1),)),
    ),
}


@pytest.mark.parametrize("case", READ)
def test_choices_with_missing_fields_are_read(case: str) -> None:
    given_, expected = READ[case]
    assert read_choice(given_) == expected
