"""Undecodable images give one line with the reason and no other output."""

from __future__ import annotations

import gc
import os
import re
import struct
import subprocess
import sys
import tracemalloc
import zlib
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image, ImageFile

from jurat.content import ImageError
from jurat.media import decode

Encode = Callable[..., bytes]


def reason_for(data: bytes, **limits: int) -> str:
    with pytest.raises(ImageError) as raised:
        decode(data, **limits)
    assert "\n" not in raised.value.message
    assert len(raised.value.message) < 300
    assert raised.value.message == str(raised.value)
    return raised.value.message


def png_of(width: int, height: int) -> bytes:
    """The header of a huge PNG with a few bytes of data, as a decompression bomb has."""
    body = b"IHDR" + struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    idat = b"IDAT" + zlib.compress(b"\0" * 1000)
    chunks = (
        struct.pack(">I", len(c) - 4) + c + struct.pack(">I", zlib.crc32(c)) for c in (body, idat, b"IEND")
    )
    return b"\x89PNG\r\n\x1a\n" + b"".join(chunks)


NOT_IMAGES = {
    "html": (b"<!DOCTYPE html><html><body>404", "not an image: it looks like an HTML page"),
    "pdf": (b"%PDF-1.7\n1 0 obj", "not an image: it looks like a PDF document"),
    "svg": (
        b'<?xml version="1.0"?>\n<!-- x --><svg xmlns="a">',
        "not an image: it looks like an SVG drawing",
    ),
    "xml": (b'<?xml version="1.0"?><note/>', "not an image: it looks like an XML document"),
    "zip": (b"PK\x03\x04\x14\0\0\0", "not an image: it looks like a ZIP archive"),
    "gzip": (b"\x1f\x8b\x08\0\0", "not an image: it looks like a compressed archive"),
    "mp4": (b"\0\0\0\x20ftypisom\0\0\2\0isomiso2", "the MP4 or QuickTime video is damaged: its header: "),
    "matroska": (b"\x1aE\xdf\xa3\x01\0\0\0", "the WebM or Matroska video is damaged: its header: "),
    "heic": (b"\0\0\0\x18ftypheic\0\0\0\0mif1heic", "not an image: it looks like a HEIC image; convert it"),
    "heic as mif1": (b"\0\0\0\x1cftypmif1\0\0\0\0mif1heicmiaf", "not an image: it looks like a HEIC image"),
    "jpeg xl": (b"\0\0\0\x0cJXL \r\n\x87\n", "not an image: it looks like a JPEG XL image"),
    "postscript": (
        b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n",
        "not an image: it looks like a PostScript file",
    ),
    "photoshop": (b"8BPS\0\1\0\0\0\0\0\0\0\3\0\0\0\1", "not an image: it looks like a Photoshop file"),
    "icon": (b"\0\0\1\0\1\0\x10\x10\0\0", "not an image: it looks like a Windows icon or cursor"),
    "git lfs": (
        b"version https://git-lfs.github.com/spec/v1\n",
        "not an image: it looks like a Git LFS pointer",
    ),
    "text": (b"hello world", "not an image: it looks like plain text"),
    "zeros": (b"\0" * 100, "not an image: it looks like only zero bytes"),
    "noise": (
        b"\x91\xe4\x07\xb3\x99\x04",
        r"not an image of a known format: it begins with b'\x91\xe4\x07\xb3\x99\x04'",
    ),
    "empty": (b"", "the file is empty (0 bytes)"),
}


@pytest.mark.parametrize("kind", NOT_IMAGES)
def test_non_image_files_are_identified(kind: str) -> None:
    data, message = NOT_IMAGES[kind]
    assert reason_for(data).startswith(message)


TRUNCATABLE = ["PNG", "JPEG", "GIF", "WEBP", "BMP", "TIFF", "PPM", "AVIF", "JPEG2000"]


