"""Defenses compared: what is run for which, numbers on known verdicts, controls, and a run that resumes."""

from __future__ import annotations

import json
from collections.abc import Sequence
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from typer.testing import CliRunner

from jurat.bench.bench_plan import BenchModel
from jurat.bench.defenses.chat_rows import ALL, cell_counts, chat_pareto, chat_prices, chat_rows
from jurat.bench.defenses.chatting import Asked, Cell, battery_of
from jurat.bench.defenses.comparing import front
from jurat.bench.defenses.figures import write_figures
from jurat.bench.defenses.judge_rows import judge_rows, pareto_of
from jurat.bench.defenses.judging import JudgedPart, LeftOut, _keep_prices, _read_prices  # pyright: ignore
from jurat.bench.defenses.plan import ALWAYS, GATE, NONE, DefensesPlan, Subject
from jurat.bench.defenses.run import run_defenses, write_defenses
from jurat.bench.defenses.threats import InjectedPlan, PicturesPlan
from jurat.bench.evaluate import Progress
from jurat.bench.injection.suite import load_suite
from jurat.bench.methods.interface import Prediction
from jurat.bench.methods.registry import rows_for
from jurat.bench.pictogram import BenchItem
from jurat.bench.pictogram import splits as splits_module
from jurat.bench.table import EvaluatedMethod
from jurat.cli import app
from jurat.content import Chat, Turn
from jurat.errors import JuratError
from jurat.metrics import UNSURE
from jurat.models import DefenseCost, Inquiry, ModelSpec

NULL = BenchModel("null", "null")


@pytest.fixture
def few(monkeypatch: pytest.MonkeyPatch, splits: dict[str, list[BenchItem]]) -> None:
    """Two pairs of scenes, drawn already."""
    monkeypatch.setattr(splits_module, "draw_split", lambda split, seed, n: islice(splits[split], 4))


# --- the judge -----------------------------------------------------------------------------------


def test_each_defended_judge_is_shown_the_attacks_through_its_own_defense() -> None:
    plan = DefensesPlan(Path(), [NULL], ["jpeg", "resize"])
    none, jpeg, resize = subjects = plan.subjects(NULL)
    assert [each.label for each in subjects] == ["null", "null + jpeg", "null + resize"]
    assert isinstance(jpeg.spec, ModelSpec) and jpeg.spec.name == "null + jpeg"
    pictures = PicturesPlan(
        Path(), [], subjects, attacked=("quick",), radii=(8,), through=("jpeg", "resize?scale=0.5/x")
    )
    keys = {each.label: pictures.splits_of(each) for each in subjects}
    shared = set(keys["null"])
    assert {pictures.conditions[key].title for key in keys["null + jpeg"] if key not in shared} == {
        "attack on quick, to not unsafe, 8/255, through jpeg",
        "attack on quick, to unsafe, 8/255, through jpeg",
    }
    assert set(keys[resize.label]) == shared  # gradients do not go through it in this plan
    assert not any("/" in key for key in pictures.conditions) and none.defense == NONE


def part_of(items: Sequence[BenchItem], said: dict[tuple[str, str], list[int]]) -> JudgedPart:
    """What judges said of violating scenes; of near misses the undefended one flags one, jpeg two."""
    subjects = [Subject.of(NULL, defense) for defense in (NONE, "jpeg", "ecso")]
    plan = PicturesPlan(Path(), [], subjects, attacked=("quick",), radii=(8,), through=("jpeg",))
    broken = [item for item in items if item.want == "broken"][:10]
    near = [item for item in items if item.want == "near miss"][:10]
    part = JudgedPart(
        "null", plan, Progress(), left_out=[LeftOut("null", "ecso", "gradients", "no way through")]
    )
    for subject in subjects:
        for key in plan.splits_of(subject):
            condition = plan.conditions[key]
            through = "adaptive" if getattr(condition, "through", "") else condition.change
            outcomes = said.get((subject.defense, through), [1] * 10)
            if condition.want == "near miss":
                outcomes = [1] * (1 if subject.defense == NONE else 2) + [0] * 8
                outcomes += [0] * (10 - len(outcomes))
            some = broken if condition.want == "broken" else near
            made = tuple(Prediction(each, 0.5) for each in outcomes)
            each = EvaluatedMethod("quick", (), subject.label, key, tuple(some), made)
            part.said.setdefault(("quick", subject.defense), {})[key] = each
    return part


