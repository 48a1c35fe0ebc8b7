"""Whole bench runs: resumed, with several seeds of a model, with failing methods left out."""

from __future__ import annotations

import json
from dataclasses import replace
from itertools import islice
from pathlib import Path

import pytest
from typer.testing import CliRunner

from jurat.bench import bench_run as module
from jurat.bench import table
from jurat.bench.bench_plan import BenchModel, BenchPlan
from jurat.bench.bench_run import run_bench
from jurat.bench.methods.interface import Prediction
from jurat.bench.methods.registry import Method, find_method, rows_for
from jurat.bench.pictogram import BenchItem, draw_split
from jurat.bench.pictogram import splits as splits_module
from jurat.bench.pictogram.splits import keep_split
from jurat.bench.seeds import pooled
from jurat.cli import app
from jurat.judge.presets import PRESETS
from jurat.models.null import NullModel


@pytest.fixture(autouse=True)
def small(monkeypatch, splits):
    """Four scenes a split, drawn already, and few bootstrap samples."""
    monkeypatch.setattr(table, "DRAWS", 40)
    monkeypatch.setattr(splits_module, "draw_split", lambda split, seed, n: islice(splits[split], 4))


def bench(*args: str):
    return CliRunner().invoke(app, ["bench", *args])


def test_stopped_run_is_resumed(tmp_path):
    told: list[str] = []
    plan = BenchPlan(
        tmp_path, rows_for(["direct", "oracle"], []), [BenchModel("null", "null")], ("test", "rare"), 3, 1
    )
    first = run_bench(plan, told.append)
    assert [line for line in told if "items" in line] == [
        f"null  {split}  {name}: 4 items" for split in ("test", "rare") for name in ("direct", "oracle")
    ]
    (tmp_path / "predictions" / "null" / "direct" / "rare.jsonl").unlink()
    told.clear()
    again = run_bench(plan, told.append)
    assert [line for line in told if "items" in line] == ["null  rare  direct: 4 items"]
    assert [r["f1"] for r in first["rows"]] == [r["f1"] for r in again["rows"]]
    oracle = [r for r in first["rows"] if r["preset"] == "oracle" and r["level"] == "item"]
    assert [r["accuracy"] for r in oracle] == [1.0, 1.0]
    assert set(first["provenance"]["models"]) == {"null"}


FEW = ["jurat", "direct", "detector-geometry", "caption-logic"]
ROWS = [
    "jurat",
    "quick",
    "clue",
    "direct",
    "vote",
    "clause-product",
    "detector-geometry",
    "clip",
    "caption-logic",
]


@pytest.mark.parametrize(
    ("presets", "ablated", "split_names"),
    [
        (FEW, [], ("test",)),
        pytest.param(
            ROWS, ["clauses", "relevance", "crop", "reason"], ("test", "flip"), marks=pytest.mark.slow
        ),
    ],
    ids=["few", "all"],
)
def test_rows_are_equal_with_and_without_cached_answers(tmp_path, presets, ablated, split_names):
    """Costs and decisions are equal; scores are equal up to the rounding of packed passes."""
    subject = BenchModel("bundled", "bundled")
    plans = [
        BenchPlan(
            tmp_path / str(cache_answers),
            [*rows_for(presets, []), *rows_for(["clue"], ablated)[1:]],
            [subject],
            split_names,
            3,
            1,
            cache_answers=cache_answers,
        )
        for cache_answers in (True, False)
    ]
    found, plain = (run_bench(plan)["rows"] for plan in plans)
    assert len(found) == len(plain) == 2 * len(split_names) * (len(presets) + len(ablated))
    for row, other in zip(found, plain, strict=True):
        assert other.pop("seconds") > 0 and row.pop("seconds") > 0
        close = {name: (row.pop(name), other.pop(name)) for name in OF_SCORES if name in row}
        assert row == other
        assert all(alike(one, two) for one, two in close.values()), close


