"""The tables that are committed in docs/results: a slice of them is drawn and judged again.

A table that nobody can make again is worth little. So where the tables are of other weights, rules or scenes
than those that ship, they are not judged again, and the pages that quote them have to say so in one sentence.
"""

from __future__ import annotations

import copy
import json
from itertools import islice
from pathlib import Path

import pytest

from jurat.bench import bench_run as run_module
from jurat.bench import table
from jurat.bench.bench_plan import BenchModel, BenchPlan
from jurat.bench.bench_run import SLICE_SCENES, SLICE_SPLIT, run_bench, slice_entry
from jurat.bench.methods.interface import Setup
from jurat.bench.methods.registry import find_method, rows_for
from jurat.bench.pictogram import SPLITS, constitution_of, draw_split
from jurat.bench.pictogram import splits as splits_module
from jurat.bench.pictogram.splits import FORMAT
from jurat.bench.results import as_markdown
from jurat.models import full_name
from jurat.models.vision import open_detector

RESULTS = Path(__file__).parents[2] / "docs" / "results" / "pictograms" / "results.json"
PRESETS = ("jurat", "direct")
"""That are judged again: what looks most often, and what looks least."""
SHIPPED = ("bundled", "naive")
"""Models that need no folder of weights besides."""
EARLIER = "at least one of these has changed since"
AGAIN = (
    "Make it again with the commands in docs/bench.md (The tables in docs/results), and copy results.json, "
    "results.md and the figures to docs/results/pictograms."
)


def changed_since(came_from, *labels):
    """What is other now than a results file says: the drawing of scenes, rules, or weights."""
    opened = {label: full_name(BenchModel(label, label).open()) for label in labels}
    now = {"drawing": FORMAT, "detector": full_name(open_detector("bundled")), **opened}
    then = {"drawing": came_from["bench"]["format"], "detector": came_from["detector"]}
    then |= {label: came_from["models"].get(label) for label in labels}
    for split, told in came_from["splits"].items():
        now[f"rules of {split}"] = constitution_of(split).digest
        then[f"rules of {split}"] = told["constitution"]
    return [name for name in now if now[name] != then[name]]


def check_slice(results, label, scenes=None):
    """Draws the scenes of a results file's slice, judges them with `PRESETS`, and compares."""
    came_from = results["provenance"]
    bench = came_from["bench"]
    assert not (others := changed_since(came_from, label)), f"Changed since: {', '.join(others)}. {AGAIN}"
    model, detector = BenchModel(label, label).open(), open_detector("bundled")
    scenes = scenes or list(islice(draw_split(SLICE_SPLIT, bench["seed"], bench["per_rule"]), SLICE_SCENES))
    setup = Setup(constitution_of(SLICE_SPLIT), model, label, detector=detector)
    for preset in PRESETS:
        kept = [dict(e) for e in results["slice"] if (e["model"], e["preset"]) == (label, preset)]
        assert [entry.pop("scene") for entry in kept] == [scene.id for scene in scenes]
        for entry, prediction in zip(kept, find_method(preset)(setup, scenes), strict=True):
            again = {"model": label, "preset": preset} | slice_entry(prediction)
            # Machines differ in the last digits of a score, and in nothing else.
            assert again.pop("score") == pytest.approx(entry.pop("score"), abs=1e-3)
            assert again == entry


@pytest.fixture(scope="module")
def committed():
    return json.loads(RESULTS.read_text())


class TestCommittedTables:
    __test__ = RESULTS.is_file()
    """There are none until the first full run."""

    @pytest.mark.parametrize(
        "label",
        [label if label == "bundled" else pytest.param(label, marks=pytest.mark.slow) for label in SHIPPED],
    )
    def test_shipped_weights_reproduce_the_committed_slice(self, committed, label):
        if others := changed_since(committed["provenance"], label):
            pytest.skip(f"The tables are of earlier {', '.join(others)}. {AGAIN}")
        check_slice(committed, label)

    @pytest.mark.parametrize("page", ["docs/method.md", "README.md"])
    def test_pages_say_which_earlier_weights_and_rules_the_tables_are_of(self, committed, page):
        came_from = committed["provenance"]
        names = " and ".join(f"`{came_from['models'][label]}`" for label in SHIPPED)
        bench = f"format {came_from['bench']['format']} of the bench"
        told = f"These tables are of {bench} and of {names}; {EARLIER}."
        text = " ".join((RESULTS.parents[3] / page).read_text().split())
        if changed_since(came_from, *SHIPPED):
            assert told in text, f"{page} has to say: {told}"
        else:
            assert EARLIER not in text, f"{page} says of present tables that they are of earlier ones."

    def test_results_md_equals_results_json(self, committed):
        assert (RESULTS.parent / "results.md").read_text() == as_markdown(committed)

    def test_committed_tables_have_provenance(self, committed):
        came_from = committed["provenance"]
        assert came_from["command"].startswith("jurat bench pictograms") and came_from["bench"]["seed"] >= 0
        commits = [run["commit"] for run in came_from["runs"]]
        assert commits and all(commit and not commit.endswith("-dirty") for commit in commits), came_from[
            "runs"
        ]
        assert set(came_from["splits"]) <= set(SPLITS) and set(SHIPPED) <= set(came_from["models"])
        assert isinstance(came_from["bench"]["format"], int) and came_from["detector"]
        assert all(split["constitution"] for split in came_from["splits"].values())
        assert all("@" in name for name in came_from["models"].values())

    def test_every_row_has_an_interval_and_a_cost(self, committed):
        for row in committed["rows"]:
            assert "accuracy_wilson" not in row
            if row["f1"] is not None:
                low, high = row["f1_range" if row["seeds"] > 1 else "f1_ci"]
                assert low <= row["f1"] <= high, (row["preset"], row["split"])
            assert row["question_tokens"] is not None and row["flops"] is not None, row["preset"]


