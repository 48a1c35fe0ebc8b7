"""Every supported kind of file decodes to the picture it shows."""

from __future__ import annotations

import hashlib
import io
import struct
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from jurat.media import Decoded, decode
from jurat.sources import find_items

Encode = Callable[..., bytes]
WHITE = np.array([255, 255, 255])


def pixels(decoded: Decoded, frame: int = 0) -> np.ndarray[Any, np.dtype[np.int64]]:
    return np.asarray(decoded.frames[frame]).astype(np.int64)


def png_chunks(*chunks: tuple[bytes, bytes]) -> bytes:
    """A PNG made by hand, for what Pillow does not write."""
    data = b"\x89PNG\r\n\x1a\n"
    for kind, body in chunks:
        data += struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))
    return data


def png_header(width: int, height: int, depth: int, colour: int) -> tuple[bytes, bytes]:
    return b"IHDR", struct.pack(">IIBBBBB", width, height, depth, colour, 0, 0, 0)


# How a format is written, and how far a channel may be off on average (0: exact).
FORMATS: dict[str, tuple[str, dict[str, Any], float]] = {
    "png": ("PNG", {}, 0),
    "jpeg": ("JPEG", {"quality": 95}, 3),
    "progressive jpeg": ("JPEG", {"quality": 95, "progressive": True}, 3),
    "gif": ("GIF", {}, 25),
    "webp": ("WEBP", {"quality": 95}, 4),
    "lossless webp": ("WEBP", {"lossless": True}, 0),
    "bmp": ("BMP", {}, 0),
    "tiff": ("TIFF", {}, 0),
    "lzw tiff": ("TIFF", {"compression": "tiff_lzw"}, 0),
    "deflate tiff": ("TIFF", {"compression": "tiff_adobe_deflate"}, 0),
    "jpeg tiff": ("TIFF", {"compression": "jpeg", "quality": 95}, 4),
    "ppm": ("PPM", {}, 0),
    "avif": ("AVIF", {"quality": 95}, 4),
    "jpeg 2000": ("JPEG2000", {}, 0),
    "jpeg 2000 codestream": ("JPEG2000", {"no_jp2": True}, 0),
}


@pytest.mark.parametrize("kind", FORMATS)
def test_every_format_decodes_to_the_picture(
    kind: str, picture: Image.Image, encode: Encode, tmp_path: Path
) -> None:
    format, options, tolerance = FORMATS[kind]
    path = tmp_path / "picture.bin"  # the content decides, not the suffix
    path.write_bytes(encode(picture, format, **options))
    (item,) = find_items([str(path)])
    decoded = decode(item.read()[0])
    assert (decoded.width, decoded.height) == (48, 32)
    assert decoded.frames[0].mode == "RGB"
    assert decoded.indices == (0,)
    assert not decoded.animated
    assert decoded.sha256 == hashlib.sha256(path.read_bytes()).hexdigest()
    off = np.abs(pixels(decoded) - np.asarray(picture)).mean()
    assert off <= tolerance


# Pillow's conversions, written here without Pillow where that is possible.
MODES: dict[str, tuple[str, str, float]] = {
    # kind: (mode, format, tolerance)
    "cmyk jpeg": ("CMYK", "JPEG", 3),
    "cmyk tiff": ("CMYK", "TIFF", 1),
    "grey png": ("L", "PNG", 0),
    "grey jpeg": ("L", "JPEG", 2),
    "1-bit png": ("1", "PNG", 0),
    "1-bit tiff": ("1", "TIFF", 0),
    "1-bit fax tiff": ("1", "TIFF group4", 0),
    "palette png": ("P", "PNG", 0),
    "palette bmp": ("P", "BMP", 0),
    "ycbcr tiff": ("YCbCr", "TIFF", 2),
    "lab tiff": ("LAB", "TIFF", 3),
    "ycbcr jpeg": ("YCbCr", "JPEG", 3),
}


@pytest.mark.parametrize("kind", MODES)
def test_every_colour_mode_decodes_to_the_picture(kind: str, picture: Image.Image, encode: Encode) -> None:
    mode, format, tolerance = MODES[kind]
    source = picture.convert(mode)
    options = {"compression": "group4"} if format.endswith("group4") else {}
    data = encode(source, format.split()[0], **options)
    expected = source.convert("RGB") if mode in ("L", "1", "P") else picture
    assert np.abs(pixels(decode(data)) - np.asarray(expected)).mean() <= tolerance


def sixteen_bit_grey(encode: Encode, samples: np.ndarray[Any, Any], format: str, **options: Any) -> bytes:
    return encode(Image.fromarray(samples.astype(np.uint16)), format, **options)


