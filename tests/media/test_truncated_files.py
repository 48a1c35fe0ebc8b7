"""A picture with missing pixels is an error, even where the decoder accepts it."""

from __future__ import annotations

import io
import random
import struct
import zlib
from collections.abc import Callable, Iterator
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from PIL import Image

from jurat.content import ImageError
from jurat.media import decode
from jurat.pictograms import draw

Encode = Callable[..., bytes]


def scenes(count: int) -> list[Image.Image]:
    return [draw(np.random.default_rng(seed), size=128).image for seed in range(count)]


def photo(width: int = 150, height: int = 100) -> Image.Image:
    coarse = np.random.default_rng(2).integers(0, 256, (8, 8, 3), dtype=np.uint8)
    return Image.fromarray(coarse).resize((width, height), Image.Resampling.BICUBIC)


def is_whole(data: bytes, expected: bytes) -> bool:
    """Whether the file decodes; if so, its pixels must be equal."""
    try:
        frame = decode(data).frames[0]
    except ImageError as error:
        assert "truncated" in error.message or "damaged" in error.message, error.message
        return False
    assert frame.tobytes() == expected
    return True


# --- JPEG ----------------------------------------------------------------------------------------

JPEGS: dict[str, dict[str, Any]] = {
    "baseline": {},
    "optimized": {"optimize": True},
    "progressive": {"progressive": True},
    "restart markers": {"restart_marker_rows": 1},
    "restart markers, often": {"restart_marker_blocks": 2, "progressive": True},
    "all colours": {"subsampling": 0, "quality": 95},
}


@pytest.mark.parametrize("kind", JPEGS)
def test_truncated_jpegs_with_an_end_mark_are_errors(kind: str, encode: Encode) -> None:
    for image in scenes(10):
        data = encode(image, "JPEG", **JPEGS[kind])
        whole = decode(data).frames[0].tobytes()
        for percent in (40, 45, 50, 55, 60, 80):
            cut = data[: len(data) * percent // 100]
            assert not is_whole(cut + b"\xff\xd9", whole), percent
            assert not is_whole(cut + data[-40:], whole), percent
        assert is_whole(data, whole)


def test_progressive_jpeg_with_missing_scans_is_an_error(encode: Encode) -> None:
    data = encode(photo(), "JPEG", progressive=True)
    starts = [at for at in range(len(data)) if data[at : at + 2] == b"\xff\xda"]
    assert len(starts) > 5
    for start in starts[1:]:
        assert not is_whole(data[:start] + b"\xff\xd9", b""), start
    # A scan in the middle that is gone: others refine what is not there, or a part is never there.
    for first, second in pairwise(starts):
        assert not is_whole(data[:first] + data[second:], b"")


def test_jpeg_padded_with_zeros_is_an_error(encode: Encode) -> None:
    for options in JPEGS.values():
        data = encode(photo(), "JPEG", **options)
        cut = len(data) // 2
        assert not is_whole(data[:cut] + bytes(len(data) - cut), b"")


def test_jpegs_with_wrong_restart_intervals_are_errors(encode: Encode) -> None:
    data = encode(photo(), "JPEG", restart_marker_rows=1, quality=90)
    marks = [at for at in range(len(data) - 1) if data[at] == 0xFF and 0xD0 <= data[at + 1] <= 0xD7]
    first, second, third = marks[1:4]
    assert not is_whole(data[:first] + data[second:], b"")
    assert not is_whole(data[:first] + data[second:third] + data[first:second] + data[third:], b"")
    middle = (first + second) // 2
    assert not is_whole(data[:middle] + data[second:], b"")


ODDITIES: dict[str, Callable[[bytes], bytes]] = {
    "bytes behind the end": lambda data: data + b"\0" * 5000 + b"\xff\xd8\xff\xe0 more",
    "fill bytes before the end mark": lambda data: data[:-2] + b"\xff" * 300 + b"\xff\xd9",
    "a few zeros before the end mark": lambda data: data[:-2] + bytes(12) + b"\xff\xd9",
    "a comment and a profile": lambda data: (
        data[:2] + b"\xff\xfe\0\7hello" + b"\xff\xe2\0\x10ICC_PROFILE\0\1\2" + data[2:]
    ),
    "bytes between segments": lambda data: data.replace(b"\xff\xdb", b"\0\0\0\xff\xdb", 1),
}


@pytest.mark.parametrize("oddity", ODDITIES)
@pytest.mark.parametrize("kind", JPEGS)
def test_jpegs_with_harmless_oddities_decode(kind: str, oddity: str, encode: Encode) -> None:
    for image in (photo(), photo(17, 9), photo().convert("L"), photo().convert("CMYK")):
        options = JPEGS[kind] if image.mode == "RGB" else {**JPEGS[kind], "subsampling": -1}
        data = encode(image, "JPEG", **options)
        assert is_whole(ODDITIES[oddity](data), decode(data).frames[0].tobytes())


def test_sequential_jpeg_without_an_end_mark_decodes(encode: Encode) -> None:
    data = encode(photo(), "JPEG", quality=95)
    assert is_whole(data[:-2], decode(data).frames[0].tobytes())


def test_random_jpegs_decode_as_in_pillow() -> None:
    source, rng = random.Random(3), np.random.default_rng(3)
    for _ in range(150):
        sides = source.randint(1, 70), source.randint(1, 70)
        image = Image.fromarray(rng.integers(0, 256, (*sides, 3), dtype=np.uint8))
        if source.random() < 0.5:
            image = Image.new("RGB", sides, tuple(rng.integers(0, 256, 3)))
        image = image.convert(source.choice(("RGB", "L", "CMYK")))
        options = {
            "quality": source.choice((5, 75, 95)),
            "optimize": source.random() < 0.5,
            "progressive": source.random() < 0.5,
            source.choice(("restart_marker_rows", "restart_marker_blocks")): source.choice((0, 0, 1, 3)),
        }
        out = io.BytesIO()
        try:
            image.save(out, "JPEG", **options)
        except OSError:  # Pillow's buffer is too small for some
            continue
        with Image.open(out) as again:
            assert is_whole(out.getvalue(), again.convert("RGB").tobytes()), options


def test_arithmetic_coded_jpeg_is_refused(encode: Encode) -> None:
    data = encode(photo(), "JPEG").replace(b"\xff\xc0", b"\xff\xc9")
    with pytest.raises(ImageError, match="arithmetic coding"):
        decode(data)


# --- PNG -----------------------------------------------------------------------------------------


def png(width: int, height: int, depth: int, colour: int, raw: bytes, interlaced: int = 0) -> bytes:
    chunks = (
        (b"IHDR", struct.pack(">IIBBBBB", width, height, depth, colour, 0, 0, interlaced)),
        *([(b"PLTE", bytes(range(48)))] if colour == 3 else []),
        (b"IDAT", zlib.compress(raw)),
        (b"IEND", b""),
    )
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))
        for kind, body in chunks
    )


