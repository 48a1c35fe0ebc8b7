"""`jurat data build`: the example from the spec to an evaluation."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


@pytest.fixture
def in_root(monkeypatch: pytest.MonkeyPatch) -> None:
    """The example names its writer by a path from there."""
    monkeypatch.chdir(ROOT)


def test_example_is_built_reviewed_checked_and_read_back(jurat, in_root, tmp_path: Path):
    out = tmp_path / "kitchen"
    first = jurat("data", "build", "examples/build.yaml", out)
    assert first.exit_code == 1, first.output
    assert first.stdout.startswith("Kitchen safety: 20 samples, 7 drafts of 10 kept\n")
    assert f"1 draft waits for a reviewer: fill in decision and reviewer in {out}/review.csv" in first.stdout
    with (out / "review.csv").open() as file:
        rows = list(csv.DictReader(file))
    rows[0] |= {"decision": "accept", "reviewer": "ann"}
    with (out / "review.csv").open("w") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
    second = jurat("data", "build", "examples/build.yaml", out, "--json")
    assert second.exit_code == 0, second.output
    facts = json.loads(second.stdout)
    assert (facts["samples"], facts["asked"], facts["recorded"]) == (24, 0, 11)
    assert {each["kind"] for each in facts["left_out_items"]} == {"duplicate", "unreadable draft"}
    shown = jurat("data", "jurat-layout", out, "--strict", "--decode")
    assert shown.exit_code == 0, shown.output
    assert "layout jsonl): 24 samples in 8 clusters, 24 rows" in shown.stdout
    assert "notes" not in shown.stdout
    logs = tmp_path / "logs"
    evaluated = jurat(
        "eval", "jurat-layout", "--data", out, "--model", "scripted/refuse", "--log-dir", logs, "--json"
    )
    assert evaluated.exit_code == 0, evaluated.output
    assert '"refusal_of_harmful"' in evaluated.stdout


def test_errors_of_a_spec_are_printed_with_their_lines(jurat, tmp_path: Path):
    path = tmp_path / "spec.yaml"
    path.write_text("name: tea\n")
    result = jurat("data", "build", path, tmp_path / "out")
    assert result.exit_code == 2
    assert f"{path}:1:1: the spec has no `writer`" in result.stderr
    assert not (tmp_path / "out").exists()


def test_writer_that_gives_no_draft_leaves_a_set_without_samples(jurat, in_root, tmp_path: Path):
    out = tmp_path / "out"
    result = jurat("data", "build", "examples/build.yaml", out, "--writer", "scripted/refuse")
    assert result.exit_code == 3
    assert "0 samples, 0 drafts of 10 kept" in result.stdout
    assert "self_bleu not available" in " ".join(result.stdout.split())


def test_help_of_data_does_not_name_the_hidden_command(jurat):
    assert jurat("data", "--help").stdout.startswith("Usage: root data [OPTIONS] [[NAME]] [[PATH]]")
    assert jurat("data", "build", "--help").stdout.startswith("Usage: root data build [OPTIONS]")
