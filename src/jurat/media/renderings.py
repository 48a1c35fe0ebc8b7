"""Converts a loaded image to upright 8-bit RGB, in each of the ways in which viewers show it.

- An image of which more than an outline is translucent is laid over white and over black. Any other is laid
  over white.
- Where a PNG's `gAMA` changes its colours, it is taken as it is stored and with its gamma applied, since some
  viewers apply it and others do not.
- 16-bit (and 12-bit) grey is scaled to 8 bits, not clipped. Of 16-bit colour Pillow takes the high bytes.
- CMYK, YCbCr and Lab are converted by Pillow's formulas. Embedded colour profiles are ignored.
- Floats must lie in [0, 1]. Integers of 32 bits have no known white and are refused.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from jurat.content import ImageError
from jurat.media.limits import fitted

_ORIENTATION = 0x0112
_PHOTOMETRIC = 262
_BITS_PER_SAMPLE = 258
_UPRIGHT = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}


_TRANSLUCENT = 1 / 256
"""Share of an image that may be transparent, on average over its pixels, before it is laid over black too."""
_STRIP = 2**22
"""Samples that are converted together."""


@dataclass(frozen=True)
class Rendering:
    """An image in one of the ways in which viewers show it."""

    image: Image.Image
    """A new one of mode RGB, upright."""
    name: str | None = None
    """"over white" or "over black", and "as stored" or "with gamma" where a PNG has one; None where there is
    only one way."""


def renderings(image: Image.Image, gamma: float | None = None) -> list[Rendering]:
    """The image in each of the ways that viewers show it, one at least.

    Args:
        image: of any mode; it is loaded if it was not, and stays as it is.
        gamma: what samples are raised to where the file's gamma is applied.

    Raises:
        ImageError: its samples have no known white.
        Exception: whatever Pillow raises when it loads a broken file.
    """
    image.load()
    turn = _UPRIGHT.get(_orientation(image))
    found: list[Rendering] = []
    for flat, over in _flattened(image):
        rgb = flat if turn is None else flat.transpose(turn)
        rgb = rgb.copy() if rgb is image else rgb
        rgb.info = {}  # what the file said of itself does not travel on
        if gamma is None:
            found.append(Rendering(rgb, over))
            continue
        names = [f"{over}, {how}" if over else how for how in ("as stored", "with gamma")]
        table = [round(255 * (value / 255) ** gamma) for value in range(256)]
        found += [Rendering(rgb, names[0]), Rendering(rgb.point(table * 3), names[1])]
    return found


def to_rgb(image: Image.Image) -> Image.Image:
    """The first of its `renderings`: over white, as stored."""
    return renderings(image)[0].image


def reduced(image: Image.Image, most: int) -> Image.Image:
    """The image, scaled down to `most` pixels if it has more."""
    if image.width * image.height <= most:
        return image
    return image.resize(fitted(image.width, image.height, most), Image.Resampling.BOX)


def grey_to_8_bits(samples: NDArray[Any], white: int) -> NDArray[np.uint8]:
    """Unsigned samples in [0, white] scaled to [0, 255] and rounded to the nearest; larger ones are white.

    Args:
        white: at most 65535.
    """
    table = ((np.arange(white + 1, dtype=np.uint32) * 255 + white // 2) // white).astype(np.uint8)
    return _in_strips(samples, lambda strip: table[np.minimum(strip, white)])


def unit_to_8_bits(samples: NDArray[Any]) -> NDArray[np.uint8]:
    """Floats in [0, 1] scaled to [0, 255] and rounded to the nearest.

    Raises:
        ImageError: a sample is not a number or lies outside of [0, 1].
    """
    low, high = float(samples.min()), float(samples.max())  # either is NaN if any sample is
    if not np.isfinite((low, high)).all():
        raise ImageError("some float samples are not finite numbers")
    if low < 0 or high > 1:
        raise ImageError(f"float samples must lie in [0, 1], these lie in [{low:g}, {high:g}]")
    return _in_strips(samples, lambda strip: np.rint(strip * 255.0).astype(np.uint8))


def _in_strips(
    samples: NDArray[Any], convert: Callable[[NDArray[Any]], NDArray[np.uint8]]
) -> NDArray[np.uint8]:
    """What `convert` makes of samples, some rows at a time: what it needs on the way is much larger."""
    found = np.empty(samples.shape, np.uint8)
    rows = max(1, _STRIP * samples.shape[0] // max(1, samples.size))
    for first in range(0, samples.shape[0], rows):
        found[first : first + rows] = convert(samples[first : first + rows])
    return found


def _orientation(image: Image.Image) -> int:
    try:
        value: object = image.getexif().get(_ORIENTATION, 1)
    except Exception:  # a broken EXIF block does not make the picture unreadable
        return 1
    return value if isinstance(value, int) else 1


def _flattened(image: Image.Image) -> list[tuple[Image.Image, str | None]]:
    """As RGB, over each background, with its name where there are several."""
    if image.mode == "RGB" and "transparency" not in image.info:
        return [(image, None)]
    if image.mode.startswith("I;16") or image.mode in ("I", "F"):
        image = _eight_bits(image)
    if not image.has_transparency_data:
        return [(image.convert("RGB"), None)]
    rgba = _with_alpha(image)
    alpha = rgba.getchannel("A")
    shares = alpha.histogram()
    clear = sum((255 - value) * count for value, count in enumerate(shares)) / (255 * sum(shares))
    if clear == 0:
        return [(rgba.convert("RGB"), None)]
    white = _over(rgba, alpha, 255)
    if clear <= _TRANSLUCENT:
        return [(white, None)]
    return [(white, "over white"), (_over(rgba, alpha, 0), "over black")]


def _with_alpha(image: Image.Image) -> Image.Image:
    key: object = image.info.get("transparency")
    if image.mode == "RGB" and isinstance(key, tuple):
        # The key of a 16-bit PNG has 16 bits, while its pixels were cut to their high bytes.
        values = cast("tuple[int, ...]", key)
        if max(values) > 255:
            image = image.copy()
            image.info["transparency"] = tuple(v >> 8 for v in values)
    if image.mode == "La":
        image = image.convert("LA")
    return image if image.mode == "RGBA" else image.convert("RGBA")


def _over(rgba: Image.Image, alpha: Image.Image, shade: int) -> Image.Image:
    flat = Image.new("RGB", rgba.size, (shade,) * 3)
    flat.paste(rgba, mask=alpha)
    return flat


def _eight_bits(image: Image.Image) -> Image.Image:
    """Deep grey in 8 bits, with an alpha channel where a sample stands for transparency."""
    samples: NDArray[Any] = np.asarray(image)
    tags: dict[int, object] = dict(getattr(image, "tag_v2", {}))
    if image.mode == "F":
        grey = unit_to_8_bits(samples)
    else:
        grey = grey_to_8_bits(samples, _white_of(image, samples, tags))
    if tags.get(_PHOTOMETRIC) == 0:  # "white is zero", which Pillow honours up to 8 bits
        grey = 255 - grey
    flat = Image.fromarray(grey)
    key: object = image.info.get("transparency")
    if isinstance(key, int):
        flat.putalpha(Image.fromarray(np.where(samples == key, np.uint8(0), np.uint8(255))))
    return flat


def _white_of(image: Image.Image, samples: NDArray[Any], tags: dict[int, object]) -> int:
    if image.mode.startswith("I;16"):
        return 4095 if tags.get(_BITS_PER_SAMPLE) == (12,) else 65535
    if getattr(image, "format", None) in ("PNG", "PPM") and samples.min() >= 0:
        return 65535  # mode I stands for 16 bits here
    raise ImageError("its samples are signed or 32-bit integers, of which white is not known")
