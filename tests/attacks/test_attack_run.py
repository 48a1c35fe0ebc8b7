"""`jurat attack` on the tiny bundled-like model: rows, pictures, resuming, errors."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from PIL import Image
from typer.testing import CliRunner

from jurat.attacks.attack_run import Wish, _goal
from jurat.attacks.pictures import as_levels, read_png
from jurat.cli import app
from jurat.cli.attack import _trigger
from jurat.content import Reply
from jurat.models.hf.torchvision_import import prepare_torchvision
from jurat.runs import read_rows

from ..models.tiny import make_llava, picture

pytestmark = pytest.mark.skipif(not prepare_torchvision(), reason="torchvision is not installed")

PROMPTS = ("--prompt", "Is a dog visible ?", "--test-prompt", "Is a cat visible ?")


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> str:
    return f"hf/{make_llava(tmp_path_factory.mktemp('tiny') / 'llava')}"


@pytest.fixture
def images(tmp_path: Path) -> Path:
    folder = tmp_path / "images"
    folder.mkdir()
    for seed in range(3):
        picture(seed).save(folder / f"{seed}.png")
    (folder / "broken.png").write_bytes(b"no image")
    return folder


def run(*arguments: object) -> Any:
    return CliRunner().invoke(app, ["attack", *map(str, arguments)])


def rows(out: Path) -> dict[str, dict[str, Any]]:
    return {Path(row["id"]).name: row for row in read_rows(out)}


def test_attack_on_samples_is_refused_with_the_command_that_takes_it(images: Path, tmp_path: Path) -> None:
    done = run("gong?pieces=2", images, "--out", tmp_path / "out")
    assert done.exit_code == 2 and 'jurat eval SET --attack "gong?pieces=2"' in done.output


def test_pictures_are_attacked_saved_and_recorded(tiny: str, images: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    options = ("--model", tiny, "--device", "cpu", "--target", "dog", "--max-tokens", 3, "--out", out)
    done = run("carlini?steps=3&rate=0.02&radius=0.04", images, *PROMPTS, *options)
    assert done.exit_code == 0, done.output
    found = rows(out)
    assert set(found) == {"0.png", "1.png", "2.png", "broken.png"}
    assert found["broken.png"]["outcome"] == "error" and found["broken.png"]["error"]
    for seed in range(3):
        row = found[f"{seed}.png"]
        saved = as_levels(read_png(out / row["picture"]))
        change = (saved.int() - as_levels(picture(seed)).int()).abs()
        assert row["linf"] == int(change.max()) <= 10
        assert row["outcome"] == ("success" if row["successes"] else "failure")
        (reply,) = row["replies"]
        assert reply["prompt"] == "Is a cat visible ?" and reply["success"] is reply["reply"].startswith(
            "dog"
        )
        assert row["forwards"] > row["backwards"] > 0 and row["seconds"] > 0
    facts = json.loads((out / "_run.json").read_text())["settings"]
    assert facts["attack_settings"]["rate"] == 0.02 and facts["prompts"]["test"] == ["Is a cat visible ?"]
    assert "(1 error)" in done.output and f"rows are new in {out}" in done.output.replace("\n", "")


def test_a_run_is_resumed_and_refuses_other_settings(tiny: str, images: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    options = (*PROMPTS, "--model", tiny, "--device", "cpu", "--out", out, "--max-tokens", 3)
    (images / "1.png").rename(tmp_path / "later.png")
    assert run("noise?radius=0.02", images, *options).exit_code == 0
    before = rows(out)
    (tmp_path / "later.png").rename(images / "1.png")
    again = run("noise?radius=0.02", images, *options)
    assert again.exit_code == 0 and "1 row is new" in again.output
    after = rows(out)
    assert len(after) == 4 and all(after[name] == row for name, row in before.items())
    other = run("noise?radius=0.04", images, *options)
    assert other.exit_code == 2 and "holds a run under other settings" in other.output + str(other.exception)


def test_pictures_do_not_depend_on_the_batch(tiny: str, images: Path, tmp_path: Path) -> None:
    options = (images, *PROMPTS, "--model", tiny, "--device", "cpu", "--max-tokens", 2)
    for size in (1, 16):
        assert (
            run("noise?radius=0.02", *options, "--batch-size", size, "--out", tmp_path / str(size)).exit_code
            == 0
        )
    one, many = rows(tmp_path / "1"), rows(tmp_path / "16")
    assert {name: row["sha256"] for name, row in one.items()} == {
        name: row["sha256"] for name, row in many.items()
    }
    assert len({row["sha256"] for row in one.values()}) == 4


def test_without_a_target_another_reply_is_a_success(tiny: str, images: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    options = (*PROMPTS, "--model", tiny, "--device", "cpu", "--out", out, "--max-tokens", 3)
    assert run("schlarmann-hein?steps=4&radius=0.1", images / "0.png", *options).exit_code == 0
    (reply,) = rows(out)["0.png"]["replies"]
    assert reply["success"] is (reply["reply"].strip() != reply["clean_reply"].strip())


@pytest.mark.parametrize(
    ("attack", "options", "message"),
    [
        ("carlini", PROMPTS, "needs the reply that is wanted"),
        ("carlini", ("--target", "dog"), "needs at least one prompt"),
        ("carlini", (*PROMPTS, "--target", " "), "The target is empty"),
        ("noise", (*PROMPTS, "--success", " "), "The text of a success is empty"),
        ("shayegani", PROMPTS, "needs a trigger"),
        ("shayegani", (*PROMPTS, "--trigger", "nowhere.png"), "There is no image nowhere.png"),
        ("carlinni", PROMPTS, "There is no attack 'carlinni'"),
    ],
)
def test_what_is_missing_is_named_before_anything_is_written(
    attack: str, options: tuple[str, ...], message: str, tiny: str, images: Path, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    done = run(attack, images, "--model", tiny, "--device", "cpu", "--out", out, *options)
    assert done.exit_code != 0 and message in done.output + str(done.exception)
    assert not out.exists()


def test_trigger_that_is_no_image_is_named(images: Path, tmp_path: Path) -> None:
    (tmp_path / "folder.png").mkdir()
    for trigger in (images / "broken.png", tmp_path / "folder.png"):
        done = run(
            "noise", images, *PROMPTS, "--trigger", trigger, "--model", "null", "--out", tmp_path / "out"
        )
        assert done.exit_code != 0 and f"The trigger {trigger} cannot be read" in done.output
    long = "A dog. " * 100
    assert _trigger(long) == long


def test_items_of_several_pictures_are_errors(tmp_path: Path) -> None:
    picture(0).save(tmp_path / "moving.gif", save_all=True, append_images=[picture(1)])
    for seed in range(2):
        picture(seed).save(tmp_path / f"{seed}.png")
    (tmp_path / "items.jsonl").write_text(json.dumps({"id": "two", "images": ["0.png", "1.png"]}))
    shown = (tmp_path / "moving.gif", tmp_path / "items.jsonl", *PROMPTS, "--model", "null")
    for attack in ("noise", "gcg"):
        out = tmp_path / attack
        assert run(attack, *shown, "--target", "Yes", "--out", out).exit_code == 3
        found = [row["error"] for row in read_rows(out)]
        assert "There are 2 images; an attack changes one." in found
        assert "It is of kind 'animation'; an attack changes one still picture." in found


def test_a_model_without_gradients_is_an_error(images: Path, tmp_path: Path) -> None:
    done = run("carlini", images, *PROMPTS, "--target", "Yes", "--model", "null", "--out", tmp_path / "out")
    assert done.exit_code != 0 and "which 'null' does not give" in done.output + str(done.exception)


def test_tiny_pictures_have_no_similarity_and_do_not_end_the_run(
    tiny: str, images: Path, tmp_path: Path
) -> None:
    picture(5, (9, 40)).save(images / "tiny.png")
    options = (*PROMPTS, "--model", tiny, "--device", "cpu", "--max-tokens", 2, "--target", "dog")
    assert run("noise?radius=0.02", images, *options, "--out", tmp_path / "noise").exit_code == 0
    row = rows(tmp_path / "noise")["tiny.png"]
    assert row["outcome"] != "error" and row["ssim"] is None and row["linf"] <= 5
    assert run("fu?steps=1", images, *options, "--out", tmp_path / "fu").exit_code == 0
    found = rows(tmp_path / "fu")
    assert "Similarity needs sides of at least 11 pixels" in found["tiny.png"]["error"]
    assert found["0.png"]["outcome"] in ("success", "failure")


def test_reply_that_only_comes_to_the_target_is_no_success(images: Path) -> None:
    prompt, clean = "Is a dog visible ?", {"Is a dog visible ?": Reply("No")}
    found = {}
    for name, wish in {
        "target": Wish((prompt,), target="Yes"),
        "success": Wish((prompt,), success="yes"),
    }.items():
        goal = _goal(wish, picture(0), clean, 0)
        found[name] = [
            goal.succeeded(goal.test[0], Reply(text)) for text in ("No dog. Yes", "yes, a dog", "No")
        ]
    assert found == {"target": [False, True, False], "success": [True, True, False]}


def test_files_that_are_passed_over_are_told(tiny: str, images: Path, tmp_path: Path) -> None:
    (images / "list.jsonl").write_text("{}\n")
    options = (images, *PROMPTS, "--model", tiny, "--device", "cpu", "--max-tokens", 2)
    done = run("noise?radius=0.02", *options, "--out", tmp_path / "out")
    assert done.exit_code == 0 and "1 file was passed over by the name (.jsonl 1)" in done.stderr


def test_pictures_without_replies_are_errors(images: Path, tmp_path: Path) -> None:
    """The bundled model refuses what is no scene of pictograms."""
    done = run("schlarmann-hein?steps=1", images / "0.png", *PROMPTS, "--out", tmp_path / "out")
    assert done.exit_code == 3
    error = rows(tmp_path / "out")["0.png"]["error"]
    assert error.startswith("There are no replies to the clean picture: out_of_domain: ")


def test_success_of_the_clean_picture_is_told_again_when_a_run_is_resumed(
    tiny: str, images: Path, tmp_path: Path
) -> None:
    options = (images / "0.png", *PROMPTS, "--model", tiny, "--device", "cpu", "--max-tokens", 2)
    done = run("noise?radius=0", *options, "--out", tmp_path / "out")
    (reply,) = rows(tmp_path / "out")["0.png"]["replies"]
    assert reply["success"] is reply["clean_success"] is False and done.exit_code == 0
    word = reply["clean_reply"].split()[0]
    again = (*options, "--out", tmp_path / "again", "--success", word)
    first, resumed = (run("noise?radius=0", *again).output for _ in range(2))
    (reply,) = rows(tmp_path / "again")["0.png"]["replies"]
    assert reply["success"] is reply["clean_success"] is True
    for told in (first, resumed):
        assert "1 clean picture counted as a success before the attack." in told


def test_text_and_images_can_be_triggers(tiny: str, images: Path, tmp_path: Path) -> None:
    Image.new("RGB", (40, 40), "red").save(tmp_path / "red.png")
    options = (*PROMPTS, "--model", tiny, "--device", "cpu", "--out", tmp_path / "out", "--max-tokens", 3)
    done = run("shayegani?steps=2", images / "0.png", "--trigger", tmp_path / "red.png", *options)
    assert done.exit_code == 0, done.output
    assert rows(tmp_path / "out")["0.png"]["score"] > 0
