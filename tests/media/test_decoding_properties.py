"""Properties of decoding that hold for all images and all bytes."""

from __future__ import annotations

import io
from contextlib import suppress
from itertools import pairwise

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays
from PIL import Image

from jurat.content import ImageError
from jurat.media import decode, from_array
from jurat.media.frames import spread
from jurat.media.gif import read_gif
from jurat.media.jpeg import read_jpeg
from jurat.media.limits import Limits
from jurat.media.png import read_png
from jurat.media.tiff import check_tiff

MAGIC = [
    b"", b"\x89PNG\r\n\x1a\n", b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR", b"\xff\xd8\xff", b"GIF89a", b"BM",
    b"RIFF\x20\0\0\0WEBPVP8 ", b"RIFF\x20\0\0\0WEBPVP8X\x0a\0\0\0", b"RIFF\x20\0\0\0WEBPVP8L\x0a\0\0\0\x2f",
    b"II*\0\x08\0\0\0", b"MM\0*", b"P6 ", b"P3 2 2 255 ", b"Pf 2 2 1.0 ",
    b"\0\0\0\x20ftypavif", b"\xff\x4f\xff\x51", b"\0\0\0\x0cjP  \r\n\x87\n", b"<svg", b"<!--",
]  # fmt: skip

rgb = arrays(np.uint8, array_shapes(min_dims=2, max_dims=2, max_side=12).map(lambda s: (*s, 3)))


def png(array: np.ndarray[tuple[int, ...], np.dtype[np.uint8]], format: str = "PNG") -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(array).save(buffer, format)
    return buffer.getvalue()


@settings(max_examples=400, deadline=None)
@given(st.sampled_from(MAGIC), st.binary(max_size=200))
def test_any_bytes_decode_or_raise_image_error(magic: bytes, rest: bytes) -> None:
    try:
        decoded = decode(magic + rest, max_pixels=10_000)
    except ImageError as error:
        assert error.message and "\n" not in error.message
    else:
        assert decoded.frames


@settings(max_examples=150, deadline=None)
@given(st.data())
def test_corrupted_images_decode_or_raise_image_error(data: st.DataObject) -> None:
    format = data.draw(st.sampled_from(["PNG", "JPEG", "GIF", "WEBP", "TIFF", "BMP", "JPEG2000"]))
    array = data.draw(rgb)
    file = bytearray(png(array, format))
    for _ in range(data.draw(st.integers(1, 5))):
        file[data.draw(st.integers(0, len(file) - 1))] = data.draw(st.integers(0, 255))
    try:
        decoded = decode(bytes(file), max_pixels=10_000)
    except ImageError as error:
        assert error.message and "\n" not in error.message
    else:
        assert all(f.mode == "RGB" and f.width * f.height <= 10_000 for f in decoded.frames)


@settings(max_examples=60, deadline=None)
@given(rgb)
def test_any_png_decodes_to_its_pixels(array: np.ndarray[tuple[int, ...], np.dtype[np.uint8]]) -> None:
    decoded = decode(png(array))
    assert np.array_equal(np.asarray(decoded.frames[0]), array)
    assert from_array(array).frames[0].tobytes() == decoded.frames[0].tobytes()


@settings(deadline=None)
@given(arrays(np.uint16, array_shapes(min_dims=2, max_dims=2, max_side=8)))
def test_any_sixteen_bit_png_is_rounded_to_the_nearest_level(
    array: np.ndarray[tuple[int, ...], np.dtype[np.uint16]],
) -> None:
    buffer = io.BytesIO()
    Image.fromarray(array).save(buffer, "PNG")
    grey = np.asarray(decode(buffer.getvalue()).frames[0])[:, :, 0]
    assert (np.abs(grey - array / 257.0) <= 0.5).all()


@given(st.integers(1, 5_000), st.integers(2, 40))
def test_frames_are_spread_evenly(count: int, limit: int) -> None:
    indices = spread(count, limit)
    assert len(indices) == min(count, limit)
    assert indices[0] == 0
    assert indices[-1] == count - 1
    gaps = {b - a for a, b in pairwise(indices)}
    assert all(gap >= 1 for gap in gaps)
    assert not gaps or max(gaps) - min(gaps) <= 1


@given(st.binary(max_size=300))
def test_structure_readers_terminate_on_any_bytes(data: bytes) -> None:
    for read, magic in (
        (lambda data: read_gif(data, Limits()), b"GIF89a"),
        (read_jpeg, b"\xff\xd8"),
        (read_png, b"\x89PNG\r\n\x1a\n"),
        (lambda data: check_tiff(data, Limits()), b"II*\0"),
    ):
        with suppress(ImageError):
            read(magic + data)
