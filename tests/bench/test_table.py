"""Rows, paired differences and pages from hand-made predictions."""

from __future__ import annotations

import json
import math
from dataclasses import replace
from pathlib import Path

import pytest
from typer.testing import CliRunner

from jurat.bench import table
from jurat.bench.cost import Spending
from jurat.bench.methods.interface import Prediction
from jurat.bench.pictogram.items import BenchItem
from jurat.bench.predictions import Origin, PredictionFile, read_predictions, write_predictions
from jurat.bench.results import as_markdown, read_results, write_results
from jurat.bench.table import EvaluatedMethod, flip_row, paired, row
from jurat.cli import app
from jurat.errors import JuratError
from jurat.metrics import UNSURE


@pytest.fixture(autouse=True)
def few_draws(monkeypatch):
    monkeypatch.setattr(table, "DRAWS", 60)


def item(split: str, rule: str, pair: int, broken: bool, **more) -> BenchItem:
    want = "broken" if broken else "near miss"
    hits = frozenset({rule} if broken else ())
    return BenchItem(
        f"{split}/{rule}/{pair:03d}/{want}", split, rule, pair, want, "plain", hits, None, Path(), **more
    )


def judged(
    name: str, outcomes: list[int], scores: list[float], split: str = "test", **more
) -> EvaluatedMethod:
    items = tuple(
        item(split, "ab"[i // 2 % 2], i // 4, i % 2 == 0, companions=1 + i % 3 if split == "habits" else 0)
        for i in range(len(outcomes))
    )
    predictions = tuple(
        Prediction(
            said,
            score,
            {each.rule: said, "c": 0},
            {each.rule: score, "c": 0.1},
            Spending(1, 20, flops=1e9, seconds=0.1),
            "margin" if said == UNSURE else None,
        )
        for each, said, score in zip(items, outcomes, scores, strict=True)
    )
    return EvaluatedMethod(name, (), "bundled", split, items, predictions, **more)


GOOD = judged("quick", [1, 0, 1, 0, 1, UNSURE, 1, 0], [0.9, 0.1, 0.95, 0.2, 0.8, 0.6, 0.7, 0.05])
BAD = judged("direct", [1, 1, 1, 1, 1, 0, 0, 0], [0.9, 0.8, 0.9, 0.7, 0.8, 0.3, 0.4, 0.1])


def test_unsure_is_an_error_in_rates_and_forced_in_risks():
    found = row(GOOD, "item")
    assert (found["recall"], found["precision"], found["accuracy"]) == (1.0, 0.8, 7 / 8)
    assert found["unsure"] == 1 / 8 and found["reasons"] == {"margin": 1}
    assert found["risk_at"]["1.0"] == 1 / 8 and found["risk_at"]["0.8"] == 0
    assert all(found[f"{name}_ci"][0] <= found[name] <= found[f"{name}_ci"][1] for name in table.RATES)
    assert found["risk_curve"][-1] == found["risk_at"]["1.0"] and len(found["risk_curve"]) == len(table.CURVE)
    assert (found["question_tokens"], found["flops"], found["n"]) == (20, 1e9, 8)
    assert {
        "preset",
        "ablate",
        "model",
        "split",
        "level",
        "n",
        "recall",
        "precision",
        "accuracy",
        "f1",
        "f1_ci",
        "unsure",
        "aurc",
        "ece",
        "question_tokens",
        "generated_tokens",
        "flops",
        "seconds",
    } <= set(found)


def test_rule_level_counts_own_rule_and_false_flags():
    found = row(GOOD, "rule")
    assert found["accuracy"] == 7 / 8 and found["false_flags"] == 0
    assert found["by"]["rule"] == {"a": 0.75, "b": 1.0}


def test_paired_differences_need_the_same_items():
    found = paired(GOOD, BAD, "f1")
    assert found is not None
    assert found["difference"] == pytest.approx(row(GOOD, "item")["f1"] - row(BAD, "item")["f1"])
    assert found["ci"][0] <= found["difference"] <= found["ci"][1]
    assert {"a", "b", "model", "split", "metric", "difference", "ci"} <= set(found)
    itself = paired(GOOD, GOOD, "aurc")
    assert itself is not None and itself["difference"] == 0 and itself["ci"] == [0, 0]
    with pytest.raises(ValueError, match="did not judge the same units"):
        paired(GOOD, judged("x", [1, 0], [0.9, 0.1]), "f1")


def test_rows_of_several_seeds_have_no_intervals():
    """A bootstrap over three seeds covers too little; `jurat.bench.seeds` gives the range instead."""
    both = judged("quick", [1, 0] * 8, [0.9, 0.1] * 8, seeds=("naive",) * 8 + ("naive#2",) * 8)
    assert not [name for name in row(both, "item") if name.endswith("_ci")]
    assert row(both, "item")["seeds"] == 2
    found = paired(both, replace(both, preset="other"), "f1")
    assert found is not None and found["ci"] == [None, None]


def test_risk_ratio_has_an_interval():
    worse = judged("worse", [1, 0, 0, 1] * 4, [0.9, 0.4, 0.4, 0.6] * 4)
    better = judged("better", [1, 0, 1, 1] * 4, [0.9, 0.4, 0.45, 0.6] * 4)
    found = paired(better, worse, "risk")
    assert found is not None
    one, other = (row(each, "item")["risk_at"]["0.9"] for each in (better, worse))
    assert found["ratio"] == pytest.approx(one / other)
    low, high = found["ratio_ci"]
    assert low <= found["ratio"] and (high is None or high >= found["ratio"])
    assert "ratio" not in (paired(better, worse, "f1") or {})


def test_rare_split_has_precision_at_a_prevalence_and_no_recall():
    items = tuple(
        BenchItem(f"rare/{i}", "rare", "", i, "clear", "random", frozenset(), None, Path()) for i in range(10)
    )
    predictions = tuple(Prediction(int(i == 0), 0.9 if i == 0 else 0.1) for i in range(10))
    found = row(
        EvaluatedMethod("quick", (), "bundled", "rare", items, predictions), "item", recall_on_test=0.9
    )
    assert found["recall"] is None and found["f1"] is None and found["accuracy"] == 0.9
    assert found["precision_at"]["0.03"] == pytest.approx(0.027 / (0.027 + 0.097))


def test_redrawn_split_tells_how_much_of_what_was_not_refused_is_right(tmp_path):
    some = judged("quick", [1, 0, 1, 1, UNSURE, UNSURE, UNSURE, 0], [0.9, 0.1] * 4, "redrawn")
    reasons = [None] * 4 + ["out_of_domain", "margin", "out_of_domain", None]
    told = (replace(p, reason=r) for p, r in zip(some.predictions, reasons, strict=True))
    some = replace(some, predictions=tuple(told))
    found = row(some, "item")
    assert (found["let_through"], found["right_of_these"], found["wrong_of_these"]) == (6, 4 / 6, 1 / 6)
    low, high = found["right_of_these_ci"]
    assert low < 4 / 6 < high
    assert "let_through" not in row(some, "rule") and "let_through" not in row(GOOD, "item")
    nothing = tuple(Prediction(UNSURE, math.nan, reason="out_of_domain") for _ in some.items)
    none = row(replace(some, predictions=nothing), "item")
    assert (none["let_through"], none["right_of_these"]) == (0, None)
    provenance = {
        "command": "x", "jurat": "0", "commit": None, "time": "now", "models": {}, "left_out": [], "runs": [],
        "intervals": table.INTERVALS, "configurations tried on dev": {},
    }  # fmt: skip
    page = as_markdown({"provenance": provenance, "rows": [found, none], "paired": []})
    assert "| quick | 6 of 8 | 0.667 (" in page and "| quick | 0 of 8 | – | – |" in page


def test_borderline_split_has_brier_and_log_loss_only():
    items = tuple(item("borderline", "a", i, False, soft=soft) for i, soft in enumerate((0.25, 0.75)))
    predictions = tuple(Prediction(UNSURE, s, {"a": UNSURE}, {"a": s}) for s in (0.25, 0.25))
    found = row(EvaluatedMethod("quick", (), "bundled", "borderline", items, predictions), "rule")
    assert found["brier"] == pytest.approx(0.125) and found["f1"] is None and found["aurc"] is None
    assert (
        paired(*[EvaluatedMethod(n, (), "b", "borderline", items, predictions) for n in "ab"], "f1") is None
    )


def test_flips_are_counted_over_scenes_in_both_splits():
    flipped = tuple(
        BenchItem(
            i.id.replace("test/", "flip/"),
            "flip",
            i.rule,
            i.pair,
            i.want,
            "plain",
            frozenset({i.rule} - i.broken),
            None,
            Path(),
        )
        for i in GOOD.items[:4]
    )
    predictions = tuple(
        Prediction(s, 0.5, {i.rule: s}, {i.rule: 0.5}) for i, s in zip(flipped, (0, 1, 1, 1), strict=True)
    )
    found = flip_row(GOOD, EvaluatedMethod("quick", (), "bundled", "flip", flipped, predictions))
    assert found["flip_score"] == pytest.approx(3 / 4)
    assert found["flip_score_ci"][0] <= 3 / 4 <= found["flip_score_ci"][1]
    assert flip_row(GOOD, GOOD) == {}  # no truth changes


def test_predictions_of_other_items_are_refused():
    with pytest.raises(ValueError, match="1 predictions on 8 items"):
        EvaluatedMethod("quick", (), "bundled", "test", GOOD.items, GOOD.predictions[:1])


def test_prediction_file_round_trips(tmp_path):
    path = tmp_path / "deep" / "test.jsonl"
    kept = PredictionFile(
        [*GOOD.predictions, Prediction(UNSURE, math.nan, reason="error")],
        Origin("jurat bench", None, "now", 7),
    )
    write_predictions(path, {"a": (1, 2)}, kept)
    again = read_predictions(path, {"a": [1, 2]})
    assert (
        again is not None and again.predictions[:-1] == kept.predictions[:-1] and again.origin == kept.origin
    )
    assert math.isnan(again.predictions[-1].score) and again.predictions[-1].reason == "error"
    assert read_predictions(path, {"a": 3}) is None and read_predictions(tmp_path / "none", {}) is None
    assert [each.name for each in path.parent.iterdir()] == ["test.jsonl"]


@pytest.mark.parametrize(
    "text", ["", "[]\n", '{"stamp": {}}\n', '{"stamp": {}, "note": {}}\n{"outco', "\x00"]
)
def test_broken_prediction_file_is_ignored(tmp_path, text):
    (tmp_path / "test.jsonl").write_text(text)
    assert read_predictions(tmp_path / "test.jsonl", {}) is None


def results():
    less = EvaluatedMethod(
        "quick", ("debias",), "bundled", "habits", *_of(judged("quick", [1, 1] * 6, [0.9, 0.6] * 6, "habits"))
    )
    whole = judged("quick", [1, 0] * 6, [0.9, 0.2] * 6, "habits")
    told = {
        "command": "jurat bench pictograms",
        "commit": "abc",
        "jurat": "0",
        "time": "now",
        "intervals": "95%",
        "bench": {"format": 3, "seed": 0, "per_rule": 2},
        "models": {"bundled": "bundled@1"},
        "runs": [
            {"command": "jurat bench pictograms", "commit": "abc", "from": "now", "to": "now", "files": 3},
            {"command": "jurat bench -m naive", "commit": "abd", "from": "then", "to": "now", "files": 2},
        ],
        "configurations tried on dev": {"bundled": {"clip": 3}},
        "left_out": [
            {"preset": "prior", "ablate": [], "model": "bundled", "split": s, "reason": "no words"}
            for s in ("test", "rare")
        ],
    }
    rows = [row(each, level) for each in (GOOD, BAD, whole, less) for level in table.LEVELS]
    lead = replace(GOOD, preset="jurat")
    return {
        "provenance": told,
        "rows": rows,
        "paired": [paired(one, BAD, metric) for one in (GOOD, lead) for metric in ("f1", "aurc")],
    }


def _of(each: EvaluatedMethod):
    return each.items, each.predictions


def test_page_has_tables_differences_and_left_out_methods():
    page = as_markdown(results())
    assert "## bundled, test, item level, n = 8" in page
    assert "| quick − debias | " in page
    assert "- prior with bundled (test, rare): no words" in page
    assert "Configurations tried on dev, bundled: clip 3." in page
    assert "## bundled, test: paired differences of items" in page
    assert "| jurat − direct | -" in page and "| quick − direct |" not in page
    assert "| a − b | AURC | strict F1 |" in page  # those that there are
    assert "| method | forced accuracy | AURC | coverage | risk at 90% | forced F1 | strict F1 |" in page
    assert "| quick | 0.875 |" in page  # one of eight is wrong: the unsure one, by its score of 0.6
    assert "a difference in strict F1 alone does not say which method errs less" in page
    assert "2 of its files are of `jurat bench -m naive`, commit abd, then to now." in page
    assert "nan" not in page


def test_results_json_has_no_nan_and_figures_are_drawn(tmp_path):
    written = write_results(tmp_path, results())
    assert json.loads((tmp_path / "results.json").read_text())["rows"][0]["preset"] == "quick"
    assert {path.name for path in written} == {
        "results.json",
        "results.md",
        *(f"{what}-{split}-bundled.svg" for what in ("f1", "cost", "risk") for split in ("test", "habits")),
        "habits-bundled.svg",
    }
    assert "<svg" in (tmp_path / "habits-bundled.svg").read_text()


def test_tables_are_rewritten_from_results_json(tmp_path):
    old = results()
    old["rows"] = [row | {"accuracy_wilson": [0, 1]} for row in old["rows"]]
    (tmp_path / "results.json").write_text(json.dumps(old))
    assert CliRunner().invoke(app, ["bench", "tables", str(tmp_path)]).exit_code == 0
    again = json.loads((tmp_path / "results.json").read_text())
    assert [row["preset"] for row in again["rows"]] == [row["preset"] for row in old["rows"]]
    assert not [row for row in again["rows"] if "accuracy_wilson" in row]
    assert "perf/candidates.py" in (tmp_path / "results.md").read_text()


@pytest.mark.parametrize(("text", "message"), [("{", "does not hold results"), (None, "cannot be read")])
def test_unreadable_results_are_refused(tmp_path, text, message):
    if text is not None:
        (tmp_path / "results.json").write_text(text)
    with pytest.raises(JuratError, match=message):
        read_results(tmp_path)