def test_what_a_defense_wins_back_and_what_it_costs(splits: dict[str, list[BenchItem]]) -> None:
    part = part_of(
        splits["test"],
        {
            (NONE, "attack"): [0] * 8 + [1] * 2,
            ("jpeg", "clean"): [1] * 9 + [UNSURE],
            ("jpeg", "attack"): [1] * 10,
            ("jpeg", "adaptive"): [0] * 6 + [1] * 4,
        },
    )
    rows = judge_rows(part)
    cells = {(row["defense"], row["threat"], row["measure"]): row for row in rows}
    attack = "attack on quick 8/255"
    transfer, adaptive = (cells["jpeg", f"{attack}, {kind}", "recall"] for kind in ("transfer", "adaptive"))
    assert (transfer["lost"], transfer["won_back"]) == (pytest.approx(0.8), pytest.approx(1))
    assert (adaptive["to_none"]["value"], adaptive["won_back"]) == (pytest.approx(0.2), pytest.approx(0.25))
    assert transfer["to_none"]["p_holm"] >= transfer["to_none"]["p"]
    clean = cells["jpeg", "clean", "recall"]
    assert (clean["to_none"]["value"], clean["said"]["unsure"]) == (pytest.approx(-0.1), 1)
    assert "lost" not in clean
    # False alarms that a defense adds are not won back.
    assert cells["jpeg", f"{attack}, transfer", "false alarms"]["to_none"]["value"] == pytest.approx(0.1)
    assert cells["ecso", f"{attack}, adaptive", "recall"]["missing"] == "no way through"
    # The controls: one flags everything, the other half of everything, and neither is tested.
    assert [cells[ALWAYS, "clean", each]["value"] for each in ("recall", "false alarms")] == [1, 1]
    assert cells[GATE, f"{attack}, adaptive", "recall"]["value"] == pytest.approx(0.6)
    assert cells[GATE, "clean", "false alarms"]["value"] == pytest.approx(0.55)
    assert "to_none" not in cells[GATE, "clean", "recall"]
    points = {point["defense"]: point for point in pareto_of(rows)}
    assert (points["jpeg"]["safety"], points["jpeg"]["utility"]) == (pytest.approx(0.4), pytest.approx(0.8))
    assert points["jpeg"]["worst"] == f"{attack}, adaptive"
    assert (points["ecso"]["on_front"], points["ecso"]["untested"]) == (None, [f"{attack}, adaptive"])
    assert points[ALWAYS]["on_front"] and points[ALWAYS]["utility"] == 0


def test_mean_over_injections_is_of_those_that_were_judged_without_a_defense(
    splits: dict[str, list[BenchItem]],
) -> None:
    """A defended judge that lacks one has no mean: it would be of others."""
    subjects = [Subject.of(NULL, defense) for defense in (NONE, "jpeg", "ecso")]
    plan = InjectedPlan(Path(), [], subjects, suite=load_suite().only(["sign"]), scenes=2)
    part = JudgedPart("null", plan, Progress(), left_out=[LeftOut("null", "jpeg", "quick", "it broke")])
    scenes = (*splits["test"][:2],)
    lacking = next(each.name for each in plan.suite.active if each.wants == "safe")
    for subject in subjects:
        for split in plan.splits_of(subject):
            if (subject.defense, split) != ("jpeg", lacking):
                made = (Prediction(int(split != lacking), 0.5),) * 2
                each = EvaluatedMethod("quick", (), subject.label, split, scenes, made)
                part.said.setdefault(("quick", subject.defense), {})[split] = each
    rows = {(row["defense"], row["threat"], row["measure"]): row for row in judge_rows(part)}
    assert rows["jpeg", "injection", "recall"]["missing"] == "it broke"
    assert rows["ecso", "injection", "recall"]["to_none"]["value"] == 0
    assert rows["jpeg", "no text", "recall"]["value"] == 1


