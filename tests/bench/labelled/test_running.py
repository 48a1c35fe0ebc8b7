"""`jurat bench labelled` from labels to page: resumed, with wordings, with methods that are fitted."""

from __future__ import annotations

import json
import math

import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner

from jurat.bench.bench_plan import BenchModel, BenchPlan
from jurat.bench.cost import Spending
from jurat.bench.labelled.labelled_images import read_labelled
from jurat.bench.labelled.run import methods_for, run_labelled
from jurat.bench.labelled.sections import sections_of
from jurat.bench.labelled.summary import as_markdown
from jurat.bench.methods import clip_probe
from jurat.bench.methods.interface import NotApplicable, Prediction, Setup, Tuning
from jurat.bench.methods.registry import Method, find_method
from jurat.cli import app
from jurat.constitution import parse_constitution
from jurat.metrics import UNSURE, holm, read_table

from .conftest import LAW

ITEMS = "items"
SPENT = Spending(1, 7, flops=1e9)


def bench(folder, *more, code=0):
    places = ("--images", folder / "pictures", "--labels", folder / "labels.csv", "--out", folder / "out")
    model = ("-m", "null", "-p", "quick", "-p", "whole")
    done = CliRunner().invoke(app, ["bench", "labelled", *map(str, (*places, *model, *more))])
    assert done.exit_code == code, done.output
    if code:
        return done.output, {}
    data = json.loads((folder / "out" / "labelled.json").read_text())
    return done.output, data


@pytest.fixture
def labelled_folder(folder):
    (folder / "labels.csv").write_text("file,broken\na.png,red\nb.png,\nc.png,red; big\n")
    return folder


def law(folder):
    return ("-c", folder / "constitution.yaml")


def rows(data):
    return {row["method"]: row for row in data["rows"]}


def test_page_data_and_rulings_are_written(labelled_folder):
    told, data = bench(labelled_folder, *law(labelled_folder))
    found = rows(data)
    assert {name: row["item"]["n"] for name, row in found.items()} == {
        "quick": 3, "whole": 3, "always unsafe": 3, "always safe": 3,
    }  # fmt: skip
    assert found["quick"]["rules"]["n"] == 6 and "rules" not in found["whole"]
    assert "takes at least 20" in next(
        e["reason"] for e in data["left_out"] if e["preset"] == "quick+calibrate"
    )
    out = labelled_folder / "out"
    assert (out / "labelled.md").read_text() == as_markdown(data)
    assert as_markdown(data).strip() in told.replace("\r", "")
    rulings = read_table(out / "rulings.parquet")
    kept = rulings.where({"method": "quick", "rule": ""})
    assert kept.units.tolist() == ["a.png", "b.png", "c.png"] and kept.truth.tolist() == [1, 0, 1]
    page = (out / "index.html").read_text()
    assert all(f'id="{section.id}"' in page for section in sections_of(data))


def test_unreadable_image_is_an_error_of_every_method(labelled_folder):
    (labelled_folder / "pictures" / "b.png").write_bytes(b"no picture")
    told, data = bench(labelled_folder, *law(labelled_folder))
    assert [rows(data)[name]["reasons"]["error"] for name in ("quick", "whole")] == [1, 1]
    assert data["labels"]["unreadable"] == ["b.png"]
    assert "1 image cannot be read, an error of every method: b.png." in told


def test_only_what_changed_is_judged_again(labelled_folder):
    arguments = law(labelled_folder)
    told, _ = bench(labelled_folder, *arguments)
    assert "null  labelled  quick: 3 items" in told
    told, _ = bench(labelled_folder, *arguments)
    assert "quick: 3 items" not in told
    (labelled_folder / "labels.csv").write_text("file,broken\na.png,big\nb.png,red\nc.png,\n")
    told, data = bench(labelled_folder, *arguments)
    assert "quick: 3 items" not in told and data["labels"]["by_rule"]["big"]["broken"] == 1
    Image.new("RGB", (32, 32), "blue").save(labelled_folder / "pictures" / "a.png")
    told, _ = bench(labelled_folder, *arguments)
    assert "null  labelled  quick: 3 items" in told
    path = labelled_folder / "constitution.yaml"
    path.write_text(LAW.replace("id: red,", "id: red, break_above: 0.01, keep_below: 0.01,"))
    told, _ = bench(labelled_folder, *arguments)
    assert "null  labelled  quick: 3 items" in told


def test_only_failed_items_are_judged_again(labelled_folder):
    bench(labelled_folder, *law(labelled_folder))
    path = next((labelled_folder / "out" / "predictions" / "null" / "quick").glob("*.jsonl"))
    head, *lines = path.read_text().splitlines()
    failed = json.loads(lines[1]) | {"outcome": UNSURE, "score": None, "rules": {}, "scores": {}}
    path.write_text("\n".join([head, lines[0], json.dumps(failed | {"reason": "error"}), lines[2]]) + "\n")
    told, data = bench(labelled_folder, *law(labelled_folder))
    assert "null  labelled  quick: 1 items" in told and "error" not in rows(data)["quick"]["reasons"]
    assert [json.loads(line)["rules"] for line in path.read_text().splitlines()[1:]] == [
        json.loads(line)["rules"] for line in lines
    ]


