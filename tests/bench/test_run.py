"""Runs from beginning to end: resumed, with several seeds of a model, with what fails left out."""

from __future__ import annotations

import json
from itertools import islice

import pytest
from PIL import Image
from typer.testing import CliRunner

from jurat.bench import run as module
from jurat.bench import table
from jurat.bench.labelled import read_labelled
from jurat.bench.methods.registry import Method, find_method, rows_for
from jurat.bench.pictogram import draw_split
from jurat.bench.pictogram import splits as splits_module
from jurat.bench.run import Plan, Subject, run_bench
from jurat.cli import app
from jurat.constitution import parse_constitution
from jurat.errors import JuratError


@pytest.fixture(autouse=True)
def small(monkeypatch, splits):
    """Four scenes a split, drawn already, and few bootstrap samples."""
    monkeypatch.setattr(table, "DRAWS", 40)
    monkeypatch.setattr(splits_module, "draw_split", lambda split, seed, n: islice(splits[split], 4))


def bench(*args: str):
    return CliRunner().invoke(app, ["bench", *args])


def test_a_run_is_resumed_where_it_was_stopped(tmp_path):
    told: list[str] = []
    plan = Plan(
        tmp_path, rows_for(["direct", "oracle"], []), [Subject("null", "null")], ("test", "rare"), 3, 1
    )
    first = run_bench(plan, told.append)
    assert [line for line in told if "items" in line] == [
        f"null  {split}  {name}: 4 items" for split in ("test", "rare") for name in ("direct", "oracle")
    ]
    (tmp_path / "rulings" / "null" / "direct" / "rare.jsonl").unlink()
    told.clear()
    again = run_bench(plan, told.append)
    assert [line for line in told if "items" in line] == ["null  rare  direct: 4 items"]
    assert [r["f1"] for r in first["rows"]] == [r["f1"] for r in again["rows"]]
    oracle = [r for r in first["rows"] if r["preset"] == "oracle" and r["level"] == "item"]
    assert [r["accuracy"] for r in oracle] == [1.0, 1.0]
    assert first["provenance"]["models"] == {"null": "null@null-1"} or "null" in first["provenance"]["models"]


def test_another_seed_or_model_does_not_reuse_rulings(tmp_path):
    told: list[str] = []
    for spec in ("null?seed=1", "null?seed=2"):
        plan = Plan(tmp_path, [find_method("direct")], [Subject("null", spec)], ("test",), 3, 1)
        run_bench(plan, told.append)
    assert len([line for line in told if "items" in line]) == 2


def test_seeds_of_a_model_are_pooled_and_counted(tmp_path):
    subjects = [Subject.parse(f"naive#{seed}=null?seed={seed}") for seed in (1, 2, 3)]
    found = run_bench(Plan(tmp_path, rows_for(["quick", "oracle"], []), subjects, ("test",), 3, 1))
    pooled = [r for r in found["rows"] if r["model"] == "naive#all" and r["level"] == "item"]
    assert {r["preset"]: (r["n"], r["seeds"]) for r in pooled} == {"quick": (12, 3), "oracle": (12, 3)}
    (f1,) = [p for p in found["paired"] if p["model"] == "naive#all" and p["metric"] == "accuracy"]
    assert f1["seeds"]["of"] == 3 and 0 <= f1["seeds"]["better"] <= 3


def test_a_method_that_fails_is_left_out_and_the_others_go_on(tmp_path):
    broken = Method("broken", "raises", "no_such_module:run")
    plan = Plan(
        tmp_path,
        [broken, find_method("clip"), find_method("oracle")],
        [Subject("null", "null")],
        ("test",),
        3,
        1,
        matcher=None,
    )
    found = run_bench(plan)
    assert {(o["preset"], o["failed"]) for o in found["provenance"]["left_out"]} == {
        ("broken", True),
        ("clip", False),
    }
    assert "ModuleNotFoundError" in found["provenance"]["left_out"][0]["reason"]
    assert {r["preset"] for r in found["rows"]} == {"oracle"}


