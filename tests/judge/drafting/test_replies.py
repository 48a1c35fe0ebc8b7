"""Readers of replies: what well-formed ones say, and that any other is one declared error."""
# ruff: noqa: E501 (a table reads best with a case a line)

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from jurat.constitution import Clause, Statement
from jurat.judge.drafting.prompts import PROMPTS
from jurat.judge.drafting.replies import (
    ReplyError,
    parse_clauses,
    parse_description,
    parse_numbered,
    parse_objects,
    parse_rating,
    parse_rule,
    quoted,
    render_clauses,
    render_numbered,
)

RATINGS = [
    ("It names things.\nRating: [[9]]", (9, "It names things.")),
    ("The word \"nasty\" is an opinion. **Rating: [[ 3 ]]**", (3, 'The word "nasty" is an opinion.')),
    ("<think>Rating: [[2]]? No.</think>\nClear.\n\nRating: [[10]]", (10, "Clear.")),
    ("As in [[5]], I'd first say 5. But parts are named.\nRating: [[8]]", (8, "As in [[5]], I'd first say 5. But parts are named.")),
    ("Rating: [[7]]\nNumbers are given.", (7, "Numbers are given.")),
    ("All is visible.\nRating: 9/10", (9, "All is visible.")),
    ("Vague.\n- Score - 2", (2, "Vague.")),
]  # fmt: skip


def test_reply_cut_off_while_thinking_is_refused() -> None:
    reply = "<think>They want it in the form Rating: [[5]]. So"
    with pytest.raises(ReplyError, match="It ends before the thinking does"):
        parse_rating(reply)
    assert quoted(reply) == f'"{reply}"'


@pytest.mark.parametrize(("reply", "expected"), RATINGS)
def test_rating_is_parsed_with_its_reason(reply: str, expected: tuple[int, str]) -> None:
    assert parse_rating(reply) == expected


@pytest.mark.parametrize(
    ("reply", "message"),
    [
        ("", "no rating"),
        ("I'm sorry, but I can't help with that.", "no rating"),
        ("Rating: [[11]]", "11 is not from 1 to 10"),
        ("Rating: [[0]]", "0 is not from 1 to 10"),
        ("Rating: 7.5", "no rating"),
        ("It deserves a 9.", "no rating"),
    ],
)
def test_bad_rating_is_explained(reply: str, message: str) -> None:
    with pytest.raises(ReplyError, match=message):
        parse_rating(reply)


DOG, CAT = Statement(text="A dog is visible."), Statement(text="A cat is visible.")
NO_CAT = Statement(text="A cat is visible.", negated=True)


def clauses(*clauses: tuple[Statement, ...]) -> tuple[Clause, ...]:
    return tuple(Clause(alternatives=alternatives) for alternatives in clauses)


LISTS = [
    ("1. A dog is visible.", clauses((DOG,))),
    ("1. {A dog is visible. or A cat is visible.}\n2. not: A cat is visible.", clauses((DOG, CAT), (NO_CAT,))),
    ("Sure! Here you go:\n\n```\n1) A dog is visible.\n\n2) NOT a cat is visible\n```\n\nI hope this helps.", clauses((DOG,), (NO_CAT,))),
    ("1. {A dog is visible} or {A cat is visible}.", clauses((DOG, CAT))),
    ("1. {a dog is visible or A cat is visible}", clauses((DOG, CAT))),
    ("1. {A dog is visible or not A cat is visible}", clauses((DOG, NO_CAT))),
    ("1. {A dog or cat is visible.}", clauses((Statement(text="A dog or cat is visible."),))),
    ('1. {A sign reads "NO." or A dog is visible.}', clauses((Statement(text='A sign reads "NO."'), DOG))),
    ("<think>1. Hm\n2. Hm</think>**1.** A dog is visible.", clauses((DOG,))),
    ("1. Nothing but a dog is visible.", clauses((Statement(text="Nothing but a dog is visible."),))),
]  # fmt: skip


@pytest.mark.parametrize(("reply", "expected"), LISTS)
def test_clauses_are_parsed(reply: str, expected: tuple[Clause, ...]) -> None:
    assert parse_clauses(reply) == expected


