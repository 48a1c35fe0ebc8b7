"""The words that a model was told to abstain with."""

import pytest

from jurat.content import Reply
from jurat.errors import JuratError
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
        ({"text": "Pass."}, "I pass", "abstained"),
        ({"text": "Pass"}, "The mountain passes are closed.", "answered"),
    ],
)
def test_instructed_words_are_found(options, text, label):
    assert open_scorer("abstention", **options).score([answered(text)])[0].label == label


@pytest.mark.parametrize("text", ["", " ", "\u200b", "..."])
def test_text_without_words_is_refused(text):
    with pytest.raises(JuratError) as raised:
        open_scorer("abstention", text=text)
    assert raised.value.message == f"The text {text!r} has no words that a reply could have."


def test_unknown_list_of_phrases_is_refused():
    with pytest.raises(JuratError) as raised:
        open_scorer("abstention?phrases=first")
    assert raised.value.message == "There is no list of refusal phrases 'first'."
    assert "first-sentence, gcg-style" in raised.value.hint


def test_replies_without_a_text():
    found = open_scorer("abstention").score(list(map(answered, [*FAILURES.values(), Reply("\n")])))
    assert [one.label for one in found] == ["abstained", "abstained", None, None, None, None]
    assert [one.state for one in found][2:] == ["error"] * 3 + ["unparsed"]