@pytest.mark.parametrize(
    ("more", "message"),
    [
        (("-c", "x.yaml", "-c", "y.yaml"), "--constitution x.yaml has no name."),
        (("-c", "a=x.yaml", "-c", "a=x.yaml"), "Two constitutions are named 'a'."),
        (("-c", "x.yaml", "--rename", "red"), "--rename red is not LABEL=RULE."),
        (("-c", "x.yaml", "--folds", "1"), "--folds 1 leaves nothing to fit on."),
        (("-c", "x.yaml", "--guard", "llavaguard"), "--guard llavaguard names no weights."),
        (("-c", "x.yaml", "--guard", "llava=x"), "There is no guard 'llava'"),
    ],
)
def test_wrong_options_are_refused(labelled_folder, more, message, monkeypatch):
    monkeypatch.chdir(labelled_folder)
    (labelled_folder / "x.yaml").write_text(LAW)
    told, _ = bench(labelled_folder, *more, code=2)
    assert message in " ".join(told.split())


# --- with a model whose answers are known -----------------------------------------------------------


def redness(setup, items):
    """Says how red the picture is, under a constitution named `objective`; guesses under any other."""
    for item in items:
        pixel = item.image.getpixel((0, 0))
        good = setup.constitution.name == "objective"
        score = pixel[0] / 255 if good else 0.4 + 0.2 * (int(item.id[:2]) % 3 == 0)
        yield Prediction.of_rules({"red": int(score > 0.5), "big": 0}, {"red": score, "big": 0.1}, SPENT)


def fitted(setup, items):
    """Is broken as often as in the images that it is fitted on, and tells which those were."""
    tuning = setup.labelled()
    share = sum("red" in item.broken for item in tuning.items) / len(tuning.items)
    seen = {item.id for item in tuning.items}
    for item in items:
        assert item.id not in seen
        yield Prediction.of_rules({"red": int(share > 0.5), "big": 0}, {"red": share, "big": 0.0}, SPENT)


@pytest.fixture
def reds(tmp_path):
    """Thirty pictures, half of them red, in two wordings."""
    lines = ["file,broken"]
    (tmp_path / "pictures").mkdir()
    for i in range(30):
        red = 225 + i if i % 2 else 20 + i
        Image.new("RGB", (8, 8), (red, 0, i)).save(tmp_path / "pictures" / f"{i:02d}.png")
        lines.append(f"{i:02d}.png,{'red' if i % 2 else ''}")
    (tmp_path / "labels.csv").write_text("\n".join(lines))
    laws = {name: parse_constitution(LAW.replace("colours", name)) for name in ("objective", "vague")}
    return read_labelled(tmp_path / "pictures", tmp_path / "labels.csv", laws)


def plan_of(reds, out, *methods, **more):
    """Without a detector and a matcher, which take seconds to open."""
    subjects = [BenchModel("null", "null")]
    return BenchPlan(out, methods, subjects, detector=None, matcher=None, labelled=reds, **more)


def method(name, function, **more):
    return Method(name, name, f"{__name__}:{function}", **more)


@pytest.fixture
def here(monkeypatch):
    """Methods of this file, which is no module that can be imported by its name."""
    found = {"redness": redness, "fitted": fitted}
    monkeypatch.setattr(Method, "load", lambda self, feature=None: found[self.name.partition("-")[0]])


def test_wordings_are_compared_pairwise_with_holm(reds, tmp_path, here):
    results = run_labelled(plan_of(reds, tmp_path / "out", method("redness", "redness")))
    wordings = results.data["wordings"]
    assert [(e["a"]["constitution"], e["b"]["constitution"], e["metric"]) for e in wordings] == [
        ("objective", "vague", name) for name in ("forced f1", "f1", "aurc")
    ]
    first = wordings[0]
    assert first["values"][0] == 1.0 and first["difference"] > 0.2 and first["low"] > 0
    assert [e["p_holm"] for e in wordings] == pytest.approx(holm([e["p"] for e in wordings]), rel=1e-4)
    section = next(s for s in sections_of(results.data) if s.id == "wordings")
    assert section.grids[0].rows[0][-1] == "better"
    assert wordings[2]["less_is_better"] and wordings[2]["difference"] < 0


def test_methods_are_fitted_on_other_folds_than_they_judge(reds, tmp_path, here):
    plan = plan_of(reds, tmp_path / "out", method("fitted", "fitted", fits=True))
    results = run_labelled(plan)
    assert [row["item"]["n"] for row in results.data["rows"][:2]] == [30, 30]
    none = run_labelled(plan_of(reds, tmp_path / "o2", method("redness", "redness"),
                                method("fitted", "fitted", fits=True), folds=0))  # fmt: skip
    assert {e["reason"] for e in none.data["left_out"]} == {"there are no labelled images to fit it on"}
    reasons = {r["calibration"]["item"]["reason"] for r in none.data["rows"] if not r["control"]}
    assert reasons == {"without folds nothing is fitted"}


