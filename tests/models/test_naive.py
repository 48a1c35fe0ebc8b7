"""The naive organism of the bench: the bundled model's tower under a decoder of its own."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from safetensors.torch import load_file

from jurat.errors import JuratError
from jurat.judge import Judge
from jurat.models.bundled import NAIVE, WEIGHTS

SCENES = Path(__file__).parents[2] / "examples" / "scenes"


def test_it_sees_as_the_bundled_model_sees_and_thinks_for_itself() -> None:
    naive, bundled = (load_file(folder / "model.safetensors") for folder in (NAIVE, WEIGHTS))
    assert naive.keys() == bundled.keys()
    same = {name for name in naive if naive[name].equal(bundled[name])}
    tower = {name for name in naive if "vision_tower" in name}
    assert tower and tower <= same
    assert not any("language_model" in name and name.endswith("_proj.weight") for name in same)


def test_it_judges_though_it_was_never_shown_how() -> None:
    with (SCENES / "truth.jsonl").open() as lines:
        truth = [json.loads(line) for line in lines]
    judge = Judge("shelf:nursery", "naive", "quick")
    verdicts = [judge(SCENES / scene["file"]) for scene in truth]
    assert {verdict.model for verdict in verdicts} == {f"naive@{judge.model.revision}"}
    outcomes = ["unsafe" if scene["broken"] else "safe" for scene in truth]
    right = sum(v.outcome == o for v, o in zip(verdicts, outcomes, strict=True))
    assert right >= 0.8 * len(truth)


def test_it_points_at_what_it_saw_without_being_told_a_detector() -> None:
    assert Judge("shelf:nursery", "naive", "jurat").detector is not None


@pytest.mark.parametrize("name", ["naive/2", "naive?seed=2"])
def test_it_takes_no_reference_or_options(name: str) -> None:
    with pytest.raises(JuratError, match=f"The naive model takes no reference or options: '{name[:5]}"):
        Judge("shelf:nursery", name)
