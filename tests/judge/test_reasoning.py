"""Reasoning covers every undecided clause, and none twice."""

from __future__ import annotations

from jurat.constitution import Constitution, Rule
from jurat.judge import Judge, Preset
from jurat.judge.stages import Crop, Quick, Reason
from jurat.judge.verdict import Verdict

from .scripted import CROP, WHOLE, Finder, Scripted, box, white

PRESET = Preset("reasoning", "reasons about what is undecided", (Quick(), Reason()))
YES, NO = '{"rating": "Yes", "rationale": "There."}', '{"rating": "No", "rationale": "Not there."}'


def rule(id: str, *clauses: object, **others: object) -> Rule:
    return Rule(id=id, rule=f"No {id}.", clauses=clauses, **others)  # pyright: ignore[reportArgumentType]


def judged(model: Scripted, *rules: Rule, preset: Preset = PRESET, finder: Finder | None = None) -> Verdict:
    return Judge(Constitution(name="law", rules=rules), model, preset, detector=finder)(white())


def scripted(scores: dict[str, float], replies: dict[str, str]) -> Scripted:
    return Scripted({(text, WHOLE): score for text, score in scores.items()}, replies)


def test_every_undecided_clause_is_reasoned_about() -> None:
    model = scripted({"A.": 0.7, "B.": 0.3}, {"A.": YES, "B.": NO})
    assert (judged(model, rule("r", "A.", "B.")).outcome, len(model.chatted)) == ("safe", 2)


def test_failed_clause_prevents_reasoning() -> None:
    model = scripted({"A.": 0.5, "B.": 0.01}, {"A.": YES})
    assert (judged(model, rule("r", "A.", "B.")).outcome, model.chatted) == ("safe", [])


def test_other_clauses_decide_when_a_reply_is_unparsed() -> None:
    model = scripted({"A.": 0.3, "B.": 0.5}, {"A.": "Hm.", "B.": NO})
    assert judged(model, rule("r", "A.", "B.")).outcome == "safe"
    model = scripted({"A.": 0.3, "B.": 0.5}, {"A.": "Hm.", "B.": YES})
    verdict = judged(model, rule("r", "A.", "B."))
    assert (verdict.outcome, verdict.reason) == ("unsure", "unparsed")


def test_statement_shared_by_rules_is_reasoned_about_once() -> None:
    """Also where they name other objects for it: the picture is the same."""
    model = scripted({"A.": 0.5}, {"A.": YES})
    clauses = ("A.", {"statement": "A.", "objects": ["thing"]}, {"statement": "A.", "objects": ["other"]})
    verdict = judged(model, *(rule(f"r{n}", clause) for n, clause in enumerate(clauses)))
    assert verdict.broken == ("r0", "r1", "r2")
    assert (model.chatted, verdict.cost.generated_tokens) == (["A."], 5)
    assert [text for text, _ in model.asked] == ["A."]


def test_each_crop_is_reasoned_about_separately() -> None:
    model = Scripted({("A.", WHOLE): 0.5, ("A.", CROP): 0.5}, {"A.": YES})
    finder = Finder({"thing": [box("thing", 8)], "other": [box("other", 9, at=50)]})
    preset = Preset("crops", "", (Quick(), Crop(0.01), Reason()))
    clauses = ({"statement": "A.", "objects": ["thing"]}, {"statement": "A.", "objects": ["other"]}, "A.")
    judged(model, *(rule(f"r{n}", clause) for n, clause in enumerate(clauses)), preset=preset, finder=finder)
    assert model.chatted == ["A."] * 3
