"""Images in memory are decoded like files."""

from __future__ import annotations

import hashlib
import io
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from PIL import Image

from jurat.content import ImageError
from jurat.media import decode, from_array, from_pil

Encode = Callable[..., bytes]


@pytest.mark.parametrize("mode", ["RGB", "L", "1", "P", "CMYK", "YCbCr", "HSV", "LAB"])
def test_pil_images_of_any_mode_decode(mode: str, picture: Image.Image) -> None:
    source = picture.convert(mode)
    decoded = from_pil(source)
    frame = decoded.frames[0]
    assert (decoded.width, decoded.height, frame.mode) == (48, 32, "RGB")
    assert (decoded.indices, decoded.animated) == ((0,), False)
    assert np.array_equal(np.asarray(frame), np.asarray(source.convert("RGB")))
    assert source.mode == mode


def test_transparent_pil_images_are_composited_over_white() -> None:
    assert from_pil(Image.new("RGBA", (2, 2), (9, 9, 9, 0))).frames[0].getpixel((0, 0)) == (255, 255, 255)


def test_frame_is_a_copy(picture: Image.Image) -> None:
    source = picture.copy()
    frame = from_pil(source).frames[0]
    source.paste((0, 0, 0), (0, 0, 48, 32))
    assert np.array_equal(np.asarray(frame), np.asarray(picture))


def test_opened_file_equals_its_bytes(picture: Image.Image, encode: Encode) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    data = encode(picture, "JPEG", exif=exif)
    with Image.open(io.BytesIO(data)) as image:
        decoded = from_pil(image)
    assert decoded.frames[0].tobytes() == decode(data).frames[0].tobytes()
    assert (decoded.width, decoded.height) == (32, 48)


@pytest.mark.parametrize("format", ["GIF", "PNG", "WEBP", "TIFF"])
def test_opened_animation_keeps_its_position(format: str, encode: Encode) -> None:
    frames = [Image.new("RGB", (8, 8), (i * 20,) * 3) for i in range(11)]
    data = encode(frames[0], format, save_all=True, append_images=frames[1:])
    with Image.open(io.BytesIO(data)) as image:
        image.seek(4)
        decoded = from_pil(image)
        assert image.tell() == 4
        assert not from_pil(image.copy()).animated
    assert decoded.animated
    assert decoded.indices == decode(data).indices
    assert [f.tobytes() for f in decoded.frames] == [f.tobytes() for f in decode(data).frames]


def test_invalid_pil_images_are_refused(picture: Image.Image, encode: Encode) -> None:
    with pytest.raises(ImageError, match="48 x 32 pixels are more than the limit of 100"):
        from_pil(picture, max_pixels=100)
    with pytest.raises(ImageError, match=r"the image has no pixels \(0 x 5\)"):
        from_pil(Image.new("RGB", (0, 5)))
    with pytest.raises(
        ImageError, match="the image cannot be loaded: the JPEG image is truncated: image file is truncated"
    ):
        from_pil(Image.open(io.BytesIO(encode(picture, "JPEG")[:-150])))
    closed = Image.open(io.BytesIO(encode(picture, "GIF")))
    closed.close()
    with pytest.raises(ImageError, match="the image cannot be loaded: Operation on closed image"):
        from_pil(closed)


def test_digest_covers_size_and_pixels(picture: Image.Image) -> None:
    expected = hashlib.sha256(b"48x32\n" + picture.tobytes()).hexdigest()
    assert from_pil(picture).sha256 == expected
    assert from_array(np.asarray(picture)).sha256 == expected
    flat = np.zeros((2, 8, 3), dtype=np.uint8)
    assert from_array(flat).sha256 != from_array(flat.reshape(8, 2, 3)).sha256


VALUES = np.array([[0, 51, 255]], dtype=np.uint8)
ARRAYS: dict[str, np.ndarray[Any, Any]] = {
    "H x W": VALUES,
    "H x W x 1": VALUES[:, :, None],
    "H x W x 3": np.repeat(VALUES[:, :, None], 3, axis=2),
    "not contiguous": np.repeat(VALUES[:, ::-1, None], 3, axis=2)[:, ::-1, ::-1],
    "RGBA": np.dstack([VALUES, VALUES, VALUES, np.full_like(VALUES, 255)]),
    "grey with alpha": np.dstack([VALUES, np.full_like(VALUES, 255)]),
    "float64": VALUES / 255.0,
    "float32": (VALUES / 255.0).astype(np.float32),
    "float16": (VALUES / 255.0).astype(np.float16),
    "uint16": VALUES.astype(np.uint16) * 257,
}


@pytest.mark.parametrize("kind", ARRAYS)
def test_arrays_of_any_dtype_decode(kind: str) -> None:
    decoded = from_array(ARRAYS[kind])
    assert np.asarray(decoded.frames[0]).tolist() == [[[v] * 3 for v in (0, 51, 255)]]
    assert (decoded.width, decoded.height, decoded.indices, decoded.animated) == (3, 1, (0,), False)


def test_bool_arrays_are_black_and_white() -> None:
    assert np.asarray(from_array(np.array([[False, True]])).frames[0])[0, :, 0].tolist() == [0, 255]


def test_alpha_arrays_are_composited_over_white() -> None:
    rgba = np.zeros((1, 1, 4), dtype=np.uint8)
    assert from_array(rgba).frames[0].getpixel((0, 0)) == (255, 255, 255)
    assert from_array(rgba / 255.0).frames[0].getpixel((0, 0)) == (255, 255, 255)


BAD_ARRAYS: dict[str, tuple[np.ndarray[Any, Any], str]] = {
    "channels first": (np.zeros((3, 9, 9), np.uint8), "this one is 3 x 9 x 9; move the channels last"),
    "five channels": (np.zeros((9, 9, 5)), "must be H x W or H x W x 1, 2, 3 or 4, this one is 9 x 9 x 5"),
    "a batch": (np.zeros((2, 9, 9, 3), np.uint8), "this one is 2 x 9 x 9 x 3"),
    "a number": (np.zeros((), np.uint8), "this one is a single number"),
    "no rows": (np.zeros((0, 4, 3), np.uint8), "the image has no pixels (4 x 0)"),
    "signed": (np.zeros((4, 4), np.int64), "must be uint8, uint16, bool or float, this one is int64"),
    "objects": (np.full((4, 4), None), "this one is object"),
    "floats to 255": (np.full((4, 4), 200.0), "float samples must lie in [0, 1], these lie in [200, 200]"),
    "negative floats": (np.full((4, 4), -0.5), "these lie in [-0.5, -0.5]"),
    "nan": (np.full((4, 4), np.nan), "some float samples are not finite numbers"),
}  # fmt: skip


@pytest.mark.parametrize("kind", BAD_ARRAYS)
def test_invalid_arrays_are_refused(kind: str) -> None:
    array, message = BAD_ARRAYS[kind]
    with pytest.raises(ImageError) as raised:
        from_array(array)
    assert message in raised.value.message


def test_pixel_limit_applies_to_arrays() -> None:
    with pytest.raises(ImageError, match="20 x 10 pixels are more than the limit of 199"):
        from_array(np.zeros((10, 20)), max_pixels=199)
