"""Every model family answers batches like single questions, on every path and in `chat`."""

from __future__ import annotations

import pytest

from .scripts import script

families = script("families")
KNOWN = families.families()
ONE_A_PASS = {"molmo2", "hunyuan-vl", "minicpm-v4.6"}
"""Families whose items cannot be joined: indices within an item, a running index, another dimension."""
NEW = [name for name in KNOWN if name not in families.of_before()]
QUICK = ONE_A_PASS | {"qwen3.5"}
"""Families that every run tests: those that cannot be joined, and a hybrid one. The others are slow."""


@pytest.mark.parametrize(
    "name", [name if name in QUICK else pytest.param(name, marks=pytest.mark.slow) for name in NEW]
)
def test_batch_equals_single_questions(name: str) -> None:
    family = KNOWN[name]
    row = families.trial(family)
    assert families.right(row), row
    assert row["path"] == family.path, row["reasons"]
    assert row["items"] == ("one" if name in ONE_A_PASS else "several"), row["reasons"]


def test_at_least_18_families_are_tested_here() -> None:
    assert len(NEW) >= 18


def test_table_names_families_that_differ(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert families.main(["--only", "vipllava"]) == 0
    told = capsys.readouterr().out
    assert "| items a pass |" in told and "1 families; more than rounding: none" in told
    monkeypatch.setattr(families, "NOISE", 0.0)
    assert families.main(["--only", "vipllava"]) == 1
    assert "more than rounding: vipllava" in capsys.readouterr().out
    with pytest.raises(SystemExit, match="There is no family nobody"):
        families.main(["--only", "nobody"])