@pytest.mark.parametrize("format", TRUNCATABLE)
def test_truncated_file_error_names_the_format(format: str, picture: Image.Image, encode: Encode) -> None:
    data = encode(picture, format)
    assert re.match(f"the {format} image is (truncated|damaged): ", reason_for(data[: len(data) // 2]))


@pytest.mark.parametrize("format", ["PNG", "JPEG", "BMP", "TIFF"])
def test_file_without_its_end_is_called_truncated(format: str, picture: Image.Image, encode: Encode) -> None:
    data = encode(picture, format)
    assert "truncated" in reason_for(data[: len(data) * 2 // 3])


@pytest.mark.parametrize("format", TRUNCATABLE)
def test_bare_headers_raise_only_image_errors(format: str, picture: Image.Image, encode: Encode) -> None:
    data = encode(picture, format)
    for size in range(1, 40):
        reason_for(data[:size])


def test_truncation_check_leaves_pillow_settings_unchanged(picture: Image.Image, encode: Encode) -> None:
    assert ImageFile.LOAD_TRUNCATED_IMAGES is False
    reason_for(encode(picture, "JPEG")[:-200])
    assert ImageFile.LOAD_TRUNCATED_IMAGES is False


BOMBS: dict[str, bytes] = {
    "png": png_of(50_000, 50_000),
    "wide png": png_of(2**31 - 1, 1),
    "bmp": b"BM" + struct.pack("<IHHIIiiHHII16x", 60, 0, 0, 54, 40, 50_000, 50_000, 1, 24, 0, 0),
    "ppm": b"P6 50000 50000 255\n",
    "gif": b"GIF89a" + struct.pack("<HHBBB", 50_000, 50_000, 0, 0, 0) + b",\0\0\0\0\1\0\1\0\0\2\2D\1\0;",
    "webp": b"RIFF\x16\0\0\0WEBPVP8X\x0a\0\0\0\0\0\0\0\x3f\x9c\0\x3f\x9c\0",
    "lossless webp": b"RIFF\x16\0\0\0WEBPVP8L\x0a\0\0\0\x2f" + struct.pack("<I", 2**28 - 1) + b"\0" * 9,
}  # fmt: skip


@pytest.mark.parametrize("kind", BOMBS)
def test_decompression_bombs_are_refused_by_their_header(kind: str) -> None:
    gc.collect()
    tracemalloc.start()
    try:
        message = reason_for(BOMBS[kind])
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert re.fullmatch(
        r"[\d,]+ x [\d,]+ pixels are more than the limit of 64,000,000; it may be a decompression bomb"
        r" and was not decoded \(--max-image-pixels raises the limit\)",
        message,
    )
    assert peak < 5_000_000


def test_oversized_png_error_gives_its_size() -> None:
    assert reason_for(png_of(50_000, 50_000)).startswith("50,000 x 50,000 pixels are more than the limit")


def test_pixel_limit_is_inclusive(picture: Image.Image, encode: Encode) -> None:
    data = encode(picture, "PNG")
    assert decode(data, max_pixels=48 * 32).width == 48
    assert reason_for(data, max_pixels=48 * 32 - 1).startswith(
        "48 x 32 pixels are more than the limit of 1,535;"
    )


def test_pillow_pixel_limit_is_ignored_and_unchanged(
    picture: Image.Image, encode: Encode, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 10)
    assert decode(encode(picture, "PNG")).width == 48
    assert Image.MAX_IMAGE_PIXELS == 10


@pytest.mark.parametrize(
    ("side", "message"),
    [(9_000, "frame 2 of 2: 9,000 x 9,000 pixels are more than the limit of 64,000,000"),
     (60_000, "frame 2 of 2: the GIF image is damaged: Image size (3600000000 pixels) exceeds limit")],
)  # fmt: skip
def test_gif_frame_beyond_the_pixel_limit_is_refused(side: int, message: str, encode: Encode) -> None:
    small = encode(Image.new("L", (8, 8)), "GIF").removesuffix(b";")
    large = b"," + struct.pack("<HHHHB", 0, 0, side, side, 0) + b"\2\2D\1\0"
    assert reason_for(small + large + b";").startswith(message)


def test_byte_limit_is_inclusive(picture: Image.Image, encode: Encode) -> None:
    data = encode(picture, "PNG")
    assert decode(data, max_bytes=len(data)).width == 48
    assert (
        reason_for(data, max_bytes=len(data) - 1)
        == f"the file has {len(data):,} bytes, more than the limit of {len(data) - 1:,}"
    )


def test_image_without_pixels_is_damaged() -> None:
    data = b"GIF89a" + struct.pack("<HHBBB", 0, 0, 0, 0, 0) + b",\0\0\0\0\0\0\0\0\0\2\2D\1\0;"
    assert reason_for(data) == "the GIF image is damaged: its header: no pixels, or an unknown kind of them"


UNKNOWN_WHITE = {
    "signed 16 bits": (np.array([[-5, 300]], dtype=np.int32), "signed or 32-bit integers"),
    "32 bits": (np.array([[5, 2**30]], dtype=np.int32), "signed or 32-bit integers"),
    "float above 1": (
        np.array([[0.0, 255.0]], dtype=np.float32),
        "float samples must lie in [0, 1], these lie in [0, 255]",
    ),
    "nan": (np.array([[0.0, np.nan]], dtype=np.float32), "some float samples are not finite numbers"),
}


@pytest.mark.parametrize("kind", UNKNOWN_WHITE)
def test_samples_without_a_known_white_level_are_refused(kind: str, encode: Encode) -> None:
    array, message = UNKNOWN_WHITE[kind]
    assert message in reason_for(encode(Image.fromarray(array), "TIFF"))


def test_png_text_bomb_is_ignored(picture: Image.Image, encode: Encode) -> None:
    text = b"zTXtk\0\0" + zlib.compress(b"\0" * 100_000_000, 9)
    data = encode(picture, "PNG")
    chunk = struct.pack(">I", len(text) - 4) + text + struct.pack(">I", zlib.crc32(text))
    tracemalloc.start()
    try:
        decoded = decode(data[:33] + chunk + data[33:])
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert decoded.frames[0].tobytes() == picture.tobytes()
    assert peak < 5_000_000


def damaged_samples(picture: Image.Image, encode: Encode) -> list[bytes]:
    """Files with bytes changed here and there: some can be decoded, some not."""
    rng = np.random.default_rng(5)
    files: list[bytes] = []
    for format, options in (("PNG", {}), ("JPEG", {}), ("GIF", {}), ("WEBP", {}), ("TIFF", {}),
                            ("TIFF", {"compression": "tiff_lzw"}), ("TIFF", {"compression": "jpeg"}),
                            ("AVIF", {}), ("JPEG2000", {}), ("BMP", {})):  # fmt: skip
        data = encode(picture, format, **options)
        for _ in range(15):
            damaged = bytearray(data)
            for at in rng.integers(0, len(data), 4):
                damaged[at] = rng.integers(0, 256)
            files.append(bytes(damaged))
    return files


def outcome(data: bytes) -> Any:
    try:
        return np.asarray(decode(data).frames[0]).tobytes()
    except ImageError as error:
        return error.message


def test_damaged_files_print_nothing(
    picture: Image.Image, encode: Encode, capfd: pytest.CaptureFixture[str]
) -> None:
    outcomes = [outcome(data) for data in damaged_samples(picture, encode)]
    assert any(isinstance(o, str) for o in outcomes)
    assert any(isinstance(o, bytes) for o in outcomes)
    captured = capfd.readouterr()
    assert captured.err == ""
    assert captured.out == ""


def test_threads_give_the_results_of_one_thread(picture: Image.Image, encode: Encode) -> None:
    files = damaged_samples(picture, encode)
    with ThreadPoolExecutor(4) as pool:
        assert list(pool.map(outcome, files)) == [outcome(data) for data in files]


def test_messages_contain_no_control_characters(picture: Image.Image) -> None:
    message = reason_for(b"P6 \x1b[31m\x07 1 255\n")
    assert message.isprintable(), message


SMALL_MEMORY = """
import io, resource
import numpy
from PIL import Image
from jurat.content import ImageError
from jurat.media import decode
buffer = io.BytesIO()
Image.new("RGB", (4000, 4000)).save(buffer, "PNG")
pages = int(open("/proc/self/statm").read().split()[0])
resource.setrlimit(resource.RLIMIT_AS, (pages * resource.getpagesize() + 30_000_000,) * 2)
try:
    decode(buffer.getvalue())
except ImageError as error:
    print(error.message)
"""


@pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="needs Linux")
def test_out_of_memory_is_an_image_error() -> None:
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    done = subprocess.run(
        [sys.executable, "-c", SMALL_MEMORY], env=environment, capture_output=True, text=True, check=True
    )
    assert done.stdout == "decoding it needs more memory than there is\n"
