"""The judge under attack: changes of scenes, a run that resumes, and what its table says."""

from __future__ import annotations

import json
from dataclasses import replace
from itertools import islice
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageChops
from typer.testing import CliRunner

from jurat.bench.bench_plan import BenchModel
from jurat.bench.evaluate import Progress
from jurat.bench.methods.interface import Prediction
from jurat.bench.methods.registry import rows_for
from jurat.bench.pictogram import BenchItem
from jurat.bench.pictogram import splits as splits_module
from jurat.bench.robustness.conditions import CLEAN, PLAIN, Condition, conditions, noisy
from jurat.bench.robustness.run import AttackCost, RobustnessPlan, run_robustness
from jurat.bench.robustness.table import as_markdown, results_of
from jurat.bench.table import EvaluatedMethod
from jurat.cli import app
from jurat.errors import JuratError
from jurat.metrics import UNSURE


@pytest.fixture
def few(monkeypatch: pytest.MonkeyPatch, splits: dict[str, list[BenchItem]]) -> None:
    """Two pairs of scenes, drawn already."""
    monkeypatch.setattr(splits_module, "draw_split", lambda split, seed, n: islice(splits[split], 4))


@pytest.mark.parametrize(("change", "level"), [("jpeg", 30), ("resize", 0.5), ("crop", 0.9)])
def test_plain_changes_keep_the_size_and_change_the_picture(
    splits: dict[str, list[BenchItem]], change: str, level: float
) -> None:
    image = splits["test"][0].image
    made = PLAIN[change](image, level)  # pyright: ignore[reportArgumentType]
    assert (made.size, made.mode) == (image.size, "RGB")
    assert ImageChops.difference(made, image).getbbox() is not None


def test_crop_enlarges_the_middle() -> None:
    pixels = np.zeros((100, 100, 3), np.uint8)
    pixels[10:90, 10:90] = 255
    assert np.asarray(PLAIN["crop"](Image.fromarray(pixels), 0.8)).min() == 255


def test_noise_stays_within_its_radius_and_depends_on_seed_and_scene(
    splits: dict[str, list[BenchItem]],
) -> None:
    one, other = splits["test"][:2]
    noise = np.asarray(noisy(one, 8, 0), int) - np.asarray(one.image, int)
    assert np.abs(noise).max() == 8
    assert noisy(one, 8, 0) == noisy(one, 8, 0)
    assert noisy(one, 8, 0) != noisy(one, 8, 1)
    swapped = replace(other, picture=one.picture)
    assert noisy(one, 8, 0) != noisy(swapped, 8, 0)


def test_conditions_have_keys_and_titles_of_their_own() -> None:
    every = list(conditions(("jurat", "direct"), (1, 4)))
    assert len({each.key for each in every}) == len({(e.title, e.want) for e in every}) == len(every)
    aims = {(each.want, each.aim) for each in every if each.change == "attack"}
    assert aims == {("broken", "safe"), ("broken", "not unsafe"), ("near miss", "unsafe")}


def test_stopped_run_is_resumed(few: None, tmp_path: Path) -> None:
    told: list[str] = []
    plan = RobustnessPlan(
        tmp_path, rows_for(["direct"], []), [BenchModel("null", "null")], attacked=(), radii=(4,), seed=3
    )
    _, first = run_robustness(plan, told.append)
    # Six plain changes, the clean scenes and noise, for either kind of scenes; each is made and judged once.
    assert (len(first.evaluated), len(told), first.left_out) == (16, 32, [])
    (tmp_path / "predictions" / "null" / "direct" / "noise-broken-4.jsonl").unlink()
    told.clear()
    _, again = run_robustness(plan, told.append)
    assert told == ["null  noise-broken-4  direct: 2 items"]
    before, after = (
        [[made.scores for made in each.predictions] for each in progress.evaluated]
        for progress in (first, again)
    )
    assert before == after


