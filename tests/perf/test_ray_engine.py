"""perf/ray_engine.py runs at small sizes; no test asserts a time."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from .scripts import script

SMALL = ["--find-rows", "300", "--images", "3", "--pixels", "64", "--write-rows", "20", "--runs", "1"]


def test_steps_are_measured_and_extrapolated(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    found = tmp_path / "found.json"
    code = script("ray_engine").main(
        [*SMALL, "--steps", "find,read,write", "--gpu-rate", "5", "--json", str(found)]
    )
    assert code == 0
    told = json.loads(found.read_text())
    assert told["provenance"]["command"].startswith("python perf/ray_engine.py --find-rows 300")
    assert [row["step"].partition(",")[0] for row in told["rows"]] == [
        "find",
        "read and decode",
        "pack and unpack",
        "write",
    ]
    assert all(row["rate"] > 0 and row["each"] > 0 for row in told["rows"])
    printed = capsys.readouterr().out
    assert "If a GPU judges 5 images/s:" in printed
    assert [line.split("|")[1:3] for line in printed.splitlines() if line.startswith("|   64 ")] == [
        ["   64 ", "      320 "]
    ]


@pytest.mark.slow
@pytest.mark.usefixtures("alone_with_ray")
def test_one_and_two_workers_are_compared(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("ray")
    monkeypatch.setenv("RAY_ADDRESS", "local")
    code = script("ray_engine").main(["--steps", "workers", "--items", "24", "--pace", "0.01", "--runs", "1"])
    printed = capsys.readouterr().out
    assert code in (0, 1)  # so few items tell nothing of speed
    assert "judge, 0.01 s an image" in printed
    assert "two workers against one" in printed