@pytest.mark.parametrize(
    ("reply", "message"),
    [
        ("", "no numbered list"),
        ("I cannot help with that.", "no numbered list"),
        ("- A dog is visible.", "no numbered list"),
        ("1. A.\n3. B.", "The number 3 stands where 2 belongs"),
        ("0. A.", "The number 0 stands where 1 belongs"),
        ("1. A dog is visible.\nThis is because dogs bark.", 'no number: "This is because dogs bark."'),
        ("1. A.\n\nOr rather:\n\n1. B.", "The number 1 stands after the list's end"),
        ("1. not {A. or B.}", "Line 1 negates braces"),
        ("1. {A. or B.} in a park.", "Line 1 continues after its braces"),
        ("1. A {dog or cat} is visible.", "Line 1 has braces within"),
        ("1. {}", "Line 1 is empty"),
        ("1. not: not: A.", "Line 1 negates twice"),
        ("1. {A. or not: A.}", "Line 1 always holds"),
        ("1. A\x07.", "control character"),
        (f"1. {'x' * 1001}", "longer than 1000"),
        (render_numbered(f"Thing {i} is visible." for i in range(21)), "21 lines, more than 20"),
    ],
)  # fmt: skip
def test_bad_clause_list_is_explained(reply: str, message: str) -> None:
    with pytest.raises(ReplyError, match=message.replace("{", r"\{")):
        parse_clauses(reply)


@pytest.mark.parametrize(
    ("reply", "expected"),
    [
        ("1. dog, cat\n2. none", (("dog", "cat"), ())),
        ("Objects:\n1. [a dog; the big cat.]\n2. -", (("dog", "big cat"), ())),
        ('1. "Dog", dog, an "owl"\n2. N/A', (("Dog", "owl"), ())),
    ],
)
def test_objects_are_parsed(reply: str, expected: tuple[tuple[str, ...], ...]) -> None:
    assert parse_objects(reply, 2) == expected


@pytest.mark.parametrize(
    ("reply", "message"),
    [
        ("1. dog", "1 lines where there are 2"),
        ("dog, cat", "no numbered list"),
        (f"1. dog\n2. {'x' * 61}", "Line 2 names an object of more than 60"),
        (f"1. dog\n2. {', '.join(map(str, range(13)))}", "Line 2 names more than 12 objects"),
    ],
)
def test_bad_objects_are_explained(reply: str, message: str) -> None:
    with pytest.raises(ReplyError, match=message):
        parse_objects(reply, 2)


@pytest.mark.parametrize(
    ("reply", "expected"),
    [
        ("Description: a dog on a bed", "a dog on a bed"),
        ('Here it is.\n**Description:** "A dog on a bed."', "A dog on a bed"),
        ("description : a sign that reads \"NO\"", 'a sign that reads "NO"'),
    ],
)  # fmt: skip
def test_description_is_parsed(reply: str, expected: str) -> None:
    assert parse_description(reply) == expected


@pytest.mark.parametrize(
    ("reply", "message"),
    [
        ("I can't help with that.", 'begins with "Description:"'),
        ("Description: a bed without a dog", 'negates \\("without"\\)'),
        (f"Description: {'dog ' * 41}", "41 words, more than 40"),
        ("Description: .", "is empty"),
        ("Description:", "no line"),
    ],
)
def test_bad_description_is_explained(reply: str, message: str) -> None:
    with pytest.raises(ReplyError, match=message):
        parse_description(reply)


def test_rule_is_parsed_only_from_its_line() -> None:
    assert parse_rule('Of course.\nRule: "No dog may be visible."') == "No dog may be visible."
    assert parse_rule("Rule: A.\nToo short.\n**Rule:** No dog may be visible.") == "No dog may be visible."
    for reply in ("No dog may be visible.", "", "I won't. The rules: none"):
        with pytest.raises(ReplyError, match='begins with "Rule:"'):
            parse_rule(reply)


def test_prompt_examples_are_well_formed() -> None:
    for _, reply in PROMPTS["clauses"].examples:
        assert render_clauses(parse_clauses(reply)) == reply
    assert len(PROMPTS["clauses"].examples) == 2
    for request, reply in PROMPTS["objects"].examples:
        assert all(parse_objects(reply, len(parse_clauses(request)))[:4])
    for _, reply in PROMPTS["description"].examples:
        assert reply == f"Description: {parse_description(reply)}"