@pytest.mark.parametrize(
    ("model", "preset", "message"),
    [
        ("null", "jurat", "'null' gives no gradients"),
        ("bundled", "jurrat", "There is no preset 'jurrat'"),
        ("bundled", "clue", "needs a detector and a matcher"),
        ("bundled + jpeg", "quick", "gives no gradients"),
    ],
)
def test_presets_that_cannot_be_attacked_are_refused_before_scenes_are_made(
    model: str, preset: str, message: str, tmp_path: Path
) -> None:
    plan = RobustnessPlan(
        tmp_path, rows_for(["direct"], []), [BenchModel("it", model)], attacked=("quick", preset)
    )
    with pytest.raises(JuratError, match=message):
        run_robustness(plan)
    assert not list(tmp_path.iterdir())


def test_methods_that_cannot_run_are_left_out_once_with_their_reason(few: None, tmp_path: Path) -> None:
    plan = RobustnessPlan(
        tmp_path,
        rows_for(["clue", "direct"], []),
        [BenchModel("null", "null")],
        attacked=(),
        radii=(),
        detector=None,
    )
    plan, progress = run_robustness(plan)
    results = results_of(plan, progress, {})
    assert {row["method"] for row in results["rows"]} == {"direct"}
    (left_out,) = results["provenance"]["left_out"]
    assert (left_out["model"], left_out["method"]) == ("null", "clue")
    assert f"Left out: `clue` with `null`: {left_out['reason']}" in as_markdown(results)


def test_table_counts_outcomes_and_pairs_attacks_with_noise(splits: dict[str, list[BenchItem]]) -> None:
    items = tuple(item for item in splits["test"] if item.want == "broken")[:10]
    noise, attack = Condition("noise", "broken", 8), Condition("attack", "broken", 8, "jurat", "safe")

    def said(condition: Condition, *outcomes: int, failed: int = 0) -> EvaluatedMethod:
        made = [Prediction(each, 0.5) for each in outcomes] + [
            Prediction(UNSURE, 0.5, reason="error")
        ] * failed
        return EvaluatedMethod("jurat", (), "m", condition.key, items, tuple(made))

    evaluated = [
        said(CLEAN["broken"], *[1] * 10),
        said(noise, *[1] * 9, UNSURE),
        said(attack, *[0] * 8, UNSURE, failed=1),
    ]
    costs = {attack.key: [AttackCost(str(i), i < 8, 5 + i, 40, 90.0, 80.0, 70.0) for i in range(10)]}
    plan = RobustnessPlan(
        Path(), [], [BenchModel("m", "null")], attacked=("jurat",), radii=(8,), command="jurat bench"
    )
    results = results_of(plan, Progress(evaluated), costs)
    clean, noised, attacked = results["rows"]
    counts = [[row[name] for name in ("unsafe", "safe", "unsure", "error")] for row in results["rows"]]
    assert counts == [[10, 0, 0, 0], [9, 0, 1, 0], [0, 8, 1, 1]]
    assert "difference" not in clean
    assert noised["difference"]["to"] == "clean"
    assert attacked["difference"]["to"] == "noise 8/255"
    assert attacked["difference"]["value"] == pytest.approx(-0.9)
    assert attacked["difference"]["high"] < 0
    assert attacked["difference"]["holm"] < 0.05
    (cost,) = results["attacks"]
    assert (cost["reached"], cost["median_step"], cost["forwards"]) == (8, 8.5, 90)
    text = as_markdown(results)
    assert "| attack on jurat, to safe, 8/255 | 0* (0–" in text
    assert "safe 8, 1 failed" in text
    assert "| attack on jurat, to safe, 8/255 | 8 of 10 | 8.5 | 90 | 80 | 70 |" in text


def test_command_attacks_the_bundled_judge_and_says_what_it_cost(few: None, tmp_path: Path) -> None:
    options = ["--method", "quick", "--attack", "quick", "--radius", "16", "--steps", "2", "--per-rule", "1"]
    result = CliRunner().invoke(app, ["bench", "robustness", *options, "--out", str(tmp_path)])
    assert result.exit_code == 0, result.output
    assert "attack on quick, to not unsafe, 16/255" in result.output
    results = json.loads((tmp_path / "robustness.json").read_text())
    assert all(row["n"] == 2 and row["error"] == 0 for row in results["rows"])
    (one,) = [each for each in results["attacks"] if each["aim"] == "not unsafe"]
    assert one["forwards"] == one["backwards"] > 0
    assert len(list(tmp_path.glob("changed/attack-*/*.png"))) == 6
    assert (tmp_path / "robustness-bundled.svg").exists()
