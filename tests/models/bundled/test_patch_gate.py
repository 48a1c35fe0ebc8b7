"""The gate that looks at patches, with random weights."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch

from jurat.models import ModelError
from jurat.models.bundled.patch_gate import NAMES, PatchGate, patch_logits, patch_tokens
from training.mllm.gate import GateWeights

FEATURES = 12


def weights(seed: int = 0) -> dict[str, torch.Tensor]:
    torch.manual_seed(seed)
    return {name: value.detach() for name, value in GateWeights(FEATURES, 8, 4).named_parameters()}


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


def test_one_strange_patch_raises_the_strangeness_of_its_image_alone() -> None:
    """A patch that differs from all others changes the logits of the 3 x 3 patches around it."""
    parameters = {**weights(), "style.weight": torch.zeros(1, 16)}
    tokens = torch.randn(1, 1, FEATURES).expand(2, 16, FEATURES).clone()
    tokens[1, 5] += 3
    patches, images = patch_logits(parameters, tokens)
    changed = (patches[0] - patches[1]).abs().gt(1e-5).reshape(4, 4)
    assert changed[:3, :3].all() and not changed[3].any() and not changed[:, 3].any()
    assert images[0] != images[1]
    assert float(images[1]) == pytest.approx(
        float(torch.logsumexp(patches[1], 0) + parameters["style.bias"][0]), abs=1e-5
    )


def test_tokens_are_scaled_by_layer_and_leave_out_the_class_token() -> None:
    hidden = [torch.randn(2, 17, 6), 100 + 50 * torch.randn(2, 17, 6)]
    tokens = patch_tokens(hidden, (0, 1), 16)
    assert tokens.shape == (2, 16, 12)
    for part in tokens.split(6, -1):
        torch.testing.assert_close(part.mean(-1), torch.zeros(2, 16), atol=1e-4, rtol=0)
        torch.testing.assert_close(part.std(-1, unbiased=False), torch.ones(2, 16), atol=1e-2, rtol=0)
    assert tokens[:, 0, :6].equal(torch.nn.functional.layer_norm(hidden[0][:, 1], (6,)))