def test_check_slice_detects_other_decisions_scenes_or_weights(tmp_path, splits, monkeypatch):
    monkeypatch.setattr(table, "DRAWS", 20)
    monkeypatch.setattr(run_module, "SLICE_SCENES", 4)
    monkeypatch.setattr(splits_module, "draw_split", lambda split, seed, n: islice(splits[split], 4))
    plan = BenchPlan(
        tmp_path, rows_for(PRESETS, []), [BenchModel("bundled", "bundled")], (SLICE_SPLIT,), 3, 1
    )
    results = json.loads(json.dumps(run_bench(plan)))
    scenes = splits[SLICE_SPLIT][:4]
    check_slice(results, "bundled", scenes)
    for path, value in (
        (("slice", 0, "outcome"), "unsure"),
        (("slice", 4, "question_tokens"), 1),
        (("slice", 1, "scene"), "test/none/000/broken"),
        (("provenance", "models", "bundled"), "bundled@0"),
        (("provenance", "bench", "format"), FORMAT - 1),
    ):
        changed = copy.deepcopy(results)
        place = changed
        for step in path[:-1]:
            place = place[step]
        place[path[-1]] = value
        with pytest.raises(AssertionError):
            check_slice(changed, "bundled", scenes)


SHOWN = ("test", "habits", "flip", "vault")


@pytest.fixture(scope="module")
def rows():
    results = json.loads(RESULTS.read_text())
    return {
        (row["model"], row["split"], "-no-".join((row["preset"], *row["ablate"])), row["level"]): row
        for row in results["rows"]
    }


@pytest.fixture(scope="module")
def method():
    return (RESULTS.parents[2] / "method.md").read_text()


def test_method_page_quotes_forced_accuracy_aurc_and_coverage(rows, method):
    """The page copies figures from the tables; this test lists those to update."""
    told = 0
    for model in ("bundled", "naive", "naive#2", "naive#3"):
        for name in (
            "jurat",
            "clause-product",
            "quick",
            "clue",
            "clue-no-reason",
            "direct",
            "detector-geometry",
        ):
            found = [rows.get((model, split, name, "item")) for split in SHOWN]
            if found[0] is None:
                continue
            cost = "–" if found[-1] is None else f"{found[-1]['flops'] / 1e9:.3g}"
            assert f"| `{name}` | {' | '.join(map(_forced, found))} | {cost} |" in method, (model, name)
            told += 1
    assert told == 24


def _forced(row):
    if row is None:
        return "–"
    return f"{1 - row['risk_at']['1.0']:.3f} / {row['aurc']:.3f} / {1 - row['unsure']:.3f}"


def test_method_page_quotes_strict_f1(rows, method):
    for model in ("naive#all", "bundled"):
        for name in ("jurat", "clue", "clue-refit", "clause-product", "direct"):
            of = [rows[model, split, name, "item"] for split in SHOWN]
            assert f"| `{name}` | {' | '.join(map(_with_interval, of))} |" in method


