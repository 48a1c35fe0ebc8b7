"""What is asked when, and how often: reasoning clause by clause, and nothing twice."""

from __future__ import annotations

import itertools

import pytest

from jurat.constitution import Constitution, Rule
from jurat.judge import Judge, Preset
from jurat.judge.verdict import Verdict

from .scripted import CROP, WHOLE, Finder, Scripted, box, white

ORDERED = Preset("ordered", "clause by clause", reason=True, ordered=True)
AT_ONCE = Preset("at once", "all clauses", reason=True)
YES, NO = '{"rating": "Yes", "rationale": "There."}', '{"rating": "No", "rationale": "Not there."}'


def rule(id: str, *clauses: object, **others: object) -> Rule:
    return Rule(id=id, rule=f"No {id}.", clauses=clauses, **others)  # pyright: ignore[reportArgumentType]


def judged(model: Scripted, *rules: Rule, preset: Preset = ORDERED, finder: Finder | None = None) -> Verdict:
    return Judge(Constitution(name="law", rules=rules), model, preset, detector=finder)(white())


def scripted(scores: dict[str, float], replies: dict[str, str]) -> Scripted:
    return Scripted({(text, WHOLE): score for text, score in scores.items()}, replies)


def test_a_rule_stops_at_the_first_clause_that_reasoning_fails() -> None:
    model = scripted({"A.": 0.7, "B.": 0.3, "C.": 0.5}, {"A.": YES, "B.": NO, "C.": YES})
    verdict = judged(model, rule("r", "A.", "B.", "C."))
    assert (verdict.outcome, model.chatted) == ("safe", ["B."]), "the likeliest to fail is first"
    model = scripted({"A.": 0.7, "B.": 0.3, "C.": 0.5}, {"A.": NO, "B.": YES, "C.": YES})
    assert (judged(model, rule("r", "A.", "B.", "C.")).outcome, model.chatted) == ("safe", ["B.", "C.", "A."])


def test_all_at_once_reasons_about_every_clause() -> None:
    model = scripted({"A.": 0.7, "B.": 0.3}, {"A.": YES, "B.": NO})
    assert (judged(model, rule("r", "A.", "B."), preset=AT_ONCE).outcome, len(model.chatted)) == ("safe", 2)


def test_what_costs_less_comes_before_what_is_as_likely_to_fail() -> None:
    scores = {"A.": 0.4, "B.": 0.4, "C.": 0.45}
    model = scripted(scores, dict.fromkeys(scores, YES))
    judged(model, rule("r", {"any of": ["A.", "B."]}, "C."))
    assert model.chatted[0] == "C.", "one chat that fails with 0.55, against two that fail with 0.6"


def test_an_exception_that_would_excuse_may_come_first() -> None:
    scores = {"A.": 0.7, "E.": 0.75}
    model = scripted(scores, {"A.": YES, "E.": YES})
    assert (judged(model, rule("r", "A.", unless=("E.",))).outcome, model.chatted) == ("safe", ["E."])


def test_a_clause_that_quick_has_failed_ends_it_before_any_reasoning() -> None:
    model = scripted({"A.": 0.5, "B.": 0.01}, {"A.": YES})
    for preset in (ORDERED, AT_ONCE):
        assert (judged(model, rule("r", "A.", "B."), preset=preset).outcome, model.chatted) == ("safe", [])


def test_reasoning_that_cannot_be_read_does_not_end_it() -> None:
    model = scripted({"A.": 0.3, "B.": 0.5}, {"A.": "Hm.", "B.": NO})
    verdict = judged(model, rule("r", "A.", "B."))
    assert (verdict.outcome, model.chatted) == ("safe", ["A.", "A.", "B."])
    model = scripted({"A.": 0.3, "B.": 0.5}, {"A.": "Hm.", "B.": YES})
    verdict = judged(model, rule("r", "A.", "B."))
    assert (verdict.outcome, verdict.reason) == ("unsure", "unparsed")


@pytest.mark.parametrize("replies", list(itertools.product([YES, NO, "Hm."], repeat=3)))
def test_the_order_changes_what_is_spent_and_never_an_outcome(replies: tuple[str, ...]) -> None:
    scores = {"A.": 0.7, "B.": 0.3, "C.": 0.5}
    said = dict(zip(scores, replies, strict=True))
    rules = rule("a", "A.", "B."), rule("b", "B.", {"not": "C."}), rule("c", "A.", unless=("C.",))
    found = []
    for preset in (ORDERED, AT_ONCE):
        model = scripted(scores, said)
        verdict = judged(model, *rules, preset=preset)
        found.append(([r.outcome for r in verdict.rules], len(model.chatted)))
    (ordered, few), (at_once, many) = found
    assert ordered == at_once and few <= many


@pytest.mark.parametrize("preset", [ORDERED, AT_ONCE])
def test_what_rules_share_is_reasoned_about_once(preset: Preset) -> None:
    """Also where they name other objects for it: the picture is the same."""
    model = scripted({"A.": 0.5}, {"A.": YES})
    clauses = ("A.", {"statement": "A.", "objects": ["thing"]}, {"statement": "A.", "objects": ["other"]})
    verdict = judged(model, *(rule(f"r{n}", clause) for n, clause in enumerate(clauses)), preset=preset)
    assert verdict.broken == ("r0", "r1", "r2")
    assert (model.chatted, verdict.cost.generated_tokens) == (["A."], 5)
    assert [text for text, _ in model.asked] == ["A."]


def test_crops_are_pictures_of_their_own() -> None:
    model = Scripted({("A.", WHOLE): 0.5, ("A.", CROP): 0.5}, {"A.": YES})
    finder = Finder({"thing": [box("thing", 8)], "other": [box("other", 9, at=50)]})
    preset = Preset("crops", "", reason=True, crop_below=0.01)
    clauses = ({"statement": "A.", "objects": ["thing"]}, {"statement": "A.", "objects": ["other"]}, "A.")
    judged(model, *(rule(f"r{n}", clause) for n, clause in enumerate(clauses)), preset=preset, finder=finder)
    assert model.chatted == ["A."] * 3
