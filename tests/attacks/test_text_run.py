"""`jurat attack` with attacks on text: rows, resuming, pictures beside the prompts, errors."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from jurat.cli import app
from jurat.content import SPAN, Chat, Generation, Turn
from jurat.models import open_model
from jurat.models.hf.torchvision_import import prepare_torchvision
from jurat.runs import read_rows

from ..models.tiny import make_llava, picture

pytestmark = pytest.mark.skipif(not prepare_torchvision(), reason="torchvision is not installed")

GCG = "gcg?steps=2&candidates=6&top=6&every=1&start=dog cat"
PROMPTS = ("--prompt", "Is a dog visible ?", "--test-prompt", "Is a cat visible ?", "--target", "knife")


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> str:
    return f"hf/{make_llava(tmp_path_factory.mktemp('tiny') / 'llava')}"


def run(*arguments: object) -> Any:
    return CliRunner().invoke(app, ["attack", *map(str, arguments), "--device", "cpu", "--max-tokens", "3"])


@pytest.mark.parametrize(
    ("name", "form"),
    [
        (GCG, f"Is a cat visible ? {SPAN}"),
        ("qi-text?steps=2&candidates=4&length=2&every=1", f"{SPAN} | Is a cat visible ?"),
        ("embedding-search?steps=2&length=2", f"Is a cat visible ? {SPAN}"),
    ],
)
def test_text_is_found_without_pictures_and_recorded(name: str, form: str, tiny: str, tmp_path: Path) -> None:
    out = tmp_path / "out"
    done = run(name, *PROMPTS, "--model", tiny, "--out", out)
    assert done.exit_code == 0, done.output
    (row,) = read_rows(out)
    chat = Chat((Turn("user", (form.replace(SPAN, row["text"]),)),), Generation(max_tokens=3))
    (expected,) = open_model(tiny, device="cpu").chat([chat])
    (reply,) = row["replies"]
    assert (reply["prompt"], reply["reply"]) == ("Is a cat visible ?", expected.text)
    assert reply["success"] is expected.text.startswith("knife")
    assert row["outcome"] == ("success" if reply["success"] else "failure") and row["id"] == "text"
    assert row["forwards"] > row["backwards"] > 0 and row["seconds"] > 0 and row["left_out"] >= 0
    assert "of 1 text succeeded (0 errors)" in done.output
    again = run(name, *PROMPTS, "--model", tiny, "--out", out)
    assert again.exit_code == 0 and "0 rows are new" in again.output


def test_each_picture_gets_a_text_of_its_own(tiny: str, tmp_path: Path) -> None:
    for seed in range(2):
        picture(seed).save(tmp_path / f"{seed}.png")
    (tmp_path / "broken.png").write_bytes(b"no image")
    done = run(GCG, tmp_path, *PROMPTS, "--model", tiny, "--out", tmp_path / "out")
    assert done.exit_code == 0, done.output
    found = {Path(row["id"]).name: row for row in read_rows(tmp_path / "out")}
    assert set(found) == {"0.png", "1.png", "broken.png"}
    assert found["broken.png"]["outcome"] == "error" and found["broken.png"]["replies"] == []
    assert all(found[name]["text"] and found[name]["error"] is None for name in ("0.png", "1.png"))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("carlini", *PROMPTS), "'carlini' attacks pictures: name some"),
        ((GCG, "--prompt", "Is a dog visible ?"), "needs the reply that is wanted"),
        (("gcg", *PROMPTS), "is not read as the same tokens"),
        ((GCG, *PROMPTS, "--model", "null"), "needs gradients with respect to text"),
    ],
)
def test_what_is_missing_is_named(
    arguments: tuple[str, ...], message: str, tiny: str, tmp_path: Path
) -> None:
    model = () if "--model" in arguments else ("--model", tiny)
    done = run(*arguments, *model, "--out", tmp_path / "out")
    assert done.exit_code != 0 and message in done.output + str(done.exception)
