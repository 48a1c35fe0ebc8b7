"""Stages and the loop: what `stages.toml` may say, that training resumes exactly, that lineages are whole."""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from typer.testing import CliRunner

from jurat.models.bundled.patch_gate import PatchGate
from jurat.models.bundled.statement_language import Language
from training import __main__ as commands
from training.lineage import declared, load_parts, made_of, mix_record, read_lineage, save_stage
from training.loop import Schedule, StaleCheckpointError, Trained, along, train
from training.mllm.card import uses_the_judges_wording, ways
from training.mllm.gate import LAYERS
from training.mllm.mixes import mixes
from training.optimizer import Group
from training.organisms.mixes import STAGES as ORGANISMS
from training.shipped import HOME, KINDS, shipped
from training.stages import LESSONS, WEIGHTS, Task, data, is_kept, lineage_of, pools, repeated, stages


def say(*arguments: str) -> str:
    result = CliRunner(env={"COLUMNS": "400"}).invoke(commands.app, list(arguments))
    assert result.exit_code == 2
    return result.output


@pytest.mark.parametrize("name", stages())
def test_stage_names_what_exists(name: str) -> None:
    stage = stages()[name]
    assert stage.lesson in LESSONS
    assert stage.pool is None or stage.pool in pools()
    assert stage.settings.get("mix", "bundled") in mixes()
    assert lineage_of(name)[-1] == name and all(each in stages() for each in lineage_of(name))


@pytest.mark.parametrize(
    "name", [name for name, stage in stages().items() if stage.lesson in ("conversation", "balanced")]
)
def test_organisms_begin_where_their_mix_says(name: str) -> None:
    stage = stages()[name]
    mix = ORGANISMS[stage.settings.get("taught", name)]
    parent = None if stage.parent is None else stages()[stage.parent].settings.get("taught", stage.parent)
    assert (parent if parent in ORGANISMS else None) == mix.parent
    sees = any(stages()[each].eyes or stages()[each].lesson == "joint" for each in lineage_of(name))
    assert sees is (mix.model == "tower")


def test_models_end_with_a_stage_and_lie_in_jurat_if_they_ship(tmp_path: Path) -> None:
    for name, model in shipped().items():
        assert model.stage in stages() and model.kind in KINDS
        place = HOME if model.ships else tmp_path / "models"
        assert model.home(tmp_path) == place / name
        assert model.ships is not (model.kind in ("organism", "text-to-image") or name == "robust")


def test_seeds_of_pools_do_not_meet() -> None:
    spans = sorted((pool.first, pool.first + (pool.parts + 1) * 1_000_000) for pool in pools().values())
    watched = sorted(
        (pool.first + 900_000_000, pool.first + 900_000_000 + pool.watch) for pool in pools().values()
    )
    for some in (spans, watched):
        assert all(end <= start for (_, end), (start, _) in itertools.pairwise(some))
    assert spans[-1][1] <= watched[0][0]


def test_a_sweep_is_a_stage_for_each_point_and_seed() -> None:
    made = {name: stage for name, stage in stages().items() if stage.lesson == "balanced"}
    points = data()["sweeps"]["balanced"]["points"]
    assert {*made} == {f"balanced-{point}-{seed}" for point in points for seed in (61, 62)}
    assert len({(stage.parent, stage.schedule.steps, stage.schedule.batch) for stage in made.values()}) == 1
    assert made["balanced-few-5-62"].settings["distinct"] == 32
    assert made["balanced-few-5-62"].schedule.seed == 62
    shares = {point: settings["safety"] for point, settings in points.items()}
    assert sorted({*shares.values()}) == [0.01, 0.05, 0.2], "three shares"
    assert all(share == 0.05 for point, share in shares.items() if not point.startswith("share-"))


