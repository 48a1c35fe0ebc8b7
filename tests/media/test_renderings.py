"""A picture that viewers render in several ways is judged in each rendering."""

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
from jurat.judge import Judge
from jurat.media import Sampling, decode, from_array, from_pil
from jurat.media.decoding import still

Encode = Callable[..., bytes]
OVER = ("over white", "over black")


def translucent(alpha: int = 128) -> Image.Image:
    return Image.new("RGBA", (20, 10), (200, 100, 0, alpha))


# --- transparency --------------------------------------------------------------------------------

KINDS: dict[str, tuple[str, dict[str, Any]]] = {
    "png": ("PNG", {}),
    "webp": ("WEBP", {"lossless": True, "exact": True}),
    "tiff": ("TIFF", {}),
    "jpeg 2000": ("JPEG2000", {}),
    "avif": ("AVIF", {"quality": 100, "subsampling": "4:4:4"}),
}


@pytest.mark.parametrize("kind", KINDS)
def test_translucent_picture_has_two_renderings(kind: str, encode: Encode) -> None:
    format, options = KINDS[kind]
    decoded = decode(encode(translucent(), format, **options))
    assert (decoded.renderings, decoded.indices) == (OVER, (0, 0))
    assert (decoded.kind, decoded.count, decoded.width, decoded.height) == ("image", 1, 20, 10)
    white, black = (np.asarray(frame)[5, 5].astype(int) for frame in decoded.frames)
    assert np.abs(white - [227, 177, 127]).max() <= 3
    assert np.abs(black - [100, 50, 0]).max() <= 3


def test_translucent_arrays_have_two_renderings() -> None:
    array = np.asarray(translucent())
    assert from_pil(translucent()).renderings == from_array(array).renderings == OVER
    assert from_array(np.dstack([array[..., :1], array[..., 3:]])).renderings == OVER


@pytest.mark.parametrize(
    "make",
    [
        lambda: translucent(255),
        lambda: Image.new("RGB", (20, 10)),
        lambda: Image.new("L", (20, 10)),
        lambda: Image.new("LA", (20, 10), (9, 255)),
    ],
)
def test_opaque_picture_has_one_rendering(make: Callable[[], Image.Image], encode: Encode) -> None:
    decoded = decode(encode(make(), "PNG"))
    assert (len(decoded.frames), decoded.renderings) == (1, ())


def test_translucent_outline_adds_no_rendering() -> None:
    image = Image.new("RGBA", (200, 200), (200, 100, 0, 255))
    for at in range(200):
        image.putpixel((at, 0), (200, 100, 0, 128))
    assert from_pil(image).renderings == ()
    image.paste((0, 0, 0, 0), (0, 0, 20, 20))
    assert from_pil(image).renderings == OVER


def test_white_on_transparent_is_visible_over_black(encode: Encode) -> None:
    image = Image.new("RGBA", (40, 40), (255, 255, 255, 0))
    image.paste((255, 255, 255, 255), (10, 10, 30, 30))
    white, black = decode(encode(image, "PNG")).frames
    assert np.asarray(white).min() == 255
    assert np.asarray(black)[[5, 20], [5, 20]].tolist() == [[0] * 3, [255] * 3]


def test_scene_hidden_in_alpha_is_broken_over_black(encode: Encode) -> None:
    with Image.open("examples/scenes/0000-child-with-blade-broken.png") as image:
        scene = image.convert("RGB")
    rgb = np.asarray(scene).astype(float)
    alpha = rgb.max(axis=2)
    colour = rgb * 255 / np.maximum(alpha, 1)[..., None]
    hidden = Image.fromarray(np.dstack([colour, alpha]).round().astype(np.uint8))
    judge = Judge("shelf:nursery", "bundled", "quick")
    verdict = judge(encode(hidden, "PNG"))
    assert verdict.outcome == judge(scene).outcome == "unsafe"
    assert (verdict.kind, verdict.frames, verdict.frames_in_file, verdict.frame) == ("image", 2, 1, 0)
    (broken,) = [rule for rule in verdict.rules if rule.outcome == "broken"]
    assert [part.rendering for part in broken.parts] == list(OVER)
    assert "over black" in verdict.explain()


def test_report_still_uses_the_deciding_rendering(encode: Encode) -> None:
    data = encode(translucent(0), "PNG")
    assert still(data, 0, "over black", None, 480).getpixel((3, 3)) == (0, 0, 0)
    assert still(data, 0, "over white", None, 480).getpixel((3, 3)) == (255, 255, 255)
    assert still(data, 0, None, None, 10).size == (10, 5)


