"""`jurat models`: the available models, and what a missing extra would add."""

from __future__ import annotations

import subprocess
import sys

import pytest
from PIL import Image

from jurat.models import Differentiable, Steerable, open_model
from jurat.models.registry import MODELS


def rows(text: str) -> dict[str, list[str]]:
    return {line.split()[0]: line.split() for line in text.splitlines() if line.strip()}


def test_models_lists_built_in_and_plug_in_backends(jurat):
    result = jurat("models")
    assert result.exit_code == 0, result.output
    listed = rows(result.stdout)
    assert {"bundled", "hf/NAME_OR_PATH", "colour/..."} <= set(listed)
    assert listed["bundled"][-5:] == ["yes"] * 5
    assert listed["colour/..."][-5:] == ["?"] * 5
    assert "(colour-model)" in result.stdout


@pytest.mark.parametrize("name", ["bundled", "naive", "null"])
def test_white_box_abilities_are_listed_as_models_have_them(name: str) -> None:
    model, listed = open_model(name), MODELS.find(name).abilities
    assert ("gradients" in listed) is (model.capability(Differentiable) is not None)
    assert ("hooks" in listed) is (model.capability(Steerable) is not None)


def test_explain_prints_how_a_model_is_asked(jurat):
    result = jurat("models", "--explain", "bundled", "--device", "cpu")
    assert result.exit_code == 0, result.output
    told = [line.rstrip().split(maxsplit=1) for line in result.stdout.splitlines()]
    assert ["path", "packed: the prefix and all questions in one forward pass"] in told
    named = {words[0] for words in told}
    assert {"model", "layers", "masks", "positions", "checked", "answers", "begins"} <= named
    assert any("Yes and No have" in " ".join(words) for words in told)


def test_explain_handles_a_model_without_diagnosis(jurat):
    result = jurat("models", "--explain", "colour/any")
    assert result.exit_code == 0, result.output
    assert result.stdout.split("\n")[0].split() == ["model", "colour@1,", "in", "none"]
    assert "its backend decides how it is asked" in result.stdout
    wrong = jurat("models", "--explain", "nobody")
    assert wrong.exit_code == 2
    assert "There is no model 'nobody'" in wrong.output


def test_models_imports_no_backend():
    code = (
        "import sys; from typer.testing import CliRunner; from jurat.cli import app\n"
        "assert CliRunner().invoke(app, ['models']).exit_code == 0\n"
        "print([m for m in ('torch', 'transformers', 'openai') if m in sys.modules])"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert run.stdout.strip() == "[]", run.stderr


def test_missing_extra_names_the_install_command():
    code = (
        "import sys; from importlib.machinery import PathFinder\n"
        "class Without:\n"
        "    @staticmethod\n"
        "    def find_spec(name, path=None, target=None):\n"
        "        return None if name == 'torch' else PathFinder.find_spec(name, path, target)\n"
        "sys.meta_path[:] = [f for f in sys.meta_path if f is not PathFinder] + [Without]\n"
        "sys.argv = ['jurat', *sys.argv[1:]]\n"
        "from jurat.cli import main; main()"
    )
    models = subprocess.run(
        [sys.executable, "-c", code, "models"], capture_output=True, text=True, timeout=60
    )
    assert (
        "Not installed: what is needed for bundled, bundled-writer, hf, naive. "
        'To add it: pip install "jurat[local]"' in " ".join(models.stdout.split())
    )
    judge = [sys.executable, "-c", code, "judge", __file__, "-c", "shelf:nursery"]
    run = subprocess.run(judge, capture_output=True, text=True, timeout=60)
    assert run.returncode == 2, run.stderr
    assert run.stderr == (
        "jurat: The model 'bundled' needs packages that are not installed.\n"
        '  Install them: pip install "jurat[local]"\n'
    )


def test_run_with_mostly_low_mass_shows_what_the_model_answers(jurat, tmp_path, monkeypatch):
    from tests.models import tiny

    monkeypatch.chdir(tmp_path)
    (tmp_path / "grey").mkdir()
    for level in (60, 120, 180):
        Image.new("RGB", (40, 40), (level,) * 3).save(tmp_path / "grey" / f"{level}.png")
    (tmp_path / "policy.yaml").write_text(
        'name: p\nversion: "1"\nrules:\n  - {id: r, rule: The picture is red.}\n'
    )
    served = jurat("judge", "grey", "-c", "policy.yaml", "-m", "colour/any")
    assert "3 of 3 items: colour answers with neither Yes nor No." in served.stdout
    folder = tiny.make_llava(tmp_path / "llava")
    local = jurat("judge", "grey", "-c", "policy.yaml", "-m", f"hf/{folder}", "--device", "cpu")
    assert "3 of 3 items: " in local.stdout
    assert "Its answers begin, with an image: '" in local.stdout and "Yes and No have 0." in local.stdout
    assert f"jurat models --explain hf/{folder}" in local.stdout