OF_SCORES = ("aurc", "aurc_ci", "risk_at", "risk_ci", "risk_curve", "ece", "brier", "log_loss")


def alike(one, other) -> bool:
    """Up to the rounding of packed passes."""
    if isinstance(one, dict):
        return one.keys() == other.keys() and alike(list(one.values()), list(other.values()))
    if isinstance(one, list):
        return len(one) == len(other) and all(map(alike, one, other))
    return one == other if one is None or other is None else abs(one - other) < 1e-5


def test_another_seed_or_model_does_not_reuse_predictions(tmp_path):
    told: list[str] = []
    for spec in ("null?seed=1", "null?seed=2"):
        plan = BenchPlan(tmp_path, [find_method("direct")], [BenchModel("null", spec)], ("test",), 3, 1)
        run_bench(plan, told.append)
    assert len([line for line in told if "items" in line]) == 2


def test_predictions_of_several_processes_form_one_table(tmp_path):
    told: list[str] = []
    both = [BenchModel("naive", "null?seed=1"), BenchModel("bundled", "null?seed=2")]
    methods = rows_for(["direct", "oracle"], [])
    for subject in both:
        run_bench(
            BenchPlan(tmp_path, methods, [subject], ("test",), 3, 1, command=f"bench -m {subject.label}")
        )
    found = run_bench(BenchPlan(tmp_path, methods, both, ("test",), 3, 1, command="bench"), told.append)
    assert not [line for line in told if "items" in line]
    assert [row["model"] for row in found["rows"] if row["level"] == "item"] == ["naive"] * 2 + [
        "bundled"
    ] * 2
    assert [(run["command"], run["files"]) for run in found["provenance"]["runs"]] == [
        ("bench -m naive", 2),
        ("bench -m bundled", 2),
    ]


def test_seeds_of_a_model_are_pooled(tmp_path):
    subjects = [BenchModel.parse(f"naive#{seed}=null?seed={seed}") for seed in (1, 2, 3)]
    found = run_bench(BenchPlan(tmp_path, rows_for(["quick", "oracle"], []), subjects, ("test",), 3, 1))
    pooled = [r for r in found["rows"] if r["model"] == "naive#all" and r["level"] == "item"]
    assert {r["preset"]: (r["n"], r["seeds"]) for r in pooled} == {"quick": (12, 3), "oracle": (12, 3)}
    (f1,) = [p for p in found["paired"] if p["model"] == "naive#all" and p["metric"] == "accuracy"]
    assert f1["seeds"]["of"] == 3 and 0 <= f1["seeds"]["better"] + f1["seeds"]["worse"] <= 3
    singles = {
        row["model"]: row["accuracy"]
        for row in found["rows"]
        if row["level"] == "item" and row["preset"] == "quick" and row["model"] != "naive#all"
    }
    (quick,) = [row for row in pooled if row["preset"] == "quick"]
    assert len(singles) == 3
    assert quick["accuracy_range"] == [min(singles.values()), max(singles.values())]
    assert "accuracy_ci" not in quick and f1["ci"] == [None, None]
    assert f1["range"][0] <= f1["difference"] <= f1["range"][1]


def test_further_seeds_run_only_rows_needed_by_claims(tmp_path):
    methods = [*rows_for(["quick", "oracle"], ["debias"])]
    subjects = [BenchModel.parse(f"naive{seed}=null?seed=1") for seed in ("", "#2")]
    found = run_bench(BenchPlan(tmp_path, methods, subjects, ("test", "rare"), 3, 1, claims_of_seeds=True))
    items = [row for row in found["rows"] if row["level"] == "item"]
    assert len([row for row in items if row["model"] == "naive"]) == 6
    assert {(row["model"], row["preset"], len(row["ablate"]), row["split"]) for row in items} >= {
        ("naive#2", "quick", 0, "test"),
        ("naive#all", "quick", 0, "test"),
        ("naive#2", "quick", 0, "rare"),
        ("naive#all", "quick", 0, "rare"),
    }
    assert len(items) == 10


