"""The probability of a rule over what its words allow."""

from __future__ import annotations

import itertools
import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jurat.constitution import Constitution, Rule
from jurat.judge import Judge, Preset, verdict_to_row
from jurat.judge.coherent import MOST, Formula, combine, entailments
from jurat.judge.odds import logit, sigmoid
from jurat.judge.verdict import RuleFinding
from jurat.models import Failure, FailureKind, YesNo

from .scripted import WHOLE, Scripted, white

odds = st.floats(-8, 8)


@st.composite
def formulas(draw: st.DrawFn, negated: bool = True) -> Formula:
    n = draw(st.integers(1, 5))
    literal = st.tuples(st.integers(0, n - 1), st.booleans() if negated else st.just(True))
    part = st.lists(literal, min_size=1, max_size=3).map(tuple)
    pairs = st.lists(st.tuples(st.integers(0, n - 1), st.integers(0, n - 1)), max_size=4)
    return Formula(
        n,
        tuple(draw(st.lists(part, min_size=1, max_size=3))),
        tuple(draw(st.lists(part, max_size=2))) if negated else (),
        tuple((i, j) for i, j in draw(pairs) if i != j),
    )


def by_brute_force(formula: Formula, log_odds: list[float], temperature: float) -> tuple[float, float]:
    """The sums as the formula has them, assignment by assignment."""
    every = within = broken = 0.0
    for y in itertools.product([False, True], repeat=formula.statements):
        weight = math.exp(sum(s for s, true in zip(log_odds, y, strict=True) if true) / temperature)
        every += weight
        if any(y[i] and not y[j] for i, j in formula.entailments):
            continue
        within += weight
        holds = [
            all(any(y[i] is w for i, w in part) for part in p) for p in (formula.clauses, formula.unless)
        ]
        broken += weight * (holds[0] and not (formula.unless and holds[1]))
    return broken / within, 1 - within / every


@settings(max_examples=200, deadline=None)
@given(formulas(), st.data(), st.sampled_from([0.5, 1.0, 3.0]))
def test_the_sums_are_exact(formula: Formula, data: st.DataObject, temperature: float) -> None:
    log_odds = data.draw(st.lists(odds, min_size=formula.statements, max_size=formula.statements))
    found = combine(formula, log_odds, temperature)
    probability, incoherence = by_brute_force(formula, log_odds, temperature)
    assert found.probability == pytest.approx(probability, abs=1e-9)
    assert found.incoherence == pytest.approx(incoherence, abs=1e-9)
    assert found.exact


@settings(max_examples=200, deadline=None)
@given(formulas(negated=False), st.data())
def test_more_evidence_for_any_statement_never_lowers_a_rule_without_negation(
    formula: Formula, data: st.DataObject
) -> None:
    log_odds = data.draw(st.lists(odds, min_size=formula.statements, max_size=formula.statements))
    which = data.draw(st.integers(0, formula.statements - 1))
    more = [s + (i == which) * data.draw(st.floats(0, 5)) for i, s in enumerate(log_odds)]
    assert combine(formula, more).probability >= combine(formula, log_odds).probability - 1e-9


@given(st.lists(odds, min_size=1, max_size=MOST + 4))
def test_one_conjunction_without_entailments_is_the_product(log_odds: list[float]) -> None:
    formula = Formula(len(log_odds), tuple(((i, True),) for i in range(len(log_odds))))
    found = combine(formula, log_odds)
    assert found.probability == pytest.approx(math.prod(map(sigmoid, log_odds)), rel=1e-6)
    assert (found.incoherence, found.exact) == (pytest.approx(0, abs=1e-9), len(log_odds) <= MOST)


@given(formulas(), st.data())
def test_the_largest_odds_overflow_nothing(formula: Formula, data: st.DataObject) -> None:
    extreme = st.lists(
        st.sampled_from([-700.0, 700.0]), min_size=formula.statements, max_size=formula.statements
    )
    found = combine(formula, data.draw(extreme), 0.01)
    assert 0 <= found.probability <= 1 and 0 <= found.incoherence <= 1


@pytest.mark.parametrize(
    ("one", "other", "entailed"),
    [
        ("A child touches an axe.", "A child is visible.", True),
        ("A child touches an axe.", "There is the axe in the picture.", True),
        ("A child touches an axe.", "A child touches an axe or a knife.", True),
        ("A child is touching an axe.", "The image shows an axe or a knife.", True),
        ("A child touches an axe or a knife.", "An axe is visible.", False),
        ("A child touches an axe or a knife.", "An axe, a knife or a fork is visible.", True),
        ("A child touches an axe.", "A person is visible.", False),
        ("A dog is left of a cat.", "A cat is visible.", True),
        ("A dog is visible.", "A dog or a cat is visible.", True),
        ("A dog or a cat is visible.", "A dog is visible.", False),
        ("There are at least three dogs.", "There are at least two dogs.", True),
        ("There are at least two dogs.", "There are at least three dogs.", False),
        ("There are exactly two dogs.", "There are at least two dogs.", True),
        ("There are exactly two dogs.", "There are at most three dogs.", True),
        ("There are at most two dogs.", "A dog is visible.", False),
        ("There are at least two dogs.", "A dog is visible.", True),
        ("There are at least two dogs.", "There are at least two cats.", False),
        ("A dog is visible.", "The dog is visible.", False),
        ("Nothing but a dog is visible.", "A dog is visible.", False),
    ],
)
def test_what_follows_from_words_alone(one: str, other: str, entailed: bool) -> None:
    """Two ways to say the same are left to stand apart: only a stronger statement entails a weaker one."""
    assert ((0, 1) in entailments([one, other])) is entailed


