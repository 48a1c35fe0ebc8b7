"""Shared code of the scripts of perf/: interleaved runs, medians, tables, bars, files."""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

from jurat.bench.methods.interface import Prediction
from jurat.bench.pictogram.items import BenchItem
from jurat.bench.table import EvaluatedMethod

from .scripts import PERF, script

measuring = script("measuring")


def test_runs_are_interleaved_after_one_warm_up_round() -> None:
    ran: list[str] = []
    taken = measuring.by_turns(
        {"a": lambda: ran.append("a"), "b": lambda: ran.append("b")}, 3, lambda: ran.append(".")
    )
    assert "".join(ran) == ".a..b." * 4
    assert set(taken) == {"a", "b"} and all(seconds >= 0 for seconds in taken.values())


def test_result_is_the_median(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = iter([0, 0, 3, 0, 50, 0, 4])  # the first run is not timed
    monkeypatch.setattr(measuring, "time", SimpleNamespace(perf_counter=lambda: next(clock)))
    assert measuring.by_turns({"a": lambda: None}, 3) == {"a": 4}


def test_table_is_markdown_with_blank_missing_values() -> None:
    rows = [{"n": 1500, "s": 0.25}, {"n": 64, "s": None}]
    assert measuring.table(rows, {"tokens": "{n:,}", "s": "{s:.2f}", "x": "{x:.1f}"}).splitlines() == [
        "| tokens |    s | x |",
        "|-------:|-----:|--:|",
        "|  1,500 | 0.25 |   |",
        "|     64 |      |   |",
    ]


@pytest.mark.parametrize(
    ("value", "limit", "most", "met"),
    [(1.1, 1.2, True, True), (1.3, 1.2, True, False), (0.7, 0.8, False, False)],
)
def test_a_bar_says_whether_it_is_met(value: float, limit: float, most: bool, met: bool) -> None:
    found, line = measuring.bar("a / b", value, limit, most=most)
    assert found is met
    assert line.endswith(": met" if met else ": MISSED") and ("most" in line) is most


def test_report_files_hold_rows_and_provenance(tmp_path, capsys) -> None:
    parser = measuring.options(argparse.ArgumentParser())
    args = parser.parse_args(["--json", str(tmp_path / "a.json"), "--markdown", str(tmp_path / "a.md")])
    origin = measuring.provenance("perf/x.py", ["--runs", "3"], runs=3)
    measuring.report(args, origin, [{"n": 1}], ["| n |", "", "- met"])
    assert capsys.readouterr().out == "| n |\n\n- met\n"
    found = json.loads((tmp_path / "a.json").read_text())
    assert 0 <= found["provenance"].pop("stolen", 0) <= 1
    assert found == {"provenance": origin, "rows": [{"n": 1}]}
    assert found["provenance"]["command"] == "python perf/x.py --runs 3"
    assert {"commit", "machine", "time", "load", "torch", "transformers"} <= set(found["provenance"])
    assert (
        (tmp_path / "a.md").read_text().startswith("| n |\n\n- met\n\n- command: python perf/x.py --runs 3\n")
    )


def test_nan_is_written_as_null_and_stays_an_empty_cell(tmp_path) -> None:
    args = argparse.Namespace(json=tmp_path / "a.json", markdown=None)
    rows = [{"n": float("nan"), "of": [1.5, float("nan")]}]
    measuring.report(args, {}, rows, [])
    assert json.loads((tmp_path / "a.json").read_text())["rows"] == [{"n": None, "of": [1.5, None]}]
    assert measuring.table(rows, {"n": "{n:.2f}"}).splitlines()[2].strip("| ") == ""


def test_interruption_leaves_the_earlier_file(tmp_path) -> None:
    args = argparse.Namespace(json=tmp_path / "a.json", markdown=None)
    measuring.keep(args, {}, [{"n": 1}])
    with pytest.raises(TypeError):
        measuring.keep(args, {}, [{"n": 2}, {"n": object()}])
    assert json.loads((tmp_path / "a.json").read_text())["rows"] == [{"n": 1}]
    assert [one.name for one in tmp_path.iterdir()] == ["a.json"]


def test_measuring_imports_no_heavy_package() -> None:
    code = f"import sys; sys.path.insert(0, {str(PERF)!r}); import measuring, judge, startup; "
    code += "print(*[m for m in ('torch', 'numpy', 'jurat') if m in sys.modules])"
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120)
    assert (run.stdout.split(), run.stderr) == ([], "")


def test_rows_can_be_saved_before_the_end(tmp_path) -> None:
    args = measuring.options(argparse.ArgumentParser()).parse_args(["--json", str(tmp_path / "a.json")])
    measuring.keep(args, {"runs": 3}, [{"n": 1}])
    assert json.loads((tmp_path / "a.json").read_text())["rows"] == [{"n": 1}]


def test_methods_are_compared_with_the_first_and_corrected_over_models() -> None:
    wants = ("broken", "near miss")
    items = tuple(
        BenchItem(f"{rule}/{want}", "dev", rule, 0, want, "plain", frozenset([rule][:broken]), None, Path())
        for rule in "abcdefghij"
        for want, broken in zip(wants, (True, False), strict=True)
    )

    def of(model: str, name: str, wrong: str) -> EvaluatedMethod:
        scores = [0.9 if (item.want == "broken") is not (item.rule in wrong) else 0.1 for item in items]
        found = tuple(Prediction(int(score > 0.5), score) for score in scores)
        return EvaluatedMethod(name, (), model, "dev", items, found)

    models = [
        [of("m", "first", "abcdefgh"), of("m", "better", "a"), of("m", "beside", "abcdefgh")],
        [of("n", "first", "abc"), of("n", "better", "ab"), of("n", "beside", "abc")],
    ]
    judged = measuring.against_first(models, ["forced_f1"], ["beside"])
    assert {key: one.state for key, one in judged.items()} == {
        ("m", "better", "forced_f1"): "shown",
        ("m", "beside", "forced_f1"): "open",
        ("n", "better", "forced_f1"): "open",
        ("n", "beside", "forced_f1"): "open",
    }
    one, other = (judged[model, "better", "forced_f1"] for model in "mn")
    assert one.holds_adjusted and one.adjusted == pytest.approx(min(1, 2 * one.comparison.p))
    assert other.adjusted == pytest.approx(other.comparison.p) and not other.holds_adjusted
    value, low, high = measuring.gain(one)
    assert value == pytest.approx(0.9 - 0.2) and low < value < high
