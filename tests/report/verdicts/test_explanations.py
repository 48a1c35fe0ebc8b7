"""Verdicts in words, for three readers."""

from __future__ import annotations

import pytest

from jurat.report import READERS, explain

from ..conftest import LOOKED_AT


def told(verdict, reader, **options) -> str:
    return " ".join(
        f"{one.heading}: {one.text}" if one.heading else one.text
        for one in explain(verdict, reader, **options)
    )


def test_explanation_for_a_reviewer_has_scores(verdict):
    one = verdict("a.png", "unsafe")
    assert told(one, "reviewer") == one.explain()


USER = {
    "unsafe": (
        "This image was found to be against the rule blade. This was found in it: “A child is visible” and "
        "“It touches an axe”. It was checked by a computer program, which can be wrong: you can ask for a "
        "person to look at it."
    ),
    "unsure": "It could not be told whether this image breaks a rule. A person has to decide.",
    "error": "This image could not be checked, so nothing has been decided about it.",
    "safe": "No rule was found to be broken by this image.",
}


@pytest.mark.parametrize("outcome", USER)
def test_explanation_for_a_user_has_no_scores(verdict, outcome):
    assert told(verdict("a.png", outcome), "user") == USER[outcome]


def test_rule_is_quoted_if_its_sentence_is_known(verdict):
    rules = {"blade": "No child may touch a blade."}
    said = told(verdict("a.png", "unsafe"), "user", rules=rules)
    assert "against the rule “No child may touch a blade” (blade)." in said


def test_statement_of_reasons_has_all_sections(verdict):
    said = explain(verdict("a.png", "unsafe"), "statement")
    assert [one.heading for one in said] == ["Restriction", "Facts", "Ground", "Means", "Redress"]
    facts, ground, means, redress = (one.text for one in said[1:])
    assert "“a.png” was examined on 2026-11-21" in facts and "“It touches an axe”" in facts
    assert "the policy “nursery”, the rule blade" in ground
    assert "automated means" in means and "“null@none”" in means
    assert redress.startswith("[") and "complaint" in redress


def test_no_restriction_without_a_broken_rule(verdict):
    (said,) = explain(verdict("a.png", "unsure"), "statement")
    assert said.text.endswith("There is no restriction to give reasons for.")


def test_explanation_of_known_content_names_no_model(verdict):
    known = verdict("a.png", "unsafe").model_copy(update={"rules": (), "broken": ()})
    said = told(known, "statement", basis="known_match")
    assert "matched a list of known content. No model judged it" in said and "null@none" not in said
    assert told(known, "user", basis="known_match").startswith(
        "This image matches content that is already known"
    )


@pytest.mark.parametrize("reader", READERS)
def test_explanations_omit_the_reasoning_of_the_model(verdict, reader):
    looked = verdict("a.png", "unsafe").model_copy(update={"rules": (LOOKED_AT,)})
    assert "child's hand" not in told(looked, reader)


def test_explanation_names_only_alternatives_that_hold(verdict):
    one = verdict("a.png", "unsafe")
    clause = one.rules[0].clauses[1]
    (axe,) = clause.alternatives
    knife = axe.model_copy(update={"text": "It touches a knife.", "outcome": "fails"})
    both = clause.model_copy(update={"text": "either", "alternatives": (knife, axe)})
    rule = one.rules[0].model_copy(update={"clauses": (both,)})
    said = told(one.model_copy(update={"rules": (rule,)}), "user")
    assert "“It touches an axe”" in said and "knife" not in said and "either" not in said


@pytest.mark.parametrize("reader", READERS)
def test_control_characters_are_escaped(verdict, reader):
    said = told(
        verdict("a.png", "unsafe").model_copy(update={"id": "x\u202egnp", "constitution": "\x1b@1"}), reader
    )
    assert said.isprintable()
