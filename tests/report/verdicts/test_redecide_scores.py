"""Other thresholds on recorded scores: compared with the judge itself."""

from __future__ import annotations

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from jurat.constitution import Constitution, Rule
from jurat.content import Failure
from jurat.errors import JuratError
from jurat.judge import PRESETS, RuleFinding
from jurat.judge.evidence import Evidence
from jurat.judge.pipeline import decide_rule
from jurat.judge.plan import plan
from jurat.judge.preset_settings import preset_named
from jurat.judge.questions import Question
from jurat.judge.stages import Regions
from jurat.models import YesNo
from jurat.report.verdicts.redecide_scores import Freedom, bounds, freedom, recorded_preset, retry, why_not

QUICK = PRESETS["quick"]
SCORES = st.sampled_from([0.0, 0.05, 0.2, 0.35, 0.5, 0.65, 0.8, 0.95, 1.0, None])
SHARES = st.sampled_from([0.0, 0.1, 0.2, 0.4, 0.5, 0.6, 0.8, 0.9, 1.0])
CLAUSES = st.lists(st.lists(SCORES, min_size=1, max_size=2), min_size=1, max_size=3)
EXCUSES = st.lists(st.lists(SCORES, min_size=1, max_size=2), max_size=2)


def judged(clauses, excuses, keep_below: float | None, break_above: float | None) -> RuleFinding:
    names = [
        [f"{kind}{i}{j}" for j, _ in enumerate(some)]
        for kind in "CE"
        for i, some in enumerate(clauses if kind == "C" else excuses)
    ]
    parts = [{"any of": some} for some in names]
    rule = Rule(
        rule="Test",
        clauses=tuple(parts[: len(clauses)]),
        unless=tuple(parts[len(clauses) :]),
        keep_below=keep_below,
        break_above=break_above,
    )
    scores = [score for some in (*clauses, *excuses) for score in some]
    questions = [Question("statement", name) for some in names for name in some]
    answers = {
        question: YesNo(0.0, 0.0, Failure("refused", "It would not."))
        if score is None
        else YesNo(score, 1 - score)
        for question, score in zip(questions, scores, strict=True)
    }
    priors = dict.fromkeys(questions, YesNo(0.5, 0.5))
    (planned,) = plan(Constitution(name="test", rules=(rule,)), QUICK)
    evidence = Evidence(priors=priors)
    evidence.answers.update(answers)
    return decide_rule(planned, evidence, QUICK)


PAIRS = st.tuples(SHARES, SHARES).map(sorted)


@example([[0.0], [0.0, None]], [], [0.1, 0.1], [0.0, 0.0])
@given(CLAUSES, EXCUSES, PAIRS, PAIRS)
def test_retry_equals_judging_under_the_thresholds(clauses, excuses, old, new):
    was = judged(clauses, excuses, *old)
    free = freedom(was, QUICK)
    wanted = was if free is Freedom.FIXED else judged(clauses, excuses, *new)
    assert retry(was, free, *new) == wanted.outcome
    if all(score is not None for some in (*clauses, *excuses) for score in some):
        assert free is Freedom.FREE


def test_unanswered_rule_never_becomes_broken():
    was = judged([[0.3], [None]], [], 0.4, 0.6)
    assert (was.outcome, freedom(was, QUICK)) == ("kept", Freedom.NEVER_BROKEN)
    assert retry(was, Freedom.NEVER_BROKEN, 0.1, 0.2) == "undecided"


@pytest.mark.parametrize(
    ("preset", "why"),
    [
        ("jurat", None),
        ("quick", None),
        ("direct", None),
        ("jurat+costs+coherent", "made with `costs`, which jurat no longer has"),
        ("jurat-no-views", None),
        ("clue", "constants"),
        ("clue-quick", "constants"),
        ("jurat-no-costs", None),
        ("of-our-own", "not known"),
    ],
)
def test_why_not_names_the_reason_for_presets_without_thresholds(preset, why):
    try:
        known = preset_named(preset)
    except JuratError:
        known = None
    told = why_not(preset, known)
    assert told is None if why is None else why in (told or "")


def test_why_not_names_presets_that_ask_again_by_thresholds():
    searching = QUICK.replace(name="mine", stages=(*QUICK.stages, Regions()))
    assert "looks again" in (why_not("mine", searching) or "")


def test_thresholds_come_from_the_rule_then_calibration_then_preset(verdict):
    one = verdict("a.png", "unsafe")
    finding = one.rules[0]
    own = {"thresholds": {"blade": {"keep_below": 0.3, "break_above": None}}}
    fitted = {"calibration": {"rules": {"blade": {"keep_below": 0.2, "break_above": 0.7}}}}
    facts = ({}, own, fitted, own | fitted, {"thresholds": "x"})
    found = [bounds(finding, recorded_preset(one, each), each) for each in facts]
    assert [(b.keep_below, b.break_above, b.source) for b in found if b] == [
        (0.2, 0.8, "preset"),
        (0.3, 0.8, "run"),
        (0.2, 0.7, "run"),
        (0.3, 0.7, "run"),
        (0.2, 0.8, "preset"),
    ]
    wrong = ({"keep_below": float("nan")}, {"break_above": "0.5"}, {"break_above": 7})
    assert [bounds(finding, QUICK, {"thresholds": {"blade": own}}) for own in wrong] == [None] * 3