# --- judged --------------------------------------------------------------------------------------

PRESET = Preset("together", "coherent", keep_below=0.4, break_above=0.6, coherent=True)
CHILD, AXE, TOUCH = "A child is visible.", "An axe is visible.", "A child touches an axe."


def judged(
    scores: dict[str, float | YesNo],
    *clauses: object,
    unless: tuple[object, ...] = (),
    preset: Preset = PRESET,
) -> RuleFinding:
    rule = Rule(id="r", rule="No.", clauses=clauses, unless=unless)  # pyright: ignore[reportArgumentType]
    model = Scripted({(text, WHOLE): score for text, score in scores.items()})
    return Judge(Constitution(name="law", rules=(rule,)), model, preset)(white()).rules[0]


def test_what_a_touch_entails_counts_for_what_is_visible() -> None:
    """The minimum would be 0.55, and independent events 0.55 x 0.9 = 0.5: a touch implies a child."""
    found = judged({CHILD: 0.55, TOUCH: 0.9}, CHILD, TOUCH)
    together = 0.55 * 0.9 / (1 - 0.45 * 0.9)
    assert (found.outcome, found.score) == ("broken", pytest.approx(together))
    assert found.coherence is not None and found.coherence.incoherence == pytest.approx(0.45 * 0.9)
    assert [(e.statement, e.entails) for e in found.coherence.entailments] == [(TOUCH, CHILD)]


def test_several_middling_clauses_come_to_little() -> None:
    found = judged({"A.": 0.7, "B.": 0.7, "C.": 0.7}, "A.", "B.", "C.")
    assert (found.outcome, found.score, found.decided_by) == ("kept", pytest.approx(0.343), "quick")


@pytest.mark.parametrize(("unless", "outcome"), [(0.9, "kept"), (0.1, "broken"), (0.5, "undecided")])
def test_exceptions_count_in(unless: float, outcome: str) -> None:
    found = judged({"A.": 0.95, "B.": unless}, "A.", unless=("B.",))
    assert (found.outcome, found.score) == (outcome, pytest.approx(0.95 * (1 - unless)))


def test_alternatives_and_negations() -> None:
    found = judged({"A.": 0.5, "B.": 0.6, "C.": 0.1}, {"any of": ["A.", "B."]}, {"not": "C."})
    assert found.score == pytest.approx((1 - 0.5 * 0.4) * 0.9)


def test_what_cannot_be_is_undecided() -> None:
    found = judged({CHILD: 0.03, TOUCH: 0.99, AXE: 0.99}, CHILD, AXE, TOUCH)
    assert (found.outcome, found.reason) == ("undecided", "margin")
    assert found.coherence is not None and found.coherence.incoherence > 0.5
    allowing = Preset("all", "", keep_below=0.4, break_above=0.6, coherent=True, incoherent_above=1.0)
    assert (
        judged({CHILD: 0.03, TOUCH: 0.99, AXE: 0.99}, CHILD, AXE, TOUCH, preset=allowing).outcome
        != "undecided"
    )


@pytest.mark.parametrize("kind", ["refused", "filtered", "unparsed", "out_of_domain", "error", "low_mass"])
def test_a_statement_that_was_not_answered_leaves_the_rule_to_plain_logic(kind: FailureKind) -> None:
    wrong = YesNo(0.1, 0.1) if kind == "low_mass" else YesNo(0, 0, Failure(kind, "No."))
    found = judged({"A.": 0.99, "B.": wrong}, "A.", "B.")
    assert (found.outcome, found.reason, found.coherence) == ("undecided", kind, None)
    kept = judged({"A.": 0.01, "B.": wrong}, "A.", "B.")
    assert (kept.outcome, kept.coherence) == ("kept", None)


def test_too_many_statements_are_taken_as_independent_and_say_so() -> None:
    texts = [f"S{i}." for i in range(MOST + 1)]
    found = judged(dict.fromkeys(texts, 0.99), *texts)
    assert found.coherence is not None and found.coherence.method == "independent"
    assert (found.outcome, found.score) == ("broken", pytest.approx(0.99 ** (MOST + 1)))


def test_a_reader_can_redo_it_from_the_record() -> None:
    rule = Rule(id="r", rule="No.", clauses=(CHILD, TOUCH))  # pyright: ignore[reportArgumentType]
    model = Scripted({(CHILD, WHOLE): 0.7, (TOUCH, WHOLE): 0.8})
    row = verdict_to_row(Judge(Constitution(name="law", rules=(rule,)), model, PRESET)(white()))["rules"][0]
    child, touch = (logit(clause["alternatives"][0]["score"]) for clause in row["clauses"])
    assert row["coherence"]["entailments"] == [{"statement": TOUCH, "entails": CHILD}]
    allowed = [math.exp(child + touch), math.exp(child), 1.0]
    assert row["score"] == pytest.approx(allowed[0] / sum(allowed))
    assert row["coherence"]["incoherence"] == pytest.approx(
        math.exp(touch) / (sum(allowed) + math.exp(touch))
    )


@pytest.mark.parametrize("scores", list(itertools.product([0.1, 0.5, 0.7, 0.95], repeat=3)))
def test_every_verdict_can_be_explained(scores: tuple[float, ...]) -> None:
    texts = ("A.", "B.", "C.")
    law = Constitution(name="law", rules=(Rule(id="r", rule="No.", clauses=texts[:2], unless=texts[2:]),))  # pyright: ignore[reportArgumentType]
    model = Scripted({(text, WHOLE): score for text, score in zip(texts, scores, strict=True)})
    said = Judge(law, model, PRESET)(white()).explain()
    assert said.endswith(".") and said.count(". ") == 1
