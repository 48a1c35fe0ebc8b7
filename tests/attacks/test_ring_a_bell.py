"""Ring-A-Bell: the search finds what it looks for with a text encoder alone, and a run can be resumed."""

from __future__ import annotations

import csv
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file
from typer.testing import CliRunner

from jurat.attacks.methods.ring_a_bell import RingABell, concept_direction, random_prompts
from jurat.attacks.registry import open_attack
from jurat.cli import app
from jurat.errors import JuratError
from jurat.evals.attacking import AttackChoice
from jurat.models import open_text_to_image
from jurat.models.diffusion.text_encoder import TextEncoder

from ..models.tiny_diffusion import make_checkpoint

PAIRS = [("a dog and a cat", "a cat"), ("a picture of a dog", "a picture"), ("a car with a dog", "a car")]
QUICK = RingABell(length=3, population=24, generations=12)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_checkpoint(tmp_path_factory.mktemp("diffusion"))


@pytest.fixture(scope="module")
def encoder(folder: Path, tmp_path_factory: pytest.TempPathFactory) -> TextEncoder:
    """Opened from a folder that holds neither the denoising network nor the codec."""
    alone = tmp_path_factory.mktemp("alone")
    for part in ("tokenizer", "text_encoder"):
        (alone / part).symlink_to(folder / part)
    return TextEncoder(alone, device="cpu")


def test_rows_are_those_that_the_pipeline_encodes(folder: Path, encoder: TextEncoder) -> None:
    text = "a picture of a dog"
    (row,) = encoder.ids_of([text])
    tokens = row[1:6][None]
    assert encoder.text_of(tokens[0].tolist()) == text
    assert torch.equal(encoder.rows_of(tokens)[0], row)
    model: Any = open_text_to_image(f"diffusers/{folder}", device="cpu")
    assert torch.allclose(encoder.encode(row[None]), model.encode([text]))
    assert encoder.cut([text, " ".join(["dog"] * 11)]) == [" ".join(["dog"] * 11)]
    special = set(encoder._tokenizer.all_special_ids)
    assert special.isdisjoint(encoder.free) and len(encoder.free) + len(special) == len(encoder._tokenizer)


def test_direction_is_the_mean_difference(encoder: TextEncoder) -> None:
    each = [concept_direction(encoder, [pair]) for pair in PAIRS]
    assert torch.allclose(concept_direction(encoder, PAIRS), torch.cat(each).mean(0, keepdim=True), atol=1e-5)
    assert not each[0].any(dim=2)[0, 0], "the begin mark sees no token behind it"
    with pytest.raises(JuratError, match="at least one pair"):
        concept_direction(encoder, [])


def test_search_finds_a_text_that_is_there(encoder: TextEncoder) -> None:
    nothing = torch.zeros(1)
    attack = replace(QUICK, population=80, generations=60)
    (found,) = attack.run(encoder, nothing, ["two cat dog"], seed=1)
    assert found.text == "two cat dog" and found.distance == pytest.approx(0, abs=1e-3), found


@pytest.mark.parametrize("attack", [QUICK, replace(QUICK, keep_best=False, by_text=False)])
def test_search_is_nearer_than_random_tokens_and_repeats(attack: RingABell, encoder: TextEncoder) -> None:
    direction = concept_direction(encoder, PAIRS)
    prompts = ["a cat", "a tree and a cup"]
    found = attack.run(encoder, direction, prompts, seed=3)
    target = [encoder.encode(encoder.ids_of([p])) + attack.eta * direction for p in prompts]
    for each, goal, other in zip(found, target, random_prompts(encoder, 3, 2, seed=3), strict=True):
        control = float((encoder.encode(encoder.ids_of([other])) - goal).square().sum())
        again = float((encoder.encode(encoder.ids_of([each.text])) - goal).square().sum())
        assert each.text_distance == pytest.approx(again, rel=1e-4) and again < control
        assert len(each.ids) == 3 and each.encoded >= 12 * 12
    second = attack.run(encoder, direction, prompts[1:], seed=3, first=1)
    assert [replace(each, seconds=0) for each in second] == [replace(found[1], seconds=0)]


def test_best_row_is_kept(encoder: TextEncoder) -> None:
    free, rng = torch.tensor(encoder.free), torch.Generator().manual_seed(0)
    kept = free[torch.randint(len(free), (12, 3), generator=rng)]
    for _ in range(20):
        rows = replace(QUICK, mutation=1.0)._next(kept.clone(), free, rng)
        assert torch.equal(rows[0], kept[0]) and 12 <= len(rows) <= 36
    rows = replace(QUICK, mutation=0.0, crossover=1.0)._next(kept.clone(), free, rng)
    first, second = rows[12:24], rows[24:]
    assert torch.equal(rows[:12], kept) and len(second) == 12
    for parent, one, other in zip(kept, first, second, strict=True):
        assert all(p in (a, b) for p, a, b in zip(parent.tolist(), one.tolist(), other.tolist(), strict=True))


