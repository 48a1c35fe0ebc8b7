"""Fixtures for every test; deadlines are relaxed, since a busy machine is slow."""

from __future__ import annotations

import io
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from filelock import FileLock
from hypothesis import settings
from PIL import Image

from jurat.models.hf.torchvision_import import prepare_torchvision

from .preloaded import Preloaded

prepare_torchvision()  # before a test module imports transformers

os.environ["JURAT_CACHE"] = "off"  # nothing is remembered from one test to the next, or written into a home

settings.register_profile("jurat", deadline=None)
settings.load_profile("jurat")

Encode = Callable[..., bytes]


@pytest.fixture(scope="session")
def picture() -> Image.Image:
    """48 x 32 pixels, smooth, so that lossy formats keep it; no symmetry."""
    y, x = np.mgrid[0:32, 0:48]
    red, green, blue = x * 5, y * 7, 255 - (x + y) * 3
    return Image.fromarray(np.stack([red, green, blue], axis=-1).clip(0, 255).astype(np.uint8))


@pytest.fixture(scope="session")
def encode() -> Encode:
    """encode(image, "PNG", **options): the bytes of a file as Pillow writes it."""

    def write(image: Image.Image, format: str, **options: Any) -> bytes:
        buffer = io.BytesIO()
        image.save(buffer, format, **options)
        return buffer.getvalue()

    return write


@pytest.fixture(scope="session")
def preloaded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Preloaded]:
    """Runs `jurat` and `python` without their imports; started once, when a test first asks for it."""
    with Preloaded(tmp_path_factory.mktemp("preloaded"), {"HF_HUB_OFFLINE": "1"}) as programs:
        yield programs


@pytest.fixture
def alone_with_ray(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """One cluster at a time on this machine, whichever worker of xdist starts it."""
    with FileLock(tmp_path_factory.getbasetemp().parent / "ray.lock"):
        yield


@pytest.fixture(scope="session")
def logs(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """A log of each model in `tests/evals/drawn_logs.py`, by the model's name."""
    from .evals.drawn_logs import write_logs

    return write_logs(tmp_path_factory.mktemp("logs"))
