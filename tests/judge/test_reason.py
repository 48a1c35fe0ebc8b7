from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jurat.judge.reason import LONGEST, read_rating


@pytest.mark.parametrize(
    ("text", "rating", "rationale"),
    [
        ('{"rating": "Yes", "rationale": "Seen."}', True, "Seen."),
        ('I think so.\n```json\n{"rating": "no", "rationale": " Not\\n there. "}\n```', False, "Not there."),
        ('{"rating": "Yes", "rationale": "a"} but no: {"rating": "No.", "rationale": "b"}', False, "b"),
        ('{"thoughts": {"rating": "No"}, "rating": "Yes"}', False, ""),
        ('{"rating": "YES"}', True, ""),
        ('{"rating": "Yes", "rationale": 3}', True, ""),
    ],
)
def test_the_last_rating_counts(text: str, rating: bool, rationale: str) -> None:
    found = read_rating(text)
    assert found is not None
    assert (found.rating, found.rationale) == (rating, rationale)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "Yes",
        "{",
        '{"rating": "Perhaps"}',
        '{"rating": true}',
        '["rating"]',
        '{"rating": "Yes"',
        "{" * 5000,
    ],
)
def test_what_holds_no_rating_is_not_read_as_one(text: str) -> None:
    assert read_rating(text) is None


@given(st.text(max_size=200))
def test_any_text_can_be_read(text: str) -> None:
    read_rating(text)


@given(
    st.booleans(), st.text(max_size=50), st.text(alphabet=st.characters(exclude_characters="{}"), max_size=50)
)
def test_a_well_formed_reply_is_read_as_it_was_meant(yes: bool, why: str, thoughts: str) -> None:
    found = read_rating(thoughts + json.dumps({"rating": "Yes" if yes else "No", "rationale": why}))
    assert found is not None
    assert (found.rating, found.rationale) == (yes, " ".join(why.split())[:LONGEST])
