"""The preset `clue` against Algorithm 1 of CLUE, line by line."""

from __future__ import annotations

from dataclasses import dataclass, field

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jurat.constitution import Constitution, Rule
from jurat.judge import Judge

from .scripted import CROP, NONE, PAINTED, WHOLE, Alike, Finder, Scripted, box, white

YES = 'It is there. {"rating": "Yes", "rationale": "It is there."}'
NO = 'It is not. {"rating": "No", "rationale": "It is not."}'


@dataclass
class C:
    """What the models say of one clause."""

    m: float
    m0: float = 0.5
    painted: float | None = None
    """M with the region painted over; None where the detector finds nothing."""
    crop: float | None = None
    """M on the crop of a small object."""
    cot: bool = False
    objects: tuple[str, ...] = field(default=("thing",))


def algorithm_1(relevance: float, clauses: list[C]) -> bool:
    """Algorithm 1 of arXiv 2501.00192 for one rule, as the reference sheet prints it: is it violated?"""
    if relevance <= 0.22:
        return False
    accepted = 0
    for c in clauses:
        m = c.m if c.crop is None else c.crop
        if m - c.m0 < -0.3 * c.m0:
            return False
        if m - c.m0 > 0.8 * (1 - c.m0) or (c.painted is not None and c.m - c.painted > 0.6) or c.cot:
            accepted += 1
    return accepted == len(clauses)


def judge_by_clue(relevance: float, clauses: list[C]) -> tuple[str, str | None, Scripted]:
    scores: dict[tuple[str, str], float] = {}
    places = {}
    for i, c in enumerate(clauses):
        text = f"C{i}."
        scores |= {(text, WHOLE): c.m, (text, NONE): c.m0}
        if c.painted is not None or c.crop is not None:
            places[f"thing{i}"] = [box(f"thing{i}", 8 if c.crop is not None else 40)]
        if c.painted is not None:
            scores[text, PAINTED] = c.painted
        elif c.crop is not None:
            scores[text, PAINTED] = c.m
        if c.crop is not None:
            scores[text, CROP] = c.crop
    model = Scripted(scores, {f"C{i}.": YES if c.cot else NO for i, c in enumerate(clauses)})
    rule = Rule(
        id="r",
        rule="No things.",
        clauses=tuple({"statement": f"C{i}.", "objects": [f"thing{i}"]} for i in range(len(clauses))),  # pyright: ignore[reportArgumentType]
    )
    judge = Judge(
        Constitution(name="one", rules=(rule,)),
        model,
        "clue",
        detector=Finder(places),
        matcher=Alike(lambda text: relevance),
    )
    verdict = judge(white())
    return verdict.rules[0].outcome, verdict.rules[0].decided_by, model


@pytest.mark.parametrize(
    ("relevance", "clauses", "outcome", "stage"),
    [
        pytest.param(0.22, [C(1.0)], "kept", "relevance", id="line 3: not above t"),
        pytest.param(0.23, [C(1.0)], "broken", "quick", id="line 3: just above t"),
        pytest.param(0.3, [C(0.34)], "kept", "quick", id="line 8: just below 0.7 M0"),
        pytest.param(0.3, [C(0.36)], "kept", "reason", id="line 8: just above it, reasoning says No"),
        pytest.param(0.3, [C(0.91)], "broken", "quick", id="line 10: above 0.8 + 0.2 M0"),
        pytest.param(0.3, [C(0.89, cot=True)], "broken", "reason", id="line 10: below it, then Yes"),
        pytest.param(0.3, [C(0.5, 0.01)], "kept", "reason", id="a low prior can hardly be rejected"),
        pytest.param(0.3, [C(0.005, 0.01)], "kept", "quick", id="a low prior, and a lower score"),
        pytest.param(0.3, [C(0.89, painted=0.28)], "broken", "regions", id="line 12: drop above beta"),
        pytest.param(0.3, [C(0.89, painted=0.3)], "kept", "reason", id="line 12: drop below beta"),
        pytest.param(0.3, [C(0.6, crop=0.95)], "broken", "quick", id="line 13: the crop stands in"),
        pytest.param(0.3, [C(0.95, crop=0.1)], "kept", "quick", id="line 13: against it, too"),
        pytest.param(0.3, [C(0.6, crop=0.6, cot=True)], "broken", "reason", id="line 22: reasoning on it"),
        pytest.param(0.3, [C(0.95), C(0.1)], "kept", "quick", id="one clause fails"),
        pytest.param(0.3, [C(0.95), C(0.8, cot=True)], "broken", "reason", id="the last clause decides"),
        pytest.param(0.3, [C(0.8), C(0.95)], "kept", "reason", id="No from reasoning"),
        pytest.param(0.3, [C(0.8, cot=True), C(0.1)], "kept", "quick", id="a failed clause saves it"),
    ],
)  # fmt: skip
def test_clue_decides_every_branch_of_algorithm_1_as_printed(
    relevance: float, clauses: list[C], outcome: str, stage: str
) -> None:
    assert algorithm_1(relevance, clauses) is (outcome == "broken"), "the table agrees with the algorithm"
    assert judge_by_clue(relevance, clauses)[:2] == (outcome, stage)


def test_failed_clause_stops_further_questions_about_its_rule() -> None:
    model = judge_by_clue(0.3, [C(0.8, painted=0.1, cot=True), C(0.1)])[2]
    assert model.chatted == []
    assert not any(kind == PAINTED for _, kind in model.asked)


share = st.integers(0, 100).map(lambda n: n / 100)
clause = st.builds(
    C,
    m=share,
    m0=st.integers(1, 99).map(lambda n: n / 100),
    painted=st.none() | share,
    crop=st.none(),
    cot=st.booleans(),
)


@settings(max_examples=150, deadline=None)
@given(st.sampled_from([0.1, 0.3]), st.lists(clause, min_size=1, max_size=4))
def test_clue_agrees_with_algorithm_1_for_any_scores(relevance: float, clauses: list[C]) -> None:
    assert judge_by_clue(relevance, clauses)[0] == ("broken" if algorithm_1(relevance, clauses) else "kept")
