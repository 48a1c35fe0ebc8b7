"""Lists of refusal phrases: the shipped ones, and the user's."""

import time

import pytest

from jurat.content import Reply
from jurat.errors import JuratError
from jurat.scorers import SCORERS, open_scorer
from jurat.scorers.refusal_list import shipped_lists

from .answers import CUT, FAILURES, answered

NAMES = [phrases.name for phrases in shipped_lists()]
CASES = {
    "I'm sorry, but I can't help with that.": "first gcg holisafe vlguard vlmevalkit",
    "I’m sorry, but I can’t help with that.": "first gcg holisafe vlguard vlmevalkit",
    "I AM UNABLE TO DO THAT.": "first gcg holisafe vlguard vlmevalkit",
    "很抱歉，我无法协助。": "first vlmevalkit",
    "Es tut mir leid, aber das kann ich nicht beantworten.": "first",
    # Harmless replies on which lists are known to fail.
    "Selling raw milk is illegal in some countries. Bake the bread at 220 °C.": "vlguard",
    "I'm sorry to hear that. Add more water to the dough.": "gcg holisafe vlguard vlmevalkit",
    "Mix flour and water.": "",
    # A refusal that begins otherwise.
    "Let me be clear. I cannot help with bread.": "gcg holisafe vlguard vlmevalkit",
}


@pytest.mark.parametrize(("text", "lists"), CASES.items())
def test_shipped_lists_differ_in_what_they_find(text, lists):
    found = {
        name.split("-")[0]
        for name in NAMES
        if open_scorer(f"refusal-phrases-{name}").score([answered(text)])[0].label == "refusal"
    }
    assert found == set(lists.split())


def test_there_is_no_list_by_default():
    with pytest.raises(JuratError, match=r"The scorer 'refusal-phrases' needs path\."):
        open_scorer("refusal-phrases")


@pytest.mark.parametrize("name", NAMES)
def test_replies_without_a_text(name):
    replies = [*FAILURES.values(), Reply(" \n"), CUT]
    found = open_scorer(f"refusal-phrases-{name}").score([answered(reply) for reply in replies])
    assert [(one.state, one.label, one.details["reply"]) for one in found] == [
        ("scored", "refusal", "refused"),
        ("scored", "refusal", "filtered"),
        ("error", None, "unparsed"),
        ("error", None, "out_of_domain"),
        ("error", None, "error"),
        ("unparsed", None, "empty"),
        ("scored", "no_refusal", "cut_off"),
    ]


def test_phrase_its_mode_and_its_place_are_told():
    (found,) = open_scorer("refusal-phrases-gcg-style").score([answered("Well. As an AI, I bake.")])
    assert (found.scorer, found.raw) == ("refusal-phrases-gcg-style@1", "as an ai")
    assert found.details == {"mode": "anywhere", "phrase": "as an ai", "at": 6.0}


def test_names_and_sizes_are_those_of_the_styles():
    """Sizes: reference table of published lists, about 25, 60, 70 + 5 and 12."""
    sizes = {one.name: len(one.anywhere) + len(one.prefix) + len(one.regex) for one in shipped_lists()}
    assert sizes == {
        "first-sentence": 15,
        "gcg-style": 24,
        "holisafe-style": 76,
        "vlguard-style": 60,
        "vlmevalkit-style": 12,
    }
    assert {SCORERS.find(f"refusal-phrases-{name}").evidence for name in NAMES} == {"ours"}


@pytest.mark.parametrize(
    "text", ["sorry " * 30_000, "i am so very " * 20_000 + "(", "no, i am sorry, but " * 9_000]
)
def test_hostile_replies_are_searched_in_time(text):
    start = time.process_time()
    for phrases in shipped_lists():
        phrases.find(text)
    assert time.process_time() - start < 3


def test_list_of_the_user_with_case_and_empty_replies(tmp_path):
    path = tmp_path / "mine.yaml"
    path.write_text("{name: mine, version: 3, summary: x, fold: false, empty: refusal, prefix: [Nope]}")
    scorer = open_scorer("refusal-phrases", path=str(path))
    found = scorer.score([answered(text) for text in ('"Nope."', "nope", "Oh. Nope", "")])
    assert [one.label for one in found] == ["refusal", "no_refusal", "no_refusal", "refusal"]
    assert scorer.name == "refusal-phrases-mine@3"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{name: x, version: 1, summary: x}", "it has no phrases"),
        (
            "{name: x, version: 1, summary: x, anywhere: ['’', ' ']}",
            "every reply matches one of",
        ),
        ("{name: x, version: 1, summary: x, regex: ['a*']}", "every reply matches one of"),
        ("{name: x, version: 1, summary: x, regex: ['(']}", "'(' is no regular expression: "),
        (
            "{name: x, version: 0, summary: x, regex: [a]}",
            "line 1: version: Input should be greater than ",
        ),
        ("- a", "it is not made of keys and values"),
        ("{", "line 1: while parsing a flow node"),
    ],
)
def test_wrong_lists_are_refused(tmp_path, text, message):
    path = tmp_path / "mine.yaml"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(JuratError) as raised:
        open_scorer("refusal-phrases", path=str(path))
    assert raised.value.message.startswith(f"{path} is no list of refusal phrases: {message}")


def test_missing_file_is_named(tmp_path):
    with pytest.raises(JuratError, match=r"none\.yaml cannot be read: No such file"):
        open_scorer("refusal-phrases", path=str(tmp_path / "none.yaml"))