# --- gamma ---------------------------------------------------------------------------------------


def with_chunks(data: bytes, *chunks: tuple[bytes, bytes]) -> bytes:
    made = b"".join(
        struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))
        for kind, body in chunks
    )
    return data[:33] + made + data[33:]


def gamma(value: float) -> tuple[bytes, bytes]:
    return b"gAMA", struct.pack(">I", round(value * 100_000))


def test_png_with_gamma_has_two_renderings(encode: Encode) -> None:
    data = encode(Image.new("RGB", (8, 8), (128, 0, 255)), "PNG")
    decoded = decode(with_chunks(data, gamma(1.0)))
    assert decoded.renderings == ("as stored", "with gamma")
    # A sample of 1/2 in linear light is 0.5 ** (1 / 2.2) on a screen.
    assert [frame.getpixel((0, 0)) for frame in decoded.frames] == [(128, 0, 255), (186, 0, 255)]
    both = decode(with_chunks(encode(translucent(), "PNG"), gamma(1.0)))
    assert both.renderings == tuple(f"{over}, {how}" for over in OVER for how in ("as stored", "with gamma"))


@pytest.mark.parametrize(
    "chunks",
    [
        (gamma(0.45455),),
        (gamma(0.44),),
        (gamma(1.0), (b"sRGB", b"\0")),
        (gamma(1.0), (b"iCCP", b"name\0\0" + zlib.compress(b"profile"))),
        (gamma(0.0),),
    ],
)
def test_neutral_gamma_adds_no_rendering(chunks: tuple[Any, ...], encode: Encode) -> None:
    decoded = decode(with_chunks(encode(Image.new("RGB", (8, 8), (128, 0, 255)), "PNG"), *chunks))
    assert (len(decoded.frames), decoded.renderings) == (1, ())


# --- what lies beside a picture ------------------------------------------------------------------

TEXT = b'{"node": 7}' * 150_000
BESIDE = {
    "zTXt": (b"zTXt", b"workflow\0\0" + zlib.compress(TEXT)),
    "iTXt": (b"iTXt", b"workflow\0\1\0\0\0" + zlib.compress(TEXT)),
    "tEXt": (b"tEXt", b"workflow\0" + TEXT),
    "iCCP": (b"iCCP", b"profile\0\0" + zlib.compress(bytes(range(256)) * 5000)),
    "unknown method of compression": (b"iCCP", b"profile\0\7x"),
    "eXIf": (b"eXIf", b"MM\0*" + b"\xff" * 200_000),
    "unknown": (b"abCd", b"x" * 100),
    "broken sPLT": (b"sPLT", b"x"),
}


@pytest.mark.parametrize("kind", BESIDE)
@pytest.mark.parametrize("repeated", [1, 70])
def test_ancillary_png_chunks_are_ignored(
    kind: str, repeated: int, picture: Image.Image, encode: Encode
) -> None:
    data = encode(picture, "PNG")
    chunks = [BESIDE[kind]] * repeated
    assert decode(with_chunks(data, *chunks)).frames[0].tobytes() == picture.tobytes()
    behind = with_chunks(data, *chunks)[33 : -len(data) + 33]
    assert decode(data[:-12] + behind + data[-12:]).frames[0].tobytes() == picture.tobytes()


def test_ancillary_chunk_with_wrong_checksum_is_ignored(encode: Encode, picture: Image.Image) -> None:
    for kind, body in (BESIDE["iTXt"], gamma(1.0), (b"tRNS", bytes(6))):
        data = with_chunks(encode(picture, "PNG"), (kind, body))
        at = 33 + 8 + len(body)
        decoded = decode(data[:at] + b"\0\0\0\1" + data[at + 4 :])
        assert [frame.tobytes() for frame in decoded.frames] == [picture.tobytes()], kind


# --- large photographs ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("size", "judged"),
    [((12000, 9000), (4618, 3464)), ((16320, 12240), (4080, 3060)), ((4000, 4000), (4000, 4000))],
)
def test_large_jpeg_is_scaled_down_while_decoding(
    size: tuple[int, int], judged: tuple[int, int], encode: Encode
) -> None:
    decoded = decode(encode(Image.new("L", size, 101), "JPEG", quality=30))
    assert (decoded.width, decoded.height) == size
    assert decoded.frames[0].size == judged
    assert decoded.scales == (() if size == judged else (pytest.approx(size[0] / judged[0]),))
    assert decoded.frames[0].getpixel((7, 7)) == (101, 101, 101)


