"""`python -m training`: which checkpoints a command uses, and the errors for missing ones."""

from __future__ import annotations

from pathlib import Path

import pytest
from typer.testing import CliRunner

from training import __main__ as train


def say(*arguments: str) -> str:
    result = CliRunner(env={"COLUMNS": "400"}).invoke(train.app, list(arguments))
    assert result.exit_code == 2
    return result.output


@pytest.mark.parametrize(
    ("name", "stage"), [(name, stage) for name, stage in train.STAGES.items() if stage.begin]
)
def test_missing_checkpoint_names_the_stage_to_run(tmp_path: Path, name: str, stage: train.Stage) -> None:
    said = say("stage", name, "--out", str(tmp_path))
    assert f"{stage.begin}.pt is not there; make it with 'stage {stage.begin}'." in said
    assert list(train.STAGES).index(str(stage.begin)) < list(train.STAGES).index(name)


def test_unknown_stage_lists_the_stages(tmp_path: Path) -> None:
    said = say("stage", "towel", "--out", str(tmp_path))
    assert "there is no stage 'towel'; they are tower, joint, again" in said


@pytest.mark.parametrize("there", [[], ["tower"], ["sharpen"]])
def test_export_needs_a_checkpoint_that_answers(tmp_path: Path, there: list[str]) -> None:
    for name in there:
        (tmp_path / f"{name}.pt").touch()
    assert "holds no checkpoint that answers; make one with 'stage joint'." in say(
        "export", "--out", str(tmp_path)
    )


def test_export_takes_the_last_finished_stage(tmp_path: Path) -> None:
    for name in ("again", "tower", "joint", "sharpen", "naive"):
        (tmp_path / f"{name}.pt").touch()
    assert train.finished(tmp_path) == "again"
    assert train.lineage(train.LAST) == ["tower", "joint", "again", "sharpen", "final", "signs", "touches"]
    assert train.lineage("naive-3")[-3:] == ["final", "signs", "naive-3"]


@pytest.mark.parametrize(("name", "stage"), list(train.STAGES.items()))
def test_stage_settings_exist(name: str, stage: train.Stage) -> None:
    from training.mllm import joint, tower

    known = (tower if stage.teaches == "tower" else joint).Settings(**stage.settings)
    assert known.minutes == stage.settings["minutes"]
    home = "naive" if name.startswith("naive") else "mllm"
    assert train._home(name).name == home
