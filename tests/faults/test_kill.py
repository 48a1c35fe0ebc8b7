"""A run that is killed repeatedly records every item exactly once."""

from __future__ import annotations

import json
from pathlib import Path
from types import ModuleType

import pytest

from ..perf.scripts import script


@pytest.fixture(scope="module")
def kill() -> ModuleType:
    """perf/kill.py, which does it a hundred times."""
    return script("kill")


@pytest.mark.slow
def test_five_kills_leave_every_item_recorded_once(kill: ModuleType, tmp_path: Path) -> None:
    kill.prepare(tmp_path, items=60, seed=1)
    told = kill.kill_often(tmp_path, kills=5, seed=1, model="null?pace=0.06")
    assert told.problems == []
    assert told.kills == 5


def write(folder: Path, rows: list[dict]) -> Path:
    (folder / "parts").mkdir(parents=True)
    (folder / "_run.json").write_text("{}")
    (folder / "parts" / "_part-000000.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    return folder


def row(id: str, outcome: str = "safe", score: float = 0.5) -> dict:
    rule = {"id": "r", "score": score}
    common = {"occurrence": 0, "broken": [], "error": None}
    return {"id": id, "outcome": outcome, "rules": [rule], **common}


def test_comparison_reports_lost_repeated_and_changed_rows(kill: ModuleType, tmp_path: Path) -> None:
    whole = write(tmp_path / "whole", [row("a"), row("b"), row("c"), row("d")])
    run = write(tmp_path / "run", [row("a"), row("a"), row("b", "unsafe"), row("c", score=0.6), row("e")])
    assert sorted(kill.compare(whole, run)) == [
        f"{run / 'parts' / '_part-000000.jsonl'} was left behind",
        "a is recorded twice",
        "b came out as unsafe, not safe",
        "c: a score of 0.6, not 0.5",
        "d is not recorded",
        "e is recorded and was not there",
    ]
