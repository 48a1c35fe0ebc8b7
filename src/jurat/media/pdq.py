"""PDQ, the perceptual hash of 256 bits that Facebook published, computed with numpy.

The algorithm is the one of "The TMK+PDQF Video-Hashing Algorithm and the PDQ Image-Hashing Algorithm"
(Facebook, 2019) and of the reference implementation in github.com/facebook/ThreatExchange. Sums are made in
its order and in float32, so that hashes are equal to those that other tools have made, bit for bit.
"""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

SIDE, BITS = 64, 16
"""The picture is scaled to 64 x 64; of its cosine transform 16 x 16 numbers are a bit each."""
_LEAST = 5
"""Pixels a side, at least; a smaller picture has no hash."""
_PASSES, _ROWS = 2, 256
_LUMA = (0.299, 0.587, 0.114)


def pdq(pixels: NDArray[Any]) -> tuple[NDArray[np.uint8], int]:
    """The hash of RGB pixels, height x width x 3 of 0 to 255, and its quality.

    Returns:
        256 bits in 32 bytes, in the order of the usual hex digits; and the quality in [0, 100], which is low
        for a picture nearly without edges, whose hash says little.
    """
    import numpy as np

    if min(pixels.shape[:2]) < _LEAST:
        return np.zeros(BITS * BITS // 8, np.uint8), 0
    small = _scaled(_luma(pixels))
    waves = _transformed(small)
    median = np.sort(waves, axis=None)[waves.size // 2 - 1]  # the lower one of two
    return np.packbits((waves > median).ravel()[::-1]), _quality(small)


def _luma(pixels: NDArray[Any]) -> NDArray[np.float32]:
    import numpy as np

    made = np.empty(pixels.shape[:2], np.float32)
    for first in range(0, len(made), _ROWS):  # in doubles, which the whole picture has no room for
        rows = pixels[first : first + _ROWS]
        red, green, blue = (rows[:, :, channel] * share for channel, share in enumerate(_LUMA))
        made[first : first + _ROWS] = red + green + blue
    return made


def _scaled(luma: NDArray[np.float32]) -> NDArray[np.float32]:
    """Blurred by two box filters along each side, a tent filter, and sampled at 64 x 64 centres."""
    rows, columns = luma.shape
    for _ in range(_PASSES):
        luma = _box(_box(luma.T).T)
    centres = [[int((at + 0.5) * size / SIDE) for at in range(SIDE)] for size in (rows, columns)]
    return luma[centres[0]][:, centres[1]]


def _box(values: NDArray[np.float32]) -> NDArray[np.float32]:
    """Means over a moving window of 1/128 of the first side, as running sums; it is cut at the ends."""
    import numpy as np

    values = np.ascontiguousarray(values)
    length = len(values)
    window = -(-length // (2 * SIDE))
    ahead = (window + 2) // 2  # from the place itself on; the rest of the window lies before it
    made, total = np.empty_like(values), np.zeros(values.shape[1], np.float32)
    for at in range(ahead - 1):
        total += values[at]
    for at in range(length):
        first, last = at - window + ahead, at + ahead - 1
        if last < length:
            total += values[last]
        if first > 0:
            total -= values[first - 1]
        np.divide(total, np.float32(min(last + 1, length) - max(first, 0)), out=made[at])
    return made


def _transformed(small: NDArray[np.float32]) -> NDArray[np.float32]:
    """The two-dimensional cosine transform, at the frequencies 1 to 16 of each side."""
    import numpy as np

    cosines = _cosines()
    half = np.zeros((BITS, SIDE), np.float32)
    for k in range(SIDE):
        half += cosines[:, k, None] * small[k]
    whole = np.zeros((BITS, BITS), np.float32)
    for k in range(SIDE):
        whole += half[:, k, None] * cosines[:, k]
    return whole


@cache
def _cosines() -> NDArray[np.float32]:
    import numpy as np

    wave, at = np.arange(1, BITS + 1)[:, None], np.arange(SIDE)
    angles = np.pi / 2 / SIDE * wave * (2 * at + 1)
    return (float(np.float32(np.sqrt(2 / SIDE))) * np.cos(angles)).astype(np.float32)


def _quality(small: NDArray[np.float32]) -> int:
    """From the sum of the differences between neighbours, each a whole percent of white, cut off."""
    import numpy as np

    differences = (np.diff(small, axis=0), np.diff(small, axis=1))
    total = sum(int(np.abs(np.trunc(each * np.float32(100) / np.float32(255))).sum()) for each in differences)
    return min(100, total // 90)