def test_row_missing_for_one_seed_is_not_pooled():
    items = (BenchItem("test/a", "test", "a", 0, "clear", "", frozenset(), None, Path()),)
    predictions = (Prediction(0, 0.1, {"a": 0}, {"a": 0.1}),)
    judged = [
        table.EvaluatedMethod(name, (), model, "test", items, predictions)
        for model, names in (
            ("naive", ("quick", "vote")),
            ("naive#2", ("quick", "vote")),
            ("naive#3", ("quick",)),
        )
        for name in names
    ]
    assert [(each.preset, each.seeds) for each in pooled(judged)] == [
        ("quick", ("naive", "naive#2", "naive#3"))
    ]


@pytest.mark.slow
def test_worker_processes_give_the_same_table(tmp_path):
    told: list[str] = []
    subjects = [BenchModel(f"{seed}", f"null?seed={seed}") for seed in (1, 2)]
    plan = BenchPlan(tmp_path, rows_for(["direct"], []), subjects, ("test",), 3, 1, None, None)
    keep_split(tmp_path / "scenes", "test", 3, 1)  # by four scenes, which other processes find
    found = run_bench(replace(plan, workers=2), told.append)
    assert not [line for line in told if "items" in line]  # the others said it to nobody
    alone = run_bench(replace(plan, out=tmp_path / "alone"))
    for row in (*found["rows"], *alone["rows"]):
        row.pop("seconds")
    assert found["rows"] == alone["rows"]


def test_changed_preset_constants_do_not_reuse_predictions(tmp_path, monkeypatch):
    told: list[str] = []
    plan = BenchPlan(tmp_path, [find_method("quick")], [BenchModel("null", "null")], ("test",), 3, 1)
    run_bench(plan, told.append)
    monkeypatch.setitem(PRESETS, "quick", PRESETS["quick"].replace(debias=0.5))
    run_bench(plan, told.append)
    assert len([line for line in told if "items" in line]) == 2


def test_models_are_closed(tmp_path, monkeypatch):
    closed = []
    monkeypatch.setattr(NullModel, "close", lambda model: closed.append(model))
    subjects = [BenchModel(f"{seed}", f"null?seed={seed}") for seed in (1, 2)]
    run_bench(BenchPlan(tmp_path, [find_method("direct")], subjects, ("test",), 3, 1, None, None))
    assert len(closed) == len(set(map(id, closed))) == 2


def test_failing_method_is_left_out(tmp_path):
    broken = Method("broken", "raises", "no_such_module:run")
    plan = BenchPlan(
        tmp_path,
        [broken, find_method("clip"), find_method("oracle")],
        [BenchModel("null", "null")],
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
    assert found["provenance"]["matcher"] is None and "bundled@" in found["provenance"]["detector"]
    assert {r["preset"] for r in found["rows"]} == {"oracle"}


def test_command_writes_results_of_the_bundled_model(tmp_path):
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
            "Nothing could be evaluated: no matcher was named.",
        ),
    ],
)
def test_wrong_usage_is_one_error_line(tmp_path, args, message):
    done = bench(*args, "--out", str(tmp_path))
    assert done.exit_code == 2 and message in done.output


def test_methods_command_lists_methods():
    done = bench("methods")
    assert done.exit_code == 0 and "detector-geometry" in done.output and "quick" in done.output


def test_subject_label_may_differ_from_its_model():
    assert BenchModel.parse("naive#2=weights/naive-2") == BenchModel("naive#2", "weights/naive-2")
    assert (
        BenchModel.parse("bundled") == BenchModel("bundled", "bundled")
        and BenchModel("naive#2", "x").is_further_seed
    )
    assert module.LEADS[0] == "jurat" and next(iter(draw_split("dev", 0, 1))).split == "dev"
