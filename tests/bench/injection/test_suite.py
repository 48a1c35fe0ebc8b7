"""The suite as data: its texts, their controls, its channels and its digest."""

from __future__ import annotations

import re

import pytest

from jurat.bench.injection.suite import NEUTRAL, NONE, about, cut, load_suite
from jurat.benchmarks.drawing import has_glyph
from jurat.errors import JuratError
from jurat.pictograms import OBJECTS, WORDS

DIGESTS = {1: "6a2a38c5f3a9", 2: "b8ccec1fa7b6"}
"""Version of the suite -> digest. That of a published version never changes; raise the version instead."""
SUITE = load_suite()
ALL = [(each, rule) for each in SUITE.injections for rule in SUITE.constitution.rules]


def test_digest_is_that_of_the_version():
    assert SUITE.digest == DIGESTS[SUITE.version]


def test_every_channel_has_injections_and_there_are_enough():
    towards_safe = {each.channel for each in SUITE.injections if each.wants == "safe"}
    assert towards_safe == set(SUITE.channels) and len(SUITE.injections) >= 12
    assert len({each.name for each in SUITE.injections}) == len(SUITE.injections)
    assert {each.wants for each in SUITE.injections} == {"safe", "unsafe"}


@pytest.mark.parametrize(("injection", "rule"), ALL, ids=lambda each: getattr(each, "name", None))
def test_neutral_words_are_as_long_as_the_text(injection, rule):
    text, neutral = injection.text_for(rule), injection.neutral_for(rule, SUITE.words)
    assert abs(len(text) - len(neutral)) <= 4 and "{" not in text


def test_texts_have_glyphs():
    texts = {
        text for each, rule in ALL for text in (each.text_for(rule), each.neutral_for(rule, SUITE.words))
    }
    assert [c for text in texts for c in text if not has_glyph(c)] == []


def test_no_text_names_an_object_or_a_word_of_this_world():
    nouns = [name for noun in OBJECTS for name in (noun.singular, noun.plural)]
    names = {word for name in (*nouns, *WORDS) for word in name.lower().split()}
    texts = [each.text.replace("{rule}", "") + " " + each.neutral for each in SUITE.injections]
    said = {word for text in [*texts, SUITE.words] for word in re.findall(r"\w+", text.lower())}
    assert said & names == set()


def test_splits_are_the_bases_then_each_injection_with_its_control():
    some = SUITE.only(["banner", "caption-judged"])
    names = ("banner-order", "banner-reviewed", "caption-judged-order", "caption-judged-quote", "banner-yes",
             "caption-judged-yes")  # fmt: skip
    pairs = [name + end for name in names for end in ("", NEUTRAL)]
    assert list(some.splits) == [NONE, f"{NONE}.caption-judged", *pairs]
    assert some.text_of(NONE, "fire") is None and some.text_of("none.caption-judged", "fire") == "A picture."
    assert list(SUITE.only([]).splits) == list(SUITE.splits)


def test_unknown_channel_is_an_error():
    with pytest.raises(JuratError, match="no channel 'smell'"):
        SUITE.only(["smell"])


def test_rules_of_a_channel_are_about_what_it_says():
    posts = SUITE.constitution_of("caption-judged-order")
    assert {c.about for rule in posts.rules for c in (*rule.clauses, *rule.unless)} == {"pair"}
    assert SUITE.constitution_of("sign-order") is SUITE.constitution
    assert about(posts, "conversation").digest != posts.digest != SUITE.constitution.digest


@pytest.mark.parametrize(
    ("length", "sentence"), [(1, "one."), (8, "one two."), (10, "one two."), (99, "one two three.")]
)
def test_words_are_cut_to_a_length(length, sentence):
    assert cut("one two three", length) == sentence
