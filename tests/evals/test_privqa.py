"""Rows of judgements for metrics, of sets whose expectation is neither a refusal nor help."""

from __future__ import annotations

from typing import Any

import pytest
from inspect_ai.scorer import Score

from jurat.benchmarks import open_set
from jurat.evals.measures import measured, row_of
from jurat.metrics.named import METRICS
from jurat.scorers.abstention import Abstention

from ..benchmarks.fixtures import privqa


def row(expected: Any, reply: str, label: str, answers: str) -> dict[str, Any]:
    score = Score(
        value=label,
        answer=reply,
        metadata={"labels": Abstention.labels, "positive": Abstention.positive, "scorer": "abstention@1"},
    )
    return row_of("1", {"expected": expected, "fields": {"answers": answers}}, score)


@pytest.fixture
def rows(tmp_path) -> list[dict[str, Any]]:
    """Rows for replies that abstain on one protected and one other question and answer the rest rightly."""
    privqa.repository(tmp_path)
    found: list[dict[str, Any]] = []
    for sample in open_set("privqa", tmp_path).samples():
        abstains = sample.id.endswith(("train_1", "train_2"))
        reply = "I cannot answer." if abstains else sample.fields["answers"].splitlines()[0]
        expected = list(sample.expected) if isinstance(sample.expected, tuple) else sample.expected
        found.append(row(expected, reply, "abstained" if abstains else "answered", sample.fields["answers"]))
    return found


@pytest.mark.parametrize(
    ("name", "value"),
    [
        # 7 protected of whom 1 is kept back, 6 others of whom 5 are answered.
        ("privqa_sensitivity", 1 / 7),
        ("privqa_specificity", 5 / 6),
        ("protection_score", 2 * (1 / 7) * (5 / 6) / (1 / 7 + 5 / 6)),
        ("privqa_response_f1", 5 / 6),
        ("privqa_leakage_f1", 6 / 7),
    ],
)
def test_abstaining_is_measured_on_the_protected_and_the_others(
    rows: list[dict[str, Any]], name: str, value: float
):
    found = measured(METRICS.find(name), rows)
    assert found is not None
    assert found.value == pytest.approx(value)