def test_changed_labels_refit_what_is_fitted_only(reds, tmp_path, here):
    methods = (method("redness", "redness"), method("fitted", "fitted", fits=True))
    told: list[str] = []
    run_labelled(plan_of(reds, tmp_path / "out", *methods), say=told.append)
    (tmp_path / "labels.csv").write_text(
        (tmp_path / "labels.csv").read_text().replace("01.png,red", "01.png,")
    )
    changed = read_labelled(tmp_path / "pictures", tmp_path / "labels.csv", reds.constitutions)
    told.clear()
    run_labelled(plan_of(changed, tmp_path / "out", *methods), say=told.append)
    assert [line for line in told if ITEMS in line] == [
        f"null  {name}  fitted: 30 items" for name in ("objective", "vague")
    ]


def test_first_method_is_compared_with_the_others(reds, tmp_path, here):
    plan = plan_of(
        reds, tmp_path / "out", method("redness", "redness"), method("fitted", "fitted", fits=True)
    )
    data = run_labelled(plan).data
    gaps = [e for e in data["paired"] if e["a"]["constitution"] == "objective"]
    assert [(e["a"]["method"], e["b"]["method"], e["metric"]) for e in gaps] == [
        ("redness", "fitted", "forced f1"), ("redness", "fitted", "aurc"),
    ]  # fmt: skip
    assert rows(data)["redness"]["costs"] == {
        "images": 1, "question_tokens": 7, "generated_tokens": 0, "flops": 1e9, "seconds": 0,
    }  # fmt: skip


def test_presets_have_a_row_with_the_calibration_of_other_folds():
    names = [each.name for each in methods_for(["jurat", "clue", "quick", "whole"], [], calibrated=True)]
    assert names == ["jurat", "jurat+calibrate", "clue", "quick", "quick+calibrate", "whole"]
    assert [m.name for m in methods_for(["jurat"], [], calibrated=False)] == ["jurat"]


def test_annotators_that_disagree_are_listed(folder):
    (folder / "labels.csv").write_text(
        "file,annotator,broken\na.png,ann,red\na.png,bob,red\nb.png,ann,red\nb.png,bob,safe\nc.png,ann,big\n"
    )
    told, data = bench(folder, *law(folder))
    assert data["labels"]["disputed"] == [
        {"item": "b.png", "rule": "red", "broken": ["ann"], "kept": ["bob"], "taken_for": "tie"}
    ]
    (red, big) = data["labels"]["agreement"]
    assert (red["images"], red["disputed"], red["raw"]) == (2, 1, 0.5)
    assert big["alpha"] is None and big["raw"] == 1.0
    assert "| b.png | red | ann | bob | tie |" in told
    assert rows(data)["quick"]["item"]["n"] == 2
    assert "left out unless another rule is broken: 1 of 3 at most." in told


# --- probes on embeddings ---------------------------------------------------------------------------


class Embedding:
    """A matcher whose embedding is the colour of the first pixel."""

    name, revision, relevant_above = "colour", "1", 0.2

    def capability(self, kind):
        return self

    def match(self, images, texts):
        raise AssertionError("a probe compares no texts")

    def images(self, images):
        import torch

        from jurat.models import ImageFeatures

        pixels = [torch.tensor([float(c) + 1 for c in image.getpixel((0, 0))]) for image in images]
        return [ImageFeatures(p, p[None]) for p in pixels]


def test_probe_is_the_logistic_regression_of_scikit_learn(rng):
    from sklearn.linear_model import LogisticRegression

    seen = rng.normal(size=(60, 8))
    said = (seen[:, 0] + rng.normal(0, 0.5, 60) > 0).astype(float)
    for strength in (0.1, 10.0):
        weights, intercept = clip_probe.fitted(seen, said, strength)
        reference = LogisticRegression(C=strength, tol=1e-10, max_iter=5000).fit(seen, said)
        assert weights == pytest.approx(reference.coef_[0], abs=1e-4)
        assert intercept == pytest.approx(reference.intercept_[0], abs=1e-4)
    _, never = clip_probe.fitted(seen, np.zeros(60), 1.0)
    assert never == pytest.approx(math.log(0.5 / 60.5))


def test_probe_learns_the_rules_of_its_training_images(reds):
    constitution = reds.constitutions["objective"]
    setup = Setup(constitution, None, "", matcher=Embedding(),  # pyright: ignore[reportArgumentType]
                  tuning=lambda: Tuning(constitution, reds.items[:20]))  # fmt: skip
    found = find_method("clip-probe")(setup, reds.items[20:])
    said = [p.rules["red"] for p in found]
    assert said == [int("red" in item.broken) for item in reds.items[20:]]
    assert all(p.rules["big"] == 0 and p.spending.scans == 1 for p in found)
    other = parse_constitution(LAW.replace("id: big", "id: huge"))
    with pytest.raises(NotApplicable, match="trained on the rules that it judges"):
        find_method("clip-probe")(Setup(other, None, "", tuning=setup.tuning), reds.items)  # pyright: ignore
    with pytest.raises(NotApplicable, match="no matcher was named"):
        find_method("clip-probe")(Setup(constitution, None, "", tuning=setup.tuning), reds.items)  # pyright: ignore
