"""The tables that are committed in docs/results: a slice of them is drawn and judged again.

Where there are tables, these tests fail, and say what to do, if they are of other weights, rules or scenes
than those that ship: a table that nobody can make again is worth nothing.
"""

from __future__ import annotations

import copy
import json
from itertools import islice
from pathlib import Path

import pytest

from jurat.bench import slice as slice_module
from jurat.bench import table
from jurat.bench.methods.base import Ground
from jurat.bench.methods.registry import find_method, rows_for
from jurat.bench.pictogram import SPLITS, draw_split, law_of
from jurat.bench.pictogram import splits as splits_module
from jurat.bench.pictogram.splits import FORMAT
from jurat.bench.plan import Plan, Subject
from jurat.bench.results import as_markdown
from jurat.bench.run import run_bench
from jurat.bench.slice import SCENES, SPLIT, told
from jurat.models.vision import open_detector

RESULTS = Path(__file__).parents[2] / "docs" / "results" / "pictograms" / "results.json"
PRESETS = ("jurat", "direct")
"""That are judged again: what looks most often, and what looks least."""
SHIPPED = ("bundled", "naive")
"""Models that need no folder of weights besides."""
AGAIN = (
    "Make it again with the commands in docs/bench.md (The tables in docs/results), and copy results.json, "
    "results.md and the figures to docs/results/pictograms."
)


def check_slice(results, label, scenes=None):
    """Draws the scenes of a results file's slice, judges them with `PRESETS`, and compares."""
    came_from = results["provenance"]
    bench = came_from["bench"]
    assert bench["format"] == FORMAT, f"The scenes are drawn in another way since. {AGAIN}"
    assert came_from["splits"][SPLIT]["constitution"] == law_of(SPLIT).digest, (
        f"The rules are others. {AGAIN}"
    )
    assert label in came_from["models"], f"There are no results of {label!r}. {AGAIN}"
    model, detector = Subject(label, label).open(), open_detector("bundled")
    for kept, opened in ((came_from["models"][label], model), (came_from["detector"], detector)):
        assert kept == f"{opened.name}@{opened.revision}", f"These weights are others since. {AGAIN}"
    scenes = scenes or list(islice(draw_split(SPLIT, bench["seed"], bench["per_rule"]), SCENES))
    ground = Ground(law_of(SPLIT), model, label, detector=lambda: detector)
    for preset in PRESETS:
        kept = [dict(e) for e in results["slice"] if (e["model"], e["preset"]) == (label, preset)]
        assert [entry.pop("scene") for entry in kept] == [scene.id for scene in scenes]
        for entry, ruling in zip(kept, find_method(preset)(ground, scenes), strict=True):
            again = {"model": label, "preset": preset} | told(ruling)
            # Machines differ in the last digits of a score, and in nothing else.
            assert again.pop("score") == pytest.approx(entry.pop("score"), abs=1e-3)
            assert again == entry


@pytest.fixture(scope="module")
def committed():
    return json.loads(RESULTS.read_text())


class TestCommittedTables:
    __test__ = RESULTS.is_file()
    """There are none until the first full run."""

    @pytest.mark.parametrize("label", SHIPPED)
    def test_the_slice_is_what_the_shipped_weights_decide(self, committed, label):
        check_slice(committed, label)

    def test_the_page_is_that_of_the_results(self, committed):
        assert (RESULTS.parent / "results.md").read_text() == as_markdown(committed)

    def test_they_say_where_they_come_from(self, committed):
        came_from = committed["provenance"]
        assert came_from["command"].startswith("jurat bench pictograms") and came_from["bench"]["seed"] >= 0
        commits = [run["commit"] for run in came_from["runs"]]
        assert commits and all(commit and not commit.endswith("-dirty") for commit in commits), came_from[
            "runs"
        ]
        assert set(came_from["splits"]) <= set(SPLITS) and set(SHIPPED) <= set(came_from["models"])

    def test_every_row_has_an_interval_and_a_cost(self, committed):
        for row in committed["rows"]:
            if row["f1"] is not None:
                low, high = row["f1_ci"]
                assert low <= row["f1"] <= high, (row["preset"], row["split"])
            assert row["question_tokens"] is not None and row["flops"] is not None, row["preset"]


def test_a_slice_of_other_decisions_scenes_or_weights_is_found_out(tmp_path, splits, monkeypatch):
    monkeypatch.setattr(table, "DRAWS", 20)
    monkeypatch.setattr(slice_module, "SCENES", 4)
    monkeypatch.setattr(splits_module, "draw_split", lambda split, seed, n: islice(splits[split], 4))
    plan = Plan(tmp_path, rows_for(PRESETS, []), [Subject("bundled", "bundled")], (SPLIT,), 3, 1)
    results = json.loads(json.dumps(run_bench(plan)))
    scenes = splits[SPLIT][:4]
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


def test_readme_and_method_quote_the_committed_tables():
    """Their figures are copied by hand: whoever makes the tables again is told which to change."""
    results = json.loads(RESULTS.read_text())
    rows = {
        (row["model"], row["preset"], row["split"]): row
        for row in results["rows"]
        if row["level"] == "item" and not row["ablate"]
    }
    readme = " ".join((RESULTS.parents[3] / "README.md").read_text().split())
    for preset in ("jurat", "clue", "direct"):
        assert _with_interval(rows["bundled", preset, "vault"]) in readme
    seeds = ("naive", "naive#2", "naive#3")
    for preset in ("jurat", "clue"):
        first, second, third = (f"{rows[seed, preset, 'vault']['f1']:.3f}" for seed in seeds)
        assert f"{first}, {second} and {third} with the" in readme
    method = (RESULTS.parents[2] / "method.md").read_text()
    for model in ("naive#all", "bundled"):
        for preset in ("jurat", "clue", "clue-refit", "clause-product", "direct"):
            of = [rows[model, preset, split] for split in ("test", "habits", "flip", "vault")]
            assert f"| `{preset}` | {' | '.join(map(_with_interval, of))} |" in method


def _with_interval(row):
    low, high = row["f1_ci"]
    return f"{row['f1']:.3f} ({low:.3f}–{high:.3f})"
