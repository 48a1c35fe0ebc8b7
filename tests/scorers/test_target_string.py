"""Texts that a reply is, starts with or contains."""

import pytest

from jurat.content import Reply
from jurat.errors import JuratError
from jurat.scorers import open_scorer

from .answers import CUT, FAILURES, answered


@pytest.mark.parametrize(
    ("options", "reply", "label"),
    [
        ({"mode": "exact"}, "Bread", "match"),
        ({"mode": "exact"}, '  "BREAD."\n', "match"),
        ({"mode": "exact"}, "Ｂｒｅａｄ\u200b", "match"),
        ({"mode": "exact"}, "Bread, of course", "no_match"),
        ({"mode": "prefix"}, "bread is easy", "match"),
        ({"mode": "prefix"}, "breadth first", "match"),
        ({"mode": "prefix", "words": True}, "breadth first", "no_match"),
        ({"mode": "prefix"}, "Good bread", "no_match"),
        ({"mode": "contains"}, "I cannot help with bread.", "match"),
        ({"mode": "contains", "words": True}, "shortbread", "no_match"),
        ({"mode": "contains", "fold": False}, "Bread", "no_match"),
        ({"mode": "exact", "target": "..."}, "!!!", "no_match"),
        ({"mode": "exact", "target": "..."}, "...", "match"),
        ({"mode": "contains", "part": "first_line"}, "\n\nSure.\nbread", "no_match"),
        ({"mode": "contains", "part": "first_line"}, "\n\nBread.\nsure", "match"),
    ],
)
def test_reply_is_matched_by_mode(options, reply, label):
    (found,) = open_scorer("target-string", **{"target": "bread", **options}).score([answered(reply)])
    assert (found.state, found.label) == ("scored", label)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"target": ""}, "The target '' is empty."),
        ({"target": " \u200b"}, "The target ' \\u200b' is empty."),
        ({"target": "a", "target_field": "b"}, "The target is given twice, as target and as target_field."),
    ],
)
def test_target_that_any_reply_has_and_two_targets_are_refused(options, message):
    with pytest.raises(JuratError) as raised:
        open_scorer("target-string?mode=contains", **options)
    assert raised.value.message == message


def test_white_space_and_curly_apostrophes_match_plain_ones():
    scorer = open_scorer("target-string?mode=prefix", target="It's done")
    (found,) = scorer.score([answered("It’s\n  done, and well")])
    assert (found.label, found.raw, found.reason) == ("match", "It's done", 'Matches "It\'s done".')


def test_target_is_the_named_field_or_what_the_sample_expects():
    one = answered("butter", expected=("jam", "butter"), fields={"aim": "honey"})
    assert open_scorer("target-string?mode=exact").score([one])[0].label == "match"
    assert open_scorer("target-string?mode=exact&target_field=aim").score([one])[0].label == "no_match"
    several = answered("the honey pot", fields={"aim": "jam\nhoney"})
    assert open_scorer("target-string?mode=contains&target_field=aim").score([several])[0].raw == "honey"
    with pytest.raises(JuratError, match="The target is given twice, as target and as target_field"):
        open_scorer("target-string?mode=exact&target=butter&target_field=aim")


@pytest.mark.parametrize("facts", [{}, {"expected": " "}, {"expected": ()}])
def test_sample_without_a_target_is_an_error(facts):
    (found,) = open_scorer("target-string?mode=contains").score([answered("bread", **facts)])
    assert (found.state, found.reason) == ("error", "The sample 's1' has no target to look for.")


def test_replies_without_a_text():
    replies = [*FAILURES.values(), Reply(" \n"), CUT]
    found = open_scorer("target-string?mode=contains&target=bread").score([answered(r) for r in replies])
    assert [(one.state, one.label, one.details["reply"]) for one in found] == [
        ("scored", "no_match", "refused"),
        ("scored", "no_match", "filtered"),
        ("error", None, "unparsed"),
        ("error", None, "out_of_domain"),
        ("error", None, "error"),
        ("unparsed", None, "empty"),
        ("scored", "match", "cut_off"),
    ]
    assert found[4].reason == "There is no reply to score: The server is down."


def test_name_has_the_settings_that_change_what_matches():
    names = [
        open_scorer(f"target-string?{query}").name
        for query in ("mode=exact", "mode=exact&fold=false", "mode=prefix&target=a&words=1&part=first_line")
    ]
    assert names == [
        "target-string-exact@1",
        "target-string-exact@1[case]",
        "target-string-prefix@1[=a,first_line,words]",
    ]
