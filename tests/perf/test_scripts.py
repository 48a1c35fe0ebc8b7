"""Every script of perf/ runs at small sizes and writes its tables. No test asserts a time."""

from __future__ import annotations

import json
import math
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch

from .scripts import PERF, script


@pytest.fixture(autouse=True)
def one_thread() -> None:
    torch.set_num_threads(1)


@pytest.fixture
def written(tmp_path: Path):
    """Runs a script in this process: its exit code, provenance, rows, and the tables that it wrote."""

    def run(name: str, *argv: str) -> tuple[int, dict[str, Any], list[dict[str, Any]], str]:
        files = tmp_path / "found.json", tmp_path / "found.md"
        given = [*argv, "--json", str(files[0]), "--markdown", str(files[1])]
        code = script(name).main(given)
        found = json.loads(files[0].read_text())
        assert list(found) == ["provenance", "rows"] and found["rows"]
        assert found["provenance"]["command"].startswith(f"python perf/{name}.py --")
        for row in found["rows"]:
            figures = [value for value in row.values() if isinstance(value, float)]
            assert all(math.isfinite(value) for value in figures), row
        return code, found["provenance"], found["rows"], files[1].read_text()

    return run


QUESTIONS = (
    "model image_tokens clauses tokens_packed tokens_separate packed_s separate_s cached_s floor_s vision_s"
)


@pytest.mark.slow
def test_questions_writes_rows_and_a_table(written, capsys) -> None:
    argv = (
        "--models",
        "qwen3vl-tiny,bundled",
        "--image-tokens",
        "6,257",
        "--clauses",
        "1,3,36",
        "--runs",
        "1",
    )
    code, origin, rows, told = written("questions", *argv, "--device", "cpu")
    assert code == 0
    assert [(row["model"], row["image_tokens"], row["clauses"]) for row in rows] == [
        (model, size, clauses)
        for model, size in (("qwen3vl-tiny", 6), ("qwen3vl-tiny", 257), ("bundled", 64))
        for clauses in (1, 3, 36)
    ]
    for row in rows:
        assert list(row) == QUESTIONS.split()
        prefix = row["tokens_packed"] - 24 * row["clauses"]
        assert prefix >= row["image_tokens"]
        assert row["tokens_separate"] == row["clauses"] * (prefix + 24)
        left_out = (row["image_tokens"], row["clauses"]) == (257, 36)
        assert (row["separate_s"] is None) is left_out
        assert all(
            row[name] > 0 for name in row if name.endswith("_s") and not (left_out and row[name] is None)
        )
    assert origin["device"] == "cpu" and origin["dtype"] == "float32"
    assert told.startswith("| ") and "packed / floor" in told
    assert capsys.readouterr().out.strip() in told


def test_all_ways_to_ask_give_the_same_answers() -> None:
    questions, shapes = script("questions"), script("shapes")
    network = shapes.build("qwen3vl-tiny", torch.device("cpu"), "float32")
    with torch.no_grad():  # so that answers depend on what is read
        for name, weight in network.named_parameters():
            if weight.ndim == 2 and "norm" not in name:
                weight.mul_(8)
    ways = questions.Ways(network)
    prompt, other = (shapes.qwen_prompt(network, 6, 5, seed) for seed in (0, 1))
    bare = ways.packed(prompt)
    with ways.looked(prompt):
        packed, cached = ways.packed(prompt), ways.cached(prompt)
        found = [packed, cached, *(ways.separate(prompt, rows) for rows in (1, 2, 5))]
    assert ways.scorer.path == "packed"
    for one in found:
        assert one == pytest.approx(bare, abs=1e-4)
    assert max(abs(a - b) for a, b in zip(bare, ways.packed(other), strict=True)) > 0.01
    assert max(bare) - min(bare) > 0.01


def test_disagreeing_ways_stop_the_comparison() -> None:
    questions, shapes = script("questions"), script("shapes")
    network = shapes.build("qwen3vl-tiny", torch.device("cpu"), "float32")
    ways = questions.Ways(network)
    ways.cached = lambda prompt: [9.0] * len(prompt.segments)
    with pytest.raises(SystemExit, match="packed and the expanded cache differ by"):
        questions.agree(questions.Subject("it", network, (6,)), ways, shapes.qwen_prompt(network, 6, 2))


