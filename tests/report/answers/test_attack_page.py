"""The page of a run of `jurat attack`."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner

from jurat.cli import app
from jurat.report.answers.attacks import _difference, is_attack


@pytest.fixture
def run(tmp_path: Path) -> Path:
    folder = tmp_path / "images"
    folder.mkdir()
    for seed in range(2):
        noise = np.random.default_rng(seed).integers(0, 256, (40, 40, 3), np.uint8)
        Image.fromarray(noise).save(folder / f"{seed}.png")
    (folder / "broken.png").write_bytes(b"no image")
    options = ["--model", "null", "--prompt", "What is <here>?", "--max-tokens", "4"]
    done = invoke("attack", "noise?radius=0.1", folder, *options, "--out", tmp_path / "run")
    assert done.exit_code == 0, done.output
    return tmp_path / "run"


def invoke(*arguments: object) -> Any:
    return CliRunner().invoke(app, list(map(str, arguments)))


def png(values: list[list[int]]) -> bytes:
    out = io.BytesIO()
    Image.fromarray(np.array(values, np.uint8)[..., None].repeat(3, 2)).save(out, "PNG")
    return out.getvalue()


@pytest.mark.parametrize(
    ("attacked", "expected"),
    [([[100, 102]], [[128, 128]]), ([[104, 100]], [[255, 64]]), ([[100, 94]], [[128, 1]])],
)
def test_difference_is_enlarged_to_the_whole_range(
    attacked: list[list[int]], expected: list[list[int]]
) -> None:
    made = np.asarray(Image.open(io.BytesIO(_difference(png([[100, 102]]), png(attacked)))))
    assert made[..., 0].tolist() == expected


def test_page_shows_both_replies_and_three_pictures(run: Path, tmp_path: Path) -> None:
    assert is_attack(run) and not is_attack(tmp_path)
    page = tmp_path / "page.html"
    done = invoke("report", run, "--out", page)
    assert done.exit_code == 0, done.output
    assert "3 pictures" in done.output
    text = page.read_text()
    assert "noise on null" in text and "4 settings" in text
    assert '"by":"before"' in text and '"by":"attacked"' in text
    assert "What is \\u003chere\\u003e?" in text and "<here>" not in text
    assert text.count("data:image/webp;base64,") == 2
    assert "There is no attacked picture." in text


def test_files_that_changed_are_not_shown(run: Path, tmp_path: Path) -> None:
    for file in (tmp_path / "images").glob("[01].png"):
        Image.new("RGB", (40, 40)).save(file)
    invoke("report", run, "--out", tmp_path / "page.html")
    text = (tmp_path / "page.html").read_text()
    assert "data:image/webp;base64," not in text
    assert "has changed since it was attacked" in text


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--format", "csv"], "--format is for verdicts, not for attacks"),
        (["RUN"], "is a run of an attack, which has a page of its own"),
    ],
)
def test_what_an_attack_has_no_page_for_is_refused(run: Path, options: list[str], message: str) -> None:
    done = invoke("report", run, *[str(run) if each == "RUN" else each for each in options])
    assert done.exit_code == 2
    assert message in done.output.replace("\n", " ")
