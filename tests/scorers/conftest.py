"""A tiny classifier that several test files share."""

from pathlib import Path

import pytest

from .classifiers import make


@pytest.fixture(scope="session")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make(tmp_path_factory.mktemp("classifier"), "Bert", max_position_embeddings=12)
