"""Tiny models with random weights that several test files share."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

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


@pytest.fixture
def no_openai_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither a key nor an address of a server is set."""
    for name in ("OPENAI_API_KEY", "OPENAI_BASE_URL"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture(scope="module")
def url(server: Any) -> Iterator[str]:
    """Address of the test module's own fixture `server`, which runs meanwhile."""
    from .bundled_server import serving

    with serving(server) as url:
        yield url