@pytest.mark.parametrize("format", ["PNG", "TIFF", "PPM"])
def test_sixteen_bit_grey_is_scaled_not_clipped(format: str, encode: Encode) -> None:
    samples = np.array([[0, 256, 32768, 65535], [128, 129, 65406, 65407]])
    decoded = decode(sixteen_bit_grey(encode, samples, format))
    assert (pixels(decoded)[:, :, 0] == [[0, 1, 128, 255], [0, 1, 254, 255]]).all()
    assert (pixels(decoded) == pixels(decoded)[:, :, :1]).all()


def test_sixteen_bit_grey_tiff_with_white_as_zero_is_inverted(encode: Encode) -> None:
    data = sixteen_bit_grey(encode, np.array([[0, 65535]]), "TIFF", tiffinfo={262: 0})
    assert pixels(decode(data))[0, :, 0].tolist() == [255, 0]


def test_big_endian_sixteen_bit_tiff_is_scaled(encode: Encode) -> None:
    source = Image.frombytes("I;16B", (2, 1), struct.pack(">HH", 0x1000, 0xFFFF))
    assert pixels(decode(encode(source, "TIFF")))[0, :, 0].tolist() == [16, 255]


def test_twelve_bit_tiff_is_scaled_by_its_white_level() -> None:
    # Two samples of 12 bits, 0x800 and 0xFFF, in three bytes, and the tags that say so.
    tags = [(256, 3, 2), (257, 3, 1), (258, 3, 12), (259, 3, 1), (262, 3, 1), (273, 4, 8), (277, 3, 1)]
    tags += [(278, 3, 1), (279, 4, 3)]
    entries = b"".join(struct.pack("<HHII", tag, kind, 1, value) for tag, kind, value in tags)
    data = (
        b"II*\0"
        + struct.pack("<I", 12)
        + b"\x80\x0f\xff\0"
        + struct.pack("<H", len(tags))
        + entries
        + b"\0" * 4
    )
    assert pixels(decode(data))[0, :, 0].tolist() == [128, 255]


def test_sixteen_bit_colour_png_is_scaled() -> None:
    row = b"\0" + struct.pack(">6H", 0, 32768, 65535, 0x1234, 0xFF00, 255)
    data = png_chunks(png_header(2, 1, 16, 2), (b"IDAT", zlib.compress(row)), (b"IEND", b""))
    assert pixels(decode(data)).tolist() == [[[0, 128, 255], [0x12, 0xFF, 0]]]


def test_float_tiff_in_the_unit_range_is_scaled(encode: Encode) -> None:
    data = encode(Image.fromarray(np.array([[0.0, 0.5, 1.0]], dtype=np.float32)), "TIFF")
    assert pixels(decode(data))[0, :, 0].tolist() == [0, 128, 255]


def alpha_image(mode: str) -> Image.Image:
    """Three pixels of black: opaque, half transparent, transparent."""
    alpha = np.array([[255, 128, 0]], dtype=np.uint8)
    channels = [np.zeros_like(alpha)] * (3 if mode == "RGBA" else 1)
    return Image.fromarray(np.stack([*channels, alpha], axis=-1))


@pytest.mark.parametrize(
    ("mode", "format", "options"),
    [
        ("LA", "PNG", {}),
        ("RGBA", "PNG", {}),
        ("RGBA", "WEBP", {"lossless": True, "exact": True}),
        ("RGBA", "TIFF", {}),
        ("LA", "TIFF", {}),
        ("RGBA", "JPEG2000", {}),
    ],
)
def test_alpha_is_composited_over_white(
    mode: str, format: str, options: dict[str, Any], encode: Encode
) -> None:
    decoded = decode(encode(alpha_image(mode), format, **options))
    assert pixels(decoded)[0, :, 1].tolist() == [0, 127, 255]


def test_avif_alpha_is_composited_over_white(encode: Encode) -> None:
    source = Image.new("RGBA", (16, 16), (200, 0, 0, 0))
    assert (np.abs(pixels(decode(encode(source, "AVIF"))) - WHITE) <= 2).all()


def test_premultiplied_tiff_is_composited_over_white(encode: Encode) -> None:
    data = encode(alpha_image("RGBA"), "TIFF", tiffinfo={338: 1})
    assert pixels(decode(data))[0, :, 0].tolist() == [0, 127, 255]


def test_transparent_palette_entry_is_composited_over_white(encode: Encode) -> None:
    source = Image.new("P", (2, 1))
    source.putpalette([10, 20, 30, 200, 0, 0])
    source.putpixel((1, 0), 1)
    for format in ("PNG", "GIF"):
        decoded = decode(encode(source, format, transparency=1))
        assert pixels(decoded).tolist() == [[[10, 20, 30], [255, 255, 255]]]


def test_translucent_palette_entries_are_composited_over_white(encode: Encode) -> None:
    source = Image.new("P", (3, 1))
    source.putpalette([0, 0, 0, 0, 0, 0, 100, 100, 100])
    source.putpixel((1, 0), 1)
    source.putpixel((2, 0), 2)
    decoded = decode(encode(source, "PNG", transparency=bytes([0, 128, 255])))
    assert pixels(decoded)[0, :, 0].tolist() == [255, 127, 100]