def test_figure_takes_a_dollar_in_a_name_as_it_is(tmp_path: Path) -> None:
    point = {"model": "m$", "defense": r"system-prompt?text=$\x$", "safety": 0.5, "utility": 0.5}
    point |= {"on_front": True, "untested": []}
    (path,) = write_figures(tmp_path, {"judge": {"pareto": []}, "chat": {"pareto": [point]}})
    assert path.name == "defenses-m$.svg" and path.exists()


def test_prices_of_the_same_defense_add_up_and_those_of_another_do_not(tmp_path: Path) -> None:
    subject = Subject.of(NULL, "jpeg")
    model = subject.open()
    model.ask([Inquiry(Chat((Turn("user", ("What?",)),)), ("Is a dog visible?",))])
    for times in (1, 2):
        _keep_prices(tmp_path, subject)
        (cost,) = _read_prices(tmp_path)[subject.label]
        assert (cost.defense, cost.items) == ("jpeg", times)
    file = tmp_path / "prices.json"
    file.write_text(file.read_text().replace('"defense": "jpeg"', '"defense": "jpeg?quality=9"'))
    _keep_prices(tmp_path, subject)
    assert _read_prices(tmp_path)[subject.label][0].items == 1


def test_front_holds_what_nothing_else_beats() -> None:
    points = [{"x": x, "y": y} for x, y in ((0, 1), (1, 0), (0.5, 0.5), (0.5, 0.4), (0.5, 0.5), (0, 0.9))]
    assert front(points, ("x", "y")) == [True, True, True, False, True, False]


def test_run_without_gradients_says_so_and_resumes(few: None, tmp_path: Path) -> None:
    told: list[str] = []
    plan = DefensesPlan(
        tmp_path,
        [NULL],
        ["smoothing?copies=3", "constitution?file=shelf:nursery&judge=nobody"],
        parts=("pictures",),
        methods=rows_for(["direct"], []),
        attacked=("direct",),
    )
    results = run_defenses(plan, told.append)
    judge = results["judge"]
    reasons = {each["defense"]: each["reason"] for each in judge["left_out"]}
    assert "gives no gradients" in reasons[NONE]
    assert "nobody" in reasons["constitution?file=shelf:nursery&judge=nobody"]
    missing = [row for row in judge["rows"] if "missing" in row]
    assert {row["defense"] for row in missing} == {"constitution?file=shelf:nursery&judge=nobody"}
    prices = {row["defense"]: row["calls_added"] for row in judge["prices"]}
    assert prices == {NONE: 0, "smoothing?copies=3": 2}
    assert judge["attacks"] == [] and results["chat"]["cells"] == 0
    written = write_defenses(tmp_path, results)
    assert json.loads(written[0].read_text()) == results
    told.clear()
    again = run_defenses(plan, told.append)
    assert [line for line in told if "items" in line] == []
    assert again["judge"] == results["judge"]
    text = written[1].read_text()
    assert f"| {GATE} | " in text
    assert "- null, none (attack on direct): 'null' gives no gradients." in text.replace(
        "\nnull,", "\n- null,"
    )


# --- chat models ---------------------------------------------------------------------------------


def cell(defense: str, refused: Sequence[int | None], attack: str = "gong", **more: Any) -> Cell:
    asked = [
        Asked(f"s/{i}", f"s/{i // 2}", harmful=int(i < 6), refused=each, tokens=10 + 5 * bool(defense))
        for i, each in enumerate(refused)
    ]
    return Cell("m", defense, "s", attack, asked, **more)