def test_question_bars_apply_to_35_questions_on_the_100m_decoder() -> None:
    questions = script("questions")
    row = {
        "model": "qwen3vl-100m", "image_tokens": 1500, "clauses": 35, "tokens_packed": 2358,
        "tokens_separate": 53_970, "packed_s": 1.1, "separate_s": 22.0, "cached_s": 2.0, "floor_s": 1.0,
    }  # fmt: skip
    one = {**row, "clauses": 1, "packed_s": 0.7}
    met, told = questions.bars([one, row])
    assert met and told.count(": met") == 3
    met, told = questions.bars([one, {**row, "packed_s": 1.3}])
    assert not met and told.count("MISSED") == 3
    assert questions.bars([{**row, "model": "bundled"}]) == (True, "")


@pytest.mark.parametrize(("name", "millions"), [("qwen3vl-100m", 100), ("qwen3vl-8b", 6946)])
def test_shapes_have_the_stated_number_of_parameters(name: str, millions: float) -> None:
    shapes = script("shapes")
    network = shapes.build(name, torch.device("meta"), "bfloat16")
    assert shapes.decoder_parameters(network) / 1e6 == pytest.approx(millions, rel=0.02)
    assert network.config.text_config.vocab_size == (32_000 if name == "qwen3vl-100m" else 151_936)


def test_roofline_counts_operations_and_reports_a_missing_gpu(written, capsys) -> None:
    argv = ("--model", "qwen3vl-tiny", "--device", "cpu", "--image-tokens", "6", "--images", "2")
    code, _, (row,), _ = written("roofline", *argv, "--clauses", "3", "--product-side", "32", "--runs", "1")
    assert code == 0 and row["images_per_s"] > 0
    shapes = script("shapes")
    network = shapes.build("qwen3vl-tiny", torch.device("meta"), "float32")
    tokens = 6 + 2 + 16 + 3 * 24
    assert row["needed_tflop"] * 1e12 > 2 * shapes.decoder_parameters(network) * tokens
    assert row["needed_tflop"] * 1e12 < 4 * sum(p.numel() for p in network.parameters()) * tokens
    if not torch.cuda.is_available():
        capsys.readouterr()
        assert script("roofline").main([]) == 0
        assert (
            "There is no GPU here. On one this measures how many images/s qwen3vl-8b"
            in capsys.readouterr().out
        )


@pytest.mark.slow
def test_judge_writes_rate_and_memory(written) -> None:
    argv = ("--images", "3", "--scenes", "3", "--sizes", "20,40", "--presets", "quick", "--runs", "1")
    _, _, (rate, *memory), told = written("judge", *argv)
    assert (rate["measure"], rate["preset"], rate["images"]) == ("rate", "quick", 3)
    assert rate["share"] == pytest.approx(rate["end_to_end_images_s"] / rate["model_alone_images_s"])
    assert rate["speedup"] == pytest.approx(rate["end_to_end_images_s"] / rate["unpacked_images_s"])
    assert [row["images"] for row in memory] == [20, 40]
    assert all(row["peak_mib"] > 100 and row["images_s"] > 0 for row in memory)
    assert told.count("at least") == 3 and "peak memory, 40 images / 20: " in told


@pytest.mark.slow
def test_judge_compares_two_checkouts_by_turns(written, tmp_path: Path) -> None:
    (tmp_path / "before").symlink_to(PERF.parent)
    argv = ("--images", "0", "--sizes", "0", "--scenes", "20", "--presets", "quick", "--runs", "1")
    _, _, (row,), told = written("judge", *argv, "--before", str(tmp_path / "before"))
    assert (row["measure"], row["turns"], row["images"]) == ("paired", 1, 20)
    assert row["now"] == row["before"] and row["now"].startswith("bundled@")
    assert row["least"] == row["ratio"] == row["most"] == row["now_images_s"] / row["before_images_s"]
    assert "now / before" in told


@pytest.mark.slow
def test_startup_writes_import_and_command_times(written) -> None:
    _, _, rows, told = written("startup", "--runs", "1")
    whats = [row["what"] for row in rows]
    assert whats[:3] == ["import typer, rich", "jurat --help", "import torch, transformers"]
    assert whats[3:] == ["the classes of its model", "jurat judge, one image"]
    assert [row["ratio"] for row in rows if row["what"].startswith("import")] == [1, 1]
    assert "jurat --help: " in told