def test_the_command_writes_results_of_the_bundled_model(tmp_path):
    done = bench(
        "pictograms",
        "-p",
        "quick",
        "-p",
        "prior",
        "--ablate",
        "debias",
        "--split",
        "test",
        "--per-rule",
        "1",
        "--out",
        str(tmp_path),
    )
    assert done.exit_code == 0, done.output
    found = json.loads((tmp_path / "results.json").read_text())
    items = [r for r in found["rows"] if r["level"] == "item"]
    assert [(r["preset"], r["ablate"], r["model"], r["n"]) for r in items] == [
        ("quick", [], "bundled", 4),
        ("quick", ["debias"], "bundled", 4),
    ]
    assert all(r["flops"] > 0 and r["images"] == 1 for r in items)
    assert (
        found["provenance"]["command"].startswith("jurat") and found["provenance"]["bench"]["per_rule"] == 1
    )
    assert "never learned" in found["provenance"]["left_out"][0]["reason"]
    assert "| quick − debias |" in done.output


@pytest.mark.parametrize(
    ("args", "message"),
    [
        (["pictograms", "--split", "tests"], "There is no split 'tests'."),
        (["pictograms", "-p", "quik"], "Did you mean 'quick'?"),
        (["pictograms", "-m", "null", "-m", "null=bundled"], "Two models have the same label."),
        (
            ["pictograms", "-p", "clip", "-m", "null", "--matcher", "none", "--split", "test"],
            "Nothing could be benched: no matcher was named.",
        ),
    ],
)
def test_wrong_usage_is_one_line(tmp_path, args, message):
    done = bench(*args, "--out", str(tmp_path))
    assert done.exit_code == 2 and message in done.output


def test_methods_are_listed():
    done = bench("methods")
    assert done.exit_code == 0 and "detector-geometry" in done.output and "quick" in done.output


LAW = """
name: colours
rules:
  - {id: red, rule: Nothing red may be visible., description: Something red., clauses: [The picture is red.]}
  - {id: big, rule: Nothing big may be visible., description: Something big., clauses: [The picture is big.]}
"""


@pytest.fixture
def pictures(tmp_path):
    folder = tmp_path / "pictures"
    folder.mkdir()
    for name in ("a.png", "b.png", "c.png"):
        Image.new("RGB", (32, 32), "red").save(folder / name)
    (tmp_path / "law.yaml").write_text(LAW)
    (tmp_path / "labels.csv").write_text("file,broken\na.png,red\nb.png,\nc.png,red; big\n")
    return tmp_path


def test_labelled_images_give_the_same_table(pictures):
    done = bench(
        "labelled",
        "--images",
        str(pictures / "pictures"),
        "--labels",
        str(pictures / "labels.csv"),
        "--constitution",
        str(pictures / "law.yaml"),
        "-m",
        "null",
        "-p",
        "quick",
        "-p",
        "vqascore",
        "-p",
        "direct-fitted",
        "-p",
        "oracle",
        "--out",
        str(pictures / "out"),
    )
    assert done.exit_code == 0, done.output
    found = json.loads((pictures / "out" / "results.json").read_text())
    assert {(r["preset"], r["level"]): r["n"] for r in found["rows"]} == {
        ("quick", "item"): 3,
        ("quick", "rule"): 6,
        ("vqascore", "item"): 3,
        ("vqascore", "rule"): 6,
    }
    assert {o["preset"] for o in found["provenance"]["left_out"]} == {"direct-fitted", "oracle"}


@pytest.mark.parametrize(
    ("labels", "message"),
    [
        ("file,rules\na.png,red\n", "labels.csv:1: there is no column broken."),
        ("file,broken\na.png,blue\n", "labels.csv:2: 'blue' is not a rule of the constitution."),
        ("file,broken\nz.png,red\n", "z.png is not there."),
        ("file,broken\n../law.yaml,\n", "is not a file of"),
        ("file,broken\na.png,\na.png,red\n", "labels.csv:3: a.png is listed twice."),
        ("file,broken\n", "lists no image."),
    ],
)
def test_labels_that_cannot_be_used_are_told_by_line(pictures, labels, message):
    (pictures / "labels.csv").write_text(labels)
    with pytest.raises(JuratError) as raised:
        read_labelled(pictures / "pictures", pictures / "labels.csv", parse_constitution(LAW))
    assert message in str(raised.value)


def test_a_label_and_a_name_can_differ():
    assert Subject.parse("naive#2=weights/naive-2") == Subject("naive#2", "weights/naive-2")
    assert (
        Subject.parse("bundled") == Subject("bundled", "bundled") and Subject("naive#2", "x").group == "naive"
    )
    assert module.LEADS[0] == "jurat" and next(iter(draw_split("dev", 0, 1))).split == "dev"
