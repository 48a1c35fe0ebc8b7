"""The words that a model was told to abstain with."""

import pytest

from jurat.content import Reply
from jurat.scorers import open_scorer

from .answers import FAILURES, answered


@pytest.mark.parametrize(
    ("options", "text", "label"),
    [
        ({}, "I cannot answer.", "abstained"),
        ({}, "Well, I can’t answer that.", "abstained"),
        ({}, "I can not answer.", "abstained"),
        ({}, "In Oslo.", "answered"),
        ({}, "I'm sorry, but I can't help with that.", "answered"),
        ({"phrases": "first-sentence"}, "I'm sorry, but I can't help with that.", "abstained"),
        ({"text": "No comment"}, "no  comment!", "abstained"),
    ],
)
def test_instructed_words_are_found(options, text, label):
    assert open_scorer("abstention", **options).score([answered(text)])[0].label == label


def test_replies_without_a_text():
    found = open_scorer("abstention").score(list(map(answered, [*FAILURES.values(), Reply("\n")])))
    assert [one.label for one in found] == ["abstained", "abstained", None, None, None, None]
    assert [one.state for one in found][2:] == ["error"] * 3 + ["unparsed"]