@pytest.mark.parametrize("name", [name for name, stage in stages().items() if stage.parent])
def test_missing_parent_names_the_stage_to_run(tmp_path: Path, name: str) -> None:
    said = say("stage", name, "--out", str(tmp_path), "--weights", str(tmp_path / "weights"))
    parent = stages()[name].parent
    assert f"{parent} is not there; make it with 'stage {parent}'." in said


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("stage", "towel"), "there is no stage 'towel'; they are tower, "),
        (("scenes", "towel"), "there is no pool 'towel'; they are bundled"),
        (("export", "towel"), "there is no model 'towel'; they are mllm, "),
        (("export", "writer"), "writer is not there; make it with 'stage writer'."),
        (("export", "naive-2"), "there is no model 'naive-2'; they are mllm, "),
        (("export", "naive-2", "--folder", "x"), "naive-2 is not there; make it with 'stage naive-2'."),
        (("export", "tuned-b", "--folder", "x"), "tuned-b is not there; make it with 'stage tuned-b'."),
        (("sweep", "towel"), "there is no sweep 'towel'; they are balanced."),
    ],
)
def test_unknown_names_are_refused_with_those_that_exist(
    tmp_path: Path, arguments: tuple[str, ...], said: str
) -> None:
    assert said in say(*arguments, "--out", str(tmp_path))


class Line:
    """A lesson of one line through noisy points."""

    def __init__(self) -> None:
        torch.manual_seed(0)
        self.line = nn.Linear(1, 1)
        self.modules = {"line": self.line}
        self.counts = Counter[str]()

    def groups(self) -> Sequence[Group]:
        return [Group(list(self.line.named_parameters()))]

    def losses(self, rng: np.random.Generator, size: int) -> tuple[dict[str, Tensor], dict[str, float]]:
        x = torch.from_numpy(rng.normal(size=(size, 1)).astype(np.float32))
        self.counts["points"] += size
        return {"error": (self.line(x) - 2 * x - 1).square().mean()}, {}

    def measure(self) -> dict[str, float]:
        return {"slope": float(self.line.weight.detach())}


WATCHED = 900_000_000
"""Distance of the seeds of scenes to watch from those of scenes to show."""
SCHEDULE = Schedule(steps=120, batch=8, rate=0.1, seed=1, warm_up=4)


def _weights(done: Trained) -> dict[str, Tensor]:
    return {name: value for module in done.modules.values() for name, value in module.state_dict().items()}


@pytest.mark.parametrize("workers", [1, pytest.param(2, marks=pytest.mark.slow)])
def test_resumed_training_ends_with_the_same_weights(tmp_path: Path, workers: int) -> None:
    steady = replace(SCHEDULE, warm_up=1, hold=1.0)  # its rate does not depend on the number of steps
    whole = train(Line, steady, tmp_path / "whole.pt", workers)
    assert whole.counts == {"points": 960} and whole.steps == 120
    assert whole.measured["slope"] == pytest.approx(2, abs=0.1)
    half = train(Line, replace(steady, steps=50), tmp_path / "parts.pt", workers)
    resumed = train(Line, steady, tmp_path / "parts.pt", workers)
    assert (half.steps, resumed.steps, resumed.counts) == (50, 120, {"points": 960})
    assert all(value.equal(_weights(whole)[name]) for name, value in _weights(resumed).items())
    assert not all(value.equal(_weights(half)[name]) for name, value in _weights(resumed).items())


def test_checkpoint_of_other_settings_is_not_resumed(tmp_path: Path) -> None:
    file = tmp_path / "line.pt"
    train(Line, SCHEDULE, file, declared="a")
    assert train(Line, SCHEDULE, file, declared="a").steps == SCHEDULE.steps
    with pytest.raises(StaleCheckpointError, match=r"line.pt is of an earlier version .* Delete the file"):
        train(Line, SCHEDULE, file, declared="b")