@pytest.mark.parametrize(
    ("depth", "colour", "row", "key", "expected"),
    [
        (8, 0, b"\x05\x06", struct.pack(">H", 5), [255, 6]),
        (16, 0, struct.pack(">HH", 256, 257 * 9), struct.pack(">H", 256), [255, 9]),
        (1, 0, b"\x40", struct.pack(">H", 0), [255, 255]),
        (8, 2, b"\1\2\3\4\5\6", struct.pack(">3H", 1, 2, 3), [255, 4]),
        (
            16,
            2,
            struct.pack(">6H", 0x1122, 0x3344, 0x5566, 1, 2, 3),
            struct.pack(">3H", 0x1122, 0x3344, 0x5566),
            [255, 0],
        ),
    ],
    ids=["grey", "16-bit grey", "1-bit", "colour", "16-bit colour"],
)
def test_transparent_colour_key_is_composited_over_white(
    depth: int, colour: int, row: bytes, key: bytes, expected: list[int]
) -> None:
    data = png_chunks(
        png_header(2, 1, depth, colour), (b"tRNS", key), (b"IDAT", zlib.compress(b"\0" + row)), (b"IEND", b"")
    )
    assert pixels(decode(data))[0, :, 0].tolist() == expected


EXIF_ORIENTATION = 0x0112
# How a camera held that way stores the upright picture.
STORED = {
    1: lambda upright: upright,
    2: np.fliplr,
    3: lambda upright: np.rot90(upright, 2),
    4: np.flipud,
    5: lambda upright: np.swapaxes(upright, 0, 1),
    6: lambda upright: np.rot90(upright, 1),
    7: lambda upright: np.rot90(np.swapaxes(upright, 0, 1), 2),
    8: lambda upright: np.rot90(upright, -1),
}


@pytest.mark.parametrize(
    ("format", "orientation"),
    [
        *(("PNG", orientation) for orientation in STORED),
        *((format, 6) for format in ("JPEG", "WEBP", "TIFF", "lzw TIFF", "AVIF")),
    ],
)
def test_exif_orientation_is_applied(
    format: str, orientation: int, picture: Image.Image, encode: Encode
) -> None:
    stored = Image.fromarray(np.ascontiguousarray(STORED[orientation](np.asarray(picture))))
    exif = Image.Exif()
    exif[EXIF_ORIENTATION] = orientation
    options: dict[str, Any] = {"compression": "tiff_lzw"} if format == "lzw TIFF" else {"quality": 95}
    if format == "WEBP":
        options["lossless"] = True
    decoded = decode(encode(stored, format.split()[-1], exif=exif, **options))
    assert (decoded.width, decoded.height) == (48, 32)
    assert np.abs(pixels(decoded) - np.asarray(picture)).mean() <= (
        0 if format in ("PNG", "WEBP", "TIFF") else 4
    )


@pytest.mark.parametrize(
    "exif",
    [
        b"",
        b"Exif\0\0garbage",
        b"Exif\0\0II*\0\xff\xff\xff\xff",
        b"Exif\0\0MM\0*\0\0\0\x08\0\1\x01\x12\0\3\0\0\0\1\0\x63\0\0",
    ],
)
def test_broken_exif_is_ignored(exif: bytes, picture: Image.Image, encode: Encode) -> None:
    data = encode(picture, "JPEG", quality=95)
    block = b"\xff\xe1" + struct.pack(">H", len(exif) + 2) + exif
    decoded = decode(data[:2] + block + data[2:])
    assert np.abs(pixels(decoded) - np.asarray(picture)).mean() < 3


def test_colour_profiles_are_ignored(picture: Image.Image, encode: Encode) -> None:
    assert (pixels(decode(encode(picture, "PNG", icc_profile=b"not a profile"))) == np.asarray(picture)).all()


def test_only_the_main_image_of_a_multi_picture_jpeg_is_decoded(picture: Image.Image, encode: Encode) -> None:
    other = Image.new("RGB", (8, 8), "red")
    decoded = decode(encode(picture, "MPO", save_all=True, append_images=[other]))
    assert (decoded.width, decoded.height) == (48, 32)
    assert not decoded.animated


def test_trailing_bytes_are_ignored(picture: Image.Image, encode: Encode) -> None:
    for format in ("PNG", "JPEG", "GIF", "BMP"):
        assert decode(encode(picture, format) + b"trailing").width == 48


def test_frames_carry_no_metadata(picture: Image.Image, encode: Encode) -> None:
    frame = decode(encode(picture, "JPEG", comment=b"hello", dpi=(300, 300))).frames[0]
    assert type(frame) is Image.Image
    assert frame.info == {}
    buffer = io.BytesIO()
    frame.save(buffer, "PNG")
    assert buffer.getvalue().startswith(b"\x89PNG")