def test_rates_are_of_all_requests_and_paired_with_no_defense() -> None:
    cost = DefenseCost("d", items=8, calls=16, seconds=0.8)
    cells = [
        cell(NONE, [0, 0, 0, 0, 1, None, 0, 0]),
        cell(NONE, [1, 1, 1, 1, 1, 1, 0, 1], attack=""),
        cell("d", [1, 1, 1, 0, 1, 1, 1, 1], costs=[cost]),
        cell("d", [1, 1, 1, 1, 1, 1, 1, 1], attack=""),
        Cell("m", NONE, "q", "", [Asked("q/0", "q/0", None, right=1), Asked("q/1", "q/1", None, right=0)]),
        Cell("m", "d", "q", "", failure="no access"),
    ]
    rows = chat_rows(cells)
    whole = {(row["defense"], row["measure"], row["attack"]): row for row in rows if row["set"] == ALL}
    none = whole[NONE, "asr", ALL]
    assert (none["value"], none["n"], none["undecided"]) == (pytest.approx(4 / 6), 6, 1)
    assert whole[NONE, "dsr", ALL]["value"] == pytest.approx(1 / 6)  # not 1 - ASR: a reply failed
    defended = whole["d", "asr", ALL]
    assert (defended["value"], defended["to_none"]["value"]) == (pytest.approx(1 / 6), pytest.approx(-0.5))
    assert whole["d", "over_refusal", "none"]["to_none"]["value"] == pytest.approx(0.5)
    assert whole["d", "accuracy", "none"]["missing"] == "no access"
    assert [whole[ALWAYS, name, ALL]["value"] for name in ("asr", "dsr")] == [0, 1]
    assert whole[ALWAYS, "over_refusal", "none"]["value"] == 1 and whole[GATE, "asr", ALL][
        "value"
    ] == pytest.approx(1 / 3)
    (price,) = [row for row in chat_prices(cells) if row["defense"] == "d"]
    assert (price["calls_added"], price["seconds_added"], price["tokens_added"]) == (2, pytest.approx(0.1), 5)
    counts = cell_counts(cells)
    assert (counts["cells"], counts["failed"], counts["failures"][0]["reason"]) == (6, 1, "no access")
    points = {point["defense"]: point for point in chat_pareto(rows)}
    assert points[NONE]["safety"] == pytest.approx(1 / 3) and points[NONE]["utility"] == pytest.approx(0.5)
    assert points[ALWAYS]["utility"] == 0
    assert "d" not in points  # its utility would be of over-refusal alone


def test_battery_has_the_models_and_defenses_of_the_plan(tmp_path: Path) -> None:
    plan = DefensesPlan(tmp_path, [NULL], ["jpeg"], limit=3, attacker="null?seed=1")
    battery = battery_of(plan)
    for part in battery.parts:
        assert [each.model for each in part.all_models] == ["null", "null + jpeg"]
        assert all((entry.limit, entry.seed) == (3, None) for entry in part.sets)
    attacks = {part.sets[0].set: [each.attack for each in part.attacks] for part in battery.parts}
    assert attacks["pictogram-over-refusal"] == ["overlay", "wu"] and attacks["pictogram-awareness"] == []
    own = tmp_path / "own.yaml"
    own.write_text("name: own\nsets: [xstest]\nmodels: [null]\n".replace("[null]", '["null"]'))
    with pytest.raises(JuratError, match=r"own\.yaml names models or defenses"):
        battery_of(DefensesPlan(tmp_path, [NULL], battery=own))


@pytest.mark.parametrize(
    ("options", "told"),
    [
        (["--part", "voices"], "There is no part 'voices'."),
        (["--defense", "jpg"], "There is no defense 'jpg'."),
        (["--defense", "jpeg", "--defense", "jpeg"], "A defense is named twice."),
        (["--attack", "jurrat"], "There is no preset 'jurrat'."),
        (["--attacker", "null", "--battery", "b.yaml"], "and --battery names others."),
        (["--model", "a=null", "--model", "b=null"], "null would be asked twice: for a and for b."),
        (["--model", "null", "--model", "b=null + jpeg", "--defense", "jpeg"], "null + jpeg would be asked"),
    ],
)
def test_wrong_options_are_refused_before_anything_runs(
    options: list[str], told: str, tmp_path: Path
) -> None:
    result = CliRunner().invoke(app, ["bench", "defenses", *options, "--out", str(tmp_path / "out")])
    assert result.exit_code == 2 and told in result.output
    assert not (tmp_path / "out").exists()


