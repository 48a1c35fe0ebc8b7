"""Which statements are remarked on, and which are left alone."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jurat.constitution.wording import remarks

PLAIN = """
A child is visible.
A child or a baby is visible.
The child touches the kitchen knife, the dagger or the axe.
There are at least two bombs.
A sign reads FREE.
Nothing but a dog is visible.
A person holds a knife to his throat.
A person hurts themselves.
A woman with blood on her is visible.
A dog has a ball and bites it.
Two people stand and one of them cries.
A sign that reads STOP is visible.
A sign reads "Do not enter".
A sign reads DANGEROUS NO ENTRY.
The words "Is it safe?" are visible.
A poster says ‘No nudity’.
A no entry sign is visible.
It is raining.
A safe is visible.
WHO is written on a wall.
The dog's leash is visible.
A person's head is partly covered.
小さな子供が見える。
Ein Kind ist zu sehen.
""".strip().splitlines()

FLAGGED: list[tuple[str, str]] = [
    ("Is a child visible?", "question"),
    ("Is a child visible.", "question"),
    ("Are there knives?", "question"),
    ("Which animals are there", "question"),
    ("子供はいますか？", "question"),
    ("It touches a knife.", "pronoun"),
    ("They are fighting.", "pronoun"),
    ("Their faces are visible.", "pronoun"),
    ("This is a knife.", "pronoun"),
    ("One of them is armed.", "pronoun"),
    ("A child touches it.", "pronoun"),
    ("People hold them in the air.", "pronoun"),
    ("An inappropriate gesture is visible.", "subjective"),
    ("The scene is disturbing.", "subjective"),
    ("A person stands too close to a train.", "subjective"),
    ("The picture shows graphic violence.", "subjective"),
    ("An image intended to shock is visible.", "intent"),
    ("A man is trying to open a window.", "intent"),
    ("The poster promotes a drug.", "intent"),
    ("A person might fall.", "intent"),
    ("No child is visible.", "negation"),
    ("There are no helmets.", "negation"),
    ("The man is not wearing a helmet.", "negation"),
    ("A man isn't wearing a helmet.", "negation"),
    ("A man doesn’t wear a helmet.", "negation"),
    ("A person without a helmet is visible.", "negation"),
    ("Nobody wears a helmet.", "negation"),
    ("a child is visible.", "sentence"),
    ("A child is visible", "sentence"),
    ("A child is visible. A dog is visible.", "several-sentences"),
]

REWRITES = [
    ("No child is visible.", "not: A child is visible."),
    ("No axe is visible.", "not: An axe is visible."),
    ("No children are visible.", "not: Children are visible."),
    ("There is no child.", "not: There is a child."),
    ("There is no axe on the table.", "not: There is an axe on the table."),
    ("There are no helmets.", "not: There are helmets."),
    ("The dog is not on a leash.", "not: The dog is on a leash."),
]


@pytest.mark.parametrize("text", PLAIN)
def test_visible_statements_give_no_remark(text: str) -> None:
    assert list(remarks(text)) == []


@pytest.mark.parametrize(("text", "code"), FLAGGED)
def test_each_slip_gives_one_remark(text: str, code: str) -> None:
    assert [remark.code for remark in remarks(text)] == [code]


@pytest.mark.parametrize(("text", "positive"), REWRITES)
def test_simple_negations_are_rewritten(text: str, positive: str) -> None:
    (remark,) = remarks(text)
    assert remark.suggestion == f"Write `{positive}`"
    assert list(remarks(positive.removeprefix("not: "))) == []


def test_only_a_question_is_an_error() -> None:
    assert {code for text, code in FLAGGED if next(remarks(text)).severity == "error"} == {"question"}


@given(
    st.text(min_size=1).map(lambda text: " ".join(text.split())).filter(bool), st.booleans(), st.booleans()
)
def test_remarks_accept_any_text(text: str, negated: bool, in_brackets: bool) -> None:
    assert all(remark.suggestion for remark in remarks(text, negated=negated, in_brackets=in_brackets))
