"""A white-box attack on a tiny model of every family: the picture that it saves is measured by the official
8-bit path. Gradients of each family are compared with finite differences in `tests/models/hf`."""

from __future__ import annotations

from pathlib import Path

import pytest

from jurat.attacks.access import Access
from jurat.attacks.cases import Case, Goal
from jurat.attacks.pictures import as_levels, read_png, save_png
from jurat.attacks.registry import open_attack
from jurat.models import PromptScore, PromptScores
from jurat.models.hf.torchvision_import import prepare_torchvision

from ..models.tiny import picture
from ..models.white_box import NAMES, about, opened

pytestmark = pytest.mark.skipif(not prepare_torchvision(), reason="torchvision is not installed")
TARGET = " knife"
FAST = ("llava", "qwen2.5-vl", "blip-2-opt")
RADIUS = 26


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("families")


@pytest.mark.parametrize(
    "name", [name if name in FAST else pytest.param(name, marks=pytest.mark.slow) for name in NAMES]
)
def test_saved_picture_makes_the_target_likelier(name: str, folder: Path, tmp_path: Path) -> None:
    model, image = opened(name, folder), picture(0)
    case = Case(about(image), TARGET)
    goal = Goal(as_levels(image), [case], [], [case], lambda case, reply: False)
    attack = open_attack(f"carlini?steps=6&every=2&rate=0.02&radius={RADIUS / 255}")
    (outcome,) = attack.run([Access(model)], [goal], seed=1)
    save_png(outcome.saved, tmp_path / "attacked.png")
    saved = read_png(tmp_path / "attacked.png")
    assert int((as_levels(saved).int() - goal.clean.int()).abs().max()) <= RADIUS
    assert outcome.score < outcome.losses[0]
    scores = model.capability(PromptScores)
    assert scores is not None
    before, after = scores.prompt_scores([about(image), about(saved)], [TARGET, TARGET])
    assert isinstance(before, PromptScore) and isinstance(after, PromptScore)
    assert after.total > before.total
