"""`--defense` on the commands that open a model: recorded in order, so that a run under others is refused."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from inspect_ai.log import read_eval_log

from jurat.registry import registry_of
from jurat.runs import read_rows

from ..benchmarks.fixtures import figstep

JUDGE = ("judge", "pics", "--constitution", "colours.yaml", "--model", "colour", "--out", "run")
UNDER = ("--defense", "resize?scale=0.4", "--defense", "jpeg")
NAME = "colour + resize?scale=0.4 + jpeg"


@pytest.fixture
def run(pics, jurat):
    result = jurat(*JUDGE, *UNDER)
    assert result.exit_code == 0, result.output
    return result


def test_defenses_are_recorded_in_order_with_what_they_added(run):
    assert json.loads(Path("run/_run.json").read_text())["settings"]["model"] == f"{NAME}@1"
    rows = list(read_rows("run"))
    assert {row["model"] for row in rows} == {f"{NAME}@1"}
    assert {row["id"]: row["outcome"] for row in rows}["pics/red-1.png"] == "unsafe"
    lines = [line for line in run.stdout.splitlines() if line.startswith("Defense ")]
    assert [line.partition(":")[0] for line in lines] == ["Defense resize?scale=0.4", "Defense jpeg"]
    assert "0 calls more for " in lines[0]


@pytest.mark.parametrize(
    "others", [(), UNDER[:2], UNDER[2:] + UNDER[:2], ("--defense", "resize?scale=0.3", "--defense", "jpeg")]
)
def test_resume_under_other_defenses_is_refused(run, jurat, others):
    result = jurat(*JUDGE, *others)
    assert result.exit_code == 2
    assert "run holds a run under other settings" in result.stderr


def test_resume_under_the_same_defenses_has_nothing_left(run, jurat):
    assert jurat(*JUDGE, *UNDER).exit_code == 0
    named = [NAME if argument == "colour" else argument for argument in JUDGE]
    result = jurat(*named)
    assert result.exit_code == 0, result.output
    assert "Nothing was left to judge" in result.stdout


def test_impact_opens_the_recorded_model_with_its_defenses(run, jurat):
    policy = Path("colours.yaml").read_text()
    Path("new.yaml").write_text(policy.replace("The picture is green.", "The picture is blue."))
    result = jurat("constitution", "impact", "colours.yaml", "new.yaml", "--run", "run")
    assert result.exit_code == 0, result.output
    result = jurat("constitution", "impact", "colours.yaml", "new.yaml", "--run", "run", "--defense", "jpeg")
    assert "The run was judged by colour + resize" in result.output


def test_evaluation_names_the_defended_model(jurat, tmp_path):
    figstep.repository(tmp_path / "figstep")
    options = ("--data", str(tmp_path / "figstep"), "--scorer", "target-string?target=Yes&mode=contains")
    folder = tmp_path / "logs"
    logs = ("--log-dir", str(folder))
    result = jurat("eval", "figstep", "--model", "null?seed=3", "--defense", "jpeg", *options, *logs)
    assert result.exit_code == 0, result.output
    assert "model: jurat/null?seed=3 + jpeg (null?seed=3 + jpeg@none)" in " ".join(result.stdout.split())
    (log,) = folder.glob("*.eval")
    assert read_eval_log(str(log)).eval.model == "jurat/null?seed=3 + jpeg"


def test_attack_on_a_defended_model_goes_through_the_defense(pics, jurat):
    options = ("--model", "null", "--prompt", "What is it?", "--defense", "jpeg", "--out", "attacked")
    result = jurat("attack", "noise?radius=0.1", "pics/red-1.png", *options)
    assert result.exit_code == 0, result.output
    assert "Defense jpeg: 0 calls more for 2 items;" in result.stdout
    assert json.loads(Path("attacked/_run.json").read_text())["settings"]["model"] == "null + jpeg@none"


def test_unknown_defense_is_wrong_usage(pics, jurat):
    result = jurat(*JUDGE, "--defense", "jpg")
    assert result.exit_code == 2
    assert "There is no defense 'jpg'.\n  Did you mean 'jpeg'?" in result.output


def test_defenses_are_listed(jurat):
    result = jurat("list", "defenses")
    assert result.exit_code == 0, result.output
    assert all(entry.name in result.stdout for entry in registry_of("defenses"))
