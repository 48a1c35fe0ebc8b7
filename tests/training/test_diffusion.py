"""Training of the diffusion model: prompts name what is there, stages run, and what is exported opens."""

from __future__ import annotations

import random
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from typer.testing import CliRunner

from jurat.bench.text_to_image.page import write_text_to_image
from jurat.bench.text_to_image.results import results_of
from jurat.errors import JuratError
from jurat.models import open_text_to_image
from jurat.pictograms.objects import GROUPS, NUMBER, OBJECTS
from training.diffusion import __main__ as command
from training.diffusion import scenes
from training.diffusion.architecture import (
    build_text_encoder,
    build_unet,
    build_vae,
    tokenizer_of,
)
from training.diffusion.card import Seen, card_of
from training.diffusion.export import export, pipeline_of
from training.diffusion.prompts import EMPTY, write
from training.lineage import load_parts, read_lineage, save_stage
from training.loop import train
from training.marked_page import END, mark_of, with_part
from training.stages import Task, maker_of, stages

from ..bench import test_text_to_image as compared


def test_scenes_hold_one_or_two_of_the_objects() -> None:
    made = [scenes.draw_scene(np.random.default_rng(seed)) for seed in range(40)]
    assert all(scene.pixels.shape == (scenes.SIDE, scenes.SIDE, 3) for scene in made)
    known = {NUMBER[name] for name in scenes.NAMES}
    assert all({*scene.kinds} <= known and len({*scene.kinds}) == len(scene.kinds) for scene in made)
    assert {len(scene.kinds) for scene in made} == {1, 2}


def test_prompts_name_what_is_there() -> None:
    rng, tokenizer = random.Random(0), tokenizer_of()
    kinds = [NUMBER["kitchen knife"], NUMBER["dog"]]
    names = [[OBJECTS[k].singular, *(g.singular for g in GROUPS if k in g.classes)] for k in kinds]
    prompts = [write(kinds, rng) for _ in range(400)]
    written = [prompt for prompt in prompts if prompt]
    assert abs(1 - len(written) / len(prompts) - EMPTY) < 0.05
    for prompt in written:
        assert all(any(name in prompt for name in each) for each in names), prompt
        ids = tokenizer(prompt)["input_ids"]
        assert len(ids) <= tokenizer.model_max_length and tokenizer.unk_token_id not in ids, prompt
    assert any("blade" in prompt for prompt in written) and any("weapon" in prompt for prompt in written)
    assert all(write([kinds[0]], rng, empty=0) for _ in range(100))


def test_it_is_small() -> None:
    networks = (build_vae(), build_unet(), build_text_encoder(len(tokenizer_of())))
    total = sum(weight.numel() for network in networks for weight in network.parameters())
    assert total <= 8_000_000, f"{total:,} parameters"


@pytest.fixture(scope="module")
def stage(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a diffusion model that was trained for two steps."""
    root = tmp_path_factory.mktemp("diffusion")
    small = stages(small=True)
    for name in ("codec", "diffusion"):
        task = Task(replace(small[name], settings={"scenes": 32}), root, root / "finished")
        done = train(maker_of(task), small[name].schedule, root / f"{name}.pt")
        assert all(0 <= value <= 1 for value in done.measured.values()), done.measured
        assert done.counts["scenes"] == small[name].schedule.steps * small[name].schedule.batch
        folder = save_stage(task, done, root / "finished" / name)
    assert [record["stage"] for record in read_lineage(folder)] == ["codec", "diffusion"]
    codec = load_parts(root / "finished" / "codec")["vae"]
    kept = load_parts(folder)["vae"]
    assert all(torch.equal(codec[name], value) for name, value in kept.items()), "the codec stays as it was"
    return folder


def test_the_exported_model_opens_and_draws(stage: Path, tmp_path: Path) -> None:
    export(stage, tmp_path)
    made = pipeline_of(stage)
    assert 0 < made.vae.config.scaling_factor < 100
    model = open_text_to_image(f"diffusers/{tmp_path}?steps=2", device="cpu")
    pictures = model.generate(["a dog and a kitchen knife", ""])
    assert [picture.size for picture in pictures] == [(scenes.SIDE, scenes.SIDE)] * 2
    opened = getattr(model, "_pipe")  # noqa: B009
    assert opened.vae.config.scaling_factor == made.vae.config.scaling_factor
    for part in ("vae", "unet", "text_encoder"):
        ours, theirs = getattr(made, part).state_dict(), getattr(opened, part).state_dict()
        assert all(torch.equal(ours[name], value) for name, value in theirs.items()), part


def test_the_card_counts_what_was_not_judged(stage: Path) -> None:
    kinds = ("prompted", "drawn", "another drawn")
    found = {name: {kind: Seen(8, 6, 1, 5) for kind in kinds} for name in scenes.NAMES}
    card = card_of(read_lineage(stage), found, dict.fromkeys(scenes.NAMES, 0.5))
    assert "| kitchen knife | 75.0 (40.9-92.9) | 1 of 8 |" in card
    assert "| all | 75.0 (65.5-82.6) | 12 of 96 |" in card and "stage `codec`" in card


# --- the page ------------------------------------------------------------------------------------


def test_page_has_the_results_that_there_are() -> None:
    page = command.PAGE.read_text(encoding="utf-8")
    found = command.tables(command.read_results(command.RESULTS))
    assert with_part(page, command.COMMAND, found) == page, f"run {command.COMMAND}"


def test_results_of_a_run_are_put_on_the_page_by_one_command(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "suite.yaml").write_text(compared.SUITE)
    plan = compared.plan_of(tmp_path / "suite.yaml", tmp_path, command="jurat bench text-to-image")
    write_text_to_image(tmp_path / "run", *results_of(plan, compared.said(plan, compared.as_claimed)))
    page, results = tmp_path / "page.md", tmp_path / "results" / "text-to-image.json"
    for name, path in (("PAGE", page), ("RESULTS", results), ("FIGURE", results.with_suffix(".svg"))):
        monkeypatch.setattr(command, name, path)
    page.write_text(with_part(f"# T\n\n{mark_of(command.COMMAND)}\n{END}\nMore.\n", command.COMMAND, "old\n"))
    run = CliRunner().invoke
    assert run(command.app, ["table"]).exit_code == 0 and command.NONE_YET in page.read_text()
    assert (
        run(command.app, ["table", str(tmp_path / "run"), "--check"]).exit_code == 1 and not results.exists()
    )
    assert run(command.app, ["table", str(tmp_path / "run")]).exit_code == 0
    text = page.read_text()
    assert "### What holds, and what does not" in text and "\n## " not in text and text.endswith("More.\n")
    assert "](results/text-to-image.svg)" in text and results.with_suffix(".svg").exists()
    assert run(command.app, ["table", "--check"]).exit_code == 0
    page.write_text("# T\n")
    assert isinstance(run(command.app, ["table"]).exception, JuratError)