@pytest.mark.slow
def test_evals_writes_rates_and_the_loop(written) -> None:
    _, origin, rows, told = written("evals", "--requests", "16", "--runs", "1", "--models", "bundled")
    assert [row.get("model", row.get("what")) for row in rows] == ["bundled", "text", "an image and a text"]
    assert rows[0]["provider_rate"] > 0 and rows[1]["loop_ms"] > 0
    assert "bundled, provider / direct: " in told and origin["inspect-ai"]


@pytest.mark.slow
def test_impact_writes_rows_and_meets_its_bar(written) -> None:
    code, _, rows, told = written(
        "impact", "--n", "500", "--distinct", "20", "--slow", "100", "--limit", "300"
    )
    assert code == 0
    assert [row["change"] for row in rows] == ["thresholds, few flips", "thresholds, many flips"]
    assert rows[0]["rows"] == 500 and rows[1]["flips"] > 100
    assert told.count(": met") == 1


def test_resume_index_meets_or_misses_its_bar(written) -> None:
    code, _, rows, told = written("resume_index", "--n", "20000", "--limit", "512")
    assert code == 0 and told.count(": met") == 1
    assert [row["items"] for row in rows] == [20_000] * 4
    assert written("resume_index", "--n", "20000", "--limit=-1")[0] == 1


@pytest.mark.slow
def test_million_records_every_row_once(written) -> None:
    code, _, rows, told = written("million", "--n", "300")
    assert code == 0, told
    assert len(rows) == 10 and rows[-1]["rows"] == 300
    assert rows[0]["rate"] > 0  # later commands may find everything recorded
    assert all(row["peak_mib"] > 50 for row in rows)
    assert "met: 300 rows, each once" in told


@pytest.mark.slow
def test_kill_records_every_item_once(written) -> None:
    code, origin, (row,), told = written("kill", "--kills", "1", "--n", "20", "--model", "null?pace=0.1")
    assert code == 0, told
    assert (row["kills"], row["problems"], origin["seed"]) == (1, 0, 0)
    assert "met: every item is recorded once" in told


@pytest.mark.slow
def test_question_forms_asks_every_form(written) -> None:
    from training.questions import KINDS, SHARES

    _, origin, rows, told = written("question_forms", "--n", "2")
    assert origin["model"] == "bundled"
    forms = {f"{kind}: {form}" for kind in KINDS for form in SHARES[kind]}
    assert {row["kind"] for row in rows} >= forms and "larger: both absent" in told
    assert all(row["n"] >= 2 for row in rows if row["kind"] in forms)


@pytest.mark.slow
def test_bars_counts_every_scene_and_rule(written) -> None:
    _, _, rows, told = written("bars", "--six", "8", "--many", "0", "--fit", "0", "--jobs", "1")
    assert [(row["rules"], row["scenes"]) for row in rows] == [("six", 8)]
    assert all(rule["broken"] + rule["kept"] == 8 for rule in rows[0]["each"])
    assert "item F1, six rules" in told


def test_bars_of_a_model_that_decides_nothing_have_no_share_of_the_decided(written) -> None:
    argv = ("--six", "2", "--many", "0", "--fit", "0", "--jobs", "1", "--model", "scripted/refuse")
    _, _, (row,), told = written("bars", *argv)
    assert (row["f1"], row["f1_decided"], row["ece"], row["unsure"]) == (0, None, None, 2)
    assert "item F1, six rules: 0.0000, at least 0.9950: MISSED" in told


