"""The naive model of the bench, which was not trained on the wording of the judge's questions."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from safetensors.torch import load_file

from jurat.errors import JuratError
from jurat.judge import Judge
from jurat.models.bundled.model import NAIVE, WEIGHTS

SCENES = Path(__file__).parents[3] / "examples" / "scenes"


def test_naive_shares_no_weights_with_the_bundled_model() -> None:
    naive, bundled = (load_file(folder / "model.safetensors") for folder in (NAIVE, WEIGHTS))
    same = {name for name in naive if name in bundled and naive[name].equal(bundled[name])}
    assert all("post_layernorm" in name for name in same)  # which nothing trains


REFUSED = {
    "child-with-blade",
    "child-with-alcohol",
    "child-with-fire",
    "child-with-medicine",
}
"""Rules of the nursery with a touch of one of several things, which it reads wrongly too often."""


def test_naive_refuses_statements_it_misreads() -> None:
    with pytest.raises(JuratError, match="would answer 4 of the 35 statements of this constitution wrongly"):
        Judge("shelf:nursery", "naive", "quick")


def test_naive_is_right_about_accepted_rules() -> None:
    with (SCENES / "truth.jsonl").open() as lines:
        truth = [json.loads(line) for line in lines]
    judge = Judge("shelf:nursery", "naive", "quick", allow_unknown=True)
    right = decided = 0
    for scene in truth:
        verdict = judge(SCENES / scene["file"])
        assert verdict.model == f"naive@{judge.model.revision}"
        for rule in verdict.rules:
            if rule.id not in REFUSED and rule.outcome != "undecided":
                decided += 1
                right += (rule.outcome == "broken") == (rule.id in scene["broken"])
    asked = len(truth) * (len(judge.rules) - len(REFUSED))
    assert decided >= 0.9 * asked and right >= 0.97 * decided


def test_naive_judge_has_a_default_detector() -> None:
    assert Judge("shelf:nursery", "naive", "jurat", allow_unknown=True).detector is not None


@pytest.mark.parametrize(
    ("name", "problem"), [("naive/2", "takes no reference"), ("naive?seed=2", "has no option 'seed'")]
)
def test_naive_takes_no_reference_or_options(name: str, problem: str) -> None:
    with pytest.raises(JuratError, match=f"The backend 'naive' {problem}"):
        Judge("shelf:nursery", name)
