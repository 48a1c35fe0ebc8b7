"""`python -m jurat.pictograms.train`: which checkpoints a command takes, and what it says of missing ones."""

from __future__ import annotations

from pathlib import Path

import pytest
from typer.testing import CliRunner

from jurat.pictograms.train import __main__ as train


@pytest.mark.parametrize("command", ["again", "export", "card"])
@pytest.mark.parametrize(("there", "missing"), [([], "tower"), (["tower"], "joint")])
def test_a_missing_stage_is_named(tmp_path: Path, command: str, there: list[str], missing: str) -> None:
    for name in there:
        (tmp_path / f"{name}.pt").touch()
    result = CliRunner(env={"COLUMNS": "400"}).invoke(train.app, [command, "--out", str(tmp_path)])
    assert result.exit_code == 2
    assert f"{missing}.pt is not there; make it with the command '{missing}'." in result.output


@pytest.mark.parametrize(
    ("there", "stages"),
    [(["tower", "joint"], ["tower", "joint"]), (["again", "tower", "joint"], ["tower", "joint", "again"])],
)
def test_the_stages_are_listed_in_order(tmp_path: Path, there: list[str], stages: list[str]) -> None:
    for name in there:
        (tmp_path / f"{name}.pt").touch()
    assert train.stages_of(tmp_path) == {name: tmp_path / f"{name}.pt" for name in stages}