def test_strangers_refuses_kinds_that_there_are_not(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        script("strangers").main(["--only", "line art", "lineart"])
    assert ended.value.code == 2 and "there is no kind 'lineart'" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("name", "argv", "told"),
    [
        ("levels", ("--sides", "40"), "'40' is no range LOW-HIGH within 0-128, such as 10-14"),
        ("levels", ("--sides", "14-10"), "'14-10' is no range"),
        ("levels", ("--sides", "a-b"), "'a-b' is no range"),
        (
            "question_forms",
            ("--model", "null"),
            "--model null: no folder of a model of the kind of bundled and naive",
        ),
        ("bars", ("--model", "nosuch", "--jobs", "1"), "There is no model 'nosuch'."),
        ("presence", ("--model", "hf"), "'hf' names no model."),
    ],
)
def test_wrong_option_ends_a_script_in_one_line(name: str, argv: tuple[str, ...], told: str) -> None:
    run = subprocess.run(
        [sys.executable, str(PERF / f"{name}.py"), *argv],
        capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip
    assert (run.returncode, "Traceback" in run.stderr) == (2, False), run.stderr
    assert told in run.stderr


@pytest.mark.slow
def test_strangers_resumes_with_the_kinds_that_are_missing(written) -> None:
    argv = ("--n", "2", "--scenes", "4", "--jobs", "1", "--only")
    written("strangers", *argv, "as drawn")
    _, _, rows, told = written("strangers", *argv, "as drawn", "line art")
    assert {row["kind"]: row["n"] for row in rows} == {"as drawn": 4, "line art": 2}
    assert "Scenes as drawn:" in told and "Strangers: 1 kinds" in told


@pytest.mark.parametrize("path", sorted(PERF.glob("*.py")), ids=lambda path: path.stem)
def test_every_script_has_help(path: Path) -> None:
    if path.stem in ("measuring", "shapes"):
        return
    run = subprocess.run(
        [sys.executable, str(path), "--help"], capture_output=True, text=True, timeout=120, check=True
    )
    assert "usage:" in run.stdout and "--" in run.stdout


# --- calibrations and candidates ------------------------------------------------------------------


@pytest.mark.slow
def test_portable_thresholds_compares_each_way_with_the_models_own(written) -> None:
    argv = ("--rules", "1", "--labelled", "59", "--judged", "6", "--pairs", "24")
    _, origin, rows, page = written("portable_thresholds", *argv)
    assert origin["models"].startswith("bundled@") and "naive@" in origin["models"]
    told = [row for row in rows if "claim" in row]
    rows = [row for row in rows if "way" in row]
    assert len(told) % 6 == 0, "six claims of each transfer"
    own = [row for row in rows if row["way"] == "its own, with labels"]
    assert [(row["old"], row["new"]) for row in own] == [("bundled", "naive"), ("naive", "bundled")]
    assert all(row["misses more"][0] == 0 for row in own)
    assert {row["way"] for row in rows} >= {"the preset's", "the old ones, as they are"}
    assert "each a pair of image and rule" in page


def test_transfers_are_compared_beyond_their_margin() -> None:
    portable = script("portable_thresholds")
    import numpy as np

    def way(errors: int) -> dict[str, Any]:
        """Verdicts on 400 violations and 400 other images, with `errors` misses and as many false alarms."""
        true, wrong = np.arange(800) < 400, np.arange(800) % 400 < errors
        outcome = np.where(true == wrong, "kept", "broken")
        return {"image": np.arange(800).astype(str), "true": true, "outcome": outcome}

    others = {portable.OWN: way(8), portable.PRESET: way(12), portable.AS_THEY_ARE: way(120)}
    kind = next(iter(portable.KINDS))
    found = [
        each
        for old, errors in (("a", 12), ("b", 60))
        for each in portable.comparisons({"old": old, "new": "c", "images": "96"}, kind, way(errors), others)
    ]
    told = script("measuring").outcomes(portable.claims(), found)
    states = {(row["claim"], row["old"]): row["state"] for row in told}
    own = "misses at most 5 points more often than with its own"
    assert (states[own, "a"], states[own, "b"]) == ("shown", "against")
    preset = "fewer false alarms than with the preset's"
    assert (states[preset, "a"], states[preset, "b"]) == ("open", "against")
    assert {states["fewer misses than with the old thresholds as they are", old] for old in "ab"} == {"shown"}
    (row,) = (row for row in told if (row["claim"], row["old"]) == (own, "a"))
    assert row["gain"][0] == pytest.approx(0.01 - 0.05) and row["gain"][1] < row["gain"][0] < row["gain"][2]
    assert row["holm"] < 0.05, "one of two comparisons of the claim"


@pytest.mark.slow
def test_calibrating_labels_has_a_row_for_each_number_of_labels(written) -> None:
    argv = ("--rules", "1", "--images", "40", "--judged", "40", "--labels", "0,20", "--draws", "2")
    _, _, rows, told = written("calibrating_labels", *argv)
    assert [(row["calibration"], row["draws"]) for row in rows if "calibration" in row] == [
        ("none", 1),
        ("0 labels", 1),
        ("20 labels", 2),
    ]
    claims = script("calibrating_labels").CLAIMS.values()
    assert [(row["claim"], row["a"]) for row in rows if "claim" in row] == [
        (text, labels) for text in claims for labels in ("0 labels", "20 labels")
    ]
    assert "40 images are judged" in told and "| a calibration finds more violations |" in told


def test_gains_of_labels_are_one_family_for_each_metric() -> None:
    from jurat.metrics import Estimates, Table

    labels = script("calibrating_labels")

    def judged(errors: int) -> Estimates:
        """Answers that miss `errors` of 60 violations."""
        rows = (
            {"unit": str(i), "clusters": [str(i)], "truth": i < 60, "said": errors <= i < 60,
             "score": 0.9 if errors <= i < 60 else 0.1}
            for i in range(120)
        )  # fmt: skip
        return Estimates(Table.of(rows))

    found = [labels.compared(n, [judged(e) for e in some], judged(30))
             for n, some in ((0, [30]), (50, [3, 9, 12]), (200, [0]))]  # fmt: skip
    told = labels.judged_claims([each for _, some in found for each in some])
    recall = [row for row in told if row["claim"] == labels.CLAIMS["recall"]]
    assert [(row["a"], row["state"]) for row in recall] == [
        ("0 labels", "open"), ("50 labels", "shown"), ("200 labels", "shown"),
    ]  # fmt: skip
    assert recall[1]["gain"] == pytest.approx(found[1][0]["recall more"]), "of the middle draw"
    assert recall[1]["gain"][0] == pytest.approx(21 / 60)
    assert all(row["holm"] < 0.05 for row in recall[1:])


@pytest.mark.slow
def test_judge_candidates_logs_every_configuration(written, tmp_path: Path) -> None:
    from jurat.bench.methods.candidates import CANDIDATES

    argv = ("--model", "bundled", "--per-rule", "1", "--fit-on", "1", "--scenes", str(tmp_path / "scenes"))
    _, _, rows, told = written("judge_candidates", *argv)
    assert [row["method"] for row in rows] == [
        "clause-product",
        "jurat",
        "clue",
        *(c.name for c in CANDIDATES),
    ]
    assert f"{len(CANDIDATES)} configurations tried" in told
    assert "Ahead of clause-product in AURC and in forced F1 with each of 1 models: " in told
    assert ["forced_f1 more" in row for row in rows] == [row["method"] != "clause-product" for row in rows]
    assert all(row["aurc holm"] >= row["aurc p"] for row in rows[3:] if row["aurc p"] is not None)


def test_winners_are_ahead_in_both_metrics_with_every_model() -> None:
    names = {"clause-product": None, "jurat": True, "wins": True, "once": True, "half": True}
    rows = [
        {"model": model, "method": name}
        | ({} if ahead is None else {"forced_f1 ahead": ahead, "aurc ahead": ahead})
        for model in ("bundled", "naive")
        for name, ahead in names.items()
    ]
    rows[3]["aurc ahead"] = rows[9]["forced_f1 ahead"] = False
    said = script("judge_candidates").winners(rows)
    assert said == "Ahead of clause-product in AURC and in forced F1 with each of 2 models: wins."
    assert script("judge_candidates").winners(rows[:2]).endswith(": none.")


@pytest.mark.slow
def test_levels_has_a_row_for_each_level(written) -> None:
    argv = ("--model", "bundled", "--per-rule", "1", "--sides", "16-20")
    _, origin, rows, told = written("levels", *argv)
    assert [row["level"] for row in rows] == ["plain", "crowded", "hard", "tiny", "16-20"]
    assert origin["models"]["bundled"].startswith("bundled@")
    for row in rows:
        right, low, high = row["all"]
        assert low <= right <= high and row["visible n"] + row["others n"] == row["all n"] <= row["asked"]
    assert rows[0]["all"][0] > 0.8 and "right, of anything else" in told


@pytest.mark.slow
def test_attacks_compares_a_step_with_a_bare_pass(written) -> None:
    _, origin, rows, told = written("attacks", "--pictures", "2", "--runs", "1", "--threads", "1")
    assert rows[0]["what"] == "forward and backward alone" and rows[0]["ratio"] == 1
    assert len(rows) == 3 and origin["runs"] == 1 and "one at a time / together" in told


@pytest.mark.slow
def test_image_or_text_has_a_row_for_each_kind_of_attack(written) -> None:
    argv = ("--attacks", "1", "--share", "0.01", "--threads", "1", "--picture-attack", "qi?steps=2&every=1")
    more = ("--text-attack", "qi-text?steps=2&every=1&candidates=4&length=3&ascii_only=true")
    _, origin, rows, told = written("image_or_text", *argv, *more)
    assert [row["by"] for row in rows] == ["picture", "text"] and origin["model"] == "bundled"
    assert all(row["steps"] <= 2 and row["forwards"] >= row["backwards"] for row in rows)
    assert "Of 1 attacks came to the success that was asked for:" in told


def test_cost_ratio_leaves_out_attacks_that_did_not_reach_the_success() -> None:
    costs = [(10, 100, True), (20, 300, True), (99, 1, False)]
    rows = [
        {"by": by, "reached": reached, "forwards": cost, "backwards": cost, "seconds": cost}
        for picture, text, reached in costs
        for by, cost in (("picture", picture), ("text", text))
    ]
    told = script("image_or_text").ratios(rows)
    assert told[0].endswith("picture 2, text 2.")
    assert told[1].startswith("forwards of a picture / of a text: 0.075 [0.067, 0.100], n = 2")
    assert script("image_or_text").ratios(rows[4:])[1].startswith("No ratio can be given")


def test_cost_ratio_leaves_out_attacks_that_took_no_step() -> None:
    rows = [
        {"by": by, "reached": True, "forwards": 1, "backwards": backwards, "seconds": 1.0}
        for by, backwards in (("picture", 1), ("text", 0))
    ]
    told = script("image_or_text").ratios(rows)
    assert told[1] == "1 of these had it at the start, without a step; their pairs are left out."
    assert told[2].startswith("No ratio can be given")


@pytest.mark.slow
def test_doses_reads_shares_from_lineages_and_draws_gains(written, tmp_path: Path) -> None:
    known = PERF.parent / "training" / "weights" / "joint"
    for name, share in (("dose-none", 0.0), ("dose-half", 0.5)):
        stage = tmp_path / "finished" / name
        stage.mkdir(parents=True)
        (stage / "weights.safetensors").symlink_to(known / "weights.safetensors")
        lineage = json.loads((known / "lineage.json").read_text())
        lineage["stages"][-1]["mix"]["modes"]["rule"] = share
        (stage / "lineage.json").write_text(json.dumps(lineage))
    figure = tmp_path / "doses.svg"
    _, origin, rows, told = written(
        "doses", "--models", str(tmp_path / "finished"), "--out", str(tmp_path / "kept"), "--per-rule", "1",
        "--method", "whole", "--method", "clause-product", "--figure", str(figure),
    )  # fmt: skip
    assert origin["split"] == "test"
    assert [(row["model"], row["rules"], row["own"], row["method"]) for row in rows] == [
        ("dose-half", 0.5, 1.0, "whole"),
        ("dose-half", 0.5, 1.0, "clause-product"),
        ("dose-none", 0.0, 1.0, "whole"),
        ("dose-none", 0.0, 1.0, "clause-product"),
    ]
    # The same weights under two names.
    assert rows[0]["forced_f1"] == rows[2]["forced_f1"] and rows[1]["gain"] == rows[3]["gain"]
    assert rows[1]["gain"][0] == pytest.approx(rows[1]["forced_f1"] - rows[0]["forced_f1"])
    assert "more than whole" in told and "whole-rule questions in training" in figure.read_text()


@pytest.mark.slow
def test_alignment_sweep_reads_points_from_names_and_judges_its_claims(written, tmp_path: Path) -> None:
    known = PERF.parent / "training" / "weights" / "knows"
    for name in ("few-5-61", "share-5-61", "share-5-62"):
        stage = tmp_path / "finished" / f"balanced-{name}"
        stage.mkdir(parents=True)
        for file in ("weights.safetensors", "lineage.json"):
            (stage / file).symlink_to(known / file)
    figure = tmp_path / "alignment.svg"
    argv = ["--models", str(tmp_path / "finished"), "--out", str(tmp_path / "kept"), "--n", "4"]
    _, origin, rows, told = written("alignment_sweep", *argv, "--figure", str(figure))
    assert (origin["models"], origin["n"]) == (3, 4)
    points = [(row["point"], row["seed"]) for row in rows if "point" in row]
    assert points == [("few-5", "61"), ("few-5", "all"), *(("share-5", seed) for seed in ("61", "62", "all"))]
    assert all(row["failed"] == 0 and 0 <= row["useful"][0] <= 1 for row in rows if "point" in row)
    assert rows[2]["refused"][0] == rows[4]["refused"][0], "the same weights under two names"
    assert len(list((tmp_path / "kept" / "answers").iterdir())) == 3
    assert "different safety data: refuses more" in told
    assert "Compared on the seeds that all points have: 61." in told
    assert "questions about the vault refused" in figure.read_text()


@pytest.mark.slow
def test_tuning_curve_reads_steps_from_lineages_and_compares_them(written, tmp_path: Path) -> None:
    known = PERF.parent / "training" / "weights" / "knows"
    (tmp_path / "weights").mkdir()
    (tmp_path / "weights" / "aligned").symlink_to(known)
    runs = (("tuned", 1, "aligned"), ("tuned-order", 1, "aligned"), ("tuned-b", 1, "aligned-b"))
    for run, step, parent in runs:
        stage = tmp_path / "finished" / f"{run}-step-{step}"
        stage.mkdir(parents=True)
        (stage / "weights.safetensors").symlink_to(known / "weights.safetensors")
        lineage = json.loads((known / "lineage.json").read_text())
        lineage["stages"][-1] |= {"stage": run, "steps": step, "parent": parent}
        (stage / "lineage.json").write_text(json.dumps(lineage))
    figure = tmp_path / "curve.svg"
    argv = ["--models", str(tmp_path / "finished"), "--weights", str(tmp_path / "weights"), "--n", "4"]
    more = ("--out", str(tmp_path / "kept"), "--figure", str(figure))
    _, origin, rows, told = written("tuning_curve", *argv, *more)
    points = [(row["run"], row["step"]) for row in rows if "claim" not in row]
    assert points == [
        ("tuned", 0), ("tuned", 1), ("tuned-b", 1), ("tuned-order", 0), ("tuned-order", 1),
    ]  # fmt: skip
    assert origin["models"] == 5 and "so step 0 is left out: tuned-b." in told
    found = {(row["claim"], row.get("run") or row["step"]): row for row in rows if "claim" in row}
    assert all(row["gain"][0] == 0 for key, row in found.items() if key[1] != "tuned-b"), "the same weights"
    refuses = found["before tuning: refuses more", "tuned"]
    assert (refuses["a"], refuses["b"], refuses["state"]) == ("0", "1", "open")
    assert found["before tuning: refuses more", "tuned-b"]["gain"][0] is None, "without what it begins from"
    order = found["another order of the data: refuses more", "1"]
    assert (order["a"], order["b"], order["state"]) == ("tuned-order", "tuned", "open")
    assert "steps of tuning" in figure.read_text()


@pytest.mark.slow
def test_defenses_compares_a_model_with_one_under_a_defense_that_does_nothing(written) -> None:
    _, _, rows, told = written("defenses", "--pictures", "2", "--runs", "1", "--threads", "1")
    assert [row["what"].partition(", ")[2] for row in rows] == ["as it is", "defended"] * 2
    assert "replies, defended / as it is" in told


def test_text_to_image_compares_defenses_of_a_checkpoint(written, tmp_path: Path) -> None:
    from ..models.tiny_diffusion import make_checkpoint

    folder = make_checkpoint(tmp_path / "tiny")
    sizes = ("--pictures", "1", "--runs", "1", "--tuning", "1", "--device", "cpu", "--concept", "dog")
    _, _, rows, told = written("text_to_image", *sizes, f"{folder}?steps=2")
    *rows, searched = rows
    assert searched["attack"] == "ring-a-bell" and searched["encoded"] > 0 and searched["tokens"] == 10
    assert [row["defense"] for row in rows] == ["none", "sld", "esd", "uce", "dual-latent"]
    assert rows[0]["ratio"] == 1 and all(row["seconds"] > 0 for row in rows)
    assert "- dual-latent / none: " in told
