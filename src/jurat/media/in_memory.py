"""Images that are already in memory: Pillow images and numpy arrays."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageFile

from jurat.content import ImageError
from jurat.media.decoded import Decoded
from jurat.media.decoding import decode
from jurat.media.formats import FORMATS, format_of
from jurat.media.limits import DEFAULT_MAX_FRAMES, DEFAULT_MAX_PIXELS, JUDGED_PIXELS, Limits
from jurat.media.quiet import quiet
from jurat.media.renderings import grey_to_8_bits, reduced, renderings, unit_to_8_bits
from jurat.text import reason

_ANIMATED = {format.name: format for format in FORMATS if format.frames != "one"}
_CHANNELS = {1: "L", 2: "LA", 3: "RGB", 4: "RGBA"}


def from_pil(
    image: Image.Image, *, max_pixels: int = DEFAULT_MAX_PIXELS, max_frames: int = DEFAULT_MAX_FRAMES
) -> Decoded:
    """An image of Pillow's, of any mode, as `decode` would have given it.

    An image that was opened from a file and not loaded yet, or from an animated file, is read from the file,
    all its frames, wherever it stands; pass `image.copy()` for the frame it stands at. It is left at the
    frame where it was.

    Raises:
        ImageError: as for `decode`; the file behind it may be damaged.
    """
    limits = Limits(max_pixels=max_pixels, max_frames=max_frames)
    limits.check_size(image.width, image.height)
    if (data := _file_of(image)) is not None:
        try:
            found = decode(data, max_pixels=max_pixels, max_frames=max_frames, max_bytes=len(data))
        except ImageError as error:
            raise ImageError(f"the image cannot be loaded: {error.message}") from error
        return replace(found, sha256=pixels_sha256(found.frames))
    with quiet():
        return _of_pixels(image)


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
    return _of_pixels(image)


def pixels_sha256(frames: Iterable[Image.Image]) -> str:
    """Hex digest of RGB frames: for each one the ASCII line `WIDTHxHEIGHT\\n`, then its rows as bytes."""
    digest = hashlib.sha256()
    for frame in frames:
        digest.update(f"{frame.width}x{frame.height}\n".encode())
        digest.update(frame.tobytes())
    return digest.hexdigest()


def _file_of(image: Image.Image) -> bytes | None:
    """The file behind an image, where its pixels are still to be read from there."""
    animated = image.format in _ANIMATED
    if not isinstance(image, ImageFile.ImageFile) or not (image.tile or animated):
        return None
    try:
        file = image.fp or getattr(image, "_fp", None)
        if animated and getattr(image, "n_frames", 1) == 1 and not image.tile and image.format != "WEBP":
            return None  # its one frame was loaded
        if file is None:
            raise ValueError("its file was closed")
        at = file.tell()
        try:
            file.seek(0)
            data = file.read()
        finally:
            file.seek(at)
        format_of(data)
    except ImageError:  # a format that only Pillow reads
        return None
    except Exception as error:  # a closed file, say
        raise ImageError(f"the image cannot be loaded: {reason(error)}") from error
    return data


def _of_pixels(image: Image.Image) -> Decoded:
    try:
        shown = renderings(image)
    except ImageError:
        raise
    except Exception as error:
        raise ImageError(f"the image cannot be loaded: {reason(error)}") from error
    width, height = shown[0].image.size
    frames = tuple(reduced(each.image, JUDGED_PIXELS) for each in shown)
    names = tuple(each.name for each in shown)
    return Decoded(
        frames,
        (0,) * len(frames),
        width,
        height,
        animated=False,
        sha256=pixels_sha256(each.image for each in shown),
        renderings=names if any(names) else (),
        scales=(width / frames[0].width,) * len(frames) if frames[0].width < width else (),
    )


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
