"""Turns a loaded image of any kind into upright 8-bit RGB, the way a viewer would show it.

- Transparency is laid over white.
- 16-bit (and 12-bit) grey is scaled to 8 bits, not clipped. Of 16-bit colour Pillow takes the high bytes.
- CMYK, YCbCr and Lab are converted by Pillow's formulas. Embedded colour profiles are ignored.
- Floats must lie in [0, 1]. Integers of 32 bits have no known white and are refused.
"""

from __future__ import annotations

from typing import Any, cast

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from jurat.images.errors import ImageError

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


def to_rgb(image: Image.Image) -> Image.Image:
    """The image as a new one of mode RGB, turned upright by its EXIF orientation.

    Args:
        image: of any mode; it is loaded if it was not, and stays as it is.

    Raises:
        ImageError: its samples have no known white.
        Exception: whatever Pillow raises when it loads a broken file.
    """
    image.load()
    turn = _UPRIGHT.get(_orientation(image))
    rgb = _flatten(image)
    if turn is not None:
        rgb = rgb.transpose(turn)
    elif rgb is image:
        rgb = rgb.copy()
    rgb.info = {}  # what the file said of itself does not travel on
    return rgb


def grey_to_8_bits(samples: NDArray[Any], white: int) -> NDArray[np.uint8]:
    """Unsigned samples in [0, white] scaled to [0, 255] and rounded to the nearest."""
    clipped = np.minimum(samples, white).astype(np.uint64)
    return ((clipped * 255 + white // 2) // white).astype(np.uint8)


def unit_to_8_bits(samples: NDArray[Any]) -> NDArray[np.uint8]:
    """Floats in [0, 1] scaled to [0, 255] and rounded to the nearest.

    Raises:
        ImageError: a sample is not a number or lies outside of [0, 1].
    """
    if not np.isfinite(samples).all():
        raise ImageError("some float samples are not finite numbers")
    low, high = float(samples.min()), float(samples.max())
    if low < 0 or high > 1:
        raise ImageError(f"float samples must lie in [0, 1], these lie in [{low:g}, {high:g}]")
    return np.rint(samples * 255.0).astype(np.uint8)


def _orientation(image: Image.Image) -> int:
    try:
        value: object = image.getexif().get(_ORIENTATION, 1)
    except Exception:  # a broken EXIF block does not make the picture unreadable
        return 1
    return value if isinstance(value, int) else 1


def _flatten(image: Image.Image) -> Image.Image:
    if image.mode == "RGB" and "transparency" not in image.info:
        return image
    if image.mode.startswith("I;16") or image.mode in ("I", "F"):
        return _flatten_deep(image)
    if not image.has_transparency_data:
        return image.convert("RGB")
    return _over_white(_with_alpha(image))


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
    return image.convert("RGBA")


def _over_white(rgba: Image.Image) -> Image.Image:
    white = Image.new("RGB", rgba.size, (255, 255, 255))
    white.paste(rgba, mask=rgba.getchannel("A"))
    return white


def _flatten_deep(image: Image.Image) -> Image.Image:
    samples: NDArray[Any] = np.asarray(image)
    tags: dict[int, object] = dict(getattr(image, "tag_v2", {}))
    if image.mode == "F":
        grey = unit_to_8_bits(samples)
    else:
        grey = grey_to_8_bits(samples, _white_of(image, samples, tags))
    if tags.get(_PHOTOMETRIC) == 0:  # "white is zero", which Pillow honours up to 8 bits
        grey = 255 - grey
    key: object = image.info.get("transparency")
    if isinstance(key, int):
        grey = np.where(samples == key, np.uint8(255), grey)
    return Image.fromarray(grey).convert("RGB")


def _white_of(image: Image.Image, samples: NDArray[Any], tags: dict[int, object]) -> int:
    if image.mode.startswith("I;16"):
        return 4095 if tags.get(_BITS_PER_SAMPLE) == (12,) else 65535
    if getattr(image, "format", None) in ("PNG", "PPM") and samples.min() >= 0:
        return 65535  # mode I stands for 16 bits here
    raise ImageError("its samples are signed or 32-bit integers, of which white is not known")
