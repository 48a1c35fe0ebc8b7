"""What a table says of the claims, from rows made by hand."""

from __future__ import annotations

from typing import Any

import pytest

from jurat.bench.claims import as_table, check


def difference(a: str, b: str, metric: str, low: float, high: float, split: str = "test") -> dict[str, Any]:
    return {"a": a, "b": b, "model": "naive", "split": split, "metric": metric, "ci": [low, high]}


def row(preset: str, tokens: float, risk: float, *ablate: str) -> dict[str, Any]:
    return {
        "preset": preset, "ablate": list(ablate), "model": "naive", "split": "test", "level": "item",
        "flops": tokens * 1e6, "question_tokens": tokens, "generated_tokens": 0, "risk_at": {"0.9": risk},
    }  # fmt: skip


@pytest.mark.parametrize(
    ("paired", "claim", "states"),
    [
        (difference("clue", "whole", "f1", 0.1, 0.2), "1", (1, 0, 0)),
        (difference("jurat", "direct", "f1", -0.1, 0.2), "2", (0, 1, 0)),
        (difference("jurat", "direct", "aurc", -0.2, -0.1), "2", (1, 0, 0)),  # less is better
        (difference("jurat", "direct", "aurc", 0.1, 0.2), "2", (0, 0, 1)),
        (difference("jurat", "jurat-no-views", "f1", -0.2, -0.1), "5", (0, 0, 1)),
    ],
)
def test_a_difference_counts_by_its_interval(paired, claim, states):
    (found,) = check({"rows": [], "paired": [paired]})
    assert found.claim.startswith(claim)
    assert tuple(map(len, found.comparisons.values())) == states


@pytest.mark.parametrize(
    "paired",
    [
        difference("jurat", "detector-geometry", "f1", 0.1, 0.2),  # asks no MLLM
        difference("jurat", "direct", "brier", 0.1, 0.2),
        difference("jurat", "direct", "brier", 0.1, 0.2, "borderline"),
        difference("quick", "direct", "f1", 0.1, 0.2),
    ],
)
def test_what_no_claim_speaks_of_is_passed_over(paired):
    assert check({"rows": [], "paired": [paired]}) == [] and not list(
        as_table({"rows": [], "paired": [paired]})
    )


def test_costs_and_risk_are_compared_with_those_of_clue():
    found = check({"rows": [row("jurat", 110, 0.04), row("clue", 100, 0.1)], "paired": []})
    assert [(each.claim[0], each.comparisons) for each in found] == [
        (
            "3",
            {
                "shown": [],
                "open": [],
                "against": ["tokens on test, 110 to 100", "FLOPs on test, 1.1e+08 to 1e+08"],
            },
        ),
        ("4", {"shown": ["test, 0.040 to 0.100"], "open": [], "against": []}),
    ]


def test_the_page_names_what_speaks_against_a_claim():
    table = {"rows": [row("jurat", 90, 0.06), row("clue", 100, 0.1)], "paired": []}
    page = "\n".join(as_table(table))
    assert "risk is half of `clue`'s at most | naive | 0 | 0 | 1: test, 0.060 to 0.100 |" in page
    assert "| 3. `jurat` takes no more than `clue` | naive | 2 | 0 | 0 |" in page


def test_risk_is_compared_with_the_better_of_clue_with_and_without_relevance():
    rows = [row("jurat", 90, 0.04), row("clue", 100, 0.1), row("clue", 200, 0.07, "relevance")]
    (found,) = [each for each in check({"rows": rows, "paired": []}) if each.claim.startswith("4")]
    assert found.comparisons["against"] == ["test, 0.040 to 0.070"]
