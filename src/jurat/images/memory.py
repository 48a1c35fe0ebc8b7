"""Images that are already in memory: Pillow images and numpy arrays."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from contextlib import suppress
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageFile

from jurat.images.decoding import Decoded, decoded, read_frames
from jurat.images.errors import ImageError, reason
from jurat.images.formats import FORMATS, Format
from jurat.images.limits import DEFAULT_MAX_FRAMES, DEFAULT_MAX_PIXELS, Limits
from jurat.images.pixels import grey_to_8_bits, to_rgb, unit_to_8_bits
from jurat.images.quiet import quiet

_ANIMATED = {format.name: format for format in FORMATS if format.frames != "one"}
_CHANNELS = {1: "L", 2: "LA", 3: "RGB", 4: "RGBA"}


def from_pil(
    image: Image.Image, *, max_pixels: int = DEFAULT_MAX_PIXELS, max_frames: int = DEFAULT_MAX_FRAMES
) -> Decoded:
    """An image of Pillow's, of any mode, as `decode` would have given it.

    An image that was opened from an animated file is read from all its frames, wherever it stands; pass
    `image.copy()` for the frame it stands at. It is left at the frame where it was.

    Raises:
        ImageError: as for `decode`; the file behind it may be damaged.
    """
    limits = Limits(max_pixels=max_pixels, max_frames=max_frames)
    limits.check_size(image.width, image.height)
    with quiet():
        format = _ANIMATED.get(image.format or "")
        if format is not None and isinstance(image, ImageFile.ImageFile):
            frames, indices, count = _all_frames(image, format, limits)
        else:
            frames, indices, count = (_still(image),), (0,), 1
    return decoded(frames, indices, count, pixels_sha256(frames))


def from_array(array: NDArray[Any], *, max_pixels: int = DEFAULT_MAX_PIXELS) -> Decoded:
    """An image as an array, channels last.

    Args:
        array: H x W, or H x W x C with C = 1 (grey), 2 (grey, alpha), 3 (RGB) or 4 (RGBA, not
            premultiplied); of dtype uint8 in [0, 255], uint16 in [0, 65535], bool, or a float in [0, 1].

    Raises:
        ImageError: another shape or dtype, floats outside of [0, 1], or too many pixels.
    """
    limits = Limits(max_pixels=max_pixels)
    if array.ndim not in (2, 3) or (array.ndim == 3 and array.shape[2] not in _CHANNELS):
        hint = "; move the channels last" if array.ndim == 3 and array.shape[0] in (1, 3, 4) else ""
        wanted = "H x W or H x W x 1, 2, 3 or 4"
        raise ImageError(f"an image array must be {wanted}, this one is {_shape(array)}{hint}")
    limits.check_size(array.shape[1], array.shape[0])
    channels = 1 if array.ndim == 2 else array.shape[2]
    pixels = _to_uint8(array).reshape(array.shape[0], array.shape[1], channels)
    image = Image.fromarray(np.ascontiguousarray(pixels[:, :, 0] if channels == 1 else pixels))
    frame = to_rgb(image)
    return decoded((frame,), (0,), 1, pixels_sha256((frame,)))


def pixels_sha256(frames: Iterable[Image.Image]) -> str:
    """Hex digest of RGB frames: for each one the ASCII line `WIDTHxHEIGHT\\n`, then its rows as bytes."""
    digest = hashlib.sha256()
    for frame in frames:
        digest.update(f"{frame.width}x{frame.height}\n".encode())
        digest.update(frame.tobytes())
    return digest.hexdigest()


def _all_frames(
    image: ImageFile.ImageFile, format: Format, limits: Limits
) -> tuple[tuple[Image.Image, ...], tuple[int, ...], int]:
    at = image.tell()
    try:
        image.seek(0)
        return read_frames(image, format, b"", limits)
    except ImageError:
        raise
    except Exception as error:  # a closed file, say
        raise ImageError(f"the image cannot be loaded: {reason(error)}") from error
    finally:
        with suppress(Exception):
            image.seek(at)


def _still(image: Image.Image) -> Image.Image:
    try:
        return to_rgb(image)
    except ImageError:
        raise
    except Exception as error:
        raise ImageError(f"the image cannot be loaded: {reason(error)}") from error


def _to_uint8(array: NDArray[Any]) -> NDArray[np.uint8]:
    if array.dtype == np.uint8:
        return array
    if array.dtype == np.bool_:
        return array.astype(np.uint8) * np.uint8(255)
    if array.dtype == np.uint16:
        return grey_to_8_bits(array, 65535)
    if np.issubdtype(array.dtype, np.floating):
        return unit_to_8_bits(array)
    raise ImageError(f"an image array must be uint8, uint16, bool or float, this one is {array.dtype}")


def _shape(array: NDArray[Any]) -> str:
    return " x ".join(str(side) for side in array.shape) or "a single number"