def test_digest_follows_the_mix_and_the_parents(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def digest(name: str) -> str:
        return declared(Task(stages()[name], tmp_path, WEIGHTS))

    before = {name: digest(name) for name in ("knows", "joint-6", "tower-2")}
    assert before == {name: digest(name) for name in before} and len(set(before.values())) == 3
    knows = ORGANISMS["knows"]
    fewer = knows.model_copy(update={"shares": {"vault": 1.0}})
    monkeypatch.setitem(ORGANISMS, "knows", fewer)
    assert digest("knows") != before["knows"] and digest("joint-6") == before["joint-6"]


def test_rate_rises_holds_and_falls() -> None:
    rates = [SCHEDULE.rate_at(step) for step in range(SCHEDULE.steps)]
    assert rates[:4] == pytest.approx([0.025, 0.05, 0.075, 0.1])
    assert rates[4:43] == pytest.approx([0.1] * 39)
    assert rates[42:] == sorted(rates[42:], reverse=True)
    assert SCHEDULE.rate_at(SCHEDULE.steps) == pytest.approx(0.1 * SCHEDULE.last)


def test_lineage_holds_all_stages_and_parents(tmp_path: Path) -> None:
    first = replace(stages()["tower"], pool=None)
    done = Trained(
        {"model": nn.Linear(2, 2), "heads": nn.Linear(2, 1)}, 3, 61.0, {"scenes": 9}, {"cells": 0.5}
    )
    save_stage(Task(first, tmp_path, tmp_path), done, tmp_path / "tower")
    second = replace(stages()["joint"], pool=None, parent="tower")
    save_stage(Task(second, tmp_path, tmp_path), done, tmp_path / "joint")
    records = read_lineage(tmp_path / "joint")
    assert [record["stage"] for record in records] == ["tower", "joint"]
    assert records[1]["mix"]["statements"]["judge"]["question"] == "Statement: {text}"
    assert records[1]["shown"] == {"scenes": 9} and records[1]["minutes"] == 1.0 and records[1]["steps"] == 3
    assert "order" not in records[1]["schedule"] and "along" not in records[1]["schedule"]
    made = made_of(records)
    assert made["stage `joint`"].startswith("from `tower`, 1 minutes (batch 48, ")
    parts = load_parts(tmp_path / "joint")
    assert {part: set(names) for part, names in parts.items()} == {
        "model": {"weight", "bias"}, "heads": {"weight", "bias"},
    }  # fmt: skip


def test_weights_are_kept_of_stages_that_others_begin_from_and_of_those_that_say_so() -> None:
    assert is_kept("tower") and not is_kept("writer")
    assert all(map(is_kept, ("aligned", "tuned", "aligned-b", "tuned-b"))), "two seeds of both"
    assert not is_kept("tuned-order"), "it is only for a curve"


def test_another_order_of_data_is_the_only_difference_of_a_stage() -> None:
    one, other = (dict(data()["stages"][name]) for name in ("tuned", "tuned-order"))
    differ = {key for key in one | other if one.get(key) != other.get(key)}
    assert differ == {"order", "taught", "kept"} and other["taught"] == "tuned"
    batches = [stages()[name].schedule.batches() for name in ("tuned", "tuned-order")]
    assert batches[0] == sorted(batches[1]) == list(range(1200)) and batches[0] != batches[1]
    assert {name for name, stage in stages().items() if stage.schedule.kept_steps} == {
        "tuned", "tuned-order", "tuned-b",
    }  # fmt: skip
    assert stages()["tuned"].schedule.kept_steps == [240, 480, 720, 960, 1200]
    assert stages(small=True)["tuned"].schedule.kept_steps == [1, 2]


def test_checkpoints_along_the_way_are_those_of_shorter_trainings(tmp_path: Path) -> None:
    steady = replace(SCHEDULE, warm_up=1, hold=1.0, along=3)
    whole = train(Line, steady, tmp_path / "whole.pt")
    kept = list(along(Line, steady, tmp_path / "whole.pt"))
    assert [(one.steps, one.counts["points"]) for one in kept] == [(40, 320), (80, 640), (120, 960)]
    assert all(value.equal(_weights(whole)[name]) for name, value in _weights(kept[-1]).items())
    short = train(Line, replace(steady, steps=80, along=None), tmp_path / "short.pt")
    assert all(value.equal(_weights(short)[name]) for name, value in _weights(kept[1]).items())
    assert kept[1].measured == short.measured


def test_order_of_batches_changes_the_weights_and_not_what_is_shown(tmp_path: Path) -> None:
    steady = replace(SCHEDULE, warm_up=1, hold=1.0)
    one, other = (train(Line, replace(steady, order=order), tmp_path / f"{order}.pt") for order in (None, 1))
    assert one.counts == other.counts
    assert not all(value.equal(_weights(one)[name]) for name, value in _weights(other).items())


def test_small_chain_leaves_out_second_seeds_lineages_and_doses() -> None:
    left_out = repeated()
    assert {"aligned-b", "tuned-b", "tuned-order", "naive-2", "naive-3", "dose-rules-50"} <= {*left_out}
    assert [name for name in left_out if name.startswith("balanced-")] == [
        name for name in stages() if name.startswith("balanced-") and name.endswith("-62")
    ]
    assert not {"robust", "robust-gate", "dress"} & {*left_out}
    assert left_out["naive-3"] == "naive-1" and left_out["tuned-b"] == left_out["tuned-order"] == "tuned"
    assert not {*left_out} & {*left_out.values(), "tower-2", "joint", "gate", "dose-rules-0"}
    assert not {*left_out} & {"seeing-linear", "seeing-queries", "seeing-cross-attention"}
    kept = [stage for name, stage in stages().items() if name not in left_out]
    assert {stage.lesson for stage in kept} == {*LESSONS}
    assert not {*left_out} & {begin for stage in kept for begin in (stage.parent, stage.eyes)}


@pytest.mark.slow
def test_small_chain_trains_and_exports_every_kind_of_model(tmp_path: Path) -> None:
    arguments = ["models", "--small", "--out", str(tmp_path / "work"), "--weights", str(tmp_path / "weights")]
    result = CliRunner().invoke(commands.app, [*arguments, "--folder", str(tmp_path / "models")])
    assert result.exit_code == 0, result.output
    for name, like in repeated().items():
        assert (
            f"left out: stage {name}, which differs from {like} only by seed, order, pool or mix"
            in result.output
        )
    models = {name: model for name, model in shipped().items() if model.stage not in repeated()}
    assert {"robust", "dress", "tuned"} <= {*models}
    for name, model in models.items():
        lineage = [record["stage"] for record in read_lineage(tmp_path / "models" / name)]
        assert lineage == lineage_of(model.stage)
        assert any((tmp_path / "models" / name).rglob("*model.safetensors"))
        if model.gate is not None:
            assert PatchGate.load(tmp_path / "models" / name).layers == LAYERS
        if model.kind == "mllm":
            language = Language.load(tmp_path / "models" / name)
            assert language is not None and not any(map(any, map(dict.values, language.forms.values()))), name
    assert {model.kind for model in models.values()} == {*KINDS}
    for step in (1, 2):
        assert read_lineage(tmp_path / "work" / "finished" / f"tuned-step-{step}")[-1]["steps"] == step
    again = CliRunner().invoke(commands.app, ["sweep", "balanced", *arguments[1:]])
    assert "wrote" in again.output and again.exit_code == 0, "the second seeds, which the chain leaves out"


def _joint_record(mix: str) -> dict[str, Any]:
    return {"stage": mix, "mix": mix_record(mix), "shown": {}}


def test_card_counts_what_was_shown_in_all_stages() -> None:
    shown = {
        "asked statement, touch, near miss: No": 3,
        "asked rule, touch, there: Yes": 4,
        "asked no image: Yes": 2,
        "scenes with a rectangle painted over": 5,
    }
    records: list[dict[str, Any]] = [{"stage": "tower", "shown": {"scenes": 9}}]
    records += [_joint_record("bundled"), _joint_record("bundled")]
    for record in records[1:]:
        record["shown"] = shown
    card = "\n".join(ways(records))
    assert uses_the_judges_wording(records)
    assert "14 closed questions about an image, 8 of them whole rules;" in card
    assert "4 questions without an image; 10 scenes with a rectangle painted over." in card
    assert "*Statement: {text}*" in card


def test_card_of_a_naive_lineage_lists_its_words() -> None:
    records = [_joint_record("naive")]
    card = "\n".join(ways(records))
    assert not uses_the_judges_wording(records) and "No stage of it used the judge's wording." in card
    assert "- *Answer with Yes or No.* with *Is it true? {text}*" in card and "Statement: {text}" not in card
    assert "0 questions without an image; 0 scenes with a rectangle" in card


def test_weights_that_no_stage_trained_are_not_kept(tmp_path: Path) -> None:
    task = Task(stages()["tower"], tmp_path, tmp_path)
    (tmp_path / "pools" / "bundled").mkdir(parents=True)
    modules = {"model": nn.ModuleDict({"kept": nn.Linear(2, 2), "anew": nn.Linear(2, 2)})}
    done = Trained(modules, 1, 1.0, {}, {}, left_out=("model.anew.",))
    save_stage(task, done, tmp_path / "tower")
    assert set(load_parts(tmp_path / "tower")["model"]) == {"kept.weight", "kept.bias"}