def test_misspelled_chat_model_is_no_run_without_rows(tmp_path: Path) -> None:
    (tmp_path / "sets.yaml").write_text("name: sets\nsets: [pictogram-over-refusal]\n")
    options = [
        "--part",
        "chat",
        "--model",
        "nosuch",
        "--battery",
        str(tmp_path / "sets.yaml"),
        "--limit",
        "1",
    ]
    result = CliRunner().invoke(
        app, ["bench", "defenses", *options, "--defense", "jpeg", "--out", str(tmp_path / "out")]
    )
    assert result.exit_code == 3, result.output
    assert "None of 2 cells of chat models has numbers: " in result.output and "nosuch" in result.output


@pytest.mark.parametrize("command", ["attacks", "defenses", "robustness", "injection"])
def test_output_that_is_no_folder_is_refused(command: str, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    result = CliRunner().invoke(app, ["bench", command, "--out", str(tmp_path / "file" / "out")])
    assert result.exit_code == 2, result.output
    assert f"out cannot be written: {tmp_path / 'file'} is not a folder." in result.output


@pytest.mark.slow
def test_command_compares_a_bundled_judge_and_a_chat_model(few: None, tmp_path: Path) -> None:
    judge = ["--method", "quick", "--attack", "quick", "--radius", "16", "--steps", "2", "--per-rule", "1"]
    texts = ["--scenes", "2", "--channel", "banner", "--defense", "jpeg", "--defense", "smoothing?copies=2"]
    runner = CliRunner()
    result = runner.invoke(
        app,
        [
            "bench",
            "defenses",
            *judge,
            *texts,
            "--part",
            "pictures",
            "--part",
            "texts",
            "--out",
            str(tmp_path),
        ],
    )
    assert result.exit_code == 0, result.output
    found = json.loads((tmp_path / "defenses.json").read_text())["judge"]
    assert found["ways"] == {"bundled": {"jpeg": "straight-through", "smoothing?copies=2": "in expectation"}}
    assert found["left_out"] == [] and not any("missing" in row for row in found["rows"])
    assert {each["through"] for each in found["attacks"]} == {"", "jpeg", "smoothing?copies=2"}
    assert all(each["forwards"] > 0 for each in found["attacks"])
    assert (tmp_path / "defenses-bundled.svg").exists()
    assert "Chat" not in result.stdout


@pytest.mark.slow
def test_chat_model_that_refuses_half_is_compared_with_its_defended_self(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "data"))
    Path("half.yaml").write_text(
        "name: half\nrules:\n  - {share: 0.5, reply: I cannot help.}\n  - {reply: Sure.}\n"
    )
    Path("sets.yaml").write_text("name: sets\nsets: [{set: pictogram-over-refusal}]\nattacks: [overlay]\n")
    options = ["--model", "half=scripted/half.yaml", "--battery", "sets.yaml", "--limit", "6"]
    defended = ["--defense", "smoothing?copies=3", "--defense", "ecso"]
    result = CliRunner().invoke(
        app, ["bench", "defenses", *options, *defended, "--part", "chat", "--out", "out"]
    )
    assert result.exit_code == 0, result.output
    chat = json.loads(Path("out/defenses.json").read_text())["chat"]
    assert chat["cells"] == 6 and "Chat: the price (half)" in result.stdout
    prices = {row["defense"]: row["calls_added"] for row in chat["prices"]}
    assert prices[NONE] == 0 and prices["smoothing?copies=3"] == 2
    asr = [row for row in chat["rows"] if (row["measure"], row["set"], row["attack"]) == ("asr", ALL, ALL)]
    assert {row["defense"] for row in asr} >= {NONE, "smoothing?copies=3", ALWAYS, GATE}
    assert np.isclose(next(row["value"] for row in asr if row["defense"] == ALWAYS), 0)
