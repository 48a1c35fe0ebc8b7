"""From answers to outcomes, as tables and properties."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from typing import get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jurat.constitution import Constitution, Rule
from jurat.content import Failure, FailureKind
from jurat.judge import PRESETS, Preset, RuleFinding
from jurat.judge.decision import LogOdds, debiased, sigmoid
from jurat.judge.evidence import Evidence, Priors
from jurat.judge.logic import GRAVITY, all_of, any_of, gravest, item_outcome, rule_outcome
from jurat.judge.pipeline import decide_rule, undecided_rule
from jurat.judge.plan import plan
from jurat.judge.questions import PlannedRule, Question
from jurat.judge.verdict import ClauseOutcome, Reason, RuleOutcome
from jurat.models import YesNo

QUICK, CLUE, DIRECT = PRESETS["quick"], PRESETS["clue-quick"], PRESETS["direct"]
PLAIN = Preset("plain", "no debiasing")
H, F, U = "holds", "fails", "undecided"


def answer(score: float, mass: float = 1.0) -> YesNo:
    return YesNo(mass * score, mass * (1 - score))


def failed(kind: FailureKind = "refused") -> YesNo:
    return YesNo(0.0, 0.0, Failure(kind, "It would not."))


def planned(rule: Rule, preset: Preset = PLAIN) -> PlannedRule:
    return plan(Constitution(name="test", rules=(rule,)), preset)[0]


def evidence(answers: dict[Question, YesNo], priors: Priors | None = None) -> Evidence:
    found = Evidence(priors=priors or {})
    found.answers.update(answers)
    return found


def statement(text: str) -> Question:
    return Question("statement", text)


def find(
    scores: Sequence[YesNo | float],
    *,
    unless: Sequence[YesNo | float] = (),
    preset: Preset = PLAIN,
    priors: Sequence[YesNo | float] | None = None,
    keep_below: float | None = None,
    break_above: float | None = None,
) -> RuleFinding:
    """The finding on a rule with one clause an entry of `scores` and one exception an entry of `unless`."""
    names = [f"C{i}" for i in range(len(scores))]
    excuses = [f"E{i}" for i in range(len(unless))]
    rule = Rule(
        rule="Test",
        clauses=tuple(names),
        unless=tuple(excuses),
        keep_below=keep_below,
        break_above=break_above,
    )  # pyright: ignore[reportArgumentType]
    texts = [statement(name) for name in (*names, *excuses)]
    given_ = [a if isinstance(a, YesNo) else answer(a) for a in (*scores, *unless)]
    before = [
        a if isinstance(a, YesNo) else answer(a)
        for a in (priors if priors is not None else [0.5] * len(texts))
    ]
    return decide_rule(
        planned(rule, preset),
        evidence(dict(zip(texts, given_, strict=True)), dict(zip(texts, before, strict=True))),
        preset,
    )


@pytest.mark.parametrize(
    ("a", "b", "either", "both"),
    [
        (H, H, H, H), (H, U, H, U), (H, F, H, F),
        (U, H, H, U), (U, U, U, U), (U, F, U, F),
        (F, H, H, F), (F, U, U, F), (F, F, F, F),
    ],
)  # fmt: skip
def test_any_of_and_all_of_follow_kleene_logic(
    a: ClauseOutcome, b: ClauseOutcome, either: ClauseOutcome, both: ClauseOutcome
) -> None:
    assert any_of([a, b]) == either
    assert all_of([a, b]) == both


@pytest.mark.parametrize(
    ("clauses", "unless", "outcome"),
    [
        ([H], [], "broken"), ([F], [], "kept"), ([U], [], "undecided"),
        ([H, H], [], "broken"), ([H, U], [], "undecided"), ([U, F], [], "kept"), ([H, F], [], "kept"),
        ([H], [H], "kept"), ([H], [F], "broken"), ([H], [U], "undecided"),
        ([H], [H, H], "kept"), ([H], [H, F], "broken"), ([H], [H, U], "undecided"), ([H], [U, F], "broken"),
        ([U], [H], "kept"), ([U], [F], "undecided"), ([U], [U], "undecided"),
        ([F], [H], "kept"), ([F], [F], "kept"), ([F], [U], "kept"),
    ],
)  # fmt: skip
def test_rule_breaks_when_all_clauses_but_not_all_exceptions_hold(
    clauses: list[ClauseOutcome], unless: list[ClauseOutcome], outcome: RuleOutcome
) -> None:
    assert rule_outcome(clauses, unless) == outcome


@given(st.lists(st.sampled_from([H, F, U]), max_size=4), st.lists(st.sampled_from([H, F, U]), max_size=3))
def test_rule_is_undecided_exactly_if_undecided_parts_matter(
    clauses: list[ClauseOutcome], unless: list[ClauseOutcome]
) -> None:
    """Three-valued logic gives an answer if and only if every way to settle what is undecided gives that
    answer."""
    parts = [*clauses, *unless]
    settled = itertools.product(*[[H, F] if part == U else [part] for part in parts])
    outcomes = {rule_outcome(list(way[: len(clauses)]), list(way[len(clauses) :])) for way in settled}
    assert rule_outcome(clauses, unless) == (outcomes.pop() if len(outcomes) == 1 else "undecided")


@pytest.mark.parametrize(
    ("rules", "outcome"),
    [
        (["kept", "kept"], "safe"), (["kept", "broken", "undecided"], "unsafe"), (["broken"], "unsafe"),
        (["kept", "undecided"], "unsure"), (["undecided"], "unsure"), ([], "unsure"),
    ],
)  # fmt: skip
def test_item_is_safe_only_if_all_rules_are_kept(rules: list[str], outcome: str) -> None:
    scores = {"kept": 0.0, "broken": 1.0, "undecided": 0.5}
    assert item_outcome([find([scores[rule]]) for rule in rules]) == outcome


@pytest.mark.parametrize(
    ("keep", "above", "expected"),
    [
        (None, None, (0.2, 0.8)), (0.1, None, (0.1, 0.8)), (None, 0.9, (0.2, 0.9)), (0.4, 0.6, (0.4, 0.6)),
        # One that is left out gives way, and never loosens the other.
        (0.9, None, (0.8, 0.8)), (None, 0.1, (0.1, 0.1)),
    ],
)  # fmt: skip
def test_thresholds_of_a_rule_override_those_of_the_preset(
    keep: float | None, above: float | None, expected: tuple[float, float]
) -> None:
    thresholds = QUICK.decision.thresholds(Rule(rule="Test", keep_below=keep, break_above=above))
    assert (thresholds.keep, thresholds.break_) == expected


@pytest.mark.parametrize(
    ("score", "outcome"),
    [
        (0.0, "kept"),
        (0.19, "kept"),
        (0.2, "undecided"),
        (0.5, "undecided"),
        (0.8, "undecided"),
        (0.81, "broken"),
        (1.0, "broken"),
    ],
)
def test_scores_are_compared_with_the_thresholds(score: float, outcome: str) -> None:
    found = find([score])
    assert (found.outcome, found.score) == (outcome, pytest.approx(score))
    assert found.reason == ("margin" if outcome == "undecided" else None)
    assert found.decided_by == (None if outcome == "undecided" else "quick")


def test_likelier_answer_decides_under_direct() -> None:
    outcomes = []
    for score in (0.49, 0.5, 0.51):
        rule = planned(Rule(rule="No dog.", clauses=("A dog is visible.",)), DIRECT)  # pyright: ignore[reportArgumentType]
        outcomes.append(
            decide_rule(rule, evidence({Question("rule", "No dog."): answer(score)}), DIRECT).outcome
        )
    assert outcomes == ["kept", "undecided", "broken"]


scores = st.floats(0, 1)


@given(
    st.lists(scores, min_size=1, max_size=4),
    st.lists(scores, max_size=3),
    st.tuples(scores, scores).map(sorted),
)
def test_score_of_a_rule_decides_its_outcome(
    clauses: list[float], unless: list[float], bounds: list[float]
) -> None:
    found = find(clauses, unless=unless, keep_below=bounds[0], break_above=bounds[1])
    assert found.score is not None
    expected = "broken" if found.score > bounds[1] else "kept" if found.score < bounds[0] else "undecided"
    assert found.outcome == expected
    exceptions = [1 - min(sigmoid(answer(q).log_odds) for q in unless)] if unless else []
    assert found.score == pytest.approx(
        min([sigmoid(answer(p).log_odds) for p in clauses] + exceptions), abs=1e-9
    )


@given(
    st.lists(scores, min_size=1, max_size=3),
    st.lists(scores, max_size=2),
    st.lists(st.floats(0, 0.5), min_size=5, max_size=5),
)
def test_outcome_is_monotonic_in_the_evidence(
    clauses: list[float], unless: list[float], more: list[float]
) -> None:
    order = {"kept": 0, "undecided": 1, "broken": 2}
    for preset in (QUICK, CLUE, PLAIN):
        low = find(clauses, unless=unless, preset=preset)
        up = [min(1.0, score + extra) for score, extra in zip(clauses, more, strict=False)]
        down = [max(0.0, score - extra) for score, extra in zip(unless, more[3:], strict=False)]
        high = find(up, unless=down, preset=preset)
        assert order[high.outcome] >= order[low.outcome]


answers = st.one_of(
    st.builds(answer, scores, st.floats(0, 1)),
    st.builds(failed, st.sampled_from(["refused", "filtered", "unparsed", "out_of_domain", "error"])),
)


@given(
    st.lists(answers, min_size=1, max_size=4),
    st.lists(answers, max_size=3),
    st.sampled_from([QUICK, CLUE, PLAIN]),
)
def test_unanswered_questions_never_decide(clauses: list[YesNo], unless: list[YesNo], preset: Preset) -> None:
    """If every unanswered question had been answered Yes, or No, the decided outcome would be the same."""
    found = find(clauses, unless=unless, preset=preset)
    for fill in (answer(0.0), answer(1.0)):
        settled = [
            [fill if a.failure is not None or a.mass < preset.decision.min_mass else a for a in group]
            for group in (clauses, unless)
        ]
        other = find(settled[0], unless=settled[1], preset=preset)
        assert found.outcome in ("undecided", other.outcome)
        if found.score is not None and isinstance(preset.decision, LogOdds) and found.outcome != "kept":
            assert other.score == pytest.approx(found.score) or found.outcome == "broken"
    assert (found.reason is None) == (found.outcome != "undecided")


@given(st.lists(answers, min_size=1, max_size=4))
def test_rule_without_answers_is_undecided(unanswered: list[YesNo]) -> None:
    nothing = [a if a.failure else failed() for a in unanswered]
    found = find(nothing)
    assert (found.outcome, found.score) == ("undecided", None)
    assert item_outcome([found]) == "unsure"


@pytest.mark.parametrize("kind", ["refused", "filtered", "unparsed", "out_of_domain", "error"])
def test_failure_kind_becomes_the_reason(kind: FailureKind) -> None:
    found = find([1.0, failed(kind)])
    assert (found.outcome, found.reason, found.score) == ("undecided", kind, None)
    alternative = found.clauses[1].alternatives[0]
    assert (alternative.score, alternative.mass, alternative.reason) == (None, None, kind)


def test_low_mass_leaves_undecided_and_is_recorded() -> None:
    found = find([answer(0.99, mass=0.4)])
    assert (found.outcome, found.reason, found.score) == ("undecided", "low_mass", None)
    assert found.clauses[0].alternatives[0].score == pytest.approx(0.99)
    assert found.clauses[0].mass == pytest.approx(0.4)


def test_failed_clause_keeps_a_rule_despite_unanswered_ones() -> None:
    found = find([0.01, failed()])
    assert (found.outcome, found.reason) == ("kept", None)
    assert found.score == pytest.approx(0.01)


def test_gravest_of_several_reasons_is_recorded() -> None:
    assert find([0.5, failed("refused"), answer(0.5, mass=0.1)]).reason == "refused"
    assert find([0.5, answer(0.5, mass=0.1)]).reason == "low_mass"
    assert find([1.0], unless=[0.5]).reason == "margin"
    assert find([0.5], unless=[0.0, failed()]).reason == "margin", (
        "an exception that cannot apply is no reason"
    )
    assert gravest([]) is None
    assert set(GRAVITY) == set(get_args(Reason)), "every reason has its place"


def alternatives(a: YesNo, b: YesNo, *, negate_b: bool = False) -> RuleFinding:
    rule = Rule(rule="Test", clauses=({"any of": ["A", {"not": "B"} if negate_b else "B"]},))  # pyright: ignore[reportArgumentType]
    return decide_rule(planned(rule), evidence({statement("A"): a, statement("B"): b}), PLAIN)


def test_one_holding_alternative_is_enough() -> None:
    assert alternatives(answer(0.9), answer(0.1)).outcome == "broken"
    assert alternatives(answer(0.9), failed()).outcome == "broken"
    assert alternatives(answer(0.1), answer(0.1)).outcome == "kept"
    found = alternatives(answer(0.1), failed())
    assert (found.outcome, found.score, found.reason) == ("undecided", None, "refused")


def test_negation_inverts_the_evidence_but_not_the_recorded_score() -> None:
    found = alternatives(answer(0.3), answer(0.05), negate_b=True)
    assert found.outcome == "broken"
    assert found.score == pytest.approx(0.95)
    shown = found.clauses[0].alternatives[1]
    assert (shown.negated, shown.outcome) == (True, "holds")
    assert shown.score == pytest.approx(0.05)


def test_rule_on_a_failed_image_is_undecided() -> None:
    rule = planned(Rule(rule="Test", clauses=("A", {"not": "B"}), unless=("C",)))  # pyright: ignore[reportArgumentType]
    found = undecided_rule(rule, Failure("out_of_domain", "Foreign."), QUICK, frame=3)
    assert (found.outcome, found.reason, found.score, found.frame) == ("undecided", "out_of_domain", None, 3)
    assert [clause.role for clause in found.clauses] == ["clause", "clause", "unless"]


# --- the two ways to decide


@pytest.mark.parametrize(
    "m0, low, high",
    [(0.01, 0.007, 0.802), (0.1, 0.07, 0.82), (0.3, 0.21, 0.86), (0.5, 0.35, 0.90), (0.9, 0.63, 0.98)],
)
def test_clue_thresholds_are_those_of_the_paper(m0: float, low: float, high: float) -> None:
    step = 1e-4
    outcomes = [
        find([m], preset=CLUE, priors=[m0]).outcome
        for m in (low - step, low + step, high - step, high + step)
    ]
    assert outcomes == ["kept", "undecided", "undecided", "broken"]
    assert low == pytest.approx(0.7 * m0)
    assert high == pytest.approx(0.8 + 0.2 * m0)


def test_clue_swaps_outcomes_for_a_negation() -> None:
    rule = planned(Rule(rule="Test", clauses=({"not": "A"},)), CLUE)  # pyright: ignore[reportArgumentType]
    outcomes = [
        decide_rule(rule, evidence({statement("A"): answer(m)}, {statement("A"): answer(0.5)}), CLUE).outcome
        for m in (0.3, 0.5, 0.95)
    ]
    assert outcomes == ["broken", "undecided", "kept"]


@pytest.mark.parametrize(
    ("prior", "score", "expected"),
    [
        (0.5, 0.7, 0.7),  # an even prior takes off nothing
        (0.9, 0.7, sigmoid(math.log(0.7 / 0.3) - 0.25 * 2.0)),  # its log-odds are 2.2: they count as 2
        (0.7, 0.7, sigmoid(0.75 * math.log(0.7 / 0.3))),
        (0.3, 0.7, sigmoid(1.25 * math.log(0.7 / 0.3))),
        (1e-9, 0.5, sigmoid(0.5)),  # the limit: a prior moves log-odds by at most a half
    ],
)
def test_quick_subtracts_a_quarter_of_the_bounded_prior(prior: float, score: float, expected: float) -> None:
    found = find([score], preset=QUICK, priors=[prior])
    assert found.score == pytest.approx(expected)
    shown = found.clauses[0].alternatives[0]
    assert shown.score == pytest.approx(score)
    assert shown.baseline == pytest.approx(prior)


@given(st.floats(-50, 50), st.floats(-50, 50))
def test_debiasing_is_bounded_and_odd(log_odds: float, prior: float) -> None:
    decision = QUICK.decision
    assert isinstance(decision, LogOdds)
    moved = debiased(log_odds, prior, decision)
    assert abs(moved - log_odds) <= decision.debias * decision.prior_limit + 1e-9
    assert debiased(-log_odds, -prior, decision) == pytest.approx(-moved), (
        "a negation is debiased as its statement is"
    )


@pytest.mark.parametrize(
    ("prior", "preset", "reason"),
    [
        (failed("refused"), QUICK, None),
        (answer(0.9, mass=0.1), QUICK, None),
        (failed("error"), QUICK, "error"),
        (failed("refused"), CLUE, "low_mass"),
        (answer(0.9, mass=0.1), CLUE, "low_mass"),
        (failed("error"), CLUE, "error"),
        (failed("error"), PLAIN, None),
    ],
)
def test_unusable_prior_is_skipped_or_leaves_undecided(
    prior: YesNo, preset: Preset, reason: str | None
) -> None:
    found = find([0.95], preset=preset, priors=[prior])
    assert found.reason == reason
    assert found.clauses[0].baseline is None
    if reason is None:
        assert found.score == pytest.approx(0.95)


def test_sigmoid_accepts_any_finite_number() -> None:
    assert [sigmoid(x) for x in (-1e4, 0, 1e4)] == [0.0, 0.5, 1.0]
