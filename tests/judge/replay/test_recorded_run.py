"""A recorded run is decided again from Python, as the command does it."""

from __future__ import annotations

from pathlib import Path

import pytest
from PIL import Image

from jurat.constitution import parse_constitution
from jurat.errors import JuratError
from jurat.judge import VERDICT_ROWS, Judge, verdict_to_row
from jurat.judge.replay.recorded_run import open_recorded_run
from jurat.models import ModelSpec
from jurat.runs import open_sink
from jurat.sources import find_items

OLD = parse_constitution("name: p\nrules:\n  - {id: dog, rule: No dog., clauses: [A dog is visible.]}\n")
NEW = parse_constitution("name: p\nrules:\n  - {id: dog, rule: No dog., clauses: [A cat is visible.]}\n")
LOOSER = OLD.model_copy(
    update={"rules": (OLD.rules[0].model_copy(update={"keep_below": 0.98, "break_above": 0.99}),)}
)
IMAGES = 12


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("run")
    for i in range(IMAGES):
        Image.new("RGB", (8, 8), (i * 20, 0, 99)).save(folder / f"{i:02}.png")
    judge = Judge(OLD, "null", "quick")
    with open_sink(folder / "run.jsonl", VERDICT_ROWS) as sink:
        for verdict in judge.stream(find_items([str(folder)])):
            sink.write(verdict_to_row(verdict))
    return folder / "run.jsonl"


def test_changed_thresholds_are_decided_from_records(run: Path) -> None:
    recorded = open_recorded_run(run, OLD, LOOSER)
    result = recorded.measure(None)
    assert (result.items, result.recorded, result.asked, result.open) == (IMAGES, IMAGES, 0, 0)


def test_new_statements_are_asked_of_the_model(run: Path) -> None:
    recorded = open_recorded_run(run, OLD, NEW)
    calls: list[None] = []
    result = recorded.measure(ModelSpec(recorded.model), advance=lambda: calls.append(None))
    assert (result.asked, result.open, len(calls)) == (IMAGES, 0, IMAGES)
    assert recorded.measure(None).open == IMAGES


def test_sample_judges_only_some(run: Path) -> None:
    recorded = open_recorded_run(run, OLD, NEW)
    result = recorded.measure(ModelSpec(recorded.model), sample=5)
    assert (result.asked, result.open) == (5, IMAGES - 5)


def test_other_model_is_refused(run: Path) -> None:
    with pytest.raises(JuratError, match="The run was judged by null@"):
        open_recorded_run(run, OLD, NEW).measure(ModelSpec("null?seed=9"))


def test_run_without_verdicts_is_refused(tmp_path: Path) -> None:
    (tmp_path / "empty.jsonl").touch()
    with pytest.raises(JuratError, match="holds no verdicts"):
        open_recorded_run(tmp_path / "empty.jsonl", OLD, NEW)
