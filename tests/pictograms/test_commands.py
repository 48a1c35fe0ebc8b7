"""`python -m jurat.pictograms.train`: which checkpoints a command takes, and what it says of missing ones."""

from __future__ import annotations

from pathlib import Path

import pytest
from typer.testing import CliRunner

from jurat.pictograms.train import __main__ as train


def say(*arguments: str) -> str:
    result = CliRunner(env={"COLUMNS": "400"}).invoke(train.app, list(arguments))
    assert result.exit_code == 2
    return result.output


@pytest.mark.parametrize(
    ("name", "stage"), [(name, stage) for name, stage in train.STAGES.items() if stage.begin]
)
def test_the_stage_that_one_starts_from_is_named(tmp_path: Path, name: str, stage: train.Stage) -> None:
    said = say("stage", name, "--out", str(tmp_path))
    assert f"{stage.begin}.pt is not there; make it with 'stage {stage.begin}'." in said
    assert list(train.STAGES).index(str(stage.begin)) < list(train.STAGES).index(name)


def test_a_stage_that_is_none_is_answered_with_their_names(tmp_path: Path) -> None:
    said = say("stage", "towel", "--out", str(tmp_path))
    assert "there is no stage 'towel'; they are tower, joint, again" in said


@pytest.mark.parametrize("there", [[], ["tower"], ["sharpen"]])
def test_nothing_is_exported_before_a_model_answers(tmp_path: Path, there: list[str]) -> None:
    for name in there:
        (tmp_path / f"{name}.pt").touch()
    assert "holds no checkpoint that answers; make one with 'stage joint'." in say(
        "export", "--out", str(tmp_path)
    )


def test_the_stages_are_listed_in_their_order(tmp_path: Path) -> None:
    for name in ("again", "tower", "joint"):
        (tmp_path / f"{name}.pt").touch()
    assert list(train.checkpoints(tmp_path)) == ["tower", "joint", "again"]
