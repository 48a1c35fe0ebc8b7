"""Tiny models with random weights that several test files share."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from jurat.models.bundled.model import BundledModel
from jurat.models.hf.model import LocalModel

from . import tiny


@pytest.fixture(scope="session", autouse=True)
def one_thread() -> None:
    torch.set_num_threads(1)


@pytest.fixture(scope="session")
def llava_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny.make_llava(tmp_path_factory.mktemp("llava"))


@pytest.fixture(scope="session")
def llava(llava_folder: Path) -> LocalModel:
    from jurat.models import ModelSpec
    from jurat.models.hf.model import open_local

    return open_local(ModelSpec(f"hf/{llava_folder}", device="cpu"))


@pytest.fixture(scope="session")
def bundled_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny.make_bundled(tmp_path_factory.mktemp("bundled"))


@pytest.fixture(scope="session")
def bundled(bundled_folder: Path) -> BundledModel:
    return BundledModel(bundled_folder, device="cpu")


@pytest.fixture(scope="session")
def white_box(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], LocalModel]:
    """Opens a model of `white_box.NAMES`, once."""
    from .white_box import opened

    folder = tmp_path_factory.mktemp("families")
    return lambda name: opened(name, folder)