def test_method_page_claims_match_the_figures(rows, method):
    def value(model, split, name, key="forced", level="item"):
        row = rows[model, split, name, level]
        return {
            "forced": lambda: 1 - row["risk_at"]["1.0"],
            "wrong": lambda: row["risk_at"]["1.0"],
            "coverage": lambda: 1 - row["unsure"],
            "risk": lambda: row["risk_at"]["0.9"],
        }.get(key, lambda: row[key])()

    models, seeds = ("naive", "naive#2", "naive#3", "bundled"), ("naive", "naive#2", "naive#3")
    both = [(value(m, s, "jurat"), value(m, s, "clause-product")) for m in models for s in SHOWN]
    gaps = [ours - theirs for ours, theirs in both]
    assert min(gaps) > 0 and len(gaps) == 16
    assert "in all 16 pairs of model and split" in method and _between(gaps) == "0.001 to 0.027"
    shares = [
        value(m, s, "clause-product", "flops") / value(m, s, "jurat", "flops") for m in models for s in SHOWN
    ]
    assert f"takes {min(shares):.0%}".rstrip("%") == "takes 52" and f"{max(shares):.0%}" == "75%"
    for m, s in ((m, s) for m in models for s in SHOWN):
        assert value(m, s, "jurat") > value(m, s, "clue"), "fewer forced errors and a lower AURC than `clue`"
        assert value(m, s, "jurat", "aurc") < value(m, s, "clue", "aurc")
    for split in SHOWN:
        mean = sum(value(seed, split, "jurat", "f1") for seed in seeds) / 3
        geometry = value("naive", split, "detector-geometry", "f1")
        assert mean < geometry < value("naive", split, "jurat", "f1")
        assert value("naive", split, "jurat", "aurc") < value("naive", split, "detector-geometry", "aurc")
    # Reasoning: strict F1 says the opposite of forced errors and AURC.
    naive, bundled = (
        [(value(m, "test", n, "f1"), value(m, "test", n, "wrong"), value(m, "test", n, "aurc")) for n in (
            "clue", "clue-no-reason")] for m in ("naive", "bundled")
    )  # fmt: skip
    assert [[f"{each:.3f}" for each in some] for some in naive] == [
        ["0.810", "0.213", "0.154"],
        ["0.615", "0.052", "0.016"],
    ]
    assert [[f"{each:.3f}" for each in some[1:]] for some in bundled] == [
        ["0.057", "0.017"],
        ["0.056", "0.015"],
    ]
    assert "21.3% of the verdicts are wrong with reasoning and 5.2% without" in method
    # One question a rule: one sentence form of flip.
    form = ("hat-on-child", "shoe-on-dog", "baby-touches-knife")
    by = {m: rows[m, "flip", "direct", "rule"]["by"]["rule"] for m in models}
    named = [by[m][name] for m in models for name in form]
    others = [sum(v for n, v in by[m].items() if n not in form) / 11 for m in models]
    assert _between(named) == "0.325 to 0.475" and f"{min(others):.2f} to {max(others):.2f}" == "0.83 to 0.96"
    assert "is right on 0.325 to 0.475 of the scenes" in method and "on 0.83 to 0.96" in method
    for model in ("bundled", "naive"):
        for split in SHOWN:
            clues = [
                rows.get((model, split, n, "item")) for n in ("clue", "clue-no-relevance", "clue-no-reason")
            ]
            least = min(row["risk_at"]["0.9"] for row in clues if row is not None)
            assert f"{value(model, split, 'jurat', 'risk'):.3f} to {least:.3f}" in method
    finds = [rows[m, s, n, "item"]["recall"] for m in models for s in SHOWN for n in ("whole", "whole-cot")]
    assert f"0 to {max(finds):.1%} of the violations" in method


def test_method_page_quotes_costs_parts_and_rare_scenes(rows, method):
    page = " ".join(method.split())

    def forced(model, split, name):
        return 1 - rows[model, split, name, "item"]["risk_at"]["1.0"]

    def tokens(model, split, name):
        row = rows[model, split, name, "item"]
        return row["question_tokens"] + row["generated_tokens"]

    shy = rows["naive#3", "test", "jurat", "item"]
    assert (
        f"finds {shy['recall']:.3f} of the violations of test, at a precision of {shy['precision']:.3f}"
        in page
    )
    for model in ("naive", "bundled"):
        pairs = (
            f"{forced(model, split, 'jurat'):.3f} to {forced(model, split, 'clue-no-reason'):.3f}"
            for split in ("test", "habits")
        )
        assert f"{' and '.join(pairs)} with " in page
    reach = [forced("naive", split, "detector-geometry") for split in SHOWN]
    assert f"a forced accuracy of {_between(reach)}" in page
    assert (
        f"{tokens('naive#2', 'flip', 'jurat'):.0f} tokens to {tokens('naive#2', 'flip', 'clue'):.0f}" in page
    )
    for preset, parts in (
        ("clue", ("clauses", "relevance", "debias")),
        ("jurat", ("clauses", "views", "debias")),
    ):
        for part in parts:
            less = f"{preset}-no-{part}"
            gains = (
                forced(model, "test", preset) - forced(model, "test", less) for model in ("naive", "bundled")
            )
            named = {"views": "the second look", "debias": "debiasing"}.get(part, part)
            assert f"{named} {' and '.join(f'{gain:+.3f}' for gain in gains)}" in page, (preset, part)
    rare = {n: [rows[m, "rare", n, "item"] for m in ("naive", "bundled")] for n in ("jurat", "clue")}
    wrong = {name: [f"{1 - row['accuracy']:.1%}" for row in some] for name, some in rare.items()}
    assert f"{wrong['jurat'][0]} (`naive`) and {wrong['jurat'][1]} (bundled) of the scenes" in page
    assert f"`clue` on {wrong['clue'][0]} and {wrong['clue'][1]}." in page
    right = {name: [f"{row['precision_at']['0.003']:.0%}" for row in some] for name, some in rare.items()}
    assert f"{' and '.join(right['jurat'])} of the alarms of `jurat` would be right" in page
    assert f"and {' and '.join(right['clue'])} of those of `clue`" in page


