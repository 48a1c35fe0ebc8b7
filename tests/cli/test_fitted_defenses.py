"""`jurat defense fit`: files for defenses, and the models that are opened under them."""

from __future__ import annotations

from pathlib import Path

import pytest

from jurat.defenses import open_defense

from ..models.tiny import make_llava, picture

PROMPTS = """\
prompt,harmful
A child touches a knife,yes
A baby touches a dagger,yes
A dog is visible,no
The sign reads STOP,no
,no
"""
FIT = ("defense", "fit", "inferaligner", "--model", "hf/llava", "--device", "cpu", "--prompts", "prompts.csv")


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    make_llava(tmp_path / "llava")
    Path("prompts.csv").write_text(PROMPTS)
    Path("no.csv").write_text("a,b\n1,2\n")
    return tmp_path


def test_vectors_are_fitted_and_used(folder, jurat):
    result = jurat(*FIT, "--out", "vectors.safetensors")
    assert result.exit_code == 0, result.output
    assert "1 row was left out:\n  line 6: there is no prompt" in result.stderr
    assert "vectors.safetensors: 3 layers, 2 harmful prompts and 2 harmless." in result.stdout
    assert "model.language_model.layers.2" in result.stdout
    again = jurat(*FIT, "--out", "vectors.safetensors")
    assert again.exit_code == 2 and "vectors.safetensors already exists" in again.stderr
    Path("policy.yaml").write_text(
        "name: p\nrules:\n  - {id: dog, rule: No dog., clauses: [A dog is visible.]}\n"
    )
    picture(1).save("one.png")
    judge = ("judge", "one.png", "-c", "policy.yaml", "--preset", "quick", "--model", "hf/llava")
    judged = jurat(*judge, "--device", "cpu", "--defense", "inferaligner?vectors=vectors.safetensors")
    assert "Defense inferaligner?vectors=vectors.safetensors&digest=" in judged.output


def test_printed_option_opens_a_file_of_any_name(folder, jurat):
    result = jurat(*FIT, "--out", "a&b +c.safetensors")
    printed = result.stdout.splitlines()[-1]
    assert printed == 'Use it: --defense "inferaligner?vectors=a%26b+%2Bc.safetensors"'
    assert open_defense(printed.split('"')[1]).vectors == "a&b +c.safetensors"


def test_prompts_with_words_that_the_model_never_learned_are_left_out(folder, jurat):
    Path("prompts.csv").write_text("prompt,harmful\nA zeppelin,yes\nA fez,yes\nA dog,no\nA cat,no\n")
    result = jurat(*FIT[:3], "--model", "bundled", *FIT[5:], "--out", "vectors.safetensors")
    assert result.exit_code == 2
    assert "can read 0 harmful examples and 2 harmless that can be used. Left out: line 2:" in result.stderr
    assert "The model never learned 'zeppelin'." in result.stderr


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (("--model", "null"), "The hidden states of 'null' cannot be read"),
        (("--defense", "jpeg"), "The hidden states of 'hf/llava + jpeg' cannot be read"),
        (
            ("--prompts", "no.csv"),
            "the rows have a, b.\n  The columns are prompt and harmful.",
        ),
        (("--prompts", "gone.csv"), "gone.csv cannot be read: No such file or directory"),
    ],
)
def test_what_cannot_be_fitted_says_why(folder, jurat, change, told):
    result = jurat(*FIT, "--out", "vectors.safetensors", *change)
    assert result.exit_code == 2 and told in result.stderr
    assert not Path("vectors.safetensors").exists()


def test_detoxifier_is_trained_and_named(folder, jurat):
    rows = [f"What is it ?,{text},A dog is visible" for text in "abcdefghijkl"]
    Path("rewrites.csv").write_text("\n".join(("request,answer,rewritten", *rows)))
    fit = (
        "defense",
        "fit",
        "detoxifier",
        "--model",
        "hf/llava",
        "--device",
        "cpu",
        "--rewrites",
        "rewrites.csv",
    )
    result = jurat(*fit, "--out", "after it", "--epochs", "1", "--rate", "1e-3")
    assert result.exit_code == 0, result.output
    assert "epoch 1 of 1: loss " in result.stderr
    assert "Trained on 11 rows, 1 time each.\nLoss a token on 1 row left out: " in result.stdout
    assert 'Use it: --defense "protector?head=FILE&detoxifier=hf/after+it"' in result.stdout
    assert (Path("after it") / "model.safetensors").exists()
    again = jurat(*fit, "--out", "after it")
    assert again.exit_code == 2 and "after it already exists" in again.stderr
    served = jurat(*fit[:3], "--model", "null", *fit[7:], "--out", "other")
    assert served.exit_code == 2 and "The weights of 'null' cannot be trained" in served.stderr
