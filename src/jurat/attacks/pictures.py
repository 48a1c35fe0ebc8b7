"""Pictures as tensors, and as the PNG files that attacks are judged on."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from jurat.files import written_aside

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["WINDOW", "as_levels", "as_picture", "as_pixels", "read_png", "save_png", "similarity"]


WINDOW = 11
"""Pixels of a side of the window of `similarity`."""


def as_levels(image: Image.Image) -> Tensor:
    """The 8-bit levels of an image: uint8 (3, H, W)."""
    return torch.from_numpy(np.array(image.convert("RGB"))).permute(2, 0, 1).contiguous()


def as_pixels(levels: Tensor) -> Tensor:
    """Levels as float32 in [0, 1]."""
    return levels.float() / 255


def as_picture(levels: Tensor) -> Image.Image:
    """An RGB image of levels (3, H, W)."""
    array: NDArray[np.uint8] = levels.permute(1, 2, 0).contiguous().numpy()
    return Image.fromarray(array)


def save_png(levels: Tensor, file: Path) -> None:
    """Writes a PNG, whole or not at all."""
    with written_aside(file) as aside:
        as_picture(levels).save(aside, format="PNG")


def read_png(file: Path) -> Image.Image:
    """The image that a user of the model would submit."""
    with Image.open(file) as image:
        return image.convert("RGB")


def similarity(pictures: Tensor, others: Tensor) -> Tensor:
    """SSIM of pictures (n, 3, H, W) in [0, 1], mean over the channels: (n,), differentiable, which that of
    `jurat.metrics.image_similarity`, over luminance, is not.

    Wang et al. 2004: a Gaussian window of 11 x 11 with sigma 1.5, K1 = 0.01, K2 = 0.03; windows that reach
    over the border are left out. Sides of at least `WINDOW` pixels.
    """
    offsets = torch.arange(WINDOW, dtype=pictures.dtype) - WINDOW // 2
    bell = torch.exp(-(offsets**2) / (2 * 1.5**2))
    window = (bell[:, None] * bell / bell.sum() ** 2).expand(3, 1, WINDOW, WINDOW)

    def mean(values: Tensor) -> Tensor:
        return torch.nn.functional.conv2d(values, window, groups=3)

    a, b = mean(pictures), mean(others)
    variances = mean(pictures**2) - a**2 + mean(others**2) - b**2
    covariance = mean(pictures * others) - a * b
    light, contrast = 0.01**2, 0.03**2
    found = (2 * a * b + light) * (2 * covariance + contrast)
    return (found / ((a**2 + b**2 + light) * (variances + contrast))).mean((1, 2, 3))
