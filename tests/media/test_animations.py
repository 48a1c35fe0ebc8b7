"""Animations are judged on frames spread evenly, always including the first and the last."""

from __future__ import annotations

import io
import struct
import zlib
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from PIL import Image

from jurat.content import ImageError
from jurat.media import decode
from jurat.media.decoding import Decoded
from jurat.media.frames import spread
from jurat.media.gif import read_gif
from jurat.media.limits import Limits

Encode = Callable[..., bytes]

ANIMATED = {
    "gif": ("GIF", {}),
    "apng": ("PNG", {}),
    "webp": ("WEBP", {"lossless": True}),
    "avif": ("AVIF", {"quality": 90}),
    "multi-page tiff": ("TIFF", {}),
    "compressed multi-page tiff": ("TIFF", {"compression": "tiff_lzw"}),
}


def shades(count: int, size: tuple[int, int] = (16, 12)) -> list[Image.Image]:
    """Frames of rising grey, identifiable by their shade."""
    return [Image.new("RGB", size, (4 * i + 3,) * 3) for i in range(count)]


def animation(encode: Encode, kind: str, frames: list[Image.Image]) -> bytes:
    format, options = ANIMATED[kind]
    return encode(frames[0], format, save_all=True, append_images=frames[1:], **options)


def shade(decoded: Decoded) -> list[float]:
    return [float(np.asarray(frame).mean()) for frame in decoded.frames]


@pytest.mark.parametrize("kind", ANIMATED)
@pytest.mark.parametrize(
    ("count", "indices"),
    [
        (2, (0, 1)),
        (20, tuple(range(20))),
        (32, tuple(range(32))),
        (63, (*range(0, 32, 2), *range(32, 63, 2))),
    ],
)
def test_up_to_32_spread_frames_are_decoded(
    kind: str, count: int, indices: tuple[int, ...], encode: Encode
) -> None:
    decoded = decode(animation(encode, kind, shades(count)))
    assert decoded.animated
    assert decoded.indices == indices
    assert (decoded.width, decoded.height, decoded.count) == (16, 12, count)
    assert all(frame.mode == "RGB" and frame.size == (16, 12) for frame in decoded.frames)
    for index, seen in zip(decoded.indices, shade(decoded), strict=True):
        assert seen == pytest.approx(4 * index + 3, abs=3 if kind == "avif" else 0.01)


@pytest.mark.parametrize("kind", ANIMATED)
def test_animation_of_one_frame_is_a_still_image(kind: str, encode: Encode) -> None:
    decoded = decode(animation(encode, kind, shades(1)))
    assert not decoded.animated
    assert decoded.indices == (0,)


@pytest.mark.parametrize(("limit", "indices"), [(1, (0,)), (2, (0, 9)), (3, (0, 5, 9))])
def test_max_frames_limits_the_frames(limit: int, indices: tuple[int, ...], encode: Encode) -> None:
    assert decode(animation(encode, "gif", shades(10)), max_frames=limit).indices == indices


def test_partial_frames_are_drawn_over_earlier_ones(encode: Encode) -> None:
    frames = [Image.new("RGB", (20, 20), "white")]
    for i in range(12):
        frame = frames[-1].copy()
        frame.paste((255, 0, 0), (i, i, i + 2, i + 2))
        frames.append(frame)
    for kind in ("gif", "apng", "webp"):
        decoded = decode(animation(encode, kind, frames))
        for index, frame in zip(decoded.indices, decoded.frames, strict=True):
            assert np.array_equal(np.asarray(frame), np.asarray(frames[index])), (kind, index)


def test_transparent_frames_are_composited_over_white_and_black(encode: Encode) -> None:
    frames = [Image.new("RGBA", (8, 8), (0, 0, 0, 0)), Image.new("RGBA", (8, 8), (0, 0, 200, 255))]
    for kind in ("gif", "apng", "webp"):
        decoded = decode(animation(encode, kind, frames))
        assert (decoded.indices, decoded.renderings) == ((0, 0, 1), ("over white", "over black", None)), kind
        seen = [frame.getpixel((3, 3)) for frame in decoded.frames]
        assert seen == [(255, 255, 255), (0, 0, 0), (0, 0, 200)], kind


def test_pages_may_differ_in_size_and_mode(encode: Encode) -> None:
    pages = [Image.new("RGB", (10, 20), "red"), Image.new("L", (30, 5), 7), Image.new("1", (4, 4), 1)]
    decoded = decode(animation(encode, "multi-page tiff", pages))
    assert [frame.size for frame in decoded.frames] == [(10, 20), (30, 5), (4, 4)]
    assert (decoded.width, decoded.height) == (10, 20)
    assert shade(decoded) == [pytest.approx(85), 7, 255]


def test_default_image_of_an_apng_is_a_frame(encode: Encode) -> None:
    frames = shades(3)
    data = encode(frames[0], "PNG", save_all=True, append_images=frames[1:], default_image=True)
    assert shade(decode(data)) == [3, 7, 11]


