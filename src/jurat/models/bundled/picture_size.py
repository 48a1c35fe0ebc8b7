"""Recognises pictures of a size or shape that the bundled models were not trained on, by their pixels.

A tower sees every picture as one small square. A scene in a corner of a large picture is scaled away, and
what is left looks like an empty scene; a wide picture is squeezed, and two scenes side by side look like one.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from PIL import Image

DRAWN = 384
"""Pixels of the longer side of the largest scenes that the models learned on."""
LARGEST = 1024
"""Pixels of the longer side of an image, at most: a scene of `DRAWN` pixels is 48 of 128 in it."""
FILLED = 0.5
"""Share of the longer side that the foreground of an image larger than `DRAWN` must have."""
_OUTLIERS = 2.0
"""Percent of the foreground pixels that are ignored at each end: a dot in a corner is no scene."""
_UNLIKE = 24
"""Levels of 255 by which a foreground pixel differs from the background, at least."""
SQUARE = 1.25
"""Largest quotient of the longer and the shorter side of a picture."""


def misshapen(image: Image.Image) -> str | None:
    """Why a picture is not judged, in a sentence; None where it is."""
    if max(image.size) > SQUARE * min(image.size):
        width, height = image.size
        return f"The image has {width} x {height} pixels; the bundled model knows scenes that are square."
    if scaled_away(image):
        return (
            "The image is so large, or what is in it so small, that the bundled model sees too little of it."
        )
    return None


def scaled_away(image: Image.Image) -> bool:
    """Whether an image is so large, and its foreground so small, that too little of it is left at the size at
    which the model sees it."""
    import numpy as np

    longest = max(image.size)
    if longest <= DRAWN:
        return False
    if longest > LARGEST:
        return True
    pixels = np.asarray(image.convert("RGB")).astype(np.int16)
    border = np.concatenate([pixels[0], pixels[-1], pixels[:, 0], pixels[:, -1]])
    unlike = (np.abs(pixels - np.median(border, axis=0)) > _UNLIKE).any(axis=2)
    if not unlike.any():
        return False
    places = np.nonzero(unlike)
    first, last = np.percentile(places, [_OUTLIERS, 100 - _OUTLIERS], axis=1)
    return bool((last - first).max() < FILLED * longest)