@pytest.mark.parametrize(
    ("depth", "colour", "row"),
    [(8, 2, 60), (8, 0, 20), (1, 0, 3), (4, 3, 10), (16, 0, 40), (8, 6, 80), (16, 6, 160)],
)
def test_pngs_with_missing_rows_are_errors(depth: int, colour: int, row: int) -> None:
    for value in (b"\x11", b"\0"):  # a picture may be black down to its last row
        lines = [b"\0" + value * row for _ in range(30)]
        whole = decode(png(20, 30, depth, colour, b"".join(lines))).frames[0].tobytes()
        for rows in (0, 1, 12, 29):
            assert not is_whole(png(20, 30, depth, colour, b"".join(lines[:rows])), whole)
        assert not is_whole(png(20, 30, depth, colour, b"".join(lines)[:-1]), whole)
        assert is_whole(png(20, 30, depth, colour, b"".join(lines) + b"\0" * 50), whole)


def test_interlaced_pngs_without_the_last_pass_are_errors(encode: Encode) -> None:
    # The seven passes of 5 x 3 pixels, as pixels of a row and rows.
    passes = [(1, 1), (1, 1), (0, 0), (1, 1), (3, 1), (2, 2), (5, 1)]
    raw = [(b"\0" + b"\x40" * width) * height for width, height in passes]
    whole = decode(png(5, 3, 8, 0, b"".join(raw), interlaced=1)).frames[0]
    assert np.asarray(whole).tolist() == [[[0x40] * 3] * 5] * 3
    assert not is_whole(png(5, 3, 8, 0, b"".join(raw[:-1]), interlaced=1), b"")
    assert not is_whole(png(5, 3, 8, 0, b"".join(raw[:-2]), interlaced=1), b"")


def test_apng_frame_with_missing_rows_is_an_error(encode: Encode) -> None:
    frames = [Image.new("L", (20, 20), shade) for shade in (9, 90, 200)]
    data = encode(frames[0], "PNG", save_all=True, append_images=frames[1:])
    at = data.index(b"fdAT") - 4
    (size,) = struct.unpack_from(">I", data, at)
    body = b"fdAT" + data[at + 8 : at + 12] + zlib.compress(b"\0" * 21 * 10)
    short = struct.pack(">I", len(body) - 4) + body + struct.pack(">I", zlib.crc32(body))
    with pytest.raises(ImageError, match=r"the PNG image is truncated: frame 2: 210 of 420 bytes"):
        decode(data[:at] + short + data[at + 12 + size :])


def test_apng_with_more_frames_than_declared_is_an_error(encode: Encode) -> None:
    frames = [Image.new("L", (20, 20), shade) for shade in (9, 90, 200)]
    data = encode(frames[0], "PNG", save_all=True, append_images=frames[1:])
    at = data.index(b"acTL")
    for count in (1, 2):
        body = b"acTL" + struct.pack(">II", count, 0)
        told = data[:at] + body + struct.pack(">I", zlib.crc32(body)) + data[at + 16 :]
        with pytest.raises(ImageError, match=f"it says that it has {count} frames, and has 3"):
            decode(told)