def cut(data: bytes) -> bytes:
    return data[: len(data) * 3 // 4]


@pytest.mark.parametrize("kind", ANIMATED)
def test_broken_frame_makes_the_file_an_error(kind: str, encode: Encode) -> None:
    rng = np.random.default_rng(3)
    frames = [Image.fromarray(rng.integers(0, 255, (32, 32, 3), dtype=np.uint8)) for _ in range(12)]
    with pytest.raises(ImageError) as raised:
        decode(cut(animation(encode, kind, frames)))
    assert any(word in raised.value.message for word in ("truncated", "damaged")), raised.value.message


def test_error_names_the_broken_frame(encode: Encode) -> None:
    rng = np.random.default_rng(3)
    frames = [Image.fromarray(rng.integers(0, 255, (32, 32), dtype=np.uint8)) for _ in range(4)]
    data = encode(frames[0], "GIF", save_all=True, append_images=frames[1:])
    with pytest.raises(ImageError, match=r"^frame 4 of 4: the GIF image is truncated: "):
        decode(data[:-300])


def test_apng_with_fewer_frames_than_declared_is_an_error(encode: Encode) -> None:
    data = animation(encode, "apng", shades(3))
    at = data.index(b"acTL")
    for promised, message in (
        (9, "frame 4 of 9: the PNG image is truncated: Truncated File Read"),
        (2**31 - 1, "it has more frames than the limit of 10,000"),
    ):
        body = b"acTL" + struct.pack(">II", promised, 0)
        broken = data[:at] + body + struct.pack(">I", zlib.crc32(body)) + data[at + 16 :]
        with pytest.raises(ImageError) as raised:
            decode(broken)
        assert raised.value.message == message


def test_frames_over_the_total_pixel_limit_are_scaled_down(encode: Encode) -> None:
    data = animation(encode, "gif", shades(8, (100, 100)))
    whole = decode(data, max_pixels=40_000)
    assert [frame.size for frame in whole.frames] == [(100, 100)] * 8
    scaled = decode(data, max_pixels=10_000)
    assert [frame.size for frame in scaled.frames] == [(50, 50)] * 8
    assert (scaled.width, scaled.height) == (100, 100)
    assert shade(scaled) == shade(whole)
    assert len(decode(data, max_pixels=10_000, max_frames=2).frames) == 2


def test_skipped_frames_share_a_pixel_limit(encode: Encode) -> None:
    data = animation(encode, "gif", shades(25, (100, 100)) * 2)
    assert len(decode(data, max_pixels=40_000).frames) == 32
    with pytest.raises(
        ImageError, match=r"^500,000 pixels must be drawn to reach its last frame, more than .* 480,000$"
    ):
        decode(data, max_pixels=15_000)


def test_skipped_pages_do_not_count_towards_the_limit(encode: Encode) -> None:
    data = animation(encode, "multi-page tiff", shades(25, (100, 100)) * 2)
    assert len(decode(data, max_pixels=40_000).frames) == 32
    assert len(decode(data, max_pixels=10_000, max_frames=2).frames) == 2


@pytest.mark.parametrize("kind", ["gif", "multi-page tiff"])
def test_animations_over_the_frame_limit_are_refused(kind: str, encode: Encode) -> None:
    if kind == "gif":
        still = encode(Image.new("L", (1, 1)), "GIF").removesuffix(b";")
        frame = still[still.index(b",", 13 + 6) :]
        data = still + frame * 10_001 + b";"
    else:
        data = tiff_of_pages(10_001)
    with pytest.raises(ImageError, match=r"^it has more frames than the limit of 10,000$"):
        decode(data)


def tiff_of_pages(count: int) -> bytes:
    """Black pages of one pixel that share their data."""
    tags = [
        (256, 3, 1),
        (257, 3, 1),
        (258, 3, 8),
        (259, 3, 1),
        (262, 3, 1),
        (273, 4, 8),
        (277, 3, 1),
        (278, 3, 1),
        (279, 4, 1),
    ]
    entries = struct.pack("<H", len(tags)) + b"".join(struct.pack("<HHII", t, k, 1, v) for t, k, v in tags)
    size = len(entries) + 4
    pages = (entries + struct.pack("<I", 12 + size * (i + 1) if i + 1 < count else 0) for i in range(count))
    return b"II*\0" + struct.pack("<I", 12) + b"\0" * 4 + b"".join(pages)


def test_tiff_with_cyclic_pages_terminates() -> None:
    data = bytearray(tiff_of_pages(3))
    data[-4:] = struct.pack("<I", 12)
    assert decode(bytes(data)).indices == (0, 1, 2)


@pytest.mark.parametrize("count", [1, 2, 7])
def test_gif_frame_count_equals_pillow(count: int, encode: Encode) -> None:
    data = animation(encode, "gif", shades(count))
    with Image.open(io.BytesIO(data)) as image:
        assert len(read_gif(data, Limits()).frames) == getattr(image, "n_frames", None) == count


@pytest.mark.parametrize("arguments", [(0, 8), (5, 0)])
def test_spread_refuses_zero(arguments: tuple[int, int]) -> None:
    with pytest.raises(ValueError, match="at least 1"):
        spread(*arguments)


def test_exif_orientation_applies_to_every_frame(encode: Encode) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    frames = shades(3, (16, 12))
    options: dict[str, Any] = {"lossless": True, "exif": exif}
    decoded = decode(encode(frames[0], "WEBP", save_all=True, append_images=frames[1:], **options))
    assert [frame.size for frame in decoded.frames] == [(12, 16)] * 3
