"""The views stage: what is not quite certain is asked again on slightly moved copies of the image.

A tower cuts an image into patches, and where the cuts fall through an object matters for what is seen of it.
Averaged over a few shifts, in log-odds, the answer depends less on that. Every copy is the image moved by
`SHIFT` of its sides along both diagonals, its border repeated where nothing was.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from PIL import Image

if TYPE_CHECKING:
    from collections.abc import Sequence

    from jurat.models import YesNo

SHIFT = 0.04
"""Of the image's sides; of the bundled model's patches, a third."""
DIAGONALS = ((1, 1), (-1, -1), (1, -1), (-1, 1))


def moved(image: Image.Image) -> list[Image.Image]:
    """The four copies, of the image's own size."""
    pixels = np.asarray(image.convert("RGB"))
    wide, high = (max(1, round(SHIFT * side)) for side in image.size)
    padded = np.pad(pixels, ((high, high), (wide, wide), (0, 0)), "edge")
    return [
        Image.fromarray(padded[high + y * high :, wide + x * wide :][: image.height, : image.width].copy())
        for x, y in DIAGONALS
    ]


def averaged(answers: Sequence[YesNo]) -> float:
    """The mean log-odds of the answers on the image and its copies."""
    return sum(answer.log_odds for answer in answers) / len(answers)
