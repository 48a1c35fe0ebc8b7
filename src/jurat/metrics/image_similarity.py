"""Structural similarity of two images, with the setting of the paper (Wang et al. 2004, IEEE TIP 13(4)):
luminance of 8 bits, a Gaussian window of 11 x 11 with sigma 1.5, population covariance."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from jurat.content import ImageError
from jurat.text import reason

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from jurat.metrics.metric_rows import MetricRows
    from jurat.metrics.metric_value import MetricValue

SIGMA = 1.5
WINDOW = 11
"""Pixels; the shorter side must have as many."""


def ssim(image: NDArray[np.uint8], reference: NDArray[np.uint8]) -> float:
    """SSIM of two images of one size, arrays (height, width) of 8-bit luminance; in [-1, 1], 1 if equal.

    Raises:
        ValueError: their sizes differ, or a side has fewer than `WINDOW` pixels.
    """
    from skimage.metrics import structural_similarity

    if image.shape != reference.shape:
        raise ValueError(f"{_size(image)} and {_size(reference)} pixels: the sizes differ")
    if min(image.shape) < WINDOW:
        raise ValueError(f"{_size(image)} pixels: smaller than the window of {WINDOW}")
    found: Any = structural_similarity(
        image, reference, data_range=255, gaussian_weights=True, sigma=SIGMA, use_sample_covariance=False
    )
    return float(found)


def mean_ssim(rows: MetricRows, folder: str) -> MetricValue:
    """Mean SSIM of the rows' pairs; paths are read from `folder`."""
    scores: list[float] = []
    reasons: list[str] = []
    for image, reference in zip(rows["image"], rows["reference"], strict=True):
        try:
            scores.append(ssim(luminance(image, folder), luminance(reference, folder)))
            reasons.append("")
        except ValueError as error:
            reasons.append(f"unusable images: {error}")
        except (OSError, ImageError) as error:
            reasons.append(f"unreadable images: {reason(error)}")
    for why in dict.fromkeys(filter(None, reasons)):
        rows, reasons = rows.select([each != why for each in reasons], why), [r for r in reasons if r != why]
    return rows.mean(scores, counted="pair")


def luminance(image: Any, folder: str) -> NDArray[np.uint8]:
    """Luminance (ITU-R 601-2) of a path's first frame, a Pillow image or an array; shape (height, width)."""
    from jurat.media import decode, from_array, from_pil

    if isinstance(image, str):
        found = decode((Path(folder) / image).read_bytes())
    elif isinstance(image, np.ndarray):
        found = from_array(image)
    else:
        found = from_pil(image)
    return np.asarray(found.frames[0].convert("L"))


def _size(image: NDArray[np.uint8]) -> str:
    return f"{image.shape[1]} x {image.shape[0]}"