def test_scaled_jpeg_is_rotated_and_checked_for_truncation(encode: Encode) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    data = encode(Image.effect_noise((300, 200), 90).convert("RGB"), "JPEG", exif=exif)
    decoded = decode(data, max_pixels=20_000)
    assert ((decoded.width, decoded.height), decoded.frames[0].size) == ((200, 300), (50, 75))
    with pytest.raises(ImageError, match="truncated"):
        decode(data[: len(data) // 2] + b"\xff\xd9", max_pixels=20_000)
    with pytest.raises(ImageError, match=r"300 x 200 pixels .* limit of 59,992; .*max-image-pixels"):
        decode(data, max_pixels=7_499)


def test_large_picture_is_scaled_to_16_megapixels(encode: Encode) -> None:
    large = Image.new("1", (8000, 8000))
    for decoded in (
        decode(encode(large, "PNG")),
        from_pil(large),
        from_array(np.zeros((8000, 8000), np.uint8)),
    ):
        assert (decoded.width, decoded.height) == (8000, 8000)
        assert (decoded.frames[0].size, decoded.scales) == ((4000, 4000), (2.0,))


def test_pixel_limit_can_be_raised(encode: Encode) -> None:
    data = encode(Image.new("L", (300, 200)), "BMP")
    with pytest.raises(ImageError, match="--max-image-pixels raises the limit"):
        decode(data, sampling=Sampling(max_pixels=50_000))
    assert decode(data, sampling=Sampling(max_pixels=60_000)).width == 300
    with pytest.raises(ValueError, match="max_pixels"):
        Sampling(max_pixels=0)


# --- what else a file may be ---------------------------------------------------------------------


def raw_file(encode: Encode) -> bytes:
    thumbnail = Image.new("RGB", (16, 16))
    return encode(thumbnail, "TIFF", tiffinfo={50706: b"\1\4\0\0"})


UNREAD: dict[str, tuple[Callable[[Encode], bytes], str]] = {
    "tga": (lambda encode: encode(Image.new("RGB", (300, 200)), "TGA"), "a TGA image"),
    "packed tga": (
        lambda encode: encode(Image.new("L", (300, 200)), "TGA", compression="tga_rle"),
        "a TGA image",
    ),
    "tga with a palette": (lambda encode: encode(Image.new("P", (300, 200)), "TGA"), "a TGA image"),
    "old tga": (lambda encode: encode(Image.new("RGBA", (300, 200)), "TGA")[:-26], "a TGA image"),
    "icon": (lambda encode: encode(Image.new("RGB", (64, 64)), "ICO"), "a Windows icon or cursor"),
    "hdr": (lambda _: b"#?RADIANCE\nFORMAT=32-bit_rle_rgbe\n\n-Y 2 +X 2\n", "a Radiance HDR image"),
    "hdr of rgbe": (lambda _: b"#?RGBE\nFORMAT=32-bit_rle_rgbe\n\n-Y 2 +X 2\n", "a Radiance HDR image"),
    "exr": (lambda _: b"\x76\x2f\x31\x01\2\0\0\0", "an OpenEXR image"),
    "qoi": (lambda encode: encode(Image.new("RGB", (9, 9)), "QOI"), "a QOI image"),
    "sgi": (lambda encode: encode(Image.new("RGB", (9, 9)), "SGI"), "an SGI image"),
    "pcx": (lambda encode: encode(Image.new("RGB", (9, 9)), "PCX"), "a PCX image"),
    "dds": (lambda encode: encode(Image.new("RGB", (9, 9)), "DDS"), "a DirectDraw surface"),
    "xbm": (lambda encode: encode(Image.new("1", (9, 9)), "XBM"), "an X11 image"),
    "camera": (raw_file, "a camera's raw file"),
}


@pytest.mark.parametrize("kind", UNREAD)
def test_unsupported_formats_are_named(kind: str, encode: Encode) -> None:
    make, name = UNREAD[kind]
    with pytest.raises(ImageError, match=f"^not an image: it looks like {name}"):
        decode(make(encode))


def test_opened_file_is_checked_for_truncation(encode: Encode) -> None:
    data = encode(Image.effect_noise((64, 64), 90), "JPEG")
    cut = data[: len(data) // 2] + b"\xff\xd9"
    with Image.open(io.BytesIO(cut)) as image, pytest.raises(ImageError, match="truncated"):
        from_pil(image)