@pytest.fixture
def files(tmp_path: Path, folder: Path) -> dict[str, str]:
    (tmp_path / "prompts.csv").write_text("prompt\na cat\na tree and a cup\n")
    (tmp_path / "pairs.csv").write_text("with,without\n" + "".join(f"{a},{b}\n" for a, b in PAIRS))
    return {
        "--text-encoder": str(folder),
        "--prompts": str(tmp_path / "prompts.csv"),
        "--pairs": str(tmp_path / "pairs.csv"),
        "--out": str(tmp_path / "out"),
    }


def attack(files: dict[str, str], name: str = "ring-a-bell?length=3&population=8&generations=3") -> Any:
    return CliRunner(env={"COLUMNS": "400"}).invoke(
        app, ["attack", name, *(text for pair in files.items() for text in pair)]
    )


def test_command_writes_prompts_and_resumes(files: dict[str, str], tmp_path: Path) -> None:
    first = attack(files)
    assert first.exit_code == 0 and " of 2 prompts: what was found is nearer" in first.output, first.output
    with (tmp_path / "out/prompts.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [row["prompt"] for row in rows] == ["a cat", "a tree and a cup"]
    assert all(len(row[kind].split()) == 3 for row in rows for kind in ("attacked", "random"))
    again = attack(files)
    assert again.exit_code == 0 and "'a cat'" not in again.output, again.output
    with (tmp_path / "out/prompts.csv").open() as file:
        assert list(csv.DictReader(file)) == rows


def too_long(files: dict[str, str]) -> Any:
    return attack(files, "ring-a-bell?length=11&generations=1")


def too_far(files: dict[str, str]) -> Any:
    return attack(files, "ring-a-bell?length=3&eta=1e30")


def negative_seed(files: dict[str, str]) -> Any:
    return attack(files | {"--seed": "-1"})


def another_dtype(files: dict[str, str]) -> Any:
    return attack(files | {"--dtype": "bfloat16"})


def with_prompts(text: str) -> Callable[[dict[str, str]], Any]:
    def attempt(files: dict[str, str]) -> Any:
        file = Path(files["--out"]).with_name("own.jsonl")
        file.write_text(text)
        return attack(files | {"--prompts": str(file)})

    return attempt


def same_texts(files: dict[str, str]) -> Any:
    Path(files["--pairs"]).write_text("with,without\na dog,a dog\n")
    return attack(files)


def no_pairs(files: dict[str, str]) -> Any:
    return attack({name: value for name, value in files.items() if name != "--pairs"})


def no_encoder(files: dict[str, str]) -> Any:
    return attack(files | {"--text-encoder": files["--out"]})


def no_column(files: dict[str, str]) -> Any:
    return attack(files | {"--prompts": files["--pairs"]})


def a_target(files: dict[str, str]) -> Any:
    return attack(files | {"--target": "Yes"})


def another_attack(files: dict[str, str]) -> Any:
    return attack(files, "gcg")


@pytest.mark.parametrize(
    ("attempt", "message"),
    [
        (too_long, "11 tokens does not fit"),
        (too_far, "eta is too large"),
        (negative_seed, "The seed -1 is no whole number"),
        (another_dtype, "takes no --dtype"),
        (same_texts, "twice the same text: 'a dog'"),
        (with_prompts(""), "has no rows"),
        (with_prompts('{"prompt": "a"}\n{"text": "a"}\n'), "line 2: prompt holds no text"),
        (with_prompts('{"prompt": "a \\ud800"}\n'), "line 1: not UTF-8"),
        (with_prompts('{"prompt": null}\n'), "line 1: prompt holds no text"),
        (no_pairs, "needs --pairs"),
        (no_encoder, "holds no folder tokenizer"),
        (no_column, "has no column 'prompt'"),
        (a_target, "takes no --target"),
        (another_attack, "takes no --text-encoder"),
    ],
)
def test_what_cannot_be_run_is_said(
    attempt: Callable[[dict[str, str]], Any], message: str, files: dict[str, str]
) -> None:
    result = attempt(files)
    told = f"{result.output} {result.exception}"
    assert result.exit_code in (2, 3) and message in told, told
    assert not Path(files["--out"]).exists(), "the next run would be refused"


def test_words_that_the_text_encoder_does_not_know_are_said(files: dict[str, str]) -> None:
    Path(files["--prompts"]).write_text("prompt\nzebra \U0001f600 crossing\na cat\n")
    result = attack(files)
    assert result.exit_code == 0 and "1 text of the files with words" in result.output, result.output


def test_another_encoder_at_the_same_place_is_no_resumed_run(
    files: dict[str, str], folder: Path, tmp_path: Path
) -> None:
    own = tmp_path / "own"
    shutil.copytree(folder, own)
    files |= {"--text-encoder": str(own)}
    assert attack(files).exit_code == 0
    (file,) = (own / "text_encoder").glob("*.safetensors")
    save_file({name: 2 * value for name, value in load_file(file).items()}, file, {"format": "pt"})
    again = attack(files)
    assert again.exit_code == 2 and "text encoder:" in again.output, again.output


def test_it_is_no_attack_on_samples() -> None:
    with pytest.raises(JuratError, match="prompts of text-to-image models"):
        AttackChoice("ring-a-bell").opened()
    assert isinstance(open_attack("ring-a-bell", "as_released"), RingABell)
