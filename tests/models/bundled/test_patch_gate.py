"""The gate that looks at patches, with random weights."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from jurat.models import ModelError
from jurat.models.bundled.domain_gate import Gate, load_gate
from jurat.models.bundled.patch_gate import (
    NAMES,
    SEEN,
    PatchGate,
    answers_about,
    patch_inputs,
    patch_logits,
    patch_tokens,
)
from training.mllm.gate import GateWeights

WIDTH, HEADS, ANSWERS = 6, 2, 9
FEATURES = WIDTH + HEADS * SEEN


def weights(seed: int = 0) -> dict[str, torch.Tensor]:
    torch.manual_seed(seed)
    reading = {
        "answers.weight": torch.randn(HEADS, ANSWERS, WIDTH),
        "answers.bias": torch.randn(HEADS, ANSWERS),
    }
    for layer in ("project.0", "project.2"):
        reading |= {f"{layer}.weight": torch.randn(WIDTH, WIDTH), f"{layer}.bias": torch.randn(WIDTH)}
    gate = GateWeights(FEATURES, 8, 4)
    return reading | {name: value.detach() for name, value in gate.named_parameters()}


def test_names_are_those_that_training_writes() -> None:
    assert set(NAMES) == set(weights())


def test_gate_round_trips(tmp_path: Path) -> None:
    gate = PatchGate(weights(), (1, 3), 12.5)
    gate.save(tmp_path)
    again = PatchGate.load(tmp_path)
    assert all(again.weights[name].equal(gate.weights[name]) for name in NAMES)
    assert (again.layers, again.threshold) == (gate.layers, gate.threshold)
    settings = json.loads((tmp_path / "domain.json").read_text())
    assert settings == {"version": 2, "layers": [1, 3], "threshold": 12.5}


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ('{"version": 1}', "is of version 1; this jurat reads 2"),
        ('{"version": 2, "layers": [1]}', "cannot be read: KeyError"),
        ("{", "cannot be read: JSONDecodeError"),
    ],
)
def test_unreadable_gate_is_an_error(tmp_path: Path, settings: str, message: str) -> None:
    PatchGate(weights(), (1,), 1.0).save(tmp_path)
    (tmp_path / "domain.json").write_text(settings)
    with pytest.raises(ModelError, match=message):
        PatchGate.load(tmp_path)


@pytest.mark.parametrize("gate", [PatchGate(weights(), (1,), 1.0), Gate(torch.zeros(99), 0.0, (1,), 1.0)])
@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (
            lambda file: file.write_bytes(file.read_bytes()[: file.stat().st_size * 2 // 5]),
            "cannot be read: S",
        ),
        (lambda file: file.write_bytes(b""), "cannot be read: S"),
        (lambda file: file.unlink(), "cannot be read: FileNotFoundError"),
        (lambda file: save_file({"other": torch.zeros(1)}, file), "holds no tensor '"),
    ],
    ids=["cut", "empty", "missing", "of something else"],
)
def test_damaged_weights_of_a_gate_are_named(
    tmp_path: Path, gate: PatchGate | Gate, damage: Callable[[Path], object], message: str
) -> None:
    gate.save(tmp_path)
    damage(tmp_path / "domain.safetensors")
    with pytest.raises(ModelError) as raised:
        load_gate(tmp_path)
    assert f"domain.safetensors {message}" in raised.value.message
    assert "domain.json" not in raised.value.message


def test_one_strange_patch_raises_the_strangeness_of_its_image_alone() -> None:
    """A patch that differs from all others changes the logits of the 5 x 5 patches around it."""
    parameters = {**weights(), "style.weight": torch.zeros(1, 16)}
    tokens = torch.randn(1, 1, FEATURES).expand(2, 49, FEATURES).clone()
    tokens[1, 16] += 3
    patches, images = patch_logits(parameters, tokens)
    changed = (patches[0] - patches[1]).abs().gt(1e-5).reshape(7, 7)
    assert changed[:5, :5].all() and not changed[5:].any() and not changed[:, 5:].any()
    assert images[0] != images[1]
    assert float(images[1]) == pytest.approx(
        float(torch.logsumexp(patches[1], 0) + parameters["style.bias"][0]), abs=1e-5
    )


def test_answers_are_shares_of_nothing_unknown_and_likeliest_things() -> None:
    """With the projector and the heads as the identity, logits are the gelu of the tokens."""
    answers = torch.tensor([4.0, 2.0, 1.0, 3.0, 0.0, 0.5])
    identity = {"weight": torch.eye(6), "bias": torch.zeros(6)}
    reading = {
        f"{layer}.{part}": value for layer in ("project.0", "project.2") for part, value in identity.items()
    }
    reading |= {"answers.weight": torch.eye(6)[None], "answers.bias": torch.zeros(1, 6)}
    (seen,) = answers_about(reading, answers.expand(1, 1, 6))[0]
    logits = torch.nn.functional.gelu(answers)
    likely = logits.softmax(0)
    entropy = -(likely * likely.log()).sum() / torch.tensor(6.0).log()
    expected = [
        likely[0],
        likely[4],
        likely[5],
        likely[3],
        likely[1],
        likely[2],
        entropy,
        logits.logsumexp(0) / 10,
    ]
    torch.testing.assert_close(seen, torch.stack(expected))


def test_inputs_are_tokens_and_answers_of_the_last_layer() -> None:
    hidden = [torch.randn(2, 17, WIDTH), torch.randn(2, 17, WIDTH)]
    made = patch_inputs(weights(), hidden, (0,), 16)
    assert made.shape == (2, 16, FEATURES)
    assert made[..., :WIDTH].equal(patch_tokens(hidden, (0,), 16))
    assert made[..., WIDTH:].equal(answers_about(weights(), hidden[1][:, 1:]))


def test_tokens_are_scaled_by_layer_and_leave_out_the_class_token() -> None:
    hidden = [torch.randn(2, 17, 6), 100 + 50 * torch.randn(2, 17, 6)]
    tokens = patch_tokens(hidden, (0, 1), 16)
    assert tokens.shape == (2, 16, 12)
    for part in tokens.split(6, -1):
        torch.testing.assert_close(part.mean(-1), torch.zeros(2, 16), atol=1e-4, rtol=0)
        torch.testing.assert_close(part.std(-1, unbiased=False), torch.ones(2, 16), atol=1e-2, rtol=0)
    assert tokens[:, 0, :6].equal(torch.nn.functional.layer_norm(hidden[0][:, 1], (6,)))
