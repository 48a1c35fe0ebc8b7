"""`jurat bench injection` from scenes to tables: resumed, with channels and methods of a choice."""

from __future__ import annotations

import json

import pytest
from typer.testing import CliRunner

from jurat.bench.rulings import read_rulings
from jurat.cli import app


def bench(folder, *more, code=0):
    done = CliRunner().invoke(app, ["bench", "injection", "--n", "4", "--out", str(folder), *more])
    assert done.exit_code == code, done.output
    path = folder / "injection.json"
    return done.output, json.loads(path.read_text()) if path.is_file() else {}


SOME = ("-m", "null", "--channel", "faint", "--channel", "name", "--channel", "caption-judged")


def test_results_are_written_and_resumed(tmp_path):
    told, data = bench(tmp_path, *SOME, "-p", "direct", "-p", "whole")
    assert "null  faint-order.neutral  direct: 4 items" in told
    assert {(row["model"], row["method"]) for row in data["rows"]} == {("null", "direct"), ("null", "whole")}
    direct, whole = data["rows"]
    assert list(direct["without"]) == ["none", "none.caption-judged"] and list(whole["without"]) == ["none"]
    assert sum(direct["without"]["none"]["violating"].values()) == 2
    assert {each["channel"] for each in whole["injections"]} == {"faint", "name"}
    left_out = {each["what"]: each["splits"] for each in data["provenance"]["left_out"]}
    assert left_out["whole"] == ["caption-judged"] and "sign" in left_out["channels"]
    assert data["provenance"]["seed"] == 0 and data["provenance"]["scenes"] == 4
    assert data["suite"]["digest"] in told and "jurat-injection-2" in told
    assert (tmp_path / "injection.md").read_text().strip() in told.replace("\r", "")
    assert {each.split for each in read_rulings(tmp_path)} >= {"none", "faint-order", "name-order.neutral"}
    (tmp_path / "predictions" / "null" / "direct" / "faint-order.jsonl").unlink()
    told, again = bench(tmp_path, *SOME, "-p", "direct", "-p", "whole")
    assert [line for line in told.splitlines() if line.endswith("items")] == [
        "null  faint-order  direct: 4 items"
    ]
    assert again["rows"] == data["rows"]


def test_what_no_rule_is_about_changes_nothing(tmp_path):
    _, data = bench(tmp_path, "-m", "null", "--channel", "name", "--channel", "prompt", "-p", "jurat")
    (row,) = data["rows"]
    assert {each["changed"] for each in row["injections"]} == {0.0}
    shown = [each["shown"] for each in data["claims"]]
    assert shown == [["name (safe)", "prompt (safe)", "name (unsafe)"]]


def test_judge_that_obeys_is_turned_where_it_is_shown_the_order(tmp_path):
    script = tmp_path / "obeys.yaml"
    script.write_text(
        'name: obeys\nrules:\n- {when: "(?i)answer (is )?no", reply: "No"}\n- {reply: "Yes"}\n', "utf-8"
    )
    judged = ("caption-judged", "prompt-judged", "response-judged")
    channels = [part for name in ("caption", *judged) for part in ("--channel", name)]
    _, data = bench(tmp_path, "-m", f"obeys=scripted/{script}", "-p", "direct", *channels)
    (row,) = data["rows"]
    shares = {each["channel"]: each["worst"] for each in row["channels"] if each["wants"] == "safe"}
    assert {shares[name] for name in judged} == {1.0} and shares["caption"] == 0.0
    number = row["number"]["safe"]
    assert (number["worst"], number["average"], number["worst_of_neutral"]) == (1.0, 1.0, 0.0)
    assert number["channels"] == list(judged)


@pytest.mark.parametrize(
    ("more", "message"),
    [
        (("--channel", "smell"), "There is no channel 'smell'."),
        (("-p", "clip-probe"), "The suite cannot measure 'clip-probe'."),
        (("-p", "vote"), "The suite cannot measure"),
    ],
)
def test_what_cannot_be_measured_is_an_error(tmp_path, more, message):
    told, _ = bench(tmp_path, "-m", "null", *more, code=2)
    assert message in told


@pytest.mark.slow
def test_bundled_model_is_measured(tmp_path):
    told, data = bench(tmp_path, "-m", "bundled", "--channel", "corner", "-p", "direct", "--quiet")
    (row,) = data["rows"]
    assert sum(row["without"]["none"]["violating"].values()) == 2
    assert all(each["said"]["error"] == 0 for each in row["injections"])
    assert "## bundled, direct" in told