# --- GIF -----------------------------------------------------------------------------------------


def gif(screen: tuple[int, int], frames: list[bytes]) -> bytes:
    palette = bytes(range(256)) * 3
    return b"GIF89a" + struct.pack("<HHBBB", *screen, 0xF7, 0, 0) + palette + b"".join(frames) + b";"


def gif_frame(encode: Encode, left: int, top: int, image: Image.Image, pixels: Image.Image) -> bytes:
    """A frame as large as `image` with the coded data of `pixels`."""
    data = encode(pixels.convert("L"), "GIF", optimize=False)
    at = data.index(b"," + struct.pack("<HH", 0, 0))
    flags = data[at + 9]
    coded = data[at + 10 + (3 << (flags & 7) + 1 if flags & 0x80 else 0) : -1]
    return b"," + struct.pack("<HHHHB", left, top, *image.size, 0) + coded


def test_gif_frames_with_missing_pixels_are_errors(encode: Encode) -> None:
    large, small = photo(40, 40), photo(40, 20)
    whole = gif_frame(encode, 0, 0, large, large)
    short = gif_frame(encode, 0, 0, large, small)
    assert decode(gif((40, 40), [whole])).width == 40
    for frames in ([short], [whole, short], [short, whole]):
        with pytest.raises(ImageError, match="the GIF image is truncated: "):
            decode(gif((40, 40), frames))


def test_truncated_animations_are_errors(encode: Encode) -> None:
    noise = np.random.default_rng(1).integers(0, 255, (5, 24, 24, 3), dtype=np.uint8)
    frames = [Image.fromarray(each) for each in noise]
    for format in ("GIF", "PNG", "WEBP", "AVIF"):
        options = {"save_all": True, "append_images": frames[1:]}
        data = encode(frames[0], format, **options)
        for percent in (20, 40, 60, 80, 95):
            with pytest.raises(ImageError):
                decode(data[: len(data) * percent // 100])


def test_gif_frame_beyond_the_screen_has_two_renderings(encode: Encode) -> None:
    large = photo(60, 50)
    data = gif((30, 20), [gif_frame(encode, 0, 0, large, large)])
    decoded = decode(data)
    assert decoded.renderings == ("cut to the screen", "beyond the screen")
    assert decoded.indices == (0, 0) and not decoded.animated
    cut, whole = decoded.frames
    assert (cut.size, whole.size) == ((30, 20), (60, 50))
    assert cut.tobytes() == whole.crop((0, 0, 30, 20)).tobytes()


# --- everything else -----------------------------------------------------------------------------

OTHERS: dict[str, tuple[str, dict[str, Any]]] = {
    "webp": ("WEBP", {}),
    "lossless webp": ("WEBP", {"lossless": True}),
    "bmp": ("BMP", {}),
    "tiff": ("TIFF", {}),
    "lzw tiff": ("TIFF", {"compression": "tiff_lzw"}),
    "jpeg tiff": ("TIFF", {"compression": "jpeg"}),
    "packbits tiff": ("TIFF", {"compression": "packbits"}),
    "fax tiff": ("TIFF", {"compression": "group4"}),
    "ppm": ("PPM", {}),
    "avif": ("AVIF", {}),
    "jpeg 2000": ("JPEG2000", {}),
    "jpeg 2000 codestream": ("JPEG2000", {"no_jp2": True}),
}


def cuts(kind: str, data: bytes) -> Iterator[bytes]:
    """Truncated versions of a file, bare and with the padding or trailer that tools append."""
    for percent in (10, 25, 40, 50, 60, 80, 97):
        cut = data[: len(data) * percent // 100]
        yield cut
        yield cut + data[-30:]
        if "webp" in kind and len(cut) > 40:
            even = cut + b"\0" * (len(cut) % 2)
            sizes = struct.pack("<I", len(even) - 8), struct.pack("<I", len(even) - 20)
            yield even[:4] + sizes[0] + even[8:16] + sizes[1] + even[20:]
        if "2000" in kind or kind == "jpeg tiff":
            yield cut + b"\xff\xd9"
        if kind.split()[-1] in ("webp", "avif", "2000", "codestream") and percent < 85:
            yield cut + bytes(len(data) - len(cut))


@pytest.mark.parametrize("kind", OTHERS)
def test_truncated_files_of_other_formats_are_errors(kind: str, encode: Encode) -> None:
    format, options = OTHERS[kind]
    image = photo(200, 150).convert("1" if "fax" in kind else "RGB")
    data = encode(image, format, **options)
    whole = decode(data).frames[0].tobytes()
    for cut in cuts(kind, data):
        assert not is_whole(cut, whole)


def test_large_images_of_one_colour_decode(encode: Encode) -> None:
    for shade in ("white", "black"):
        for format in ("WEBP", "AVIF", "JPEG2000"):
            assert decode(encode(Image.new("RGB", (2500, 1500), shade), format)).width == 2500