def test_long_reply_is_quoted_in_part() -> None:
    assert quoted("<think>x</think> I  am sorry.") == '"I am sorry."'
    assert quoted("x" * 500).endswith('…"') and len(quoted("x" * 500)) < 130
    assert quoted(" ") == "nothing"


# --- any text -----------------------------------------------------------------------------------

PIECES = st.sampled_from(
    ["1. ", "2) ", "\n", "\n\n", "{", "}", " or ", "not: ", "Rating: ", "[[", "]]", "5", "A dog.", "Rule: ", "Description:",
     "**", "```", "</think>", '"', ",", "none", "\u2028", "\x85", "\x1c", "٣", "²", "\x00", "é", "-"]
)  # fmt: skip
ANY = st.text(max_size=80) | st.lists(PIECES, max_size=16).map("".join)
READERS: list[Callable[[str], object]] = [
    parse_rating,
    parse_rule,
    parse_clauses,
    parse_description,
    parse_numbered,
    lambda reply: parse_objects(reply, 1),
    quoted,
]


@settings(deadline=None)
@given(ANY)
@example("Rating: ²")
@example("٣. A.")
def test_parsers_raise_only_reply_error(reply: str) -> None:
    for read in READERS:
        try:
            read(reply)
        except ReplyError as error:
            assert str(error) and "\n" not in str(error)


SENTENCES = st.lists(
    st.sampled_from(["dog", "or", "not", "and", "is", "9", "'x'", "é"]), min_size=1, max_size=6
).map(lambda words: f"The {' '.join(words)}.")
WORDS = st.text("bcdfgé", min_size=3, max_size=8) | st.sampled_from(
    ["big cat", "an-noun", "the-sis", "x-ray"]
)


@settings(deadline=None)
@given(st.lists(st.lists(st.tuples(SENTENCES, st.booleans()), min_size=1, max_size=3, unique_by=lambda s: s[0]), min_size=1, max_size=6))  # fmt: skip
def test_clauses_round_trip(drawn: list[list[tuple[str, bool]]]) -> None:
    made = clauses(*(tuple(Statement(text=t, negated=n) for t, n in alternatives) for alternatives in drawn))
    assert parse_clauses(render_clauses(made)) == made


@settings(deadline=None)
@given(st.lists(st.lists(WORDS, max_size=4, unique=True), min_size=1, max_size=8))
def test_objects_round_trip(drawn: list[list[str]]) -> None:
    reply = render_numbered(", ".join(words) or "none" for words in drawn)
    assert parse_objects(reply, len(drawn)) == tuple(map(tuple, drawn))


@settings(deadline=None)
@given(st.integers(1, 10), SENTENCES)
def test_ratings_round_trip(score: int, reason: str) -> None:
    assert parse_rating(f"{reason}\nRating: [[{score}]]") == (score, reason)


@settings(deadline=None)
@given(SENTENCES, st.lists(WORDS, min_size=1, max_size=8).map(" ".join))
def test_rules_and_descriptions_round_trip(rule: str, words: str) -> None:
    assert parse_rule(f"Rule: {rule}") == rule
    assert parse_description(f"Description: {words}") == words


HOSTILE = {
    "spaces": " " * 19_000,
    "line breaks": "\n" * 19_000,
    "marks": "1. {A" + " #" * 9_000 + "}",
    "ors": "1. {" + " or" * 6_000 + "}",
    "ratings": "rating " * 2_700,
    "a rating behind marks": "x" + "\n#>_" * 4_700 + "Rating: [[5]]",
    "too long": "1. A dog is visible.\n" * 20_000,
}


@pytest.mark.parametrize("case", HOSTILE)
def test_hostile_reply_is_parsed_in_linear_time(case: str) -> None:
    start = time.process_time()
    for parser in (parse_rating, parse_rule, parse_clauses, parse_description, parse_numbered):
        with contextlib.suppress(ReplyError):
            parser(HOSTILE[case])
    assert len(quoted(HOSTILE[case])) < 200
    assert time.process_time() - start < 3


def test_too_long_reply_is_explained() -> None:
    with pytest.raises(ReplyError, match="It has 420,000 characters, more than 20,000"):
        parse_numbered(HOSTILE["too long"])
