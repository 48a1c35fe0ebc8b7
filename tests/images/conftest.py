"""A small picture with four different corners, and ways to write it to files."""

from __future__ import annotations

import io
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from PIL import Image

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