def test_method_page_quotes_differences_from_the_product(method):
    page = " ".join(method.split())
    of = [
        each
        for each in json.loads(RESULTS.read_text())["paired"]
        if (each["a"], each["b"]) == ("jurat", "clause-product") and not each["model"].endswith("#all")
    ]
    strict = [each for each in of if each["metric"] == "f1" and each["split"] in SHOWN]
    differences = [each["difference"] for each in strict]
    assert len(strict) == 16
    assert f"F1 differs by {min(differences):+.3f} to {max(differences):+.3f}, with an interval" in page
    beyond = [each["ci"] for each in strict if not each["ci"][0] <= 0 <= each["ci"][1]]
    assert len(beyond) == 4 and min(map(min, beyond)) > 0
    assert "excludes zero in 4 of 16 pairs of model and split, all in favour of `jurat`" in page
    ahead = {
        (each["model"], each["split"])
        for each in of
        if each["metric"] == "aurc" and each["split"] in SHOWN and each["ci"][1] < 0
    }
    everyone = ("naive", "naive#2", "naive#3", "bundled")
    assert ahead == {
        *((model, "vault") for model in everyone),
        *((model, split) for model in ("naive#2", "naive#3") for split in ("test", "habits")),
    }


def test_method_page_quotes_the_table_of_candidates(method):
    table = json.loads((RESULTS.parents[1] / "candidates.json").read_text())["rows"]
    known = {(row["model"], row["preset"]): row for row in table}
    for part in ("contrasts", "opposites", "coherent", "placebo", "costs", "ordered", "nulls"):
        rows = [known[model, f"jurat+{part}"] for model in ("naive", "bundled")]
        base = [known[model, "jurat"]["flops"] for model in ("naive", "bundled")]
        f1, aurc = (
            ", ".join(
                f"{row[f'{name}_difference']:+.{digits}f}" if row[f"{name}_difference"] else "0"
                for row in rows
            )
            for name, digits in (("f1", 3), ("aurc", 4))
        )
        times = [row["flops"] / least for row, least in zip(rows, base, strict=True)]
        cost = ", ".join("1" if abs(each - 1) < 0.01 else f"{each:.1f}" for each in times)
        (line,) = (line for line in method.splitlines() if line.startswith(f"| `{part}` |"))
        assert line.endswith(f"| {f1} | {aurc} | {cost} |"), part


def _between(values):
    return f"{min(values):.3f} to {max(values):.3f}"


def test_readme_quotes_the_committed_tables(rows):
    readme = (RESULTS.parents[3] / "README.md").read_text()
    named = {
        "jurat": "the default, as it was then (without `presence`)",
        "clue": "the paper's procedure",
        "direct": "one question a rule",
        "clause-product": "baseline: product of the clauses' probabilities, {share:.0%} of the "
        "default's FLOPs",
        "detector-geometry": "baseline: detector and arithmetic on its boxes, no multimodal LLM",
    }
    of = {name: rows["bundled", "vault", name, "item"] for name in named}
    share = of["clause-product"]["flops"] / of["jurat"]["flops"]
    for name, row in of.items():
        cells = f"{1 - row['risk_at']['1.0']:.3f} | {row['aurc']:.3f} | {_with_interval(row)}"
        assert f"| {named[name].format(share=share)} | {cells} |" in readme
    seeds = ("naive", "naive#2", "naive#3")
    for name in ("jurat", "clause-product"):
        right = [f"{1 - rows[seed, 'vault', name, 'item']['risk_at']['1.0']:.3f}" for seed in seeds]
        assert f"{right[0]}, {right[1]} and {right[2]} with the" in " ".join(readme.split())


def _with_interval(row):
    low, high = row["f1_range" if row["seeds"] > 1 else "f1_ci"]
    return f"{row['f1']:.3f} ({low:.3f}–{high:.3f})"
