"""Rulings as Parquet: every figure comes out again, and one that does not is named."""

from __future__ import annotations

import copy
import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from typer.testing import CliRunner

from jurat.bench import table
from jurat.bench.bench_run import results_of
from jurat.bench.cost import Spending
from jurat.bench.methods.interface import Prediction
from jurat.bench.pictogram.items import BenchItem
from jurat.bench.results import rounded
from jurat.bench.rulings import RULINGS, differing, read_rulings, write_rulings
from jurat.bench.table import EvaluatedMethod
from jurat.cli import app
from jurat.errors import JuratError
from jurat.metrics import UNSURE

RULES = ("cat", "dog", "hat", "sun")


def item(split: str, rule: str, pair: int, broken: bool) -> BenchItem:
    name = f"{split}/{rule}/{pair:03d}/{'broken' if broken else 'near miss'}"
    truth = frozenset({rule} if broken else ())
    return BenchItem(
        name, split, rule, pair, "broken" if broken else "near miss", "plain", truth, None, Path(name)
    )


def predicted(one: BenchItem, rng: np.random.Generator, *, silent: bool) -> Prediction:
    if silent and rng.random() < 0.1:
        return Prediction(UNSURE, math.nan, reason="refused")
    own = float(np.clip(rng.normal(0.7 if one.broken else 0.3, 0.25), 0.01, 0.99))
    scores = {rule: own if rule == one.rule else float(rng.random() / 3) for rule in RULES}
    rules = {rule: UNSURE if 0.45 < score < 0.55 else int(score > 0.5) for rule, score in scores.items()}
    spending = Spending(2, 300, 0, 1, 0, 1.5e9, 0.125)
    return Prediction.of_rules(rules, scores, spending, "margin" if UNSURE in rules.values() else None)


@pytest.fixture
def evaluated(monkeypatch: pytest.MonkeyPatch) -> list[EvaluatedMethod]:
    monkeypatch.setattr(table, "DRAWS", 50)
    found: list[EvaluatedMethod] = []
    for split in ("test", "flip"):
        items = tuple(
            item(split, rule, pair, b) for rule in RULES for pair in range(6) for b in (True, False)
        )
        for number, model in enumerate(("naive", "naive#2")):
            for at, (preset, ablate) in enumerate(
                (("jurat", ()), ("jurat", ("views",)), ("clause-product", ()))
            ):
                rng = np.random.default_rng([number, at, len(split)])
                said = tuple(predicted(one, rng, silent=preset != "jurat") for one in items)
                found.append(EvaluatedMethod(preset, ablate, model, split, items, said))
    return found


def test_rulings_come_back_as_they_were(evaluated: list[EvaluatedMethod], tmp_path: Path) -> None:
    write_rulings(tmp_path, evaluated)
    back = read_rulings(tmp_path)
    assert [(each.key, each.model, each.split) for each in back] == [
        (each.key, each.model, each.split) for each in evaluated
    ]
    for one, other in zip(evaluated, back, strict=True):
        assert [each.broken for each in one.items] == [each.broken for each in other.items]
        for a, b in zip(one.predictions, other.predictions, strict=True):
            assert (a.outcome, dict(a.rules), a.reason, a.spending) == (
                b.outcome,
                dict(b.rules),
                b.reason,
                b.spending,
            )
            assert b.score == pytest.approx(a.score, abs=1e-7, nan_ok=True)


def test_every_figure_is_computed_again_by_the_command(
    evaluated: list[EvaluatedMethod], tmp_path: Path
) -> None:
    write_rulings(tmp_path, evaluated)
    results = rounded(results_of(read_rulings(tmp_path), {}))
    (tmp_path / "results.json").write_text(json.dumps(results))
    done = CliRunner().invoke(app, ["bench", "recompute", str(tmp_path)])
    assert done.exit_code == 0 and done.output.rstrip().endswith("0 differ"), done.output
    results["rows"][0]["aurc"] += 0.01
    del results["paired"][0]
    (tmp_path / "results.json").write_text(json.dumps(results))
    done = CliRunner().invoke(app, ["bench", "recompute", str(tmp_path)])
    assert done.exit_code == 1
    assert (
        "naive jurat test item: aurc" in done.output and "None is published, a row comes out" in done.output
    )


def test_forced_f1_counts_what_has_no_score_as_an_error(evaluated: list[EvaluatedMethod]) -> None:
    each = evaluated[2]
    rows = table.row(each, "item")
    truth = np.array([bool(one.broken) for one in each.items])
    forced = [
        p.outcome if p.outcome != UNSURE or math.isnan(p.score) else int(p.score > 0.5)
        for p in each.predictions
    ]
    right = np.array([said == true for said, true in zip(forced, truth, strict=True)])
    hits = (right & truth).sum()
    assert UNSURE in forced
    assert rows["forced_f1"] == pytest.approx(2 * hits / (2 * hits + (~right).sum()))
    assert rows["forced_f1_ci"][0] < rows["forced_f1"] < rows["forced_f1_ci"][1]


def test_files_that_hold_no_rulings_are_refused(evaluated: list[EvaluatedMethod], tmp_path: Path) -> None:
    with pytest.raises(JuratError, match="cannot be read"):
        read_rulings(tmp_path)
    write_rulings(tmp_path, evaluated)
    (tmp_path / RULINGS).write_bytes(b"not parquet")
    with pytest.raises(JuratError, match="hold"):
        read_rulings(tmp_path)


def test_figures_within_the_written_digits_are_equal() -> None:
    row: dict[str, Any] = {
        "preset": "jurat", "ablate": [], "model": "naive", "split": "test", "level": "item", "aurc": 0.123456,
        "by": {"rule": {"cat": 0.5}},
    }  # fmt: skip
    other = copy.deepcopy(row) | {"aurc": 0.1234564}
    assert differing({"rows": [row], "paired": []}, {"rows": [other], "paired": []}) == (len(row), [])
    other["by"]["rule"]["cat"] = 0.6
    assert [
        one.where for one in differing({"rows": [row], "paired": []}, {"rows": [other], "paired": []})[1]
    ] == ["naive jurat test item: by"]
