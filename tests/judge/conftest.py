from __future__ import annotations

from pathlib import Path

import pytest
import torch

from jurat.constitution import Constitution, Rule
from jurat.models.bundled.model import BundledModel

from ..models import tiny


@pytest.fixture(scope="session", autouse=True)
def one_thread() -> None:
    torch.set_num_threads(1)


@pytest.fixture(scope="session")
def bundled(tmp_path_factory: pytest.TempPathFactory) -> BundledModel:
    """The bundled model's layout with random weights."""
    return BundledModel(tiny.make_bundled(tmp_path_factory.mktemp("bundled")), device="cpu")


@pytest.fixture(scope="session")
def law() -> Constitution:
    return Constitution(
        name="kitchen",
        rules=(
            Rule(
                id="blade",
                rule="No child may be shown touching a blade.",
                severity="high",
                action="remove",
                clauses=(
                    "A child is visible.",
                    {"any of": ["A dagger is visible.", "A kitchen knife is visible."]},
                ),
                unless=("A police officer is visible.",),
            ),
            Rule(
                id="dog",
                rule="No dog may be shown.",
                severity="low",
                clauses=({"not": "A cat is visible."}, "A dog is visible."),
            ),
            Rule(id="whole", rule="No dagger may be shown."),
        ),
    )


@pytest.fixture
def scene_files(tmp_path: Path) -> list[Path]:
    paths = [tmp_path / f"{seed}.png" for seed in range(5)]
    for seed, path in enumerate(paths):
        tiny.scene(seed).save(path)
    return paths
